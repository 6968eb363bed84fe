"""The cells of an architecture as graphs that a paper can print, in which nothing covers a label or a node.

That holds by construction. Nodes stand in columns, each right of all that feed it, and the names of the operations in
columns between them. Whatever passes a column has a height of its own there, so lines are horizontal inside of columns
and bend only in the gaps, where nothing else is.

Which order within the columns has the fewest crossings is found by trying all, as cells are small; at which heights
the lines are then straightest, by scipy. No graph library that could do both suits: networkx has layers but does not
order them, pygraphviz needs a program that pip does not install, and igraph is under the GPL.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import networkx
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import BoxStyle, FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, Bbox, Transform
from scipy.optimize import lsq_linear

from opselect.spaces.space import NONE, Architecture, Edge, SearchSpace

# All lengths are in points as printed, 72 an inch. The text of a two-column paper is 7 inches wide.
INCH = 72.0
WIDEST = 7.0 * INCH
NODE_HEIGHT, NODE_FONT = 15.0, 7.5
LABEL_HEIGHT, LABEL_FONT = 11.0, 6.5
TITLE_FONT, NAME_FONT, SUBTITLE_FONT = 8.0, 7.5, 6.5
# What a node or a label has left and right of its text.
SIDE = 3.5
# Between two neighbours of a column, and between two lines that pass it.
APART, LINES_APART = 4.0, 6.0
# Between columns. A cell of few columns is not pulled apart over the whole page.
SMALLEST_GAP, LARGEST_GAP = 12.0, 32.0
PORTS_APART = 4.0
MARGIN = 4.0
BETWEEN_PANELS = 14.0
PANELS = 4
TITLE_WIDTH = 106.0
LEADING = 2.5
MOST_ORDERS = math.factorial(6)

CELL_NAMES = {"normal": "Normal cell", "reduce": "Reduction cell"}
CONCATENATION_COLOR = "0.72"

Style: TypeAlias = tuple[str, str | tuple[float, tuple[float, ...]]]
"""Colour and line style."""

Row: TypeAlias = tuple[str, str, Architecture]
"""A label, a subtitle and what is drawn."""

_Level: TypeAlias = tuple[float, float, float]
"""Where a line is level: from here, to here, at this height."""

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

    The figure is as wide as its cells are: 7 inches at most, in all spaces that opselect registers.
    """
    layouts = {
        name: _lay_out(edges, operations, labelled=True, widest=WIDEST - 2 * MARGIN)
        for name, (edges, operations) in _by_cell(space, architecture).items()
    }
    width = max(min(_width(title, TITLE_FONT), WIDEST - 2 * MARGIN), *(layout.width for layout in layouts.values()))
    page = _Page(width + 2 * MARGIN, operation_styles(space))
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


def overview_figure(space: SearchSpace, rows: Sequence[Row]) -> Figure:
    """The cells of several architectures, 7 inches wide; a legend tells what lines mean, as edges have no names.

    In a space with one cell type, up to four architectures stand side by side. In others an architecture has a line of
    the page for itself and its cell types stand side by side.

    Args:
        space: of the architectures.
        rows: label, subtitle and architecture.
    """
    page = _Page(WIDEST, operation_styles(space))
    names = list(dict.fromkeys(edge.cell for edge in space.edges))
    if len(names) == 1:
        lefts, width = _panels(MARGIN, PANELS)
        for start in range(0, len(rows), PANELS):
            _place_below_titles(page, space, rows[start : start + PANELS], lefts, width)
    else:
        lefts, width = _panels(MARGIN + TITLE_WIDTH, len(names))
        page.down(NAME_FONT)
        for name, left in zip(names, lefts, strict=True):
            page.write(CELL_NAMES.get(name, name), left + width / 2, NAME_FONT, "0.35", center=True)
        for row in rows:
            _place_beside_title(page, space, row, lefts, width)
    page.legend()
    return page.figure()


