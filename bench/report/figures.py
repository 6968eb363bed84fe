"""The figures of a report, as PNG and PDF files that the same records determine to the last byte.

Importing this module imports matplotlib, networkx and seaborn; `page` does it only when it draws.
"""

import io
import itertools
import math
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import seaborn
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox, BboxBase, IdentityTransform

from opselect.bench.report.drawing.cells import cell_figure, overview_figure
from opselect.bench.report.formatting import UNDEFINED, number
from opselect.bench.report.sections.aggregates import compared_ranks
from opselect.bench.report.sections.selection import SelectionSummary, selection, typical_architectures
from opselect.bench.runs.run import Run
from opselect.bench.statistics.aggregates import AverageRanks
from opselect.bench.summaries.agreement import agreement_by_seed, correlations, first_scores, step_agreements
from opselect.spaces import registry
from opselect.spaces.errors import printable
from opselect.spaces.space import Architecture, SearchSpace

# Inches: the text width of a two-column paper. Font sizes are in points, as printed at that width.
WIDTH = 7.0
# matplotlib types its keys one by one, which a plain dictionary does not.
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "0.35",
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "savefig.dpi": 200,
    # Conferences require fonts of type 42.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "opselect",
    # A dollar sign in a label is a dollar sign.
    "text.parse_math": False,
}
# seaborn's colour-blind palette without its grey, which references have, and its two colours too pale for text.
COLORS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#56b4e9")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<", ">", "h")
REFERENCE_COLOR = "0.45"
DASHED = (0, (4, 3))
LONGEST_LABEL = 32


def draw(name: str, run: Run) -> tuple[bytes, bytes]:
    """Draw one figure as a PNG and a PDF file.

    Args:
        name: Name of a `render.Figure`.
        run: Run that has something to show in it.
    """
    drawings: Mapping[str, Callable[[Run], Figure]] = {
        "accuracy": draw_accuracy,
        "accuracy_against_time": draw_accuracy_against_time,
        "cells": draw_typical_cells,
        "correlations": draw_correlations,
        "steps": draw_steps,
    }
    with _style():
        figure = drawings[name](run)
        return _save(figure, "png"), _save(figure, "pdf")


def draw_overview(name: str, runs: Sequence[Run]) -> tuple[bytes, bytes]:
    """Draw one figure of a study's overview as a PNG and a PDF file.

    Args:
        name: Name of a `render.Figure`.
        runs: Runs of the study, which have something to show in it.
    """
    drawings: Mapping[str, Callable[[Sequence[Run]], Figure]] = {
        "overview-errors": draw_errors,
        "critical-differences": draw_critical_differences,
    }
    with _style():
        figure = drawings[name](runs)
        return _save(figure, "png"), _save(figure, "pdf")


def draw_errors(runs: Sequence[Run]) -> Figure:
    """Test error by space: one panel per set of images, in it one group of columns per space, one dot per seed."""
    every_image = list(dict.fromkeys(run.all[0].trial.images for run in runs))
    labels = list(dict.fromkeys(label for run in runs for label in run.labels))
    colors = {label: color for run in runs for label, color in _colors(run).items()}
    markers = dict(zip(labels, itertools.cycle(MARKERS), strict=False))
    figure = Figure(figsize=(WIDTH, 0.6 + 2.3 * len(every_image)), layout="constrained")
    panels = figure.subplots(len(every_image), squeeze=False)[:, 0]
    for axes, images in zip(panels, every_image, strict=True):
        shown = [run for run in runs if run.all[0].trial.images == images]
        for place, run in enumerate(shown):
            for column, label in enumerate(labels):
                accuracies = [
                    100 - result.test_accuracy
                    for result in (run.results(label).values() if label in run.labels else ())
                    if result.test_accuracy is not None
                ]
                if not accuracies:
                    continue
                across = place + 0.8 * ((column + 0.5) / len(labels) - 0.5)
                axes.plot(
                    [across] * len(accuracies), accuracies, markers[label], ms=4, mew=0, alpha=0.55, color=colors[label]
                )
                mean = sum(accuracies) / len(accuracies)
                axes.plot([across - 0.05, across + 0.05], [mean, mean], color=colors[label], lw=2)
        axes.set_xticks(range(len(shown)), [run.all[0].trial.space for run in shown])
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.5, len(shown) - 0.5)
        for border in range(1, len(shown)):
            axes.axvline(border - 0.5, color="0.9", lw=0.6)
        axes.set_ylabel("Test error (%) ←")
        axes.set_title(printable(images))
        axes.grid(axis="y")
    handles = [
        Line2D([], [], ls="", marker=markers[label], ms=5, color=colors[label], label=_shorten(label))
        for label in labels
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(5, len(labels)), frameon=False)
    return figure


