"""Runs that are killed, stopped or starved, as processes of their own: in the end the same comes out as always."""

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opselect.bench.report.page import render_markdown, render_tables
from opselect.bench.runs.records import Record, read_records
from opselect.bench.runs.run import load_run

EXPERIMENT = """
name = "killed"
space = "digits201"
images = "digits"
seeds = [0, 1, 2]
training_images = 256
[table]
name = "digits201"
dataset = "digits"
epochs = 10
[supernet]
epochs = 2
batch_size = 16
[[selector]]
name = "magnitude"
[[selector]]
name = "darts-pt-fixed-alpha"
tuning_epochs = 1
[[selector]]
name = "zero-cost-pt"
candidates = 2
validation_batches = 1
batch_size = 16
[[selector]]
name = "random"
[[selector]]
name = "best-acc"
"""
TRIALS = 15
KILLS = 30


class Runs:
    """Starts `opselect run` on one experiment file, each in a session of its own."""

    def __init__(self, folder: Path, experiment: str = EXPERIMENT) -> None:
        self.folder = folder
        self.file = folder / "killed.toml"
        self.file.write_text(experiment)

    def start(
        self, output: Path, before: Callable[[], object] = lambda: None, workers: int = 2
    ) -> subprocess.Popen[str]:
        def prepare() -> None:
            # A shell starts what it runs in the background with this signal ignored, the tests themselves perhaps.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            before()

        command = ["run", str(self.file), "--output", str(output), "--workers", str(workers)]
        return subprocess.Popen(
            [sys.executable, "-m", "opselect.bench.cli.app", *command],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,
        )

    def finish(self, output: Path, workers: int = 2) -> None:
        process = self.start(output, workers=workers)
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        assert "Traceback" not in error


def outcome(record: Record) -> dict[str, Any]:
    """What must not differ between two runs: all but costs and the environment."""
    return json.loads(record.model_dump_json(exclude={"cost", "environment"}))


def comes_out(folder: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str], str]:
    """The records by key, each there once, and the text of all tables; nothing else may lie about."""
    path = folder / "records.jsonl"
    records = read_records(path)
    assert len(path.read_bytes().splitlines()) == len(records)
    assert not list(folder.rglob(".*"))
    assert {each.name for each in folder.iterdir()} <= {"records.jsonl", "experiment.toml", "supernets"}
    run = load_run(folder)
    return (
        {record.key: outcome(record) for record in records},
        render_tables(run),
        render_markdown(run),
    )


