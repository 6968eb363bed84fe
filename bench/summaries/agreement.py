"""How the operation scores of a run agree with those of the table's oracles, and with each other.

The report, the gate and the comparison with published numbers show these numbers.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from opselect.bench.runs.records import TRUTHS, Result, StepRecord
from opselect.bench.runs.run import Run
from opselect.bench.statistics.correlations import EdgeMean, mean_over_edges_kendall, mean_over_edges_spearman
from opselect.bench.statistics.estimates import CORRELATION, Mean, mean_interval

ScoreAgreement: TypeAlias = Callable[[Sequence[Sequence[float]], Sequence[Sequence[float]]], EdgeMean]
STATISTICS: Mapping[str, ScoreAgreement] = {"spearman": mean_over_edges_spearman, "kendall": mean_over_edges_kendall}


@dataclass(frozen=True)
class AgreementSummary:
    """How a selector's first operation scores agree with those of an oracle.

    Attributes:
        label: Label of the selector.
        oracle: `best-acc` or `avg-acc`, from test accuracies.
        statistic: `spearman` or `kendall`.
        agreement: Mean over seeds of the mean over edges.
        edges: Number of edges in which it is defined, summed over seeds.
        undefined_edges: Number of edges left out, summed over seeds.
        dropped_pairs: Number of pairs of scores left out because one was not finite, summed over seeds.
    """

    label: str
    oracle: str
    statistic: str
    agreement: Mean
    edges: int
    undefined_edges: int
    dropped_pairs: int


def agreements(run: Run) -> list[AgreementSummary]:
    """Agreement of the first operation scores with those of the oracles.

    Args:
        run: Records of a run.

    Returns:
        One summary per label, oracle and statistic, for labels whose records have an oracle's scores.
    """
    return [
        _agreement_of(run, label, oracle, statistic)
        for label in run.labels
        for oracle in TRUTHS
        for statistic in STATISTICS
        if any(oracle_scores(result, 0, oracle) for result in run.results(label).values())
    ]


def _agreement_of(run: Run, label: str, oracle: str, statistic: str) -> AgreementSummary:
    measured = [_agreement_at(result, 0, oracle, statistic) for result in run.results(label).values()]
    return AgreementSummary(
        label=label,
        oracle=oracle,
        statistic=statistic,
        agreement=mean_interval((mean.value for mean in measured), CORRELATION),
        edges=sum(mean.edges for mean in measured),
        undefined_edges=sum(mean.undefined for mean in measured),
        dropped_pairs=sum(mean.dropped for mean in measured),
    )


def _agreement_at(result: Result, step: int, oracle: str, statistic: str) -> EdgeMean:
    """Agreement of the scores of a step with an oracle's, mean over the open edges."""
    return _mean_over_edges(open_scores(result.steps, step), oracle_scores(result, step, oracle), STATISTICS[statistic])


def open_scores(steps: Sequence[StepRecord], step: int) -> dict[int, list[float]]:
    """Scores of a step on the edges that were not decided before it.

    Orders that rank all edges only once carry the first step's scores along; those of decided edges are left out.

    Args:
        steps: Steps of a selection, in their order.
        step: Index of the step, from 0.

    Returns:
        One score per operation, by edge number.
    """
    decided = {earlier.edge for earlier in steps[:step]}
    return {edge: scores for edge, scores in steps[step].scores.items() if edge not in decided}


def oracle_scores(result: Result, step: int, oracle: str) -> dict[int, list[float]]:
    """Scores of an oracle at a step, from test accuracies.

    Args:
        result: Result of a trial.
        step: Index of the step, from 0.
        oracle: `best-acc` or `avg-acc`.

    Returns:
        One score per operation, by edge number; empty without a table or such a step.
    """
    return result.steps[step].truth.get(oracle, {}) if step < len(result.steps) else {}


def _mean_over_edges(
    first: Mapping[int, list[float]], second: Mapping[int, list[float]], agreement: ScoreAgreement
) -> EdgeMean:
    edges = sorted(first.keys() & second.keys())
    return agreement([first[edge] for edge in edges], [second[edge] for edge in edges])


