"""The tables of a report: which summaries stand in which columns, and what is said below them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opselect.bench.published import Number, beside, published_of, shipped
from opselect.bench.published import Row as PublishedRow
from opselect.bench.records import Record
from opselect.bench.report import summaries
from opselect.bench.report.summaries import (
    AgreementSummary,
    CollapseSummary,
    NetworkSummary,
    PairSummary,
    PaperSummary,
    SelectionSummary,
    TimingSummary,
    TransferSummary,
)
from opselect.bench.report.table import UNDEFINED, Block, Cell, Column, Mark, Table, number, without_columns
from opselect.bench.report.trials import Role, Trials
from opselect.bench.statistics import Estimate, Mean, spearman

BLOCKS: Sequence[tuple[str, tuple[Role, ...]]] = (
    ("", ("selector",)),
    ("Floor: a random choice", ("random",)),
    ("Ceiling: oracles that read the table's validation accuracies", ("oracle",)),
)
# What only a table of accuracies can fill.
_OF_TABLES = ("Validation accuracy", "Regret", "Percentile")
INTERVAL_NOTE = "Intervals are 95 % t intervals of the mean over seeds; ± is the sample standard deviation (n − 1)."
REGRET_NOTE = (
    "Regret: test accuracy of the table's best architecture minus the selected one's. Percentile: share of the table's "
    "architectures with a lower test accuracy."
)
AGREEMENT_COUNTS = ("95 % interval of the first", "n", "Edges used, undefined", "Dropped scores")
UNDEFINED_NOTE = f"{UNDEFINED}: undefined, the CSV file says why."


@dataclass(frozen=True)
class Fact:
    """One line of the reproducibility or environment table."""

    item: str
    value: str


@dataclass(frozen=True)
class SettingsRow:
    """How one label was configured."""

    label: str
    selector: str
    settings: str
    supernet_training: str


@dataclass(frozen=True)
class PublishedLine:
    """One number of ours beside a published one.

    Attributes:
        label: the selector.
        measure: what both are numbers of.
        dataset: on which.
        unit: of both, empty where they have none.
        ours: mean over seeds.
        published: the published value.
        published_deviation: its standard deviation over seeds, where that is known.
        published_seeds: how many there were, where that is known.
        differences: settings in which ours differs, with the published ones in brackets; nothing is judged then.
        tolerance: how far apart both may lie.
        verdict: reproduced, differs or not comparable.
        note: where definitions differ, or what was printed.
        source: what notes call the source.
        citation: of the source.
    """

    label: str
    measure: str
    dataset: str
    unit: str
    ours: Mean
    published: float
    published_deviation: float | None
    published_seeds: int | None
    differences: str
    tolerance: float | None
    verdict: str
    note: str
    source: str
    citation: str


def reproducible_tables(trials: Trials) -> dict[str, Table]:
    """Every table that the same records determine to the last byte, by name; times are not among them.

    Those of published values, of trained networks and of genotypes are there only where there are any.
    """
    optional = [networks_table(trials), published_table(trials), collapse_table(trials)]
    tables = [
        selection_table(trials),
        transfer_table(trials),
        *(table for table in optional if table.data),
        paired_table(trials),
        agreement_table(trials),
        steps_table(trials),
        correlations_table(trials),
        trials_table(trials),
        failures_table(trials),
        settings_table(trials),
        reproducibility_table(trials),
    ]
    return {table.name: table for table in tables}


def selection_table(trials: Trials) -> Table:
    """How good the selected architectures are, one row a selector."""
    rows = summaries.selection(trials)
    competing = [row for row in rows if row.role == "selector"]
    marks = {
        "test": best_marks({row.label: row.test_accuracy.value for row in competing}),
        "valid": best_marks({row.label: row.valid_accuracy.value for row in competing}),
        "regret": best_marks({row.label: _negative(row.regret.value) for row in competing}),
        "percentile": best_marks({row.label: row.percentile.value for row in competing}, decimals=1),
    }

    def cells(row: SelectionSummary) -> tuple[Cell, ...]:
        return (
            Cell(row.label),
            Cell(_trial_count(row)),
            Cell(mean_and_deviation(row.test_accuracy), marks["test"].get(row.label, "")),
            Cell(interval(row.test_accuracy)),
            Cell(number(row.valid_accuracy.value), marks["valid"].get(row.label, "")),
            Cell(number(row.regret.value), marks["regret"].get(row.label, "")),
            Cell(number(row.percentile.value, 1), marks["percentile"].get(row.label, "")),
            Cell(str(row.architectures)),
            Cell(f"{row.tied_decisions} of {row.decisions}"),
            Cell(f"{row.nonfinite_scores} of {row.scores}"),
        )

    table = Table(
        name="selection",
        title="Selected architectures",
        columns=(
            Column("Selector", numeric=False),
            Column("Trials"),
            Column("Test accuracy", "%", "↑"),
            Column("95 % interval", "%"),
            Column("Validation accuracy", "%", "↑"),
            Column("Regret", "pp", "↓"),
            Column("Percentile", "%", "↑"),
            Column("Distinct choices"),
            Column("Tied decisions"),
            Column("Non-finite scores", "", "↓"),
        ),
        blocks=_blocks(rows, cells),
        notes=(
            *_counted(trials),
            *_sizes_of_supernets(trials),
            INTERVAL_NOTE,
            "Best selector in bold, runner-up underlined, by rounded means; random choice and oracles do not compete.",
            *((REGRET_NOTE,) if _has_table(trials) else ()),
            (
                "Decisions and scores are those of the recorded steps (of the first proposal, where a selector makes "
                "several) and the proposals' validation scores."
            ),
            *_validation_against_test(trials),
        ),
        data=rows,
    )
    return table if _has_table(trials) else without_columns(table, _OF_TABLES)


def networks_table(trials: Trials) -> Table:
    """The selected networks after training from nothing, one row a selector."""
    rows = summaries.networks(trials)
    competing = [row for row in rows if row.role == "selector"]
    marks = best_marks({row.label: _negative(row.error.value) for row in competing})

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
        blocks=_blocks(rows, cells),
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
        f"{network.training_images or 'all'} training images, {_assignments(network.training)}"
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
        blocks=_blocks(rows, cells),
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
    published = {row.label: published_of(shipped(), trials.only(row.label)) for row in rows}

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
        blocks=_blocks(rows, cells),
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
            *dict.fromkeys(f"{shipped().sources[each.source].text}." for found in published.values() for each in found),
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


def _blocks(rows: Sequence[Any], cells: Callable[[Any], tuple[Cell, ...]]) -> tuple[Block, ...]:
    """Rows with a role, in the blocks that every table of selectors has."""
    return tuple(Block(heading, tuple(cells(row) for row in rows if row.role in roles)) for heading, roles in BLOCKS)


def transfer_table(trials: Trials) -> Table:
    """How good the selected architectures are on other datasets, one row a selector."""
    rows = summaries.transfer(trials)
    datasets = tuple(rows[0].test_accuracy) if rows else ()
    marks = {
        name: best_marks({row.label: row.test_accuracy[name].value for row in rows if row.role == "selector"})
        for name in datasets
    }

    def cells(row: TransferSummary) -> tuple[Cell, ...]:
        means = (
            (
                Cell(mean_and_deviation(row.test_accuracy[name]), marks[name].get(row.label, "")),
                Cell(interval(row.test_accuracy[name])),
            )
            for name in datasets
        )
        return (Cell(row.label), Cell(str(row.trials)), *(cell for pair in means for cell in pair))

    return Table(
        name="transfer",
        title="The selected architectures on other datasets",
        columns=(
            Column("Selector", numeric=False),
            Column("Trials"),
            *(
                column
                for name in datasets
                for column in (Column(f"{name} test accuracy", "%", "↑"), Column("95 % interval", "%"))
            ),
        ),
        blocks=_blocks(rows, cells),
        notes=(INTERVAL_NOTE, "The architectures are those of the main table; nothing was selected on these datasets."),
        data=rows,
    )


def published_table(trials: Trials) -> Table:
    """What was published of the selectors on this space, beside what they reach here, one row a published number."""
    rows = beside(shipped(), trials)
    sources = {row.source.id: row.source.text for row in rows}
    measures = dict.fromkeys(published_measure(row.number) for row in rows)
    return Table(
        name="published",
        title="Beside published values",
        columns=(
            Column("Selector", numeric=False),
            Column("Ours"),
            Column("n"),
            Column("Published"),
            Column("Tolerance"),
            Column("Settings that differ: ours (published)", numeric=False, share=0.23),
            Column("Source", numeric=False),
            Column("Verdict", numeric=False),
        ),
        blocks=tuple(
            Block(name, tuple(_published_cells(row) for row in rows if published_measure(row.number) == name))
            for name in measures
        ),
        notes=(
            (
                "Published values were measured by others and stand in a column of their own: value ± standard "
                "deviation over seeds, where it is known (number of seeds)."
            ),
            (
                "Reproduced: the settings agree, and ours is at most the tolerance away. Where settings differ or are "
                "not known nothing is judged; another proxy is another method."
            ),
            *(f"{name}: {text}." for name, text in sources.items()),
            *_published_notes(rows),
        ),
        data=[_published_line(row) for row in rows],
    )


def _published_notes(rows: Iterable[PublishedRow]) -> list[str]:
    """What is to know about single values: each note once, after the values that it is about."""
    values: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.number.note:
            value = number(row.number.value, row.number.definition.decimals)
            values.setdefault((row.source.id, row.number.note), {})[value] = None
    return [f"{_listed(found)} ({source}): {note}." for (source, note), found in values.items()]


def _published_cells(row: PublishedRow) -> tuple[Cell, ...]:
    published, ours = row.number, row.ours
    assert ours is not None
    return (
        Cell(row.origin),
        Cell(mean_and_deviation(ours, published.definition.decimals)),
        Cell(str(ours.n)),
        Cell(published_value(published)),
        Cell(number(published.tolerance, published.definition.decimals)),
        Cell(_differing(row) or UNDEFINED),
        Cell(row.source.id),
        Cell(row.verdict),
    )


def _differing(row: PublishedRow) -> str:
    return ", ".join(f"{each.name} = {each.ours or 'none'} ({each.published})" for each in row.differences)


def published_measure(published: Number) -> str:
    """What was measured and on which dataset, for example `test accuracy, cifar10 (%)`."""
    best = "best of the seeds" if published.over_seeds == "best" else ""
    parts = [published.definition.short, *(published.dataset or ())[:1], best]
    unit = f" ({published.definition.unit})" if published.definition.unit else ""
    return ", ".join(part for part in parts if part) + unit


def published_value(published: Number) -> str:
    """The value, its deviation and its seeds where they are known, for example `94.00 ± 0.47 (4)`."""
    decimals = published.definition.decimals
    spread = "" if published.deviation is None else f" ± {number(published.deviation, decimals)}"
    seeds = "" if published.seeds is None else f" ({published.seeds})"
    return f"{number(published.value, decimals)}{spread}{seeds}"


def _published_line(row: PublishedRow) -> PublishedLine:
    published = row.number
    assert row.ours is not None
    return PublishedLine(
        label=row.origin,
        measure=published.measure,
        dataset=published.dataset[0] if published.dataset else "",
        unit=published.definition.unit,
        ours=row.ours,
        published=published.value,
        published_deviation=published.deviation,
        published_seeds=published.seeds,
        differences=_differing(row),
        tolerance=published.tolerance,
        verdict=row.verdict,
        note=published.note,
        source=row.source.id,
        citation=row.source.citation,
    )


def _counted(trials: Trials) -> list[str]:
    seeds = trials.seeds
    runs = f"{len(trials.all)} trials over {len(seeds)} seeds ({_listed(seeds)})"
    table = next((record.trial.table for record in trials.all), None)
    if table is None and not trials.networks:
        return [f"{runs}; no table of accuracies, so nothing is said about accuracy."]
    if table is None:
        return [f"{runs}. Accuracies are those of the selected networks after training from nothing, last epoch."]
    another = table.valid_epochs != table.epochs
    validation = f" (validation accuracies: {table.valid_epochs} epochs)" if another else ""
    return [
        (
            f"{runs}. Accuracies are those of the table {table.name}: dataset {table.dataset}, {table.epochs} epochs"
            f"{validation}, mean over the table's own seeds. Selection used validation data only; test accuracies were "
            "read later."
        )
    ]


def _validation_against_test(trials: Trials) -> list[str]:
    results = {result.architecture: result for label in trials.labels for result in trials.results(label).values()}
    accuracies = [
        (result.valid_accuracy, result.test_accuracy)
        for result in results.values()
        if result.valid_accuracy is not None and result.test_accuracy is not None
    ]
    if not accuracies:
        return []
    agreement = spearman([valid for valid, _ in accuracies], [test for _, test in accuracies])
    if agreement.value is None:
        return []
    return [
        (
            f"Spearman between validation and test accuracy of the {agreement.n} distinct selected architectures: "
            f"{number(agreement.value)} (95 % bootstrap interval {interval(agreement)})."
        )
    ]


def _trial_count(row: SelectionSummary) -> str:
    return f"{row.trials} ({row.failed} failed)" if row.failed else str(row.trials)


def trials_table(trials: Trials) -> Table:
    """Every trial."""
    rows = summaries.every_trial(trials)

    def candidates(made: int | None, distinct: int | None) -> str:
        return UNDEFINED if not made else f"{made} / {distinct}"

    table = Table(
        name="trials",
        title="Every trial",
        columns=(
            Column("Selector", numeric=False),
            Column("Seed"),
            Column("Architecture", numeric=False),
            Column("Validation accuracy", "%", "↑"),
            Column("Test accuracy", "%", "↑"),
            Column("Regret", "pp", "↓"),
            Column("Percentile", "%", "↑"),
            Column("Proposals / distinct"),
        ),
        blocks=tuple(
            Block(
                "",
                tuple(
                    (
                        Cell(row.label),
                        Cell(str(row.seed)),
                        Cell("failed" if row.reason else row.architecture or UNDEFINED),
                        Cell(number(row.valid_accuracy)),
                        Cell(number(row.test_accuracy)),
                        Cell(number(row.regret)),
                        Cell(number(row.percentile, 1)),
                        Cell(candidates(row.candidates, row.distinct_candidates)),
                    )
                    for row in rows
                    if row.label == label
                ),
            )
            for label in trials.labels
        ),
        data=rows,
    )
    return table if _has_table(trials) else without_columns(table, _OF_TABLES)


def _has_table(trials: Trials) -> bool:
    return not trials.all or any(record.trial.table is not None for record in trials.all)


def failures_table(trials: Trials) -> Table:
    """Every trial that failed, and why."""
    rows = [row for row in summaries.every_trial(trials) if row.reason]
    return Table(
        name="failures",
        title="Failed trials",
        columns=(Column("Selector", numeric=False), Column("Seed"), Column("Reason", numeric=False)),
        blocks=(Block("", tuple((Cell(row.label), Cell(str(row.seed)), Cell(row.reason or "")) for row in rows)),),
        data=rows,
    )


def paired_table(trials: Trials) -> Table:
    """Every selector against magnitude and against the best selector; the data hold every pair."""
    best = summaries.best_selector(summaries.selection(trials))
    rivals = list(dict.fromkeys(label for label in (trials.baseline, best) if label is not None))
    columns = [Column("Selector", numeric=False)]
    for rival in rivals:
        columns += [Column(f"minus {rival}", "pp", "↑"), Column("95 % interval", "pp"), Column("n"), Column("p")]

    def cells(label: str) -> tuple[Cell, ...]:
        compared = [summaries.pair(trials, label, rival) if label != rival else None for rival in rivals]
        return (Cell(label), *(cell for pair in compared for cell in _pair_cells(pair)))

    notes = [
        "Test accuracy of the row's selector minus that of the named one with the same seed, mean over common seeds.",
        (
            "Intervals are 95 % t intervals. p: two-sided sign-flip permutation test, not corrected for the number of "
            "comparisons; it cannot be below 2 / 2ⁿ, 0.0625 for n = 5."
        ),
    ]
    if best is not None:
        notes.append(f"{best} has the highest mean of these trials, so comparisons with it favour it.")
    return Table(
        name="paired",
        title="Paired differences of test accuracy",
        columns=tuple(columns),
        blocks=(Block("", tuple(cells(label) for label in trials.in_role("selector", "random"))),) if rivals else (),
        notes=(*notes, UNDEFINED_NOTE),
        data=summaries.pairs(trials),
    )


def _pair_cells(pair: PairSummary | None) -> list[Cell]:
    if pair is None:
        return [Cell("")] * 4
    return [
        Cell(number(pair.difference.value)),
        Cell(interval(pair.difference)),
        Cell(str(pair.difference.n)),
        Cell(number(pair.p_value, 4)),
    ]


def agreement_table(trials: Trials) -> Table:
    """How the first operation scores agree with the oracles'."""
    rows = summaries.agreements(trials)
    oracles = [oracle for oracle in summaries.ORACLES if any(row.oracle == oracle for row in rows)]
    measures = [(oracle, statistic) for oracle in oracles for statistic in summaries.STATISTICS]
    by_label = {(row.label, row.oracle, row.statistic): row for row in rows}
    marks = {
        measure: best_marks(
            {label: by_label[label, *measure].agreement.value for label in _labels_of(rows, trials, "selector")}
        )
        for measure in measures
    }

    def cells(label: str) -> tuple[Cell, ...]:
        found = [by_label[label, *measure] for measure in measures]
        return (
            Cell(label),
            *(
                Cell(mean_and_deviation(row.agreement), marks[row.oracle, row.statistic].get(label, ""))
                for row in found
            ),
            Cell(interval(found[0].agreement)),
            Cell(str(found[0].agreement.n)),
            Cell(f"{found[0].edges}, {found[0].undefined_edges}"),
            Cell(str(found[0].dropped_pairs)),
        )

    return Table(
        name="agreement",
        title="Agreement of the first operation scores with the table",
        columns=(
            Column("Selector", numeric=False),
            *(Column(f"{oracle}, {statistic.capitalize()}", "", "↑") for oracle, statistic in measures),
            *(
                (
                    Column("95 % interval of the first"),
                    Column("n"),
                    Column("Edges used, undefined"),
                    Column("Dropped scores"),
                )
                if measures
                else ()
            ),
        ),
        blocks=tuple(
            Block(heading, tuple(cells(label) for label in _labels_of(rows, trials, *roles)))
            for heading, roles in BLOCKS
        ),
        notes=(
            (
                "Nothing is decided yet. Rank correlation over the operations of each edge (average ranks), mean over "
                "edges, then mean ± sample standard deviation over the n seeds in which it is defined."
            ),
            (
                "best-acc and avg-acc: largest and mean test accuracy of all architectures in the table that have the "
                "operation on the edge. The oracles' own scores are the same from validation accuracies."
            ),
            (
                "Edges are summed over seeds; one is undefined where a column of scores is constant or has fewer than "
                "three finite pairs."
            ),
            *_sizes_of_supernets(trials),
            *_what_was_not_scored(trials),
        ),
        data=rows,
    )


