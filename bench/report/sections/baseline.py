"""Every selector against random choice and random search: exactly over the table, or by the draws that a run has."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opselect.bench.report.formatting import UNDEFINED, listing, mean_and_deviation, means_over, number
from opselect.bench.report.render import SELECTOR, Column, Table, role_blocks
from opselect.bench.runs.run import Run
from opselect.bench.statistics.baseline import Baseline, chance_to_reach, random_choice, random_search
from opselect.bench.statistics.estimates import NOT_NEGATIVE, PERCENT, Mean, mean_interval
from opselect.bench.summaries.noise import training_noise


@dataclass(frozen=True)
class ChanceSummary:
    """One selector against random choice.

    Attributes:
        label: Label of the selector.
        test_accuracy: Test accuracy of the selected architectures in percent.
        above_random: Mean minus that of a random choice, percentage points.
        noise: Standard error of this gain from the noise of trainings, percentage points; None where it is unknown.
        relative_improvement: The gain in percent of the mean of a random choice; None where that is 0.
        chance: Chance that the mean of as many random architectures is at least as high; None without the table.

    Source: Yang et al., NAS Evaluation Is Frustratingly Hard, 2020 (the relative improvement).
    """

    label: str
    test_accuracy: Mean
    above_random: float
    noise: float | None
    relative_improvement: float | None
    chance: float | None


@dataclass(frozen=True)
class Draws:
    """Random choice where there is no table: the trials of a random selector.

    Attributes:
        label: Its label.
        accuracy: Test accuracy of the drawn architectures in percent.
    """

    label: str
    accuracy: Mean


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


def random_draws(run: Run) -> Draws | None:
    """The first random selector with accuracies; None without one."""
    drawn = (Draws(label, mean_accuracy(run, label)) for label in run.in_role("random"))
    return next((draws for draws in drawn if draws.accuracy.value is not None), None)


def chances(run: Run) -> list[ChanceSummary]:
    """One row per label with an accuracy: against the expectation where the table is here, else against draws."""
    expected, draws = random_expectation(run), random_draws(run)
    if expected is not None:
        random_mean, others = expected.mean, run.labels
    elif draws is not None and draws.accuracy.value is not None:
        random_mean, others = draws.accuracy.value, tuple(label for label in run.labels if label != draws.label)
    else:
        return []
    rows = ((label, mean_accuracy(run, label)) for label in others)
    return [
        _chance_summary(run, label, accuracy, accuracy.value, random_mean)
        for label, accuracy in rows
        if accuracy.value is not None
    ]


def _chance_summary(run: Run, label: str, accuracy: Mean, mean: float, random_mean: float) -> ChanceSummary:
    noise, draws = training_noise(run), random_draws(run)
    results = run.results(label).values()
    drawn = () if run.population is not None or draws is None else run.results(draws.label).values()
    return ChanceSummary(
        label=label,
        test_accuracy=accuracy,
        above_random=mean - random_mean,
        noise=None if noise is None else noise.error_of_difference(results, drawn),
        relative_improvement=100 * (mean - random_mean) / random_mean if random_mean else None,
        chance=None if run.population is None else chance_to_reach(run.population.test, mean, accuracy.n),
    )


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
    """Every selector against random choice: its exact expectation over the table, or the draws of a random selector."""
    rows = chances(run)
    noise = training_noise(run)
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
            noise_column(lambda row: number(row.noise), noise is not None),
            Column(
                "Relative improvement",
                "%",
                "↑",
                show=lambda row: number(row.relative_improvement, 1),
                short="Rel. impr.",
                priority=2,
                legend="relative improvement: gain in percent of random choice's accuracy",
            ),
            Column("n", show=lambda row: str(row.test_accuracy.n), key="test_accuracy_n", legend="n: number of seeds"),
            Column(
                "Chance that n random draws reach it",
                show=lambda row: _chance_text(row.chance),
                shown=run.population is not None,
                key="chance",
                short="Chance of n draws",
            ),
        ),
        blocks=role_blocks(run, rows),
        notes=(*_notes(run), noise_note(run, _what_random_adds(run))) if rows else (),
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


def noise_column(show: Callable[[Any], str], shown: bool, key: str = "noise") -> Column[Any]:
    """How far a gain would move if the networks were trained again.

    Args:
        show: Text of a row's cell.
        shown: Whether the noise is known.
        key: Name by which the column is chosen.
    """
    return Column(
        "Training noise",
        "pp",
        show=show,
        shown=shown,
        key=key,
        short="Noise",
        priority=3,
        legend="noise: standard error of the gain, were all networks trained again",
    )


def noise_note(run: Run, remark: str = "") -> str:
    """How far a gain would move by chance if the networks were trained again.

    Args:
        run: Records of a run.
        remark: Sentence that follows where the noise is known.
    """
    noise = training_noise(run)
    if noise is None:
        return (
            "There is one accuracy per architecture, so it is unknown how far a gain would move if the networks were "
            "trained again."
        )
    return (
        "Training noise: standard error of the gain, were every selected architecture trained again as often as now; "
        f"one training has a standard deviation of {number(noise.deviation)} pp. {remark}"
    ).rstrip()


def _what_random_adds(run: Run) -> str:
    if run.population is None:
        return "The drawn architectures have their part in it."
    return "The mean over the whole table adds next to none, and none is counted for it."


def _notes(run: Run) -> list[str]:
    expected, draws = random_expectation(run), random_draws(run)
    relative = (
        "Relative improvement: the gain in percent of random choice's accuracy, 100 (accuracy − random) / random "
        "(Yang et al., 2020)."
    )
    if expected is None:
        return [] if draws is None else [_drawn_note(draws), relative]
    quartiles = ", ".join(number(quartile) for quartile in expected.quartiles)
    missing = f" ({expected.missing} have no accuracy and are left out)" if expected.missing else ""
    named = f" Drawn from this: {listing(run.in_role('random'))}." if draws else ""
    return [
        f"Random choice, exactly: the mean test accuracy of all {expected.architectures} architectures of the table"
        f"{missing} is {number(expected.mean)} %, the standard deviation {number(expected.deviation)}, the quartiles "
        f"{quartiles}.{named}",
        relative,
        "Not a test of one selector against another: a chance below 0.05 says that n random draws would rarely be as "
        "good.",
    ]


def _drawn_note(draws: Draws) -> str:
    accuracy = draws.accuracy
    if accuracy.deviation is None:
        spread = "so how far it lies from the mean of all architectures is unknown"
    else:
        error = accuracy.deviation / math.sqrt(accuracy.n)
        spread = f"whose own standard error over seeds is {number(error)} pp"
    return (
        f"Random choice: the mean of {accuracy.n} architecture{'s' if accuracy.n > 1 else ''} that {draws.label} drew, "
        f"{number(accuracy.value)} %, {spread}. There is no table here with which its expectation could be computed."
    )
