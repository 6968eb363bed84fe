"""What tests of several folders share: one thread, small pieces of the real spaces and images, and real accuracies.

And crashes at every point at which a process leaves something behind: for each of them, a forked child dies there.
"""

import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import hypothesis
import pytest

from opselect.bench.runtime.parallel import use_single_thread
from opselect.bench.tables.importers.plain_csv import read_csv
from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.darts import DARTS
from opselect.selectors.task import SearchImages, Task
from opselect.spaces.digits import digits
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.table import Table

REAL_ACCURACIES = Path(__file__).parents[2] / "shared" / "data" / "nasbench201_accuracies.csv.gz"

use_single_thread()

# No test depends on a clock: a busy machine may take any time for an example.
hypothesis.settings.register_profile("opselect", deadline=None)
hypothesis.settings.load_profile("opselect")


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
        training=DARTS(epochs=1, batch_size=32),
    )


@pytest.fixture
def nothing_decided() -> Decisions:
    """All edges of the cell open."""
    return Decisions.none_yet(digits201.edges)


Crashes: TypeAlias = Callable[[Callable[[], object]], Iterator[int]]

_DEAD = 99
_EVENTS = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "fcntl.flock"}


def _crashes(action: Callable[[], object]) -> Iterator[int]:
    """Run an action in a child that dies before its first trace on the disk, then in one that dies before the second.

    A write dies half-way, with half of its bytes written. It ends with a child that has done everything.

    Yields:
        How many traces the child had left that has just died.
    """
    for survived in range(10_000):
        child = os.fork()
        if child == 0:
            _run_and_die(action, survived)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        assert status == _DEAD, f"the child ended with {status}"
        yield survived


@pytest.fixture(scope="session")
def crashes() -> Crashes:
    """`for survived in crashes(action): ...` looks at what a process leaves that dies in the middle of an action."""
    return _crashes


def _run_and_die(action: Callable[[], object], survived: int) -> NoReturn:
    left = survived

    def trace(half: Callable[[], object] = lambda: None) -> None:
        nonlocal left
        if left == 0:
            half()
            os._exit(_DEAD)
        left -= 1

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        # Reading leaves no trace.
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_TRUNC)):
            return
        if event in _EVENTS:
            trace()

    really_write, really_sync, really_write_bytes = os.write, os.fsync, pathlib.Path.write_bytes

    def write(descriptor: int, content: bytes) -> int:
        trace(lambda: really_write(descriptor, content[: len(content) // 2]))
        return really_write(descriptor, content)

    def sync(descriptor: int) -> None:
        trace()
        really_sync(descriptor)

    def write_bytes(path: pathlib.Path, content: bytes) -> int:
        trace(lambda: really_write_bytes(path, content[: len(content) // 2]))
        return really_write_bytes(path, content)

    try:
        sys.addaudithook(watch)
        os.write, os.fsync, pathlib.Path.write_bytes = write, sync, write_bytes
        action()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)
