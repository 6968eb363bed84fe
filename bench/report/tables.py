"""The tables of a report: which summaries stand in which columns, and what is said below them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opselect.bench.report import summaries
from opselect.bench.report.formatting import (
    BLOCKS,
    INTERVAL_NOTE,
    UNDEFINED_NOTE,
    assignments,
    best_marks,
    blocks,
    interval,
    listed,
    mean_and_deviation,
    negative,
    plain,
)
from opselect.bench.report.network_tables import collapse_table, networks_table
from opselect.bench.report.published_tables import published_table
from opselect.bench.report.render import UNDEFINED, Block, Cell, Column, Table, number, without_columns
from opselect.bench.report.summaries import (
    AgreementSummary,
    PairSummary,
    SelectionSummary,
    TimingSummary,
    TransferSummary,
)
from opselect.bench.runs.records import Record
from opselect.bench.runs.trials import Role, Trials
from opselect.bench.statistics import spearman

# What only a table of accuracies can fill.
_OF_TABLES = ("Validation accuracy", "Regret", "Percentile")
REGRET_NOTE = (
    "Regret: test accuracy of the table's best architecture minus the selected one's. Percentile: share of the table's "
    "architectures with a lower test accuracy."
)
AGREEMENT_COUNTS = ("95 % interval of the first", "n", "Edges used, undefined", "Dropped scores")


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
        "regret": best_marks({row.label: negative(row.regret.value) for row in competing}),
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
        blocks=blocks(rows, cells),
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
        blocks=blocks(rows, cells),
        notes=(INTERVAL_NOTE, "The architectures are those of the main table; nothing was selected on these datasets."),
        data=rows,
    )


def _counted(trials: Trials) -> list[str]:
    seeds = trials.seeds
    runs = f"{len(trials.all)} trials over {len(seeds)} seeds ({listed(seeds)})"
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
    notes = [f"The trained supernets of {listed(labels)} are small: {size}." for size, labels in sizes.items()]
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
    training = "not trained" if trial.training is None else assignments(trial.training)
    return SettingsRow(record.label, trial.method, assignments(trial.settings), training)


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
            "Seeds": [listed(trials.seeds)] if trials.seeds else [],
            "Device": [trial.device for trial in described],
            "All open edges scored at every step": ["yes" if trial.observe else "no" for trial in described],
        }
        | {f"Version of {name}": [trial.software.get(name, UNDEFINED) for trial in described] for name in software},
    )


def environment_table(trials: Trials) -> Table:
    """The machines, which may differ between two runs of one experiment."""
    environments = [_with_the_mark_told(record.environment) for record in trials.all]
    items = sorted({item for environment in environments for item in environment})
    return _facts(
        "environment",
        "Where it ran",
        {item: [plain(environment[item]) for environment in environments if item in environment] for item in items},
    )


def _with_the_mark_told(environment: Mapping[str, Any]) -> dict[str, Any]:
    """The environment with a line of its own for what git appends to a commit whose files were changed."""
    commit = environment.get("commit")
    if not isinstance(commit, str):
        return dict(environment)
    plain_commit = commit.removesuffix("-dirty")
    return {
        **environment,
        "commit": plain_commit,
        "uncommitted changes": "no" if plain_commit == commit else "yes, so the commit does not say what ran",
    }


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


def _thousandfold(value: float | None) -> float | None:
    return None if value is None else 1000 * value


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