def children(process: int) -> list[int]:
    """The processes that one has started, none where it has ended."""
    try:
        return [int(text) for text in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def workers_of(process: int) -> list[int]:
    """Those of them that run trials; joblib starts others that remove what killed processes have left."""
    found = []
    for child in children(process):
        with contextlib.suppress(OSError):
            if b"popen_loky" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def is_running(process: int) -> bool:
    """Whether it is there, and no zombie either."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def wait_until(happened: Callable[[], Any], seconds: float = 120) -> None:
    latest = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < latest
        time.sleep(0.01)


def traces(folder: Path) -> int:
    """How many supernets and records a run has finished."""
    path = folder / "records.jsonl"
    return len(list(folder.glob("supernets/*.pt"))) + (path.read_bytes().count(b"\n") if path.exists() else 0)


def process_ends_within(process: subprocess.Popen[str], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def has_lines(folder: Path, count: int) -> bool:
    path = folder / "records.jsonl"
    return path.exists() and path.read_bytes().count(b"\n") >= count


@pytest.mark.slow
def test_thirty_kills_at_random_moments_change_no_record_and_no_table(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    started = time.monotonic()
    runs.finish(tmp_path / "undisturbed")
    whole = time.monotonic() - started
    expected = comes_out(tmp_path / "undisturbed")
    assert len(expected[0]) == TRIALS
    generator = random.Random(0)
    story, attempt, completed = [], 0, 0
    while len(story) < KILLS:
        folder = tmp_path / f"killed-{completed}"
        process = runs.start(folder)
        # Half of them at any time, and half a little after a random record or supernet, since a busy machine may be so
        # slow that no time is late.
        if attempt % 2:
            process_ends_within(process, generator.uniform(0, whole))
        else:
            progress = generator.uniform(traces(folder), TRIALS + 6)
            wait_until(lambda at=progress, there=folder, it=process: traces(there) >= at or it.poll() is not None, 300)
            process_ends_within(process, generator.uniform(0, 0.3))
        if process.poll() is None:
            workers = workers_of(process.pid)
            victim = ("group", "parent", "worker")[attempt % 3]
            attempt += 1
            if victim == "group":
                os.killpg(process.pid, signal.SIGKILL)
            elif victim == "parent" or not workers:
                victim = "parent"
                process.kill()
            else:
                os.kill(generator.choice(workers), signal.SIGKILL)
            lines = (folder / "records.jsonl").read_bytes().count(b"\n") if (folder / "records.jsonl").exists() else 0
            supernets = len(list(folder.glob("supernets/*.pt")))
            partial = len(list(folder.rglob(".*.partial")))
            story.append((victim, lines, supernets, partial))
            if victim != "worker":
                process.wait()
                wait_until(lambda workers=workers: not any(map(is_running, workers)))
        _, error = process.communicate(timeout=300)
        assert "Traceback" not in error
        if process.returncode == 0:
            assert comes_out(folder) == expected
            completed += 1
        else:
            assert process.returncode == -signal.SIGKILL, error
    last = tmp_path / f"killed-{completed}"
    runs.finish(last)
    assert comes_out(last) == expected
    # For whoever looks (pytest -s): where the kills fell.
    sys.stderr.write(f"undisturbed {whole:.1f} s, completed {completed + 1} runs; kills: {story}\n")


SHORT = """
name = "short"
space = "digits201"
images = "digits"
seeds = [0, 1]
training_images = 256
[supernet]
epochs = 1
batch_size = 64
[[selector]]
name = "magnitude"
[[selector]]
name = "random"
"""
LONG = EXPERIMENT.replace("epochs = 2", "epochs = 20000") + '[[selector]]\nname = "avg-acc"\n'
"""Its first trials are done at once, those with a trained supernet after hours."""


def stopped(process: subprocess.Popen[str], number: signal.Signals, times: int) -> str:
    """What a run prints when a signal ends it, long before it is done; no process may be left."""
    workers, started_by_it = workers_of(process.pid), children(process.pid)
    for _ in range(times):
        # As a terminal does it: to all processes of the group.
        os.killpg(process.pid, number)
        time.sleep(0.05)
    _, error = process.communicate(timeout=60)
    assert not any(map(is_running, workers))
    wait_until(lambda: not any(map(is_running, started_by_it)))
    return error


def test_ctrl_c_ends_a_run_at_once_with_a_sentence_and_a_second_one_changes_nothing(tmp_path: Path) -> None:
    runs, folder = Runs(tmp_path, LONG), tmp_path / "run"
    process = runs.start(folder)
    wait_until(lambda: len(workers_of(process.pid)) == 2)
    time.sleep(1)
    error = stopped(process, signal.SIGINT, times=2)
    assert process.returncode == 130
    assert error.splitlines()[-1] == (
        "opselect: stopped; what was finished is kept, the same command goes on from there: "
        f"opselect run {runs.file} --output {folder} --workers 2"
    )
    assert "Traceback" not in error
    assert "KeyboardInterrupt" not in error


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_among_its_trials_keeps_them_and_goes_on(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    runs, folder = Runs(tmp_path), tmp_path / "run"
    runs.finish(tmp_path / "undisturbed")
    process = runs.start(folder)
    wait_until(lambda: has_lines(folder, 3))
    error = stopped(process, number, times=1)
    assert process.returncode == status
    assert "the same command goes on from there: opselect run" in error.splitlines()[-1]
    assert len(read_records(folder / "records.jsonl")) >= 3
    runs.finish(folder)
    assert comes_out(folder) == comes_out(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_run_whose_workers_are_killed_does_all_its_trials_nevertheless(tmp_path: Path) -> None:
    runs, folder = Runs(tmp_path, SHORT), tmp_path / "run"
    process = runs.start(folder)
    wait_until(lambda: len(workers_of(process.pid)) == 2)
    for worker in workers_of(process.pid):
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(workers_of(process.pid)) == 2 or process.poll() is not None)
    for worker in workers_of(process.pid)[:1]:
        os.kill(worker, signal.SIGKILL)
    output, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert "4 of 4 trials done, 0 of them before" in output
    records = read_records(folder / "records.jsonl")
    assert len((folder / "records.jsonl").read_bytes().splitlines()) == len(records) == 4
    assert {record.status for record in records} == {"done"}


def starved(process: subprocess.Popen[str]) -> str:
    """What a run says in its last line that finds no room."""
    _, error = process.communicate(timeout=300)
    assert process.returncode == 2, error
    assert "Traceback" not in error
    return error.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [1, 20, 60])
def test_a_run_that_may_write_no_larger_files_says_so_and_goes_on_when_it_may(tmp_path: Path, kilobytes: int) -> None:
    runs, folder = Runs(tmp_path), tmp_path / "run"
    runs.finish(tmp_path / "undisturbed")
    limit = kilobytes * 1024
    process = runs.start(folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    said = starved(process)
    assert said.startswith(f"opselect: {folder}/")
    assert said.endswith(
        ": File too large; what was finished is kept; free some space, and the same command goes on from there"
    )
    runs.finish(folder)
    assert comes_out(folder) == comes_out(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [16, 300, 500])
def test_a_run_on_a_disk_that_fills_up_says_so_and_goes_on_when_there_is_room(tmp_path: Path, kilobytes: int) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk takes the right to mount one")
    try:
        runs, folder = Runs(tmp_path), disk / "run"
        runs.finish(tmp_path / "undisturbed")
        said = starved(runs.start(folder))
        assert said.startswith(f"opselect: {folder}/")
        assert ": No space left on device; what was finished is kept; free some space, and the same" in said
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        runs.finish(folder)
        assert comes_out(folder) == comes_out(tmp_path / "undisturbed")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        said = starved(runs.start(disk / "another"))
        assert "another: Read-only file system; expected a place that can be written; choose another one" in said
        said = starved(runs.start(folder))
        assert ": Read-only file system; expected a place that can be written; choose another one" in said
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_of_two_runs_that_start_at_once_on_one_folder_one_is_refused_and_nothing_is_doubled(tmp_path: Path) -> None:
    runs, folder = Runs(tmp_path), tmp_path / "run"
    both = [runs.start(folder, workers=1) for _ in range(2)]
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    (refused,) = [error for error, process in zip(errors, both, strict=True) if process.returncode]
    assert f"opselect: {folder}/records.jsonl: another run is writing to it; wait for it, or choose another" in refused
    assert len(comes_out(folder)[0]) == TRIALS
