"""How operation scores agree with the table and with each other."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from opselect.bench.report.formatting import UNDEFINED, UNDEFINED_NOTE, interval, mean_and_deviation, number
from opselect.bench.report.render import SELECTOR, Block, Column, Figure, Table, role_blocks
from opselect.bench.report.sections.settings import supernet_size_notes
from opselect.bench.runs.records import Result, StepRecord
from opselect.bench.runs.run import ORACLES, TRUTHS, Run
from opselect.bench.statistics import EdgeMean, Mean, mean_interval, mean_over_edges_kendall, mean_over_edges_spearman

ScoreAgreement: TypeAlias = Callable[[Sequence[Sequence[float]], Sequence[Sequence[float]]], EdgeMean]
STATISTICS: Mapping[str, ScoreAgreement] = {"spearman": mean_over_edges_spearman, "kendall": mean_over_edges_kendall}


@dataclass(frozen=True)
class AgreementSummary:
    """How a selector's first operation scores agree with those of an oracle.

    Attributes:
        label: Label of the selector.
        oracle: `best-acc` or `avg-acc` from mean test accuracies, `best-acc-runs` from single trainings.
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
    """One row per label, oracle and statistic, where anything was scored against a table."""
    return [
        _agreement_of(run, label, oracle, statistic)
        for label in run.labels
        for oracle in TRUTHS
        for statistic in STATISTICS
        if any(_oracle_scores(result, 0, oracle) for result in run.results(label).values())
    ]


def _agreement_of(run: Run, label: str, oracle: str, statistic: str) -> AgreementSummary:
    measured = [_agreement_at(result, 0, oracle, statistic) for result in run.results(label).values()]
    return AgreementSummary(
        label=label,
        oracle=oracle,
        statistic=statistic,
        agreement=mean_interval(mean.value for mean in measured),
        edges=sum(mean.edges for mean in measured),
        undefined_edges=sum(mean.undefined for mean in measured),
        dropped_pairs=sum(mean.dropped for mean in measured),
    )


def _agreement_at(result: Result, step: int, oracle: str, statistic: str) -> EdgeMean:
    """How the scores of a step agree with an oracle's, mean over the open edges."""
    return _mean_over_edges(
        open_scores(result.steps, step), _oracle_scores(result, step, oracle), STATISTICS[statistic]
    )


def open_scores(steps: Sequence[StepRecord], step: int) -> dict[int, list[float]]:
    """The scores of a step on edges that were not decided before it.

    Orders that rank all edges only once carry the first step's scores along; those of decided edges are left out.
    """
    decided = {earlier.edge for earlier in steps[:step]}
    return {edge: scores for edge, scores in steps[step].scores.items() if edge not in decided}


def _oracle_scores(result: Result, step: int, oracle: str) -> dict[int, list[float]]:
    return result.steps[step].truth.get(oracle, {}) if step < len(result.steps) else {}


def _mean_over_edges(
    first: Mapping[int, list[float]], second: Mapping[int, list[float]], agreement: ScoreAgreement
) -> EdgeMean:
    edges = sorted(first.keys() & second.keys())
    return agreement([first[edge] for edge in edges], [second[edge] for edge in edges])


@dataclass(frozen=True)
class AgreementRow:
    """All agreements of one selector, by oracle and statistic."""

    label: str
    measures: dict[tuple[str, str], AgreementSummary]

    @property
    def first(self) -> AgreementSummary:
        """The first agreement, to which the counts of the table belong."""
        return next(iter(self.measures.values()))


