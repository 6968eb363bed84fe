"""No file, text or setting leads to a traceback, runs anything, or gets more than a sentence for an answer."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .bombs import BOMBS
from .campaign import prepared
from .inputs import contents
from .targets import CANARY, TARGETS, Hostile, attempt

ROOT = Path(__file__).parents[2]
FEW = {"report of records": 6, "training checkpoint": 8, "table": 12, "CSV file": 15}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with prepared() as made:
        yield made


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_is_read_or_refused_in_one_sentence(name: str, folder: Path) -> None:
    target = TARGETS[name]

    @settings(max_examples=FEW.get(name, 30), derandomize=True, suppress_health_check=list(HealthCheck))
    @given(content=contents(target))
    def holds(content: bytes) -> None:
        attempt(target, content, folder)

    holds()


@pytest.mark.parametrize(
    "name", ["experiment file", "records", "table", "AnalogNAS-Bench", "images in an .npz file", "training checkpoint"]
)
def test_what_the_writers_write_is_read(name: str, folder: Path) -> None:
    assert attempt(TARGETS[name], TARGETS[name].valid()[0], folder)


def test_a_hostile_pickle_would_run_elsewhere() -> None:
    import pickle

    try:
        pickle.loads(pickle.dumps(Hostile()))
        assert CANARY.is_dir()
    finally:
        CANARY.rmdir()


def test_an_unclear_answer_is_noticed(folder: Path) -> None:
    target = TARGETS["arch string"]
    for problem in ("", "two\nlines", "no place", "arch string " + "x" * 3000):

        def read(_: bytes, __: Path, problem: str = problem) -> None:
            from opselect.spaces.errors import UserError

            error = UserError("arch string")
            error.args = (problem,)
            raise error

        with pytest.raises(AssertionError):
            attempt(type(target)(target.name, read, target.valid, target.place), b"", folder)


@pytest.mark.slow
def test_a_campaign_finds_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzzing.campaign", "--inputs", "5000"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_small_inputs_take_little_memory_and_time() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.fuzzing.bombs"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == BOMBS.keys()
    # A supernet that cannot be read is none, and is trained.
    refused = {name for name, each in found.items() if each["said"].startswith("refused: ")}
    assert found.keys() - refused == {"reserved bytes of a supernet", "packed supernet"}
    assert {name: each for name, each in found.items() if each["megabytes"] > 200 or each["seconds"] > 10} == {}


@given(st.text(max_size=3000))
def test_the_message_of_an_error_is_one_printable_line_whatever_it_quotes(text: str) -> None:
    from opselect.spaces.errors import MissingData, UserError

    for kind in (UserError, MissingData):
        message = str(kind(text))
        assert message.isprintable()
        assert len(message) <= 2000
        if text.isprintable() and len(text) <= 2000:
            assert message == text