def _sizes_of_supernets(trials: Trials) -> list[str]:
    """Which supernets were not of the space's own size, for nobody should take their numbers for the full ones."""
    sizes: dict[str, list[str]] = {}
    # In spaces with genotypes, stages have no number of cells of their own.
    in_all = any(result.cells for label in trials.labels for result in trials.results(label).values())
    units = (("channels", "channel(s) in the first stage"), ("cells", "cell(s)" if in_all else "cell(s) a stage"))
    for label in trials.labels:
        for training in {
            json.dumps(record.trial.training): record.trial.training for record in trials.records[label]
        }.values():
            parts = [f"{training[key]} {what}" for key, what in units if training and training.get(key) is not None]
            if training and parts:
                sizes.setdefault(f"{', '.join(parts)}, {training['epochs']} epochs", []).append(label)
    notes = [f"The trained supernets of {_listed(labels)} are small: {size}." for size, labels in sizes.items()]
    return [*notes, "All other supernets have the full size of the space."] if notes else []


def _what_was_not_scored(trials: Trials) -> list[str]:
    if all(record.trial.observe for record in trials.all):
        return []
    return ["Some trials scored only the edge to decide at each step (observe = false): they rest on that edge alone."]


def _labels_of(rows: Iterable[AgreementSummary], trials: Trials, *roles: Role) -> list[str]:
    present = {row.label for row in rows}
    return [label for label in trials.in_role(*roles) if label in present]


