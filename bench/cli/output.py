"""Output of commands: JSON, tables, and the trainings that failed."""

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from opselect.bench.evaluation.networks import TrainingRecord
    from opselect.bench.runs.run import Run

PAGE_WIDTH = 118
"""Characters of a line where the output is no terminal."""

USUAL_WORD = 20
"""Characters of the longest word that every column of a page has room for; longer ones get twice as much more, since
all columns that may break lines share what there is."""


def print_json(value: Any) -> None:
    """Print a value as indented JSON; objects of types that JSON lacks are written as text."""
    print(json.dumps(value, indent=2, default=str))


def page_console(longest_word: int = 0) -> "Console":
    """Console of the standard output; where that is no terminal, lines are as long as a page is wide.

    Args:
        longest_word: Characters of the longest word in a column of a table, a path for example. Where there is no
            terminal, lines are as much longer as it takes to leave such a word whole, which others may want to copy.
    """
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=PAGE_WIDTH + 2 * max(longest_word - USUAL_WORD, 0))


def print_summary(run: "Run") -> None:
    """Print the main table of a run, and which trials it lacks."""
    from opselect.bench.report.render import terminal
    from opselect.bench.report.sections.summary import missing_sentence, summary_table

    print()
    page_console().print(terminal(summary_table(run)))
    if missing := missing_sentence(run):
        print(missing)


def exit_if_networks_failed(records: "Iterable[TrainingRecord]") -> None:
    """Print which trainings failed and why, and exit with status 1 if there are any."""
    failed = [record for record in records if record.result is None]
    for record in failed:
        print(
            f"failed: training of {record.network.genotype}, seed {record.network.seed}: {record.reason}",
            file=sys.stderr,
        )
    if failed:
        raise typer.Exit(1)
