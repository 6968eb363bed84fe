"""What the tables and figures show, as numbers: one small value a row, computed from the trials."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from opselect.bench.runs.records import Cost, Record, Result, StepRecord
from opselect.bench.runs.run import ORACLES, Role, Run
from opselect.bench.statistics import (
    EdgeMean,
    Mean,
    mean_interval,
    mean_over_edges_kendall,
    mean_over_edges_spearman,
    paired_difference,
)

ScoreAgreement: TypeAlias = Callable[[Sequence[Sequence[float]], Sequence[Sequence[float]]], EdgeMean]
STATISTICS: Mapping[str, ScoreAgreement] = {"spearman": mean_over_edges_spearman, "kendall": mean_over_edges_kendall}
SECONDS_A_DAY = 86_400
PHASES = ("supernet training", "scoring", "tuning", "validation", "observing")


@dataclass(frozen=True)
class SelectionSummary:
    """How good one selector's architectures are, over its seeds.

    Attributes:
        label: the selector.
        role: whether it competes.
        trials: finished and failed ones.
        failed: of these, the failed ones.
        test_accuracy: percent, mean over seeds.
        valid_accuracy: percent, mean over seeds.
        regret: percentage points of test accuracy below the table's best.
        percentile: percent of the table's architectures with a lower test accuracy.
        architectures: distinct ones among the finished trials.
        decisions: of the recorded steps.
        tied_decisions: of these, those in which several operations had the winning score.
        scores: recorded scores of operations and of candidates.
        nonfinite_scores: of these, NaN or infinite ones.
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


@dataclass(frozen=True)
class TransferSummary:
    """How good the architectures that a selector chose are on other datasets: by dataset, test accuracy in percent."""

    label: str
    role: Role
    trials: int
    test_accuracy: dict[str, Mean]


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


@dataclass(frozen=True)
class PairSummary:
    """Test accuracy of the first selector minus that of the second with the same seeds, percentage points."""

    first: str
    second: str
    difference: Mean
    p_value: float | None


@dataclass(frozen=True)
class AgreementSummary:
    """How a selector's first operation scores agree with those of an oracle.

    Attributes:
        label: the selector.
        oracle: `best-acc` or `avg-acc`, from test accuracies.
        statistic: `spearman` or `kendall`.
        agreement: mean over seeds of the mean over edges.
        edges: in which it is defined, summed over seeds.
        undefined_edges: left out, summed over seeds.
        dropped_pairs: pairs of scores left out because one was not finite, summed over seeds.
    """

    label: str
    oracle: str
    statistic: str
    agreement: Mean
    edges: int
    undefined_edges: int
    dropped_pairs: int


@dataclass(frozen=True)
class StepSummary:
    """The mean over open edges of Spearman with best-acc at one step (counted from 1), mean over seeds."""

    label: str
    step: int
    agreement: Mean


@dataclass(frozen=True)
class CorrelationSummary:
    """How the first operation scores of two sources agree: Spearman, mean over edges, then over common seeds."""

    first: str
    second: str
    agreement: Mean


@dataclass(frozen=True)
class ArchitectureSummary:
    """The architecture that a selector chose most often.

    Attributes:
        label: the selector.
        architecture: in the field's notation.
        times: how often it was chosen.
        trials: finished ones.
        test_accuracy: percent.
    """

    label: str
    architecture: str
    times: int
    trials: int
    test_accuracy: float | None


@dataclass(frozen=True)
class NetworkSummary:
    """The networks that one selector chose, trained from nothing; means are over the search's seeds.

    Attributes:
        label: the selector.
        role: whether it competes.
        networks: distinct ones.
        trainings: finished ones, over all training seeds.
        failed: trainings that failed.
        parameters: without the auxiliary classifier, as papers count.
        multiply_adds: for one image.
        error: test error after the last epoch, percent, first averaged over training seeds.
        best_epoch_error: the lowest after any epoch, likewise.
        lowest_error: the lowest of all trainings after the last epoch, percent.
    """

    label: str
    role: Role
    networks: int
    trainings: int
    failed: int
    parameters: Mean
    multiply_adds: Mean
    error: Mean
    best_epoch_error: Mean
    lowest_error: float | None


