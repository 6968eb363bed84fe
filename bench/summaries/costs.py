"""Search costs of a run.

The report and the comparison with published numbers show these numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from opselect.bench.runs.records import Cost
from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import NOT_NEGATIVE, Mean, mean_interval

PHASES = ("supernet training", "scoring", "tuning", "validation", "observing")


@dataclass(frozen=True)
class TimingSummary:
    """Costs of one selector, over its finished trials.

    Attributes:
        label: Label of the selector.
        trials: Number of finished trials.
        search: Seconds of all phases but observing.
        phases: Seconds by phase.
        evaluations: Number of score evaluations.
        seconds_per_evaluation: Seconds of scoring and validation per evaluation.
        peak_memory: Peak memory in megabytes.
        devices: Devices on which the trials ran.
    """

    label: str
    trials: int
    search: Mean
    phases: Mapping[str, Mean]
    evaluations: Mean
    seconds_per_evaluation: Mean
    peak_memory: Mean
    devices: str


def timings(run: Run) -> list[TimingSummary]:
    """Search costs of every selector.

    Args:
        run: Records of a run.

    Returns:
        One summary per label with a finished trial.
    """
    rows = []
    for label, records in run.records.items():
        costs = [record.cost for record in records if record.cost is not None and record.result]
        if costs:
            rows.append(_timing_of(label, costs, phases(run)))
    return rows


def phases(run: Run) -> tuple[str, ...]:
    """Names of the phases in the records: the usual ones, then those that plug-ins report, sorted."""
    reported = {name for record in run.all if record.cost is not None for name in record.cost.seconds}
    return (*PHASES, *sorted(reported - set(PHASES)))


def _timing_of(label: str, costs: Sequence[Cost], phase_names: Iterable[str]) -> TimingSummary:
    return TimingSummary(
        label=label,
        trials=len(costs),
        search=mean_interval((cost.search_seconds for cost in costs), NOT_NEGATIVE),
        phases={
            name: mean_interval((cost.seconds.get(name, 0.0) for cost in costs), NOT_NEGATIVE) for name in phase_names
        },
        evaluations=mean_interval((cost.evaluations for cost in costs), NOT_NEGATIVE),
        seconds_per_evaluation=mean_interval((_seconds_per_evaluation(cost) for cost in costs), NOT_NEGATIVE),
        peak_memory=mean_interval((cost.peak_memory_megabytes for cost in costs), NOT_NEGATIVE),
        devices=", ".join(sorted({cost.device for cost in costs})),
    )


def _seconds_per_evaluation(cost: Cost) -> float | None:
    evaluating = cost.seconds.get("scoring", 0.0) + cost.seconds.get("validation", 0.0)
    return evaluating / cost.evaluations if cost.evaluations else None
