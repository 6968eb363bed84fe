"""Cached supernets: a file that is not of what its name says is not believed, with one sentence, and made again."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch

from opselect.bench.experiment.file import Experiment, parse
from opselect.bench.runs import runner, supernets
from opselect.bench.runs.records import FILE_NAME, Record
from opselect.bench.runs.select import run_alone, trial_named
from opselect.bench.runs.supernets import SupernetJob
from opselect.bench.storage.checksums import read_checksummed, write_checksummed

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("in_tiny_world")

EXPERIMENT = """
name = "cached"
space = "digits201"
images = "tiny"
seeds = [0, 1]
training_images = 32
[supernet]
epochs = 2
batch_size = 16
alpha_learning_rate = 0.5
[[selector]]
name = "magnitude"
"""


def quietly(what: str, done: int, total: int) -> None:
    """No progress."""


def cached() -> Experiment:
    return parse(EXPERIMENT, "cached.toml")


def jobs(folder: Path) -> list[SupernetJob]:
    """The supernet trainings of both seeds."""
    found = [trial.supernet_job for trial in runner.trials_of(cached(), folder / "supernets")]
    return [job for job in found if job is not None]


def outcomes(records: tuple[Record, ...]) -> list[Any]:
    return [json.loads(record.model_dump_json(exclude={"cost", "environment"})) for record in records]


def without_identity(path: Path) -> None:
    """Make a file like those of versions that wrote no identity."""
    content = read_checksummed(path)
    assert content is not None
    state = torch.load(io.BytesIO(content), weights_only=True)
    del state["identity"]
    stream = io.BytesIO()
    torch.save(state, stream)
    write_checksummed(path, stream.getvalue())


def test_a_supernet_that_was_copied_over_another_one_is_trained_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = runner.run(cached(), tmp_path, 1, quietly)
    (one, other) = (job.path for job in jobs(tmp_path))
    shutil.copy(one, other)
    (tmp_path / FILE_NAME).unlink()
    again = runner.run(cached(), tmp_path, 1, quietly)
    assert outcomes(again.records) == outcomes(first.records)
    assert caplog.messages == [
        f"{other}: it is of the trained supernet 'darts', seed 0, of digits201 on tiny ({one.name}), expected the "
        f"trained supernet 'darts', seed 1, of digits201 on tiny ({other.name}); this supernet is trained again"
    ]
    (tmp_path / FILE_NAME).unlink()
    assert outcomes(runner.run(cached(), tmp_path, 1, quietly).records) == outcomes(first.records)
    assert len(caplog.messages) == 1


def test_an_older_supernet_that_does_not_say_what_it_is_of_is_trained_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job, _ = jobs(tmp_path)
    record = run_alone(trial_named(cached(), "magnitude", 0, {}, job.folder))
    without_identity(job.path)
    assert run_alone(trial_named(cached(), "magnitude", 0, {}, job.folder)).result == record.result
    (message,) = caplog.messages
    assert message.startswith(f"{job.path}: it does not say what it is of, expected the trained supernet 'darts', ")
    assert message.endswith("; this supernet is trained again")


def test_a_checkpoint_that_was_copied_over_another_one_is_not_continued(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = runner.run(cached(), tmp_path / "undisturbed", 1, quietly)
    one, other = jobs(tmp_path)
    really_save = supernets.CheckpointFile.save

    def stop(checkpoint: supernets.CheckpointFile, state: dict[str, Any]) -> None:
        really_save(checkpoint, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(supernets.CheckpointFile, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            supernets.train(one)
    shutil.copy(one.checkpoint.path, other.checkpoint.path)
    resumed = runner.run(cached(), tmp_path, 1, quietly)
    assert outcomes(resumed.records) == outcomes(undisturbed.records)
    (message,) = caplog.messages
    assert message.startswith(f"{other.checkpoint.path}: it is of the unfinished training 'darts', seed 0, of ")
    assert message.endswith("; this training begins again")


@pytest.mark.parametrize("kind", ["supernet", "checkpoint"])
def test_a_supernet_and_its_own_checkpoint_are_not_taken_for_each_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    job, _ = jobs(tmp_path)
    assert supernets.train(job) is None
    if kind == "supernet":
        job.checkpoint.save({"epoch": 1})
        shutil.copy(job.checkpoint.path, job.path)
        assert supernets.cached_supernet(job) is None
    else:
        shutil.copy(job.path, job.checkpoint.path)
        assert job.checkpoint.load() is None
    assert "it is of the " in caplog.text


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_command_line_says_once_and_in_one_sentence_what_is_made_again(
    opselect: CommandLine, tmp_path: Path, workers: int
) -> None:
    experiment = EXPERIMENT.replace('"tiny"', '"digits"')
    (tmp_path / "e.toml").write_text(experiment)
    command = ("run", tmp_path / "e.toml", "--output", tmp_path / "run", "--workers", str(workers))
    assert opselect(*command)[0] == 0
    one, other = sorted((tmp_path / "run" / "supernets").iterdir())
    one.write_bytes(one.read_bytes()[:1000])
    (tmp_path / "run" / FILE_NAME).unlink()
    status, _, error = opselect(*command)
    assert status == 0
    assert [line for line in error.splitlines() if str(one) in line] == [
        f"opselect: warning: {one}: damaged; this supernet is trained again"
    ]
    assert str(other) not in error
    assert "WARNING" not in error


@pytest.mark.slow
def test_worker_processes_print_warnings_in_the_same_form(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    experiment = parse(EXPERIMENT.replace('"tiny"', '"digits"'), "e.toml")
    found = [trial.supernet_job for trial in runner.trials_of(experiment, tmp_path / "supernets")]
    paths = [job.checkpoint.path for job in found if job is not None]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"damaged")
    assert runner.run(experiment, tmp_path, 2, quietly).failed == ()
    lines = capfd.readouterr().err.splitlines()
    assert sorted(lines) == sorted(f"opselect: warning: {path}: damaged; this training begins again" for path in paths)
