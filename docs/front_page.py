"""Draw the picture of README.md from the records in results/digits201: `python docs/front_page.py FILE` (`make docs`).

On the left is what each selector selected: one dot per seed, and the median with its interval, between the mean of all
cells, which a random choice gets on average, and the best cell. On the right is how well its first operation
scores agree with those of best-acc.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from opselect.bench.runs.run import Run, load_run
from opselect.bench.statistics.estimates import median_interval
from opselect.bench.summaries.agreement import first_agreement_by_seed

RECORDS = Path(__file__).parents[1] / "results" / "digits201"
COLORS = {"selector": "#0072b2", "random": "#595959", "oracle": "#a8500f"}
"""By role; all have a contrast of more than 4.5 on white."""
# matplotlib types its keys one by one, which a plain dictionary does not.
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": "#8c8c8c",
    "xtick.color": "#404040",
    "ytick.color": "#202020",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}


def draw(run: Run) -> Figure:
    """Two panels with one row per selector, on white, so that they can be read on a dark page too.

    Args:
        run: Records of the default experiment, with its table.

    Returns:
        A figure as wide as the text of a README.
    """
    roles = ("selector", "random", "oracle")
    labels = sorted(run.labels, key=lambda label: (roles.index(run.role(label)), -np.median(accuracies(run, label))))
    figure = Figure(figsize=(9.2, 4.2), dpi=200, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.14, wspace=0.05)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.45, 1))
    assert run.population is not None
    expected, best = float(np.nanmean(run.population.test)), float(np.nanmax(run.population.test))
    draw_panel(left, run, {label: accuracies(run, label) for label in labels})
    draw_panel(right, run, {label: agreements(run, label) for label in labels})
    left.set_title("What a selector selects", pad=24)
    left.set_xlabel("test accuracy of the selected cell (%)")
    right.set_title("How well its scores rank", pad=24)
    right.set_xlabel("Spearman correlation with best-acc")
    left.set_yticks(range(len(labels)), labels)
    for tick, label in zip(left.get_yticklabels(), labels, strict=True):
        tick.set_color(COLORS[run.role(label)])
    left.set_ylim(len(labels) - 0.4, -0.6)
    mark(left, expected, "mean of all cells")
    mark(left, best, "best cell")
    mark(right, 0, "chance")
    right.set_xlim(-0.75, 1.05)
    return figure


def accuracies(run: Run, label: str) -> list[float]:
    """Test accuracy of the selected cell in percent, one per seed."""
    found = run.values(label, lambda result: result.test_accuracy).values()
    return [value for value in found if value is not None]


def agreements(run: Run, label: str) -> list[float]:
    """Spearman's correlation of the first operation scores with those of best-acc, one per seed."""
    return [value for value in first_agreement_by_seed(run, label).values() if value is not None]


def draw_panel(axes: Axes, run: Run, rows: dict[str, list[float]]) -> None:
    """One row per label: a dot per seed, above them the median and the interval that covers it."""
    for height, (label, values) in enumerate(rows.items()):
        color = COLORS[run.role(label)]
        median = median_interval(values)
        axes.plot(values, [height + 0.17] * len(values), "o", ms=4.5, mew=0, alpha=0.35, color=color)
        if median.low is not None and median.high is not None:
            axes.plot([median.low, median.high], [height - 0.12] * 2, lw=2.4, color=color, solid_capstyle="round")
        axes.plot([np.median(values)], [height - 0.12], "D", ms=6.5, mfc=color, mec="white", mew=0.9)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e6e6e6", lw=0.7)
    axes.set_axisbelow(True)


def mark(axes: Axes, value: float, text: str) -> None:
    """A dashed line across all rows with its name above."""
    axes.axvline(value, color="#595959", lw=1, ls=(0, (4, 3)), zorder=1)
    axes.text(value, 1.015, text, transform=axes.get_xaxis_transform(), ha="center", color="#404040", fontsize=9)


def main(file: Path) -> None:
    """Write the picture as PNG, without date and version, so that the same records give the same picture."""
    with matplotlib.rc_context(STYLE):
        draw(load_run(RECORDS)).savefig(file, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
