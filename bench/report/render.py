"""Tables as they are declared, and their forms in Markdown, CSV and the terminal; latex.py and page.html have others.

A column carries its cell: what it shows of a row, and by which number it ranks the rows. A table is its columns and its
rows, and cells are computed only here, so that a heading and its cells cannot get out of step. Names may hold any
character: each form escapes what it must.
"""

import csv
import dataclasses
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from opselect.bench.report.formatting import interval, mean_and_deviation, median_legend, number
from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import Mean, Median
from opselect.selectors.task import Role
from opselect.spaces.errors import printable

Mark: TypeAlias = Literal["", "best", "runner-up"]
Direction: TypeAlias = Literal["", "↑", "↓"]
Row = TypeVar("Row")


@runtime_checkable
class Labelled(Protocol):
    """A row about one selector."""

    @property
    def label(self) -> str:
        """Label of the selector."""


LabelledRow = TypeVar("LabelledRow", bound=Labelled)

ROLE_BLOCKS: Sequence[tuple[str, Role]] = (
    ("", "selector"),
    ("Floor: a random choice", "random"),
    ("Ceiling: oracles that read the table's validation accuracies", "oracle"),
)

LONGEST_FILE_NAME = 100

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#$])")
# What begins a list, a heading or a rule where it stands at the beginning of a line.
_MARKDOWN_BEGINNING = re.compile(r"^([-+=]|[0-9]+[.)](?=\s|$))")
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Cell:
    """A text, and whether it is the best of its column."""

    text: str
    mark: Mark = ""


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column with its cells.

    Attributes:
        heading: Heading of the column.
        unit: Unit of its numbers, empty where they have none.
        better: Direction in which its numbers are better, empty where neither is.
        show: Text of a row's cell, with styles for the terminal; a cell where something else than `rank` marks it.
        rank: Number of a row by which the best rows are marked; None where nothing is ranked.
        decimals: Decimals to which numbers are rounded before they are ranked, those that are shown.
        numeric: Whether it holds numbers, which are set flush right.
        wraps: Whether its texts may be broken into lines on the terminal.
        style: Style of its texts on the terminal.
        shown: Whether the records have what it shows.
        key: Name of what it shows in the CSV file, by which `--columns` chooses it; by default made of the heading.
        short: Abbreviated heading for narrow tables of papers; empty where the heading is short.
        priority: Where a table of a paper is too wide, columns of higher numbers are left out first, 1 last of all.
        legend: What its cells are, as a part of the caption in a paper; empty where the heading says it.
    """

    heading: str
    unit: str = ""
    better: Direction = ""
    show: Callable[[Row], str | Text | Cell] = field(kw_only=True)
    rank: Callable[[Row], float | None] | None = None
    decimals: int = 2
    numeric: bool = True
    wraps: bool = False
    style: str = ""
    shown: bool = True
    key: str = ""
    short: str = ""
    priority: int = 1
    legend: str = ""

    @property
    def name(self) -> str:
        """The name by which the column is chosen, for example `test_accuracy`."""
        return self.key or re.sub(r"[^a-z0-9-]+", "_", self.heading.lower()).strip("_")

    @property
    def names(self) -> tuple[str, str]:
        """The name, and the name of the estimate itself in a CSV file."""
        return self.name, f"{self.name}_value"

    @property
    def measure(self) -> str:
        """The unit and the direction, for example `(pp) ↓`."""
        return " ".join(part for part in (f"({self.unit})" if self.unit else "", self.better) if part)

    @property
    def title(self) -> str:
        """The heading with its unit and direction, for example `Regret (pp) ↓`."""
        return f"{self.heading} {self.measure}".strip()

    def cells(self, rows: Sequence[Row], competing: bool) -> list[Cell]:
        """Cells of rows; if these compete and the column ranks, its best ones are marked."""
        marks: Sequence[Mark] = [""] * len(rows)
        if self.rank is not None and competing:
            marks = best_marks(map(self.rank, rows), self.better, self.decimals)
        cells = map(self.show, rows)
        return [
            cell if isinstance(cell, Cell) else Cell(str(cell), mark) for cell, mark in zip(cells, marks, strict=True)
        ]


@dataclass(frozen=True)
class Block(Generic[Row]):
    """Rows that are set apart from the others, under a heading of their own if that is not empty."""

    heading: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Table(Generic[Row]):
    """A table.

    Attributes:
        name: Name of its files.
        title: Caption.
        columns: Columns, each with its cells.
        blocks: Rows in blocks; those of the first block compete, the others are what they are compared with.
        notes: Sentences below it: what was counted.
        data: Unrounded numbers behind the rows, one dataclass per line of the CSV file.
        optional: Whether it has no files either where there are no data.
        legend: What its numbers are and over how many seeds, as a part of the caption in a paper.
    """

    name: str
    title: str
    columns: Sequence[Column[Row]]
    blocks: Sequence[Block[Row]]
    notes: Sequence[str] = ()
    data: Sequence[Any] = field(default=(), repr=False)
    optional: bool = False
    legend: str = ""

    @property
    def shown_columns(self) -> tuple[Column[Row], ...]:
        """The columns that the records can fill."""
        return tuple(column for column in self.columns if column.shown)

    @cached_property
    def shown_blocks(self) -> tuple[Block[tuple[Cell, ...]], ...]:
        """The blocks that have rows, with a cell per column."""
        shown = []
        for place, block in enumerate(self.blocks):
            columns = [column.cells(block.rows, competing=place == 0) for column in self.shown_columns]
            if block.rows:
                shown.append(Block(block.heading, list(zip(*columns, strict=True))))
        return tuple(shown)


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        name: Name of its files and of its drawing.
        caption: Sentence below it.
        shown: Whether the records have what it shows.
    """

    name: str
    caption: str
    shown: bool = True


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        heading: Heading of the section.
        paragraphs: Texts that stand first.
        figures: Figures that follow.
        tables: Tables that stand last.
    """

    heading: str
    paragraphs: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table[Any]] = ()

    @property
    def shown_figures(self) -> tuple[Figure, ...]:
        """The figures that the records can fill."""
        return tuple(figure for figure in self.figures if figure.shown)

    @property
    def shown_tables(self) -> tuple[Table[Any], ...]:
        """The tables that have rows."""
        return tuple(table for table in self.tables if table.shown_blocks)


SELECTOR: Column[Any] = Column("Selector", show=lambda row: row.label, numeric=False, key="label")


def role_blocks(run: Run, rows: Sequence[LabelledRow]) -> list[Block[LabelledRow]]:
    """Put rows into the blocks that every table of selectors has: these first, then what they are compared with."""
    return [Block(heading, [row for row in rows if run.role(row.label) == role]) for heading, role in ROLE_BLOCKS]


def has_table(run: Run) -> bool:
    """Whether the trials of a run are measured against a table of accuracies."""
    return not run.all or any(record.trial.table is not None for record in run.all)


def mean_columns(
    heading: str,
    unit: str,
    better: Direction,
    rows: Sequence[Row],
    mean: Callable[[Row], Mean],
    median: Callable[[Row], Median],
    keys: tuple[str, str],
    ranked: bool = True,
) -> tuple[Column[Row], ...]:
    """Declare a column of means with their deviations, one of medians, and columns of intervals, if there are any.

    Args:
        heading: Heading of the means.
        unit: Unit of all of them.
        better: Direction in which the numbers are better.
        rows: All rows of the table.
        mean: Mean of a row.
        median: Median of the same values.
        keys: Names of mean and median in the CSV file.
        ranked: Whether the best means are marked.
    """
    return (
        Column(
            heading,
            unit,
            better,
            show=lambda row: mean_and_deviation(mean(row)),
            rank=(lambda row: mean(row).value) if ranked else None,
            key=keys[0],
            short=heading.replace("accuracy", "acc."),
        ),
        Column(
            "95 % interval",
            unit,
            show=lambda row: interval(mean(row)),
            shown=any(mean(row).low is not None for row in rows),
            key=f"{keys[0]}_interval",
            priority=3,
            legend="95 % bootstrap-t interval of the mean",
        ),
        Column("Median", unit, show=lambda row: number(median(row).value), key=keys[1], priority=3),
        Column(
            "Interval of the median",
            unit,
            show=lambda row: interval(median(row)),
            shown=any(median(row).low is not None for row in rows),
            key=f"{keys[1]}_interval",
            priority=4,
            legend=median_legend(map(median, rows)),
        ),
    )


def number_column(
    heading: str,
    unit: str,
    better: Direction,
    value: Callable[[Row], float | None],
    decimals: int = 2,
    shown: bool = True,
    ranked: bool = True,
    **paper: Any,
) -> Column[Row]:
    """Declare a column of numbers, whose best ones are marked if it is ranked; `paper` is for its form in a paper."""

    def show(row: Row) -> str:
        return number(value(row), decimals)

    return Column(
        heading, unit, better, show=show, rank=value if ranked else None, decimals=decimals, shown=shown, **paper
    )


def best_marks(values: Iterable[float | None], better: Direction, decimals: int = 2) -> list[Mark]:
    """Mark the best values and, if only one is best, the runners-up, as printed; nothing where nothing competes.

    Example:
        >>> best_marks([2.001, 1.0, 2.002, None], "↑")
        ['best', '', 'best', '']
    """
    rounded = [None if value is None else round(value, decimals) for value in values]
    ranking = sorted({value for value in rounded if value is not None}, reverse=better == "↑")
    if len(ranking) < 2:
        return [""] * len(rounded)
    marks: dict[float | None, Mark] = {ranking[0]: "best"}
    if rounded.count(ranking[0]) == 1:
        marks[ranking[1]] = "runner-up"
    return [marks.get(value, "") for value in rounded]


def markdown(table: Table[Any]) -> str:
    """Write the table in GitHub's Markdown, with its title above and its notes below."""
    lines = [f"**{escape_markdown(table.title)}**", ""]
    lines.append(_markdown_row([escape_markdown(column.title) for column in table.shown_columns]))
    lines.append(_markdown_row(["---:" if column.numeric else ":---" for column in table.shown_columns]))
    for block in table.shown_blocks:
        if block.heading:
            lines.append(_markdown_row([f"*{escape_markdown(block.heading)}*", *[""] * (len(table.shown_columns) - 1)]))
        lines.extend(_markdown_row([_markdown_cell(cell) for cell in row]) for row in block.rows)
    lines.append("")
    lines.extend(f"- {escape_markdown(note)}" for note in table.notes)
    return "\n".join(lines).rstrip("\n") + "\n"


