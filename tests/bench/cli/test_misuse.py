"""What users do to folders, files and settings by mistake: nothing is lost, and one sentence says what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from opselect.bench.experiment.file import InvalidExperiment, parse
from opselect.bench.experiment.ingredients import check_ingredients
from opselect.bench.runs import runner
from opselect.bench.runs.records import read_records
from opselect.bench.runs.run import load_run
from opselect.bench.storage.checksums import verified_line
from opselect.bench.storage.store import InvalidRecords, open_for_append

pytestmark = pytest.mark.usefixtures("in_tiny_world")

HEAD = """
name = "small"
space = "digits201"
images = "tiny"
seeds = [0]
[supernet]
epochs = 1
batch_size = 16
"""
RANDOM = '[[selector]]\nname = "random"\nlabel = "{}"\n'


def quietly(what: str, done: int, total: int) -> None:
    """No progress."""


def test_a_renamed_selector_is_reported_under_its_new_name(
    opselect: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in ("a", "b"):
        Path("e.toml").write_text(HEAD + RANDOM.format(label))
        assert opselect("run", "e.toml", "-w", "1", "-o", "r")[0] == 0
    summary = runner.run(parse(Path("e.toml").read_text(), "e"), Path("r"), 1, quietly)
    assert [record.label for record in summary.records] == ["b"]
    assert summary.resumed == 1
    status, _, error = opselect("report", "r")
    assert status == 0, error


def test_a_report_holds_the_settings_of_its_experiment_file_and_no_later_ones(
    opselect: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = '[[selector]]\nname = "zero-cost-disc"\ncandidates = 1\nbatch_size = {}\n'
    # The third run finds its trial done and writes nothing, so the last record is of other settings.
    for batch_size in (8, 16, 8):
        Path("e.toml").write_text(HEAD + entry.format(batch_size))
        assert opselect("run", "e.toml", "-w", "1", "-o", "r")[0] == 0
    (record,) = load_run(Path("r")).all
    assert record.trial.settings["batch_size"] == 8


def test_two_labels_for_the_same_settings_are_refused() -> None:
    with pytest.raises(InvalidExperiment, match="'a' and 'b' are the same selector with the same settings"):
        parse(HEAD + RANDOM.format("a") + RANDOM.format("b"), "e.toml")


def test_a_refused_run_leaves_the_experiment_file_of_the_folder(
    opselect: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(HEAD + RANDOM.format("a"))
    assert opselect("run", "e.toml", "-w", "1", "-o", "r")[0] == 0
    kept = Path("r/experiment.toml").read_text()
    Path("e.toml").write_text(HEAD + '[[selector]]\nname = "best-acc"\n')
    assert opselect("run", "e.toml", "-w", "1", "-o", "r")[0] == 2
    with open_for_append(Path("r/records.jsonl")):
        Path("e.toml").write_text(HEAD + RANDOM.format("b"))
        assert opselect("run", "e.toml", "-w", "1", "-o", "r")[0] == 2
    assert Path("r/experiment.toml").read_text() == kept


@pytest.mark.parametrize("content", [b'{"my": "precious data"}', b"PAR1\x00\x01"])
def test_a_foreign_file_without_a_last_newline_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidRecords, match="ends in something that is no record"):
        runner.run(parse(HEAD + RANDOM.format("a"), "e"), tmp_path, 1, quietly)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "line", ["x = " + "[" * 5000, "x = " + "9" * 5000, "seeds = [0x" + "f" * 5000 + "]", "observe = 0x" + "f" * 5000]
)
def test_monstrous_values_are_refused_in_a_short_sentence(line: str) -> None:
    head = HEAD.replace("seeds = [0]\n", "") if line.startswith("seeds") else HEAD
    with pytest.raises(InvalidExperiment) as caught:
        parse(f"{line}\n{head}{RANDOM.format('a')}", "e.toml")
    assert len(str(caught.value)) < 300


def test_nested_json_is_an_invalid_record(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_bytes(b"[" * 100_000 + b"\n")
    with pytest.raises(InvalidRecords, match="line 1: not JSON"):
        read_records(tmp_path / "records.jsonl")


def test_ctrl_c_says_that_finished_trials_are_kept(
    opselect: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "e.toml").write_text(HEAD + RANDOM.format("a"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "run", stop)
    status, _, error = opselect("run", "e.toml")
    assert status == 130
    assert "the same command goes on from there" in error


def test_a_damaged_supernet_is_trained_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    experiment = parse(HEAD + '[[selector]]\nname = "magnitude"\n', "e")
    (whole,) = runner.run(experiment, tmp_path, 1, quietly).records
    (kept,) = (tmp_path / "supernets").iterdir()
    good = kept.read_bytes()
    flipped = bytearray(good)
    flipped[len(flipped) // 2] ^= 1
    for damaged in (good[:1000], bytes(flipped), b""):
        kept.write_bytes(damaged)
        (tmp_path / "records.jsonl").unlink()
        caplog.clear()
        (again,) = runner.run(experiment, tmp_path, 1, quietly).records
        assert f"{kept}: damaged; this supernet is trained again" in caplog.messages
        assert (again.status, again.result) == ("done", whole.result)


def test_infinite_settings_are_refused() -> None:
    with pytest.raises(InvalidExperiment, match="learning_rate = inf"):
        parse(HEAD + "learning_rate = inf\n" + RANDOM.format("a"), "e")


def test_a_misspelt_required_key_is_told_with_the_nearest() -> None:
    with pytest.raises(InvalidExperiment, match="unknown setting 'seed'; did you mean 'seeds'"):
        parse(HEAD.replace("seeds", "seed") + RANDOM.format("a"), "e")


@pytest.mark.parametrize("change", [{"result": None}, {"key": "0" * 16}, {"a\nb": 1}])
def test_inconsistent_records_are_refused_in_one_line(tmp_path: Path, change: dict[str, object]) -> None:
    runner.run(parse(HEAD + RANDOM.format("a"), "e"), tmp_path, 1, quietly)
    path = tmp_path / "records.jsonl"
    without_checksum, _ = verified_line(path.read_bytes().rstrip())
    path.write_text(json.dumps(json.loads(without_checksum) | change) + "\n")
    with pytest.raises(InvalidRecords) as caught:
        read_records(path)
    assert "\n" not in str(caught.value)


def test_the_batch_size_of_supernets_matters_only_where_one_is_trained() -> None:
    without_size = HEAD.replace("batch_size = 16", "")
    check_ingredients(parse(without_size + RANDOM.format("a"), "e"))
    with pytest.raises(InvalidExperiment, match=r"\[supernet\]: batch_size 64"):
        check_ingredients(parse(without_size + '[[selector]]\nname = "magnitude"\n', "e"))
