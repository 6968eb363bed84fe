"""A benchmark in miniature: 64 training images, a table made by a formula, and a way to register things for a test."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pytest
import torch

from opselect.bench.cli import app as cli
from opselect.bench.experiment.file import Experiment, parse
from opselect.bench.runs import runner
from opselect.bench.runs.runner import Summary
from opselect.spaces import registry
from opselect.spaces.images import ImageData, LabelledImages
from opselect.spaces.nasbench201.space import OPERATIONS, SIZE, digits201
from opselect.spaces.table import COLUMNS, Table

WORTH = {"none": 0.0, "skip_connect": 3.0, "nor_conv_1x1": 5.0, "nor_conv_3x3": 8.0, "avg_pool_3x3": 2.0}
"""Percentage points that an operation adds on an edge, times the importance of the edge."""
IMPORTANCE = (1.0, 0.9, 1.1, 0.8, 1.2, 1.05)

TINY = """
name = "tiny"
space = "digits201"
images = "tiny"
seeds = [0]

[table]
name = "additive"
dataset = "digits"
epochs = 10

[supernet]
epochs = 1
batch_size = 16

[[selector]]
name = "magnitude"

[[selector]]
name = "darts-pt"
tuning_epochs = 1

[[selector]]
name = "darts-pt-fixed-alpha"
tuning_epochs = 1

[[selector]]
name = "disc-acc"
tuning_epochs = 0

[[selector]]
name = "zero-cost-pt"
candidates = 2
validation_batches = 1
batch_size = 16

[[selector]]
name = "zero-cost-disc"
candidates = 1
validation_batches = 1
batch_size = 16

[[selector]]
name = "random"

[[selector]]
name = "best-acc"

[[selector]]
name = "avg-acc"
"""
"""All nine selectors in a few seconds."""

Planting: TypeAlias = Callable[..., AbstractContextManager[None]]
CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]


class _Planted(EntryPoint):
    """An entry point that stands for an object of a test."""

    def __init__(self, kind: str, name: str, thing: object) -> None:
        super().__init__(name, f"a_test:{name}", f"opselect.{kind}")
        vars(self)["thing"] = thing

    def load(self) -> object:
        return vars(self)["thing"]


@contextmanager
def _planted(**kinds: dict[str, object]) -> Iterator[None]:
    ours = [_Planted(kind, name, thing) for kind, things in kinds.items() for name, thing in things.items()]

    def found(group: str) -> EntryPoints:
        mine = [entry for entry in ours if entry.group == group]
        names = {entry.name for entry in mine}
        return EntryPoints([*(entry for entry in before(group=group) if entry.name not in names), *mine])

    with pytest.MonkeyPatch.context() as patch:
        before = registry.entry_points
        patch.setattr(registry, "entry_points", found)
        yield


@pytest.fixture(scope="session")
def planted() -> Planting:
    """Register things while a block runs: `with planted(tables={"mine": table}): ...`, over what is registered."""
    return _planted


def additive_accuracies() -> np.ndarray:
    """Percent, in the order of `enumerate`: 30, and what the operation of every edge is worth there."""
    worth = np.array([WORTH[name] for name in OPERATIONS])
    digits = np.stack([np.arange(SIZE) // 5 ** (5 - edge) % 5 for edge in range(6)], axis=1)
    return 30 + (worth[digits] * np.array(IMPORTANCE)).sum(axis=1)


def table_of(valid: np.ndarray, test: np.ndarray) -> Table:
    """A table of digits201 with two seeds that lie 0.25 below and above the given accuracies."""
    names = [digits201.format(architecture) for architecture in digits201.enumerate()]
    columns = {
        "architecture": pa.DictionaryArray.from_arrays(np.tile(np.arange(SIZE, dtype=np.int32), 4), names),
        "dataset": pa.DictionaryArray.from_arrays(np.zeros(4 * SIZE, np.int32), ["digits"]),
        "split": pa.DictionaryArray.from_arrays(np.repeat(np.array([0, 1], np.int32), 2 * SIZE), ["valid", "test"]),
        "epochs": np.full(4 * SIZE, 10, np.int16),
        "seed": np.tile(np.repeat(np.array([0, 1], np.int32), SIZE), 2),
        "accuracy": np.concatenate([valid - 0.25, valid + 0.25, test - 0.25, test + 0.25]).astype(np.float32),
        "training_seconds": pa.nulls(4 * SIZE, pa.float32()),
        "parameters": pa.nulls(4 * SIZE, pa.int64()),
        "multiply_adds": pa.nulls(4 * SIZE, pa.int64()),
    }
    return Table(digits201, pa.table(columns, schema=COLUMNS), {"made": "by a formula"})


@pytest.fixture(scope="session")
def additive_table() -> Table:
    """Test accuracy is one point above validation accuracy, and the best cell is all 3x3 convolutions."""
    valid = additive_accuracies()
    return table_of(valid, valid + 1)


@pytest.fixture(scope="session")
def poisoned_table() -> Table:
    """The same validation accuracies; the test accuracies are those of other architectures, upside down."""
    valid = additive_accuracies()
    return table_of(valid, 100 - np.random.default_rng(0).permutation(valid))


@pytest.fixture(scope="session")
def tiny_images() -> ImageData:
    """Ten classes of 8x8 images, each a pattern of its own under noise: 32 images in each half."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randn(10, 1, 8, 8, generator=generator)

    def images(count: int) -> LabelledImages:
        labels = torch.arange(count) % 10
        return LabelledImages(patterns[labels] + 0.3 * torch.randn(count, 1, 8, 8, generator=generator), labels)

    return ImageData("tiny", 10, images(64), images(20), images(20))


@pytest.fixture(scope="session")
def tiny_world(
    planted: Planting, additive_table: Table, poisoned_table: Table, tiny_images: ImageData
) -> Callable[[], AbstractContextManager[None]]:
    """A context in which `TINY` can be run: its images and tables are registered."""

    def world() -> AbstractContextManager[None]:
        return planted(
            tables={"additive": lambda: additive_table, "poisoned": lambda: poisoned_table},
            images={"tiny": lambda: tiny_images},
        )

    return world


@pytest.fixture
def in_tiny_world(tiny_world: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """The test runs where the tiny images and tables are registered."""
    with tiny_world():
        yield


@pytest.fixture(scope="session")
def tiny_text() -> str:
    """The experiment file of `tiny_run`."""
    return TINY


@pytest.fixture(scope="session")
def tiny_experiment(tiny_world: Callable[[], AbstractContextManager[None]]) -> Experiment:
    """All nine selectors, one seed."""
    with tiny_world():
        return parse(TINY, "tiny.toml")


@pytest.fixture(scope="session")
def tiny_run(
    tiny_world: Callable[[], AbstractContextManager[None]],
    tiny_experiment: Experiment,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Summary]:
    """`TINY` run once for all tests, and the folder, which tests must copy before they change it."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "experiment.toml").write_text(TINY)
    with tiny_world():
        return folder, runner.run(tiny_experiment, folder, 1, lambda what, done, total: None)


@pytest.fixture
def opselect(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> CommandLine:
    """`opselect("list", "proxies")` runs the command line in this process: exit status, output, error output."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["opselect", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capfd.readouterr()
        status: object = 0
        try:
            cli.main()
        except SystemExit as stop:
            status = stop.code or 0
        assert isinstance(status, int)
        return status, *capfd.readouterr()

    return run
