"""The figures of a report, for papers, notebooks and the report itself.

Every function draws one figure of a run in one of the widths of papers: a column, a text column and a page of two
columns. No type is smaller than 7 points at that width. A selector has the same colour and marker in all reports, as
far as the others of the report allow it.

    ax = opselect.plot.accuracy(run)                    # a figure of its own, which a notebook shows
    opselect.plot.accuracy(run, ax=axes[0])             # on axes of yours
    opselect.plot.steps(run, width="full").savefig("steps.pdf")

Importing this module imports matplotlib, networkx and seaborn.
"""

import itertools
import math
import textwrap
import warnings
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import seaborn
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox, BboxBase, IdentityTransform

from opselect.bench.report.drawing.cells import overview_figure
from opselect.bench.report.formatting import UNDEFINED, WIDTHS, number
from opselect.bench.report.sections.aggregates import compared_ranks
from opselect.bench.report.sections.selection import SelectionSummary, selection, typical_architectures
from opselect.bench.runs.run import Run
from opselect.bench.statistics.aggregates import AverageRanks
from opselect.bench.summaries.agreement import agreement_by_seed, first_scores, step_agreements
from opselect.bench.summaries.agreement import correlations as score_correlations
from opselect.spaces import registry
from opselect.spaces.errors import UserError, printable
from opselect.spaces.space import SearchSpace

__all__ = ["accuracy", "accuracy_against_time", "cells", "correlations", "critical_differences", "errors", "steps"]

# Font sizes are in points, as printed at the width of the figure.
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
# Under normal vision, protanopia and deuteranopia, every two of these and the grey of references differ by 18 units of
# CIELAB or more, and each has a contrast of 3 with white; a test holds it.
COLORS = ("#0069a6", "#a63400", "#098341", "#ff509a", "#b8860b", "#4b2a9b", "#7a1f3d", "#4997e4")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<", ">", "h")
PREFERRED: Mapping[str, int] = {
    "magnitude": 0,
    "darts-pt": 1,
    "zero-cost-pt": 2,
    "zero-cost-pt (nwot)": 2,
    "zero-cost-pt (synflow)": 3,
    "zero-cost-disc": 4,
    "zero-cost-disc (nwot)": 4,
    "disc-acc": 5,
    "darts-pt on fixed-alpha": 6,
    "darts-pt-fixed-alpha": 6,
    "te-nas": 7,
}
"""Places in `COLORS` of the labels that occur in many reports; other labels have one by a checksum of their text."""
REFERENCE_COLOR = "0.45"
DASHED = (0, (4, 3))
LONGEST_LABEL = 32
# How many characters a line of a label has next to a figure, and in a panel of one.
LABEL_LINE: Mapping[str, int] = {"column": 16, "text": 24, "full": LONGEST_LABEL}
PANEL_LINE = 24
# So long may labels be in a legend of two columns that is as wide as a column.
TWO_COLUMNS = 24
# A number in a square of the correlations needs so many inches.
NUMBER_WIDTH = 0.31


class NothingToDraw(UserError, ValueError):
    """A run without the records that a figure shows; the message says what they lack."""


class Look(NamedTuple):
    """Colour and marker of a selector."""

    color: str
    marker: str


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """Colour and marker of every competing selector, which do not depend on the order.

    A label has the place in the palette that it prefers, or the next free one where another label has it. Where there
    are more labels than colours, some share a colour and differ in the marker.

    Args:
        labels: Labels of the selectors.

    Example:
        >>> looks(["zero-cost-pt", "magnitude"]) == looks(["magnitude", "zero-cost-pt"])
        True
    """
    found: dict[str, Look] = {}
    uses = [0] * len(COLORS)
    for label in sorted(labels, key=lambda label: (label not in PREFERRED, label)):
        first = PREFERRED.get(label, zlib.crc32(label.encode()) % len(COLORS))
        places = [(first + step) % len(COLORS) for step in range(len(COLORS))]
        place = min(places, key=lambda place: uses[place])
        found[label] = Look(COLORS[place], MARKERS[(place + uses[place]) % len(MARKERS)])
        uses[place] += 1
    return found


