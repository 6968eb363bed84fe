r"""Tables for papers: LaTeX in booktabs style that compiles and fits the width of a column, of a text or of a page.

A paper's page decides how wide a table may be, so a table is fitted before it is written: its cells are measured with
the widths of real type, long texts become paragraphs, headings are abbreviated, and where all that is not enough,
columns are left out by their priority. What was left out stands in a comment of the file. Widths and type sizes are in
points (`\fontsize`), since `\footnotesize` is 8 pt in LaTeX's article and 9 pt in the styles of NeurIPS and ICML.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from opselect.bench.report.formatting import UNDEFINED, WIDTHS, listing
from opselect.bench.report.render import Block, Cell, Column, Mark, Table, file_name, one_line
from opselect.bench.report.type_widths import text_width
from opselect.spaces.errors import UserError
from opselect.spaces.registry import UnknownName, did_you_mean

POINTS_PER_INCH = 72.27

COLUMN_SEPARATION = 3
"""Half the space between two columns of a table, in points."""

LINE_HEIGHT = 1.2
"""Height of a line of text in type sizes."""

TALLEST = 480
"""Height in points from which on a table is continued in another float; pages are 550 to 650 points high."""

FLOATS_AT_ONCE = 12
"""Number of parts of one table that LaTeX may have to keep at a time; it can keep 18 floats."""

LONG_TEXT = 100
"""Width in points from which on texts may be set as paragraphs, if the table does not fit otherwise."""

NARROWEST_PARAGRAPH = 72
"""Width in points below which no paragraph is set."""

LEAST_SHARE = 0.3
"""Share of a table's width that its paragraphs have together, if they need as much."""

_SPECIAL = {
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
    # \textasciigrave and \textquotedbl need a package or an encoding.
    "`": r"\`{}",
    '"': r"\textquotedblright{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": r"--",
    "…": r"\ldots{}",
    "ⁿ": r"$^n$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "ø": r"\o{}",
    "ł": r"\l{}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "\0": "{}",
}
_MARKS: Mapping[Mark, str] = {"best": "best in bold", "runner-up": "second best underlined"}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}
_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
# Two characters that TeX would print as one.
_LIGATURE = re.compile(r"(?<=[-–])(?=[-–])|(?<=')(?=')|(?<=,)(?=,)|(?<=[?!])(?=`)")
_NUMBER = re.compile(r"(−?\d+(?:\.\d+)?)")
# Where a line may end within a word that is longer than a line: between the operations of an architecture, else after
# other signs.
_BREAKS = (re.compile(r"(?<=[+-])|(?<=\|)(?!\+)"), re.compile(r"(?<=[,(/=_.])"))


class UnknownLayout(UnknownName):
    """A preset has no layout of this name."""


class UnknownColumn(UnknownName):
    """A name that no column of a report's tables has, or names that no table has together."""


class TableTooWide(UserError, ValueError):
    """The columns that were asked for are wider than the page; the message says which to leave out."""


@dataclass(frozen=True)
class Layout:
    """The place of a table in a paper.

    Attributes:
        name: Name of the layout: `column`, `text` or `full`.
        inches: Width of the place in inches.
        environment: Environment of the float; `table*` spans both columns of a page, and is `table` where it has one.
        size: Type size in points of tables that fit without leaving anything out; others are set in 8 or 7 points.
    """

    name: str
    inches: float
    environment: Literal["table", "table*"]
    size: int = 8

    @property
    def width(self) -> float:
        """Width of the place in points."""
        return self.inches * POINTS_PER_INCH


LAYOUTS: Mapping[str, Layout] = {
    name: Layout(name, inches, "table" if name == "column" else "table*") for name, inches in WIDTHS.items()
}
PRESETS: Mapping[str, Mapping[str, Layout]] = {
    "neurips": {"text": Layout("text", 5.5, "table", 9)},
    "icml": {"column": Layout("column", 3.25, "table", 9), "full": Layout("full", 6.75, "table*", 9)},
    "cvpr": {"column": Layout("column", 3.25, "table", 9), "full": Layout("full", 6.875, "table*", 9)},
}


@dataclass(frozen=True)
class Paper:
    """How tables are written for a paper.

    Attributes:
        layouts: Layouts by their width; a table takes the narrowest that holds all its columns, or the widest.
        columns: Names of columns; a table that has all of them shows only these after its first column.
        notes: Whether a table's notes are printed below it; otherwise they are comments of the file.
    """

    layouts: Sequence[Layout] = (LAYOUTS["text"],)
    columns: Sequence[str] = ()
    notes: bool = False


