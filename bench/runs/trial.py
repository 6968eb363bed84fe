"""One trial: a selector with a seed on its supernet, and the record of what came out and what it cost."""

import contextlib
import dataclasses
import io
import logging
import os
import platform
import subprocess
import time
import traceback
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from opselect.bench.experiment.file import Experiment, SelectorEntry
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
from opselect.bench.runs.store import FORMAT_VERSION
from opselect.bench.runtime.checksums import read_checksummed, write_checksummed
from opselect.bench.runtime.code_digest import code_digest
from opselect.bench.runtime.parallel import is_out_of_memory
from opselect.bench.runtime.torch_files import read_torch_file
from opselect.selectors.costs import Costs, peak_memory_megabytes
from opselect.selectors.decisions import Decisions
from opselect.selectors.scores import table_scores
from opselect.selectors.supernets.training import ALPHA_TRAINING, AlphaTraining, train_supernet
from opselect.selectors.task import SearchImages, Selection, Task
from opselect.spaces.darts.cells import CELLS
from opselect.spaces.darts.genotypes import cell_depth, cell_width, parameter_free_share, skip_connections
from opselect.spaces.darts.space import DARTSSpace
from opselect.spaces.errors import UserError
from opselect.spaces.files import NotWritten
from opselect.spaces.images import content_hash
from opselect.spaces.seeds import seed_for, torch_generator
from opselect.spaces.space import Architecture, SearchSpace
from opselect.spaces.table import Table

_TRAINING = tuple(f"opselect.bench.runs.trial:{name}" for name in ("train", "_initial_supernet"))
"""What determines a trained supernet here; the rest of this module does not."""


@dataclass(frozen=True)
class SupernetJob:
    """The training of one supernet, shared by all trials of a seed that need it.

    Attributes:
        experiment: names the space, the images and the settings.
        seed: of initial parameters, batches and alpha's start.
        alpha_training: what becomes of alpha.
        folder: where trained supernets are kept.
    """

    experiment: Experiment
    seed: int
    alpha_training: AlphaTraining
    folder: Path

    @property
    def path(self) -> Path:
        """The file of the trained supernet, named by everything that determines it, the code included."""
        determinants = (
            self.experiment.space,
            images_hash(self.experiment),
            self.experiment.supernet.model_dump_json(),
            self.seed,
            self.alpha_training,
            self.experiment.device,
            *software().items(),
            code_digest(
                "opselect.selectors.supernets.training", type(self.experiment.load_space()).__module__, *_TRAINING
            ),
        )
        return self.folder / f"{seed_for(*determinants):016x}.pt"


def train(job: SupernetJob) -> str | None:
    """Train a supernet and keep it, unless it is there already.

    Returns:
        None, or why it failed.

    Raises:
        NotWritten: it cannot be kept, because the disk is full for example.
    """
    if cached_supernet(job) is not None:
        return None
    try:
        started = time.perf_counter()
        space, data = job.experiment.load_space(), job.experiment.load_images()
        supernet = _initial_supernet(job.experiment, job.seed, trained=True)
        alpha = train_supernet(
            supernet,
            Decisions.none_yet(space.edges),
            SearchImages.halves(data, job.experiment.device),
            job.experiment.supernet,
            job.alpha_training,
            torch_generator(space.name, job.seed, "supernet alpha"),
            torch_generator(space.name, job.seed, "supernet batches"),
        )
        state = supernet.cpu().state_dict()  # waits for the device, so that the time is the whole time
        seconds = time.perf_counter() - started
        content = io.BytesIO()
        torch.save({"supernet": state, "alpha": alpha, "seconds": seconds}, content)
        write_checksummed(job.path, content.getvalue())
    except NotWritten:
        raise  # no trial can be recorded then either
    except Exception as error:
        return f"supernet training failed: {reason_of(error)}"
    return None


def cached_supernet(job: SupernetJob) -> dict[str, Any] | None:
    """The trained supernet of a job; None where there is none, or, as the log says then, a damaged one."""
    if not job.path.exists():
        return None
    with contextlib.suppress(Exception):  # what was sealed elsewhere raises whatever its bytes happen to mean
        if (content := read_checksummed(job.path)) is not None:
            kept: dict[str, Any] = read_torch_file(content)
            if isinstance(kept, dict) and kept.keys() == {"supernet", "alpha", "seconds"}:
                return kept
    logging.warning("%s: damaged; this supernet is trained again", job.path)
    return None


