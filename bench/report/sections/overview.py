"""The overview of a study: the errors of every selector on every space and dataset, in one table as papers have it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opselect.bench.published.compare import published_of
from opselect.bench.published.numbers import load_packaged
from opselect.bench.report.formatting import UNDEFINED, mean_and_deviation, means_over
from opselect.bench.report.render import Block, Cell, Column, Figure, Section, Table, best_marks, has_table
from opselect.bench.report.sections.aggregates import aggregates_section, roles_of, task_name
from opselect.bench.report.sections.networks import (
    PAPER_COLUMNS,
    PaperRow,
    PaperSummary,
    papers_table,
    published_error,
    recipe_notes,
)
from opselect.bench.report.sections.selection import (
    best_selectors,
    chance_sentences,
    common_seeds,
    unfinished_notes,
)
from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import PERCENT, Mean, mean_interval

PUBLISHED_NOTE = (
    "Published: after full training (600 epochs) on the whole dataset, whatever the settings here; the report of each "
    "run says in what they differ."
)


@dataclass(frozen=True)
class ErrorLine:
    """The errors on one space with one set of images.

    Attributes:
        images: Name of the images.
        space: Registered name of the space.
        errors: Test error in percent over the seeds of the search, by label.
        comparable: Whether all selectors with errors have the same seeds, at least two, so that the best can be marked.
        published: Published error as it is printed by label; a dash where there is none.
    """

    images: str
    space: str
    errors: Mapping[str, Mean]
    comparable: bool
    published: Mapping[str, str]


@dataclass(frozen=True)
class CostLine:
    """What one selector cost on one space with one set of images."""

    images: str
    space: str
    cost: PaperSummary


def error_lines(runs: Sequence[Run]) -> list[ErrorLine]:
    """One line per run, in the given order."""
    labels = dict.fromkeys(label for run in runs for label in run.labels)
    common = [common_seeds(run) for run in runs]
    return [
        ErrorLine(
            images=run.all[0].trial.images,
            space=run.all[0].trial.space,
            errors={
                label: mean_interval(
                    (
                        None if result.test_accuracy is None else 100 - result.test_accuracy
                        for result in (run.results(label).values() if label in run.labels else ())
                    ),
                    PERCENT,
                )
                for label in labels
            },
            comparable=seeds.are_all and seeds.are_enough,
            published={
                label: published_error(published_of(load_packaged(), run.only(label)))
                for label in labels
                if label in run.labels
            },
        )
        for run, seeds in zip(runs, common, strict=True)
    ]


def errors_table(runs: Sequence[Run]) -> Table[ErrorLine]:
    """Test errors with a row per space, a column per selector, and columns of published errors."""
    lines = error_lines(runs)
    labels = list(lines[0].errors) if lines else []
    roles = roles_of(runs)
    competing = [label for label in labels if roles[label] == "selector"]
    published = [label for label in labels if any(line.published.get(label, UNDEFINED) != UNDEFINED for line in lines)]
    return Table(
        name="overview-errors",
        title="Test error of the selected networks",
        columns=(
            Column("Space", show=lambda line: line.space, numeric=False),
            *(_error_column(label, competing) for label in labels),
            *(_published_column(label) for label in published),
        ),
        blocks=[
            Block(images, [line for line in lines if line.images == images])
            for images in dict.fromkeys(line.images for line in lines)
        ],
        notes=(
            *dict.fromkeys(recipe for run in runs for recipe in recipe_notes(run)),
            f"{_errors_source(runs)} Mean over the seeds of the search ± sample standard deviation.",
            "Best selector of a row in bold, runner-up underlined, by rounded means; random choice does not compete.",
            *(
                ["Nothing is marked where selectors have other seeds than each other, or fewer than two."]
                if any(not line.comparable for line in lines)
                else []
            ),
            *([PUBLISHED_NOTE] if published else []),
        ),
        data=lines,
        legend=means_over((mean.n for line in lines for mean in line.errors.values()), "seeds of the search"),
    )


def _errors_source(runs: Sequence[Run]) -> str:
    """What was measured."""
    sources = {has_table(run) for run in runs}
    if sources == {True}:
        return "Test error: 100 minus the test accuracy of the table."
    if sources == {False}:
        return "Test error: after training from scratch, last epoch."
    return "Test error: 100 minus the test accuracy of the table, where there is one; else of the trained networks."


def findings(runs: Sequence[Run]) -> tuple[str, ...]:
    """What a reader must know first of every run: doubts, what is missing or failed, where chance is not beaten."""
    return tuple(f"{task_name(run)}: {sentence}" for run in runs for sentence in _doubts(run))


def _doubts(run: Run) -> Iterator[str]:
    yield from run.remarks
    yield from unfinished_notes(run)
    if failed := sum(record.result is None for record in run.all):
        yield f"{failed} of {len(run.all)} trials failed."
    best = best_selectors(run)
    if best is not None:
        sentences, is_beaten = chance_sentences(run, best)
        if not is_beaten:
            yield from sentences


def _error_column(label: str, competing: Sequence[str]) -> Column[ErrorLine]:
    """The errors of one selector, marked among those that compete on the same space."""

    def show(line: ErrorLine) -> Cell:
        marks = dict(zip(competing, best_marks((line.errors[label].value for label in competing), "↓"), strict=True))
        return Cell(mean_and_deviation(line.errors[label]), marks.get(label, "") if line.comparable else "")

    return Column(
        label,
        "%",
        "↓",
        show=show,
        key=f"errors_{label}",
    )


def _published_column(label: str) -> Column[ErrorLine]:
    return Column(
        f"{label}, published",
        "%",
        show=lambda line: line.published.get(label, UNDEFINED),
        key=f"published_{label}",
        priority=2,
    )


def costs_table(runs: Sequence[Run]) -> Table[PaperRow]:
    """Error, size and search cost of every selector, a block per run."""
    tables = {(run.all[0].trial.space, run.all[0].trial.images): papers_table(run) for run in runs}
    return Table(
        name="overview-costs",
        title="Error, size and search cost, as papers print them",
        columns=PAPER_COLUMNS,
        blocks=[
            Block(f"{space}, {images}", [row for block in table.blocks for row in block.rows])
            for (space, images), table in tables.items()
        ],
        notes=list(dict.fromkeys(note for table in tables.values() for note in table.notes)),
        data=[CostLine(images, space, row) for (space, images), table in tables.items() for row in table.data],
        optional=True,
        legend=means_over((row.error.n for table in tables.values() for row in table.data), "seeds of the search"),
    )


def overview_sections(runs: Sequence[Run]) -> tuple[Section, ...]:
    """What the overview says; costs, which may differ between two runs, stand last."""
    errors = errors_table(runs)
    figure = Figure(
        "overview-errors",
        "Test error: a dot per seed of the search, a bar at the mean.",
        shown=any(mean.value is not None for line in errors.data for mean in line.errors.values()),
    )
    return (
        Section("Test errors", paragraphs=findings(runs), figures=(figure,), tables=(errors,)),
        aggregates_section(runs),
        Section("Search cost", tables=(costs_table(runs),)),
    )