def paper_of(
    layout: str | None = None, preset: str | None = None, columns: Iterable[str] = (), notes: bool = False
) -> Paper:
    """The paper that names describe.

    Args:
        layout: `column`, `text` or `full`; by default `text`, with a preset any that the preset has.
        preset: `neurips`, `icml` or `cvpr`: widths, environments and type size of that style.
        columns: Names of columns, as in the CSV files.
        notes: Whether notes are printed below tables.

    Raises:
        UnknownName: There is no such layout or preset.
        UnknownLayout: The preset has no such layout.

    Example:
        >>> [layout.inches for layout in paper_of(preset="icml").layouts]
        [3.25, 6.75]
    """
    if layout is not None and layout not in LAYOUTS:
        raise UnknownLayout(f"no layout named {layout!r}{did_you_mean(layout, tuple(LAYOUTS))}")
    if preset is None:
        return Paper((LAYOUTS[layout or "text"],), tuple(columns), notes)
    if preset not in PRESETS:
        raise UnknownName(f"no preset named {preset!r}{did_you_mean(preset, tuple(PRESETS))}")
    layouts = PRESETS[preset]
    if layout is not None and layout not in layouts:
        raise UnknownLayout(f"the preset {preset} has no layout {layout!r}; it has {' and '.join(layouts)}")
    return Paper((layouts[layout],) if layout else tuple(layouts.values()), tuple(columns), notes)


def check_columns(tables: Iterable[Table[Any]], names: Sequence[str]) -> None:
    """Make sure that a table has all these columns, so that none is silently left out.

    Raises:
        UnknownColumn: No table has a column of this name, or no table has all of them.
    """
    named = [{name for column in table.shown_columns for name in column.names} for table in tables]
    known = tuple(dict.fromkeys(column.name for table in tables for column in table.shown_columns if column.name))
    for name in names:
        if not any(name in of_table for of_table in named):
            raise UnknownColumn(f"no table of the report has a column {name!r}{did_you_mean(name, known)}")
    if names and not any(set(names) <= of_table for of_table in named):
        raise UnknownColumn(f"no table of the report has all of the columns {listing(names)}; give those of one table")


@dataclass(frozen=True)
class _Setting:
    """How wide a set of columns is at a type size.

    Attributes:
        columns: Columns that are shown, by their place in the table.
        layout: Layout in which they are set.
        size: Type size in points.
        headings: Lines of every heading.
        widths: Width of every column in points.
        paragraphs: Whether a column's texts are paragraphs.
        total: Width of the whole table in points.
        cramped: Whether paragraphs have so little room that the table grows high instead of wide.
    """

    columns: tuple[int, ...]
    layout: Layout
    size: int
    headings: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]
    paragraphs: tuple[bool, ...]
    total: float
    cramped: bool

    @property
    def fits(self) -> bool:
        """Whether the table is no wider than its layout."""
        return self.total <= self.layout.width

    @property
    def is_readable(self) -> bool:
        """Whether the table fits and its paragraphs have room."""
        return self.fits and not self.cramped


def latex(table: Table[Any], paper: Paper | None = None) -> str:
    r"""Write the table in booktabs style, in as many floats as its height needs.

    Args:
        table: The table.
        paper: Width, columns and notes; by default 5.5 inches, which fits a text of one column and a page of two.

    Returns:
        The text of a file for `\input`; its first line says which packages it needs.

    Raises:
        TableTooWide: The columns that the paper names do not fit.
    """
    paper = paper or Paper()
    if not table.shown_blocks:
        return f"% {one_line(table.title)}: the records have nothing to show here.\n"
    chosen = _chosen(table, paper.columns)
    setting = _fitted(table, paper, chosen)
    shown = [table.shown_columns[place] for place in setting.columns]
    text_cells = _cells(table, setting)
    caption = escape_latex(_caption(table, setting)).replace(r" \%", r"~\%")
    label = rf"\label{{tab:{file_name(table.name)}}}"
    parts = _parts(text_cells, setting)
    if paper.notes and table.notes and _height(parts[-1], setting) + _notes_height(table, setting) > TALLEST:
        parts.append([])
    lines = _comments(table, paper, setting, chosen)
    for number, part in enumerate(parts):
        lines.append(rf"\begin{{{setting.layout.environment}}}[tp]")
        if number:
            lines += [r"\addtocounter{table}{-1}", rf"\caption{{{escape_latex(table.title)}, continued.}}"]
        else:
            lines += [rf"\caption{{{caption}}}", label]
        lines += _tabular(part, setting, shown) if part else [r"\centering\medskip"]
        if paper.notes and table.notes and number == len(parts) - 1:
            lines.append(_notes(table, setting))
        lines.append(rf"\end{{{setting.layout.environment}}}")
        if number % FLOATS_AT_ONCE == FLOATS_AT_ONCE - 1:
            lines.append(r"\clearpage")
    return "\n".join(lines) + "\n"


