"""Comparing commands on the command line."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

RESULTS = Path(__file__).parents[3] / "results"


@pytest.mark.usefixtures("in_a_folder_of_its_own")
def test_published_leaves_long_paths_whole_where_there_is_no_terminal(opselect: CommandLine) -> None:
    folder = Path("a_long_name_of_a_folder_with_many_words_in_it/and_another_one_that_is_as_long/selection")
    shutil.copytree(RESULTS / "nasbench201" / "selection", folder, ignore=shutil.ignore_patterns("figures", "tables"))
    status, output, _ = opselect("published", folder)
    assert status == 0
    assert str(folder) in output
    assert "…" not in output
