"""Drawn cells: nothing covers a label or a node, every edge is there once, and the same cell gives the same bytes."""

import io
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from opselect.bench.report.drawing.cells import cell_figure, operation_styles, overview_figure
from opselect.bench.report.plot import STYLE
from opselect.spaces.darts.genotypes import library
from opselect.spaces.darts.space import darts, darts_original, darts_s1, darts_s2, darts_s3, darts_s4
from opselect.spaces.nasbench201.space import nasbench201
from opselect.spaces.space import NONE, Architecture, SearchSpace

SPACES = {"original": darts_original, "s1": darts_s1, "s2": darts_s2, "s3": darts_s3, "s4": darts_s4, "s5": darts}
NASTY = "a $b_c$ & <d> 100% " + "averyveryverylongword" * 5


@pytest.fixture(autouse=True)
def report_style() -> Iterator[None]:
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
        yield


def published(name: str) -> tuple[SearchSpace, Architecture]:
    entry = library()[name]
    space = SPACES[entry.space]
    return space, space.architecture(entry.genotype)


def with_operations(space: SearchSpace, chosen: dict[tuple[str, int, int], str]) -> Architecture:
    return Architecture(tuple(chosen.get((edge.cell, edge.source, edge.target), NONE) for edge in space.edges))


def chain(operation: str) -> Architecture:
    """The deepest cell: every inner node is fed by the one before it and by an input."""
    inputs = {(cell, node % 2, node): operation for cell in ("normal", "reduce") for node in range(2, 6)}
    inner = {(cell, node - 1, node): operation for cell in ("normal", "reduce") for node in range(3, 6)}
    return with_operations(darts, inputs | inner | {("normal", 1, 2): operation, ("reduce", 1, 2): operation})


@dataclass
class Cell:
    """What was drawn of a cell, by name, in pixels."""

    lines: dict[str, Path] = field(default_factory=dict)
    labels: dict[str, Bbox] = field(default_factory=dict)
    nodes: dict[str, Bbox] = field(default_factory=dict)
    texts: list[tuple[str, Bbox]] = field(default_factory=list)


@dataclass
class Drawing:
    """What was drawn of a figure."""

    cells: list[Cell]
    headings: list[tuple[str, Bbox]]
    page: Bbox


