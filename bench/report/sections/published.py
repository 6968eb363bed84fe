"""Published values and ours: a table of the report, and what the command `opselect published` prints."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from opselect.bench.published.compare import VERDICTS, Row, compare_with_published
from opselect.bench.published.numbers import Number, load_packaged
from opselect.bench.report.formatting import UNDEFINED, interval, listing, mean_and_deviation, number
from opselect.bench.report.render import Block, Column, Table, terminal
from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import Mean

STYLES = {"reproduced": "green", "differs": "bold red", "not run": "dim", "not comparable": "yellow"}


@dataclass(frozen=True)
class PublishedLine:
    """One number of ours and a published one.

    Attributes:
        label: Label of the selector.
        measure: What both are numbers of.
        dataset: Dataset on which both were measured.
        unit: Unit of both, empty where they have none.
        ours: Our mean over seeds.
        published: The published value.
        published_deviation: Its standard deviation over seeds, where that is known.
        published_seeds: Its number of seeds, where that is known.
        differences: Settings in which ours differs, with the published ones in brackets; nothing is judged then.
        tolerance: How far apart both may lie.
        verdict: Reproduced, differs or not comparable.
        note: Difference between the definitions, or the number as it was printed.
        source: What notes call the source.
        citation: Citation of the source.
    """

    label: str
    measure: str
    dataset: str
    unit: str
    ours: Mean
    published: float
    published_deviation: float | None
    published_seeds: int | None
    differences: str
    tolerance: float | None
    verdict: str
    note: str
    source: str
    citation: str


def published_table(run: Run) -> Table[Row]:
    """What was published of the selectors on this space and what they reach here, one row per published number."""
    rows = compare_with_published(load_packaged(), run)
    sources = {row.source.id: row.source.text for row in rows}
    return Table(
        name="published",
        title="Beside published values",
        columns=(
            Column("Selector", show=lambda row: row.origin, numeric=False, key="label"),
            Column(
                "Ours",
                show=lambda row: mean_and_deviation(_mean(row), row.number.definition.decimals),
                legend="ours: mean over n seeds",
            ),
            Column(
                "n",
                show=lambda row: str(_mean(row).n),
                key="ours_n",
            ),
            Column(
                "Published",
                show=lambda row: published_value(row.number),
                legend="published: value ± its deviation (number of seeds) where they are known",
            ),
            Column(
                "Tolerance",
                show=lambda row: number(row.number.tolerance, row.number.definition.decimals),
                short="Tol.",
                priority=3,
            ),
            Column(
                "Settings that differ: ours (published)",
                show=lambda row: _differences(row) or UNDEFINED,
                numeric=False,
                key="differences",
                priority=4,
            ),
            Column("Source", show=lambda row: row.source.id, numeric=False, priority=2),
            Column("Verdict", show=lambda row: row.verdict, numeric=False),
        ),
        blocks=[Block(name, group) for name, group in _group(rows, lambda row: published_measure(row.number))],
        notes=(
            "Published values were measured by others and stand in a column of their own: value ± standard "
            "deviation over seeds, where it is known (number of seeds).",
            "Reproduced: the settings agree, and ours is at most the tolerance away. Where settings differ or are "
            "not known nothing is judged; another proxy is another method.",
            *(f"{name}: {text}." for name, text in sources.items()),
            *_value_notes(rows),
        ),
        data=[_line(row) for row in rows],
        optional=True,
    )


def _mean(row: Row) -> Mean:
    assert row.ours is not None
    return row.ours


def _value_notes(rows: Iterable[Row]) -> list[str]:
    """Notes on single values: each note once, after the values that it concerns."""
    values: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.number.note:
            value = number(row.number.value, row.number.definition.decimals)
            values.setdefault((row.source.id, row.number.note), {})[value] = None
    return [f"{listing(texts)} ({source}): {note}." for (source, note), texts in values.items()]


def _differences(row: Row) -> str:
    return listing(f"{setting.name} = {setting.ours or 'none'} ({setting.published})" for setting in row.differences)


def _line(row: Row) -> PublishedLine:
    published = row.number
    return PublishedLine(
        label=row.origin,
        measure=published.measure,
        dataset=published.dataset[0] if published.dataset else "",
        unit=published.definition.unit,
        ours=_mean(row),
        published=published.value,
        published_deviation=published.deviation,
        published_seeds=published.seeds,
        differences=_differences(row),
        tolerance=published.tolerance,
        verdict=row.verdict,
        note=published.note,
        source=row.source.id,
        citation=row.source.citation,
    )


def published_measure(published: Number) -> str:
    """What was measured and on which dataset, for example `test accuracy, cifar10 (%)`."""
    best = "best of the seeds" if published.over_seeds == "best" else ""
    parts = [published.definition.short, *(published.dataset or ())[:1], best]
    unit = f" ({published.definition.unit})" if published.definition.unit else ""
    return listing(part for part in parts if part) + unit


def published_value(published: Number) -> str:
    """The value, its deviation and its seeds where they are known, for example `94.00 ± 0.47 (4)`."""
    decimals = published.definition.decimals
    spread = "" if published.deviation is None else f" ± {number(published.deviation, decimals)}"
    seeds = "" if published.seeds is None else f" ({published.seeds})"
    return f"{number(published.value, decimals)}{spread}{seeds}"


def print_comparison(rows: Sequence[Row], console: Console) -> None:
    """Print the rows, by space and within it by source, and how many have which verdict.

    What is compared stands in a table; what was not run follows in short lines, by what is missing.

    Args:
        rows: Rows in the order of the file of numbers.
        console: Console to print on; lines are as long as it is wide.
    """
    for space, of_space in _group(rows, lambda row: row.number.space):
        console.print(Text(f"{space}\n", "bold"))
        for source, of_source in _group(of_space, lambda row: row.source.id):
            console.print(Text.assemble((source, "bold"), f": {of_source[0].source.text}"))
            if compared := [row for row in of_source if row.ours is not None]:
                console.print(terminal(Table("", "", COMPARED_COLUMNS, [Block("", compared)])))
            for reason, not_run in _group([row for row in of_source if row.ours is None], lambda row: row.reason):
                console.print(Text.assemble(("not run", STYLES["not run"]), f": {reason}"))
                console.print(terminal(Table("", "", NOT_RUN_COLUMNS, [Block("", not_run)])))
            console.print()
    console.print(Text(verdict_summary(rows)))


def verdict_summary(rows: Iterable[Row]) -> str:
    """Numbers of rows by verdict, in one line."""
    words = {"differs": "differ"}
    return listing(f"{count} {words.get(verdict, verdict)}" for verdict, count in verdict_counts(rows).items())


def verdict_counts(rows: Iterable[Row]) -> dict[str, int]:
    """Number of rows by verdict."""
    verdicts = [row.verdict for row in rows]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def row_data(row: Row) -> dict[str, Any]:
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


def _group(rows: Iterable[Row], key: Callable[[Row], str]) -> list[tuple[str, list[Row]]]:
    """Group rows by key, both in order of first appearance."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.items())


