"""How operation scores agree with the table and with each other."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from opselect.bench.report.formatting import (
    UNDEFINED,
    UNDEFINED_NOTE,
    interval,
    mean_and_deviation,
    means_over,
    number,
)
from opselect.bench.report.render import SELECTOR, Block, Column, Figure, Table, role_blocks
from opselect.bench.report.sections.settings import supernet_size_notes
from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import Mean
from opselect.bench.summaries.agreement import (
    AgreementSummary,
    agreements,
    correlations,
    first_scores,
    oracle_scores,
    step_agreements,
)


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
            Column(
                "95 % interval of the first",
                show=lambda row: interval(row.first.agreement),
                shown=any(row.agreement.low is not None for row in summaries),
                key="agreement_interval",
                priority=2,
                legend="95 % bootstrap-t interval of the first measure's mean",
            ),
            Column(
                "n",
                show=lambda row: str(row.first.agreement.n),
                shown=bool(measures),
                key="agreement_n",
                priority=3,
                legend="n: number of seeds",
            ),
            Column(
                "Edges used, undefined",
                show=lambda row: f"{row.first.edges}, {row.first.undefined_edges}",
                shown=bool(measures),
                key="edges",
                priority=4,
            ),
            Column(
                "Dropped scores",
                show=lambda row: str(row.first.dropped_pairs),
                shown=bool(measures),
                key="dropped_pairs",
                priority=5,
            ),
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
        legend=_correlations_over("rank correlation", (row.agreement for row in summaries)),
    )


def _correlations_over(statistic: str, agreements: Iterable[Mean], of: str = "seeds") -> str:
    """What the correlations of a table are, for its caption."""
    means = means_over((mean.n for mean in agreements), of)
    return f"{statistic} over the operations of an edge, mean over open edges, {means}" if means else ""


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
        key=f"{oracle}_{statistic}",
        priority=2 if statistic == "kendall" else 1,
    )


def _trace_notes(run: Run) -> list[str]:
    if all(record.trial.observe for record in run.all):
        return []
    return ["Some trials scored only the edge to decide at each step (observe = false): they rest on that edge alone."]


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
        legend=_correlations_over("Spearman", (row.agreement for row in summaries)),
    )


def _step_column(step: int) -> Column[StepRow]:
    return Column(f"Step {step}", better="↑", show=lambda row: number(row.agreements.get(step)))


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
            Column("", show=lambda row: row.label, numeric=False, key="second"),
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
        legend=_correlations_over("Spearman", (row.agreement for row in summaries), "common seeds"),
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
            shown=any(oracle_scores(result, 0, "best-acc") for result in run.all_results),
        ),
    )
