"""The table of published values beside ours, and how published values are written."""

from collections.abc import Iterable
from dataclasses import dataclass

from opselect.bench.published.compare import Row, compare_with_published
from opselect.bench.published.numbers import Number, load_packaged
from opselect.bench.report.formatting import listed, mean_and_deviation
from opselect.bench.report.render import UNDEFINED, Block, Cell, Column, Table, number
from opselect.bench.runs.trials import Trials
from opselect.bench.statistics import Mean


@dataclass(frozen=True)
class PublishedLine:
    """One number of ours beside a published one.

    Attributes:
        label: the selector.
        measure: what both are numbers of.
        dataset: on which.
        unit: of both, empty where they have none.
        ours: mean over seeds.
        published: the published value.
        published_deviation: its standard deviation over seeds, where that is known.
        published_seeds: how many there were, where that is known.
        differences: settings in which ours differs, with the published ones in brackets; nothing is judged then.
        tolerance: how far apart both may lie.
        verdict: reproduced, differs or not comparable.
        note: where definitions differ, or what was printed.
        source: what notes call the source.
        citation: of the source.
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


def published_table(trials: Trials) -> Table:
    """What was published of the selectors on this space, beside what they reach here, one row a published number."""
    rows = compare_with_published(load_packaged(), trials)
    sources = {row.source.id: row.source.text for row in rows}
    measures = dict.fromkeys(published_measure(row.number) for row in rows)
    return Table(
        name="published",
        title="Beside published values",
        columns=(
            Column("Selector", numeric=False),
            Column("Ours"),
            Column("n"),
            Column("Published"),
            Column("Tolerance"),
            Column("Settings that differ: ours (published)", numeric=False, share=0.23),
            Column("Source", numeric=False),
            Column("Verdict", numeric=False),
        ),
        blocks=tuple(
            Block(name, tuple(_published_cells(row) for row in rows if published_measure(row.number) == name))
            for name in measures
        ),
        notes=(
            (
                "Published values were measured by others and stand in a column of their own: value ± standard "
                "deviation over seeds, where it is known (number of seeds)."
            ),
            (
                "Reproduced: the settings agree, and ours is at most the tolerance away. Where settings differ or are "
                "not known nothing is judged; another proxy is another method."
            ),
            *(f"{name}: {text}." for name, text in sources.items()),
            *_published_notes(rows),
        ),
        data=[_published_line(row) for row in rows],
    )


def _published_notes(rows: Iterable[Row]) -> list[str]:
    """What is to know about single values: each note once, after the values that it is about."""
    values: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.number.note:
            value = number(row.number.value, row.number.definition.decimals)
            values.setdefault((row.source.id, row.number.note), {})[value] = None
    return [f"{listed(found)} ({source}): {note}." for (source, note), found in values.items()]


def _published_cells(row: Row) -> tuple[Cell, ...]:
    published, ours = row.number, row.ours
    assert ours is not None
    return (
        Cell(row.origin),
        Cell(mean_and_deviation(ours, published.definition.decimals)),
        Cell(str(ours.n)),
        Cell(published_value(published)),
        Cell(number(published.tolerance, published.definition.decimals)),
        Cell(_differing(row) or UNDEFINED),
        Cell(row.source.id),
        Cell(row.verdict),
    )


def _differing(row: Row) -> str:
    return ", ".join(f"{each.name} = {each.ours or 'none'} ({each.published})" for each in row.differences)


def published_measure(published: Number) -> str:
    """What was measured and on which dataset, for example `test accuracy, cifar10 (%)`."""
    best = "best of the seeds" if published.over_seeds == "best" else ""
    parts = [published.definition.short, *(published.dataset or ())[:1], best]
    unit = f" ({published.definition.unit})" if published.definition.unit else ""
    return ", ".join(part for part in parts if part) + unit


def published_value(published: Number) -> str:
    """The value, its deviation and its seeds where they are known, for example `94.00 ± 0.47 (4)`."""
    decimals = published.definition.decimals
    spread = "" if published.deviation is None else f" ± {number(published.deviation, decimals)}"
    seeds = "" if published.seeds is None else f" ({published.seeds})"
    return f"{number(published.value, decimals)}{spread}{seeds}"


def _published_line(row: Row) -> PublishedLine:
    published = row.number
    assert row.ours is not None
    return PublishedLine(
        label=row.origin,
        measure=published.measure,
        dataset=published.dataset[0] if published.dataset else "",
        unit=published.definition.unit,
        ours=row.ours,
        published=published.value,
        published_deviation=published.deviation,
        published_seeds=published.seeds,
        differences=_differing(row),
        tolerance=published.tolerance,
        verdict=row.verdict,
        note=published.note,
        source=row.source.id,
        citation=row.source.citation,
    )