def draw_critical_differences(runs: Sequence[Run]) -> Figure:
    """The average ranks of the selectors over the tasks of a study."""
    ranks = compared_ranks(runs)
    rows = sum(len(clique) > 1 for clique in ranks.cliques) / 2 + (len(ranks.ranks) + 1) // 2
    figure = Figure(figsize=(WIDTH, 0.8 + 0.22 * rows), layout="constrained")
    critical_differences(
        ranks, {label: color for run in runs for label, color in _colors(run).items()}, figure.subplots()
    )
    return figure


def critical_differences(ranks: AverageRanks, colors: Mapping[str, str], ax: Axes) -> None:
    """Draw average ranks on a line, best on the left, with a bar over labels that cannot be distinguished.

    Args:
        ranks: The ranks of at least two labels, with a critical difference.
        colors: Color of every label.
        ax: Where to draw.

    Source: Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, 2006, figure 1.
    """
    assert ranks.critical_difference is not None
    worst, middle = len(ranks.ranks), (len(ranks.ranks) + 1) // 2
    bars = [clique for clique in ranks.cliques if len(clique) > 1]
    for height, clique in enumerate(bars, 1):
        ends = [ranks.ranks[clique[0]] - 0.03, ranks.ranks[clique[-1]] + 0.03]
        ax.plot(ends, [-height / 2] * 2, color="0.2", lw=3, solid_capstyle="butt")
    # On either side the outermost label stands highest, so no two lines cross.
    labels = list(ranks.ranks)
    for side, here in (("right", labels[:middle]), ("left", labels[: middle - 1 : -1])):
        edge = 0.9 if side == "right" else worst + 0.1
        for row, label in enumerate(here, 1):
            rank, depth = ranks.ranks[label], -len(bars) / 2 - row
            ax.plot([rank, rank, edge], [0, depth, depth], color=colors[label], lw=0.9, solid_joinstyle="miter")
            text = f"{_shorten(label)}  {number(rank)}" if side == "right" else f"{number(rank)}  {_shorten(label)}"
            gap = -0.03 if side == "right" else 0.03
            ax.text(edge + gap, depth, text, ha=side, va="center", color=colors[label])
    ax.plot([1, 1 + ranks.critical_difference], [1.6, 1.6], "|-", color="0.2", lw=0.9, ms=5)
    ax.text(
        1 + ranks.critical_difference / 2, 1.75, f"CD = {number(ranks.critical_difference)}", ha="center", va="bottom"
    )
    ax.set_xlim(0.9, worst + 0.1)
    ax.set_ylim(-len(bars) / 2 - middle - 0.5, 2.6)
    ax.set_xticks(range(1, worst + 1))
    ax.xaxis.tick_top()
    ax.tick_params(axis="x", direction="in")
    ax.spines["top"].set(visible=True, position=("data", 0), bounds=(1, worst))
    for spine in ("left", "right", "bottom"):
        ax.spines[spine].set_visible(False)
    ax.set_yticks([])


@contextmanager
def _style() -> Iterator[None]:
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}), warnings.catch_warnings():
        # A sign that the font lacks is drawn as a box, which is warning enough.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _save(figure: Figure, kind: str) -> bytes:
    """Save the figure without date and version, so that the same figure gives the same bytes."""
    metadata: dict[str, None] = {"png": {"Software": None}, "pdf": {"CreationDate": None}}.get(kind, {"Date": None})
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, metadata=metadata)
    return stream.getvalue()