def _chosen(table: Table[Any], names: Sequence[str]) -> tuple[int, ...] | None:
    """The places of the named columns after the first one; None where the table has not all of them."""
    places = []
    for name in names:
        found = [place for place, column in enumerate(table.shown_columns) if name in column.names]
        if not found:
            return None
        places += found
    return tuple(dict.fromkeys((0, *places))) if places else None


def _fitted(table: Table[Any], paper: Paper, chosen: tuple[int, ...] | None) -> _Setting:
    """The first setting that fits, in the order in which a reader would want them."""
    every = chosen or tuple(range(len(table.shown_columns)))
    for layout in paper.layouts:
        for size, short in ((layout.size, False), (layout.size, True), (8, False), (8, True)):
            setting = _set(table, layout, every, size, short)
            if setting.is_readable:
                return setting
    layout = paper.layouts[-1]
    if chosen:
        for size in (8, 7):
            setting = _set(table, layout, chosen, size, True)
            if setting.fits:
                return setting
        raise TableTooWide(_too_wide(table, setting))
    # Columns of low priority go before the type shrinks, the others only after.
    removable = sorted(every[1:], key=lambda place: (-table.shown_columns[place].priority, -place))
    optional = sum(table.shown_columns[place].priority > 1 for place in removable)
    counts = [(8, range(1, optional + 1)), (7, range(len(removable) + 1))]
    for size, count in ((size, count) for size, range_of_counts in counts for count in range_of_counts):
        kept = tuple(place for place in every if place not in removable[:count])
        setting = _set(table, layout, kept, size, True)
        if setting.is_readable:
            return setting
    # One column of texts always fits: it is a paragraph.
    return setting


def _set(table: Table[Any], layout: Layout, columns: tuple[int, ...], size: int, short: bool) -> _Setting:
    """Measure columns; texts that are too long share what the others leave, by their lengths."""
    shown = [table.shown_columns[place] for place in columns]
    natural, headings = [], []
    for place, column in zip(columns, shown, strict=True):
        cells = [row[place] for block in table.shown_blocks for row in block.rows]
        texts = [_printed(cell.text) for cell in cells]
        if column.numeric:
            texts = [padded for _, padded in _aligned(texts)]
        widest = max((_cell_width(cell.mark, text, size) for cell, text in zip(cells, texts, strict=True)), default=0.0)
        heading = _heading_lines(column, widest if column.numeric else max(widest, 60.0), size, short)
        headings.append(heading)
        natural.append(max(widest, *(text_width(line, size) for line in heading), 0.0))
    room = layout.width - 2 * COLUMN_SEPARATION * (len(columns) - 1)
    widths, paragraphs = _shared(natural, [not column.numeric for column in shown], room)
    total = sum(widths) + 2 * COLUMN_SEPARATION * (len(columns) - 1)
    squeezed = [place for place, paragraph in enumerate(paragraphs) if paragraph]
    wanted = min(sum(natural[place] for place in squeezed), LEAST_SHARE * layout.width)
    cramped = sum(widths[place] for place in squeezed) < wanted
    return _Setting(columns, layout, size, tuple(headings), tuple(widths), tuple(paragraphs), total, cramped)


def _cell_width(mark: Mark, text: str, size: int) -> float:
    value, plus_minus, rest = text.partition(" ± ")
    return text_width(value, size, mark == "best") + text_width(plus_minus + rest, size)