def _looks_of(run: Run) -> dict[str, Look]:
    return dict.fromkeys(run.labels, Look(REFERENCE_COLOR, "o")) | looks(run.in_role("selector"))


def _readable(color: str) -> str:
    """The colour, darkened until a text in it has a contrast of 4.5 with white."""
    while _contrast(color) < 4.5:
        red, green, blue = (0.95 * part for part in to_rgb(color))
        color = to_hex((red, green, blue))
    return color


def _contrast(color: str) -> float:
    """Contrast with white by the Web Content Accessibility Guidelines, 1 to 21."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


@contextmanager
def style() -> Iterator[None]:
    """The style of all figures, while the block runs; the backend and what else is set outside stay as they are."""
    defaults: dict[Any, Any] = {**matplotlib.rcParamsDefault, **STYLE}
    del defaults["backend"]
    with matplotlib.rc_context(defaults), warnings.catch_warnings():
        # A sign that the font lacks is drawn as a box, which is warning enough.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _sized(figure: Figure | None, inches: float, height: float) -> Figure:
    """An empty figure with a width and a height in inches; without one, a new one of pyplot, which notebooks show."""
    if figure is None:
        from matplotlib import pyplot

        figure = pyplot.figure()
    figure.set_layout_engine("constrained")
    figure.set_size_inches(inches, height)
    return figure


def accuracy(run: Run, ax: Axes | None = None, width: str = "column", figure: Figure | None = None) -> Axes:
    """Test accuracy by selector: one dot per seed, mean, median with its interval, the table's best as a line.

    Args:
        run: Run with test accuracies.
        ax: Axes to draw on; axes of a figure of its own by default.
        width: `"column"` (3.25 inches), `"text"` (5.5) or `"full"` (6.75).
        figure: Empty figure to draw on where there are no axes, which gets its size; a new one of pyplot by default.

    Returns:
        The axes.

    Raises:
        UnknownName: There is no such width.
        NothingToDraw: No trial has a test accuracy.

    Example:
        >>> from opselect.bench.interface import select
        >>> run = Run.of([select("random", seed=seed).record for seed in range(3)], [])
        >>> accuracy(run, figure=Figure()).get_xlabel()
        'Test accuracy (%) →'
    """
    inches, line = _inches(width), LABEL_LINE[width]
    rows = {row.label: row for row in selection(run) if row.test_accuracy.value is not None}
    labels = [label for label in run.in_role("selector") + run.in_role("random", "oracle") if label in rows]
    _refuse_nothing(labels, "a trial with a test accuracy")
    colors = {label: look.color for label, look in _looks_of(run).items()}
    with style():
        axes = ax or _sized(figure, inches, 0.7 + 0.3 * len(labels)).subplots()
        for height, label in enumerate(labels):
            values = list(run.test_accuracies(label).values())
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
        axes.set_yticks(range(len(labels)), [_wrap(label, line) for label in labels])
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlabel("Test accuracy (%) →")
        # The margin of the axis must not show what an accuracy cannot be.
        low, high = axes.get_xlim()
        axes.set_xlim(max(low, 0), min(high, 100))
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
    return axes


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


def accuracy_against_time(
    run: Run, ax: Axes | None = None, width: str = "column", figure: Figure | None = None
) -> Axes:
    """Test accuracy against search seconds; references, which search nothing, are lines.

    Selectors are labelled in place, in a column below the axes.

    Args:
        run: Run with test accuracies and costs.
        ax: Axes to draw on; axes of a figure of its own by default.
        width: `"column"` (3.25 inches), `"text"` (5.5) or `"full"` (6.75).
        figure: Empty figure to draw on where there are no axes, which gets its size; a new one of pyplot by default.

    Returns:
        The axes.

    Raises:
        UnknownName: There is no such width.
        NothingToDraw: No trial has a test accuracy.

    Example:
        >>> from opselect.bench.interface import select
        >>> run = Run.of([select("random", seed=seed).record for seed in range(3)], [])
        >>> accuracy_against_time(run, figure=Figure()).get_xlabel()
        'Search time (s) ←'
    """
    inches, is_narrow = _inches(width), width == "column"
    look = _looks_of(run)
    points = {label: pairs for label in run.in_role("selector") if (pairs := _seconds_and_accuracy(run, label))}
    means = {row.label: row.test_accuracy.value for row in selection(run) if row.role != "selector"}
    references = {label: mean for label, mean in means.items() if mean is not None}
    _refuse_nothing([*points, *references], "a trial with a test accuracy")
    with style():
        across = 2 if max(map(len, points), default=0) <= TWO_COLUMNS else 1
        height = 2.5 + 0.17 * math.ceil(len(points) / across) if is_narrow else 3.8
        axes = ax or _sized(figure, inches, height).subplots()
        for label, pairs in points.items():
            color, marker = look[label]
            axes.plot(
                *zip(*pairs, strict=True),
                marker,
                ms=5 if is_narrow else 6,
                mew=0.5,
                mec="white",
                color=color,
                label=label,
            )
        axes.margins(x=0.12, y=0.12)
        _scale_by_decades(axes)
        axes.set_xlabel("Search time (s) ←")
        axes.set_ylabel("Test accuracy (%) →")
        axes.grid()
        _draw_reference_lines(axes, references)
        if is_narrow and points:
            _draw_legend(axes, [_handle(label, look[label]) for label in points], across, is_own=ax is None)
        elif points:
            _label_in_place(axes, points, look)
    return axes


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes are part of a figure"
    return figure


def _draw_legend(axes: Axes, handles: list[Line2D], across: int, is_own: bool) -> None:
    """Explain the markers below the axes: in a figure of our own there is room for it."""
    narrow: dict[str, Any] = {"frameon": False, "ncols": across, "columnspacing": 1, "handletextpad": 0.2}
    if is_own:
        _figure_of(axes).legend(handles=handles, loc="outside lower center", **narrow)
    else:
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.25), **narrow)


def _handle(label: str, look: Look) -> Line2D:
    """The sample of a selector in a legend."""
    return Line2D([], [], ls="", marker=look.marker, ms=5, mew=0, color=look.color, label=_shorten(label))


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
    points_high = 72 * axes.get_window_extent().height / _figure_of(axes).dpi
    gap = 11 * (high - low) / points_high
    for label, height in zip(labels, spread([heights[label] for label in labels], gap), strict=True):
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


def _label_in_place(axes: Axes, points: Mapping[str, Sequence[tuple[float, float]]], look: Mapping[str, Look]) -> None:
    """Write every label near its points, at the nearest place where it covers no point, line or other label."""
    figure = _figure_of(axes)
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
        leader = {"arrowstyle": "-", "lw": 0.6, "color": look[label].color, "shrinkA": 0, "shrinkB": 3}
        note = axes.annotate(
            _shorten(label),
            tuple(to_data(place.anchor)),
            tuple(to_data(place.position)),
            ha="center",
            va="center",
            color=_readable(look[label].color),
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


def correlations(run: Run, ax: Axes | None = None, width: str = "column", figure: Figure | None = None) -> Axes:
    """The rank correlations between first operation scores as a triangle of coloured squares, numbered where they fit.

    Args:
        run: Run with at least two sources of operation scores.
        ax: Axes to draw on; axes of a figure of its own by default.
        width: `"column"` (3.25 inches), `"text"` (5.5) or `"full"` (6.75); a figure of few squares is narrower.
        figure: Empty figure to draw on where there are no axes, which gets its size; a new one of pyplot by default.

    Returns:
        The axes.

    Raises:
        UnknownName: There is no such width.
        NothingToDraw: There are scores of fewer than two sources.

    Example:
        >>> from opselect.bench.interface import select
        >>> run = Run.of([select("random").record], [])
        >>> [text.get_text() for text in correlations(run, width="full", figure=Figure()).get_yticklabels()]
        ['best-acc-runs (test)', 'avg-acc (test)']
    """
    widest, line = _inches(width), LABEL_LINE[width]
    names = list(first_scores(run))
    _refuse_nothing(names[1:], "operation scores of two selectors or oracles")
    values = {(row.second, row.first): row.agreement.value for row in score_correlations(run)}
    rows, columns = names[1:], names[:-1]
    known = [[values.get((row, column)) for column in columns] for row in rows]
    texts = [[number(values[row, column]) if (row, column) in values else "" for column in columns] for row in rows]
    # Labels at the left and the bar at the right take the rest.
    beside = 1.5 if width == "column" else 2.1
    side = min(0.5, (widest - beside) / len(columns))
    has_numbers = ax is not None or side >= NUMBER_WIDTH
    inches = min(widest, beside + side * len(columns))
    with style():
        axes = ax or _sized(figure, inches, 1.2 + max(0.34, 0.8 * side) * len(rows)).subplots()
        seaborn.heatmap(
            np.array(known, dtype=np.float64),
            ax=axes,
            vmin=-1,
            vmax=1,
            cmap="vlag",
            annot=np.array(texts) if has_numbers else None,
            fmt="",
            annot_kws={"fontsize": 7},
            linewidths=1.5 if has_numbers else 0.6,
            xticklabels=[_shorten(name) for name in columns],
            yticklabels=[_wrap(name, line) for name in rows],
            cbar_kws={"label": "Spearman", "shrink": 0.7, "aspect": 25},
        )
        # seaborn writes nothing where there is no number.
        for row, column in itertools.product(range(len(rows)), range(len(columns))):
            if texts[row][column] == UNDEFINED:
                axes.text(column + 0.5, row + 0.5, UNDEFINED, ha="center", va="center", color="0.4")
        axes.tick_params(length=0)
        axes.set_xticks(
            axes.get_xticks(),
            [label.get_text() for label in axes.get_xticklabels()],
            rotation=40 if has_numbers else 60,
            ha="right",
            rotation_mode="anchor",
        )
        axes.tick_params(axis="y", rotation=0)
    return axes


def steps(run: Run, width: str = "column", figure: Figure | None = None) -> Figure:
    """Agreement with best-acc along the selection: one panel per selector, one thin line per seed, the mean bold.

    Args:
        run: Run with operation scores, measured against a table.
        width: `"column"` (3.25 inches), `"text"` (5.5) or `"full"` (6.75).
        figure: Empty figure to draw on, which gets its size; a new one of pyplot by default.

    Returns:
        The figure.

    Raises:
        UnknownName: There is no such width.
        NothingToDraw: No record has the operation scores of an oracle.

    Example:
        >>> from opselect.bench.interface import select
        >>> run = Run.of([select("random").record], [])
        >>> [axes.get_title() for axes in steps(run, figure=Figure()).axes]
        ['random']
    """
    inches, columns = _inches(width), {"column": 2, "text": 3, "full": 4}[width]
    means = {
        label: [(row.step, row.agreement.value) for row in rows]
        for label, rows in itertools.groupby(step_agreements(run), key=lambda row: row.label)
    }
    labels = [label for label in run.in_role("selector") + run.in_role("random", "oracle") if label in means]
    _refuse_nothing(labels, "operation scores that are measured against a table")
    look = _looks_of(run)
    with style():
        drawn = _sized(figure, inches, 0.5 + 1.45 * math.ceil(len(labels) / columns))
        for axes, label in zip(_panels(drawn, len(labels), columns), labels, strict=True):
            color = look[label].color
            axes.axhline(0, color="0.6", lw=0.6)
            for values in agreement_by_seed(run, label).values():
                axes.plot(range(1, len(values) + 1), _gaps(values), color=color, lw=0.7, alpha=0.45)
            numbers, of_mean = zip(*means[label], strict=True)
            axes.plot(numbers, _gaps(of_mean), "o-", color=color, lw=1.8, ms=3.5)
            axes.set_title(_wrap(label, PANEL_LINE))
            axes.set_ylim(-1.08, 1.08)
            axes.grid(axis="y")
            axes.xaxis.set_major_locator(MaxNLocator(8 if width == "full" else 6, integer=True))
        drawn.supxlabel("Step", fontsize=8)
        # The text is turned, so that this arrow points up.
        drawn.supylabel("Spearman with best-acc →", fontsize=8)
    return drawn


def cells(run: Run, width: str = "full", figure: Figure | None = None) -> Figure:
    """The architecture that each selector chose most often, operations by colour and line style.

    Args:
        run: Run with a finished trial.
        width: `"column"` (3.25 inches), `"text"` (5.5) or `"full"` (6.75); cells of two types may need the last.
        figure: Empty figure to draw on, which gets its size; a new one of pyplot by default.

    Returns:
        The figure.

    Raises:
        UnknownName: There is no such width.
        NothingToDraw: No trial is finished.
        TooNarrow: The cells do not fit into this width.

    Example:
        >>> from opselect.bench.interface import select
        >>> run = Run.of([select("random").record], [])
        >>> "random" in [text.get_text() for text in cells(run, figure=Figure()).axes[0].texts]
        True
    """
    inches = _inches(width)
    typical = typical_architectures(run)
    _refuse_nothing(typical, "a finished trial")
    space: SearchSpace = registry.load("spaces", run.all[0].trial.space)
    rows = []
    for row in typical:
        test = "" if row.test_accuracy is None else f", test {number(row.test_accuracy)}\u00a0%"
        rows.append((_shorten(row.label), f"{row.times} of {row.trials} seeds{test}", space.parse(row.architecture)))
    with style():
        return overview_figure(space, rows, inches, _sized(figure, inches, 1.0))


def errors(runs: Sequence[Run], width: str = "full", figure: Figure | None = None) -> Figure:
    """Test error by space: one panel per set of images, in it one group of columns per space, one dot per seed.

    Args:
        runs: Runs of a study, on different spaces or images.
        width: `"column"` (3.25 inches), `"text"` (5.5) or `"full"` (6.75).
        figure: Empty figure to draw on, which gets its size; a new one of pyplot by default.

    Returns:
        The figure.

    Raises:
        UnknownName: There is no such width.
        NothingToDraw: No trial has a test accuracy.

    Example:
        >>> from opselect.bench.interface import select
        >>> run = Run.of([select("random").record], [])
        >>> errors([run], figure=Figure()).axes[0].get_title()
        'digits'
    """
    inches, legend_columns = _inches(width), {"column": 2, "text": 4, "full": 5}[width]
    shown = [run for run in runs if any(result.test_accuracy is not None for result in run.all_results)]
    _refuse_nothing(shown, "a trial with a test accuracy")
    every_image = list(dict.fromkeys(run.all[0].trial.images for run in shown))
    labels = list(dict.fromkeys(label for run in shown for label in run.labels))
    competing = {label for run in shown for label in run.in_role("selector")}
    look = dict.fromkeys(labels, Look(REFERENCE_COLOR, "o")) | looks(competing)
    with style():
        drawn = _sized(figure, inches, 0.6 + 2.3 * len(every_image))
        panels = drawn.subplots(len(every_image), squeeze=False)[:, 0]
        for axes, images in zip(panels, every_image, strict=True):
            of_images = [run for run in shown if run.all[0].trial.images == images]
            for place, run in enumerate(of_images):
                _draw_errors(axes, run, place, labels, look)
            axes.set_xticks(range(len(of_images)), [run.all[0].trial.space for run in of_images])
            axes.tick_params(axis="x", length=0)
            axes.set_xlim(-0.5, len(of_images) - 0.5)
            for border in range(1, len(of_images)):
                axes.axvline(border - 0.5, color="0.9", lw=0.6)
            axes.set_ylabel("Test error (%) ←")
            axes.set_title(printable(images))
            axes.grid(axis="y")
        handles = [_handle(label, look[label]) for label in labels]
        drawn.legend(handles=handles, loc="outside lower center", ncols=min(legend_columns, len(labels)), frameon=False)
    return drawn


def _draw_errors(axes: Axes, run: Run, place: int, labels: Sequence[str], look: Mapping[str, Look]) -> None:
    """Draw the errors of one run around a place of the axis, a column of dots and a mean per label."""
    for column, label in enumerate(labels):
        accuracies = run.test_accuracies(label) if label in run.labels else {}
        values = [100 - accuracy for accuracy in accuracies.values()]
        if not values:
            continue
        across = place + 0.8 * ((column + 0.5) / len(labels) - 0.5)
        color, marker = look[label]
        axes.plot([across] * len(values), values, marker, ms=4, mew=0, alpha=0.55, color=color)
        mean = sum(values) / len(values)
        axes.plot([across - 0.05, across + 0.05], [mean, mean], color=color, lw=2)


def critical_differences(
    runs: Sequence[Run], ax: Axes | None = None, width: str = "column", figure: Figure | None = None
) -> Axes:
    """Average ranks of the selectors over the tasks of a study, with bars over those that cannot be distinguished.

    Args:
        runs: Runs of a study, on different spaces or images.
        ax: Axes to draw on; axes of a figure of its own by default.
        width: `"column"` (3.25 inches), `"text"` (5.5) or `"full"` (6.75).
        figure: Empty figure to draw on where there are no axes, which gets its size; a new one of pyplot by default.

    Returns:
        The axes.

    Raises:
        UnknownName: There is no such width.
        NothingToDraw: There are fewer than three selectors or tasks, so that there is no critical difference.

    Example:
        >>> from opselect.bench.interface import select
        >>> critical_differences([Run.of([select("random").record], [])])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        opselect.bench.report.plot.NothingToDraw: ... expected three selectors on three tasks

    Source: Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, 2006, figure 1.
    """
    inches = _inches(width)
    ranks = compared_ranks(runs)
    distinguishable = [] if ranks.critical_difference is None else [ranks]
    _refuse_nothing(distinguishable, "three selectors on three tasks")
    look = looks({label for run in runs for label in run.in_role("selector")})
    colors = {label: look[label].color if label in look else REFERENCE_COLOR for label in ranks.ranks}
    rows = sum(len(clique) > 1 for clique in ranks.cliques) / 2 + (len(ranks.ranks) + 1) // 2
    with style():
        axes = ax or _sized(figure, inches, 0.8 + 0.22 * rows).subplots()
        draw_ranks(ranks, colors, axes)
    return axes


def draw_ranks(ranks: AverageRanks, colors: Mapping[str, str], ax: Axes) -> None:
    """Draw average ranks on a line, best on the left, with a bar over labels that cannot be distinguished.

    Args:
        ranks: The ranks of at least two labels, with a critical difference.
        colors: Color of every label.
        ax: Axes to draw on.
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


