"""Runs that are killed, stopped or starved, as processes of their own: what comes out in the end is what always does."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opselect.bench.records import Record, read_records
from opselect.bench.report.writing import render_markdown, render_tables
from opselect.bench.reporting import reported

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

    def start(self, output: Path, before: Callable[[], None] | None = None, workers: int = 2) -> subprocess.Popen[str]:
        command = ["run", str(self.file), "--output", str(output), "--workers", str(workers)]
        return subprocess.Popen(
            [sys.executable, "-m", "opselect.bench.cli", *command],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=before,
        )

    def finish(self, output: Path, workers: int = 2) -> None:
        process = self.start(output, workers=workers)
        _, error = process.communicate(timeout=120)
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
    found, experiment, _ = reported(folder)
    return (
        {record.key: outcome(record) for record in records},
        render_tables(found, experiment.labels),
        render_markdown(found, experiment.labels, "killed"),
    )


def children(process: int) -> list[int]:
    """The processes that one has started, none where it has ended."""
    try:
        return [int(text) for text in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def is_running(process: int) -> bool:
    """Whether it is there, and no zombie either."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def wait_until(happened: Callable[[], Any], seconds: float = 60) -> None:
    latest = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < latest
        time.sleep(0.01)


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
        try:
            process.wait(generator.uniform(0, whole))
        except subprocess.TimeoutExpired:
            workers = children(process.pid)
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
                wait_until(lambda workers=workers: not any(map(is_running, workers)), seconds=5)
        _, error = process.communicate(timeout=120)
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
