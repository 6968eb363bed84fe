"""The figures of a report as PNG and PDF files, which the same records determine to the last byte.

Importing this module imports matplotlib, networkx and seaborn; `page` does it only when it draws.
"""

import io
from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from opselect.bench.report import plot
from opselect.bench.report.drawing.cells import cell_figure
from opselect.bench.runs.run import Run
from opselect.spaces.errors import printable
from opselect.spaces.space import Architecture, SearchSpace

DRAWINGS: Mapping[str, Callable[..., object]] = {
    "accuracy": plot.accuracy,
    "accuracy_against_time": plot.accuracy_against_time,
    "cells": plot.cells,
    "correlations": plot.correlations,
    "steps": plot.steps,
}
"""By name of a `render.Figure`, what draws it."""

OVERVIEW_DRAWINGS: Mapping[str, Callable[..., object]] = {
    "overview-errors": plot.errors,
    "critical-differences": plot.critical_differences,
}
"""The same for the figures of a study's overview."""


def draw(name: str, run: Run) -> tuple[bytes, bytes]:
    """Draw one figure as a PNG and a PDF file.

    Args:
        name: Name of a `render.Figure`.
        run: Run that has something to show in it.
    """
    return _files(lambda figure: DRAWINGS[name](run, width="full", figure=figure))


def draw_overview(name: str, runs: Sequence[Run]) -> tuple[bytes, bytes]:
    """Draw one figure of a study's overview as a PNG and a PDF file.

    Args:
        name: Name of a `render.Figure`.
        runs: Runs of the study, which have something to show in it.
    """
    return _files(lambda figure: OVERVIEW_DRAWINGS[name](runs, width="full", figure=figure))


def _files(drawing: Callable[[Figure], object]) -> tuple[bytes, bytes]:
    """Draw on a figure of no window, and save it twice."""
    with plot.style():
        drawing(figure := Figure())
        return _save(figure, "png"), _save(figure, "pdf")


def _save(figure: Figure, kind: str) -> bytes:
    """Save the figure without date and version, so that the same figure gives the same bytes."""
    metadata: dict[str, None] = {"png": {"Software": None}, "pdf": {"CreationDate": None}}.get(kind, {"Date": None})
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, metadata=metadata)
    return stream.getvalue()


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
    with plot.style():
        figure = cell_figure(space, architecture, printable(" ".join(title.split())))
        return [_save(figure, kind) for kind in kinds]
