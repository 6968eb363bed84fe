"""`opselect published` finds runs and says what it makes of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from opselect.bench.published.numbers import load_packaged
from opselect.bench.runs.records import Record
from tests.bench.published.examples import record

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]


EXPERIMENT = """
name = "mine"
space = "nasbench201"
images = "cifar10"
seeds = [0, 1, 2, 3]
[table]
name = "nasbench201"
dataset = "cifar10"
epochs = 200
also = ["cifar100"]
[[selector]]
name = "zero-cost-pt"
label = "mine"
edge_order = "fixed"
candidates = 1
"""


@pytest.fixture
def in_an_empty_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without runs, and a data root without tables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPSELECT_DATA", str(tmp_path / "data"))
    return tmp_path


def written(folder: Path, *records: Record) -> Path:
    """A folder as 'opselect run' leaves it."""
    folder.mkdir(parents=True)
    (folder / "experiment.toml").write_text(EXPERIMENT)
    (folder / "records.jsonl").write_text("".join(f"{each.model_dump_json()}\n" for each in records))
    return folder


@pytest.mark.usefixtures("in_an_empty_world")
def test_without_runs_and_tables_next_to_nothing_was_run(opselect: CommandLine) -> None:
    status, output, error = opselect("published")
    assert (status, error) == (0, "")
    numbers = len(load_packaged().numbers)
    assert output.splitlines()[-1] == f"3 reproduced, 0 differ, {numbers - 3} not run, 0 not comparable"
    assert "not run: the table nasbench201 is not imported: opselect table import nasbench201 PATH" in output
    assert "not run: no run of zero-cost-pt on nasbench201" in output
    assert max(len(line) for line in output.splitlines()) <= 120
    found = json.loads(opselect("published", "--json")[1])
    assert found["verdicts"] == {"reproduced": 3, "differs": 0, "not run": numbers - 3, "not comparable": 0}
    assert len(found["rows"]) == numbers
    assert {row["source"] for row in found["rows"]} == set(load_packaged().sources)


def test_runs_are_found_and_bad_ones_passed_over(opselect: CommandLine, in_an_empty_world: Path) -> None:
    good = written(in_an_empty_world / "runs" / "good", *(record(94.0 + seed / 10, seed) for seed in range(4)))
    written(in_an_empty_world / "runs" / "empty")
    (in_an_empty_world / "runs" / "scores").mkdir()
    status, output, error = opselect("published")
    assert status == 0
    assert error.startswith("passed over: runs/empty/records.jsonl: no record of any selector and seed")
    assert error.count("\n") == 1
    rows = [row for row in json.loads(opselect("published", "--json")[1])["rows"] if row["origin"]]
    row = next(row for row in rows if row["source"] == "ZC-PT lookups")
    assert (row["origin"], row["verdict"], row["n"]) == ("mine of runs/good", "reproduced", 4)
    assert row["difference"] == pytest.approx(0.148)
    assert "94.15 (4)" in output and "+0.15 (0.50)" in output and "mine of runs/good" in output
    # Named, a folder that cannot be read is an error.
    for folder in ("runs/empty", "runs/scores", "nowhere"):
        status, output, error = opselect("published", good, folder)
        assert (status, output) == (2, "")
        assert error.startswith(f"opselect: {folder}/records.jsonl: ") and error.count("\n") == 1
    assert opselect("published", good)[0] == 0