@dataclass(frozen=True)
class Trial:
    """One selector with one seed.

    Attributes:
        experiment: what it belongs to.
        entry: the selector with its settings.
        seed: decides supernet, batches, edge orders.
        supernets: folder of trained supernets.
    """

    experiment: Experiment
    entry: SelectorEntry
    seed: int
    supernets: Path

    @property
    def supernet_job(self) -> SupernetJob | None:
        """The training that must come first, or None."""
        alpha_training = ALPHA_TRAINING.get(self.entry.selector.supernet_state)
        return alpha_training and SupernetJob(self.experiment, self.seed, alpha_training, self.supernets)

    @property
    def description(self) -> TrialDescription:
        """Everything that determines the outcome."""
        experiment, choice = self.experiment, self.experiment.table
        return TrialDescription(
            space=experiment.space,
            images=experiment.images,
            images_hash=images_hash(experiment),
            selector=self.entry.name,
            settings=self.entry.settings.model_dump(mode="json"),
            seed=self.seed,
            training=experiment.supernet.model_dump(mode="json") if self.supernet_job else None,
            table=choice
            and TableReference(
                name=choice.name,
                dataset=choice.dataset,
                epochs=choice.epochs,
                valid_epochs=choice.valid_column[2],
                also=choice.also,
                fingerprint=_table(experiment).fingerprint,
            ),
            observe=experiment.observe,
            device=experiment.device,
            software=software(),
            training_images=experiment.training_images,
        )


def run_trial(trial: Trial, prevented: str | None = None) -> Record:
    """Run a trial to the end and return its record; whatever goes wrong in it becomes the reason of a failed record.

    Args:
        trial: what to run.
        prevented: why it cannot run, for example because its supernet failed.
    """
    result, cost, reason = None, None, prevented
    if prevented is None:
        try:
            result, cost = _select(trial)
        except Exception as error:
            reason = reason_of(error)
    description = trial.description
    return Record(
        version=FORMAT_VERSION,
        experiment=trial.experiment.name,
        label=trial.entry.label,
        trial=description,
        key=description.key,
        status="done" if result else "failed",
        reason=reason,
        result=result,
        cost=cost,
        environment=environment(),
    )


def _select(trial: Trial) -> tuple[Result, Cost]:
    experiment = trial.experiment
    space, data = experiment.load_space(), experiment.load_images()
    table, choice = (_table(experiment), experiment.table) if experiment.table else (None, None)
    costs = Costs(experiment.device)
    supernet, alpha = None, None
    if job := trial.supernet_job:
        kept = cached_supernet(job)
        if kept is None:
            raise FileNotFoundError(f"no trained supernet at {job.path}")
        supernet, alpha = _initial_supernet(experiment, trial.seed, trained=True), kept["alpha"]
        supernet.load_state_dict(kept["supernet"])
        costs.seconds["supernet training"] = kept["seconds"]
    elif trial.entry.selector.supernet_state == "initial":
        supernet = _initial_supernet(experiment, trial.seed, trained=False)
    valid = table.accuracies(*choice.valid_column, "mean") if table and choice else None
    task = Task(
        space=space,
        images=SearchImages.halves(data, experiment.device),
        classes=data.classes,
        seed=trial.seed,
        supernet=supernet,
        alpha=alpha,
        valid_accuracies=valid,
        training=experiment.supernet,
        costs=costs,
        record_all_scores=experiment.observe,
    )
    selection = trial.entry.selector(task)
    cost = Cost(
        seconds=costs.seconds,
        search_seconds=costs.search_seconds,
        evaluations=costs.evaluations,
        peak_memory_megabytes=peak_memory_megabytes(),
        device=costs.device,
    )
    return _evaluate(selection, space, table, trial), cost