def read(figure: Figure) -> Drawing:
    """Take a figure apart. Of each cell, lines are drawn first and nodes last."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    drawing = Drawing([Cell()], [], figure.bbox.frozen())
    (axes,) = figure.axes
    for artist in axes.get_children():
        kind, _, name = (artist.get_gid() or "").partition(" ")
        if kind in ("edge", "concatenation", "label", "node") and isinstance(artist, Patch):
            last = drawing.cells[-1]
            if kind in ("edge", "concatenation") and last.nodes:
                last = Cell()
                drawing.cells.append(last)
            kinds: dict[str, dict[str, Bbox]] = {"label": last.labels, "node": last.nodes}
            if kind in kinds:
                assert name not in kinds[kind]
                kinds[kind][name] = artist.get_window_extent(renderer)
            else:
                assert name not in last.lines
                last.lines[name] = artist.get_path().transformed(artist.get_transform())
        elif kind == "text":
            drawing.cells[-1].texts.append(written(artist, renderer))
        elif kind == "heading":
            drawing.headings.append(written(artist, renderer))
    return drawing


def written(artist: Artist, renderer: object) -> tuple[str, Bbox]:
    assert isinstance(artist, Text)
    return artist.get_text(), artist.get_window_extent(renderer)


def inside(inner: Bbox, outer: Bbox) -> bool:
    return outer.x0 <= inner.x0 and outer.y0 <= inner.y0 and inner.x1 <= outer.x1 and inner.y1 <= outer.y1


def check(figure: Figure) -> Drawing:
    """Nothing covers anything, all is on the page, and every text stands in its own box."""
    drawing = read(figure)
    boxes = [box for cell in drawing.cells for box in (*cell.labels.values(), *cell.nodes.values())]
    everything = boxes + [box for _, box in drawing.headings]
    assert all(inside(box, drawing.page) for box in everything)
    assert not [pair for pair in itertools.combinations(everything, 2) if pair[0].overlaps(pair[1])]
    for cell in drawing.cells:
        own = [*cell.labels.values(), *cell.nodes.values()]
        assert len(cell.texts) == len(own)
        for (text, extent), box in zip(cell.texts, own, strict=True):
            assert inside(extent, box), text
        for name, line in cell.lines.items():
            ends = name.split("→")
            foreign = [box for node, box in cell.nodes.items() if node not in ends]
            foreign += [box for label, box in cell.labels.items() if label != name]
            foreign += [box for other in drawing.cells if other is not cell for box in other.nodes.values()]
            foreign += [extent for _, extent in drawing.headings]
            # The lines have a width, as have the borders of the boxes.
            assert not [box for box in foreign if line.intersects_bbox(box.padded(figure.dpi / 72), filled=False)], name
    return drawing


def check_labelled(space: SearchSpace, architecture: Architecture) -> Drawing:
    figure = cell_figure(space, architecture, title=f"{space.name} {NASTY}")
    assert figure.get_figwidth() <= 6.75 + 1e-9
    drawing = check(figure)
    for name, cell in zip(dict.fromkeys(edge.cell for edge in space.edges), drawing.cells, strict=True):
        pairs = zip(space.edges, architecture.operations, strict=True)
        expected = {edge.name: operation for edge, operation in pairs if edge.cell == name and operation != NONE}
        texts = [text for text, _ in cell.texts[: len(cell.labels)]]
        assert dict(zip(cell.labels, texts, strict=True)) == expected
        assert expected.keys() <= cell.lines.keys()
        assert all(line in expected or line.endswith("→6") for line in cell.lines)
    return drawing


@pytest.mark.parametrize("name", list(library())[::7])
def test_published_cells(name: str) -> None:
    check_labelled(*published(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(library()))
def test_all_published_cells(name: str) -> None:
    check_labelled(*published(name))


@settings(max_examples=15)
@given(space=st.sampled_from([darts, darts_s3, nasbench201]), seed=st.integers(0, 2**32 - 1))
def test_random_cells(space: SearchSpace, seed: int) -> None:
    check_labelled(space, space.sample(np.random.default_rng(seed)))


@pytest.mark.parametrize("space", [darts, nasbench201], ids=lambda space: space.name)
@pytest.mark.parametrize("operation", [NONE, "skip_connect"])
def test_cells_with_one_operation(space: SearchSpace, operation: str) -> None:
    if space is darts and operation != NONE:
        chosen = {
            (c, source, node): operation for c in ("normal", "reduce") for node in range(2, 6) for source in (0, 1)
        }
        check_labelled(darts, with_operations(darts, chosen))
    else:
        check_labelled(space, Architecture((operation,) * len(space.edges)))


@pytest.mark.parametrize("number", range(6))
def test_a_single_edge(number: int) -> None:
    operations = [NONE] * 6
    operations[number] = "nor_conv_3x3"
    drawing = check_labelled(nasbench201, Architecture(tuple(operations)))
    assert len(drawing.cells[0].lines) == 1


def test_the_deepest_cell_with_the_longest_names_fits_the_page() -> None:
    drawing = check_labelled(darts, chain("max_pool_3x3"))
    assert all(len(cell.labels) == 8 for cell in drawing.cells)


def test_every_edge_of_a_cell() -> None:
    """More than any registered space keeps: a plug-in's cell may be crowded, but nothing covers anything."""
    check(cell_figure(darts, Architecture(("skip_connect",) * len(darts.edges))))