def agreement_table(run: Run) -> Table[AgreementRow]:
    """How the first operation scores agree with the oracles'."""
    summaries = agreements(run)
    rows = [
        AgreementRow(label, {(row.oracle, row.statistic): row for row in group})
        for label, group in itertools.groupby(summaries, key=lambda row: row.label)
    ]
    measures = dict.fromkeys((row.oracle, row.statistic) for row in summaries)
    has_runs = any(oracle == "best-acc-runs" for oracle, _ in measures)
    return Table(
        name="agreement",
        title="Agreement of the first operation scores with the table",
        columns=(
            SELECTOR,
            *(_measure_column(oracle, statistic, _oracle_title(oracle, has_runs)) for oracle, statistic in measures),
            Column("95 % interval of the first", show=lambda row: interval(row.first.agreement), shown=bool(measures)),
            Column("n", show=lambda row: str(row.first.agreement.n), shown=bool(measures)),
            Column(
                "Edges used, undefined",
                show=lambda row: f"{row.first.edges}, {row.first.undefined_edges}",
                shown=bool(measures),
            ),
            Column("Dropped scores", show=lambda row: str(row.first.dropped_pairs), shown=bool(measures)),
        ),
        blocks=role_blocks(run, rows),
        notes=(
            "Nothing is decided yet. Rank correlation over the operations of each edge (average ranks), mean over "
            "edges, then mean ± sample standard deviation over the n seeds in which it is defined.",
            "best-acc and avg-acc: largest and mean test accuracy of all architectures in the table that have the "
            "operation on the edge. The oracles' own scores are the same from validation accuracies.",
            *(["best-acc of runs is the maximum over single trainings, as in the published code."] if has_runs else []),
            "Edges are summed over seeds; one is undefined where a column of scores is constant or has fewer than "
            "three finite pairs.",
            *supernet_size_notes(run),
            *_trace_notes(run),
        ),
        data=summaries,
    )


def _oracle_title(oracle: str, has_runs: bool) -> str:
    """The name of an oracle; best-acc says of what it is the maximum where both readings are there."""
    return (
        {"best-acc": "best-acc of means", "best-acc-runs": "best-acc of runs"}.get(oracle, oracle)
        if has_runs
        else oracle
    )


def _measure_column(oracle: str, statistic: str, title: str) -> Column[AgreementRow]:
    # Records from before best-acc of runs lack it.
    def agreement(row: AgreementRow) -> Mean | None:
        summary = row.measures.get((oracle, statistic))
        return None if summary is None else summary.agreement

    return Column(
        f"{title}, {statistic.capitalize()}",
        better="↑",
        show=lambda row: UNDEFINED if (mean := agreement(row)) is None else mean_and_deviation(mean),
        rank=lambda row: None if (mean := agreement(row)) is None else mean.value,
    )


def _trace_notes(run: Run) -> list[str]:
    if all(record.trial.observe for record in run.all):
        return []
    return ["Some trials scored only the edge to decide at each step (observe = false): they rest on that edge alone."]


@dataclass(frozen=True)
class StepSummary:
    """The mean over open edges of Spearman with best-acc at one step (counted from 1), mean over seeds."""

    label: str
    step: int
    agreement: Mean


def step_agreements(run: Run) -> list[StepSummary]:
    """One row per label and step, where anything was scored against a table."""
    rows = []
    for label in run.labels:
        by_seed = agreement_by_seed(run, label)
        for step in range(max(map(len, by_seed.values()), default=0)):
            values = [values[step] for values in by_seed.values() if step < len(values)]
            rows.append(StepSummary(label, step + 1, mean_interval(values)))
    return rows


def agreement_by_seed(run: Run, label: str) -> dict[int, list[float | None]]:
    """Spearman with best-acc, mean over the open edges, at every step of every seed that has a table."""
    return {
        seed: [_agreement_at(result, step, "best-acc", "spearman").value for step in range(len(result.steps))]
        for seed, result in _results_with_table(run, label)
    }


def first_agreement_by_seed(run: Run, label: str) -> dict[int, float | None]:
    """Spearman with best-acc, mean over the edges, at the first step of every seed that has a table."""
    return {
        seed: _agreement_at(result, 0, "best-acc", "spearman").value for seed, result in _results_with_table(run, label)
    }


def _results_with_table(run: Run, label: str) -> Iterator[tuple[int, Result]]:
    return (pair for pair in run.results(label).items() if _oracle_scores(pair[1], 0, "best-acc"))