def _evaluate(selection: Selection, space: SearchSpace, table: Table | None, trial: Trial) -> Result:
    """What was selected, measured on the table's test accuracies: the only place where they are read."""
    choice = trial.experiment.table
    common: dict[str, Any] = {
        "architecture": space.format(selection.architecture),
        "candidates": [(space.format(architecture), score) for architecture, score in selection.candidates],
        "topology": [PruningRecord(**dataclasses.asdict(step)) for step in selection.pruning],
        "cells": cell_records(space, selection.architecture),
    }
    if table is None or choice is None:
        return Result(
            **common,
            valid_accuracy=None,
            test_accuracy=None,
            test_accuracies=[],
            other_test_accuracies={},
            regret=None,
            percentile=None,
            steps=_steps(selection, space, None),
        )

    def accuracy(column: tuple[str, str, int], seeds: Any) -> Any:
        return table.accuracy(selection.architecture, *column, seeds)

    main, *others = choice.test_columns.values()
    everyone = table.accuracies(*main, "mean")
    mine = accuracy(main, "mean")
    return Result(
        **common,
        valid_accuracy=accuracy(choice.valid_column, "mean"),
        test_accuracy=mine,
        test_accuracies=[value for value in accuracy(main, "each") if not np.isnan(value)],
        other_test_accuracies={column[0]: accuracy(column, "mean") for column in others},
        regret=float(np.nanmax(everyone) - mine),
        percentile=float(100 * (everyone < mine).sum() / (~np.isnan(everyone)).sum()),
        steps=_steps(selection, space, everyone),
    )


def cell_records(space: SearchSpace, architecture: Architecture) -> dict[str, CellRecord]:
    """By type of cell, how far a genotype has collapsed; empty in spaces without genotypes."""
    if not isinstance(space, DARTSSpace):
        return {}
    genotype = space.genotype(architecture)
    return {
        cell: CellRecord(
            skip_connections=skip_connections(genotype, cell),
            parameter_free_share=parameter_free_share(genotype, cell),
            depth=cell_depth(genotype, cell),
            width=cell_width(genotype, cell),
        )
        for cell in CELLS
    }


def _steps(selection: Selection, space: SearchSpace, test_accuracies: np.ndarray | None) -> list[StepRecord]:
    """The steps with the oracles' scores beside them, given the decisions that each step started from."""
    decisions = Decisions.none_yet(space.edges)
    records = []
    for step in selection.steps:
        truth = {}
        if test_accuracies is not None:
            truth = {
                summary: {
                    edge: table_scores(test_accuracies, decisions, edge, summary).tolist() for edge in step.scores
                }
                for summary in ("best-acc", "avg-acc")
            }
        records.append(
            StepRecord(
                edge=step.edge,
                operation=step.operation,
                tied=step.tied,
                scores={edge: list(scores) for edge, scores in step.scores.items()},
                truth=truth,
            )
        )
        decisions = decisions.decide(step.edge, step.operation)
    return records


def _initial_supernet(experiment: Experiment, seed: int, trained: bool) -> torch.nn.Module:
    """The supernet before training, on the experiment's device; one that will be trained may have another size."""
    space, data, training = experiment.load_space(), experiment.load_images(), experiment.supernet
    if trained and (training.channels, training.cells) != (None, None):
        space = space.resized(training.channels, training.cells)
    supernet = space.supernet(data.channels, data.classes, seed_for(space.name, seed, "supernet parameters"))
    # Its layers take this layout of memory from one to the next; on the CPU that makes training a third faster.
    return supernet.to(experiment.device).to(memory_format=torch.channels_last)


@cache
def _table(experiment: Experiment) -> Table:
    table = experiment.load_table()
    assert table is not None
    return table


@cache
def images_hash(experiment: Experiment) -> str:
    """A hash of all images and labels that the experiment names."""
    data = experiment.load_images()
    splits = [data.train, data.test] if data.valid is None else [data.train, data.valid, data.test]
    return content_hash(*splits)[:16]


@cache
def software() -> dict[str, str]:
    """Versions that may change a result."""
    return {"opselect": version("opselect"), "torch": torch.__version__}


@cache
def environment() -> dict[str, Any]:
    """Machine and versions, for the reader who wonders why two runs differ."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("opselect", "torch", "numpy", "scikit-learn", "scipy")},
        "commit": _commit(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [
            line.partition(":")[2].strip() for line in information.read_text().splitlines() if "model name" in line
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of our own checkout, with a mark where files were changed; None where this is an installed copy."""
    source = Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(source), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def reason_of(error: Exception) -> str:
    """One line: the sentence of an error that the user can mend; of others what was raised and where."""
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return "the memory does not hold a batch; set a smaller batch_size, or fewer channels or cells"
    last = traceback.extract_tb(error.__traceback__)[-1]
    message = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {message} ({Path(last.filename).name}, line {last.lineno})"
