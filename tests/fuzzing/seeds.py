"""Valid files of every kind that opselect reads, made by its own writers or by those of the projects that it reads."""

import bz2
import gzip
import io
import json
import pickle
import tempfile
from collections import OrderedDict
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from nas_201_api import ArchResults, ResultsCount

from opselect.bench.evaluation.networks import NetworkDescription, TrainingRecord, TrainingResult
from opselect.bench.proxy_study import ScoreRecord, StudyDescription
from opselect.bench.runs.records import (
    CellRecord,
    Cost,
    PruningRecord,
    Record,
    Result,
    StepRecord,
    TableReference,
    TrialDescription,
)
from opselect.bench.tables.digits201 import Outcome, TableRecipe, TrainingProtocol
from opselect.spaces.darts.genotypes import format_genotype, format_genotype_json, library
from opselect.spaces.nasbench201.space import digits201, nasbench201
from opselect.spaces.table import COLUMNS, Table

EXPERIMENT = """
name = "mine"
title = "Everything that a file can say"
space = "digits201"
images = "digits"
training_images = 500
seeds = [0, 1]
observe = true
device = "cpu"

[table]
name = "digits201"
dataset = "digits"
epochs = 10
also = ["digits"]

[supernet]
epochs = 2
batch_size = 32

[[selector]]
name = "zero-cost-pt"
label = "zero-cost-pt (nwot)"
proxy = "nwot"
candidates = 2
seeds = [3]

[[selector]]
name = "random"

[[selector]]
name = "best-acc"
"""
STUDY = """
name = "several"
space = ["darts-s1", "darts-s2"]
images = ["mine.npz", "cifar10"]
seeds = [0]

[training]
channels = 8
cells = 3
epochs = 2
seeds = [0, 1]

[training.on.cifar10]
channels = 4

[[selector]]
name = "random"
"""
PUBLISHED = """
[[source]]
id = "paper"
citation = "Somebody, Somewhere, 2020"
obtained = "read in table 1"
verified = true

[training.theirs]
epochs = [50, 60]

[[group]]
source = "paper"
space = "nasbench201"
measure = "test accuracy"

[[group.number]]
method = "zero-cost-pt"
dataset = ["cifar10", "cifar10_subset"]
settings = { proxy = "nwot", candidates = [1, 10] }
training = "theirs"
value = 93.75
deviation = 0.4
seeds = 4
tolerance = 0.5
"""
RUN = """
name = "run"
space = "digits201"
images = "digits"
seeds = [0, 1]

[table]
name = "digits201"
dataset = "digits"
epochs = 10

[[selector]]
name = "random"

[[selector]]
name = "zero-cost-pt"
"""
SETTINGS = ("proxy=synflow", "batch_size=64", "edge_order=random", "candidates=1", "seeds=1", "validation_batches=-1.5")
CELLS = tuple(nasbench201.format(nasbench201.at(index)) for index in (0, 7, 5000, 15624))
GENOTYPES = (
    *(format_genotype(library()[name].genotype) for name in ("DARTS_V1", "DARTS_V2")),
    f"FOUND = {format_genotype(library()['DARTS_V2'].genotype)}",
    format_genotype_json(library()["DARTS_V1"].genotype),
)
GENERATOR = np.random.default_rng(0)


@cache
def records() -> bytes:
    """Two selectors with two seeds of the experiment `RUN`, and a failure."""
    from opselect.bench.experiment.file import parse

    lines = []
    for entry in parse(RUN, "run").selectors:
        for seed in (0, 1):
            trial = TrialDescription(
                space="digits201",
                images="digits",
                images_hash="abc",
                selector=entry.name,
                settings=entry.settings.model_dump(mode="json"),
                seed=seed,
                training=None,
                table=TableReference(
                    name="digits201", dataset="digits", epochs=10, valid_epochs=10, also=(), fingerprint="f"
                ),
                observe=False,
                device="cpu",
                software={"opselect": "0.1.0", "torch": "2.5"},
            )
            scores = {edge: [float(number) for number in GENERATOR.normal(size=5)] for edge in range(6)}
            step = StepRecord(
                edge=seed, operation=3, tied=0, scores=scores, truth={"best-acc": scores, "avg-acc": scores}
            )
            result = Result(
                architecture=CELLS[seed],
                valid_accuracy=80.5 + seed,
                test_accuracy=80.0 + seed,
                test_accuracies=[79.5, 80.5],
                other_test_accuracies={"other": 70.0},
                regret=9.0 - seed,
                percentile=50.0,
                candidates=[(CELLS[2], 0.5), (CELLS[3], None)],
                steps=[step],
                topology=[PruningRecord(cell="cell", node=2, dropped=[1], scores=[{0: 1.0, 1: float("nan")}])],
                cells={"normal": CellRecord(skip_connections=1, parameter_free_share=0.5, depth=2, width=1.5)},
            )
            cost = Cost(
                seconds={"scoring": 1.5}, search_seconds=1.5, evaluations=30, peak_memory_megabytes=400.0, device="cpu"
            )
            fails = entry.name == "random" and seed == 1
            lines.append(
                Record(
                    version=1,
                    experiment="run",
                    label=entry.label,
                    trial=trial,
                    key=trial.key,
                    status="failed" if fails else "done",
                    reason="it broke" if fails else None,
                    result=None if fails else result,
                    cost=None if fails else cost,
                    environment={"python": "3.11", "cores": 2, "versions": {"torch": "2.5"}},
                ).model_dump_json()
            )
    return "".join(f"{line}\n" for line in lines).encode()


