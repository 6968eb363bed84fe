"""How published numbers and ours are printed: for the terminal, and as plain data."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from opselect.bench.published.compare import VERDICTS, Row
from opselect.bench.published.numbers import Number
from opselect.bench.report.formatting import interval
from opselect.bench.report.published_tables import published_measure, published_value
from opselect.bench.report.render import UNDEFINED, number

STYLES = {"reproduced": "green", "differs": "bold red", "not run": "dim", "not comparable": "yellow"}


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the rows, by space and within it by source, and how many have which verdict.

    What is compared stands in a table; what was not run follows in short lines, by what is missing.

    Args:
        rows: in the order of the file of numbers.
        console: to print on; lines are as long as it is wide.
    """
    for space, here in _grouped(rows, lambda row: row.number.space):
        console.print(Text(f"{space}\n", "bold"))
        for source, group in _grouped(here, lambda row: row.source.id):
            console.print(Text.assemble((source, "bold"), f": {group[0].source.text}"))
            if compared := [row for row in group if row.ours is not None]:
                console.print(_compared(compared))
            for reason, lacking in _grouped([row for row in group if row.ours is None], lambda row: row.reason):
                console.print(Text.assemble(("not run", STYLES["not run"]), f": {reason}"))
                console.print(_not_run(lacking))
            console.print()
    console.print(Text(summary(rows)))


def summary(rows: Iterable[Row]) -> str:
    """How many rows have which verdict, in one line."""
    counts = count(rows)
    words = {"differs": "differ"}
    return ", ".join(f"{counts[verdict]} {words.get(verdict, verdict)}" for verdict in VERDICTS)


def count(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows have each verdict."""
    found = [row.verdict for row in rows]
    return {verdict: found.count(verdict) for verdict in VERDICTS}


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON data; numbers are not rounded."""
    published, ours = row.number, row.ours
    return {
        "space": published.space,
        "source": row.source.id,
        "citation": row.source.citation,
        "obtained": row.source.obtained,
        "verified": row.source.verified,
        "measure": published.measure,
        "unit": published.definition.unit,
        "dataset": list(published.dataset or ()),
        "method": published.method,
        "architecture": published.architecture,
        "settings": published.settings,
        "training": published.training,
        "images": list(published.images or ()),
        "over_seeds": published.over_seeds,
        "published": published.value,
        "published_deviation": published.deviation,
        "published_seeds": published.seeds,
        "ours": ours and ours.value,
        "ours_low": ours and ours.low,
        "ours_high": ours and ours.high,
        "ours_deviation": ours and ours.deviation,
        "n": ours and ours.n,
        "origin": row.origin,
        "difference": row.difference,
        "tolerance": published.tolerance,
        "verdict": row.verdict,
        "reason": row.reason,
        "note": published.note,
    }


def _grouped(rows: Iterable[Row], key: Callable[[Row], str]) -> list[tuple[str, list[Row]]]:
    """The rows by key, both in order of first appearance."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.items())


def _compared(rows: Iterable[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("Number", ratio=5)
    table.add_column("Published", justify="right", no_wrap=True)
    table.add_column("Ours", justify="right", no_wrap=True)
    table.add_column("Apart (tolerance)", justify="right", ratio=2)
    table.add_column("Verdict", ratio=6)
    for row in rows:
        needs = conditions(row.number)
        table.add_row(
            Text.assemble(what(row.number), (f"\n{needs}" if needs else "", "dim")),
            published_value(row.number),
            _ours(row),
            _apart(row),
            Text.assemble((row.verdict, STYLES[row.verdict]), _remarks(row)),
        )
    return table


def _not_run(rows: Iterable[Row]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column("", width=1)
    table.add_column("Number", ratio=4)
    table.add_column("Published", justify="right", no_wrap=True)
    table.add_column("Needs", ratio=5, style="dim")
    for row in rows:
        table.add_row("", what(row.number), published_value(row.number), conditions(row.number))
    return table


def what(published: Number) -> str:
    """The method or architecture and the measure, for example `zero-cost-pt, test accuracy, cifar10 (%)`."""
    return ", ".join(
        part for part in (published.method or published.architecture, published_measure(published)) if part
    )


def conditions(published: Number) -> str:
    """The settings that a run must have; the recipe of supernet training by its name."""
    settings = [f"{name} = {' or '.join(map(str, values))}" for name, values in published.settings.items()]
    return ", ".join([*settings, *([f"training {published.training}"] if published.training else [])])


def _ours(row: Row) -> str:
    """The value; where it is a mean, its number of seeds, and its interval on a line of its own."""
    if row.ours is None:
        return UNDEFINED
    decimals = row.number.definition.decimals
    value = number(row.ours.value, decimals)
    if row.number.method is None:
        return value
    return f"{value} ({row.ours.n})" + (f"\n{interval(row.ours, decimals)}" if row.ours.low is not None else "")


def _apart(row: Row) -> str:
    if row.difference is None or row.number.tolerance is None:
        return UNDEFINED
    decimals = row.number.definition.decimals
    sign = "+" if round(row.difference, decimals) > 0 else ""
    return f"{sign}{number(row.difference, decimals)} ({number(row.number.tolerance, decimals)})"


def _remarks(row: Row) -> str:
    """Where ours comes from, what to know about it, and where definitions differ, a line each."""
    return "".join(f"\n{remark}" for remark in (row.origin, row.reason, row.number.note) if remark)
