"""`opselect published` finds runs and says what it makes of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from opselect.bench.published.compare import BASES, VERDICTS
from opselect.bench.published.numbers import load_packaged
from opselect.bench.runs.records import Record
from tests.bench.published.examples import AS_THE_CODE, CROPS, record

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
proxy = "PROXY"
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
    proxy = records[0].trial.settings["proxy"] if records else "nwot"
    (folder / "experiment.toml").write_text(EXPERIMENT.replace("PROXY", proxy))
    (folder / "records.jsonl").write_text("".join(f"{each.model_dump_json()}\n" for each in records))
    return folder


@pytest.mark.usefixtures("in_an_empty_world")
def test_without_runs_and_tables_next_to_nothing_was_run(opselect: CommandLine) -> None:
    status, output, error = opselect("published")
    assert (status, error) == (0, "")
    numbers = len(load_packaged().numbers)
    assert " ".join(output.splitlines()[-2:]).strip() == (
        "3 reproduced, 0 differ, 0 inconclusive, 0 agree under other settings, 0 differ under other settings, "
        f"0 not comparable, {numbers - 3} not run"
    )
    assert "not run: the table nasbench201 is not imported: opselect table import nasbench201 PATH" in output
    assert "not run: no run of zero-cost-pt on nasbench201" in output
    assert max(len(line) for line in output.splitlines()) <= 120
    found = json.loads(opselect("published", "--json")[1])
    assert found["verdicts"] == dict.fromkeys(VERDICTS, 0) | {"reproduced": 3, "not run": numbers - 3}
    assert len(found["rows"]) == numbers
    assert {row["source"] for row in found["rows"]} == set(load_packaged().sources)


def test_runs_are_found_and_bad_ones_passed_over(opselect: CommandLine, in_an_empty_world: Path) -> None:
    records = [record(94.0 + seed / 10, seed, settings=AS_THE_CODE, augmentation=CROPS) for seed in range(4)]
    good = written(in_an_empty_world / "runs" / "good", *records)
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
    assert (
        "94.15 ± 0.13 (4)" in output
        and "+0.15 ± 0.72" in output
        and "both spreads" in output
        and "mine of runs/good" in output
    )
    # Named, a folder that cannot be read is an error.
    for folder in ("runs/empty", "runs/scores", "nowhere"):
        status, output, error = opselect("published", good, folder)
        assert (status, output) == (2, "")
        assert error.startswith(f"opselect: {folder}/records.jsonl: ") and error.count("\n") == 1
    assert opselect("published", good)[0] == 0


@pytest.mark.usefixtures("in_an_empty_world")
def test_help_and_output_define_every_verdict(opselect: CommandLine) -> None:
    status, output, _ = opselect("published")
    assert status == 0
    said = " ".join(output.split())
    for word, meaning in {**VERDICTS, **BASES}.items():
        assert f"{word}: {meaning}" in said
    status, output, _ = opselect("published", "--help")
    said = " ".join(output.split())
    assert status == 0
    for words in (*VERDICTS, "runs|means"):
        assert words.replace("agrees under", "agrees or differs under") in said, words


def test_a_part_of_the_images_and_older_readings_are_named_in_every_row(
    opselect: CommandLine, in_an_empty_world: Path
) -> None:
    trials = [record(94.0 + seed / 10, seed, images="cifar10_subset.npz") for seed in range(4)]
    written(in_an_empty_world / "runs" / "part", *trials)
    rows = [row for row in json.loads(opselect("published", "--json")[1])["rows"] if row["method"] and row["origin"]]
    assert len(rows) > 3
    for row in rows:
        named = {difference["name"]: difference["ours"] for difference in row["differences"]}
        assert named["images"] == "cifar10_subset.npz"
        assert named.get("augmented") == (None if row["source"] == "ZiCo" else "false")
        assert row["verdict"] in ("agrees under other settings", "not comparable")
    assert opselect("published")[1].count("cifar10_subset.npz") == len(rows)
