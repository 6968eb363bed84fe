"""Draw the rooms of the code and what they import: `python docs/architecture.py FILE`, which `make docs` runs.

The imports are read with `ast`, so the picture is what the code is and nothing has to be imported. Each of the three
folders is a band; in it, a room is a box in a column right of all rooms that import it. Rooms that import one another
share a box, since no arrow between them would say which comes first. An arrow that follows from two others is left out:
with all of them, nothing could be read.
"""

import ast
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

import matplotlib
import networkx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

ROOT = FilePath(__file__).parents[1]
BANDS = {
    "bench": ("the harness", "#dbe9f6"),
    "selectors": ("everything that decides", "#fde6cf"),
    "spaces": ("what is decided about", "#ddf0dd"),
}
NOTE = (
    "An arrow: imports. Arrows that follow from others are left out. Bold, with a slash: a folder. "
    "Several names in a box: they import one another."
)

# All lengths are in points, 72 per inch. The picture is as wide as a page of text.
WIDTH = 700.0
BOX_WIDTH, NAME_HEIGHT, BOX_PADDING = 88.0, 12.0, 6.0
LINE_HEIGHT = 8.0
"""Height that an arrow has to itself where it passes a column."""
APART, MARGIN, TITLE_HEIGHT, BAND_GAP = 9.0, 14.0, 14.0, 26.0
FONT = 9.0
SWEEPS = 10


@dataclass(frozen=True)
class Stop:
    """What has a place in a column: a box with the names of its rooms, or an arrow that passes."""

    column: int
    rooms: tuple[str, ...] = ()
    arrow: tuple[int, int] | None = None

    @property
    def height(self) -> float:
        """Height in points."""
        return NAME_HEIGHT * len(self.rooms) + BOX_PADDING if self.rooms else LINE_HEIGHT


def imports(band: str) -> "networkx.DiGraph[str]":
    """The rooms of a folder, and which of them imports which."""
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    for path in sorted((ROOT / band).rglob("*.py")):
        room = room_of(path.relative_to(ROOT).with_suffix("").parts)
        graph.add_node(room)
        for module in imported(ast.parse(path.read_text(encoding="utf-8"))):
            package, *parts = module.split(".")
            if package == "opselect" and parts[0] == band and len(parts) > 1 and room_of(parts) != room:
                graph.add_edge(room, room_of(parts))
    return graph


