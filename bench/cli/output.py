"""Output of commands: JSON, progress, pages, and the trainings that failed."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from opselect.bench.evaluation.networks import TrainingRecord
    from opselect.bench.runs.runner import Progress

PAGE_WIDTH = 118


def print_json(value: Any) -> None:
    """Print a value as indented JSON; objects of types that JSON lacks are written as text."""
    print(json.dumps(value, indent=2, default=str))


def page_console() -> "Console":
    """Console of the standard output; where that is no terminal, lines are as long as a page is wide."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=PAGE_WIDTH)


@contextmanager
def progress_bars() -> "Iterator[Progress]":
    """Show one progress bar per kind of work on the error stream; where that is no terminal, a line per tenth."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        printed: dict[str, int] = {}

        def print_line(what: str, done: int, total: int) -> None:
            tenth = 10 * done // max(total, 1)
            if printed.get(what) != tenth:
                printed[what] = tenth
                print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)

        yield print_line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield update


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
