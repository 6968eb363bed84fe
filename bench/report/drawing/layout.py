"""The layered layout of a cell: where its nodes, its labels and its lines stand, so that nothing covers anything.

A reader must be able to follow every edge and read every name, in any cell and without anyone moving things by hand, so
the layout makes overlaps impossible instead of searching for them. Nodes stand in columns, each right of all that feed
it, and the names of the operations in columns between them. Whatever passes a column has a height of its own there, so
lines are horizontal inside of columns and bend only in the gaps, where nothing else is.

The steps, in this order: what to draw (`_graph`); the column of every node (`_layers`) and label (`_columns`); the
order within the columns that has the fewest crossings (`_ordered`), found by trying all, as cells are small; and the
heights at which the lines are straightest (`_heights`), a least-squares problem that scipy solves.

Most graph libraries do not suit: networkx has layers but does not order them, pygraphviz needs a program that pip does
not install, and igraph is under the GPL. fast-sugiyama has offered a layered layout under a free licence since 2026; it
is young and was not tried here.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import networkx
import numpy as np
from jaxtyping import Float, Int
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox
from scipy.optimize import lsq_linear

from opselect.spaces.space import NONE, Edge

# All lengths are in points as printed, 72 per inch.
NODE_HEIGHT, NODE_FONT = 15.0, 7.5
LABEL_HEIGHT, LABEL_FONT = 11.0, 7.0
# What a node or a label has left and right of its text.
SIDE = 3.5
# Between two neighbours of a column, and between two lines that pass it.
APART, LINES_APART = 4.0, 6.0
# Between columns. A cell of few columns is not pulled apart over the whole page.
SMALLEST_GAP, LARGEST_GAP = 12.0, 32.0
PORTS_APART = 4.0
MOST_ORDERS = math.factorial(6)

_Level: TypeAlias = tuple[float, float, float]
"""Where a line is level: from here, to here, at this height."""


@dataclass(frozen=True)
class Line:
    """An edge as it is drawn; one into the concatenation has no operation."""

    source: int
    target: int
    operation: str | None = None


@dataclass(frozen=True)
class _Stop:
    """What has a place in a column: a node, or a line that passes, with or without its label."""

    column: int
    thing: int | Line
    width: float = 0.0
    height: float = 0.0


@dataclass(frozen=True)
class Layout:
    """Where everything is, in points from the upper left corner of the cell, downwards.

    Attributes:
        width: Width of the cell.
        height: Height of the cell.
        texts: Text of each node.
        inputs: Nodes that are inputs of the cell.
        nodes: Box of each node.
        labels: Box of each label.
        paths: Path of every line, from node to node.
    """

    width: float
    height: float
    texts: Mapping[int, str]
    inputs: tuple[int, ...]
    nodes: Mapping[int, Bbox]
    labels: Mapping[Line, Bbox]
    paths: Mapping[Line, Path]


@dataclass(frozen=True)
class _Graph:
    """What a drawing shows.

    Attributes:
        texts: Text of each node, in the order of the nodes.
        inputs: Nodes that no edge of the space enters.
        lines: Edges with an operation other than `none`, then those into the concatenation.
    """

    texts: Mapping[int, str]
    inputs: tuple[int, ...]
    lines: tuple[Line, ...]


def _graph(edges: Sequence[Edge], operations: Sequence[str]) -> _Graph:
    """What to draw.

    A cell with two inputs is one of DARTS: they are the outputs of the two cells before, and its inner nodes are
    concatenated to its own. Any other cell has its nodes as they are numbered.
    """
    entered = sorted({edge.target for edge in edges})
    inputs = sorted({edge.source for edge in edges} - set(entered))
    lines = [
        Line(edge.source, edge.target, operation)
        for edge, operation in zip(edges, operations, strict=True)
        if operation != NONE
    ]
    if len(inputs) != 2:
        return _Graph({node: str(node) for node in (*inputs, *entered)}, tuple(inputs), tuple(lines))
    output = entered[-1] + 1
    texts = dict(zip(inputs, ("$c_{k-2}$", "$c_{k-1}$"), strict=True))
    texts |= {node: str(number) for number, node in enumerate(entered)} | {output: "$c_k$"}
    return _Graph(texts, tuple(inputs), (*lines, *(Line(node, output) for node in entered)))


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


def _columns(graph: _Graph, labelled: bool) -> tuple[list[list[_Stop]], dict[Line, list[_Stop]]]:
    """What stands in every column, in no order yet, and where every line stops on its way from node to node.

    Columns of nodes have even numbers; those of labels are between them.
    """
    layers = _layers(graph)
    labels = _label_columns(graph.lines, layers) if labelled else {}
    widths = {node: text_width(text, NODE_FONT, math=True) + 2 * SIDE for node, text in graph.texts.items()}
    nodes = {
        node: _Stop(2 * layer, node, max(NODE_HEIGHT, widths[node]), NODE_HEIGHT) for node, layer in layers.items()
    }
    trails: dict[Line, list[_Stop]] = {}
    for line in graph.lines:
        trails[line] = [nodes[line.source]]
        for column in range(2 * layers[line.source] + 1, 2 * layers[line.target]):
            if line.operation is not None and labels.get(line) == column:
                width = text_width(line.operation, LABEL_FONT) + 2 * SIDE
                trails[line].append(_Stop(column, line, width, LABEL_HEIGHT))
            elif column % 2 == 0 or column in labels.values():
                trails[line].append(_Stop(column, line))
        trails[line].append(nodes[line.target])
    stops = dict.fromkeys([*nodes.values(), *itertools.chain.from_iterable(trails.values())])
    columns: dict[int, list[_Stop]] = {}
    for stop in sorted(stops, key=lambda stop: stop.column):
        columns.setdefault(stop.column, []).append(stop)
    return list(columns.values()), trails


def _label_columns(lines: Sequence[Line], layers: Mapping[int, int]) -> dict[Line, int]:
    """A column for the label of every line: where the fewest labels are, or else the one nearest to the target."""
    columns: dict[Line, int] = {}
    for line in sorted(lines, key=lambda line: layers[line.target] - layers[line.source]):
        if line.operation is not None:
            free = range(2 * layers[line.target] - 1, 2 * layers[line.source], -2)
            columns[line] = min(free, key=list(columns.values()).count)
    return columns


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

    All orders of a column are tried with all of the next one; from left to right, only the best way to each remains.
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
        left: Where every line leaves the left column in each of its orders.
        right: Where it enters the right column in each of its orders.
    """
    one, other = np.triu_indices(left.shape[1], 1)
    left_signs = np.sign(left[:, one] - left[:, other]).astype(float)
    right_signs = np.sign(right[:, one] - right[:, other]).astype(float)
    # A pair that has an end in common does not cross.
    crossings = (np.abs(left_signs) @ np.abs(right_signs).T - left_signs @ right_signs.T) / 2
    left_places, right_places = left - left.max(initial=0) / 2, right - right.max(initial=0) / 2
    squares = (left_places**2).sum(1)[:, np.newaxis] + (right_places**2).sum(1) - 2 * left_places @ right_places.T
    return crossings + 1e-4 * squares