@dataclass(frozen=True)
class CollapseSummary:
    """What one cell of the genotypes that a selector chose looks like, over its seeds.

    Attributes:
        label: the selector.
        role: whether it competes.
        cell: type of the cell.
        skip_connections: of the cell's operations.
        parameter_free: percent of the cell's operations.
        depth: edges on the longest path from an input to the output.
        width: summed width of the nodes that the inputs feed, in channels of a node.
    """

    label: str
    role: Role
    cell: str
    skip_connections: Mean
    parameter_free: Mean
    depth: Mean
    width: Mean


@dataclass(frozen=True)
class PaperSummary:
    """What the papers on the DARTS spaces print of one selector.

    Attributes:
        label: the selector.
        role: whether it competes.
        error: of the selected networks after the last epoch, percent.
        parameters: of the selected networks.
        search_days: wall time of all phases but observing.
        devices: where the searches ran.
    """

    label: str
    role: Role
    error: Mean
    parameters: Mean
    search_days: Mean
    devices: str


@dataclass(frozen=True)
class TimingSummary:
    """What one selector cost, over its finished trials.

    Attributes:
        label: the selector.
        trials: finished ones.
        search: seconds of all phases but observing.
        phases: seconds by phase.
        evaluations: score evaluations.
        seconds_per_evaluation: of scoring and validation.
        peak_memory: megabytes.
        devices: where the trials ran.
    """

    label: str
    trials: int
    search: Mean
    phases: Mapping[str, Mean]
    evaluations: Mean
    seconds_per_evaluation: Mean
    peak_memory: Mean
    devices: str


def selection(trials: Run) -> list[SelectionSummary]:
    """One row a label."""
    return [_selection_of(trials, label) for label in trials.labels]