def steps_table(trials: Trials) -> Table:
    """How the agreement with best-acc changes while edges are decided."""
    rows = summaries.along_the_steps(trials)
    by_step = {(row.label, row.step): row.agreement.value for row in rows}
    steps = sorted({row.step for row in rows})
    present = {row.label for row in rows}

    def cells(label: str) -> tuple[Cell, ...]:
        return (Cell(label), *(Cell(number(by_step.get((label, step)))) for step in steps))

    return Table(
        name="steps",
        title="Agreement with best-acc along the selection",
        columns=(Column("Selector", numeric=False), *(Column(f"Step {step}", "", "↑") for step in steps)),
        blocks=tuple(
            Block(heading, tuple(cells(label) for label in trials.in_role(*roles) if label in present))
            for heading, roles in BLOCKS
        ),
        notes=(
            "Spearman with best-acc given the decisions so far, mean over the edges still open, mean over seeds.",
            "Edges that were decided before a step are not in it, so the last step rests on one edge. "
            + UNDEFINED_NOTE,
            *_sizes_of_supernets(trials),
            *_what_was_not_scored(trials),
        ),
        data=rows,
    )


def correlations_table(trials: Trials) -> Table:
    """How the first operation scores of every two methods agree."""
    rows = summaries.correlations(trials)
    names = list(summaries.first_scores(trials))
    values = {(row.first, row.second): row.agreement.value for row in rows}

    def cell(row: int, column: int) -> Cell:
        return Cell(number(values[names[column], names[row]]) if column < row else "")

    return Table(
        name="correlations",
        title="Rank correlations between first operation scores",
        columns=(Column("", numeric=False), *(Column(name) for name in names[:-1])),
        blocks=(
            Block(
                "",
                tuple(
                    (Cell(names[row]), *(cell(row, column) for column in range(len(names) - 1)))
                    for row in range(1, len(names))
                ),
            ),
        ),
        notes=(
            (
                "Spearman over the operations of each edge, mean over edges, mean over common seeds; nothing is "
                "decided yet. best-acc (test) and avg-acc (test) come from the table's test accuracies."
            ),
            *_sizes_of_supernets(trials),
            *_what_was_not_scored(trials),
        ),
        data=rows,
    )


