"""Whatever happens to a run, the next one ends with the same records: crashes anywhere, full disks, jumping clocks."""

import errno
import itertools
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opselect.bench.experiment.file import Experiment, parse
from opselect.bench.runs import runner, supernets
from opselect.bench.runs.records import FILE_NAME, Record, read_records
from opselect.bench.runs.select import run_alone, trial_named
from opselect.bench.storage.code_digest import code_digest
from opselect.bench.storage.store import InvalidRecords, open_for_append
from opselect.bench.tables import digits201 as table_building
from opselect.spaces.files import InUse, NotWritten

pytestmark = pytest.mark.usefixtures("in_tiny_world")

EXPERIMENT = """
name = "faulty"
space = "digits201"
images = "tiny"
seeds = [0]
training_images = 32
[supernet]
epochs = 1
batch_size = 16
[[selector]]
name = "magnitude"
[[selector]]
name = "random"
"""


def quietly(what: str, done: int, total: int) -> None:
    """No progress."""


def faulty() -> Experiment:
    return parse(EXPERIMENT, "faulty.toml")


def outcomes(records: tuple[Record, ...]) -> list[Any]:
    """What must not differ between two runs: all but costs and the environment."""
    return [json.loads(record.model_dump_json(exclude={"cost", "environment"})) for record in records]


@pytest.fixture(scope="module")
def undisturbed(tiny_world: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    with tiny_world():
        return outcomes(runner.run(faulty(), tmp_path_factory.mktemp("undisturbed"), 1, quietly).records)


def test_a_run_that_dies_at_any_trace_that_it_leaves_is_finished_by_the_next_one(
    tmp_path: Path, undisturbed: list[Any], crashes: Callable[[Callable[[], object]], Iterator[int]]
) -> None:
    experiment, folder = faulty(), tmp_path / "run"
    stages = set()
    for _ in crashes(lambda: runner.run(experiment, folder, 1, quietly)):
        records = read_records(folder / FILE_NAME) if (folder / FILE_NAME).exists() else []
        stages.add((len(list(folder.glob("supernets/*.pt"))), len(records)))
        summary = runner.run(experiment, folder, 1, quietly)
        assert outcomes(summary.records) == undisturbed
        assert len((folder / FILE_NAME).read_bytes().splitlines()) == 2
        assert [path.name for path in folder.rglob(".*")] == []
        shutil.rmtree(folder)
    assert stages == {(0, 0), (1, 0), (1, 1), (1, 2)}


@pytest.mark.parametrize("room", range(4))
def test_a_disk_that_fills_up_ends_the_run_and_the_next_one_finishes_it(
    tmp_path: Path, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    really_sync, left = os.fsync, itertools.count()

    def full(descriptor: int) -> None:
        if not os.path.isdir(f"/proc/self/fd/{descriptor}") and next(left) >= room:  # noqa: PTH112
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really_sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(NotWritten, match=r": No space left on device; what was finished is kept; free some space"):
            runner.run(faulty(), tmp_path, 1, quietly)
    # The experiment file, the supernet, and a line for each of two trials.
    records = read_records(tmp_path / FILE_NAME)
    assert len(records) == max(0, room - 2)
    assert all(record.status == "done" for record in records)
    summary = runner.run(faulty(), tmp_path, 1, quietly)
    assert outcomes(summary.records) == undisturbed
    assert summary.resumed == len(records)


def test_a_clock_that_jumps_changes_no_record_and_no_cost(
    tmp_path: Path, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0, 4e9))
    monkeypatch.setattr(time, "time_ns", lambda: int(jumps.uniform(0, 4e18)))
    summary = runner.run(faulty(), tmp_path, 1, quietly)
    assert outcomes(summary.records) == undisturbed
    for record in summary.records:
        assert record.cost is not None
        # A jump is thousands of millions of seconds; no machine is so busy.
        assert all(0 <= seconds < 1e6 for seconds in record.cost.seconds.values())
    for path in tmp_path.rglob("*"):
        os.utime(path, (0, jumps.choice((0, 4e9))))
    assert runner.run(faulty(), tmp_path, 1, quietly).resumed == 2


def test_a_folder_that_is_a_file_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed(*_: object) -> None:
        raise AssertionError("something was computed")

    monkeypatch.setattr(supernets, "train_supernet", computed)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotWritten, match="expected a place that can be written; choose another one"):
        runner.run(faulty(), tmp_path / "file", 1, quietly)
    (tmp_path / "supernets").write_text("mine")
    with pytest.raises(NotWritten, match=r"supernets: .*expected a place that can be written; choose another one"):
        runner.run(faulty(), tmp_path, 1, quietly)
    with pytest.raises(NotWritten, match="expected a place that can be written"):
        run_alone(trial_named(faulty(), "magnitude", 0, {}, tmp_path / "file"))
    assert (tmp_path / "file").read_text() == (tmp_path / "supernets").read_text() == "mine"


def test_other_code_makes_another_supernet_and_leaves_the_key_of_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (magnitude, _) = runner.trials_of(faulty(), tmp_path)
    job = magnitude.supernet_job
    assert job is not None
    path, key = job.path, magnitude.description.key
    assert job.path == path
    monkeypatch.setattr(supernets, "code_digest", lambda *names: code_digest(*names)[::-1])
    assert job.path != path
    assert magnitude.description.key == key


def test_a_second_build_of_a_table_on_one_checkpoint_is_refused(tmp_path: Path) -> None:
    recipe = table_building.TableRecipe("digits201", "hash", table_building.TrainingProtocol(), (0,))
    data = table_building.TableData(table_building.digits, table_building.training_images)
    path = tmp_path / "cells.jsonl"
    counts: list[int] = []

    def build(progress: Callable[[int], None]) -> None:
        table_building.build(table_building.digits201, data, recipe, path, [], 1, progress)

    def meanwhile(count: int) -> None:
        counts.append(count)
        content = path.read_bytes()
        with pytest.raises(InUse, match=r"cells\.jsonl: another run is writing to it; wait for it"):
            build(counts.append)
        assert path.read_bytes() == content

    build(meanwhile)
    build(counts.append)
    assert counts == [0, 0]


def test_a_second_run_on_one_folder_is_refused_at_once_and_doubles_nothing(
    tmp_path: Path, undisturbed: list[Any]
) -> None:
    def meanwhile(what: str, done: int, total: int) -> None:
        before = (tmp_path / FILE_NAME).read_bytes()
        with pytest.raises(InvalidRecords, match="another run is writing to it; wait for it, or choose another folder"):
            runner.run(faulty(), tmp_path, 1, quietly)
        assert (tmp_path / FILE_NAME).read_bytes() == before

    assert outcomes(runner.run(faulty(), tmp_path, 1, meanwhile).records) == undisturbed
    assert len((tmp_path / FILE_NAME).read_bytes().splitlines()) == 2
    with open_for_append(tmp_path / FILE_NAME):
        pass
