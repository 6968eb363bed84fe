"""A table to be printed, and its four forms: Markdown, LaTeX, CSV; the HTML form is in page.html.

Names may hold any character: each form escapes what it must.
"""

import csv
import dataclasses
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from opselect.spaces.errors import printable

Mark: TypeAlias = Literal["", "best", "runner-up"]

UNDEFINED = "–"

# A page is about 100 characters wide and 45 rows high in LaTeX: from how many columns on the type is smaller, how many
# characters a line of a heading may have, from which length on a text is set as a paragraph, and from how many rows on
# a table is broken over pages.
SMALLER_FROM = 8
HEADING_WIDTH = 13
LONG_TEXT = 40
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
class Column:
    """A column.

    Attributes:
        heading: what stands in it.
        unit: of its numbers, empty where they have none.
        better: which direction is better, empty where none is.
        numeric: whether it holds numbers, which are set flush right.
        share: how much of a line it may take in LaTeX if its texts are long.
    """

    heading: str
    unit: str = ""
    better: Literal["", "↑", "↓"] = ""
    numeric: bool = True
    share: float = 0.37

    @property
    def measure(self) -> str:
        """The unit and the direction, for example `(pp) ↓`."""
        return " ".join(part for part in (f"({self.unit})" if self.unit else "", self.better) if part)

    @property
    def title(self) -> str:
        """The heading with its unit and direction, for example `Regret (pp) ↓`."""
        return f"{self.heading} {self.measure}".strip()


@dataclass(frozen=True)
class Cell:
    """A text, and whether it is the best of its column."""

    text: str
    mark: Mark = ""


@dataclass(frozen=True)
class Block:
    """Rows that are set apart from the others, under a heading of their own if that is not empty."""

    heading: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of its files.
        title: its caption.
        columns: one a cell of each row.
        blocks: the rows; blocks without rows are not shown.
        notes: what was counted.
        data: the unrounded numbers behind the rows, one dataclass a line of the CSV file.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()
    data: Sequence[Any] = field(default=(), repr=False)

    @property
    def shown_blocks(self) -> tuple[Block, ...]:
        """The blocks that have rows."""
        return tuple(block for block in self.blocks if block.rows)


def without_columns(table: Table, headings: Sequence[str]) -> Table:
    """The table without the columns of these headings; its CSV data keep them."""
    kept = [place for place, column in enumerate(table.columns) if column.heading not in headings]
    blocks = tuple(
        Block(block.heading, tuple(tuple(row[place] for place in kept) for row in block.rows)) for block in table.blocks
    )
    return dataclasses.replace(table, columns=tuple(table.columns[place] for place in kept), blocks=blocks)


def number(value: float | None, decimals: int = 2) -> str:
    """A rounded number with a true minus sign, or a dash where it is undefined."""
    if value is None:
        return UNDEFINED
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def markdown(table: Table) -> str:
    """The table in GitHub's Markdown, with its title above and its notes below."""
    lines = [f"**{escape_markdown(table.title)}**", ""]
    lines.append(_markdown_row([escape_markdown(column.title) for column in table.columns]))
    lines.append(_markdown_row(["---:" if column.numeric else ":---" for column in table.columns]))
    for block in table.shown_blocks:
        if block.heading:
            lines.append(_markdown_row([f"*{escape_markdown(block.heading)}*", *[""] * (len(table.columns) - 1)]))
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
    """Text on one line that Markdown shows as it is."""
    line = _MARKDOWN_SPECIAL.sub(r"\\\1", _one_line(text).replace("&", "&amp;"))
    return _MARKDOWN_BEGINNING.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", line)


def latex(table: Table) -> str:
    r"""The table in LaTeX's booktabs style: a float, or a longtable where it is too long for a page.

    It needs `\usepackage{booktabs}`, and `\usepackage{longtable}` for long ones.
    """
    places = range(len(table.columns))
    alignment = f"@{{}}{''.join(_latex_alignment(table, place) for place in places)}@{{}}"
    size = r"\footnotesize" if len(places) < SMALLER_FROM else r"\scriptsize"
    heading = _latex_row([_latex_heading(column) for column in table.columns])
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


def _latex_rows(table: Table) -> list[str]:
    """The blocks, each after a rule of its own."""
    lines = []
    for block in table.shown_blocks:
        lines.append(r"\midrule")
        if block.heading:
            heading = rf"\emph{{{escape_latex(block.heading)}}}"
            lines.append(rf"\multicolumn{{{len(table.columns)}}}{{@{{}}l}}{{{heading}}} \\")
        lines.extend(_latex_row([_latex_cell(cell) for cell in row]) for row in block.rows)
    return lines


def _latex_alignment(table: Table, place: int) -> str:
    if table.columns[place].numeric:
        return "r"
    longest = max((len(row[place].text) for block in table.blocks for row in block.rows), default=0)
    return rf"p{{{table.columns[place].share}\linewidth}}" if longest > LONG_TEXT else "l"


def _latex_heading(column: Column) -> str:
    words = textwrap.wrap(column.heading, HEADING_WIDTH, break_on_hyphens=False, break_long_words=False)
    lines = [_after_a_break(escape_latex(line)) for line in (*words, column.measure) if line]
    if len(lines) < 2:
        return "".join(lines)
    return rf"\shortstack[{'r' if column.numeric else 'l'}]{{" + r" \\ ".join(lines) + "}"


def _latex_row(texts: Sequence[str]) -> str:
    return rf"{' & '.join(texts)} \\"


def _latex_cell(cell: Cell) -> str:
    text = _after_a_break(escape_latex(cell.text))
    # An arch string holds no space at which a line could end.
    if len(cell.text) > LONG_TEXT:
        text = re.sub(r"(\+|\\textbar\{\})", r"\1\\allowbreak{}", text)
    return {"": text, "best": rf"\textbf{{{text}}}", "runner-up": rf"\underline{{{text}}}"}[cell.mark]


def _after_a_break(text: str) -> str:
    """Text that may follow a line break, which would take "[" for its optional argument and "*" for a part of it."""
    return f"{{{text}}}" if text.startswith(("[", "*")) else text


def escape_latex(text: str) -> str:
    """Text on one line that LaTeX prints as it is."""
    return "".join(_LATEX_SPECIAL.get(character, character) for character in _one_line(text))


def file_name(text: str) -> str:
    """The text as the name of a file in any folder: of a-z, A-Z, 0-9, "_", "." and "-", not hidden and not long."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:LONGEST_FILE_NAME] or "unnamed"


def csv_text(table: Table) -> str:
    """The numbers behind the table, one line a row; what is undefined is empty.

    Texts that a spreadsheet would take for a formula begin with an apostrophe, by which it takes them for texts.
    """
    lines = [_flat(row) for row in table.data]
    stream = io.StringIO()
    writer = csv.DictWriter(
        stream, list(lines[0]) if lines else [column.title for column in table.columns], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """The fields of nested dataclasses and mappings as one level of columns, `test_accuracy_low` for example."""
    if dataclasses.is_dataclass(value):
        parts: Mapping[str, Any] = {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
    elif isinstance(value, Mapping):
        parts = value
    else:
        return {prefix: _plain(value)}
    columns: dict[str, str] = {}
    for name, part in parts.items():
        columns |= _flat(part, f"{prefix}_{name}".strip("_").replace(" ", "_"))
    return columns


def _plain(value: object) -> str:
    # Eight digits say more than is known and are the same on every machine.
    if isinstance(value, float):
        return f"{value:.8g}"
    text = "" if value is None else _one_line(str(value))
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