def _panels(start: float, count: int) -> tuple[list[float], float]:
    """The left edges of panels side by side, the first of them here, and how wide they are."""
    width = (WIDEST - MARGIN - start - (count - 1) * BETWEEN_PANELS) / count
    return [start + number * (width + BETWEEN_PANELS) for number in range(count)], width


def _place_below_titles(
    page: "_Page", space: SearchSpace, rows: Sequence[Row], lefts: Sequence[float], width: float
) -> None:
    """Draw architectures with one cell side by side, label and subtitle above each."""
    page.write_beside([label for label, _, _ in rows], lefts, width, NAME_FONT, bold=True)
    page.write_beside([subtitle for _, subtitle, _ in rows], lefts, width, SUBTITLE_FONT, "0.35")
    page.down(5.0)
    cells = [cell for _, _, architecture in rows for cell in _by_cell(space, architecture).values()]
    layouts = [_lay_out(edges, operations, labelled=False, widest=width) for edges, operations in cells]
    height = max(layout.height for layout in layouts)
    for left, layout in zip(lefts, layouts, strict=False):
        page.place(layout, left + (width - layout.width) / 2, (height - layout.height) / 2)
    page.down(height + 6)


def _place_beside_title(page: "_Page", space: SearchSpace, row: Row, lefts: Sequence[float], width: float) -> None:
    """Draw the cells of one architecture side by side, label and subtitle on their left."""
    label, subtitle, architecture = row
    cells = _by_cell(space, architecture).values()
    layouts = [_lay_out(edges, operations, labelled=False, widest=width) for edges, operations in cells]
    room = TITLE_WIDTH - BETWEEN_PANELS
    names, details = _wrapped(label, NAME_FONT, room, bold=True), _wrapped(subtitle, SUBTITLE_FONT, room)
    text_height = len(names) * (NAME_FONT + LEADING) + len(details) * (SUBTITLE_FONT + LEADING)
    height = max(text_height, *(layout.height for layout in layouts))
    page.down(12.0)
    for left, layout in zip(lefts, layouts, strict=True):
        page.place(layout, left + (width - layout.width) / 2, (height - layout.height) / 2)
    page.down((height - text_height) / 2)
    for line in names:
        page.write_beside([line], [MARGIN], room, NAME_FONT, bold=True)
    for line in details:
        page.write_beside([line], [MARGIN], room, SUBTITLE_FONT, "0.35")
    page.down((height - text_height) / 2)


def _by_cell(space: SearchSpace, architecture: Architecture) -> dict[str, tuple[list[Edge], list[str]]]:
    """The edges of each cell type and their operations."""
    cells: dict[str, tuple[list[Edge], list[str]]] = {}
    for edge, operation in zip(space.edges, architecture.operations, strict=True):
        edges, operations = cells.setdefault(edge.cell, ([], []))
        edges.append(edge)
        operations.append(operation)
    return cells


@dataclass(frozen=True)
class _Line:
    """An edge as it is drawn; one into the concatenation has no operation."""

    source: int
    target: int
    operation: str | None = None


@dataclass(frozen=True)
class _Stop:
    """What has a place in a column: a node, or a line that passes, with or without its label."""

    column: int
    thing: int | _Line
    width: float = 0.0
    height: float = 0.0


@dataclass(frozen=True)
class _Layout:
    """Where everything is, in points from the upper left corner of the cell, downwards.

    Attributes:
        width: of the cell.
        height: of the cell.
        texts: what stands in each node.
        inputs: the nodes that are inputs.
        nodes: the box of each node.
        labels: the box of each label.
        paths: every line, from node to node.
    """

    width: float
    height: float
    texts: Mapping[int, str]
    inputs: tuple[int, ...]
    nodes: Mapping[int, Bbox]
    labels: Mapping[_Line, Bbox]
    paths: Mapping[_Line, Path]


