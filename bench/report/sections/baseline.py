"""What random choice and random search reach on the table, exactly, from all its architectures."""

from dataclasses import dataclass
from typing import Any

from opselect.bench.report.formatting import UNDEFINED, mean_and_deviation, means_over, number
from opselect.bench.report.render import SELECTOR, Column, Table, role_blocks
from opselect.bench.runs.run import Run
from opselect.bench.statistics.baseline import Baseline, chance_to_reach, random_choice, random_search
from opselect.bench.statistics.estimates import NOT_NEGATIVE, PERCENT, Mean, mean_interval


@dataclass(frozen=True)
class ChanceSummary:
    """One selector against random choice.

    Attributes:
        label: Label of the selector.
        test_accuracy: Test accuracy of the selected architectures in percent.
        above_random: Mean minus the expectation of a random choice, percentage points.
        chance: Chance that the mean of as many random architectures is at least as high.
    """

    label: str
    test_accuracy: Mean
    above_random: float
    chance: float | None


@dataclass(frozen=True)
class BudgetSummary:
    """One selector against random search in the same time; times may differ between two runs of one experiment.

    Attributes:
        label: Label of the selector.
        search_seconds: Seconds of a search.
        test_accuracy: Test accuracy of the selected architectures in percent.
        equal_draws: Number of architectures that could have been trained in that time, at least 1.
        random_search: Expected test accuracy of the best of so many random architectures by validation accuracy; None
            where the table has no validation accuracies.
    """

    label: str
    search_seconds: Mean
    test_accuracy: Mean
    equal_draws: int
    random_search: float | None


_ACCURACY: Column[Any] = Column(
    "Test accuracy", "%", "↑", show=lambda row: mean_and_deviation(row.test_accuracy), short="Test acc."
)


def random_expectation(run: Run) -> Baseline | None:
    """The exact distribution of a random choice; None without the table."""
    return None if run.population is None else random_choice(run.population.test)


def mean_accuracy(run: Run, label: str) -> Mean:
    """Test accuracy of the architectures that a label selected, percent, mean over all its seeds."""
    return mean_interval(run.values(label, lambda result: result.test_accuracy).values(), PERCENT)


def chances(run: Run) -> list[ChanceSummary]:
    """One row per label with an accuracy, where the table is here."""
    expected, population = random_expectation(run), run.population
    if expected is None or population is None:
        return []
    return [
        ChanceSummary(
            label=label,
            test_accuracy=accuracy,
            above_random=accuracy.value - expected.mean,
            chance=chance_to_reach(population.test, accuracy.value, accuracy.n),
        )
        for label in run.labels
        if (accuracy := mean_accuracy(run, label)).value is not None
    ]


def budgets(run: Run) -> list[BudgetSummary]:
    """One row per competing label with an accuracy, where the table is here and says how long a training takes."""
    population = run.population
    if population is None or not population.training_seconds:
        return []
    rows = []
    for label in run.in_role("selector"):
        accuracy = mean_accuracy(run, label)
        costs = (record.cost.search_seconds for record in run.records[label] if record.cost)
        seconds = mean_interval(costs, NOT_NEGATIVE)
        if accuracy.value is None or seconds.value is None:
            continue
        draws = max(1, int(seconds.value / population.training_seconds))
        search = None if population.valid is None else random_search(population.valid, population.test, draws)
        rows.append(BudgetSummary(label, seconds, accuracy, draws, None if search is None else search.mean))
    return rows


def chance_table(run: Run) -> Table[ChanceSummary]:
    """Every selector against the exact expectation of a random choice over the table."""
    rows = chances(run)
    return Table(
        name="chance",
        title="Against random choice",
        columns=(
            SELECTOR,
            _ACCURACY,
            Column(
                "above random choice",
                "pp",
                "↑",
                show=lambda row: number(row.above_random),
                key="above_random",
                short="above random",
            ),
            Column("n", show=lambda row: str(row.test_accuracy.n), key="test_accuracy_n", legend="n: number of seeds"),
            Column("Chance that n random draws reach it", show=lambda row: _chance_text(row.chance), key="chance"),
        ),
        blocks=role_blocks(run, rows),
        notes=tuple(_notes(run)),
        data=rows,
        optional=True,
        legend=means_over(row.test_accuracy.n for row in rows),
    )


def budget_table(run: Run) -> Table[BudgetSummary]:
    """Random search with the time of every selector; times differ between machines."""
    rows = budgets(run)
    training = run.population.training_seconds if run.population else None
    return Table(
        name="random-search",
        title="Random search in the same time",
        columns=(
            SELECTOR,
            Column("Search", "s", "↓", show=lambda row: number(row.search_seconds.value, 1), key="search_seconds"),
            _ACCURACY,
            Column("Trainings in the same time", show=lambda row: str(row.equal_draws), key="equal_draws"),
            Column("Random search", "%", "↑", show=lambda row: number(row.random_search)),
        ),
        blocks=role_blocks(run, rows),
        notes=(
            "Random search: expected test accuracy of the best of so many random architectures by validation accuracy, "
            f"exact over the table. A training takes {number(training, 1)} s by the table, on the machine that made "
            "it; at least one is made.",
        )
        if training
        else (),
        data=rows,
        optional=True,
        legend=means_over(row.test_accuracy.n for row in rows),
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
