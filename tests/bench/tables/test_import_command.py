"""Importing and comparing tables from the command line, and using an imported table in an experiment."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from opselect.bench.experiment import ingredients
from opselect.bench.experiment.file import InvalidExperiment, parse
from opselect.bench.runs import runner
from opselect.bench.runs.run import load_run
from opselect.bench.tables.compare import compare
from opselect.spaces import table as tables
from opselect.spaces.files import imported_table
from opselect.spaces.nasbench201.space import NASBench201Space, digits201, nasbench201
from opselect.spaces.registry import UnknownName
from opselect.spaces.space import Architecture
from opselect.spaces.table import COLUMNS, NotInTable, Table

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]
ALL = [nasbench201.format(architecture) for architecture in nasbench201.enumerate()]


@pytest.fixture(autouse=True)
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root of its own."""
    monkeypatch.setenv("OPSELECT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """A CSV file with all architectures; the accuracy is the base-5 number in percent of the largest one."""
    path = tmp_path / "accuracies.csv"
    accuracies = np.linspace(0, 100, len(ALL))
    pd.DataFrame({"arch": ALL, "cifar10_valid_12": accuracies, "cifar10_test_12": accuracies}).to_csv(path, index=False)
    return path


def test_an_imported_table_is_known_by_its_name(opselect: CommandLine, csv: Path, data_root: Path) -> None:
    status, out, _ = opselect("table", "import", "nasbench201", str(csv), "--name", "mine")
    assert status == 0
    assert f"table: {data_root / 'tables' / 'mine.parquet'}" in out
    assert "cifar10" in out
    assert "mine" in tables.names()
    assert "mine" in opselect("list", "tables")[1]
    assert tables.load("mine").accuracies("cifar10", "test", 12, "mean")[[0, -1]].tolist() == [0, 100]
    status, out, _ = opselect("table", "query", "mine", ALL[-1], "--dataset", "cifar10", "--split", "test",
                              "--epochs", "12", "--seeds", "mean")  # fmt: skip
    assert (status, out) == (0, "100.0000\n")


EXPERIMENT = """
name = "oracle"
space = "nasbench201"
images = "tiny"
seeds = [0]
[table]
name = "{table}"
dataset = "cifar10"
epochs = 12
[[selector]]
name = "best-acc"
"""


@pytest.mark.usefixtures("in_tiny_world")
def test_an_experiment_names_an_imported_table(opselect: CommandLine, csv: Path, tmp_path: Path) -> None:
    file = tmp_path / "oracle.toml"
    file.write_text(EXPERIMENT.format(table="mine"))
    status, _, error = opselect("run", str(file), "--output", str(tmp_path / "run"))
    assert status == 2
    assert "no table named 'mine'" in error
    assert opselect("table", "import", "nasbench201", str(csv), "--name", "mine")[0] == 0
    status, _, _ = opselect("run", str(file), "--output", str(tmp_path / "run"), "--workers", "1")
    assert status == 0
    result = json.loads((tmp_path / "run" / "records.jsonl").read_text())["result"]
    assert (result["architecture"], result["test_accuracy"]) == (ALL[-1], 100)


@pytest.mark.usefixtures("in_tiny_world")
def test_validation_may_be_of_fewer_epochs_and_more_datasets_be_reported(opselect: CommandLine, tmp_path: Path) -> None:
    up, down = np.linspace(0, 100, len(ALL)), np.linspace(90, 10, len(ALL))
    frame = {"arch": ALL, "cifar10_valid_12": down, "cifar10_test_200": up, "cifar100_test_200": up / 2}
    path, file = tmp_path / "accuracies.csv", tmp_path / "oracle.toml"
    pd.DataFrame(frame).to_csv(path, index=False)
    assert opselect("table", "import", "nasbench201", str(path), "--name", "mine")[0] == 0
    choice = 'epochs = 200\nvalid_epochs = 12\nalso = ["cifar100"]'
    wanted = EXPERIMENT.format(table="mine").replace("epochs = 12", choice)
    file.write_text(wanted)
    status, _, error = opselect("run", str(file), "--output", str(tmp_path / "run"), "--workers", "1")
    assert (status, "failed" in error) == (0, False)
    result = json.loads((tmp_path / "run" / "records.jsonl").read_text())["result"]
    # Chosen by validation after 12 epochs, which is best where the test accuracies are worst.
    assert (result["architecture"], result["valid_accuracy"], result["test_accuracy"]) == (ALL[0], 90, 0)
    assert (result["other_test_accuracies"], result["regret"]) == ({"cifar100": 0}, 100)
    for change, expected in (
        (("valid_epochs = 12", "valid_epochs = 90"), "no accuracies for cifar10 valid after 90 epochs"),
        (("cifar100", "svhn"), "no accuracies for svhn test after 200 epochs"),
        (('["cifar100"]', '"cifar100"'), "table.also"),
    ):
        file.write_text(wanted.replace(*change))
        status, _, error = opselect("run", str(file), "--output", str(tmp_path / "other"))
        assert status == 2
        assert expected in error


def test_the_table_of_nasbench201_says_how_to_get_it(opselect: CommandLine, csv: Path) -> None:
    status, _, error = opselect("table", "info", "nasbench201")
    assert status == 2
    assert "opselect table import nasbench201 PATH" in error
    assert opselect("table", "import", "nasbench201", str(csv))[0] == 0
    assert opselect("table", "info", "nasbench201")[0] == 0


def test_what_cannot_be_imported_leaves_the_table_as_it_was(
    opselect: CommandLine, csv: Path, data_root: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text(csv.read_text().replace("100.0", "100.5"))
    status, _, error = opselect("table", "import", "nasbench201", str(broken))
    assert status == 2
    assert error.startswith(f"opselect: {broken}: ")
    assert error.count("\n") == 1
    assert not [path for path in data_root.rglob("*") if path.is_file()]
    assert opselect("table", "import", "nasbench201", str(csv))[0] == 0
    before = imported_table("nasbench201").read_bytes()
    assert opselect("table", "import", "nasbench201", str(broken))[0] == 2
    assert [path.name for path in (data_root / "tables").iterdir()] == ["nasbench201.parquet"]
    assert imported_table("nasbench201").read_bytes() == before


@pytest.mark.parametrize("name", ["../other", "", ".hidden", "a b", "digits201", "x.parquet"])
def test_a_table_is_imported_under_a_plain_name_of_its_own(opselect: CommandLine, csv: Path, name: str) -> None:
    status, _, error = opselect("table", "import", "nasbench201", str(csv), "--name", name)
    assert status == 2
    assert error.startswith(f"opselect: table name {name!r}")


def test_only_known_benchmarks_can_be_imported(opselect: CommandLine, csv: Path) -> None:
    status, _, error = opselect("table", "import", "nasbench210", str(csv))
    assert status == 2
    assert "named 'nasbench210'; did you mean 'nasbench201'?" in error


def test_an_unknown_table_names_the_nearest(opselect: CommandLine, csv: Path) -> None:
    opselect("table", "import", "nasbench201", str(csv), "--name", "mine")
    with pytest.raises(UnknownName, match="no table named 'mime'; did you mean 'mine'"):
        tables.load("mime")
    with pytest.raises(InvalidExperiment, match="no table named 'mime'; did you mean 'mine'"):
        parse(EXPERIMENT.format(table="mime"), "here")


@pytest.mark.usefixtures("in_tiny_world")
def test_accuracies_are_printed_with_the_digits_that_their_source_has(opselect: CommandLine, tmp_path: Path) -> None:
    accuracies = np.where(np.arange(len(ALL)) == 77, 93.76, 61.23)
    path, file, run = tmp_path / "accuracies.csv", tmp_path / "oracle.toml", tmp_path / "run"
    pd.DataFrame({"arch": ALL, "cifar10_valid_12": accuracies, "cifar10_test_12": accuracies}).to_csv(path, index=False)
    assert opselect("table", "import", "nasbench201", str(path), "--name", "mine")[0] == 0
    file.write_text(EXPERIMENT.format(table="mine"))
    assert opselect("run", str(file), "--output", str(run), "--workers", "1")[0] == 0
    assert '"test_accuracy":93.76,"test_accuracies":[93.76]' in (run / "records.jsonl").read_text()
    assert opselect("report", str(run))[0] == 0
    written = [path.read_text() for path in run.glob("report/tables/*.csv")]
    assert any(",93.76," in text for text in written)
    assert not any("93.76000" in text for text in written)
    query = ("table", "query", "mine", ALL[77], "--dataset", "cifar10", "--split", "test", "--epochs", "12", "--json")
    assert json.loads(opselect(*query, "--seeds", "mean")[1])["accuracy"] == 93.76
    assert json.loads(opselect(*query, "--seeds", "each")[1])["accuracy"] == [93.76]
    (described,) = [
        row for row in json.loads(opselect("table", "info", "mine", "--json")[1])["contents"] if row["split"] == "test"
    ]
    assert (described["lowest"], described["highest"]) == (61.23, 93.76)


@pytest.mark.slow
def test_records_of_a_table_that_was_imported_in_single_precision_stay_valid(
    opselect: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_tiny_world: None
) -> None:
    # Equal means of decimals, which single precision parts.
    runs = np.tile([(91.1, 91.3), (91.2, 91.2), (91.25, 91.15), (60.0, 61.0), (91.3, 91.1)], (len(ALL) // 5, 1))
    frame = {"arch": ALL, "cifar10_valid_12": runs[:, 0]}
    frame |= {f"cifar10_test_12_run{number}": runs[:, number] for number in (0, 1)}
    path, file, run = tmp_path / "accuracies.csv", tmp_path / "random.toml", tmp_path / "run"
    pd.DataFrame(frame).to_csv(path, index=False)
    assert opselect("table", "import", "nasbench201", str(path), "--name", "mine")[0] == 0
    file.write_text(
        EXPERIMENT.format(table="mine").replace("best-acc", "random").replace('"cifar10"', '"cifar10-runs"')
        .replace("[0]", "[0, 1, 2, 3, 4, 5]")
    )  # fmt: skip
    double = tables.load("mine")
    assert len(set(double.accuracies("cifar10-runs", "test", 12, "mean"))) == 2
    single = Table(double.space, double.rows.cast(COLUMNS), double.provenance)
    assert single.fingerprint == double.fingerprint
    assert len(set(single.accuracies("cifar10-runs", "test", 12, "mean"))) > 2
    single.write(imported_table("mine"))
    assert opselect("run", str(file), "--output", str(run), "--workers", "1")[0] == 0
    assert "91.0999984" in (run / "records.jsonl").read_text()
    double.write(imported_table("mine"))
    ingredients.load_ingredients.cache_clear()
    assert {result.percentile for result in load_run(run).all_results} > {20.0}
    assert runner.run(parse(file.read_text(), str(file)), run, 1, lambda *_: None).resumed == 6


def table_of(accuracies: dict[int, float], dataset: str = "cifar10") -> Table:
    """Accuracies by base-5 number, of one dataset, split, training budget and seed."""
    lines = [(ALL[number], dataset, "test", 200, 0, value, None, None, None) for number, value in accuracies.items()]
    arrays = [pa.array(column, field.type) for column, field in zip(zip(*lines, strict=True), COLUMNS, strict=True)]
    return Table(nasbench201, pa.Table.from_arrays(arrays, schema=COLUMNS), {})


def test_a_comparison_is_about_what_both_tables_have() -> None:
    first = table_of({1: 10, 2: 20, 3: 30, 4: 40, 5: 50})
    second = table_of({2: 21, 3: 30, 4: 36, 5: 51, 6: 60, 7: 70})
    (row,) = compare(first, second)
    assert (row.dataset, row.split, row.epochs) == ("cifar10", "test", 200)
    assert (row.first, row.second, row.both) == (5, 6, 4)
    assert row.mean_difference == pytest.approx((-1 + 0 + 4 - 1) / 4)
    assert row.mean_absolute_difference == pytest.approx((1 + 0 + 4 + 1) / 4)
    assert (row.largest, row.architecture) == (4, ALL[4])
    assert row.rank_correlation.value == 1
    assert row.rank_correlation.n == 4


def test_a_comparison_without_common_architectures_says_so() -> None:
    (row,) = compare(table_of({1: 10}), table_of({2: 20}))
    assert (row.both, row.largest, row.rank_correlation.value) == (0, None, None)


def test_tables_of_different_things_cannot_be_compared() -> None:
    first = table_of({1: 10})
    with pytest.raises(NotInTable, match="no dataset, split and epochs in common"):
        compare(first, table_of({1: 10}, dataset="cifar100"))
    other = dataclasses.replace(
        first, space=Reversed("reversed", digits201.channels, digits201.cells_per_stage, digits201.down_sampling)
    )
    with pytest.raises(NotInTable, match="tables of nasbench201 and of reversed cannot be compared"):
        compare(first, other)
    assert compare(first, dataclasses.replace(first, space=digits201))  # another skeleton of the same cells


class Reversed(NASBench201Space):
    """A space with the same architectures in another order."""

    def enumerate(self) -> Iterator[Architecture]:
        return reversed(list(super().enumerate()))


def test_compare_prints_a_line_a_column(opselect: CommandLine, csv: Path) -> None:
    frame = pd.read_csv(csv)
    frame.loc[500:, ["cifar10_valid_12", "cifar10_test_12"]] = np.nan  # the intervals of 500 are as good
    frame.to_csv(csv, index=False)
    for name in ("one", "two"):
        opselect("table", "import", "nasbench201", str(csv), "--name", name)
    status, out, _ = opselect("table", "compare", "one", "two")
    assert status == 0
    assert out.count("500") == 6
    assert out.count("1.0000 [1.0000, 1.0000]") == 2
    status, out, _ = opselect("table", "compare", "one", "two", "--json")
    assert [row["rank_correlation"]["value"] for row in json.loads(out)] == [1, 1]
