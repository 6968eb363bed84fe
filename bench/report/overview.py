"""The overview of a study: the errors of every selector on every space and dataset, in one table as papers have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opselect.bench.published import published_of, shipped
from opselect.bench.report import summaries
from opselect.bench.report.document import Figure, Section
from opselect.bench.report.summaries import PaperSummary
from opselect.bench.report.table import Block, Cell, Column, Table, number
from opselect.bench.report.tables import (
    best_marks,
    mean_and_deviation,
    millions,
    published_days,
    published_error,
    recipes,
)
from opselect.bench.report.trials import Trials
from opselect.bench.statistics import Mean, mean_interval


@dataclass(frozen=True)
class ErrorLine:
    """The errors on one space with one set of images.

    Attributes:
        images: by name.
        space: registered name.
        errors: by label, test error in percent, over the seeds of the search.
        published: by label, as it is printed; empty where nothing is.
    """

    images: str
    space: str
    errors: Mapping[str, Mean]
    published: Mapping[str, str]


@dataclass(frozen=True)
class CostLine:
    """What one selector cost on one space with one set of images."""

    images: str
    space: str
    cost: PaperSummary


def error_lines(parts: Sequence[Trials]) -> list[ErrorLine]:
    """One line a run, in the given order."""
    labels = dict.fromkeys(label for trials in parts for label in trials.labels)
    return [
        ErrorLine(
            images=trials.all[0].trial.images,
            space=trials.all[0].trial.space,
            errors={
                label: mean_interval(
                    None if result.test_accuracy is None else 100 - result.test_accuracy
                    for result in (trials.results(label).values() if label in trials.labels else ())
                )
                for label in labels
            },
            published={
                label: published_error(published_of(shipped(), trials.only(label)))
                for label in labels
                if label in trials.labels
            },
        )
        for trials in parts
    ]


def errors_table(parts: Sequence[Trials]) -> Table:
    """Test errors, spaces in rows and selectors in columns, published ones in columns of their own."""
    lines = error_lines(parts)
    roles = {label: trials.role(label) for trials in parts for label in trials.labels}
    labels = list(lines[0].errors) if lines else []
    known = [label for label in labels if any(line.published.get(label, "–") != "–" for line in lines)]

    def cells(line: ErrorLine) -> tuple[Cell, ...]:
        values = {label: line.errors[label].value for label in labels if roles[label] == "selector"}
        marks = best_marks({label: None if value is None else -value for label, value in values.items()})
        ours = (Cell(mean_and_deviation(line.errors[label]), marks.get(label, "")) for label in labels)
        return (Cell(line.space), *ours, *(Cell(line.published.get(label, "–")) for label in known))

    return Table(
        name="overview-errors",
        title="Test error of the selected networks",
        columns=(
            Column("Space", numeric=False),
            *(Column(label, "%", "↓") for label in labels),
            *(Column(f"{label}, published", "%") for label in known),
        ),
        blocks=tuple(
            Block(images, tuple(cells(line) for line in lines if line.images == images))
            for images in dict.fromkeys(line.images for line in lines)
        ),
        notes=(
            *dict.fromkeys(recipe for trials in parts for recipe in recipes(trials)),
            (
                "Mean over the seeds of the search ± sample standard deviation, after the last epoch. Best selector in "
                "bold, runner-up underlined, by rounded means; a random choice does not compete."
            ),
            *(
                (
                    "Published: after full training (600 epochs) on the whole dataset, whatever the settings here; the "
                    "report of each run says in what they differ.",
                )
                if known
                else ()
            ),
        ),
        data=lines,
    )


def costs_table(parts: Sequence[Trials]) -> Table:
    """Error, size and search cost of every selector, a block a run."""
    lines = [
        (trials, CostLine(trials.all[0].trial.images, trials.all[0].trial.space, row))
        for trials in parts
        for row in summaries.papers(trials)
    ]

    def cells(trials: Trials, line: CostLine) -> tuple[Cell, ...]:
        row, theirs = line.cost, published_of(shipped(), trials.only(line.cost.label))
        return (
            Cell(row.label),
            Cell(mean_and_deviation(row.error)),
            Cell(millions(row.parameters)),
            Cell(number(row.search_days.value, 4)),
            Cell(row.devices),
            Cell(published_error(theirs)),
            Cell(published_days(theirs)),
        )

    return Table(
        name="overview-costs",
        title="Error, size and search cost",
        columns=(
            Column("Selector", numeric=False),
            Column("Test error", "%", "↓"),
            Column("Parameters", "M"),
            Column("Search cost", "days", "↓"),
            Column("Device", numeric=False),
            Column("Published error", "%"),
            Column("Published cost", "GPU days"),
        ),
        blocks=tuple(
            Block(
                f"{space}, {images}",
                tuple(cells(trials, line) for trials, line in lines if (line.images, line.space) == (images, space)),
            )
            for images, space in dict.fromkeys((line.images, line.space) for _, line in lines)
        ),
        notes=("Search cost: wall time on the device that is named; a day of a CPU core is no GPU day.",),
        data=[line for _, line in lines],
    )


def sections(parts: Sequence[Trials]) -> tuple[Section, ...]:
    """What the overview says; costs, which may differ between two runs, stand last."""
    errors, costs = errors_table(parts), costs_table(parts)
    drawn = any(mean.value is not None for line in errors.data for mean in line.errors.values())
    figure = Figure("overview-errors", "Test error: a dot a seed of the search, a bar the mean.")
    return (
        Section("Test errors", figures=(figure,) if drawn else (), tables=(errors,)),
        Section("Search cost", tables=(costs,) if costs.data else ()),
    )
