"""The tables about selected networks: their errors after training, their cells, and what papers print of them."""

from collections.abc import Iterable

from opselect.bench.published.compare import published_of
from opselect.bench.published.numbers import Number, load_packaged
from opselect.bench.report import summaries
from opselect.bench.report.formatting import assignments, best_marks, blocks, interval, mean_and_deviation, negative
from opselect.bench.report.render import UNDEFINED, Cell, Column, Table, number
from opselect.bench.report.summaries import CollapseSummary, NetworkSummary, PaperSummary
from opselect.bench.runs.trials import Trials
from opselect.bench.statistics import Mean


def networks_table(trials: Trials) -> Table:
    """The selected networks after training from nothing, one row a selector."""
    rows = summaries.networks(trials)
    competing = [row for row in rows if row.role == "selector"]
    marks = best_marks({row.label: negative(row.error.value) for row in competing})

    def cells(row: NetworkSummary) -> tuple[Cell, ...]:
        return (
            Cell(row.label),
            Cell(str(row.networks)),
            Cell(f"{row.trainings} ({row.failed} failed)" if row.failed else str(row.trainings)),
            Cell(mean_and_deviation(row.error), marks.get(row.label, "")),
            Cell(interval(row.error)),
            Cell(mean_and_deviation(row.best_epoch_error)),
            Cell(number(row.lowest_error)),
            Cell(_millions(row.parameters)),
            Cell(_millions(row.multiply_adds, 1)),
        )

    return Table(
        name="networks",
        title="The selected networks, trained from nothing",
        columns=(
            Column("Selector", numeric=False),
            Column("Networks"),
            Column("Trainings"),
            Column("Test error", "%", "↓"),
            Column("95 % interval", "%"),
            Column("At the best epoch", "%", "↓"),
            Column("Lowest", "%", "↓"),
            Column("Parameters", "M"),
            Column("Multiply-adds", "M"),
        ),
        blocks=blocks(rows, cells),
        notes=(
            *recipes(trials),
            (
                "Test error: after the last epoch, averaged over a network's training seeds, then mean ± sample "
                "standard deviation over the seeds of the search. At the best epoch: the lowest after any epoch, as "
                "papers report it, chosen by test images. Lowest: of all trainings, after the last epoch."
            ),
            "Equal networks are trained once. Parameters and multiply-adds are without the auxiliary classifier.",
        ),
        data=rows,
    )


def recipes(trials: Trials) -> list[str]:
    """How the networks were trained, as a note."""
    texts = {
        f"{network.channels} channels, {network.cells} cells, "
        f"{network.training_images or 'all'} training images, {assignments(network.training)}"
        for trainings in trials.networks.values()
        for network in (training.network for training in trainings)
    }
    return [f"Trained by: {text}." for text in sorted(texts)]


def _millions(mean: Mean, decimals: int = 3) -> str:
    """A mean in millions, `3.349 ± 0.120`."""
    if mean.value is None:
        return UNDEFINED
    spread = "" if mean.deviation is None else f" ± {number(mean.deviation / 1e6, decimals)}"
    return f"{number(mean.value / 1e6, decimals)}{spread}"


def collapse_table(trials: Trials) -> Table:
    """How far the cells of the selected genotypes have collapsed, one row a selector and type of cell."""
    rows = summaries.collapse(trials)

    def cells(row: CollapseSummary) -> tuple[Cell, ...]:
        return (
            Cell(row.label),
            Cell(row.cell),
            Cell(mean_and_deviation(row.skip_connections, 1)),
            Cell(mean_and_deviation(row.parameter_free, 0)),
            Cell(mean_and_deviation(row.depth, 1)),
            Cell(mean_and_deviation(row.width, 1)),
        )

    return Table(
        name="collapse",
        title="What the selected cells look like",
        columns=(
            Column("Selector", numeric=False),
            Column("Cell", numeric=False),
            Column("Skip connections", "of 8"),
            Column("Without parameters", "%"),
            Column("Depth"),
            Column("Width"),
        ),
        blocks=blocks(rows, cells),
        notes=(
            "Mean ± sample standard deviation over seeds. A search has collapsed where skip connections take over.",
            (
                "Depth: edges on the longest path from an input to the output. Width: 1 for a node fed by the cell's "
                "inputs alone, 1/2 where one of its two inputs is another node, summed over the nodes."
            ),
        ),
        data=rows,
    )


def papers_table(trials: Trials) -> Table:
    """What the papers on the DARTS spaces print: error, size and search cost, with published values beside them."""
    rows = summaries.papers(trials)
    published = {row.label: published_of(load_packaged(), trials.only(row.label)) for row in rows}

    def cells(row: PaperSummary) -> tuple[Cell, ...]:
        theirs = published[row.label]
        return (
            Cell(row.label),
            Cell(mean_and_deviation(row.error)),
            Cell(_millions(row.parameters)),
            Cell(number(row.search_days.value, 4)),
            Cell(row.devices),
            Cell(published_error(theirs)),
            Cell(_published_days(theirs)),
        )

    return Table(
        name="papers",
        title="Error, size and search cost, as papers print them",
        columns=(
            Column("Selector", numeric=False),
            Column("Test error", "%", "↓"),
            Column("Parameters", "M"),
            Column("Search cost", "days", "↓"),
            Column("Device", numeric=False),
            Column("Published error", "%"),
            Column("Published cost", "GPU days"),
        ),
        blocks=blocks(rows, cells),
        notes=(
            *recipes(trials),
            (
                "Search cost: wall time of supernet training, scoring, tuning and validation on the device that is "
                "named; a day of a CPU core is no GPU day."
            ),
            (
                "Published values are those of full training (600 epochs) on the whole dataset, whatever the settings "
                "of this run; the table of published values says in what they differ."
            ),
            *dict.fromkeys(
                f"{load_packaged().sources[each.source].text}." for found in published.values() for each in found
            ),
        ),
        data=rows,
    )


def published_error(numbers: Iterable[Number]) -> str:
    """The mean test error among published numbers, with its deviation where it is known; a dash where there is none."""
    found = [each for each in numbers if not each.definition.timed and each.over_seeds == "mean"]
    if not found:
        return UNDEFINED
    spread = "" if found[0].deviation is None else f" ± {number(found[0].deviation)}"
    return f"{number(100 - found[0].value)}{spread}"


def _published_days(numbers: Iterable[Number]) -> str:
    """The search cost among published numbers, in days; a dash where there is none."""
    found = [each.value / summaries.SECONDS_A_DAY for each in numbers if each.measure == "search time"]
    return number(found[0]) if found else UNDEFINED
