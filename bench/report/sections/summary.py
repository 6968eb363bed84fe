"""The main table of a run, as a terminal shows it after `opselect run` and `opselect report`."""

from dataclasses import dataclass

from opselect.bench.report.formatting import interval, listing, number
from opselect.bench.report.render import Column, Table, role_blocks
from opselect.bench.report.sections.baseline import mean_accuracy
from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import Mean
from opselect.bench.summaries.costs import timings
from opselect.selectors.task import Role

MOST_MISSING = 3
"""How many labels the sentence about missing trials names."""


@dataclass(frozen=True)
class SummaryRow:
    """One selector.

    Attributes:
        label: Label of the selector.
        role: Whether it competes, or is what the others are compared with.
        finished: Number of finished trials.
        failed: Number of failed trials.
        missing: Number of trials that the experiment names and that have no record.
        test_accuracy: Test accuracy in percent, mean over seeds.
        search_seconds: Seconds of the search, the training of its supernet included, mean over seeds; None where no
            trial is finished.
    """

    label: str
    role: Role
    finished: int
    failed: int
    missing: int
    test_accuracy: Mean
    search_seconds: float | None


def summary_rows(run: Run) -> list[SummaryRow]:
    """One row per label, in the order of the report.

    Args:
        run: Records of a run.
    """
    seconds = {row.label: row.search.value for row in timings(run)}
    return [
        SummaryRow(
            label=label,
            role=run.role(label),
            finished=len(run.results(label)),
            failed=sum(record.result is None for record in run.records[label]),
            missing=len(run.missing.get(label, ())),
            test_accuracy=mean_accuracy(run, label),
            search_seconds=seconds.get(label),
        )
        for label in run.labels
    ]


def summary_table(run: Run) -> Table[SummaryRow]:
    """Accuracy with its interval and search time, one row per selector; random choices and oracles last.

    Args:
        run: Records of a run.
    """
    rows = summary_rows(run)
    return Table(
        name="summary",
        title="Selected architectures",
        columns=(
            Column("selector", show=_label, numeric=False, wraps=True),
            Column("n", show=_trials),
            Column(
                "test accuracy (%)",
                show=lambda row: number(row.test_accuracy.value),
                shown=any(row.test_accuracy.n for row in rows),
            ),
            Column(
                "95 % interval",
                show=lambda row: interval(row.test_accuracy),
                shown=any(row.test_accuracy.low is not None for row in rows),
            ),
            Column("search (s)", show=lambda row: number(row.search_seconds, 1)),
        ),
        blocks=role_blocks(run, rows),
        data=rows,
    )


def _label(row: SummaryRow) -> str:
    """The label, and the role of what does not compete, unless the label says it."""
    return row.label if row.role in ("selector", row.label) else f"{row.label} ({row.role})"


def _trials(row: SummaryRow) -> str:
    return f"{row.finished} ({row.failed} failed)" if row.failed else str(row.finished)


def missing_sentence(run: Run) -> str:
    """How many trials have no record, and of which selectors; empty where none is missing.

    Args:
        run: Records of a run.
    """
    if not run.missing:
        return ""
    count = sum(map(len, run.missing.values()))
    labels = list(run.missing)
    more = f" and {len(labels) - MOST_MISSING} more" if len(labels) > MOST_MISSING else ""
    return f"{count} of {count + len(run.all)} trials are missing ({listing(labels[:MOST_MISSING])}{more})"