def _ports(columns: Sequence[list[_Stop]], trails: Mapping[Line, list[_Stop]]) -> dict[tuple[_Stop, Line], float]:
    """How far below the middle of its node every line begins and ends, in the order of the lines next to the node."""
    places = {stop: place for column in columns for place, stop in enumerate(column)}
    sides: dict[tuple[_Stop, int], list[tuple[int, Line]]] = {}
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
    trails: Mapping[Line, list[_Stop]],
    ports: Mapping[tuple[_Stop, Line], float],
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
            # What passes columns is straight if it can be; the eye forgives more bends next to a node.
            passes = not isinstance(left.thing, int) and not isinstance(right.thing, int)
            weight = 30.0 if passes else 1.0 if line.operation else 0.5
            rows.append(weight * (middles[left] - middles[right]))
            targets.append(weight * (ports.get((right, line), 0.0) - ports.get((left, line), 0.0)))
    solution = lsq_linear(np.array(rows), np.array(targets), (smallest, np.inf), method="bvls")
    return dict(zip(stops, (steps_to @ solution.x).tolist(), strict=True))


def _apart(upper: _Stop, lower: _Stop) -> float:
    """The least distance between the middles of two neighbours."""
    return max(LINES_APART, (upper.height + lower.height) / 2 + APART)


def lay_out(edges: Sequence[Edge], operations: Sequence[str], labelled: bool, widest: float) -> Layout:
    """Lay a cell out.

    Args:
        edges: All edges of the cell.
        operations: One operation per edge.
        labelled: Whether operations are written on their edges.
        widest: Width in points that the gaps between columns may fill.

    Returns:
        The places of its nodes, labels and lines.
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
    return Layout(
        width=lefts[-1] + widths[-1],
        height=bottom - top,
        texts=graph.texts,
        inputs=graph.inputs,
        nodes={stop.thing: box for stop, box in boxes.items() if isinstance(stop.thing, int)},
        labels={stop.thing: box for stop, box in boxes.items() if isinstance(stop.thing, Line) and stop.width},
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


def text_width(text: str, size: float, bold: bool = False, math: bool = False) -> float:
    """The width of a text in points."""
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=math)[0])
