"""Tables on the command line: what they hold, answers to queries, and one line for what is not there."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet
import pytest

from opselect.spaces.table import METADATA_KEY, Table
from tests.bench.cli.examples import EMPTY_CELL, refused

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("in_tiny_world", "in_a_folder_of_its_own")


QUERY = ("--dataset", "digits", "--split", "test", "--epochs", "10", "--seeds")


@pytest.fixture(scope="session")
def parquet(additive_table: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The additive table as a file."""
    path = tmp_path_factory.mktemp("table") / "additive.parquet"
    additive_table.write(path)
    return path


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
    assert json.loads(output) == {
        "architecture": EMPTY_CELL,
        "dataset": "digits",
        "split": "test",
        "epochs": 10,
        "seeds": int(seeds) if seeds.isdecimal() else seeds,
        "accuracy": value,
    }


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


def test_a_query_must_name_what_the_table_has_several_of_and_nothing_else(opselect: CommandLine) -> None:
    def query(*options: str) -> tuple[int, str, str]:
        return opselect("table", "query", "additive", EMPTY_CELL, *options)

    assert query("--split", "test", "--seeds", "mean") == (0, "31.0000\n", "")
    assert refused(query("--seeds", "mean")) == "'additive' has several: add --split and one of test, valid"
    assert refused(query("--split", "test")) == "'additive' has several: add --seeds and one of mean, each, 0, 1"
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
    assert message == "no buildable table named 'digits21'; did you mean 'digits201'? known are digits201"