@dataclass(frozen=True)
class StepRow:
    """The mean agreements of one selector by step, None where it is undefined."""

    label: str
    agreements: dict[int, float | None]


def steps_table(run: Run) -> Table[StepRow]:
    """How the agreement with best-acc changes while edges are decided."""
    summaries = step_agreements(run)
    rows = [
        StepRow(label, {row.step: row.agreement.value for row in group})
        for label, group in itertools.groupby(summaries, key=lambda row: row.label)
    ]
    return Table(
        name="steps",
        title="Agreement with best-acc along the selection",
        columns=(SELECTOR, *(_step_column(step) for step in sorted({row.step for row in summaries}))),
        blocks=role_blocks(run, rows),
        notes=(
            "Spearman with best-acc given the decisions so far, mean over the edges still open, mean over seeds.",
            "Edges that were decided before a step are not in it, so the last step rests on one edge. "
            + UNDEFINED_NOTE,
            *supernet_size_notes(run),
            *_trace_notes(run),
        ),
        data=summaries,
    )


def _step_column(step: int) -> Column[StepRow]:
    return Column(f"Step {step}", better="↑", show=lambda row: number(row.agreements.get(step)))


@dataclass(frozen=True)
class CorrelationSummary:
    """How the first operation scores of two sources agree: Spearman, mean over edges, then over common seeds."""

    first: str
    second: str
    agreement: Mean


def correlations(run: Run) -> list[CorrelationSummary]:
    """The first scores of the table's two oracles and of every competing selector, each pair of them once.

    A source without any first scores is left out.
    """
    sources = first_scores(run)
    return [
        CorrelationSummary(first, second, _correlation_of(sources[first], sources[second]))
        for first, second in itertools.combinations(sources, 2)
    ]


def first_scores(run: Run) -> dict[str, dict[int, dict[int, list[float]]]]:
    """Operation scores of the first step by source, seed and edge: first the table's oracles, then the selectors."""
    oracles = {
        f"{oracle} (test)": {
            seed: _oracle_scores(result, 0, oracle)
            for label in reversed(run.labels)
            for seed, result in run.results(label).items()
            if _oracle_scores(result, 0, oracle)
        }
        for oracle in ORACLES
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
    return mean_interval(_mean_over_edges(first[seed], second[seed], mean_over_edges_spearman).value for seed in seeds)


@dataclass(frozen=True)
class CorrelationRow:
    """The correlations of one source with those that come before it."""

    label: str
    with_earlier: dict[str, float | None]


def correlations_table(run: Run) -> Table[CorrelationRow]:
    """How the first operation scores of every two methods agree."""
    summaries = correlations(run)
    sources = list(first_scores(run))
    rows = [
        CorrelationRow(source, {row.first: row.agreement.value for row in summaries if row.second == source})
        for source in sources[1:]
    ]
    return Table(
        name="correlations",
        title="Rank correlations between first operation scores",
        columns=(
            Column("", show=lambda row: row.label, numeric=False),
            *(_correlation_column(source) for source in sources[:-1]),
        ),
        blocks=[Block("", rows)],
        notes=(
            "Spearman over the operations of each edge, mean over edges, mean over common seeds; nothing is "
            "decided yet. best-acc (test) and avg-acc (test) come from the table's test accuracies.",
            *supernet_size_notes(run),
            *_trace_notes(run),
        ),
        data=summaries,
    )


def _correlation_column(source: str) -> Column[CorrelationRow]:
    return Column(source, show=lambda row: number(row.with_earlier[source]) if source in row.with_earlier else "")


def figures(run: Run) -> tuple[Figure, ...]:
    """The figures of correlations and of agreement along the selection."""
    return (
        Figure(
            "correlations",
            "Spearman between operation scores before anything is decided, mean over edges, then over seeds.",
            shown=len(first_scores(run)) > 1,
        ),
        Figure(
            "steps",
            "Spearman with best-acc over the open edges at every step: a thin line a seed, the mean bold.",
            shown=any(_oracle_scores(result, 0, "best-acc") for result in run.all_results),
        ),
    )