def settings_table(trials: Trials) -> Table:
    """The settings of every selector and of the supernet that it used."""
    rows = list(dict.fromkeys(_settings_of(record) for record in trials.all))
    return Table(
        name="settings",
        title="Settings",
        columns=tuple(
            Column(heading, numeric=False)
            for heading in ("Selector", "Registered name", "Settings", "Supernet training")
        ),
        blocks=(
            Block(
                "",
                tuple(
                    (Cell(row.label), Cell(row.selector), Cell(row.settings), Cell(row.supernet_training))
                    for row in rows
                ),
            ),
        ),
        data=rows,
    )


def _settings_of(record: Record) -> SettingsRow:
    trial = record.trial
    training = "not trained" if trial.training is None else _assignments(trial.training)
    return SettingsRow(record.label, trial.selector, _assignments(trial.settings), training)


def reproducibility_table(trials: Trials) -> Table:
    """What determines the outcome and is the same for all selectors."""
    described = [record.trial for record in trials.all]
    references = [trial.table for trial in described if trial.table is not None]
    software = sorted({name for trial in described for name in trial.software})
    return _facts(
        "reproducibility",
        "What was run",
        {
            "Experiment": [record.experiment for record in trials.all],
            "Space": [trial.space for trial in described],
            "Images": [trial.images for trial in described],
            "Images, hash": [trial.images_hash for trial in described],
            "Table": [f"{table.name}, dataset {table.dataset}, {table.epochs} epochs" for table in references],
            "Validation accuracies": [f"after {table.valid_epochs} epochs" for table in references],
            "Table, fingerprint": [table.fingerprint for table in references],
            "Seeds": [_listed(trials.seeds)] if trials.seeds else [],
            "All open edges scored at every step": ["yes" if trial.observe else "no" for trial in described],
        }
        | {f"Version of {name}": [trial.software.get(name, UNDEFINED) for trial in described] for name in software},
    )


