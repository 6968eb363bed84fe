"""Cells that are drawn from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from opselect.spaces.darts.genotypes import format_genotype, library
from tests.bench.cli.examples import EMPTY_CELL, refused

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("in_tiny_world", "in_a_folder_of_its_own")


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


def test_a_cell_is_drawn_without_a_space_or_a_file_to_be_named(opselect: CommandLine) -> None:
    assert opselect("draw", EMPTY_CELL) == (0, "figure: cell.pdf\n", "")
    assert opselect("draw", EMPTY_CELL, "--space", "nasbench201", "-o", "named.pdf")[0] == 0
    assert Path("cell.pdf").read_bytes() == Path("named.pdf").read_bytes()
    found = json.loads(opselect("draw", EMPTY_CELL, "--json")[1])
    assert found == {"figure": "cell.pdf", "space": "nasbench201", "architecture": EMPTY_CELL}
    assert opselect("draw", "DARTS_V1") == (0, "figure: DARTS_V1.pdf\n", "")
    assert "1 node(s) joined by '+', expected 3" in refused(opselect("draw", "|none~0|"))
    assert refused(opselect("draw", "darts_v2")).startswith("no genotype named 'darts_v2'; did you mean 'DARTS_V2'?")
    assert refused(opselect("draw", "DARTS_V2", "--space", "dart")).startswith("no space named 'dart'; did you mean")


def test_proxies_print_their_agreement_and_have_a_folder_by_default(opselect: CommandLine) -> None:
    arguments = ("proxies", "--table", "additive", "--images", "tiny", "--sample", "12", "-p", "params", "-w", "1")
    arguments += ("--batch-size", "16")
    status, output, error = opselect(*arguments)
    assert status == 0
    assert "Proxies and digits test accuracy after 10 epochs" in output
    assert "scores: runs/proxies-additive/scores.jsonl" in output
    assert error.splitlines()[-1].startswith("architectures: ")
    found = json.loads(opselect(*arguments, "--json")[1])
    (rows,) = found["agreement"].values()
    assert [row["proxy"] for row in rows] == ["params"]
    assert rows[0]["spearman"]["n"] == 12


def test_a_training_counts_its_epochs_and_leaves_no_trace_of_them(opselect: CommandLine) -> None:
    small = ("--images", "tiny", "--channels", "2", "--cells", "3", "--set", "epochs=2", "--set", "batch_size=16")
    arguments = ("train", "DARTS_V2", *small, "--set", "auxiliary_weight=0")
    status, output, error = opselect(*arguments)
    assert status == 0
    assert "records: runs/trained/trainings.jsonl" in output
    lines = [line.partition(";")[0] for line in error.splitlines()]
    assert lines[0] == "networks: 0 of 1, epoch 0 of 2"
    assert lines[-1] == "networks: 1 of 1"
    assert {path.suffix for path in Path("runs/trained/checkpoints").iterdir()} == {".pt"}
    assert opselect(*arguments, "--quiet")[2] == ""