def _subject(published: Number) -> str:
    """The method or architecture and the measure, for example `zero-cost-pt, test accuracy, cifar10 (%)`."""
    return listing(part for part in (published.method or published.architecture, published_measure(published)) if part)


def _subject_and_conditions(row: Row) -> Text:
    needs = _conditions(row.number)
    return Text.assemble(_subject(row.number), (f"\n{needs}" if needs else "", "dim"))


def _conditions(published: Number) -> str:
    """The settings that a run must have; the recipe of supernet training by its name."""
    settings = [f"{name} = {' or '.join(map(str, values))}" for name, values in published.settings.items()]
    return listing([*settings, *([f"training {published.training}"] if published.training else [])])


def _ours(row: Row) -> str:
    """The value; where it is a mean, its number of seeds, and its interval on a line of its own."""
    ours, decimals = _mean(row), row.number.definition.decimals
    value = number(ours.value, decimals)
    if row.number.method is None:
        return value
    return f"{value} ({ours.n})" + (f"\n{interval(ours, decimals)}" if ours.low is not None else "")


def _distance(row: Row) -> str:
    if row.difference is None or row.number.tolerance is None:
        return UNDEFINED
    decimals = row.number.definition.decimals
    sign = "+" if round(row.difference, decimals) > 0 else ""
    return f"{sign}{number(row.difference, decimals)} ({number(row.number.tolerance, decimals)})"


def _verdict_and_remarks(row: Row) -> Text:
    """The verdict, then where ours comes from, what to know about it, and where definitions differ, a line each."""
    remarks = "".join(f"\n{remark}" for remark in (row.origin, row.reason, row.number.note) if remark)
    return Text.assemble((row.verdict, STYLES[row.verdict]), remarks)


COMPARED_COLUMNS: Sequence[Column[Row]] = (
    Column("Number", show=_subject_and_conditions, numeric=False, wraps=True),
    Column("Published", show=lambda row: published_value(row.number)),
    Column("Ours", show=_ours),
    Column("Apart (tolerance)", show=_distance, wraps=True),
    Column("Verdict", show=_verdict_and_remarks, numeric=False, wraps=True),
)
NOT_RUN_COLUMNS: Sequence[Column[Row]] = (
    # The indentation.
    Column("", show=lambda row: " ", numeric=False),
    Column("", show=lambda row: _subject(row.number), numeric=False, wraps=True),
    Column("", show=lambda row: published_value(row.number)),
    Column("", show=lambda row: _conditions(row.number), numeric=False, wraps=True, style="dim"),
)