def _inches(width: str) -> float:
    """A width by its name.

    Raises:
        UnknownName: No width has this name.
    """
    if width not in WIDTHS:
        raise registry.UnknownName(f"no width named {width!r}{registry.did_you_mean(width, tuple(WIDTHS))}")
    return WIDTHS[width]


def _refuse_nothing(what: Collection[object], expected: str) -> None:
    if not what:
        raise NothingToDraw(f"the run has too few records for this figure, expected {expected}")


def _gaps(values: Iterable[float | None]) -> list[float]:
    """Undefined values as NaN, which leaves a gap in a line."""
    return [math.nan if value is None else value for value in values]


def _panels(figure: Figure, count: int, columns: int) -> list[Axes]:
    """Panels of a figure in rows of this many, which share their axes."""
    lines = math.ceil(count / columns)
    every = list(figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flat)
    for unused in every[count:]:
        unused.remove()
    # Where the panel below is missing, the axis above it has to be labelled.
    for axes in every[max(0, count - columns) : count]:
        axes.xaxis.set_tick_params(labelbottom=True)
    return every[:count]


def _wrap(label: str, line: int) -> str:
    """Break a label into lines of so many characters."""
    return textwrap.fill(_shorten(label), line)


def _shorten(label: str) -> str:
    """Shorten a label to one line that leaves room for the figure."""
    line = printable(" ".join(label.split()))
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"