@dataclass(frozen=True)
class StepSummary:
    """Agreement with best-acc at one step of a selection.

    Attributes:
        label: Label of the selector.
        step: Number of the step, from 1.
        agreement: Mean over seeds of Spearman's correlation, which is a mean over open edges.
    """

    label: str
    step: int
    agreement: Mean


def step_agreements(run: Run) -> list[StepSummary]:
    """Agreement with best-acc along the selection.

    Args:
        run: Records of a run.

    Returns:
        One summary per label and step, for labels whose records have an oracle's scores.
    """
    rows = []
    for label in run.labels:
        by_seed = agreement_by_seed(run, label)
        for step in range(max(map(len, by_seed.values()), default=0)):
            values = [values[step] for values in by_seed.values() if step < len(values)]
            rows.append(StepSummary(label, step + 1, mean_interval(values, CORRELATION)))
    return rows


def agreement_by_seed(run: Run, label: str) -> dict[int, list[float | None]]:
    """Spearman's correlation with best-acc at every step, mean over the open edges.

    Args:
        run: Records of a run.
        label: Label of the selector.

    Returns:
        One value per step, by seed, for seeds with an oracle's scores; None where it is undefined.
    """
    return {
        seed: [_agreement_at(result, step, "best-acc", "spearman").value for step in range(len(result.steps))]
        for seed, result in _results_with_table(run, label)
    }


def first_agreement_by_seed(run: Run, label: str) -> dict[int, float | None]:
    """Spearman's correlation with best-acc at the first step, mean over the edges.

    Args:
        run: Records of a run.
        label: Label of the selector.

    Returns:
        The value by seed, for seeds with an oracle's scores; None where it is undefined.
    """
    return {
        seed: _agreement_at(result, 0, "best-acc", "spearman").value for seed, result in _results_with_table(run, label)
    }


def _results_with_table(run: Run, label: str) -> Iterator[tuple[int, Result]]:
    return (pair for pair in run.results(label).items() if oracle_scores(pair[1], 0, "best-acc"))


@dataclass(frozen=True)
class CorrelationSummary:
    """Agreement of the first operation scores of two sources.

    Attributes:
        first: Label of a selector, or name of an oracle.
        second: Label of another selector, or name of another oracle.
        agreement: Mean over common seeds of Spearman's correlation, which is a mean over edges.
    """

    first: str
    second: str
    agreement: Mean


def correlations(run: Run) -> list[CorrelationSummary]:
    """Agreement of the first scores of the table's two oracles and of every competing selector.

    Args:
        run: Records of a run.

    Returns:
        One summary per pair of sources; a source without first scores is left out.
    """
    sources = first_scores(run)
    return [
        CorrelationSummary(first, second, _correlation_of(sources[first], sources[second]))
        for first, second in itertools.combinations(sources, 2)
    ]


def first_scores(run: Run) -> dict[str, dict[int, dict[int, list[float]]]]:
    """Operation scores of the first step.

    Args:
        run: Records of a run.

    Returns:
        One score per operation, by source, seed and edge number; the table's oracles come before the selectors.
    """
    oracles = {
        f"{oracle} (test)": {
            seed: oracle_scores(result, 0, oracle)
            for label in reversed(run.labels)
            for seed, result in run.results(label).items()
            if oracle_scores(result, 0, oracle)
        }
        for oracle in TRUTHS
    }
    selectors = {
        label: {seed: open_scores(result.steps, 0) for seed, result in run.results(label).items() if result.steps}
        for label in run.in_role("selector")
    }
    return {name: by_seed for name, by_seed in (oracles | selectors).items() if by_seed}


def _correlation_of(
    first: Mapping[int, Mapping[int, list[float]]], second: Mapping[int, Mapping[int, list[float]]]
) -> Mean:
    seeds = sorted(first.keys() & second.keys())
    return mean_interval(
        (_mean_over_edges(first[seed], second[seed], mean_over_edges_spearman).value for seed in seeds), CORRELATION
    )