@dataclass(frozen=True)
class _Graph:
    """What a drawing shows.

    Attributes:
        texts: what stands in each node, in the order of the nodes.
        inputs: the nodes that no edge of the space enters.
        lines: the edges that carry something, then the concatenation.
    """

    texts: Mapping[int, str]
    inputs: tuple[int, ...]
    lines: tuple[_Line, ...]


def _graph(edges: Sequence[Edge], operations: Sequence[str]) -> _Graph:
    """What to draw.

    A cell with two inputs is one of DARTS: they are the outputs of the two cells before, and its inner nodes are
    concatenated to its own. Any other cell has its nodes as they are numbered.
    """
    entered = sorted({edge.target for edge in edges})
    inputs = sorted({edge.source for edge in edges} - set(entered))
    lines = [
        _Line(edge.source, edge.target, operation)
        for edge, operation in zip(edges, operations, strict=True)
        if operation != NONE
    ]
    if len(inputs) != 2:
        return _Graph({node: str(node) for node in (*inputs, *entered)}, tuple(inputs), tuple(lines))
    output = entered[-1] + 1
    texts = dict(zip(inputs, ("$c_{k-2}$", "$c_{k-1}$"), strict=True))
    texts |= {node: str(number) for number, node in enumerate(entered)} | {output: "$c_k$"}
    return _Graph(texts, tuple(inputs), (*lines, *(_Line(node, output) for node in entered)))


def _layers(graph: _Graph) -> dict[int, int]:
    """How many columns of nodes stand left of every node: as few as the edges into it allow."""
    *inner, output = (node for node in graph.texts if node not in graph.inputs)
    order: networkx.DiGraph[int] = networkx.DiGraph()
    order.add_nodes_from(graph.inputs)
    order.add_edges_from((line.source, line.target) for line in graph.lines)
    # Also a node that nothing enters or leaves stands between the inputs and the output.
    order.add_edges_from((graph.inputs[0], node) for node in (*inner, output))
    order.add_edges_from((node, output) for node in (*graph.inputs, *inner))
    generations = enumerate(networkx.topological_generations(order))
    return {node: layer for layer, generation in generations for node in generation}


def _columns(graph: _Graph, labelled: bool) -> tuple[list[list[_Stop]], dict[_Line, list[_Stop]]]:
    """What stands in every column, in no order yet, and where every line stops on its way from node to node.

    Columns of nodes have even numbers; those of labels are between them.
    """
    layers = _layers(graph)
    labels = _label_columns(graph.lines, layers) if labelled else {}
    nodes = {
        node: _Stop(
            2 * layer, node, max(NODE_HEIGHT, _width(graph.texts[node], NODE_FONT, math=True) + 2 * SIDE), NODE_HEIGHT
        )
        for node, layer in layers.items()
    }
    trails: dict[_Line, list[_Stop]] = {}
    for line in graph.lines:
        trails[line] = [nodes[line.source]]
        for column in range(2 * layers[line.source] + 1, 2 * layers[line.target]):
            if line.operation is not None and labels.get(line) == column:
                width = _width(line.operation, LABEL_FONT) + 2 * SIDE
                trails[line].append(_Stop(column, line, width, LABEL_HEIGHT))
            elif column % 2 == 0 or column in labels.values():
                trails[line].append(_Stop(column, line))
        trails[line].append(nodes[line.target])
    stops = dict.fromkeys([*nodes.values(), *itertools.chain.from_iterable(trails.values())])
    columns: dict[int, list[_Stop]] = {}
    for stop in sorted(stops, key=lambda stop: stop.column):
        columns.setdefault(stop.column, []).append(stop)
    return list(columns.values()), trails


def _label_columns(lines: Sequence[_Line], layers: Mapping[int, int]) -> dict[_Line, int]:
    """A column for the label of every line: where the fewest labels are, or else the one nearest to the target."""
    found: dict[_Line, int] = {}
    for line in sorted(lines, key=lambda line: layers[line.target] - layers[line.source]):
        if line.operation is not None:
            free = range(2 * layers[line.target] - 1, 2 * layers[line.source], -2)
            found[line] = min(free, key=list(found.values()).count)
    return found


