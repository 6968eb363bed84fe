"""The selected networks: their errors after training, their cells, and what papers print of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opselect.bench.published.compare import published_of
from opselect.bench.published.numbers import Number, load_packaged
from opselect.bench.report.formatting import (
    UNDEFINED,
    assignments,
    interval_notes,
    mean_and_deviation,
    means_over,
    number,
)
from opselect.bench.report.render import SELECTOR, Column, Table, mean_columns, role_blocks
from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import NOT_NEGATIVE, PERCENT, Mean, Median, mean_interval, median_interval
from opselect.bench.summaries.costs import timings
from opselect.selectors.task import Role

MILLION = 1e6
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class NetworkSummary:
    """The networks that one selector chose, trained from scratch; means are over the search's seeds.

    Attributes:
        label: Label of the selector.
        role: Whether it competes.
        networks: Number of different networks.
        trainings: Number of finished trainings, over all training seeds.
        failed: Number of trainings that failed.
        parameters: Parameters without the auxiliary classifier, as papers count.
        multiply_adds: Multiply-adds for one image.
        error: Test error after the last epoch, percent, first averaged over training seeds.
        median_error: Median of the same.
        best_epoch_error: Lowest test error after any epoch, percent, first averaged over training seeds.
        lowest_error: Lowest error of all trainings after the last epoch, percent.
    """

    label: str
    role: Role
    networks: int
    trainings: int
    failed: int
    parameters: Mean
    multiply_adds: Mean
    error: Mean
    median_error: Median
    best_epoch_error: Mean
    lowest_error: float | None


def networks(run: Run) -> list[NetworkSummary]:
    """One row per label of which a network was trained or should have been."""
    rows = [_networks_of(run, label) for label in run.labels]
    return [row for row in rows if row.trainings or row.failed]


def _networks_of(run: Run, label: str) -> NetworkSummary:
    results = run.results(label).values()
    trainings = [run.trainings(result) for result in results]
    errors = [_error([training.last for training in results]) for results in trainings]
    chosen = {result.architecture for result in results} & run.training_records.keys()
    attempts = [training for architecture in sorted(chosen) for training in run.training_records[architecture]]
    return NetworkSummary(
        label=label,
        role=run.role(label),
        networks=len(chosen),
        trainings=sum(training.result is not None for training in attempts),
        failed=sum(training.result is None for training in attempts),
        parameters=mean_interval((results[0].parameters if results else None for results in trainings), NOT_NEGATIVE),
        multiply_adds=mean_interval(
            (results[0].multiply_adds if results else None for results in trainings), NOT_NEGATIVE
        ),
        error=mean_interval(errors, PERCENT),
        median_error=median_interval(errors),
        best_epoch_error=mean_interval(
            (_error([training.best for training in results]) for results in trainings), PERCENT
        ),
        lowest_error=min((100 - training.last for results in trainings for training in results), default=None),
    )


def _error(accuracies: Sequence[float]) -> float | None:
    return 100 - sum(accuracies) / len(accuracies) if accuracies else None


def networks_table(run: Run) -> Table[NetworkSummary]:
    """The selected networks after training from scratch, one row per selector."""
    rows = networks(run)
    return Table(
        name="networks",
        title="The selected networks, trained from nothing",
        columns=(
            SELECTOR,
            Column("Networks", show=lambda row: str(row.networks), priority=3),
            Column(
                "Trainings",
                show=lambda row: f"{row.trainings} ({row.failed} failed)" if row.failed else str(row.trainings),
                priority=3,
            ),
            *mean_columns(
                "Test error",
                "%",
                "↓",
                rows,
                lambda row: row.error,
                lambda row: row.median_error,
                ("error", "median_error"),
            ),
            Column(
                "At the best epoch",
                "%",
                "↓",
                show=lambda row: mean_and_deviation(row.best_epoch_error),
                key="best_epoch_error",
                short="Best epoch",
                priority=2,
                legend="best epoch chosen by test images",
            ),
            Column("Lowest", "%", "↓", show=lambda row: number(row.lowest_error), key="lowest_error", priority=2),
            Column("Parameters", "M", show=lambda row: mean_and_deviation(row.parameters, 3, MILLION), short="Param."),
            Column(
                "Multiply-adds",
                "M",
                show=lambda row: mean_and_deviation(row.multiply_adds, 1, MILLION),
                key="multiply_adds",
                short="Mult.-adds",
                priority=2,
            ),
        ),
        blocks=role_blocks(run, rows),
        notes=(
            *recipe_notes(run),
            "Test error: after the last epoch, averaged over a network's training seeds, then mean ± sample "
            "standard deviation over the seeds of the search. At the best epoch: the lowest after any epoch, as "
            "papers report it, chosen by test images. Lowest: of all trainings, after the last epoch.",
            *interval_notes((row.error, row.median_error) for row in rows),
            "Equal networks are trained once. Parameters and multiply-adds are without the auxiliary classifier.",
        ),
        data=rows,
        optional=True,
        legend=means_over((row.error.n for row in rows), "seeds of the search"),
    )


def recipe_notes(run: Run) -> list[str]:
    """How the networks were trained."""
    texts = {
        f"{network.channels} channels, {network.cells} cells, "
        f"{network.training_images or 'all'} training images, {assignments(network.training)}"
        for trainings in run.training_records.values()
        for network in (training.network for training in trainings)
    }
    return [f"Trained by: {text}." for text in sorted(texts)]


@dataclass(frozen=True)
class CollapseSummary:
    """What one cell of the genotypes that a selector chose looks like, over its seeds.

    Attributes:
        label: Label of the selector.
        role: Whether it competes.
        cell: Type of the cell.
        skip_connections: Number of skip connections among the cell's operations.
        parameter_free: Percent of the cell's operations that have no parameters.
        depth: Number of edges on the longest path from an input to the output.
        width: Summed width of the nodes that the inputs feed, in channels of a node.
    """

    label: str
    role: Role
    cell: str
    skip_connections: Mean
    parameter_free: Mean
    depth: Mean
    width: Mean


def collapse(run: Run) -> list[CollapseSummary]:
    """One row per label and type of cell, where the space has genotypes."""
    rows = []
    for label in run.labels:
        results = run.results(label).values()
        for cell in dict.fromkeys(cell for result in results for cell in result.cells):
            cells = [result.cells[cell] for result in results if cell in result.cells]
            rows.append(
                CollapseSummary(
                    label=label,
                    role=run.role(label),
                    cell=cell,
                    skip_connections=mean_interval((cell.skip_connections for cell in cells), NOT_NEGATIVE),
                    parameter_free=mean_interval((100 * cell.parameter_free_share for cell in cells), PERCENT),
                    depth=mean_interval((cell.depth for cell in cells), NOT_NEGATIVE),
                    width=mean_interval((cell.width for cell in cells), NOT_NEGATIVE),
                )
            )
    return rows


def collapse_table(run: Run) -> Table[CollapseSummary]:
    """How far the cells of the selected genotypes have collapsed, one row per selector and type of cell."""
    rows = collapse(run)
    return Table(
        name="collapse",
        title="What the selected cells look like",
        columns=(
            SELECTOR,
            Column("Cell", show=lambda row: row.cell, numeric=False),
            Column("Skip connections", "of 8", show=lambda row: mean_and_deviation(row.skip_connections, 1)),
            Column(
                "Without parameters",
                "%",
                show=lambda row: mean_and_deviation(row.parameter_free, 0),
                key="parameter_free",
            ),
            Column("Depth", show=lambda row: mean_and_deviation(row.depth, 1)),
            Column("Width", show=lambda row: mean_and_deviation(row.width, 1)),
        ),
        blocks=role_blocks(run, rows),
        notes=(
            "Mean ± sample standard deviation over seeds. A search has collapsed where skip connections take over.",
            "Depth: edges on the longest path from an input to the output. Width: 1 for a node fed by the cell's "
            "inputs alone, 1/2 where one of its two inputs is another node, summed over the nodes.",
        ),
        data=rows,
        optional=True,
        legend=means_over(row.depth.n for row in rows),
    )


@dataclass(frozen=True)
class PaperSummary:
    """What the papers on the DARTS spaces print of one selector.

    Attributes:
        label: Label of the selector.
        role: Whether it competes.
        error: Test error of the selected networks after the last epoch, percent.
        parameters: Parameters of the selected networks.
        search_days: Wall time of all phases but observing, days.
        devices: Devices on which the searches ran.
    """

    label: str
    role: Role
    error: Mean
    parameters: Mean
    search_days: Mean
    devices: str


def papers(run: Run) -> list[PaperSummary]:
    """One row per label whose networks were trained."""
    costs = {row.label: row for row in timings(run)}
    return [
        PaperSummary(
            label=row.label,
            role=row.role,
            error=row.error,
            parameters=row.parameters,
            search_days=mean_interval(
                (record.cost.search_seconds / SECONDS_PER_DAY for record in run.records[row.label] if record.cost),
                NOT_NEGATIVE,
            ),
            devices=costs[row.label].devices,
        )
        for row in networks(run)
    ]


@dataclass(frozen=True)
class PaperRow:
    """What papers print of one selector, and what was published of it."""

    label: str
    ours: PaperSummary
    published: list[Number]


PAPER_COLUMNS: Sequence[Column[PaperRow]] = (
    SELECTOR,
    Column(
        "Test error",
        "%",
        "↓",
        show=lambda row: mean_and_deviation(row.ours.error),
        key="error",
    ),
    Column(
        "Parameters",
        "M",
        show=lambda row: mean_and_deviation(row.ours.parameters, 3, MILLION),
        short="Param.",
        priority=2,
    ),
    Column("Search cost", "days", "↓", show=lambda row: number(row.ours.search_days.value, 4), key="search_days"),
    Column("Device", show=lambda row: row.ours.devices, numeric=False, key="devices", priority=4),
    Column(
        "Published error",
        "%",
        show=lambda row: published_error(row.published),
        legend="published values after full training on the whole dataset",
    ),
    Column("Published cost", "GPU days", show=lambda row: _published_days(row.published), priority=3),
)


def papers_table(run: Run) -> Table[PaperRow]:
    """What the papers on the DARTS spaces print: error, size and search cost, and published values of the same."""
    summaries = papers(run)
    rows = [PaperRow(row.label, row, published_of(load_packaged(), run.only(row.label))) for row in summaries]
    sources = dict.fromkeys(value.source for row in rows for value in row.published)
    return Table(
        name="papers",
        title="Error, size and search cost, as papers print them",
        columns=PAPER_COLUMNS,
        blocks=role_blocks(run, rows),
        notes=(
            *recipe_notes(run),
            "Search cost: wall time of supernet training, scoring, tuning and validation on the device that is "
            "named; a day of a CPU core is no GPU day.",
            "Published values are those of full training (600 epochs) on the whole dataset, whatever the settings "
            "of this run; the table of published values says in what they differ.",
            *dict.fromkeys(f"{load_packaged().sources[source].text}." for source in sources),
        ),
        data=summaries,
        optional=True,
        legend=means_over((row.error.n for row in summaries), "seeds of the search"),
    )


def published_error(numbers: Iterable[Number]) -> str:
    """The mean test error among published numbers, with its deviation where it is known; a dash where there is none."""
    error = next((value for value in numbers if not value.definition.timed and value.over_seeds == "mean"), None)
    if error is None:
        return UNDEFINED
    spread = "" if error.deviation is None else f" ± {number(error.deviation)}"
    return f"{number(100 - error.value)}{spread}"


def _published_days(numbers: Iterable[Number]) -> str:
    """The search cost among published numbers, in days; a dash where there is none."""
    return number(next((value.value / SECONDS_PER_DAY for value in numbers if value.measure == "search time"), None))
