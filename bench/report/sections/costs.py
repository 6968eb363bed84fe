"""What was searched and trained, and what it cost; times, which may differ between two runs, in tables of their own."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opselect.bench.report.formatting import UNDEFINED, mean_and_deviation, means_over, number
from opselect.bench.report.render import SELECTOR, Column, Figure, Table, has_table, role_blocks
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


@dataclass(frozen=True)
class SearchSummary:
    """How many searches of one selector were run, what each proposed, and what was trained.

    Attributes:
        label: Label of the selector.
        searches: Number of searches, one per seed, failed ones included.
        failed: Number of failed ones.
        fewest_candidates: Least number of architectures that a search proposed; None where none finished.
        most_candidates: Largest number of them.
        picked_by: By what one of them was picked.
        selected: Number of different architectures that were selected.
        trained: Number of these that were trained from scratch.
        trainings: Number of their finished trainings.
    """

    label: str
    searches: int
    failed: int
    fewest_candidates: int | None
    most_candidates: int | None
    picked_by: str
    selected: int
    trained: int
    trainings: int


def searches(run: Run) -> list[SearchSummary]:
    """One row per label with a record."""
    return [_searches_of(run, label) for label in run.labels if run.records[label]]


def _searches_of(run: Run, label: str) -> SearchSummary:
    records, results = run.records[label], list(run.results(label).values())
    # A method that makes one proposal need not record it as a candidate.
    proposals = [max(1, len(result.candidates)) for result in results]
    scored = any(score is not None for result in results for _, score in result.candidates)
    if max(proposals, default=1) == 1:
        picked_by = "only one"
    else:
        picked_by = "highest validation score" if scored else "all were equal"
    trainings = {result.architecture: run.trainings(result) for result in results}
    return SearchSummary(
        label=label,
        searches=len(records),
        failed=len(records) - len(results),
        fewest_candidates=min(proposals, default=None),
        most_candidates=max(proposals, default=None),
        picked_by=picked_by if results else "",
        selected=len(trainings),
        trained=sum(bool(finished) for finished in trainings.values()),
        trainings=sum(map(len, trainings.values())),
    )


def searches_table(run: Run) -> Table[SearchSummary]:
    """How many searches were run and networks trained, and by what one was picked; one row per selector."""
    rows = searches(run)
    return Table(
        name="searches",
        title="What was searched, trained and picked",
        columns=(
            SELECTOR,
            Column(
                "Searches",
                show=lambda row: f"{row.searches} ({row.failed} failed)" if row.failed else str(row.searches),
                legend="searches: one per seed",
            ),
            Column("Candidates per search", show=_candidates_text, key="most_candidates", short="Candidates"),
            Column("Picked by", show=lambda row: row.picked_by, numeric=False),
            Column("Architectures selected", show=lambda row: str(row.selected), key="selected", short="Selected"),
            Column("Networks trained", show=lambda row: str(row.trained), key="trained", short="Trained"),
            Column("Trainings", show=lambda row: str(row.trainings), shown=any(row.trainings for row in rows)),
        ),
        blocks=role_blocks(run, rows),
        notes=(
            "All finished searches are reported, one per seed: means and medians are over all of them, and none was "
            "picked from the others, as the best of k searches by validation would be.",
            "Candidates: architectures that one search proposes; of several it selects one itself, without the table.",
            _training_note(run),
        ),
        data=rows,
    )


def _candidates_text(row: SearchSummary) -> str:
    if row.fewest_candidates == row.most_candidates:
        return UNDEFINED if row.fewest_candidates is None else str(row.fewest_candidates)
    return f"{row.fewest_candidates} to {row.most_candidates}"


def _training_note(run: Run) -> str:
    if run.training_records:
        return "Networks trained: selected architectures with a finished training from scratch; equal ones are shared."
    if has_table(run):
        return "No network was trained in the end: accuracies are those of a table."
    return "No selected network was trained, and there is no table of accuracies."


@dataclass(frozen=True)
class TotalCost:
    """What all searches of one selector cost, with the training of what they selected.

    Attributes:
        label: Label of the selector.
        searches: Number of finished searches, k.
        search_seconds: Mean seconds of a search without validation of its candidates.
        validation_seconds: Mean seconds of this validation.
        selected: Number of different architectures that were selected.
        trained: Number of these that were trained from scratch.
        training_seconds: Seconds of all their finished trainings; None where nothing was trained.
        total_seconds: Seconds of all searches and trainings.
    """

    label: str
    searches: int
    search_seconds: float
    validation_seconds: float
    selected: int
    trained: int
    training_seconds: float | None
    total_seconds: float


def total_costs(run: Run) -> list[TotalCost]:
    """One row per label with a finished trial."""
    rows = []
    for label in run.labels:
        costs = [record.cost for record in run.records[label] if record.cost is not None and record.result is not None]
        if not costs:
            continue
        validation = math.fsum(cost.seconds.get("validation", 0.0) for cost in costs)
        searching = math.fsum(cost.search_seconds for cost in costs)
        trainings = {result.architecture: run.trainings(result) for result in run.results(label).values()}
        seconds = [training.seconds for finished in trainings.values() for training in finished]
        rows.append(
            TotalCost(
                label=label,
                searches=len(costs),
                search_seconds=(searching - validation) / len(costs),
                validation_seconds=validation / len(costs),
                selected=len(trainings),
                trained=sum(bool(finished) for finished in trainings.values()),
                training_seconds=math.fsum(seconds) if seconds else None,
                total_seconds=searching + math.fsum(seconds),
            )
        )
    return rows


def total_cost_table(run: Run) -> Table[TotalCost]:
    """The cost of the whole protocol, one row per selector: k searches with their validation, and final training."""
    rows = total_costs(run)
    return Table(
        name="total-cost",
        title="Total cost: k (search + validation) + final training",
        columns=(
            SELECTOR,
            Column("k", show=lambda row: str(row.searches), key="searches", legend="k: finished searches"),
            Column("Search", "s", show=lambda row: number(row.search_seconds), key="search_seconds"),
            Column("Validation", "s", show=lambda row: number(row.validation_seconds), key="validation_seconds"),
            Column(
                "Networks trained", show=lambda row: f"{row.trained} of {row.selected}", key="trained", short="Trained"
            ),
            Column("Final training", "s", show=_training_text, key="training_seconds"),
            Column("Total", "s", "↓", show=lambda row: number(row.total_seconds, 1), key="total_seconds"),
        ),
        blocks=role_blocks(run, rows),
        notes=tuple(_total_cost_notes(run, rows)),
        data=rows,
    )


def _training_text(row: TotalCost) -> str:
    return "not done" if row.training_seconds is None else number(row.training_seconds, 1)


def _total_cost_notes(run: Run, rows: Sequence[TotalCost]) -> Iterator[str]:
    yield (
        "k: finished searches, all of which are reported. Search and validation of candidates: wall seconds, mean over "
        "them; supernet training is in every search, also where searches share one."
    )
    if any(record.cost is None for record in run.all):
        yield "The time of failed trials is not recorded and not in the total."
    trained = [row for row in rows if row.training_seconds is not None]
    if trained:
        yield (
            "Final training: all finished trainings of the selected networks; one that several selectors selected is "
            "in the total of each, though it was trained once."
        )
    if any(row.trained < row.selected for row in trained):
        yield "Where not all selected networks are trained, the total lacks the missing ones."
    if len(trained) < len(rows):
        untrained = "Where final training was not done, the total is that of the searches alone"
        seconds = run.population.training_seconds if run.population else None
        if seconds:
            yield (f"{untrained}; by the table, one training takes {number(seconds, 1)} s on the machine that made it.")
        elif has_table(run):
            yield f"{untrained}: accuracies are those of a table."
        else:
            yield f"{untrained}."


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