def draw_accuracy(run: Run) -> Figure:
    """Test accuracy by selector: one dot per seed, mean, median with its interval, the table's best as a line."""
    rows = {row.label: row for row in selection(run) if row.test_accuracy.value is not None}
    labels = [label for label in run.in_role("selector") + run.in_role("random", "oracle") if label in rows]
    colors = _colors(run)
    figure = Figure(figsize=(WIDTH, 0.8 + 0.3 * len(labels)), layout="constrained")
    axes = figure.subplots()
    for height, label in enumerate(labels):
        values = [value for value in run.values(label, lambda result: result.test_accuracy).values() if value]
        # The dots lie below the mean, so that neither hides the other.
        axes.plot(values, [height + 0.2] * len(values), "o", ms=4, mew=0, alpha=0.55, color=colors[label])
        _draw_mean(axes, rows[label], height - 0.12, colors[label])
    best = _best_of_table(run)
    if best is not None:
        axes.axvline(best, color="0.35", lw=0.8, ls=DASHED, zorder=1)
        across = axes.get_xaxis_transform()
        axes.text(best, 1.01, "best of the table", transform=across, ha="right", fontsize=7, color="0.35")
    competing = sum(run.role(label) == "selector" for label in labels)
    if 0 < competing < len(labels):
        axes.axhline(competing - 0.5, color="0.6", lw=0.6)
    axes.set_yticks(range(len(labels)), [_shorten(label) for label in labels], fontsize=8)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel("Test accuracy (%) →")
    # The margin of the axis must not show what an accuracy cannot be.
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, 0), min(high, 100))
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    return figure


def _draw_mean(axes: Axes, row: SelectionSummary, height: float, color: str) -> None:
    mean, median = row.test_accuracy, row.median_accuracy
    if median.low is not None and median.high is not None:
        axes.plot([median.low, median.high], [height, height], color=color, lw=1.6, solid_capstyle="butt")
    if median.value is not None:
        axes.plot([median.value], [height], "|", ms=9, mew=1.6, color=color)
    if mean.value is not None:
        axes.plot([mean.value], [height], "D", ms=5, mfc=color, mec="white", mew=0.6)


def _best_of_table(run: Run) -> float | None:
    """Test accuracy of the table's best architecture, which every regret is measured from."""
    return next(
        (r.test_accuracy + r.regret for r in run.all_results if r.test_accuracy is not None and r.regret is not None),
        None,
    )


def draw_accuracy_against_time(run: Run) -> Figure:
    """Test accuracy against search seconds, labelled in place; references, which search nothing, are lines."""
    colors = _colors(run)
    markers = dict(zip(run.in_role("selector"), itertools.cycle(MARKERS), strict=False))
    points = {label: pairs for label in markers if (pairs := _seconds_and_accuracy(run, label))}
    means = {row.label: row.test_accuracy.value for row in selection(run) if row.role != "selector"}
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axes = figure.subplots()
    for label, pairs in points.items():
        axes.plot(*zip(*pairs, strict=True), markers[label], ms=6, mew=0.5, mec="white", color=colors[label])
    axes.margins(x=0.12, y=0.12)
    _scale_by_decades(axes)
    axes.set_xlabel("Search time (s) ←")
    axes.set_ylabel("Test accuracy (%) →")
    axes.grid()
    _draw_reference_lines(axes, {label: mean for label, mean in means.items() if mean is not None})
    _label_in_place(figure, axes, points, colors)
    return figure


def _seconds_and_accuracy(run: Run, label: str) -> list[tuple[float, float]]:
    # A logarithmic axis has no zero: less than a millisecond is shown as one.
    return [
        (max(1e-3, record.cost.search_seconds), record.result.test_accuracy)
        for record in run.records[label]
        if record.cost is not None and record.result is not None and record.result.test_accuracy is not None
    ]


def _scale_by_decades(axes: Axes) -> None:
    """A logarithmic axis with plain numbers: 1, 2, 5, 10, or powers of ten only where there are many."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high > 1e4 * low else (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_reference_lines(axes: Axes, heights: Mapping[str, float]) -> None:
    for height in heights.values():
        axes.axhline(height, color=REFERENCE_COLOR, lw=0.8, ls=DASHED, zorder=0)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    labels = sorted(heights, key=lambda label: heights[label])
    for label, height in zip(labels, spread([heights[label] for label in labels], (high - low) / 22), strict=True):
        axes.annotate(
            _shorten(label),
            (1, heights[label]),
            (1.03, height),
            axes.get_yaxis_transform(),
            axes.get_yaxis_transform(),
            va="center",
            color=REFERENCE_COLOR,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": REFERENCE_COLOR, "shrinkA": 0, "shrinkB": 0},
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move sorted heights as little as a single pass can so that neighbours are at least `gap` apart.

    Example:
        >>> spread([2.0, 2.0, 2.0], 1.0)
        [1.0, 2.0, 3.0]
    """
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + gap) if moved else height)
    shift = sum(new - old for new, old in zip(moved, heights, strict=True)) / max(1, len(moved))
    return [height - shift for height in moved]


