"""Published values and ours: a table of the report, and what the command `opselect published` prints."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from opselect.bench.published.compare import BASES, VERDICTS, Row, compare_with_published
from opselect.bench.published.numbers import Number, load_packaged
from opselect.bench.report.formatting import UNDEFINED, listing, mean_and_deviation, number
from opselect.bench.report.render import Block, Column, Table, terminal
from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import Mean

STYLES = {
    "reproduced": "green",
    "differs": "bold red",
    "inconclusive": "yellow",
    "agrees under other settings": "cyan",
    "differs under other settings": "magenta",
    "not comparable": "yellow",
    "not run": "dim",
}


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
        difference: Ours minus the published value.
        tolerance: How far apart both may lie; None where nothing is judged.
        basis: Spreads over seeds that the tolerance follows from, or that it is declared; empty where there is none.
        differences: Settings in which ours differs, with the published ones in brackets.
        verdict: Result of the comparison, one of `VERDICTS`.
        remark: Trials that are not in our mean; may be empty.
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
    difference: float | None
    tolerance: float | None
    basis: str
    differences: str
    verdict: str
    remark: str
    note: str
    source: str
    citation: str


def published_table(run: Run) -> Table[Row]:
    """What was published of the selectors on this space and what they reach here, one row per published number."""
    rows = compare_with_published(load_packaged(), run)
    used_bases = {row.tolerance.basis for row in rows if row.tolerance is not None}
    used_verdicts = {row.verdict for row in rows}
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
            Column("n", show=lambda row: str(_mean(row).n), key="ours_n"),
            Column(
                "Published",
                show=lambda row: published_value(row.number),
                legend="published: value ± its deviation (number of seeds) where they are known",
            ),
            Column("Difference", show=_distance, legend="difference: ± what chance explains in 95 of 100 cases"),
            Column("± from", show=_basis, numeric=False, priority=3),
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
            "Difference: ours minus published, ± how far apart two such means of one quantity lie by chance in 95 of "
            f"100 cases if values are normal. {_meanings(BASES, used_bases)} The ± is not corrected for the number of "
            "rows.",
            f"Verdicts. {_meanings(VERDICTS, used_verdicts)} Another proxy is another method, and is left out.",
            *_remarks(rows),
            *(f"{name}: {text}." for name, text in sources.items()),
            *_value_notes(rows),
        ),
        data=[_line(row) for row in rows],
        optional=True,
    )


def _meanings(meanings: Mapping[Any, str], used: Collection[str]) -> str:
    """What the words that are used mean, a sentence each."""
    return " ".join(f"{word.capitalize()}: {meaning}." for word, meaning in meanings.items() if word in used)


def _remarks(rows: Iterable[Row]) -> list[str]:
    """By selector, the trials that are not in its mean, each once."""
    remarks = dict.fromkeys((row.origin, row.reason) for row in rows if row.reason)
    return [f"{label}: {remark}." for label, remark in remarks]


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
        difference=row.difference,
        tolerance=None if row.tolerance is None else row.tolerance.value,
        basis=_basis(row),
        differences=_differences(row),
        verdict=row.verdict,
        remark=row.reason,
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
    """Print the rows, by space and within it by source, how many have which verdict, and what the words mean.

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
    console.print(Text(WORDS), end="\n\n")
    console.print(Text(verdict_summary(rows)))


def verdict_summary(rows: Iterable[Row]) -> str:
    """Numbers of rows by verdict, in one line."""
    counts = verdict_counts(rows).items()
    plural = {"agrees": "agree", "differs": "differ"}
    words = {verdict: " ".join(plural.get(word, word) for word in verdict.split()) for verdict, _ in counts}
    return listing(f"{count} {words[verdict]}" for verdict, count in counts)


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
        "reading": list(published.reading),
        "training": published.training,
        "network": published.network,
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
        "tolerance": row.tolerance and row.tolerance.value,
        "basis": row.tolerance and row.tolerance.basis,
        "differences": [asdict(setting) for setting in row.differences],
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
    """The variant of the method, and the recipes of supernet training and of training networks by their names."""
    settings = [f"{name} = {' or '.join(map(str, values))}" for name, values in published.settings.items()]
    training = [f"training {published.training}"] if published.training else []
    return listing([*settings, *training])


def _ours(row: Row) -> str:
    """The value; where it is a mean over seeds, with its deviation and its number of seeds."""
    ours, decimals = _mean(row), row.number.definition.decimals
    if row.number.method is None:
        return number(ours.value, decimals)
    return f"{mean_and_deviation(ours, decimals)} ({ours.n})"


def _distance(row: Row) -> str:
    """The difference with its tolerance, for example `−1.40 ± 1.41`; a dash where nothing is judged."""
    if row.difference is None or row.tolerance is None:
        return UNDEFINED
    decimals = row.number.definition.decimals
    sign = "+" if round(row.difference, decimals) > 0 else ""
    return f"{sign}{number(row.difference, decimals)} ± {number(row.tolerance.value, decimals)}"


def _basis(row: Row) -> str:
    return "" if row.tolerance is None else row.tolerance.basis


def _verdict_and_remarks(row: Row) -> Text:
    """The verdict, then where ours comes from, in what it differs, what to know about it, and notes, a line each."""
    differences = f"differs in {_differences(row)}" if row.differences else ""
    lines = (row.origin, differences, row.reason, row.number.note)
    return Text.assemble((row.verdict, STYLES[row.verdict]), "".join(f"\n{line}" for line in lines if line))


WORDS = "\n".join(
    (
        "Published and ours: mean ± sample standard deviation over seeds (number of seeds), where they are known.",
        "Difference: ours minus published, ± how far apart two such means of one quantity lie by chance in 95 of 100",
        "cases if values are normal; over many rows some differ by chance. Below it stands what the ± follows from:",
        *(f"  {basis}: {meaning}" for basis, meaning in BASES.items()),
        "Verdicts, and settings in which ours differs, with the published ones in brackets:",
        *(f"  {verdict}: {meaning}" for verdict, meaning in VERDICTS.items()),
    )
)
COMPARED_COLUMNS: Sequence[Column[Row]] = (
    Column("Number", show=_subject_and_conditions, numeric=False, wraps=True),
    Column("Published", show=lambda row: published_value(row.number)),
    Column("Ours", show=_ours),
    Column("Difference", show=lambda row: "\n".join(filter(None, (_distance(row), _basis(row))))),
    Column("Verdict", show=_verdict_and_remarks, numeric=False, wraps=True),
)
NOT_RUN_COLUMNS: Sequence[Column[Row]] = (
    # The indentation.
    Column("", show=lambda row: " ", numeric=False),
    Column("", show=lambda row: _subject(row.number), numeric=False, wraps=True),
    Column("", show=lambda row: published_value(row.number)),
    Column("", show=lambda row: _conditions(row.number), numeric=False, wraps=True, style="dim"),
)
