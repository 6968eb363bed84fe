"""What the searches cost: times, evaluations and memory, which may differ between two runs."""

from opselect.bench.report.formatting import mean_and_deviation, means_over, number
from opselect.bench.report.render import SELECTOR, Column, Figure, Table, role_blocks
from opselect.bench.runs.run import Run
from opselect.bench.summaries.costs import TimingSummary, phases, timings


def timing_table(run: Run) -> Table[TimingSummary]:
    """What the searches cost, one row per selector."""
    rows = timings(run)
    return Table(
        name="timing",
        title="Search cost",
        columns=(
            SELECTOR,
            Column("Trials", show=lambda row: str(row.trials), priority=4),
            Column(
                "Search time",
                "s",
                "↓",
                show=lambda row: mean_and_deviation(row.search),
                key="search",
            ),
            *(_phase_column(phase) for phase in phases(run)),
            Column("Evaluations", show=lambda row: number(row.evaluations.value, 0), short="Eval.", priority=2),
            Column(
                "Time per evaluation",
                "ms",
                "↓",
                show=_milliseconds_per_evaluation,
                key="seconds_per_evaluation",
                short="Time per eval.",
                priority=2,
            ),
            Column("Peak memory", "MB", "↓", show=lambda row: number(row.peak_memory.value, 0), priority=2),
            Column("Device", show=lambda row: row.devices, numeric=False, key="devices", priority=4),
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
        legend=means_over((row.search.n for row in rows), "finished trials"),
    )


def _phase_column(phase: str) -> Column[TimingSummary]:
    return Column(
        phase.capitalize(),
        "s",
        show=lambda row: number(row.phases[phase].value),
        key=f"phases_{phase.replace(' ', '_')}",
        priority=3,
    )


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