def _markdown_row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _markdown_cell(cell: Cell) -> str:
    text = escape_markdown(cell.text)
    return {"": text, "best": f"**{text}**", "runner-up": f"<u>{text}</u>"}[cell.mark]


def escape_markdown(text: str) -> str:
    """Escape text so that Markdown shows it as it is, on one line."""
    line = _MARKDOWN_SPECIAL.sub(r"\\\1", one_line(text).replace("&", "&amp;"))
    return _MARKDOWN_BEGINNING.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", line)


def file_name(text: str) -> str:
    """Turn text into the name of a file: of a-z, A-Z, 0-9, "_", "." and "-", not hidden and not long.

    Example:
        >>> file_name("zero-cost-pt (nwot)")
        'zero-cost-pt-nwot'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:LONGEST_FILE_NAME] or "unnamed"


def terminal(table: Table[Any]) -> RichTable:
    """Lay the table out for a terminal, without title, blocks and notes; without a heading where no column has one."""
    has_headings = any(column.heading for column in table.shown_columns)
    grid = RichTable(
        box=box.SIMPLE_HEAD if has_headings else None, show_header=has_headings, show_edge=False, pad_edge=False
    )
    for column in table.shown_columns:
        justify: Literal["left", "right"] = "right" if column.numeric else "left"
        # A word that is longer than its column, a path for example, is broken and not cut off.
        grid.add_column(column.heading, justify=justify, no_wrap=not column.wraps, overflow="fold", style=column.style)
    for row in (row for block in table.blocks for row in block.rows):
        shown = [column.show(row) for column in table.shown_columns]
        grid.add_row(*(cell.text if isinstance(cell, Cell) else cell for cell in shown))
    return grid


def csv_text(table: Table[Any]) -> str:
    """Write the numbers behind the table, one line per row; what is undefined is empty.

    Texts that a spreadsheet would take for a formula begin with an apostrophe, by which it takes them for texts.
    """
    lines = [_flatten(row) for row in table.data]
    stream = io.StringIO()
    writer = csv.DictWriter(
        stream, list(lines[0]) if lines else [column.title for column in table.shown_columns], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def _flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Flatten nested dataclasses and mappings to one level of columns, for example `test_accuracy_low`."""
    if dataclasses.is_dataclass(value):
        parts: Mapping[str, Any] = {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
    elif isinstance(value, Mapping):
        parts = value
    else:
        return {prefix: _csv_value(value)}
    columns: dict[str, str] = {}
    for name, part in parts.items():
        columns |= _flatten(part, f"{prefix}_{name}".strip("_").replace(" ", "_"))
    return columns


def _csv_value(value: object) -> str:
    # Eight digits say more than is known and are the same on every machine.
    if isinstance(value, float):
        return f"{value:.8g}"
    text = "" if value is None else one_line(str(value))
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def one_line(text: str) -> str:
    """The text with single spaces and without characters that cannot be printed."""
    return printable(" ".join(text.split()))