def environment_table(trials: Trials) -> Table:
    """The machines, which may differ between two runs of one experiment."""
    environments = [record.environment for record in trials.all]
    items = sorted({item for environment in environments for item in environment})
    return _facts(
        "environment",
        "Where it ran",
        {item: [_plain(environment[item]) for environment in environments if item in environment] for item in items},
    )


def timing_table(trials: Trials) -> Table:
    """What the searches cost."""
    rows = summaries.timings(trials)
    phases = summaries.phases(trials)

    def cells(row: TimingSummary) -> tuple[Cell, ...]:
        return (
            Cell(row.label),
            Cell(str(row.trials)),
            Cell(mean_and_deviation(row.search)),
            *(Cell(number(row.phases[phase].value)) for phase in phases),
            Cell(number(row.evaluations.value, 0)),
            Cell(number(_thousandfold(row.seconds_per_evaluation.value))),
            Cell(number(row.peak_memory.value, 0)),
            Cell(row.devices),
        )

    return Table(
        name="timing",
        title="Search cost",
        columns=(
            Column("Selector", numeric=False),
            Column("Trials"),
            Column("Search time", "s", "↓"),
            *(Column(phase.capitalize(), "s") for phase in phases),
            Column("Evaluations"),
            Column("Time per evaluation", "ms", "↓"),
            Column("Peak memory", "MB", "↓"),
            Column("Device", numeric=False),
        ),
        blocks=tuple(
            Block(heading, tuple(cells(row) for row in rows if trials.role(row.label) in roles))
            for heading, roles in BLOCKS
        ),
        notes=(
            (
                "Wall seconds, mean over finished trials, ± sample standard deviation. Search time is the sum of the "
                "phases without observing, which only the report asks for."
            ),
            "Supernet training is charged in full to every trial that used the supernet, also where trials share one.",
            (
                "An evaluation is one score of one operation, or one batch of a proposal's validation; its time is "
                "that of scoring and validation. Training of the selected architecture is not counted."
            ),
            "Peak memory is the largest that the trial's process ever held, so earlier trials of that process count.",
        ),
        data=rows,
    )