def _ordered(columns: Sequence[list[_Stop]], trails: Sequence[list[_Stop]]) -> list[list[_Stop]]:
    """The columns from top to bottom, with the fewest crossings that any order has."""
    ranks = _ranks([column for column in columns if column[0].column % 2 == 0], trails)
    ends = {
        stop: (ranks[before], ranks[after])
        for trail in trails
        for before, stop, after in zip(trail, trail[1:], trail[2:], strict=False)
        if stop.column % 2
    }
    # Between two columns of nodes, lines in the order in which they come and go cross as often as they must.
    return [sorted(column, key=lambda stop: ends.get(stop) or (ranks[stop], 0)) for column in columns]


def _ranks(columns: Sequence[list[_Stop]], trails: Sequence[list[_Stop]]) -> dict[_Stop, int]:
    """The places in columns of nodes: fewest crossings first, then straight lines, then nodes as they are numbered.

    All orders of a column are tried with all of the next one; from left to right, only the best way to each is kept.
    """
    # Inputs stay as they are: a drawing and its mirror image have the same crossings.
    orders = [np.arange(len(columns[0]))[np.newaxis], *(_orders(len(column)) for column in columns[1:])]
    costs = np.zeros(1)
    best_before = []
    in_columns = [[stop for stop in trail if stop.column % 2 == 0] for trail in trails]
    pieces = list(dict.fromkeys(piece for trail in in_columns for piece in itertools.pairwise(trail)))
    for left, right, left_orders, right_orders in zip(columns, columns[1:], orders, orders[1:], strict=False):
        between = [(left.index(one), right.index(other)) for one, other in pieces if one in left]
        steps = _step_costs(left_orders[:, [one for one, _ in between]], right_orders[:, [one for _, one in between]])
        # What is numbered differently from its order costs least.
        nodes = [number for number, stop in enumerate(right) if isinstance(stop.thing, int)]
        swapped = sum(right_orders[:, one] > right_orders[:, other] for one, other in itertools.combinations(nodes, 2))
        ways = costs[:, np.newaxis] + steps + 1e-6 * np.asarray(swapped)
        best_before.append(ways.argmin(0))
        costs = ways.min(0)
    choice = int(costs.argmin())
    ranks: dict[_Stop, int] = {}
    for column, of_column, before in zip(
        columns[::-1], orders[::-1], [*best_before[::-1], np.zeros(1, int)], strict=True
    ):
        ranks |= dict(zip(column, of_column[choice].tolist(), strict=True))
        choice = int(before[choice])
    return ranks


def _orders(count: int) -> Int[np.ndarray, "orders stops"]:
    """The place of every stop in each order of a column, `[orders, stops]`.

    A column has four stops at most in cells that keep two edges into each of four nodes. Up to six, which a plug-in
    might have, these are all orders; of more they are only the first, and some crossings may be needless.
    """
    return np.array(list(itertools.islice(itertools.permutations(range(count)), MOST_ORDERS)))


def _step_costs(
    left: Int[np.ndarray, "left_orders lines"], right: Int[np.ndarray, "right_orders lines"]
) -> Float[np.ndarray, "left_orders right_orders"]:
    """How many lines cross between two columns, and a little for lines that are not straight, for all their orders.

    Args:
        left: where every line leaves the left column in each of its orders.
        right: where it enters the right column in each of its orders.
    """
    one, other = np.triu_indices(left.shape[1], 1)
    left_signs = np.sign(left[:, one] - left[:, other]).astype(float)
    right_signs = np.sign(right[:, one] - right[:, other]).astype(float)
    # A pair that has an end in common does not cross.
    crossings = (np.abs(left_signs) @ np.abs(right_signs).T - left_signs @ right_signs.T) / 2
    left_places, right_places = left - left.max(initial=0) / 2, right - right.max(initial=0) / 2
    squares = (left_places**2).sum(1)[:, np.newaxis] + (right_places**2).sum(1) - 2 * left_places @ right_places.T
    return crossings + 1e-4 * squares