def _shared(natural: Sequence[float], texts: Sequence[bool], room: float) -> tuple[list[float], list[bool]]:
    """Widths of columns whose long texts give way, and which of these became paragraphs."""
    widths = list(natural)
    long = [place for place, width in enumerate(natural) if texts[place] and width > LONG_TEXT]
    if sum(widths) <= room or not long:
        return widths, [False] * len(widths)
    left = room - sum(width for place, width in enumerate(widths) if place not in long)
    # A text that is shorter than its share keeps its length; the others share the rest in proportion to their root.
    while long:
        weights = sum(natural[place] ** 0.5 for place in long)
        shares = {place: left * natural[place] ** 0.5 / weights for place in long}
        enough = [place for place in long if natural[place] <= shares[place]]
        if not enough:
            break
        left -= sum(natural[place] for place in enough)
        long = [place for place in long if place not in enough]
    for place in long:
        widths[place] = max(float(NARROWEST_PARAGRAPH), int(10 * shares[place]) / 10)
    return widths, [place in long for place in range(len(widths))]


def _heading_lines(column: Column[Any], width: float, size: int, short: bool) -> tuple[str, ...]:
    """A heading in lines that are no wider than the column's cells where words allow it."""
    text = _printed(column.short or column.heading if short else column.heading)
    words = [*text.split(), *([_printed(column.measure)] if column.measure else [])]
    if short:
        words = [piece for word in words for piece in (re.split(r"(?<=-)(?=\w)", word) if " " not in word else [word])]
    limit = max((text_width(word, size) for word in words), default=0.0)
    if not short:
        # Three lines and cells that are a little wider look better than a heading with a word per line.
        limit = max(limit, 1.25 * width, text_width(" ".join(words), size) / 3)
    lines: list[str] = []
    for word in words:
        joined = f"{lines[-1]}{'' if lines[-1].endswith('-') else ' '}{word}" if lines else word
        if lines and text_width(joined, size) <= max(limit, width):
            lines[-1] = joined
        else:
            lines.append(word)
    return tuple(lines)


def _too_wide(table: Table[Any], setting: _Setting) -> str:
    """Which columns to leave out, the last ones first, so that the others fit."""
    names = [table.shown_columns[place].name for place in setting.columns]
    count = 1
    while count < len(setting.columns) - 1:
        if _set(table, setting.layout, setting.columns[:-count], setting.size, True).fits:
            break
        count += 1
    layouts = LAYOUTS.values() if setting.layout in LAYOUTS.values() else ()
    wider = next((layout.name for layout in layouts if layout.width >= setting.total), None)
    advice = f", or take the layout {wider}" if wider else ""
    inches = setting.total / POINTS_PER_INCH
    return (
        f"the table {table.name} with the columns {listing(names[1:])} is {inches:.2f} in wide, the layout "
        f"{setting.layout.name} has {setting.layout.inches:g} in; leave out {listing(names[-count:])}{advice}"
    )


def _caption(table: Table[Any], setting: _Setting) -> str:
    """One sentence that is true of what is shown: what the numbers are, and over how many seeds."""
    shown = [table.shown_columns[place] for place in setting.columns]
    cells = [cell for block in table.shown_blocks for row in block.rows for cell in _picked(row, setting)]
    marks = {cell.mark for cell in cells}
    legends = [
        table.legend,
        "± sample standard deviation" if any(" ± " in cell.text for cell in cells) else "",
        *dict.fromkeys(column.legend for column in shown),
        listing(text for mark, text in _MARKS.items() if mark in marks),
    ]
    meaning = "; ".join(filter(None, legends))
    return f"{table.title}: {meaning}." if meaning else f"{table.title}."


def _comments(table: Table[Any], paper: Paper, setting: _Setting, chosen: tuple[int, ...] | None) -> list[str]:
    """What the file needs, what it leaves out, and the notes that it does not print."""
    lines = [rf"% Needs \usepackage{{booktabs,array}}; made for a width of {setting.layout.inches:g} in."]
    missing = [column for place, column in enumerate(table.shown_columns) if place not in setting.columns]
    if missing:
        why = "not chosen" if chosen else "too wide"
        left_out = "; ".join(one_line(f"{column.title} ({column.name})") for column in missing)
        lines.append(f"% Left out, {why}: {left_out}. {file_name(table.name)}.csv has everything.")
    if table.notes and not paper.notes:
        lines += ["% What was counted:", *(f"% {one_line(note)}" for note in table.notes)]
    return lines