def _label_in_place(
    figure: Figure, axes: Axes, points: Mapping[str, Sequence[tuple[float, float]]], colors: Mapping[str, str]
) -> None:
    """Write every label near its points, at the nearest place where it covers no point, line or other label."""
    figure.draw_without_rendering()
    to_data = axes.transData.inverted().transform
    taken = [box for line in axes.lines for box in _boxes(line, margin=figure.dpi / 18)]
    for label, pairs in sorted(points.items(), key=lambda item: list(item[1])):
        text = axes.text(0, 0, _shorten(label), ha="center", va="center", transform=IdentityTransform())
        size = text.get_window_extent()
        text.remove()
        anchors = axes.transData.transform(pairs)
        place = _free_place(size, anchors, axes.get_window_extent(), taken, step=figure.dpi / 24)
        taken.append(size.translated(*place.position))
        # A label that all but touches the point that it was placed by needs no leader to it.
        leader = {"arrowstyle": "-", "lw": 0.6, "color": colors[label], "shrinkA": 0, "shrinkB": 3}
        note = axes.annotate(
            _shorten(label),
            tuple(to_data(place.anchor)),
            tuple(to_data(place.position)),
            ha="center",
            va="center",
            color=colors[label],
            arrowprops=leader if place.gap > figure.dpi / 7 else None,
        )
        note.set_in_layout(False)


def _boxes(line: Line2D, margin: float) -> list[Bbox]:
    """Boxes in pixels that the points of a line cover, or the line itself where it has no points."""
    points = line.get_transform().transform(line.get_xydata())
    if line.get_marker() == "None":
        return [Bbox([points.min(0), points.max(0)]).padded(margin / 4)]
    return [Bbox([point, point]).padded(margin) for point in points]


@dataclass(frozen=True)
class _Place:
    """Where a label goes, in pixels: its centre, the point that it belongs to, and the space between the two."""

    position: tuple[float, float]
    anchor: tuple[float, float]
    gap: float


def _free_place(
    size: Bbox, anchors: Float[np.ndarray, "points 2"], inside: BboxBase, taken: Sequence[Bbox], step: float
) -> _Place:
    """The free place nearest to any of the anchors; the first anchor itself if nothing is free.

    Args:
        size: Box of the label around the origin, in pixels.
        anchors: Points that the label belongs to, in pixels.
        inside: Box that the label must not leave.
        taken: Boxes that it must not cover.
        step: Distance of the grid of places that are tried.
    """
    offsets = step * np.array(list(itertools.product(range(-60, 61), range(-40, 41))))
    gaps = np.hypot(*np.maximum(0, np.abs(offsets) - [size.width / 2, size.height / 2]).T)
    # Of places that are equally near, the one whose middle is nearest.
    for place in np.lexsort((np.hypot(*offsets.T), gaps)):
        for anchor in anchors:
            position = anchor + offsets[place]
            box = size.translated(*position)
            within = inside.fully_contains(box.x0, box.y0) and inside.fully_contains(box.x1, box.y1)
            if within and not box.count_overlaps(taken):
                return _Place(tuple(position), tuple(anchor), float(gaps[place]))
    return _Place(tuple(anchors[0]), tuple(anchors[0]), 0.0)


def draw_correlations(run: Run) -> Figure:
    """The rank correlations between operation scores as a triangle of coloured, numbered squares."""
    names = list(first_scores(run))
    values = {(row.second, row.first): row.agreement.value for row in correlations(run)}
    rows, columns = names[1:], names[:-1]
    known = [[values.get((row, column)) for column in columns] for row in rows]
    texts = [[number(values[row, column]) if (row, column) in values else "" for column in columns] for row in rows]
    height = 1.4 + 0.34 * len(rows)
    figure = Figure(figsize=(min(WIDTH, 2.6 + 0.5 * len(columns)), height), layout="constrained")
    axes = figure.subplots()
    seaborn.heatmap(
        np.array(known, dtype=np.float64),
        ax=axes,
        vmin=-1,
        vmax=1,
        cmap="vlag",
        annot=np.array(texts),
        fmt="",
        annot_kws={"fontsize": 7},
        linewidths=1.5,
        xticklabels=[_shorten(name) for name in columns],
        yticklabels=[_shorten(name) for name in rows],
        cbar_kws={"label": "Spearman", "shrink": 0.7, "aspect": 25},
    )
    # seaborn writes nothing where there is no number.
    for row, column in itertools.product(range(len(rows)), range(len(columns))):
        if texts[row][column] == UNDEFINED:
            axes.text(column + 0.5, row + 0.5, UNDEFINED, ha="center", va="center", color="0.4")
    axes.tick_params(length=0)
    axes.set_xticks(axes.get_xticks(), [label.get_text() for label in axes.get_xticklabels()], rotation=40, ha="right")
    axes.tick_params(axis="y", rotation=0)
    return figure


