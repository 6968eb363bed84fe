"""What tests of several folders share: one thread, no deadlines, small pieces of the real spaces and images."""

from pathlib import Path

import hypothesis
import pytest

from tests import type_checks  # noqa: F401  # before the first import of what it checks

# isort: split
from opselect.bench.runtime.parallel import use_single_thread
from opselect.bench.tables.importers.plain_csv import read_csv
from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.darts import DARTS
from opselect.selectors.task import SearchImages, Task
from opselect.spaces.digits import digits
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.table import Table

pytest_plugins = ("tests.crashes",)

REAL_ACCURACIES = Path(__file__).parents[2] / "shared" / "data" / "nasbench201_accuracies.csv.gz"
"""Outside of the repository: maintainers have it next to their checkout, nobody else needs it."""

use_single_thread()

# No test depends on a clock: a busy machine may take any time for an example. Examples stay random, so that every run
# tries others; on the machines of a forge hypothesis itself repeats the same ones.
hypothesis.settings.register_profile("opselect", deadline=None)
hypothesis.settings.load_profile("opselect")


@pytest.fixture(scope="session")
def few_digits() -> LabelledImages:
    """32 training images."""
    return digits().train[:32]


@pytest.fixture(scope="session")
def real_accuracies() -> Table:
    """The published accuracies of NAS-Bench-201, too large for the repository and not needed to work on it."""
    if not REAL_ACCURACIES.exists():
        pytest.skip(f"only maintainers have the published accuracies of NAS-Bench-201: no file {REAL_ACCURACIES}")
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
        training=DARTS(epochs=1, batch_size=32),
    )


@pytest.fixture
def nothing_decided() -> Decisions:
    """All edges of the cell open."""
    return Decisions.none_yet(digits201.edges)
