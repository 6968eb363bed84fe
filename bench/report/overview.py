"""The overview of a study: the errors of every selector on every space and dataset, in one table as papers have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opselect.bench.published.compare import published_of
from opselect.bench.published.numbers import load_packaged
from opselect.bench.report.formatting import best_marks, mean_and_deviation, negative
from opselect.bench.report.network_tables import papers_table, published_error, recipes
from opselect.bench.report.page import Figure, Section
from opselect.bench.report.render import UNDEFINED, Block, Cell, Column, Table
from opselect.bench.report.summaries import PaperSummary
from opselect.bench.runs.trials import Trials
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
                label: published_error(published_of(load_packaged(), trials.only(label)))
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
    known = [label for label in labels if any(line.published.get(label, UNDEFINED) != UNDEFINED for line in lines)]

    def cells(line: ErrorLine) -> tuple[Cell, ...]:
        values = {label: line.errors[label].value for label in labels if roles[label] == "selector"}
        marks = best_marks({label: negative(value) for label, value in values.items()})
        ours = (Cell(mean_and_deviation(line.errors[label]), marks.get(label, "")) for label in labels)
        return (Cell(line.space), *ours, *(Cell(line.published.get(label, UNDEFINED)) for label in known))

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
    tables = {(trials.all[0].trial.space, trials.all[0].trial.images): papers_table(trials) for trials in parts}
    blocks = (
        Block(f"{space}, {images}", tuple(row for block in table.blocks for row in block.rows))
        for (space, images), table in tables.items()
    )
    return Table(
        name="overview-costs",
        title="Error, size and search cost, as papers print them",
        columns=next(iter(tables.values())).columns,
        blocks=tuple(blocks),
        notes=tuple(dict.fromkeys(note for table in tables.values() for note in table.notes)),
        data=[CostLine(images, space, row) for (space, images), table in tables.items() for row in table.data],
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