def _ports(columns: Sequence[list[_Stop]], trails: Mapping[_Line, list[_Stop]]) -> dict[tuple[_Stop, _Line], float]:
    """How far below the middle of its node every line begins and ends, in the order of the lines beside the node."""
    places = {stop: place for column in columns for place, stop in enumerate(column)}
    sides: dict[tuple[_Stop, int], list[tuple[int, _Line]]] = {}
    for line, trail in trails.items():
        sides.setdefault((trail[0], +1), []).append((places[trail[1]], line))
        sides.setdefault((trail[-1], -1), []).append((places[trail[-2]], line))
    ports = {}
    for (stop, _), side in sides.items():
        step = min(PORTS_APART, (NODE_HEIGHT - PORTS_APART) / max(1, len(side) - 1))
        for number, (_, line) in enumerate(sorted(side, key=lambda place: place[0])):
            ports[stop, line] = step * (number - (len(side) - 1) / 2)
    return ports


def _heights(
    columns: Sequence[list[_Stop]],
    trails: Mapping[_Line, list[_Stop]],
    ports: Mapping[tuple[_Stop, _Line], float],
) -> dict[_Stop, float]:
    """How far below the upper end of the cell the middle of every stop is, such that lines are straight.

    Least squares over the steps from each stop to the next one of its column, which must not be too small.
    """
    stops = [stop for column in columns for stop in column]
    steps_to = np.zeros((len(stops), len(stops)))
    smallest = np.full(len(stops), -np.inf)
    for column in columns:
        first = stops.index(column[0])
        for number in range(first, first + len(column)):
            steps_to[number, first : number + 1] = 1
            if number > first:
                smallest[number] = _apart(stops[number - 1], stops[number])
    middles = dict(zip(stops, steps_to, strict=True))
    # A faint pull to the middle holds what no line holds.
    rows = [0.03 * row for row in steps_to]
    targets = [0.0] * len(rows)
    for line, trail in trails.items():
        for left, right in itertools.pairwise(trail):
            # What passes columns is straight if it can be; the eye forgives more bends beside a node.
            passes = not isinstance(left.thing, int) and not isinstance(right.thing, int)
            weight = 30.0 if passes else 1.0 if line.operation else 0.5
            rows.append(weight * (middles[left] - middles[right]))
            targets.append(weight * (ports.get((right, line), 0.0) - ports.get((left, line), 0.0)))
    solution = lsq_linear(np.array(rows), np.array(targets), (smallest, np.inf), method="bvls")
    return dict(zip(stops, (steps_to @ solution.x).tolist(), strict=True))


def _apart(upper: _Stop, lower: _Stop) -> float:
    """The least distance between the middles of two neighbours."""
    return max(LINES_APART, (upper.height + lower.height) / 2 + APART)