def _selection_of(trials: Run, label: str) -> SelectionSummary:
    results = trials.results(label).values()
    steps = [step for result in results for step in result.steps]
    scores = [score for step in steps for row in step.scores.values() for score in row]
    # A pool with one distinct candidate is not validated.
    scores += [score for result in results for _, score in result.candidates if score is not None]
    return SelectionSummary(
        label=label,
        role=trials.role(label),
        trials=len(trials.records[label]),
        failed=sum(record.result is None for record in trials.records[label]),
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


def every_trial(trials: Run) -> list[TrialSummary]:
    """One row a record, by label and seed."""
    return [_trial_of(record) for record in trials.all]


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


def transfer(trials: Run) -> list[TransferSummary]:
    """One row a label; empty where the experiment reports one dataset only."""
    datasets = sorted({dataset for record in trials.all if record.trial.table for dataset in record.trial.table.also})
    if not datasets:
        return []
    rows = []
    for label in trials.labels:
        results = list(trials.results(label).values())
        means = {name: mean_interval(result.other_test_accuracies.get(name) for result in results) for name in datasets}
        rows.append(TransferSummary(label, trials.role(label), len(results), means))
    return rows


def networks(trials: Run) -> list[NetworkSummary]:
    """One row a label of which a network was trained or should have been."""
    rows = [_networks_of(trials, label) for label in trials.labels]
    return [row for row in rows if row.trainings or row.failed]


def _networks_of(trials: Run, label: str) -> NetworkSummary:
    results = trials.results(label).values()
    found = [trials.trainings(result) for result in results]
    chosen = {result.architecture for result in results} & trials.networks.keys()
    attempts = [training for architecture in sorted(chosen) for training in trials.networks[architecture]]
    return NetworkSummary(
        label=label,
        role=trials.role(label),
        networks=len(chosen),
        trainings=sum(training.result is not None for training in attempts),
        failed=sum(training.result is None for training in attempts),
        parameters=mean_interval(each[0].parameters if each else None for each in found),
        multiply_adds=mean_interval(each[0].multiply_adds if each else None for each in found),
        error=mean_interval(_error([training.last for training in each]) for each in found),
        best_epoch_error=mean_interval(_error([training.best for training in each]) for each in found),
        lowest_error=min((100 - training.last for each in found for training in each), default=None),
    )


def _error(accuracies: Sequence[float]) -> float | None:
    return 100 - sum(accuracies) / len(accuracies) if accuracies else None


def collapse(trials: Run) -> list[CollapseSummary]:
    """One row a label and type of cell, where the space has genotypes."""
    rows = []
    for label in trials.labels:
        results = trials.results(label).values()
        for cell in dict.fromkeys(cell for result in results for cell in result.cells):
            found = [result.cells[cell] for result in results if cell in result.cells]
            rows.append(
                CollapseSummary(
                    label=label,
                    role=trials.role(label),
                    cell=cell,
                    skip_connections=mean_interval(each.skip_connections for each in found),
                    parameter_free=mean_interval(100 * each.parameter_free_share for each in found),
                    depth=mean_interval(each.depth for each in found),
                    width=mean_interval(each.width for each in found),
                )
            )
    return rows


def papers(trials: Run) -> list[PaperSummary]:
    """One row a label whose networks were trained."""
    costs = {row.label: row for row in timings(trials)}
    return [
        PaperSummary(
            label=row.label,
            role=row.role,
            error=row.error,
            parameters=row.parameters,
            search_days=mean_interval(
                record.cost.search_seconds / SECONDS_A_DAY for record in trials.records[row.label] if record.cost
            ),
            devices=costs[row.label].devices,
        )
        for row in networks(trials)
    ]


def best_selector(rows: Sequence[SelectionSummary]) -> str | None:
    """The competing label with the largest mean test accuracy, the first one of equals."""
    means = {row.label: row.test_accuracy.value for row in rows if row.role == "selector"}
    known = {label: mean for label, mean in means.items() if mean is not None}
    return max(known, key=lambda label: known[label]) if known else None


def pairs(trials: Run) -> list[PairSummary]:
    """Every label against every later one."""
    return [pair(trials, first, second) for first, second in itertools.combinations(trials.labels, 2)]


def pair(trials: Run, first: str, second: str) -> PairSummary:
    """One label against another."""
    paired = paired_difference(
        trials.values(first, lambda result: result.test_accuracy),
        trials.values(second, lambda result: result.test_accuracy),
    )
    return PairSummary(first, second, paired.difference, paired.p_value)


def agreements(trials: Run) -> list[AgreementSummary]:
    """One row a label, oracle and statistic, where anything was scored against a table."""
    return [
        _agreement_of(trials, label, oracle, statistic)
        for label in trials.labels
        for oracle in ORACLES
        for statistic in STATISTICS
        if any(_truth(result, 0, oracle) for result in trials.results(label).values())
    ]


def _agreement_of(trials: Run, label: str, oracle: str, statistic: str) -> AgreementSummary:
    measured = [_agreement_at(result, 0, oracle, statistic) for result in trials.results(label).values()]
    return AgreementSummary(
        label=label,
        oracle=oracle,
        statistic=statistic,
        agreement=mean_interval(mean.value for mean in measured),
        edges=sum(mean.edges for mean in measured),
        undefined_edges=sum(mean.undefined for mean in measured),
        dropped_pairs=sum(mean.dropped for mean in measured),
    )


def along_the_steps(trials: Run) -> list[StepSummary]:
    """One row a label and step, where anything was scored against a table."""
    rows = []
    for label in trials.labels:
        by_seed = agreement_by_seed(trials, label)
        for step in range(max(map(len, by_seed.values()), default=0)):
            values = [values[step] for values in by_seed.values() if step < len(values)]
            rows.append(StepSummary(label, step + 1, mean_interval(values)))
    return rows


def agreement_by_seed(trials: Run, label: str) -> dict[int, list[float | None]]:
    """Spearman with best-acc, mean over the open edges, at every step of every seed that has a table."""
    return {
        seed: [_agreement_at(result, number, "best-acc", "spearman").value for number in range(len(result.steps))]
        for seed, result in trials.results(label).items()
        if _truth(result, 0, "best-acc")
    }


def first_agreement_by_seed(trials: Run, label: str) -> dict[int, float | None]:
    """The same at the first step alone."""
    return {
        seed: _agreement_at(result, 0, "best-acc", "spearman").value
        for seed, result in trials.results(label).items()
        if _truth(result, 0, "best-acc")
    }


def _agreement_at(result: Result, number: int, oracle: str, statistic: str) -> EdgeMean:
    """How the scores of a step agree with an oracle's, mean over the open edges."""
    return _edge_mean(open_scores(result.steps, number), _truth(result, number, oracle), STATISTICS[statistic])


def open_scores(steps: Sequence[StepRecord], number: int) -> dict[int, list[float]]:
    """The scores of a step on edges that were not decided before it.

    Orders that rank all edges only once carry the first step's scores along; those of decided edges are left out.
    """
    decided = {step.edge for step in steps[:number]}
    return {edge: scores for edge, scores in steps[number].scores.items() if edge not in decided}


def correlations(trials: Run) -> list[CorrelationSummary]:
    """The first scores of the table's two oracles and of every competing selector, each pair of them once.

    A source without any first scores is left out.
    """
    sources = first_scores(trials)
    return [
        CorrelationSummary(first, second, _correlation_of(sources[first], sources[second]))
        for first, second in itertools.combinations(sources, 2)
    ]


def first_scores(trials: Run) -> dict[str, dict[int, dict[int, list[float]]]]:
    """Operation scores of the first step by source, seed and edge: first the table's oracles, then the selectors."""
    oracles = {
        f"{oracle} (test)": {
            result_seed: _truth(result, 0, oracle)
            for label in reversed(trials.labels)
            for result_seed, result in trials.results(label).items()
            if _truth(result, 0, oracle)
        }
        for oracle in ORACLES
    }
    selectors = {
        label: {seed: open_scores(result.steps, 0) for seed, result in trials.results(label).items() if result.steps}
        for label in trials.in_role("selector")
    }
    return {name: by_seed for name, by_seed in (oracles | selectors).items() if by_seed}


def _correlation_of(
    first: Mapping[int, Mapping[int, list[float]]], second: Mapping[int, Mapping[int, list[float]]]
) -> Mean:
    common = sorted(first.keys() & second.keys())
    return mean_interval(_edge_mean(first[seed], second[seed], mean_over_edges_spearman).value for seed in common)


def _truth(result: Result, number: int, oracle: str) -> dict[int, list[float]]:
    return result.steps[number].truth.get(oracle, {}) if number < len(result.steps) else {}


def _edge_mean(
    first: Mapping[int, list[float]], second: Mapping[int, list[float]], agreement: ScoreAgreement
) -> EdgeMean:
    edges = sorted(first.keys() & second.keys())
    return agreement([first[edge] for edge in edges], [second[edge] for edge in edges])


def typical_architectures(trials: Run) -> list[ArchitectureSummary]:
    """One row a label with a finished trial; of equally frequent architectures that of the smallest seed."""
    rows = []
    for label in trials.labels:
        results = list(trials.results(label).values())
        for architecture, times in Counter(result.architecture for result in results).most_common(1):
            test = next(result.test_accuracy for result in results if result.architecture == architecture)
            rows.append(ArchitectureSummary(label, architecture, times, len(results), test))
    return rows


def timings(trials: Run) -> list[TimingSummary]:
    """One row a label with a finished trial."""
    rows = []
    for label in trials.labels:
        costs = [record.cost for record in trials.records[label] if record.cost is not None and record.result]
        if costs:
            rows.append(_timing_of(label, costs, phases(trials)))
    return rows


def phases(trials: Run) -> tuple[str, ...]:
    """The phases of the costs, then any others that a plug-in's selector reports."""
    met = {name for record in trials.all if record.cost is not None for name in record.cost.seconds}
    return (*PHASES, *sorted(met - set(PHASES)))


def _timing_of(label: str, costs: Sequence[Cost], phase_names: Iterable[str]) -> TimingSummary:
    return TimingSummary(
        label=label,
        trials=len(costs),
        search=mean_interval(cost.search_seconds for cost in costs),
        phases={name: mean_interval(cost.seconds.get(name, 0.0) for cost in costs) for name in phase_names},
        evaluations=mean_interval(cost.evaluations for cost in costs),
        seconds_per_evaluation=mean_interval(_seconds_per_evaluation(cost) for cost in costs),
        peak_memory=mean_interval(cost.peak_memory_megabytes for cost in costs),
        devices=", ".join(sorted({cost.device for cost in costs})),
    )


def _seconds_per_evaluation(cost: Cost) -> float | None:
    evaluating = cost.seconds.get("scoring", 0.0) + cost.seconds.get("validation", 0.0)
    return evaluating / cost.evaluations if cost.evaluations else None
