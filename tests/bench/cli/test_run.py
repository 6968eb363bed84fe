"""Running, selecting and reporting from the command line: what is printed, and one line for what was wrong."""

import errno
import fcntl
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from opselect.bench.runs import plan, runner
from opselect.bench.runs.records import Record, read_records
from opselect.bench.runs.run import load_run
from opselect.bench.runs.runner import Summary
from opselect.bench.storage.checksums import verified_line
from opselect.bench.storage.store import open_for_append
from opselect.spaces.nasbench201.space import digits201
from tests.bench.cli.examples import SMALL, refused

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("in_tiny_world", "in_a_folder_of_its_own")


def test_a_run_writes_records_and_a_second_one_finds_them_done(opselect: CommandLine, small: Path) -> None:
    status, output, error = opselect("run", small, "--workers", "1")
    assert status == 0
    assert "4 of 4 trials done, 0 of them before" in output
    assert "runs/small/records.jsonl" in output
    assert "trials: 4 of 4" in error
    assert len(read_records(Path("runs/small/records.jsonl"))) == 4
    assert Path("runs/small/experiment.toml").read_text() == SMALL
    status, output, _ = opselect("run", small, "-w", "1")
    assert status == 0
    assert "4 of 4 trials done, 4 of them before" in output


def test_a_run_says_in_json_what_it_did(opselect: CommandLine, small: Path) -> None:
    status, output, _ = opselect("run", small, "-w", "1", "--output", "deep/down", "--json")
    assert status == 0
    assert json.loads(output) == {
        "records": "deep/down/records.jsonl",
        "trials": 4,
        "resumed": 0,
        "failed": [],
        "networks": 0,
    }


@pytest.mark.usefixtures("broken")
def test_a_failed_trial_exits_with_one_and_says_which_and_why(opselect: CommandLine, small: Path) -> None:
    small.write_text(f'{SMALL}[[selector]]\nname = "broken"\n')
    status, output, error = opselect("run", small, "-w", "1")
    assert status == 1
    assert "4 of 6 trials done" in output
    failures = [line for line in error.splitlines() if line.startswith("failed: ")]
    assert [line.partition(": RuntimeError: it is broken (")[0] for line in failures] == [
        "failed: broken, seed 0",
        "failed: broken, seed 1",
    ]
    assert "Traceback" not in error
    status, output, _ = opselect("run", small, "-w", "1", "--json")
    assert status == 1
    report = json.loads(output)
    assert (report["trials"], report["resumed"]) == (6, 4)
    assert [(failed["label"], failed["seed"]) for failed in report["failed"]] == [("broken", 0), ("broken", 1)]
    assert all(failed["reason"].startswith("RuntimeError: it is broken") for failed in report["failed"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('name = "random"', 'name = "randon"'), "selector 1: no selector named 'randon'; did you mean 'random'?"),
        (
            ('space = "digits201"', 'space = "digit201"'),
            "no space named 'digit201'; did you mean 'digits201'?",
        ),
        (('name = "additive"', 'name = "aditive"'), "no table named 'aditive'; did you mean 'additive'?"),
        (('images = "tiny"', 'images = "tinny"'), "no images named 'tinny'; did you mean 'tiny'?"),
        (('images = "tiny"', 'images = "nowhere.npz"'), "nowhere.npz"),
        (("[supernet]", "titel = 'x'\n[supernet]"), "unknown setting 'titel'; did you mean 'title'?"),
        (("epochs = 1\n", "epochs = 'one'\n"), "[supernet]: epochs = 'one': input should be a valid integer"),
        (('dataset = "digits"', 'dataset = "cifar10"'), "no accuracies for cifar10 test after 10 epochs; there are"),
        (("[supernet]", "[supernet"), "not valid TOML"),
    ],
)
def test_a_bad_experiment_is_one_line(
    opselect: CommandLine, small: Path, change: tuple[str, str], expected: str
) -> None:
    assert SMALL.count(change[0]) >= 1
    small.write_text(SMALL.replace(*change, 1))
    for arguments in (("run", small, "-w", "1"), ("select", "best-acc", "-e", small)):
        assert expected in refused(opselect(*arguments))
    assert not Path("runs/small/records.jsonl").exists()


def test_an_experiment_that_is_not_there_is_one_line(opselect: CommandLine, tmp_path: Path) -> None:
    message = refused(opselect("run", "digits21"))
    assert message.startswith("digits21: no such file, and no experiment of that name is shipped; did you mean 'digit")
    assert "no such file" in refused(opselect("run", tmp_path))
    (tmp_path / "latin.toml").write_bytes(b'title = "\xf6"\n')
    assert "latin.toml: not a text file in UTF-8" in refused(opselect("run", "latin.toml"))


