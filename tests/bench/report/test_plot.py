"""Figures: their sizes, their type, their colours, and what they say where there is nothing to draw."""

import itertools
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from opselect.bench.report import plot
from opselect.bench.report.drawing.cells import TooNarrow
from opselect.bench.runs.run import Run
from opselect.bench.runs.runner import Summary
from opselect.spaces.registry import UnknownName

DRAWINGS = {
    "accuracy": plot.accuracy,
    "accuracy_against_time": plot.accuracy_against_time,
    "cells": plot.cells,
    "correlations": plot.correlations,
    "steps": plot.steps,
    "errors": lambda run, **options: plot.errors([run], **options),
}
"""The figures that a single run can have; another needs three tasks and has its test among those of the overview."""

# Of protanopia and deuteranopia, in linear RGB: Machado, Oliveira and Fernandes, IEEE TVCG 2009, severity 1.
COLOR_VISIONS = (
    np.eye(3),
    np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
)


@pytest.fixture(scope="module")
def run(tiny_run: tuple[Path, Summary], tiny_text: str) -> Run:
    return Run.of(tiny_run[1].records, [], title="tiny")


def test_every_figure_is_public() -> None:
    assert {*DRAWINGS, "critical_differences"} == set(plot.__all__)


@pytest.mark.parametrize("width", plot.WIDTHS)
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_has_its_width_and_no_small_type(run: Run, name: str, width: str) -> None:
    figure = Figure()
    DRAWINGS[name](run, width=width, figure=figure)  # type: ignore[operator]
    inches = figure.get_figwidth()
    assert inches <= plot.WIDTHS[width] if name == "correlations" else inches == plot.WIDTHS[width]
    figure.draw_without_rendering()
    written = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    assert written
    assert min(text.get_fontsize() for text in written) >= 7
    # Nothing is cut off at the sides.
    box = figure.get_tightbbox()
    assert box.x0 > -0.03
    assert box.x1 < inches + 0.03


def test_a_figure_goes_on_axes_of_the_caller_whose_style_stays(run: Run) -> None:
    before = dict(matplotlib.rcParams)
    figure = Figure(figsize=(4, 3))
    left, right = figure.subplots(1, 2)
    assert plot.accuracy(run, ax=left) is left
    assert plot.correlations(run, ax=right) is right
    assert isinstance(plot.accuracy_against_time(run, ax=Figure().subplots()), Axes)
    assert tuple(figure.get_size_inches()) == (4, 3)
    assert dict(matplotlib.rcParams) == before


def test_without_axes_a_figure_is_one_of_pyplot(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    from matplotlib import pyplot

    try:
        axes = plot.accuracy(run)
        assert pyplot.gcf() is axes.figure
    finally:
        pyplot.close("all")


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_wrong_width_and_an_empty_run_are_one_sentence(run: Run, name: str) -> None:
    with pytest.raises(UnknownName, match="no width named 'colum'; did you mean 'column'"):
        DRAWINGS[name](run, width="colum", figure=Figure())  # type: ignore[operator]
    with pytest.raises(plot.NothingToDraw, match="the run has too few records for this figure, expected "):
        DRAWINGS[name](Run.of([], []), figure=Figure())  # type: ignore[operator]


def test_cells_that_do_not_fit_say_how_wide_they_are() -> None:
    from opselect.bench.report.drawing.cells import overview_figure
    from opselect.spaces.darts.space import darts

    row = ("a", "b", darts.sample(np.random.default_rng(0)))
    with pytest.raises(
        TooNarrow, match=r"a cell of darts is \d+ points wide, and there is room for \d+; choose a wider"
    ):
        overview_figure(darts, [row], 3.25, Figure())


def test_a_selector_looks_the_same_whatever_the_order_and_the_others_that_leave_it_its_place() -> None:
    labels = [*plot.PREFERRED, "mine", "yours", "a third"]
    assert plot.looks(labels) == plot.looks(reversed(labels))
    for others in (["magnitude"], ["magnitude", "darts-pt", "te-nas"], ["disc-acc", "something"]):
        look = plot.looks(others)
        assert all(
            look[label].color == plot.COLORS[plot.PREFERRED[label]] for label in others if label in plot.PREFERRED
        )
    assert len(set(plot.looks([f"selector {number}" for number in range(20)]).values())) == 20


def test_colors_differ_for_every_kind_of_color_vision_and_stand_out_on_white() -> None:
    colors = [*plot.COLORS, (0.45, 0.45, 0.45)]
    srgb = np.array([to_rgb(color) for color in colors])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    assert (1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 3).all()
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    for vision in COLOR_VISIONS:
        xyz = np.clip(linear @ vision.T, 0, 1) @ to_xyz.T / [0.95047, 1, 1.08883]
        parts = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        x, y, z = parts.T
        lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
        assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(lab, 2)) >= 18


def test_a_colored_text_can_be_read() -> None:
    for color in plot.COLORS:
        red, green, blue = to_rgb(plot._readable(color))
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
        assert 1.05 / (np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05) >= 4.5
