"""The command line: exit statuses, one sentence for what the user can mend, JSON that parses, quick help."""

import errno
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from opselect.bench.runs import runner
from opselect.bench.runs.records import Record, read_records
from opselect.bench.runs.runner import Summary
from opselect.bench.storage.checksums import verified_line
from opselect.bench.storage.store import open_for_append
from opselect.selectors.methods import Settings
from opselect.selectors.proxies.interface import Combination
from opselect.selectors.task import Selection, Task
from opselect.spaces.darts.genotypes import format_genotype, library
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.table import METADATA_KEY, Table

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("in_tiny_world")

EMPTY_CELL = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
QUERY = ("--dataset", "digits", "--split", "test", "--epochs", "10", "--seeds")
COMMANDS = [
    (),
    ("run",),
    ("report",),
    ("check",),
    ("plan",),
    ("reproduce",),
    ("conformance",),
    ("list",),
    ("select",),
    ("proxies",),
    ("published",),
    ("train",),
    ("draw",),
    ("table",),
] + [("table", command) for command in ("build", "import", "compare", "info", "query")]
SMALL = """
name = "small"
space = "digits201"
images = "tiny"
seeds = [0, 1]
[supernet]
epochs = 1
batch_size = 16
[table]
name = "additive"
dataset = "digits"
epochs = 10
[[selector]]
name = "random"
label = "chance"
[[selector]]
name = "best-acc"
"""


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands write to `runs` in the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An experiment file of two quick selectors and two seeds."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def parquet(additive_table: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The additive table as a file."""
    path = tmp_path_factory.mktemp("table") / "additive.parquet"
    additive_table.write(path)
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


def refused(answer: tuple[int, str, str]) -> str:
    """What is said about bad input: status 2, nothing on the output, one line on the error stream."""
    status, output, error = answer
    assert status == 2
    assert output == ""
    assert error.startswith("opselect: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    return error.removeprefix("opselect: ").removesuffix("\n")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_has_an_example(opselect: CommandLine, command: tuple[str, ...]) -> None:
    for option in ("--help", "-h"):
        status, output, error = opselect(*command, option)
        assert (status, error) == (0, "")
        assert "Example: " in output
        assert " ".join(["opselect", *command]) in output.partition("Example: ")[2]


def test_every_command_is_among_those_whose_help_was_tested() -> None:
    from typer.main import get_group

    from opselect.bench.cli.app import app

    group = get_group(app)
    found = {(name,) for name in group.commands} | {
        ("table", name)
        for name in group.commands["table"].commands  # type: ignore[attr-defined]
    }
    assert found | {()} == set(COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    heavy = "torch pandas pyarrow matplotlib numpy sklearn scipy joblib pydantic networkx seaborn jinja2 torchvision"
    program = (
        "import sys\n"
        "from opselect.bench.cli.app import main\n"
        "sys.argv = ['opselect', '--help']\n"
        "try:\n    main()\n"
        "finally:\n"
        f"    print('heavy:', [name for name in {heavy.split()} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("command", [("info",), ("query", EMPTY_CELL, *QUERY, "mean")], ids=["info", "query"])
def test_a_table_is_shown_without_torch(command: tuple[str, ...]) -> None:
    program = (
        "import sys\n"
        "from opselect.bench.cli.app import main\n"
        f"sys.argv = {['opselect', 'table', command[0], 'digits201', *command[1:]]}\n"
        "try:\n    main()\n"
        "finally:\n"
        "    print('torch:', 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 1
    assert done.stdout.splitlines()[-1] == "torch: False"


def test_the_installed_command_exits_as_this_one_does(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("opselect")), "list", "selector"]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=60)
    refused((done.returncode, done.stdout, done.stderr))


def test_no_arguments_show_the_help_and_an_unknown_command_offers_the_nearest(opselect: CommandLine) -> None:
    _, output, error = opselect()
    assert "Example: opselect run digits201" in output + error
    status, output, error = opselect("rnu", "digits201")
    assert (status, output) == (2, "")
    assert "No such command 'rnu'. Did you mean 'run'?" in error
    assert opselect("run")[0] == 2
    assert opselect("run", "small.toml", "--worker", "1")[0] == 2
    assert opselect("run", "small.toml", "--workers", "-1")[0] == 2


def test_list_names_everything_that_is_registered(opselect: CommandLine) -> None:
    status, output, error = opselect("list")
    assert (status, error) == (0, "")
    assert [line.partition(":")[0] for line in output.splitlines()] == [
        "spaces",
        "images",
        "tables",
        "selectors",
        "supernets",
        "scores",
        "proxies",
        "combinations",
    ]
    assert (
        opselect("list", "spaces")[1]
        == "spaces: darts, darts-original, darts-s1, darts-s2, darts-s3, darts-s4, digits201, nasbench201\n"
    )
    found = json.loads(opselect("list", "--json")[1])
    assert found["tables"] == ["additive", "digits201", "nasbench201", "poisoned"]
    assert "zero-cost-pt" in found["selectors"]
    assert set(json.loads(opselect("list", "proxies", "--json")[1])) == {"proxies"}
    assert "genotypes" not in found
    assert tuple(json.loads(opselect("list", "genotypes", "--json")[1])["genotypes"]) == tuple(library())
    message = refused(opselect("list", "selector"))
    assert message.startswith("no kind of things named 'selector'; did you mean 'selectors'? known are spaces")


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
        (('dataset = "digits"', 'dataset = "cifar10"'), "no accuracies for cifar10 valid after 10 epochs; there are"),
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
    assert (status, error) == (0, "")
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
    }
    # What costs most parameters is missed least under this sign, so it stays nowhere; the trace goes by the order.
    assert record.result is not None
    assert [step.edge for step in record.result.steps] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("randon",), "select: no selector named 'randon'; did you mean 'random'? known are avg-acc"),
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
    assert error.startswith("opselect: broken, seed 3: RuntimeError: it is broken (")
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