def test_nodes_are_named_as_in_the_papers() -> None:
    drawing = check_labelled(*published("DARTS_V2"))
    for cell in drawing.cells:
        texts = (text for text, _ in cell.texts[len(cell.labels) :])
        names = ("$c_{k-2}$", "$c_{k-1}$", "0", "1", "2", "3", "$c_k$")
        assert dict(zip(cell.nodes, texts, strict=True)) == {str(node): name for node, name in enumerate(names)}
        # From left to right: inputs, all nodes that they feed, output.
        assert all(box.x1 < cell.nodes["6"].x0 for node, box in cell.nodes.items() if node != "6")
        for source, target in (name.split("→") for name in cell.lines):
            assert cell.nodes[source].x1 < cell.nodes[target].x0
    drawing = check_labelled(nasbench201, nasbench201.at(0))
    assert [text for text, _ in drawing.cells[0].texts] == ["0", "1", "2", "3"]


def crossings(cell: Cell) -> int:
    """How often two lines of a cell cross."""
    polylines = [line.to_polygons(closed_only=False)[0] for line in cell.lines.values()]
    return sum(intersections(one, other) for one, other in itertools.combinations(polylines, 2))


def intersections(one: np.ndarray, other: np.ndarray) -> int:
    """How many pieces of two polylines `[points, 2]` cross."""

    def side(starts: np.ndarray, ends: np.ndarray, points: np.ndarray) -> np.ndarray:
        (ax, ay), (bx, by) = (ends - starts).T[:, :, None], (points[None] - starts[:, None]).transpose(2, 0, 1)
        return np.sign(ax * by - ay * bx)

    first, second = side(one[:-1], one[1:], other), side(other[:-1], other[1:], one)
    return int(((first[:, :-1] * first[:, 1:] < 0) & (second[:, :-1] * second[:, 1:] < 0).T).sum())


def test_no_crossing_is_needless() -> None:
    """Two inputs that both feed n nodes of the next column cross n (n - 1) / 2 times in any order."""
    assert crossings(check_labelled(*published("DARTS_V2")).cells[0]) == 3
    assert crossings(check_labelled(*published("PC_DARTS_cifar")).cells[0]) == 6
    for number in range(0, 15_625, 601):
        figure = overview_figure(nasbench201, [("", "", nasbench201.at(number))], 6.75, Figure())
        assert crossings(check(figure).cells[0]) == 0


@pytest.mark.parametrize("space", [darts_s1, nasbench201], ids=lambda space: space.name)
def test_an_overview(space: SearchSpace) -> None:
    generator = np.random.default_rng(1)
    labels = [
        "magnitude",
        "zero-cost-pt (synflow)",
        NASTY,
        "",
        "darts-pt, and a label of many words that must be broken",
    ]
    rows = [(label, f"3 of 5 seeds, test 97.31 % {label}", space.sample(generator)) for label in labels]
    figure = overview_figure(space, rows, 6.75, Figure())
    assert figure.get_figwidth() == pytest.approx(6.75)
    drawing = check(figure)
    cells = len({edge.cell for edge in space.edges})
    assert len(drawing.cells) == cells * len(rows)
    drawn = sum(len([name for name in cell.lines if not name.endswith("→6")]) for cell in drawing.cells)
    assert drawn == sum(operation != NONE for _, _, architecture in rows for operation in architecture.operations)
    headings = Counter(text for text, _ in drawing.headings)
    assert all(headings[name] == 1 for name in operation_styles(space))


def test_an_operation_looks_the_same_in_every_space_and_like_no_other() -> None:
    every = [operation_styles(space) for space in (*SPACES.values(), nasbench201)]
    for styles in every:
        assert len(set(map(repr, styles.values()))) == len(styles)
    for one, other in itertools.combinations(every, 2):
        assert all(one[name] == other[name] for name in one.keys() & other.keys())


def saved(figure: Figure, kind: str) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, dpi=100, metadata={"Software" if kind == "png" else "CreationDate": None})
    return stream.getvalue()


def test_the_same_cells_give_the_same_bytes() -> None:
    space, architecture = published("PC_DARTS_cifar")
    assert saved(cell_figure(space, architecture), "pdf") == saved(cell_figure(space, architecture), "pdf")
    rows = [("magnitude", "1 of 1 seed", architecture)]
    assert saved(overview_figure(space, rows, 6.75, Figure()), "png") == saved(
        overview_figure(space, rows, 6.75, Figure()), "png"
    )