def _notes(table: Table[Any], setting: _Setting) -> str:
    text = " ".join(_broken(_printed(note), setting.layout.width - 1, 7) for note in table.notes)
    return (
        rf"\par\smallskip\begin{{minipage}}{{{setting.layout.width - 1:.1f}pt}}"
        rf"\fontsize{{7}}{{8.4}}\selectfont\raggedright {text}\end{{minipage}}"
    )


def _notes_height(table: Table[Any], setting: _Setting) -> float:
    text = " ".join(map(_printed, table.notes))
    return _line_count(text, setting.layout.width - 1, 7) * 7 * LINE_HEIGHT


@dataclass(frozen=True)
class _Line:
    """One row as LaTeX, and how many lines of text it is high."""

    text: str
    height: int


def _picked(row: Sequence[Cell], setting: _Setting) -> list[Cell]:
    return [row[place] for place in setting.columns]


def _cells(table: Table[Any], setting: _Setting) -> list[Block[_Line]]:
    """The rows of every block as LaTeX."""
    rows = [_picked(row, setting) for block in table.shown_blocks for row in block.rows]
    columns: list[list[str]] = []
    heights = [1] * len(rows)
    for number, place in enumerate(setting.columns):
        cells = [row[number] for row in rows]
        last = number == len(setting.columns) - 1
        if table.shown_columns[place].numeric:
            aligned = [text for text, _ in _aligned([cell.text for cell in cells])]
            columns.append([_number_cell(cell, text, last) for cell, text in zip(cells, aligned, strict=True)])
        elif setting.paragraphs[number]:
            columns.append([_broken(_printed(cell.text), setting.widths[number], setting.size) for cell in cells])
            heights = [
                max(height, _line_count(_printed(cell.text), setting.widths[number], setting.size))
                for height, cell in zip(heights, cells, strict=True)
            ]
        else:
            columns.append([_marked(cell.mark, escape_latex(cell.text)) for cell in cells])
    texts = (rf"{' & '.join(_protect_line_start(row))} \\" for row in zip(*columns, strict=True))
    lines = iter([_Line(text, height) for text, height in zip(texts, heights, strict=True)])
    return [Block(block.heading, list(itertools.islice(lines, len(block.rows)))) for block in table.shown_blocks]


def _number_cell(cell: Cell, aligned: str, last: bool) -> str:
    if cell.text == UNDEFINED:
        return rf"\multicolumn{{1}}{{c{'@{}' if last else ''}}}{{--}}"
    return _marked(cell.mark, aligned)


def _marked(mark: Mark, text: str) -> str:
    """Mark a text; of a mean with its deviation the mean alone, so that the deviations stay aligned."""
    value, plus_minus, rest = text.partition(r" $\pm$ ")
    marked = {"": value, "best": rf"\textbf{{{value}}}", "runner-up": rf"\underline{{{value}}}"}[mark]
    return f"{marked}{plus_minus}{rest}"


def _aligned(texts: Sequence[str]) -> list[tuple[str, str]]:
    r"""Pad the numbers of a column with invisible digits, so that points stand below points where all is flush right.

    Args:
        texts: Texts of the cells, for example `87.12 ± 0.43`, `[86.59, 87.65]` or `87.12`.

    Returns:
        Each text in LaTeX, and a text as wide as it with its padding. Texts of different forms are not padded.

    Example:
        >>> _aligned(["1.00 ± 0.50", "2.00 ± 10.25", "3.00"])[0]
        ('1.00 $\\pm$ \\phantom{0}0.50', '1.00 ± 00.50')
    """
    split = [_NUMBER.split(_printed(text)) for text in texts]
    forms = [parts[::2] for parts in split if len(parts) > 1]
    longest = max(forms, key=len, default=[])
    # A text may end where others go on: a mean without a deviation.
    if any(form[:-1] != longest[: len(form) - 1] or form[-1] not in ("", longest[len(form) - 1]) for form in forms):
        return [(escape_latex(text), _printed(text)) for text in texts]
    numbers: list[list[str]] = [
        [parts[2 * place + 1] for parts in split if len(parts) > 2 * place + 1] for place in range(len(longest) - 1)
    ]
    widest = [_widest(of_place) for of_place in numbers]
    return [_padded(parts, longest, widest) if len(parts) > 1 else (escape_latex(parts[0]),) * 2 for parts in split]


