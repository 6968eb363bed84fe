"""A folder, a quick experiment and a selector that fails, for commands."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from opselect.selectors.methods import Settings
from opselect.selectors.task import Selection, Task
from tests.bench.cli.examples import SMALL


@pytest.fixture
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands write to `runs` in the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An experiment file of two quick selectors and two seeds."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


class Broken(Settings):
    """A selector that always fails."""

    def __call__(self, task: Task) -> Selection:
        """Fail."""
        raise RuntimeError("it is broken")


@pytest.fixture
def broken(planted: Callable[..., AbstractContextManager[None]]) -> Iterator[None]:
    """`broken` is a registered selector."""
    with planted(selectors={"broken": Broken}):
        yield