def _lay_out(edges: Sequence[Edge], operations: Sequence[str], labelled: bool, widest: float) -> _Layout:
    """Where everything goes.

    Args:
        edges: all edges of the cell.
        operations: one an edge.
        labelled: whether operations are written on their edges.
        widest: the width that the gaps between columns may fill.
    """
    graph = _graph(edges, operations)
    unordered, trails = _columns(graph, labelled)
    columns = _ordered(unordered, list(trails.values()))
    ports = _ports(columns, trails)
    heights = _heights(columns, trails, ports)
    top = min(heights[column[0]] - column[0].height / 2 for column in columns)
    bottom = max(heights[column[-1]] + column[-1].height / 2 for column in columns)
    widths = [max(stop.width for stop in column) for column in columns]
    gap = min(LARGEST_GAP, max(SMALLEST_GAP, (widest - sum(widths)) / (len(widths) - 1)))
    lefts = [sum(widths[:number]) + number * gap for number in range(len(widths))]
    spans = {column[0].column: (left, left + width) for column, left, width in zip(columns, lefts, widths, strict=True)}
    boxes = {
        stop: Bbox.from_bounds(
            sum(spans[stop.column]) / 2 - stop.width / 2, heights[stop] - stop.height / 2 - top, stop.width, stop.height
        )
        for stop in heights
    }
    return _Layout(
        width=lefts[-1] + widths[-1],
        height=bottom - top,
        texts=graph.texts,
        inputs=graph.inputs,
        nodes={stop.thing: box for stop, box in boxes.items() if isinstance(stop.thing, int)},
        labels={stop.thing: box for stop, box in boxes.items() if isinstance(stop.thing, _Line) and stop.width},
        paths={
            line: _path(
                # Inside of its own two nodes a line is hidden.
                [(*spans[stop.column], heights[stop] + ports.get((stop, line), 0.0) - top) for stop in trail[1:-1]],
                (boxes[trail[0]].x1, spans[trail[0].column][1], heights[trail[0]] + ports[trail[0], line] - top),
                (spans[trail[-1].column][0], boxes[trail[-1]].x0, heights[trail[-1]] + ports[trail[-1], line] - top),
            )
            for line, trail in trails.items()
        },
    )


def _path(passed: Sequence[_Level], start: _Level, end: _Level) -> Path:
    """Level through every column, and smooth from each to the next."""
    points, codes = [(start[0], start[2])], [Path.MOVETO]
    for (_, left, height), (right, _, next_height) in itertools.pairwise([start, *passed, end]):
        middle = (left + right) / 2
        points += [(left, height), (middle, height), (middle, next_height), (right, next_height)]
        codes += [Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    return Path([*points, (end[1], end[2])], [*codes, Path.LINETO])


def _draw(axes: Axes, layout: _Layout, styles: Mapping[str, Style], x: float, y: float) -> None:
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


def _draw_line(axes: Axes, place: Transform, line: _Line, path: Path, styles: Mapping[str, Style]) -> None:
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


def _name(line: _Line) -> str:
    return f"{line.source}→{line.target}"


def _pale(color: str) -> str:
    """The colour as a background on which black text can be read."""
    red, green, blue = (1 - 0.14 * (1 - part) for part in to_rgb(color))
    return to_hex((red, green, blue))


def _width(text: str, size: float, bold: bool = False, math: bool = False) -> float:
    """The width of a text in points."""
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=math)[0])


def _wrapped(text: str, size: float, width: float, bold: bool = False) -> list[str]:
    """The lines of a text that is broken at spaces, though not at hard ones; what is still too long is cut."""
    lines: list[str] = []
    for word in text.replace("\n", " ").replace("\t", " ").split(" "):
        if not word:
            continue
        if lines and _width(f"{lines[-1]} {word}", size, bold) <= width:
            lines[-1] += f" {word}"
            continue
        kept = len(word)
        while kept and _width(word[:kept] + "…" * (kept < len(word)), size, bold) > width:
            kept -= 1
        lines.append(word if kept == len(word) else f"{word[:kept]}…")
    return lines


class _Page:
    """A figure that is filled from top to bottom; one unit of its only axes is one point."""

    def __init__(self, width: float, styles: Mapping[str, Style]) -> None:
        self._width = width
        self._used = MARGIN
        self._styles = styles
        self._figure = Figure()
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

    def write_beside(
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

    def place(self, layout: _Layout, x: float, below: float = 0.0) -> None:
        """Draw a cell whose upper left corner is here, or so much below it."""
        _draw(self._axes, layout, self._styles, x, self._used + below)

    def legend(self) -> None:
        """Tell what the lines mean, in as many columns as fit."""
        sample, side = 24.0, 5.0
        widest = max(_width(name, NODE_FONT) for name in self._styles) + sample + 4 * side
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