def _widest(numbers: Sequence[str]) -> tuple[bool, int, int]:
    """Whether a number has a minus, and the most digits before and after the point."""
    wholes = [number.lstrip("−").split(".") for number in numbers]
    return (
        any(number.startswith("−") for number in numbers),
        max(len(parts[0]) for parts in wholes),
        max(len(parts[1]) if len(parts) > 1 else 0 for parts in wholes),
    )


def _padded(parts: Sequence[str], form: Sequence[str], widest: Sequence[tuple[bool, int, int]]) -> tuple[str, str]:
    printed, measured = [], ""
    for place, (minus, whole, decimals) in enumerate(widest):
        if 2 * place + 1 >= len(parts):
            missing = f"{form[place]}{'−' * minus}{'0' * whole}{'.' * (decimals > 0)}{'0' * decimals}"
            missing += form[-1] * (place == len(widest) - 1)
            printed.append(
                rf"\phantom{{{escape_latex(missing)}}}" if not missing.startswith(" ") else _phantom(missing)
            )
            measured += missing
            continue
        literal, number = parts[2 * place], parts[2 * place + 1]
        digits, _, after = number.lstrip("−").partition(".")
        before = "0" * (whole - len(digits)) + "−" * (minus and not number.startswith("−"))
        behind = "." * (decimals > 0 and not after) + "0" * (decimals - len(after))
        # The first number needs nothing before it: the column is flush right.
        printed += [_literal(literal), _phantom(before) if place else "", escape_latex(number), _phantom(behind)]
        measured += literal + (before if place else "") + number + behind
    if len(parts) == 2 * len(widest) + 1:
        printed.append(_literal(parts[-1]) or _phantom(form[-1]))
        measured += form[-1]
    return "".join(printed), measured


def _literal(text: str) -> str:
    """Text between numbers with its spaces, which escaping would drop."""
    inner = escape_latex(text)
    return f"{' ' * text.startswith(' ')}{inner}{' ' * (text.endswith(' ') and bool(inner))}" if text else ""


def _phantom(text: str) -> str:
    return rf"\phantom{{{_literal(text)}}}" if text else ""


def _pieces(word: str, width: float, size: int) -> list[str]:
    """A word in pieces that are no wider than a line; lines may end between these."""
    pieces = [word]
    for signs in _BREAKS:
        split = ([piece] if text_width(piece, size) <= width else signs.split(piece) for piece in pieces)
        pieces = [piece for parts in split for piece in parts if piece]
    return [part for piece in pieces for part in _filled(piece, width, size)]


def _filled(piece: str, width: float, size: int) -> list[str]:
    """Cut what holds no sign at which to end a line, a hash for example, where the line is full."""
    parts = []
    while text_width(piece, size) > width and len(piece) > 1:
        count = next(n for n in range(len(piece) - 1, 0, -1) if n == 1 or text_width(piece[:n], size) <= width)
        parts.append(piece[:count])
        piece = piece[count:]
    return [*parts, piece]


def _broken(text: str, width: float, size: int) -> str:
    """Text of a paragraph that has a place for every line to end."""
    words = (map(escape_latex, _pieces(word, width, size)) for word in text.split())
    return " ".join(r"\allowbreak{}".join(pieces) for pieces in words)


def _line_count(text: str, width: float, size: int) -> int:
    """How many lines a paragraph has."""
    lines, used = 1, 0.0
    for word in text.split():
        for number, piece in enumerate(_pieces(word, width, size)):
            space = text_width(" ", size) if used and not number else 0.0
            needed = text_width(piece, size)
            if used and used + space + needed > width:
                lines, used, space = lines + 1, 0.0, 0.0
            used += space + needed
    return lines


def _height(blocks: Sequence[Block[_Line]], setting: _Setting) -> float:
    lines = sum(bool(block.heading) + sum(line.height for line in block.rows) for block in blocks)
    return (lines + max(map(len, setting.headings))) * setting.size * LINE_HEIGHT


def _parts(blocks: Sequence[Block[_Line]], setting: _Setting) -> list[list[Block[_Line]]]:
    """Blocks by float; a block is cut only where it is longer than a float."""
    limit = int(TALLEST / (setting.size * LINE_HEIGHT)) - max(map(len, setting.headings))
    parts: list[list[Block[_Line]]] = [[]]
    used = 0
    for block in blocks:
        if used and used + sum(line.height for line in block.rows) > limit:
            parts.append([])
            used = 0
        rows: list[_Line] = []
        used += bool(block.heading)
        for line in block.rows:
            if rows and used + line.height > limit:
                parts[-1].append(Block(block.heading, rows))
                parts.append([])
                rows, used = [], int(bool(block.heading))
            rows.append(line)
            used += line.height
        parts[-1].append(Block(block.heading, rows))
    return parts


