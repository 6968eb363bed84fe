"""What random choice and random search reach on the table, exactly, from all its architectures."""

from dataclasses import dataclass

from opselect.bench.report.formatting import UNDEFINED, mean_and_deviation, number
from opselect.bench.report.render import SELECTOR, Column, Table, role_blocks
from opselect.bench.runs.run import Run
from opselect.bench.statistics.baseline import Baseline, chance_to_reach, random_choice, random_search
from opselect.bench.statistics.estimates import NOT_NEGATIVE, PERCENT, Mean, mean_interval


@dataclass(frozen=True)
class BaselineSummary:
    """One selector against chance.

    Attributes:
        label: Label of the selector.
        test_accuracy: Test accuracy of the selected architectures in percent.
        above_random: Mean minus the expectation of a random choice, percentage points.
        chance: Chance that the mean of as many random architectures is at least as high.
        search_seconds: Seconds of a search.
        equal_draws: Number of architectures that could have been trained in that time, at least 1; None where the table
            does not say how long a training takes.
        random_search: Expected test accuracy of the best of so many random architectures by validation accuracy; None
            where the table has no validation accuracies either.
    """

    label: str
    test_accuracy: Mean
    above_random: float | None
    chance: float | None
    search_seconds: Mean
    equal_draws: int | None
    random_search: float | None


def random_expectation(run: Run) -> Baseline | None:
    """The exact distribution of a random choice; None without the table."""
    return None if run.population is None else random_choice(run.population.test)


def baselines(run: Run) -> list[BaselineSummary]:
    """One row per label with an accuracy, where the table is here."""
    expected = random_expectation(run)
    if expected is None or run.population is None:
        return []
    rows = []
    for label in run.labels:
        accuracy = mean_interval((result.test_accuracy for result in run.results(label).values()), PERCENT)
        if accuracy.value is None:
            continue
        seconds = mean_interval(
            (record.cost.search_seconds for record in run.records[label] if record.cost), NOT_NEGATIVE
        )
        draws = _equal_draws(run, seconds)
        valid = run.population.valid
        search = None if draws is None or valid is None else random_search(valid, run.population.test, draws)
        rows.append(
            BaselineSummary(
                label=label,
                test_accuracy=accuracy,
                above_random=accuracy.value - expected.mean,
                chance=chance_to_reach(run.population.test, accuracy.value, accuracy.n),
                search_seconds=seconds,
                equal_draws=draws,
                random_search=None if search is None else search.mean,
            )
        )
    return rows


def _equal_draws(run: Run, seconds: Mean) -> int | None:
    training = run.population.training_seconds if run.population else None
    return None if not training or seconds.value is None else max(1, int(seconds.value / training))


def chance_table(run: Run) -> Table[BaselineSummary]:
    """Every selector against the exact expectation of a random choice over the table."""
    rows = baselines(run)
    return Table(
        name="chance",
        title="Against random choice",
        columns=(
            SELECTOR,
            Column("Test accuracy", "%", "↑", show=lambda row: mean_and_deviation(row.test_accuracy)),
            Column("above random choice", "pp", "↑", show=lambda row: number(row.above_random)),
            Column("n", show=lambda row: str(row.test_accuracy.n)),
            Column("Chance that n random draws reach it", show=lambda row: _chance_text(row.chance)),
        ),
        blocks=role_blocks(run, rows),
        notes=tuple(_notes(run)),
        data=[row for row in rows if row.chance is not None],
        optional=True,
    )


def budget_table(run: Run) -> Table[BaselineSummary]:
    """Random search with the time of every selector; times differ between machines."""
    rows = [row for row in baselines(run) if row.equal_draws is not None and run.role(row.label) == "selector"]
    training = run.population.training_seconds if run.population else None
    return Table(
        name="random-search",
        title="Random search in the same time",
        columns=(
            SELECTOR,
            Column("Search", "s", "↓", show=lambda row: number(row.search_seconds.value, 1)),
            Column("Test accuracy", "%", "↑", show=lambda row: mean_and_deviation(row.test_accuracy)),
            Column("Trainings in the same time", show=lambda row: str(row.equal_draws)),
            Column("Random search", "%", "↑", show=lambda row: number(row.random_search)),
        ),
        blocks=role_blocks(run, rows),
        notes=(
            "Random search: expected test accuracy of the best of so many random architectures by validation "
            "accuracy, "
            f"exact over the table. A training takes {number(training, 1)} s by the table, on the machine that made "
            "it; at least one is made.",
        )
        if training
        else (),
        data=rows,
        optional=True,
    )


def _chance_text(chance: float | None) -> str:
    if chance is None:
        return UNDEFINED
    return "< 0.0001" if chance < 1e-4 else number(chance, 4)


def _notes(run: Run) -> list[str]:
    expected = random_expectation(run)
    if expected is None:
        return []
    quartiles = ", ".join(number(quartile) for quartile in expected.quartiles)
    missing = f" ({expected.missing} have no accuracy and are left out)" if expected.missing else ""
    return [
        f"Random choice, exactly: the mean test accuracy of all {expected.architectures} architectures of the table"
        f"{missing} is {number(expected.mean)} %, the standard deviation {number(expected.deviation)}, the quartiles "
        f"{quartiles}. A row named random is a few draws from this.",
        "Not a test of one selector against another: a chance below 0.05 says that n random draws would rarely be as "
        "good.",
    ]
