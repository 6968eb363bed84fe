"""The cells of an architecture as figures that a paper can print, drawn with matplotlib where `layout` puts things."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import BoxStyle, FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Bbox, Transform

from opselect.bench.report.drawing.layout import LABEL_FONT, NODE_FONT, Layout, Line, lay_out, text_width
from opselect.spaces.errors import UserError
from opselect.spaces.space import NONE, Architecture, Edge, SearchSpace

# All lengths are in points as printed, 72 per inch. The text of a two-column paper is 6.75 inches wide.
INCH = 72.0
WIDEST = 6.75 * INCH
TITLE_FONT, NAME_FONT, SUBTITLE_FONT = 8.0, 7.5, 7.0
MARGIN = 4.0
BETWEEN_PANELS = 14.0
PANEL_WIDTH = 106.0
TITLE_WIDTH = 106.0
LEADING = 2.5

CELL_NAMES = {"normal": "Normal cell", "reduce": "Reduction cell"}
CONCATENATION_COLOR = "0.72"

Style: TypeAlias = tuple[str, str | tuple[float, tuple[float, ...]]]
"""Colour and line style."""

Row: TypeAlias = tuple[str, str, Architecture]
"""A label, a subtitle and what is drawn."""

SOLID, DASHED, DOTTED, DASH_DOTTED = "-", (0.0, (4.0, 1.4)), (0.0, (1.0, 1.0)), (0.0, (5.0, 1.2, 1.0, 1.2))
# Okabe and Ito's colours, which all kinds of colour vision tell apart, and a grey. An operation looks the same in all
# spaces. What one glance should connect, such as the two kernels of a separable convolution, has neighbouring colours.
STYLES: Mapping[str, Style] = {
    "skip_connect": ("#555555", DOTTED),
    "max_pool_3x3": ("#009e73", SOLID),
    "avg_pool_3x3": ("#009e73", DASH_DOTTED),
    "sep_conv_3x3": ("#0072b2", SOLID),
    "sep_conv_5x5": ("#56b4e9", DASHED),
    "dil_conv_3x3": ("#d55e00", SOLID),
    "dil_conv_5x5": ("#e69f00", DASHED),
    "noise": ("#cc79a7", DASH_DOTTED),
    "nor_conv_1x1": ("#d55e00", DASHED),
    "nor_conv_3x3": ("#0072b2", SOLID),
}


class TooNarrow(UserError, ValueError):
    """A figure that the cells do not fit into; the message says how wide they are."""


def operation_styles(space: SearchSpace) -> dict[str, Style]:
    """Colour and line style of every operation that can be drawn, in the order of the space."""
    operations = dict.fromkeys(name for edge in space.edges for name in edge.operations if name != NONE)
    known = {name: STYLES[name] for name in operations if name in STYLES}
    colors = dict.fromkeys(color for color, _ in STYLES.values())
    looks = [(color, style) for style in (SOLID, DASHED, DASH_DOTTED, DOTTED) for color in colors]
    free = itertools.cycle([look for look in looks if look not in known.values()])
    return {name: known[name] if name in known else next(free) for name in operations}


def cell_figure(space: SearchSpace, architecture: Architecture, title: str = "") -> Figure:
    """All cell types of an architecture, one above the other, every edge with the name of its operation.

    The figure is as wide as its cells are: 6.75 inches at most, in all spaces that opselect registers.
    """
    layouts = {
        name: lay_out(edges, operations, labelled=True, widest=WIDEST - 2 * MARGIN)
        for name, (edges, operations) in _by_cell(space, architecture).items()
    }
    width = max(min(text_width(title, TITLE_FONT), WIDEST - 2 * MARGIN), *(layout.width for layout in layouts.values()))
    page = _Page(Figure(), width + 2 * MARGIN, operation_styles(space))
    for line in _wrapped(title, TITLE_FONT, width):
        page.down(TITLE_FONT + 1)
        page.write(line, MARGIN + width / 2, TITLE_FONT, center=True)
    for name, layout in layouts.items():
        if len(layouts) > 1:
            page.down(14.0)
            page.write(CELL_NAMES.get(name, name), MARGIN, NAME_FONT, "0.35")
        page.down(6.0)
        page.place(layout, MARGIN + (width - layout.width) / 2)
        page.down(layout.height)
    return page.figure()


def overview_figure(space: SearchSpace, rows: Sequence[Row], inches: float, figure: Figure) -> Figure:
    """The cells of several architectures; a legend explains the lines, as edges have no names.

    In a space with one cell type, as many architectures stand side by side as the width has room for. In others an
    architecture has a line of the page for itself and its cell types stand side by side.

    Args:
        space: Search space of the architectures.
        rows: Label, subtitle and architecture of each row.
        inches: Width of the figure.
        figure: Empty figure, which gets this width and the height that it takes.

    Raises:
        TooNarrow: The cells do not fit into this width.
    """
    page = _Page(figure, inches * INCH, operation_styles(space))
    names = list(dict.fromkeys(edge.cell for edge in space.edges))
    if len(names) == 1:
        count = max(1, int((inches * INCH - 2 * MARGIN + BETWEEN_PANELS) / (PANEL_WIDTH + BETWEEN_PANELS)))
        lefts, width = _panels(inches * INCH, MARGIN, count)
        for start in range(0, len(rows), count):
            _place_below_titles(page, space, rows[start : start + count], lefts, width)
    else:
        lefts, width = _panels(inches * INCH, MARGIN + TITLE_WIDTH, len(names))
        page.down(NAME_FONT)
        for name, left in zip(names, lefts, strict=True):
            page.write(CELL_NAMES.get(name, name), left + width / 2, NAME_FONT, "0.35", center=True)
        for row in rows:
            _place_next_to_title(page, space, row, lefts, width)
    page.legend()
    return page.figure()


def _panels(whole: float, start: float, count: int) -> tuple[list[float], float]:
    """The left edges of panels side by side on a page of this width, the first of them here, and how wide they are."""
    width = (whole - MARGIN - start - (count - 1) * BETWEEN_PANELS) / count
    return [start + number * (width + BETWEEN_PANELS) for number in range(count)], width


def _place_below_titles(
    page: "_Page", space: SearchSpace, rows: Sequence[Row], lefts: Sequence[float], width: float
) -> None:
    """Draw architectures with one cell side by side, label and subtitle above each."""
    page.write_side_by_side([label for label, _, _ in rows], lefts, width, NAME_FONT, bold=True)
    page.write_side_by_side([subtitle for _, subtitle, _ in rows], lefts, width, SUBTITLE_FONT, "0.35")
    page.down(5.0)
    cells = [cell for _, _, architecture in rows for cell in _by_cell(space, architecture).values()]
    layouts = _laid_out(space, cells, width)
    height = max(layout.height for layout in layouts)
    for left, layout in zip(lefts, layouts, strict=False):
        page.place(layout, left + (width - layout.width) / 2, (height - layout.height) / 2)
    page.down(height + 6)


def _place_next_to_title(page: "_Page", space: SearchSpace, row: Row, lefts: Sequence[float], width: float) -> None:
    """Draw the cells of one architecture side by side, label and subtitle on their left."""
    label, subtitle, architecture = row
    cells = _by_cell(space, architecture).values()
    layouts = _laid_out(space, cells, width)
    room = TITLE_WIDTH - BETWEEN_PANELS
    names, details = _wrapped(label, NAME_FONT, room, bold=True), _wrapped(subtitle, SUBTITLE_FONT, room)
    text_height = len(names) * (NAME_FONT + LEADING) + len(details) * (SUBTITLE_FONT + LEADING)
    height = max(text_height, *(layout.height for layout in layouts))
    page.down(12.0)
    for left, layout in zip(lefts, layouts, strict=True):
        page.place(layout, left + (width - layout.width) / 2, (height - layout.height) / 2)
    page.down((height - text_height) / 2)
    for line in names:
        page.write_side_by_side([line], [MARGIN], room, NAME_FONT, bold=True)
    for line in details:
        page.write_side_by_side([line], [MARGIN], room, SUBTITLE_FONT, "0.35")
    page.down((height - text_height) / 2)


def _laid_out(space: SearchSpace, cells: Iterable[tuple[list[Edge], list[str]]], width: float) -> list[Layout]:
    """The layouts of cells without names of operations in panels of this width."""
    layouts = [lay_out(edges, operations, labelled=False, widest=width) for edges, operations in cells]
    widest = max(layout.width for layout in layouts)
    if widest > width + 0.5:
        raise TooNarrow(
            f"a cell of {space.name} is {widest:.0f} points wide, and there is room for {max(width, 0):.0f}; choose a "
            "wider figure, such as width = 'full'"
        )
    return layouts


def _by_cell(space: SearchSpace, architecture: Architecture) -> dict[str, tuple[list[Edge], list[str]]]:
    """The edges of each cell type and their operations."""
    cells: dict[str, tuple[list[Edge], list[str]]] = {}
    for edge, operation in zip(space.edges, architecture.operations, strict=True):
        edges, operations = cells.setdefault(edge.cell, ([], []))
        edges.append(edge)
        operations.append(operation)
    return cells


def _draw(axes: Axes, layout: Layout, styles: Mapping[str, Style], x: float, y: float) -> None:
    """Draw a cell with its upper left corner here, in axes whose units are points."""
    place = Affine2D().translate(x, y) + axes.transData
    for line, path in layout.paths.items():
        _draw_line(axes, place, line, path, styles)
    for line, box in layout.labels.items():
        assert line.operation is not None, f"{line} has a label"
        color = styles[line.operation][0]
        _draw_box(axes, place, box, f"label {_name(line)}", _pale(color), color)
        _draw_text(axes, place, box, line.operation, LABEL_FONT)
    for node, box in layout.nodes.items():
        outer = node in layout.inputs or node == max(layout.nodes)
        _draw_box(axes, place, box, f"node {node}", "0.9" if outer else "white", "0.3")
        _draw_text(axes, place, box, layout.texts[node], NODE_FONT, math=True)


def _draw_line(axes: Axes, place: Transform, line: Line, path: Path, styles: Mapping[str, Style]) -> None:
    color, style = (CONCATENATION_COLOR, SOLID) if line.operation is None else styles[line.operation]
    kind, width, length, half = ("edge", 1.3, 4.5, 1.9) if line.operation else ("concatenation", 0.7, 3.5, 1.4)
    tip = np.array(path.vertices)[-1]
    # The line ends within the arrowhead, whose tip would not be sharp otherwise.
    shaft = Path([*np.array(path.vertices)[:-1], tip - (length - 0.5, 0)], path.codes)
    axes.add_artist(
        PathPatch(
            shaft,
            facecolor="none",
            edgecolor=color,
            linestyle=style,
            linewidth=width,
            capstyle="butt",
            transform=place,
            clip_on=False,
            gid=f"{kind} {_name(line)}",
        )
    )
    corners = tip + np.array([(0, 0), (-length, -half), (-length, half)])
    axes.add_artist(Polygon(corners, facecolor=color, edgecolor="none", transform=place, gid=f"head {_name(line)}"))


def _draw_box(axes: Axes, place: Transform, box: Bbox, name: str, face: str, border: str) -> None:
    corners = FancyBboxPatch(
        box.p0,
        box.width,
        box.height,
        boxstyle=BoxStyle.Round(pad=0, rounding_size=3.5),
        facecolor=face,
        edgecolor=border,
        linewidth=0.7,
        transform=place,
        clip_on=False,
        gid=name,
        zorder=3,
    )
    axes.add_artist(corners)


def _draw_text(axes: Axes, place: Transform, box: Bbox, text: str, size: float, math: bool = False) -> None:
    """Write a text in a box. Only our own are mathematics; in a name, a dollar sign is a dollar sign."""
    axes.text(
        (box.x0 + box.x1) / 2,
        (box.y0 + box.y1) / 2,
        text,
        fontsize=size,
        ha="center",
        va="center_baseline",
        color="0.1",
        parse_math=math,
        transform=place,
        gid="text",
        zorder=4,
    )


def _name(line: Line) -> str:
    return f"{line.source}→{line.target}"


def _pale(color: str) -> str:
    """The colour as a background on which black text can be read."""
    red, green, blue = (1 - 0.14 * (1 - part) for part in to_rgb(color))
    return to_hex((red, green, blue))


def _wrapped(text: str, size: float, width: float, bold: bool = False) -> list[str]:
    """The lines of a text that is broken at spaces, though not at hard ones; what is still too long is cut."""
    # Hinting makes a line in a PNG file up to 4 % wider than its outlines.
    width *= 0.96
    lines: list[str] = []
    for word in text.replace("\n", " ").replace("\t", " ").split(" "):
        if not word:
            continue
        if lines and text_width(f"{lines[-1]} {word}", size, bold) <= width:
            lines[-1] += f" {word}"
            continue
        length = len(word)
        while length and text_width(word[:length] + "…" * (length < len(word)), size, bold) > width:
            length -= 1
        lines.append(word if length == len(word) else f"{word[:length]}…")
    return lines


class _Page:
    """A figure that is filled from top to bottom; one unit of its only axes is one point."""

    def __init__(self, figure: Figure, width: float, styles: Mapping[str, Style]) -> None:
        self._width = width
        self._used = MARGIN
        self._styles = styles
        self._figure = figure
        self._figure.set_layout_engine("none")
        self._axes = self._figure.add_axes((0, 0, 1, 1))

    def down(self, length: float) -> None:
        """Leave this much below what is there."""
        self._used += length

    def write(
        self, text: str, x: float, size: float, color: str = "0.1", bold: bool = False, center: bool = False
    ) -> None:
        """Write a line of text; where the page is used up to is its base line."""
        self._axes.text(
            x,
            self._used,
            text,
            fontsize=size,
            color=color,
            fontweight="bold" if bold else "normal",
            ha="center" if center else "left",
            parse_math=False,
            gid="heading",
        )

    def write_side_by_side(
        self,
        texts: Sequence[str],
        lefts: Sequence[float],
        width: float,
        size: float,
        color: str = "0.1",
        bold: bool = False,
    ) -> None:
        """Write texts side by side, each broken into lines of this width."""
        broken = [_wrapped(text, size, width, bold) for text in texts]
        for lines in itertools.zip_longest(*broken, fillvalue=""):
            self.down(size + LEADING)
            for line, left in zip(lines, lefts, strict=False):
                self.write(line, left, size, color, bold)

    def place(self, layout: Layout, x: float, below: float = 0.0) -> None:
        """Draw a cell whose upper left corner is here, or so much below it."""
        _draw(self._axes, layout, self._styles, x, self._used + below)

    def legend(self) -> None:
        """Explain the lines, in as many columns as fit."""
        sample, side = 24.0, 5.0
        widest = max(text_width(name, NODE_FONT) for name in self._styles) + sample + 4 * side
        across = max(1, min(len(self._styles), int((self._width - 2 * MARGIN) / widest)))
        across = math.ceil(len(self._styles) / math.ceil(len(self._styles) / across))
        first = (self._width - across * widest) / 2
        self.down(6.0)
        for number, (name, (color, style)) in enumerate(self._styles.items()):
            if number % across == 0:
                self.down(11.0)
            x = first + number % across * widest + side
            line = Line2D((x, x + sample), (self._used - 2.6,) * 2, color=color, ls=style, lw=1.6, gid=f"sample {name}")
            self._axes.add_line(line)
            self.write(name, x + sample + side, NODE_FONT)

    def figure(self) -> Figure:
        """The figure, cut where the page is used up to."""
        height = self._used + MARGIN
        self._figure.set_size_inches(self._width / INCH, height / INCH)
        self._axes.set_xlim(0, self._width)
        self._axes.set_ylim(height, 0)
        self._axes.axis("off")
        return self._figure