def _tabular(blocks: Sequence[Block[_Line]], setting: _Setting, shown: Sequence[Column[Any]]) -> list[str]:
    """The lines of one tabular."""
    alignment = "".join(
        rf">{{\raggedright\arraybackslash}}p{{{width:.1f}pt}}" if paragraph else "r" if column.numeric else "l"
        for column, width, paragraph in zip(shown, setting.widths, setting.paragraphs, strict=True)
    )
    headings = [_heading(place, column, setting) for place, column in enumerate(shown)]
    lines = [
        r"\centering\medskip",
        rf"\fontsize{{{setting.size}}}{{{setting.size * LINE_HEIGHT:.1f}}}\selectfont",
        rf"\setlength{{\tabcolsep}}{{{COLUMN_SEPARATION}pt}}",
        rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
    ]
    if any(headings):
        lines.append(rf"{' & '.join(_protect_line_start(headings))} \\")
    for number, block in enumerate(blocks):
        if number or any(headings):
            lines.append(r"\midrule")
        if block.heading:
            lines.append(_block_heading(block.heading, setting))
        lines += [line.text for line in block.rows]
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _heading(place: int, column: Column[Any], setting: _Setting) -> str:
    if setting.paragraphs[place]:
        return _broken(" ".join(setting.headings[place]), setting.widths[place], setting.size)
    escaped = [_protect_line_start([escape_latex(line)])[0] for line in setting.headings[place]]
    if len(escaped) < 2:
        return "".join(escaped)
    alignment = "r" if column.numeric else "l"
    return rf"\begin{{tabular}}[b]{{@{{}}{alignment}@{{}}}}" + r" \\ ".join(escaped) + r"\end{tabular}"


def _block_heading(heading: str, setting: _Setting) -> str:
    """A heading over all columns, a paragraph where it is wider than these."""
    text, count = _printed(heading), len(setting.columns)
    # Italics may be a little wider.
    width = 0.94 * setting.total
    if text_width(text, setting.size) <= width:
        return rf"\multicolumn{{{count}}}{{@{{}}l@{{}}}}{{\emph{{{escape_latex(text)}}}}} \\"
    paragraph = rf">{{\raggedright\arraybackslash}}p{{{setting.total:.1f}pt}}"
    broken = _broken(text, width, setting.size)
    return rf"\multicolumn{{{count}}}{{@{{}}{paragraph}@{{}}}}{{\emph{{{broken}}}}} \\"


def _protect_line_start(texts: Sequence[str]) -> list[str]:
    """Protect the first text of a line, whose "[" or "*" LaTeX would take for a part of the command before it."""
    return [f"{{{texts[0]}}}" if texts[0].startswith(("[", "*")) else texts[0], *texts[1:]]


def escape_latex(text: str) -> str:
    r"""Escape text so that LaTeX prints it as it is, on one line, in the encodings OT1 and T1 and without packages.

    A character that LaTeX has no command for is printed by its number.

    Example:
        >>> escape_latex("β_1 = 50 %"), escape_latex("网")
        ('$\\beta$\\_1 = 50 \\%', '[U+7F51]')
    """
    # The null character, which no printed text has, stands between two characters that TeX would print as one.
    return "".join(map(_escaped, _LIGATURE.sub("\0", _printed(text))))


@lru_cache(maxsize=100_000)
def _printed(text: str) -> str:
    """Text on one line as it is printed, which is what its width is measured by."""
    return "".join(character if _escaped(character) else f"[U+{ord(character):04X}]" for character in one_line(text))


@lru_cache(maxsize=10_000)
def _escaped(character: str) -> str:
    """A character in LaTeX; nothing where it has no command for it."""
    if character in _SPECIAL or character.isascii():
        return _SPECIAL.get(character, character)
    *letter, name = unicodedata.name(character, "unnamed").lower().replace("lamda", "lambda").split()
    if letter == ["greek", "small", "letter"] and name in _GREEK:
        return rf"$\{name}$"
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        return rf"\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return ""