def test_a_table_says_what_it_holds(opselect: CommandLine, parquet: Path, additive_table: Table) -> None:
    status, output, error = opselect("table", "info", parquet)
    assert (status, error) == (0, "")
    assert output.startswith(f"space: digits201\nfingerprint: {additive_table.fingerprint}\n")
    assert "made: by a formula" in output
    found = json.loads(opselect("table", "info", "additive", "--json")[1])
    assert (found["space"], found["provenance"]) == ("digits201", {"made": "by a formula"})
    assert sorted((row["split"], row["architectures"], row["seeds"]) for row in found["contents"]) == [
        ("test", 15625, "0 1"),
        ("valid", 15625, "0 1"),
    ]


@pytest.mark.parametrize(
    ("seeds", "printed", "value"),
    [("mean", "31.0000", 31.0), ("each", "30.7500 31.2500", [30.75, 31.25]), ("1", "31.2500", 31.25)],
)
def test_a_query_answers_for_the_seeds_that_it_names(
    opselect: CommandLine, parquet: Path, seeds: str, printed: str, value: Any
) -> None:
    assert opselect("table", "query", parquet, EMPTY_CELL, *QUERY, seeds) == (0, f"{printed}\n", "")
    status, output, _ = opselect("table", "query", "additive", EMPTY_CELL, *QUERY, seeds, "--json")
    assert status == 0
    assert json.loads(output) == {"architecture": EMPTY_CELL, "accuracy": value}


@pytest.mark.parametrize(
    ("architecture", "options", "expected"),
    [
        ("|none~0|", (*QUERY, "mean"), "1 node(s) joined by '+', expected 3"),
        (EMPTY_CELL.replace("none~2", "noon~2"), (*QUERY, "mean"), "node 3: 'noon~2' is no operation~source; operati"),
        (EMPTY_CELL.replace("none~2", "none~1"), (*QUERY, "mean"), "'none~1' comes from node 1, expected node 2"),
        ("", (*QUERY, "mean"), "arch string ''"),
        (EMPTY_CELL, (*QUERY, "2"), "no seed 2 for digits test after 10 epochs; there are: 0, 1"),
        (EMPTY_CELL, (*QUERY[:3], "train", *QUERY[4:], "mean"), "no accuracies for digits train after 10 epochs"),
        (EMPTY_CELL, (*QUERY[:5], "200", *QUERY[6:], "mean"), "no accuracies for digits test after 200 epochs"),
    ],
)
def test_a_query_for_what_is_not_there_is_one_line(
    opselect: CommandLine, architecture: str, options: tuple[str, ...], expected: str
) -> None:
    assert expected in refused(opselect("table", "query", "additive", architecture, *options))


def test_a_query_must_name_dataset_split_epochs_and_seeds(opselect: CommandLine) -> None:
    for missing in range(0, 8, 2):
        options = [*QUERY, "mean"]
        del options[missing : missing + 2]
        status, output, error = opselect("table", "query", "additive", EMPTY_CELL, *options)
        assert (status, output) == (2, "")
        assert f"Missing option '{QUERY[missing]}'" in error
    status, output, error = opselect("table", "query", "additive", EMPTY_CELL, *QUERY, "median")
    assert (status, output) == (2, "")
    assert "'median', expected mean, each, or the number of a seed" in error


def with_metadata(source: Path, target: Path, metadata: dict[bytes, bytes]) -> None:
    """Copy a Parquet file under other metadata."""
    pa.parquet.write_table(pa.parquet.read_table(source).slice(0, 10).replace_schema_metadata(metadata), target)


