"""Every trial: what it selected and how good that is, or why it failed."""

from dataclasses import dataclass
from typing import Literal

from opselect.bench.report.formatting import UNDEFINED, number
from opselect.bench.report.render import SELECTOR, Block, Column, Table, has_table
from opselect.bench.runs.records import Record
from opselect.bench.runs.run import Run


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
                priority=2,
            ),
            Column(
                "Validation accuracy",
                "%",
                "↑",
                show=lambda row: number(row.valid_accuracy),
                shown=has_table(run),
                key="valid_accuracy",
                short="Val. acc.",
            ),
            Column("Test accuracy", "%", "↑", show=lambda row: number(row.test_accuracy), short="Test acc."),
            Column("Regret", "pp", "↓", show=lambda row: number(row.regret), shown=has_table(run)),
            Column(
                "Percentile", "%", "↑", show=lambda row: number(row.percentile, 1), shown=has_table(run), short="Pct."
            ),
            Column(
                "Proposals / distinct",
                show=lambda row: f"{row.candidates} / {row.distinct_candidates}" if row.candidates else UNDEFINED,
                key="candidates",
                priority=3,
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
