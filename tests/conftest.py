"""What tests of several folders share: one thread, small pieces of the real spaces and images, and real accuracies."""

from pathlib import Path

import pytest

from opselect.selectors.decisions import Decisions
from opselect.selectors.recipe import SupernetTraining
from opselect.selectors.task import SearchImages, Task
from opselect.spaces.digits import digits
from opselect.spaces.images import LabelledImages
from opselect.spaces.importers.plain_csv import read_csv
from opselect.spaces.machine import settle
from opselect.spaces.nasbench201 import digits201
from opselect.spaces.table import Table

REAL_ACCURACIES = Path(__file__).parents[2] / "shared" / "data" / "nasbench201_accuracies.csv.gz"

settle()


@pytest.fixture(scope="session")
def few_digits() -> LabelledImages:
    """32 training images."""
    return digits().train[:32]


@pytest.fixture(scope="session")
def real_accuracies() -> Table:
    """Published accuracies of NAS-Bench-201."""
    if not REAL_ACCURACIES.exists():
        pytest.skip(f"the accuracies of NAS-Bench-201 are not at {REAL_ACCURACIES}")
    return read_csv(REAL_ACCURACIES)


@pytest.fixture
def task() -> Task:
    """A task on digits201 with an untrained supernet and 64 images a half."""
    train = digits().train
    return Task(
        space=digits201,
        images=SearchImages(train[:64], train[64:128]),
        classes=10,
        seed=0,
        supernet=digits201.supernet(1, 10, seed=0),
        training=SupernetTraining(epochs=1, batch_size=32),
    )


@pytest.fixture
def nothing_decided() -> Decisions:
    """All edges of the cell open."""
    return Decisions.none_yet(digits201.edges)