def draw_steps(run: Run) -> Figure:
    """Agreement with best-acc along the selection: one panel per selector, one thin line per seed, the mean bold."""
    means = {
        label: [(row.step, row.agreement.value) for row in rows]
        for label, rows in itertools.groupby(step_agreements(run), key=lambda row: row.label)
    }
    labels = [label for label in run.in_role("selector") + run.in_role("random", "oracle") if label in means]
    colors = _colors(run)
    figure, panels = _panels(len(labels), 4, 1.45, shared=True)
    for axes, label in zip(panels, labels, strict=True):
        axes.axhline(0, color="0.6", lw=0.6)
        for values in agreement_by_seed(run, label).values():
            axes.plot(range(1, len(values) + 1), _gaps(values), color=colors[label], lw=0.7, alpha=0.45)
        steps, values_of_mean = zip(*means[label], strict=True)
        axes.plot(steps, _gaps(values_of_mean), "o-", color=colors[label], lw=1.8, ms=3.5)
        axes.set_title(_wrap(label))
        axes.set_ylim(-1.08, 1.08)
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    figure.supxlabel("Step", fontsize=8)
    figure.supylabel("Spearman with best-acc ↑", fontsize=8)
    return figure


def _gaps(values: Iterable[float | None]) -> list[float]:
    """Undefined values as NaN, which leaves a gap in a line."""
    return [math.nan if value is None else value for value in values]


def draw_typical_cells(run: Run) -> Figure:
    """The architecture that each selector chose most often, operations by colour and line style."""
    rows = []
    space: SearchSpace = registry.load("spaces", run.all[0].trial.space)
    for row in typical_architectures(run):
        accuracy = "" if row.test_accuracy is None else f", test {number(row.test_accuracy)}\u00a0%"
        below = f"{row.times} of {row.trials} seeds{accuracy}"
        rows.append((_shorten(row.label), below, space.parse(row.architecture)))
    return overview_figure(space, rows)


def draw_cells(space: SearchSpace, architecture: Architecture, kinds: Sequence[str], title: str = "") -> list[bytes]:
    """Draw all cells of an architecture with the names of operations.

    Args:
        space: Space of the architecture.
        architecture: The architecture.
        kinds: Kinds of files: `png`, `pdf` or `svg`.
        title: Title above the cells, none where it is empty.

    Returns:
        The content of a file per kind.
    """
    with _style():
        figure = cell_figure(space, architecture, printable(" ".join(title.split())))
        return [_save(figure, kind) for kind in kinds]


def _panels(count: int, columns: int, height: float, shared: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels in rows of `columns`."""
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(WIDTH, 0.5 + height * lines), layout="constrained")
    every = list(figure.subplots(lines, columns, squeeze=False, sharex=shared, sharey=shared).flat)
    for unused in every[count:]:
        unused.remove()
    # Where the panel below is missing, the axis above it has to be labelled.
    for axes in every[max(0, count - columns) : count]:
        axes.xaxis.set_tick_params(labelbottom=True)
    return figure, every[:count]


def _colors(run: Run) -> dict[str, str]:
    selectors = dict(zip(run.in_role("selector"), itertools.cycle(COLORS), strict=False))
    return dict.fromkeys(run.labels, REFERENCE_COLOR) | selectors


def _wrap(label: str) -> str:
    """Break a label into lines that fit a narrow panel."""
    return textwrap.fill(_shorten(label), 24)


def _shorten(label: str) -> str:
    """Shorten a label to one line that leaves room for the figure."""
    line = printable(" ".join(label.split()))
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"