def test_an_output_folder_that_cannot_be_made_is_one_line(opselect: CommandLine, small: Path) -> None:
    assert "Not a directory" in refused(opselect("run", small, "-w", "1", "-o", small / "records"))
    assert "small.toml" in refused(opselect("run", small, "-w", "1", "-o", small))


def test_a_damaged_or_busy_records_file_is_one_line_and_kept(opselect: CommandLine, small: Path) -> None:
    opselect("run", small, "-w", "1")
    path = Path("runs/small/records.jsonl")
    whole = path.read_bytes()
    with open_for_append(path):
        assert "another run is writing to it" in opselect("run", small, "-w", "1")[2]
        assert path.read_bytes() == whole
    without_checksums = b"".join(verified_line(line)[0] + b"\n" for line in whole.splitlines())
    for damaged in (
        without_checksums.replace(b'{"version":1', b'{"version":7', 1),
        b"architecture,accuracy\n1,2\n",
        without_checksums[:200] + b"\n" + without_checksums[200:],
    ):
        path.write_bytes(damaged)
        for arguments in (("run", small, "-w", "1"), ("report", "runs/small")):
            assert "records.jsonl, line 1: " in refused(opselect(*arguments))
        assert path.read_bytes() == damaged


def test_a_full_disk_is_one_line_and_loses_no_record(
    opselect: CommandLine, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_sync = os.fsync
    calls = itertools.count()

    def full(descriptor: int) -> None:
        # Those of the experiment file are not counted.
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND and next(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really_sync(descriptor)

    path = Path("runs/small/records.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        status, _, error = opselect("run", small, "-w", "1")
    assert status == 2
    assert error.splitlines()[-1] == (
        f"opselect: {path}: No space left on device; what was finished is kept; free some space, and the same command "
        "goes on from there"
    )
    assert "Traceback" not in error
    assert len(read_records(path)) == 2
    assert "4 of 4 trials done, 2 of them before" in opselect("run", small, "-w", "1")[1]


def test_an_interrupted_run_exits_as_interrupted_programs_do(
    opselect: CommandLine, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> Summary:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupted)
    status, _, error = opselect("run", small)
    assert status == 130
    assert "Traceback" not in error


def test_a_bug_keeps_its_traceback(opselect: CommandLine, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy(*arguments: object) -> Summary:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(runner, "run", buggy)
    with pytest.raises(ZeroDivisionError, match="a bug of ours"):
        opselect("run", small)


def test_select_prints_the_architecture_and_its_place_in_the_table(opselect: CommandLine, small: Path) -> None:
    status, output, error = opselect("select", "best-acc", "-e", small)
    assert status == 0
    assert [line.partition(";")[0] for line in error.splitlines()] == ["trials: 0 of 1", "trials: 1 of 1"]
    assert opselect("select", "best-acc", "-e", small, "--quiet")[2] == ""
    architecture, accuracies, costs = output.splitlines()
    assert set(digits201.parse(architecture).operations) == {"nor_conv_3x3"}
    # 30 + 8 * (1 + 0.9 + 1.1 + 0.8 + 1.2 + 1.05), and one more on test images; 15,624 of 15,625 are worse.
    assert accuracies == "validation 78.40 %, test 79.40 %, regret 0.00 points, better than 100.0 % of the table"
    assert costs.endswith(", 30 score evaluations")


def test_select_without_a_table_prints_the_architecture_alone(opselect: CommandLine, small: Path) -> None:
    content = SMALL.partition('[[selector]]\nname = "best-acc"')[0]
    columns = '[table]\nname = "additive"\ndataset = "digits"\nepochs = 10\n'
    assert columns in content
    small.write_text(content.replace(columns, ""))
    status, output, _ = opselect("select", "random", "-e", small)
    assert status == 0
    architecture, costs = output.splitlines()
    assert digits201.parse(architecture)
    assert costs.startswith("search ")


def test_select_says_in_json_what_a_record_says(opselect: CommandLine, small: Path) -> None:
    status, output, _ = opselect("select", "chance", "-e", small, "--seed", "7", "--json")
    assert status == 0
    record = Record.model_validate_json(output)
    assert (record.trial.selector, record.trial.seed, record.status) == ("random", 7, "done")
    opselect("run", small, "-w", "1")
    again = Record.model_validate_json(opselect("select", "chance", "-e", small, "--seed", "1", "--json")[1])
    (same,) = [each for each in read_records(Path("runs/small/records.jsonl")) if each.key == again.key]
    assert same.result == again.result


def test_select_takes_settings_and_any_registered_selector(opselect: CommandLine, small: Path) -> None:
    settings = ("--set", "proxy=params", "--set", "candidates=1", "--set", "batch_size=8", "--set", "edge_order=fixed")
    status, output, _ = opselect("select", "zero-cost-pt", "-e", small, *settings, "--json")
    assert status == 0
    record = Record.model_validate_json(output)
    assert record.trial.settings == {
        "proxy": "params",
        "candidates": 1,
        "batch_size": 8,
        "edge_order": "fixed",
        "validation_batches": 100,
        "augmented": True,
    }
    # What costs most parameters is missed least under this sign, so it stays nowhere; the trace goes by the order.
    assert record.result is not None
    assert [step.edge for step in record.result.steps] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("randon",), "select: no selector named 'randon'; did you mean 'random'? known are random"),
        (("random", "--set", "proxy=nwot"), "select 'random': unknown setting 'proxy'"),
        (("zero-cost-pt", "--set", "proxy=nwott"), "proxy: no proxy named 'nwott'; did you mean 'nwot'?"),
        (("zero-cost-pt", "--set", "candidate=3"), "unknown setting 'candidate'; did you mean 'candidates'?"),
        (("zero-cost-pt", "--set", "candidates=0"), "candidates = 0: input should be greater than or equal to 1"),
        (("zero-cost-pt", "--set", "candidates=many"), "candidates = 'many': input should be a valid integer"),
        (("zero-cost-pt", "--set", "candidates"), "--set 'candidates': expected KEY=VALUE, for example"),
        (("zero-cost-pt", "--set", "=3"), "--set '=3': expected KEY=VALUE"),
        (("zero-cost-pt", "--set", "batch_size=64"), "batch_size 64, but a half of the training images"),
    ],
)
def test_a_bad_selection_is_one_line(
    opselect: CommandLine, small: Path, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in refused(opselect("select", *arguments, "-e", small))


@pytest.mark.usefixtures("broken")
def test_a_failed_selection_exits_with_one(opselect: CommandLine, small: Path) -> None:
    status, output, error = opselect("select", "broken", "-e", small, "--seed", "3")
    assert (status, output) == (1, "")
    assert error.splitlines()[-1].startswith("opselect: broken, seed 3: RuntimeError: it is broken (")
    status, output, _ = opselect("select", "broken", "-e", small, "--json")
    assert status == 1
    assert json.loads(output)["status"] == "failed"


def test_a_report_of_a_folder_without_records_is_one_line(opselect: CommandLine, small: Path) -> None:
    assert "nowhere/records.jsonl: no such file; expected the folder of a run" in refused(opselect("report", "nowhere"))
    assert "small.toml/records.jsonl: no such file" in refused(opselect("report", small))
    folder = Path("runs/small")
    folder.mkdir(parents=True)
    (folder / "records.jsonl").touch()
    assert "runs/small/experiment.toml: No such file or directory" in refused(opselect("report", folder))
    (folder / "experiment.toml").write_text(SMALL)
    assert "no record of any selector and seed of" in refused(opselect("report", folder))
    (folder / "experiment.toml").write_text("no TOML")
    assert "experiment.toml: not valid TOML" in refused(opselect("report", folder))
    assert not (folder / "report").exists()


def test_a_report_of_a_run_is_written_where_it_is_wanted(
    opselect: CommandLine, tiny_run: tuple[Path, Summary], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_run[0], folder, ignore=shutil.ignore_patterns("supernets"))
    status, output, error = opselect("report", folder, "--output", tmp_path / "elsewhere")
    assert (status, error) == (0, "")
    written = {path.suffix for path in (tmp_path / "elsewhere").rglob("*")}
    assert {".md", ".html", ".csv", ".tex", ".pdf", ".png"} <= written
    assert str(tmp_path / "elsewhere" / "report.html") in output
    text = (tmp_path / "elsewhere" / "report.md").read_text()
    assert all(label in text for label in ("magnitude", "darts-pt-fixed-alpha", "zero-cost-disc", "avg-acc"))
    assert sorted(path.name for path in folder.iterdir()) == ["experiment.toml", "records.jsonl"]


def test_a_part_of_a_run_leaves_a_folder_that_says_what_is_missing(opselect: CommandLine, small: Path) -> None:
    status, output, _ = opselect("run", small, "-w", "1", "-s", "chance", "--seed", "1")
    assert status == 0
    assert "1 of 1 trials done" in output
    assert "3 of 4 trials are missing (chance, best-acc)" in output
    assert Path("runs/small/experiment.toml").read_text() == SMALL
    run = load_run(Path("runs/small"))
    assert run.missing == {"chance": (0,), "best-acc": (0, 1)}
    status, output, _ = opselect("report", "runs/small", "--json")
    assert status == 0
    found = json.loads(output)
    assert found["missing"] == {"": {"chance": [0], "best-acc": [0, 1]}}
    assert [row["finished"] for row in found["selectors"][""]] == [1, 0]
    assert "3 of 4 trials have no record" in Path("runs/small/report/report.md").read_text()
    # The whole run does only what is missing.
    assert "4 of 4 trials done, 1 of them before" in opselect("run", small, "-w", "1")[1]
    assert not load_run(Path("runs/small")).missing


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("-s", "Chance"), "small: has no selector 'Chance'; did you mean 'chance'? known are chance, best-acc"),
        (("--seed", "7"), "small: has no seed 7; expected one of 0, 1"),
        (("--device", "gpu"), "no device named 'gpu'; did you mean 'cpu'?"),
        (("--seed", "-1"), "invalid value for '--seed'"),
    ],
)
def test_a_part_that_is_not_there_is_one_line(
    opselect: CommandLine, small: Path, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in refused(opselect("run", small, "-w", "1", *arguments))
    assert not Path("runs").exists()


def test_a_selector_without_the_wanted_seed_is_one_line(opselect: CommandLine, small: Path) -> None:
    small.write_text(SMALL.replace('label = "chance"', 'label = "chance"\nseeds = [1]'))
    assert refused(opselect("run", small, "-s", "chance", "--seed", "0")) == "small: chance has no trial of seed 0"


def test_another_device_is_written_into_the_experiment_of_the_folder(
    opselect: CommandLine, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write_text(SMALL.replace('images = "tiny"', 'images = "tiny"\ndevice = "cuda"'))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "device 'cuda', but torch finds no GPU here" in refused(opselect("run", small, "-w", "1"))
    assert opselect("run", small, "-w", "1", "--device", "cpu")[0] == 0
    assert 'device = "cpu"' in Path("runs/small/experiment.toml").read_text()
    assert {record.trial.device for record in read_records(Path("runs/small/records.jsonl"))} == {"cpu"}
    assert opselect("select", "chance", "-e", small, "--device", "cpu")[0] == 0


def test_a_dry_run_says_what_would_run_and_runs_nothing(
    opselect: CommandLine, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "RESULTS", Path("nowhere"))
    small.write_text(f'{SMALL}[[selector]]\nname = "magnitude"\n')
    status, output, error = opselect("run", small, "--dry-run", "-w", "1")
    assert (status, error) == (0, "")
    assert output.startswith("small: 6 trials would run, 0 are done, in runs/small\n")
    assert "how long it takes is not known: there are no records of such trials here" in output
    assert not Path("runs").exists()
    assert opselect("run", small, "-w", "1", "--seed", "0")[0] == 0
    before = sorted(Path("runs/small").rglob("*"))
    found = json.loads(opselect("run", small, "--dry-run", "-w", "1", "--json")[1])
    (experiment,) = found["experiments"]
    assert (experiment["trials"], experiment["done"], experiment["supernets"]) == (3, 3, 1)
    steps = {(step["what"], step["label"]): step for step in experiment["steps"]}
    assert steps["supernets", "darts"]["to_run"] == 1
    assert (steps["trials", "chance"]["to_run"], steps["trials", "chance"]["done"]) == (1, 1)
    seconds = [step["seconds"] for step in experiment["steps"]]
    assert found["remaining"] == {"seconds": pytest.approx(sum(seconds)), "is_least": False}
    assert found["estimated_from"] == ["runs/small, this kind of processor"]
    assert sorted(Path("runs/small").rglob("*")) == before
    output = opselect("run", small, "--dry-run", "-w", "1")[1]
    assert "by the records of runs/small, this kind of processor" in output
    assert opselect("run", small, "-w", "1")[0] == 0
    assert "nothing is left to run" in opselect("run", small, "--dry-run", "-w", "1")[1]


def test_a_dry_run_names_what_it_has_no_records_of(
    opselect: CommandLine, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "RESULTS", Path("nowhere"))
    assert opselect("run", small, "-w", "1", "-s", "chance", "--seed", "0")[0] == 0
    output = opselect("run", small, "--dry-run", "-w", "1")[1]
    assert "at least 0:00 with 1 worker, by the records of runs/small" in output
    assert output.endswith("not known, for want of records: trials best-acc\n")


def test_records_of_other_settings_say_nothing_about_time(
    opselect: CommandLine, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "RESULTS", Path("nowhere"))
    entry = '[[selector]]\nname = "zero-cost-disc"\ncandidates = 1\nvalidation_batches = 1\nbatch_size = {}\n'
    small.write_text(SMALL + entry.format(8))
    assert opselect("run", small, "-w", "1")[0] == 0
    small.write_text(SMALL + entry.format(16))
    steps = json.loads(opselect("run", small, "--dry-run", "--json")[1])["experiments"][0]["steps"]
    assert {step["label"]: step["seconds"] is None for step in steps if step["what"] == "trials"} == {
        "chance": True,
        "best-acc": True,
        "zero-cost-disc": True,
    }


def test_damaged_lines_are_reported_once(opselect: CommandLine, small: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert opselect("run", small, "-w", "1", "-q")[0] == 0
    path = Path("runs/small/records.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"seed":1', b'"seed":2', 1))
    assert opselect("run", small, "-w", "1", "-q")[0] == 0
    assert len([message for message in caplog.messages if "damaged and passed over" in message]) == 1
    status, output, _ = opselect("run", small, "--dry-run")
    assert (status, output.endswith("nothing is left to run\n")) == (0, True)


def test_a_quiet_run_prints_no_progress_and_no_table(opselect: CommandLine, small: Path) -> None:
    done = "4 of 4 trials done, 0 of them before\nrecords: runs/small/records.jsonl\n"
    assert opselect("run", small, "-w", "1", "--quiet") == (0, done, "")
    assert len(read_records(Path("runs/small/records.jsonl"))) == 4


def test_the_main_table_and_the_next_command_follow_a_run_and_a_report(opselect: CommandLine, small: Path) -> None:
    outputs = opselect("run", small, "-w", "1")[1], opselect("report", "runs/small")[1]
    for output in outputs:
        lines = [line.split() for line in output.splitlines()]
        (heading,) = (line for line in lines if line[:1] == ["selector"])
        assert heading == ["selector", "n", "test", "accuracy", "(%)", "search", "(s)"]
        (best,) = (line for line in lines if line[:1] == ["best-acc"])
        assert best[:4] == ["best-acc", "(oracle)", "2", "79.40"]
        assert [line[0] for line in lines if "(random)" in line or "(oracle)" in line] == ["chance", "best-acc"]
    assert outputs[0].endswith("next: opselect report runs/small\n")
    assert "next: open runs/small/report/report.html in a browser" in outputs[1]


def test_progress_goes_to_the_error_stream_and_counts_epochs(opselect: CommandLine, small: Path) -> None:
    small.write_text(f'{SMALL.replace("epochs = 1", "epochs = 3", 1)}[[selector]]\nname = "magnitude"\n')
    _, output, error = opselect("run", small, "-w", "1")
    assert error.startswith("supernets: 0 of 2, epoch 0 of 6; 0:0")
    assert "trials: 6 of 6; " in error.splitlines()[-1]
    assert "epoch" not in output
    assert {path.suffix for path in Path("runs/small/supernets").iterdir()} == {".pt"}


def test_a_report_has_tables_of_the_wanted_width_and_columns(
    opselect: CommandLine, tiny_run: tuple[Path, Summary], tmp_path: Path
) -> None:
    options = ("--layout", "column", "--columns", "test_accuracy, regret", "--notes")
    assert opselect("report", tiny_run[0], "--output", tmp_path / "report", *options)[0] == 0
    text = (tmp_path / "report" / "tables" / "selection.tex").read_text()
    assert "made for a width of 3.25 in" in text and "Left out, not chosen: Trials (trials)" in text
    assert r"\begin{minipage}" in text
    csv = (tmp_path / "report" / "tables" / "selection.csv").read_text()
    assert csv.startswith("label,role,trials,failed,test_accuracy_value")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--layout", "colum"), "no layout named 'colum'; did you mean 'column'?"),
        (("--preset", "icmll"), "no preset named 'icmll'; did you mean 'icml'?"),
        (("--preset", "neurips", "--layout", "full"), "the preset neurips has no layout 'full'; it has text"),
        (("--columns", "regrett"), "no table of the report has a column 'regrett'; did you mean 'regret'?"),
        (
            ("--layout", "column", "--columns", "test_accuracy,valid_accuracy,regret,percentile,architectures,trials"),
            "the layout column has 3.25 in; leave out ",
        ),
    ],
)
def test_unknown_and_too_wide_layouts_are_one_sentence_and_nothing_is_written(
    opselect: CommandLine, tiny_run: tuple[Path, Summary], tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    answer = opselect("report", tiny_run[0], "--output", tmp_path / "report", *options)
    assert sentence in refused(answer)
    assert not list(tmp_path.glob("report/*"))
