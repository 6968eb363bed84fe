"""Cells that are drawn from the command line."""

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
