"""`opselect reproduce`: what came out equal, what did not, and what may be why."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from opselect.bench.experiment.file import InvalidExperiment, read
from opselect.bench.gate.reproduce import Reproduction, compare_runs, repetition_of
from opselect.bench.runs.records import Record, TrialDescription
from opselect.bench.runs.run import load_run
from opselect.bench.runs.runner import Summary

CommandLine = Callable[..., tuple[int, str, str]]
LABELS = ["--selector", "random", "--selector", "zero-cost-pt", "--selector", "magnitude"]


@pytest.fixture
def original(tiny_run: tuple[Path, Summary], in_tiny_world: None, tmp_path: Path) -> Path:
    """A copy of a finished run, without its trained supernets."""
    folder = tmp_path / "original"
    folder.mkdir()
    for name in ("experiment.toml", "records.jsonl"):
        shutil.copy(tiny_run[0] / name, folder / name)
    return folder


def rewrite(folder: Path, label: str, old: str, new: str) -> None:
    """Change the record of a label as somebody with an editor would, and keep it a valid one."""
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    for line in lines:
        if line["label"] == label:
            text = json.dumps(line)
            assert old in text
            line.clear()
            line.update(json.loads(text.replace(old, new)))
            line["key"] = TrialDescription(**line["trial"]).key
            line.pop("checksum", None)
            Record.model_validate(line)
    (folder / "records.jsonl").write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def test_a_repetition_is_equal_to_the_last_bit(original: Path, opselect: CommandLine, tmp_path: Path) -> None:
    command = ("reproduce", original, "--output", tmp_path / "again", "--workers", "1", *LABELS)
    status, out, _ = opselect(*command)
    assert status == 0
    assert out.startswith("3 of 3 trials are equal to the last bit\n")
    first, second = out.splitlines()[1].split(" table files")[0].split(" of ")
    assert int(first) == int(second) > 10
    # Trained again, not copied: the supernet of magnitude lies in the new folder.
    assert list((tmp_path / "again" / "supernets").iterdir())
    before = (tmp_path / "again" / "records.jsonl").read_bytes()
    status, out, _ = opselect(*command, "--json")
    assert status == 0
    assert json.loads(out)[""]["status"] == 0
    assert (tmp_path / "again" / "records.jsonl").read_bytes() == before, "what is done is not run again"


LISTS = """
name = "lists"
space = "digits201"
images = "tiny"
seeds = [0]
training_images = 32
[table]
name = "additive"
dataset = "digits"
epochs = 10
[supernet]
epochs = [1, 2]
batch_size = 16
[[selector]]
name = "magnitude"
[[selector]]
name = "zero-cost-pt"
candidates = 1
proxy = "synflow"
batch_size = [8, 16]
"""


@pytest.mark.slow
@pytest.mark.usefixtures("in_tiny_world")
def test_an_experiment_with_lists_as_settings_runs_and_is_reproduced_by_its_copy(
    opselect: CommandLine, tmp_path: Path
) -> None:
    file, folder = tmp_path / "lists.toml", tmp_path / "run"
    file.write_text(LISTS)
    assert opselect("run", file, "--output", folder, "--workers", "1")[0] == 0
    run = load_run(folder)
    assert {label: len(run.results(label)) for label in run.labels} == {
        "magnitude on darts (epochs=1)": 1,
        "magnitude on darts (epochs=2)": 1,
        "zero-cost-pt (batch_size=8)": 1,
        "zero-cost-pt (batch_size=16)": 1,
    }
    assert (folder / "experiment.toml").read_text() == LISTS
    status, out, _ = opselect("reproduce", folder, "--output", tmp_path / "again", "--workers", "1")
    assert (status, out.splitlines()[0]) == (0, "4 of 4 trials are equal to the last bit")
    assert opselect("report", folder)[0] == 0
    assert (
        "zero-cost-pt (batch\\_size=8) and zero-cost-pt (batch\\_size=16) made the same decisions with the same scores "
        "on the only common seed."
    ) in (folder / "report" / "report.md").read_text()
    # The hand-written block has the same record.
    by_hand = LISTS.replace("[8, 16]", "16").replace("[1, 2]", "2")
    file.write_text(by_hand)
    status, out, _ = opselect("run", file, "--output", folder, "--workers", "1")
    assert "2 of 2 trials done, 2 of them before" in out


def test_a_difference_that_nothing_explains_is_the_codes(original: Path, opselect: CommandLine, tmp_path: Path) -> None:
    rewrite(original, "random", '"tied": 0', '"tied": 1')
    status, out, _ = opselect("reproduce", original, "-o", tmp_path / "again", "-w", "1", "--selector", "random")
    assert status == 1
    assert "0 of 1 trials are equal" in out
    assert "different: random, seed 0: the same architecture, other scores or another order from step 1 on" in out
    assert "others: tables/selection.csv, " in out
    assert "nothing but the code of opselect, or of a plug-in, can be why" in out


def test_other_versions_and_machines_are_named_as_what_may_be_why(
    original: Path, opselect: CommandLine, tmp_path: Path
) -> None:
    rewrite(original, "random", '"tied": 0', '"tied": 1')
    rewrite(original, "random", '"torch threads": ', '"torch threads": 10')
    rewrite(original, "random", '"opselect": "0', '"opselect": "9')
    status, out, _ = opselect("reproduce", original, "-o", tmp_path / "again", "-w", "1", "--selector", "random")
    assert status == 2
    assert "may be why: version of opselect: 9" in out
    assert "may be why: torch threads: 10" in out
    assert "nothing but the code" not in out


def test_trials_without_a_record_are_not_counted_as_equal(original: Path) -> None:
    before = load_run(original)
    some = replace(before, records={**before.records, "magnitude": ()})
    found: Reproduction = compare_runs(some, before, read(original / "experiment.toml"))
    assert found.missing == (("magnitude", 0),)
    assert len(found.trials) == 8
    assert found.status == 0


def test_what_cannot_be_repeated_is_said_before_anything_runs(
    original: Path, opselect: CommandLine, tmp_path: Path
) -> None:
    with pytest.raises(InvalidExperiment, match="is the run itself"):
        repetition_of(original, original / ".." / "original")
    with pytest.raises(InvalidExperiment, match="has no selector 'rnd'; did you mean 'random'"):
        repetition_of(original, tmp_path / "again", labels=["rnd"])
    with pytest.raises(InvalidExperiment, match="has no seed 7; expected one of 0"):
        repetition_of(original, tmp_path / "again", seeds=[7])
    status, _, error = opselect("reproduce", tmp_path / "nothing")
    assert status == 2
    assert "no such file" in error


def test_every_report_states_what_a_repetition_gives(original: Path, opselect: CommandLine) -> None:
    assert opselect("report", original)[0] == 0
    markdown = (original / "report" / "report.md").read_text()
    statement = markdown.partition("## Reproducibility")[2]
    assert "give all of this report again, byte for byte" in statement
    assert "opselect reproduce FOLDER" in statement
    assert "| Device | cpu |" in statement
    machines = (original / "report" / "timing.md").read_text()
    assert "| uncommitted changes | " in machines
    assert "-dirty" not in machines


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"avg-acc": {', '"other": {', "step 1 has the oracles best-acc, best-acc-runs, other, expected "),
        ('"operation": ', '"operation": 7', "step 1 decides an edge or an operation that digits201 has not"),
        ('"architecture": "|', '"architecture": "|x', "arch string, node 1"),
        ('"regret": ', '"regret": 1e999, "percentile": ', "an accuracy that is no number"),
    ],
)
def test_a_record_that_does_not_fit_its_space_is_refused(
    original: Path, opselect: CommandLine, old: str, new: str, problem: str
) -> None:
    path = original / "records.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    changed = [json.loads(json.dumps(line).replace(old, new)) if line["label"] == "random" else line for line in lines]
    for line in changed:
        line.pop("checksum", None)
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in changed))
    status, _, error = opselect("report", original)
    assert status == 2
    assert f"records.jsonl: random, seed 0: {problem}" in error