def imported(tree: ast.Module) -> Iterator[str]:
    """Every imported name with its module, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room_of(parts: Sequence[str]) -> str:
    """The room of a module: the sub-folder, or the file."""
    return parts[1] + "/" * (ROOT / parts[0] / parts[1]).is_dir()


def columns_of(graph: "networkx.DiGraph[str]") -> tuple[list[list[Stop]], list[list[Stop]]]:
    """What stands in every column, from left to right, and all stops of every arrow."""
    circles = networkx.condensation(graph)
    arrows = sorted(networkx.transitive_reduction(circles).edges)
    generations = list(networkx.topological_generations(circles.reverse()))[::-1]
    boxes = {
        number: Stop(column, tuple(sorted(circles.nodes[number]["members"])))
        for column, generation in enumerate(generations)
        for number in generation
    }
    trails = [
        [
            boxes[source],
            *(Stop(column, arrow=(source, target)) for column in range(boxes[source].column + 1, boxes[target].column)),
            boxes[target],
        ]
        for source, target in arrows
    ]
    stops = dict.fromkeys([*sorted(boxes.values(), key=lambda box: box.rooms), *itertools.chain(*trails)])
    return [[stop for stop in stops if stop.column == column] for column in range(len(generations))], trails


def untangled(columns: list[list[Stop]], trails: list[list[Stop]]) -> list[list[Stop]]:
    """The columns in an order with few crossings: stops go to the mean place of those left, then right of them."""
    steps = [step for trail in trails for step in itertools.pairwise(trail)]
    tried = []
    for _, side in itertools.product(range(SWEEPS), (0, 1)):
        places: dict[Stop, float] = {}
        for column in columns if side == 0 else columns[::-1]:
            near = {stop: [places[step[side]] for step in steps if step[1 - side] == stop] for stop in column}
            means = {stop: sum(there) / len(there) for stop, there in near.items() if there}
            middle = (len(column) - 1) / 2
            column = sorted(column, key=lambda stop: means.get(stop, column.index(stop) - middle))
            places |= {stop: place - middle for place, stop in enumerate(column)}
        columns = [sorted(column, key=places.__getitem__) for column in columns]
        tried.append(columns)
    return min(tried, key=lambda columns: crossings(columns, steps))


def crossings(columns: list[list[Stop]], steps: Sequence[tuple[Stop, Stop]]) -> int:
    """How many pairs of arrows cross."""
    places = {stop: place for column in columns for place, stop in enumerate(column)}
    return sum(
        one[0].column == other[0].column
        and (places[one[0]] - places[other[0]]) * (places[one[1]] - places[other[1]]) < 0
        for one, other in itertools.combinations(steps, 2)
    )


def draw_band(axes: Axes, band: str, top: float) -> float:
    """Draw one folder below a height, and return the height at which it ends."""
    unordered, trails = columns_of(imports(band))
    columns = untangled(unordered, trails)
    tall = max(sum(stop.height + APART for stop in column) - APART for column in columns)
    title, color = BANDS[band]
    bottom = top - TITLE_HEIGHT - tall - 2 * MARGIN
    axes.add_patch(
        FancyBboxPatch((4, bottom), WIDTH - 8, top - bottom, "round,pad=0,rounding_size=6", fc=color, ec="none")
    )
    name = axes.text(MARGIN, top - MARGIN, f"{band}/", weight="bold", size=FONT + 2, va="center")
    axes.annotate(title, (1, 0.5), (8, 0), name, "offset points", size=FONT, va="center", color="0.3")
    step = (WIDTH - 2 * MARGIN - BOX_WIDTH) / max(1, len(columns) - 1)
    middles: dict[Stop, tuple[float, float]] = {}
    for number, column in enumerate(columns):
        height = top - TITLE_HEIGHT - MARGIN - (tall - sum(stop.height + APART for stop in column) + APART) / 2
        for stop in column:
            middles[stop] = (MARGIN + step * number, height - stop.height / 2)
            height -= stop.height + APART
    for trail in trails:
        axes.add_patch(
            FancyArrowPatch(path=arrow(trail, middles), arrowstyle="-|>", mutation_scale=8, color="0.35", lw=0.9)
        )
    for stop, (left, middle) in middles.items():
        if stop.rooms:
            draw_box(axes, stop, left, middle)
    return bottom


def arrow(trail: Sequence[Stop], middles: dict[Stop, tuple[float, float]]) -> Path:
    """From box to box: level through every column that it passes, and bent between the columns."""
    left, height = middles[trail[0]]
    points, codes, right = [(left + BOX_WIDTH, height)], [Path.MOVETO], left + BOX_WIDTH
    for stop in trail[1:]:
        left, next_height = middles[stop]
        middle = (right + left) / 2
        points += [(middle, height), (middle, next_height), (left, next_height)]
        codes += [Path.CURVE4] * 3
        height, right = next_height, left + BOX_WIDTH
        if not stop.rooms:
            points.append((right, height))
            codes.append(Path.LINETO)
    return Path(points, codes)


def draw_box(axes: Axes, stop: Stop, left: float, middle: float) -> None:
    """A frame, and one line per room."""
    axes.add_patch(
        FancyBboxPatch(
            (left, middle - stop.height / 2),
            BOX_WIDTH,
            stop.height,
            "round,pad=0,rounding_size=3",
            fc="white",
            ec="0.35",
            lw=0.8,
            ls="-" if len(stop.rooms) == 1 else "--",
        )
    )
    for number, room in enumerate(stop.rooms):
        axes.text(
            left + BOX_WIDTH / 2,
            middle + NAME_HEIGHT * ((len(stop.rooms) - 1) / 2 - number),
            room,
            size=FONT,
            weight="bold" if room.endswith("/") else "normal",
            ha="center",
            va="center_baseline",
        )


def main(file: FilePath) -> None:
    """Draw everything and write it."""
    matplotlib.rcParams["svg.hashsalt"] = "opselect"  # or the names in the file would be random
    figure = Figure()
    axes = figure.add_axes((0, 0, 1, 1))
    top = 0.0
    for band in BANDS:
        bottom = draw_band(axes, band, top)
        top = bottom - BAND_GAP
        if band != "spaces":
            axes.annotate(
                "", (WIDTH / 2, top), (WIDTH / 2, bottom), arrowprops={"arrowstyle": "simple", "color": "0.35"}
            )
            axes.text(WIDTH / 2 + 14, (top + bottom) / 2, "imports", size=FONT, va="center", color="0.3")
    axes.text(MARGIN, bottom - MARGIN, NOTE, size=FONT - 1, va="center", color="0.3")
    axes.set(xlim=(0, WIDTH), ylim=(bottom - 2 * MARGIN, 4))
    axes.axis("off")
    figure.set_size_inches(WIDTH / 72, (4 - bottom + 2 * MARGIN) / 72)
    figure.savefig(file, dpi=144, metadata={"Date": None} if file.suffix == ".svg" else {})


if __name__ == "__main__":
    main(FilePath(sys.argv[1]))