@cache
def trainings() -> bytes:
    """A finished training."""
    network = NetworkDescription(
        space="darts",
        genotype=GENOTYPES[0],
        images="cifar10",
        images_hash="abc",
        training_images=None,
        channels=8,
        cells=3,
        stem="cifar",
        training={"epochs": 2},
        seed=0,
        device="cpu",
        software={"torch": "2.5"},
    )
    result = TrainingResult(
        parameters=10, multiply_adds=20, test_accuracies=[None, 50.0], last=50.0, best=50.0, seconds=1.5
    )
    record = TrainingRecord(version=1, network=network, key=network.key, reason=None, result=result, environment={})
    return f"{record.model_dump_json()}\n".encode()


STUDIED = StudyDescription(
    space="digits201", images="digits", batch_size=8, seed=0, images_hash="abc", software={"torch": "2.5"}
)


@cache
def scores() -> bytes:
    """Two scored architectures."""
    found = [
        ScoreRecord(
            version=1,
            study=STUDIED.key,
            architecture=cell,
            scores={"nwot": 1.5, "ntk": float("nan")},
            seconds={"nwot": 0.1, "ntk": 0.2},
            reasons={"ntk": "the score is nan"},
        )
        for cell in CELLS[:2]
    ]
    return "".join(f"{record.model_dump_json()}\n" for record in found).encode()


RECIPE = TableRecipe("digits201", "abc", TrainingProtocol(), (0, 1))


@cache
def trained_cells() -> bytes:
    """The checkpoint of a table with two trained cells."""
    header = {"format": "opselect trained cells", "version": 1, "recipe": json.loads(json.dumps(asdict(RECIPE)))}
    outcomes = [asdict(Outcome(seed, 80.0, 79.5, 1.25)) for seed in (0, 1)]
    lines = [header, *({"index": index, "outcomes": outcomes} for index in (0, 31))]
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def table_file(rows: pa.Table | None = None, metadata: bytes | None = None) -> bytes:
    """A table with 8 accuracies; other rows and metadata for a hostile one."""
    if rows is None:
        count = 8
        columns = {
            "architecture": [CELLS[row % 4] for row in range(count)],
            "dataset": ["digits"] * count,
            "split": ["valid" if row < 4 else "test" for row in range(count)],
            "epochs": [10] * count,
            "seed": [0] * count,
            "accuracy": [50.0 + row for row in range(count)],
            "training_seconds": [1.5] * count,
            "parameters": [100] * count,
            "multiply_adds": [None] * count,
        }
        rows = pa.table(columns, schema=COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        if metadata is None:
            Table(digits201, rows, {"made": "by hand"}).write(path)
        else:
            import pyarrow.parquet

            pyarrow.parquet.write_table(rows.replace_schema_metadata({b"opselect.table": metadata}), path)
        return path.read_bytes()


@cache
def csv_file() -> bytes:
    """All architectures with two columns, one of them a single run."""
    lines = ["arch,index,cifar10_test_200,cifar100_valid_12_run0"]
    every = (nasbench201.format(architecture) for architecture in nasbench201.enumerate())
    lines += [f"{text},{number},{number % 100},{'' if number % 7 else 1.5}" for number, text in enumerate(every)]
    return "\n".join(lines).encode()


def packed_csv() -> bytes:
    """The same, packed."""
    return gzip.compress(csv_file(), 1)


def official_content(count: int) -> dict[str, Any]:
    """What an official file holds, for so many architectures, two epochs a training."""
    states: dict[int, Any] = {}
    for number in range(count):
        states[number] = {}
        for budget, epochs in (("less", 1), ("full", 2)):
            results = ArchResults(number, CELLS[number])
            for dataset, sets in {"cifar10-valid": ("x-valid", "ori-test"), "cifar10": ("ori-test",)}.items():
                config = {"channel": 16, "num_cells": 5, "arch_str": CELLS[number], "class_num": 10}
                trial = ResultsCount(dataset, None, {}, {}, 0.5, 1.5, config, 777, epochs, [np.float64(0.01)])
                curve = OrderedDict(enumerate((50.0, 60.0)[:epochs]))
                trial.update_train_info(curve, curve, curve, OrderedDict(curve))
                measured = OrderedDict((f"{name}@{epoch}", 40.0 + epoch) for name in sets for epoch in range(epochs))
                trial.update_eval(measured, measured, measured)
                results.update(dataset, 777, trial)
            results.clear_params()
            states[number][budget] = results.state_dict()
    return {"meta_archs": list(CELLS[:count]), "arch2infos": states, "evaluated_indexes": set(states)}


def saved(content: object, zipped: bool = True) -> bytes:
    """What `torch.save` writes."""
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


@cache
def nats_member() -> bytes:
    """One architecture of NATS-Bench."""
    state = official_content(1)["arch2infos"][0]
    return bz2.compress(pickle.dumps({"12": state["less"], "200": state["full"]}))


@cache
def nats_list() -> bytes:
    """The list of architectures in a folder with one."""
    return bz2.compress(pickle.dumps({"meta_archs": list(CELLS[:1])}))


def packed(arrays: dict[str, Any], compressed: bool = False) -> bytes:
    """An `.npz` archive."""
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def image_arrays(**changes: Any) -> dict[str, Any]:
    """A small dataset."""
    generator = np.random.default_rng(0)
    return {
        "x_train": generator.integers(0, 256, (6, 3, 8, 8), dtype=np.uint8),
        "y_train": np.array([0, 1, 2, 0, 1, 2]),
        "x_test": generator.integers(0, 256, (3, 3, 8, 8), dtype=np.uint8),
        "y_test": np.array([2, 1, 0]),
    } | changes


def image_batch(protocol: int, **changes: Any) -> bytes:
    """A batch of ImageNet16 with two images."""
    return pickle.dumps({"data": np.zeros((2, 768), np.uint8), "labels": [1, 2]} | changes, protocol)
