"""Tables as they are declared, and their forms: Markdown, LaTeX, CSV and the terminal; the HTML form is in page.html.

A column carries its cell: what it shows of a row, and by which number it ranks the rows. A table is its columns and its
rows, and cells are computed only here, so that a heading and its cells cannot get out of step. Names may hold any
character: each form escapes what it must.
"""

import csv
import dataclasses
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from opselect.bench.report.formatting import interval, mean_and_deviation, number
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

# A page is about 100 characters wide and 45 rows high in LaTeX: from how many columns on the type is smaller, how many
# characters a line of a heading may have, from which length on a text is set as a paragraph that takes this share of a
# line, and from how many rows on a table is broken over pages.
SMALLER_FROM = 8
HEADING_WIDTH = 13
LONG_TEXT = 40
SHARE = 0.37
LONG_TABLE = 40
LONGEST_FILE_NAME = 100

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#$])")
# What begins a list, a heading or a rule where it stands at the beginning of a line.
_MARKDOWN_BEGINNING = re.compile(r"^([-+=]|[0-9]+[.)](?=\s|$))")
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@")
_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": r"--",
    "…": r"\ldots{}",
    "ⁿ": r"$^n$",
}


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
        share: Share of a line that long texts may take in LaTeX; on the terminal, only columns with one break lines.
        style: Style of its texts on the terminal.
        shown: Whether the records have what it shows.
    """

    heading: str
    unit: str = ""
    better: Direction = ""
    show: Callable[[Row], str | Text | Cell] = field(kw_only=True)
    rank: Callable[[Row], float | None] | None = None
    decimals: int = 2
    numeric: bool = True
    share: float | None = None
    style: str = ""
    shown: bool = True

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
    """

    name: str
    title: str
    columns: Sequence[Column[Row]]
    blocks: Sequence[Block[Row]]
    notes: Sequence[str] = ()
    data: Sequence[Any] = field(default=(), repr=False)
    optional: bool = False

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


SELECTOR: Column[Any] = Column("Selector", show=lambda row: row.label, numeric=False)


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
        ranked: Whether the best means are marked.
    """
    return (
        Column(
            heading,
            unit,
            better,
            show=lambda row: mean_and_deviation(mean(row)),
            rank=(lambda row: mean(row).value) if ranked else None,
        ),
        Column(
            "95 % interval",
            unit,
            show=lambda row: interval(mean(row)),
            shown=any(mean(row).low is not None for row in rows),
        ),
        Column("Median", unit, show=lambda row: number(median(row).value)),
        Column(
            "Interval of the median",
            unit,
            show=lambda row: interval(median(row)),
            shown=any(median(row).low is not None for row in rows),
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
) -> Column[Row]:
    """Declare a column of numbers, whose best ones are marked if it is ranked."""

    def show(row: Row) -> str:
        return number(value(row), decimals)

    return Column(heading, unit, better, show=show, rank=value if ranked else None, decimals=decimals, shown=shown)


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
    line = _MARKDOWN_SPECIAL.sub(r"\\\1", _one_line(text).replace("&", "&amp;"))
    return _MARKDOWN_BEGINNING.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", line)


def latex(table: Table[Any]) -> str:
    r"""Write the table in LaTeX's booktabs style: a float, or a longtable where it is too long for a page.

    It needs `\usepackage{booktabs}`, and `\usepackage{longtable}` for long ones.
    """
    places = range(len(table.shown_columns))
    alignment = f"@{{}}{''.join(_latex_alignment(table, place) for place in places)}@{{}}"
    size = r"\footnotesize" if len(places) < SMALLER_FROM else r"\scriptsize"
    heading = _latex_row([_latex_heading(column) for column in table.shown_columns])
    caption = [rf"\caption{{{escape_latex(table.title)}}}", rf"\label{{tab:{file_name(table.name)}}}"]
    notes = [rf"\par\smallskip\raggedright {escape_latex(' '.join(table.notes))}"] if table.notes else []
    style = [size, r"\setlength{\tabcolsep}{3pt}"]
    if sum(len(block.rows) for block in table.blocks) > LONG_TABLE:
        opening = [r"\begingroup", *style, rf"\begin{{longtable}}{{{alignment}}}", *caption, r"\\", r"\toprule"]
        lines = [*opening, heading, r"\midrule", r"\endhead", *_latex_rows(table)[1:], r"\bottomrule"]
        lines += [r"\end{longtable}", *notes, r"\endgroup"]
    else:
        opening = [r"\begin{table*}[t]", r"\centering", *style, *caption, rf"\begin{{tabular}}{{{alignment}}}"]
        lines = [*opening, r"\toprule", heading, *_latex_rows(table), r"\bottomrule"]
        lines += [r"\end{tabular}", *notes, r"\end{table*}"]
    return "\n".join(lines) + "\n"


def _latex_rows(table: Table[Any]) -> list[str]:
    """Lines of the blocks, each block after a rule of its own."""
    lines = []
    for block in table.shown_blocks:
        lines.append(r"\midrule")
        if block.heading:
            heading = rf"\emph{{{escape_latex(block.heading)}}}"
            lines.append(rf"\multicolumn{{{len(table.shown_columns)}}}{{@{{}}l}}{{{heading}}} \\")
        lines.extend(_latex_row([_latex_cell(cell) for cell in row]) for row in block.rows)
    return lines


def _latex_alignment(table: Table[Any], place: int) -> str:
    if table.shown_columns[place].numeric:
        return "r"
    longest = max((len(row[place].text) for block in table.shown_blocks for row in block.rows), default=0)
    return rf"p{{{table.shown_columns[place].share or SHARE}\linewidth}}" if longest > LONG_TEXT else "l"


def _latex_heading(column: Column[Any]) -> str:
    words = textwrap.wrap(column.heading, HEADING_WIDTH, break_on_hyphens=False, break_long_words=False)
    lines = [_protect_line_start(escape_latex(line)) for line in (*words, column.measure) if line]
    if len(lines) < 2:
        return "".join(lines)
    return rf"\shortstack[{'r' if column.numeric else 'l'}]{{" + r" \\ ".join(lines) + "}"


def _latex_row(texts: Sequence[str]) -> str:
    return rf"{' & '.join(texts)} \\"


def _latex_cell(cell: Cell) -> str:
    text = _protect_line_start(escape_latex(cell.text))
    # An arch string holds no space at which a line could end.
    if len(cell.text) > LONG_TEXT:
        text = re.sub(r"(\+|\\textbar\{\})", r"\1\\allowbreak{}", text)
    return {"": text, "best": rf"\textbf{{{text}}}", "runner-up": rf"\underline{{{text}}}"}[cell.mark]


def _protect_line_start(text: str) -> str:
    """Protect text after a line break, which would take "[" for its optional argument and "*" for a part of it."""
    return f"{{{text}}}" if text.startswith(("[", "*")) else text


def escape_latex(text: str) -> str:
    """Escape text so that LaTeX prints it as it is, on one line."""
    return "".join(_LATEX_SPECIAL.get(character, character) for character in _one_line(text))


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
        wraps = column.share is not None
        # A word that is longer than its column, a path for example, is broken and not cut off.
        grid.add_column(column.heading, justify=justify, no_wrap=not wraps, overflow="fold", style=column.style)
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
    text = "" if value is None else _one_line(str(value))
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