@pytest.mark.parametrize("command", ["info", "query"])
def test_a_bad_table_is_one_line(opselect: CommandLine, parquet: Path, command: str) -> None:
    def told(name: str | Path) -> str:
        return refused(opselect("table", command, name, *((EMPTY_CELL, *QUERY, "mean") if command == "query" else ())))

    assert (
        "no table named 'aditive'; did you mean 'additive'? known are additive, digits201, nasbench201, poisoned"
        in told("aditive")
    )
    assert "table not found at nowhere.parquet" in told("nowhere.parquet")

    content = parquet.read_bytes()
    for damaged in (content[:1000], content[: len(content) // 2], content[:-1], b"", b"architecture,accuracy\n"):
        Path("damaged.parquet").write_bytes(damaged)
        assert "damaged.parquet: damaged or no Parquet file; expected a file written by" in told("damaged.parquet")

    with_metadata(parquet, Path("foreign.parquet"), {})
    assert "foreign.parquet: not a table of opselect" in told("foreign.parquet")
    with_metadata(parquet, Path("foreign.parquet"), {METADATA_KEY: b"not JSON"})
    assert "foreign.parquet: not a table of opselect" in told("foreign.parquet")
    with_metadata(parquet, Path("foreign.parquet"), {METADATA_KEY: b"{}"})
    assert "foreign.parquet: not a table of opselect" in told("foreign.parquet")

    metadata = {"version": 2, "space": "digits201", "provenance": {}}
    with_metadata(parquet, Path("newer.parquet"), {METADATA_KEY: json.dumps(metadata).encode()})
    assert "newer.parquet: table format version 2, expected 1; build or import it again" in told("newer.parquet")
    metadata |= {"version": 1, "space": "digit201"}
    with_metadata(parquet, Path("newer.parquet"), {METADATA_KEY: json.dumps(metadata).encode()})
    assert "its space is 'digit201', which is not registered; did you mean 'digits201'?" in told("newer.parquet")


def test_only_digits201_can_be_built(opselect: CommandLine) -> None:
    message = refused(opselect("table", "build", "digits21"))
    assert message == "no table that can be built is named 'digits21'; did you mean 'digits201'? known are digits201"


def test_a_genotype_is_drawn_by_name_and_by_its_text_alike(opselect: CommandLine, tmp_path: Path) -> None:
    text = format_genotype(library()["DARTS_V2"].genotype)
    for kind, beginning in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<?xml")):
        first, second = tmp_path / f"deep/first.{kind}", tmp_path / f"second.{kind}"
        assert opselect("draw", "DARTS_V2", "--output", first) == (0, f"figure: {first}\n", "")
        assert opselect("draw", text, "--output", second)[0] == 0
        assert first.read_bytes().startswith(beginning)
        assert first.read_bytes() == second.read_bytes()
    assert opselect("draw", EMPTY_CELL, "--space", "nasbench201", "-o", tmp_path / "empty.pdf")[0] == 0
    told = refused(opselect("draw", "DARTS_V2", "--output", tmp_path / "cell.jpg"))
    assert "a file of kind 'jpg'" in told
    assert "known are pdf, png, svg" in told
    assert "is no operation of this edge in darts-s2" in refused(
        opselect("draw", "DARTS_V2", "--space", "darts-s2", "--output", tmp_path / "cell.pdf")
    )


def test_conformance_says_for_every_promise_what_became_of_it(opselect: CommandLine) -> None:
    status, output, error = opselect("conformance", "random", "--kind", "selectors")
    assert (status, error) == (0, "")
    lines = output.splitlines()
    assert lines[0] == "selector random"
    assert lines[1].startswith("  kept            valid architecture: The selected architecture is one of the space")
    assert lines[-1] == "  not applicable  larger is better: it does not depend on supernet, alpha or accuracies"
    # Without a kind, whatever has the name is checked.
    status, output, _ = opselect("conformance", "random", "--json")
    assert status == 0
    assert {each["kind"] for each in json.loads(output)} == {"selectors", "scores"}
    assert opselect("conformance", "by-score", "--set", "score=alpha")[0] == 0


def test_conformance_exits_with_1_and_says_how_to_mend_a_broken_promise(
    opselect: CommandLine, planted: Callable[..., AbstractContextManager[None]]
) -> None:
    def upside_down(scores: np.ndarray) -> np.ndarray:
        return np.where(np.isfinite(scores).all(axis=1), -scores.sum(axis=1), np.nan)

    with planted(combinations={"upside-down": Combination(("params", "flops"), upside_down)}):
        status, output, error = opselect("conformance", "upside-down")
        (line,) = (line for line in output.splitlines() if line.startswith("  broken"))
        assert (status, error) == (1, "")
        assert line.startswith(
            "  broken          better everywhere is better: the member that is worst by every proxy "
        )
    with planted(scores={"text": "no score"}):
        status, output, _ = opselect("conformance", "text")
        assert status == 1
        assert "can be loaded: score 'text': it is a str, expected a RegisteredScore" in output


def test_conformance_refuses_what_it_cannot_check(opselect: CommandLine) -> None:
    assert refused(opselect("conformance", "nwott")).startswith(
        "nothing is registered as 'nwott'; did you mean 'nwot'?"
    )
    assert refused(opselect("conformance", "nwot", "--kind", "proxy")).startswith("no kind of things named 'proxy'")
    assert refused(opselect("conformance", "nwot", "--kind", "selectors")).startswith("no selector named 'nwot'")
    assert "give it with --set score=VALUE" in refused(opselect("conformance", "by-score"))
