"""What the searches cost: times, evaluations and memory, which may differ between two runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from opselect.bench.report.formatting import listing, mean_and_deviation, number
from opselect.bench.report.render import SELECTOR, Column, Figure, Table, role_blocks
from opselect.bench.runs.records import Cost
from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import Mean
from opselect.bench.statistics.t_intervals import t_interval as mean_interval

SECONDS_A_DAY = 86_400
PHASES = ("supernet training", "scoring", "tuning", "validation", "observing")


@dataclass(frozen=True)
class TimingSummary:
    """What one selector cost, over its finished trials.

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
    """One row per label with a finished trial."""
    rows = []
    for label, records in run.records.items():
        costs = [record.cost for record in records if record.cost is not None and record.result]
        if costs:
            rows.append(_timing_of(label, costs, phases(run)))
    return rows


def phases(run: Run) -> tuple[str, ...]:
    """The phases of the costs, then any others that a plug-in's selector reports."""
    reported = {name for record in run.all if record.cost is not None for name in record.cost.seconds}
    return (*PHASES, *sorted(reported - set(PHASES)))


def _timing_of(label: str, costs: Sequence[Cost], phase_names: Iterable[str]) -> TimingSummary:
    return TimingSummary(
        label=label,
        trials=len(costs),
        search=mean_interval(cost.search_seconds for cost in costs),
        phases={name: mean_interval(cost.seconds.get(name, 0.0) for cost in costs) for name in phase_names},
        evaluations=mean_interval(cost.evaluations for cost in costs),
        seconds_per_evaluation=mean_interval(_seconds_per_evaluation(cost) for cost in costs),
        peak_memory=mean_interval(cost.peak_memory_megabytes for cost in costs),
        devices=listing(sorted({cost.device for cost in costs})),
    )


def _seconds_per_evaluation(cost: Cost) -> float | None:
    evaluating = cost.seconds.get("scoring", 0.0) + cost.seconds.get("validation", 0.0)
    return evaluating / cost.evaluations if cost.evaluations else None


def timing_table(run: Run) -> Table[TimingSummary]:
    """What the searches cost, one row per selector."""
    rows = timings(run)
    return Table(
        name="timing",
        title="Search cost",
        columns=(
            SELECTOR,
            Column("Trials", show=lambda row: str(row.trials)),
            Column("Search time", "s", "↓", show=lambda row: mean_and_deviation(row.search)),
            *(_phase_column(phase) for phase in phases(run)),
            Column("Evaluations", show=lambda row: number(row.evaluations.value, 0)),
            Column("Time per evaluation", "ms", "↓", show=_milliseconds_per_evaluation),
            Column("Peak memory", "MB", "↓", show=lambda row: number(row.peak_memory.value, 0)),
            Column("Device", show=lambda row: row.devices, numeric=False),
        ),
        blocks=role_blocks(run, rows),
        notes=(
            "Wall seconds, mean over finished trials, ± sample standard deviation. Search time is the sum of the "
            "phases without observing, which only the report asks for.",
            "Supernet training is charged in full to every trial that used the supernet, also where trials share one.",
            "An evaluation is one score of one operation, or one batch of a proposal's validation; its time is "
            "that of scoring and validation. Training of the selected architecture is not counted.",
            "Peak memory is the largest that the trial's process ever held, so earlier trials of that process count.",
        ),
        data=rows,
    )


def _phase_column(phase: str) -> Column[TimingSummary]:
    return Column(phase.capitalize(), "s", show=lambda row: number(row.phases[phase].value))


def _milliseconds_per_evaluation(row: TimingSummary) -> str:
    seconds = row.seconds_per_evaluation.value
    return number(None if seconds is None else 1000 * seconds)


def figures(run: Run) -> tuple[Figure, ...]:
    """The figure of test accuracy against search time."""
    return (
        Figure(
            "accuracy_against_time",
            "Test accuracy against search time: a point a trial. Random choice and oracles search nothing: lines.",
            shown=bool(timings(run)) and any(result.test_accuracy is not None for result in run.all_results),
        ),
    )