def mean_and_deviation(mean: Mean, decimals: int = 2) -> str:
    """`87.12 ± 0.43`, or less where less is defined."""
    if mean.deviation is None:
        return number(mean.value, decimals)
    return f"{number(mean.value, decimals)} ± {number(mean.deviation, decimals)}"


def interval(estimate: Estimate, decimals: int = 2) -> str:
    """`[86.59, 87.65]`, or a dash."""
    if estimate.low is None:
        return UNDEFINED
    return f"[{number(estimate.low, decimals)}, {number(estimate.high, decimals)}]"


def best_marks(values: Mapping[str, float | None], decimals: int = 2) -> dict[str, Mark]:
    """Bold for the largest, underlined for the next, as printed; nothing where there is nothing to compare."""
    rounded = {label: round(value, decimals) for label, value in values.items() if value is not None}
    ranking = sorted(set(rounded.values()), reverse=True)
    if len(ranking) < 2:
        return {}
    leaders = [label for label, value in rounded.items() if value == ranking[0]]
    marks: dict[str, Mark] = dict.fromkeys(leaders, "best")
    if len(leaders) == 1:
        marks |= {label: "runner-up" for label, value in rounded.items() if value == ranking[1]}
    return marks


def _thousandfold(value: float | None) -> float | None:
    return None if value is None else 1000 * value


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _facts(name: str, title: str, facts: Mapping[str, Sequence[str]]) -> Table:
    rows = [Fact(item, "; ".join(sorted(set(values)))) for item, values in facts.items()]
    rows = [row for row in rows if row.value]
    return Table(
        name=name,
        title=title,
        columns=(Column("Item", numeric=False), Column("Value", numeric=False)),
        blocks=(Block("", tuple((Cell(row.item), Cell(row.value)) for row in rows)),),
        data=rows,
    )


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _assignments(settings: Mapping[str, object]) -> str:
    given = {name: value for name, value in settings.items() if value is not None}
    return ", ".join(f"{name} = {_plain(value)}" for name, value in sorted(given.items())) or "none"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
