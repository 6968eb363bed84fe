"""How good the selected architectures are: per selector, on other datasets, in pairs of selectors, and per trial."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from opselect.bench.report.formatting import (
    INTERVAL_NOTE,
    UNDEFINED,
    UNDEFINED_NOTE,
    interval,
    listing,
    mean_and_deviation,
    number,
)
from opselect.bench.report.render import (
    SELECTOR,
    Block,
    Column,
    Figure,
    Table,
    mean_columns,
    number_column,
    role_blocks,
)
from opselect.bench.report.sections.settings import supernet_size_notes
from opselect.bench.runs.records import Record
from opselect.bench.runs.run import Run
from opselect.bench.statistics.correlations import spearman
from opselect.bench.statistics.estimates import Mean
from opselect.bench.statistics.t_intervals import paired_difference
from opselect.bench.statistics.t_intervals import t_interval as mean_interval
from opselect.selectors.task import Role

REGRET_NOTE = (
    "Regret: test accuracy of the table's best architecture minus the selected one's. Percentile: share of the table's "
    "architectures with a lower test accuracy."
)


@dataclass(frozen=True)
class SelectionSummary:
    """How good one selector's architectures are, over its seeds.

    Attributes:
        label: Label of the selector.
        role: Whether it competes.
        trials: Number of trials, finished and failed ones.
        failed: Number of failed trials.
        test_accuracy: Test accuracy in percent, mean over seeds.
        valid_accuracy: Validation accuracy in percent, mean over seeds.
        regret: Percentage points of test accuracy below the table's best.
        percentile: Percent of the table's architectures with a lower test accuracy.
        architectures: Number of different architectures among the finished trials.
        decisions: Number of decisions in the recorded steps.
        tied_decisions: Number of these in which several operations had the winning score.
        scores: Number of recorded scores of operations and of candidates.
        nonfinite_scores: Number of these that are NaN or infinite.
    """

    label: str
    role: Role
    trials: int
    failed: int
    test_accuracy: Mean
    valid_accuracy: Mean
    regret: Mean
    percentile: Mean
    architectures: int
    decisions: int
    tied_decisions: int
    scores: int
    nonfinite_scores: int


def selection(run: Run) -> list[SelectionSummary]:
    """One row per label."""
    return [_selection_of(run, label) for label in run.labels]


def _selection_of(run: Run, label: str) -> SelectionSummary:
    results = run.results(label).values()
    steps = [step for result in results for step in result.steps]
    scores = [score for step in steps for row in step.scores.values() for score in row]
    # A pool with one distinct candidate is not validated.
    scores += [score for result in results for _, score in result.candidates if score is not None]
    return SelectionSummary(
        label=label,
        role=run.role(label),
        trials=len(run.records[label]),
        failed=sum(record.result is None for record in run.records[label]),
        test_accuracy=mean_interval(result.test_accuracy for result in results),
        valid_accuracy=mean_interval(result.valid_accuracy for result in results),
        regret=mean_interval(result.regret for result in results),
        percentile=mean_interval(result.percentile for result in results),
        architectures=len({result.architecture for result in results}),
        decisions=len(steps),
        tied_decisions=sum(step.tied > 0 for step in steps),
        scores=len(scores),
        nonfinite_scores=sum(not math.isfinite(score) for score in scores),
    )


def best_selector(rows: Sequence[SelectionSummary]) -> SelectionSummary | None:
    """The competing row with the largest mean test accuracy, the first one of equals."""
    known = [(row.test_accuracy.value, row) for row in rows if row.role == "selector"]
    means = [(mean, row) for mean, row in known if mean is not None]
    return max(means, key=lambda pair: pair[0])[1] if means else None


def selection_table(run: Run) -> Table[SelectionSummary]:
    """How good the selected architectures are, one row per selector."""
    rows = selection(run)
    has_table = _has_table(run)
    return Table(
        name="selection",
        title="Selected architectures",
        columns=(
            SELECTOR,
            Column("Trials", show=lambda row: f"{row.trials} ({row.failed} failed)" if row.failed else str(row.trials)),
            *mean_columns("Test accuracy", "%", "↑", lambda row: row.test_accuracy),
            number_column("Validation accuracy", "%", "↑", lambda row: row.valid_accuracy.value, shown=has_table),
            number_column("Regret", "pp", "↓", lambda row: row.regret.value, shown=has_table),
            number_column("Percentile", "%", "↑", lambda row: row.percentile.value, decimals=1, shown=has_table),
            Column("Distinct choices", show=lambda row: str(row.architectures)),
            Column("Tied decisions", show=lambda row: f"{row.tied_decisions} of {row.decisions}"),
            Column("Non-finite scores", "", "↓", show=lambda row: f"{row.nonfinite_scores} of {row.scores}"),
        ),
        blocks=role_blocks(run, rows),
        notes=(
            _source_note(run),
            *supernet_size_notes(run),
            INTERVAL_NOTE,
            "Best selector in bold, runner-up underlined, by rounded means; random choice and oracles do not compete.",
            *([REGRET_NOTE] if has_table else []),
            "Decisions and scores are those of the recorded steps (of the first proposal, where a selector makes "
            "several) and the proposals' validation scores.",
            *_validation_notes(run),
        ),
        data=rows,
    )


def _has_table(run: Run) -> bool:
    return not run.all or any(record.trial.table is not None for record in run.all)


def _source_note(run: Run) -> str:
    """Number of trials, and the source of their accuracies."""
    trials = f"{len(run.all)} trials over {len(run.seeds)} seeds ({listing(run.seeds)})"
    table = next((record.trial.table for record in run.all), None)
    if table is None and not run.networks:
        return f"{trials}; no table of accuracies, so nothing is said about accuracy."
    if table is None:
        return f"{trials}. Accuracies are those of the selected networks after training from nothing, last epoch."
    differs = table.valid_epochs != table.epochs
    validation = f" (validation accuracies: {table.valid_epochs} epochs)" if differs else ""
    return (
        f"{trials}. Accuracies are those of the table {table.name}: dataset {table.dataset}, {table.epochs} epochs"
        f"{validation}, mean over the table's own seeds. Selection used validation data only; test accuracies were "
        "read later."
    )


def _validation_notes(run: Run) -> list[str]:
    """How validation and test accuracy agree, where both are known."""
    accuracies = [
        (result.valid_accuracy, result.test_accuracy)
        for result in {result.architecture: result for result in run.all_results}.values()
        if result.valid_accuracy is not None and result.test_accuracy is not None
    ]
    agreement = spearman([valid for valid, _ in accuracies], [test for _, test in accuracies]) if accuracies else None
    if agreement is None or agreement.value is None:
        return []
    return [
        f"Spearman between validation and test accuracy of the {agreement.n} distinct selected architectures: "
        f"{number(agreement.value)} (95 % bootstrap interval {interval(agreement)})."
    ]


def findings(run: Run) -> tuple[str, ...]:
    """Number of trials, and the selector with the highest mean test accuracy."""
    if not run.all:
        return ("There are no records.",)
    rows = selection(run)
    text = f"{len(run.all)} trials, {sum(row.failed for row in rows)} failed."
    best = best_selector(rows)
    if best is not None:
        regret = best.regret.value
        below = "" if regret is None else f", {number(regret)} percentage points below the table's best architecture"
        text += f" Highest mean test accuracy: {best.label} with {mean_and_deviation(best.test_accuracy)} %{below}."
    return (text,)


@dataclass(frozen=True)
class TransferSummary:
    """How good the architectures that a selector chose are on other datasets: by dataset, test accuracy in percent."""

    label: str
    role: Role
    trials: int
    test_accuracy: dict[str, Mean]


def transfer(run: Run) -> list[TransferSummary]:
    """One row per label; empty where the experiment reports one dataset only."""
    datasets = sorted({dataset for record in run.all if record.trial.table for dataset in record.trial.table.also})
    if not datasets:
        return []
    rows = []
    for label in run.labels:
        results = run.results(label).values()
        means = {name: mean_interval(result.other_test_accuracies.get(name) for result in results) for name in datasets}
        rows.append(TransferSummary(label, run.role(label), len(results), means))
    return rows


def transfer_table(run: Run) -> Table[TransferSummary]:
    """How good the selected architectures are on other datasets, one row per selector."""
    rows = transfer(run)
    datasets = tuple(rows[0].test_accuracy) if rows else ()
    return Table(
        name="transfer",
        title="The selected architectures on other datasets",
        columns=(
            SELECTOR,
            Column("Trials", show=lambda row: str(row.trials)),
            *(column for name in datasets for column in _transfer_columns(name)),
        ),
        blocks=role_blocks(run, rows),
        notes=(INTERVAL_NOTE, "The architectures are those of the main table; nothing was selected on these datasets."),
        data=rows,
    )


def _transfer_columns(dataset: str) -> tuple[Column[TransferSummary], ...]:
    return mean_columns(f"{dataset} test accuracy", "%", "↑", lambda row: row.test_accuracy[dataset])


@dataclass(frozen=True)
class PairSummary:
    """Test accuracy of the first selector minus that of the second with the same seeds, percentage points."""

    first: str
    second: str
    difference: Mean
    p_value: float | None


def pair(run: Run, first: str, second: str) -> PairSummary:
    """One label against another."""
    paired = paired_difference(
        run.values(first, lambda result: result.test_accuracy), run.values(second, lambda result: result.test_accuracy)
    )
    return PairSummary(first, second, paired.difference, paired.p_value)


@dataclass(frozen=True)
class PairedRow:
    """One selector against each of its rivals; None where it is the rival itself."""

    label: str
    pairs: dict[str, PairSummary | None]


def paired_table(run: Run) -> Table[PairedRow]:
    """Every selector against magnitude and against the best selector; the data hold every pair."""
    best = best_selector(selection(run))
    names = (run.baseline, best.label if best else None)
    rivals = list(dict.fromkeys(name for name in names if name is not None))
    rows = [
        PairedRow(label, {rival: pair(run, label, rival) if label != rival else None for rival in rivals})
        for label in run.in_role("selector", "random")
    ]
    return Table(
        name="paired",
        title="Paired differences of test accuracy",
        columns=(SELECTOR, *(column for rival in rivals for column in _paired_columns(rival))),
        blocks=[Block("", rows if rivals else [])],
        notes=(
            "Test accuracy of the row's selector minus that of the named one with the same seed, mean over common "
            "seeds.",
            "Intervals are 95 % t intervals. p: two-sided sign-flip permutation test, not corrected for the number of "
            "comparisons; it cannot be below 2 / 2ⁿ, 0.0625 for n = 5.",
            *(
                (f"{best.label} has the highest mean of these trials, so comparisons with it favour it.",)
                if best
                else ()
            ),
            UNDEFINED_NOTE,
        ),
        data=[pair(run, first, second) for first, second in itertools.combinations(run.labels, 2)],
    )


def _paired_columns(rival: str) -> tuple[Column[PairedRow], ...]:
    def show(text: Callable[[PairSummary], str]) -> Callable[[PairedRow], str]:
        return lambda row: "" if (paired := row.pairs[rival]) is None else text(paired)

    return (
        Column(f"minus {rival}", "pp", "↑", show=show(lambda pair: number(pair.difference.value))),
        Column("95 % interval", "pp", show=show(lambda pair: interval(pair.difference))),
        Column("n", show=show(lambda pair: str(pair.difference.n))),
        Column("p", show=show(lambda pair: number(pair.p_value, 4))),
    )


@dataclass(frozen=True)
class TrialSummary:
    """One trial; all but the first three fields are None where it failed, `reason` is None where it did not."""

    label: str
    seed: int
    status: Literal["done", "failed"]
    architecture: str | None
    valid_accuracy: float | None
    test_accuracy: float | None
    regret: float | None
    percentile: float | None
    candidates: int | None
    distinct_candidates: int | None
    reason: str | None


def every_trial(run: Run) -> list[TrialSummary]:
    """One row per record, by label and seed."""
    return [_trial_of(record) for record in run.all]


def _trial_of(record: Record) -> TrialSummary:
    result = record.result
    proposals = [architecture for architecture, _ in result.candidates] if result else []
    return TrialSummary(
        label=record.label,
        seed=record.trial.seed,
        status=record.status,
        architecture=result.architecture if result else None,
        valid_accuracy=result.valid_accuracy if result else None,
        test_accuracy=result.test_accuracy if result else None,
        regret=result.regret if result else None,
        percentile=result.percentile if result else None,
        candidates=len(proposals) if result else None,
        distinct_candidates=len(set(proposals)) if result else None,
        reason=None if result else record.reason or "no reason given",
    )


def trials_table(run: Run) -> Table[TrialSummary]:
    """Every trial."""
    rows = every_trial(run)
    has_table = _has_table(run)
    return Table(
        name="trials",
        title="Every trial",
        columns=(
            SELECTOR,
            Column("Seed", show=lambda row: str(row.seed)),
            Column(
                "Architecture",
                show=lambda row: "failed" if row.reason else row.architecture or UNDEFINED,
                numeric=False,
            ),
            Column("Validation accuracy", "%", "↑", show=lambda row: number(row.valid_accuracy), shown=has_table),
            Column("Test accuracy", "%", "↑", show=lambda row: number(row.test_accuracy)),
            Column("Regret", "pp", "↓", show=lambda row: number(row.regret), shown=has_table),
            Column("Percentile", "%", "↑", show=lambda row: number(row.percentile, 1), shown=has_table),
            Column(
                "Proposals / distinct",
                show=lambda row: f"{row.candidates} / {row.distinct_candidates}" if row.candidates else UNDEFINED,
            ),
        ),
        blocks=[Block("", [row for row in rows if row.label == label]) for label in run.labels],
        data=rows,
    )


def failures_table(run: Run) -> Table[TrialSummary]:
    """Every trial that failed, and why."""
    rows = [row for row in every_trial(run) if row.reason]
    return Table(
        name="failures",
        title="Failed trials",
        columns=(
            SELECTOR,
            Column("Seed", show=lambda row: str(row.seed)),
            Column("Reason", show=lambda row: row.reason or "", numeric=False),
        ),
        blocks=[Block("", rows)],
        data=rows,
    )


@dataclass(frozen=True)
class ArchitectureSummary:
    """The architecture that a selector chose most often.

    Attributes:
        label: Label of the selector.
        architecture: The architecture in the field's notation.
        times: Number of trials that chose it.
        trials: Number of finished trials.
        test_accuracy: Test accuracy in percent.
    """

    label: str
    architecture: str
    times: int
    trials: int
    test_accuracy: float | None


def typical_architectures(run: Run) -> list[ArchitectureSummary]:
    """One row per label with a finished trial; of equally frequent architectures that of the smallest seed."""
    rows = []
    for label in run.labels:
        results = list(run.results(label).values())
        for architecture, times in Counter(result.architecture for result in results).most_common(1):
            test = next(result.test_accuracy for result in results if result.architecture == architecture)
            rows.append(ArchitectureSummary(label, architecture, times, len(results), test))
    return rows


def figures(run: Run) -> tuple[Figure, ...]:
    """The figures of test accuracies and of typical architectures."""
    return (
        Figure(
            "accuracy",
            "Test accuracy of the selected architectures: a dot a seed, the mean with its 95 % interval.",
            shown=any(result.test_accuracy is not None for result in run.all_results),
        ),
        Figure(
            "cells",
            "The architecture that each selector chose most often. Edges with the operation none are left out.",
            shown=bool(run.all_results),
        ),
    )
