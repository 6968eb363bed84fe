"""How good the selected architectures are: per selector, on the table's dataset and on others."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from opselect.bench.report.formatting import (
    interval,
    interval_notes,
    mean_and_deviation,
    means_over,
    number,
    seed_listing,
)
from opselect.bench.report.render import (
    SELECTOR,
    Column,
    Figure,
    Table,
    has_table,
    mean_columns,
    number_column,
    role_blocks,
)
from opselect.bench.report.sections.baseline import mean_accuracy, noise_note, random_expectation
from opselect.bench.report.sections.settings import supernet_size_notes
from opselect.bench.runs.run import Run
from opselect.bench.statistics.baseline import Baseline, chance_to_reach
from opselect.bench.statistics.correlations import spearman
from opselect.bench.statistics.estimates import (
    NOT_NEGATIVE,
    PERCENT,
    Mean,
    Median,
    mean_interval,
    median_interval,
)
from opselect.bench.summaries.noise import training_noise
from opselect.selectors.task import Role

FEWEST_COMMON_SEEDS = 2
"""Number of common seeds below which no selector is marked as the best."""

REGRET_NOTE = (
    "Regret: test accuracy of the table's best architecture minus the selected one's. Percentile: share of the table's "
    "architectures with a lower test accuracy."
)


@dataclass(frozen=True)
class SelectionSummary:
    """How good one selector's architectures are, over its seeds.

    Attributes:
        label: Label of the selector.
        role: Whether it competes.
        trials: Number of trials, finished and failed ones.
        failed: Number of failed trials.
        test_accuracy: Test accuracy in percent, mean over seeds.
        median_accuracy: Median of the same.
        common_accuracy: Test accuracy in percent, mean over the seeds that all selectors have in common.
        valid_accuracy: Validation accuracy in percent, mean over seeds.
        regret: Percentage points of test accuracy below the table's best.
        percentile: Percent of the table's architectures with a lower test accuracy.
        architectures: Number of different architectures among the finished trials.
        decisions: Number of decisions in the recorded steps.
        tied_decisions: Number of these in which several operations had the winning score.
        scores: Number of recorded scores of operations and of candidates.
        nonfinite_scores: Number of these that are NaN or infinite.
    """

    label: str
    role: Role
    trials: int
    failed: int
    test_accuracy: Mean
    median_accuracy: Median
    common_accuracy: Mean
    valid_accuracy: Mean
    regret: Mean
    percentile: Mean
    architectures: int
    decisions: int
    tied_decisions: int
    scores: int
    nonfinite_scores: int


@dataclass(frozen=True)
class CommonSeeds:
    """The seeds for which every selector that has accuracies has one; only over these are means comparable.

    Attributes:
        seeds: The seeds, sorted.
        are_all: Whether no selector has accuracies for further seeds.
        of_all: Whether every selector has accuracies.
    """

    seeds: tuple[int, ...]
    are_all: bool
    of_all: bool

    @property
    def are_enough(self) -> bool:
        """Whether a selector may be marked as the best of them."""
        return len(self.seeds) >= FEWEST_COMMON_SEEDS

    @property
    def text(self) -> str:
        """Their number, `1 seed` or `2 seeds` for example."""
        return counted(self.seeds)

    @property
    def whose(self) -> str:
        """Who has these seeds in common."""
        return "all selectors" if self.of_all else "all selectors with accuracies"

    def mean(self, run: Run, label: str) -> Mean:
        """Test accuracy of a label in percent, mean over these seeds."""
        accuracies = run.values(label, lambda result: result.test_accuracy)
        return mean_interval((accuracies.get(seed) for seed in self.seeds), PERCENT)


def common_seeds(run: Run) -> CommonSeeds:
    """The common seeds of all competing labels."""
    known = [seeds for label in run.in_role("selector") if (seeds := set(run.test_accuracies(label)))]
    shared = set.intersection(*known) if known else set[int]()
    return CommonSeeds(
        tuple(sorted(shared)),
        are_all=all(seeds == shared for seeds in known),
        of_all=len(known) == len(run.in_role("selector")),
    )


def selection(run: Run) -> list[SelectionSummary]:
    """One row per label."""
    common = common_seeds(run)
    return [_selection_of(run, label, common) for label in run.labels]


def _selection_of(run: Run, label: str, common: CommonSeeds) -> SelectionSummary:
    results = run.results(label).values()
    steps = [step for result in results for step in result.steps]
    scores = [score for step in steps for row in step.scores.values() for score in row]
    # A pool with one distinct candidate is not validated.
    scores += [score for result in results for _, score in result.candidates if score is not None]
    return SelectionSummary(
        label=label,
        role=run.role(label),
        trials=len(run.records[label]),
        failed=sum(record.result is None for record in run.records[label]),
        test_accuracy=mean_accuracy(run, label),
        median_accuracy=median_interval(result.test_accuracy for result in results),
        common_accuracy=common.mean(run, label),
        valid_accuracy=mean_interval((result.valid_accuracy for result in results), PERCENT),
        regret=mean_interval((result.regret for result in results), NOT_NEGATIVE),
        percentile=mean_interval((result.percentile for result in results), PERCENT),
        architectures=len({result.architecture for result in results}),
        decisions=len(steps),
        tied_decisions=sum(step.tied > 0 for step in steps),
        scores=len(scores),
        nonfinite_scores=sum(not math.isfinite(score) for score in scores),
    )


@dataclass(frozen=True)
class Best:
    """The selectors with the highest mean test accuracy, as printed, over the common seeds.

    Attributes:
        labels: Their labels, the best one first.
        accuracy: Mean test accuracy of the first of them, percent.
        regret: Percentage points of that mean below the table's best architecture; None without a table.
        common: The common seeds.
    """

    labels: tuple[str, ...]
    accuracy: Mean
    regret: float | None
    common: CommonSeeds


def best_selectors(run: Run) -> Best | None:
    """The competing selectors with the highest mean over the common seeds; None where there is no such mean."""
    common = common_seeds(run)
    means = {label: common.mean(run, label) for label in run.in_role("selector")}
    values = {label: mean.value for label, mean in means.items() if mean.value is not None}
    if not values:
        return None
    best = max(values, key=values.__getitem__)
    alike = [label for label in values if label != best and round(values[label], 2) == round(values[best], 2)]
    results = run.results(best)
    regret = mean_interval((results[seed].regret for seed in common.seeds), NOT_NEGATIVE).value
    return Best((best, *alike), means[best], regret, common)


def selection_table(run: Run) -> Table[SelectionSummary]:
    """How good the selected architectures are, one row per selector."""
    rows = selection(run)
    with_table, common = has_table(run), common_seeds(run)
    ranked = common.are_enough and common.are_all
    return Table(
        name="selection",
        title="Selected architectures",
        columns=(
            SELECTOR,
            Column(
                "Trials",
                show=lambda row: f"{row.trials} ({row.failed} failed)" if row.failed else str(row.trials),
                priority=4,
            ),
            *mean_columns(
                "Test accuracy",
                "%",
                "↑",
                rows,
                lambda row: row.test_accuracy,
                lambda row: row.median_accuracy,
                ("test_accuracy", "median_accuracy"),
                ranked,
            ),
            number_column(
                f"On the {common.text} in common",
                "%",
                "↑",
                lambda row: row.common_accuracy.value,
                shown=not common.are_all,
                ranked=common.are_enough,
                key="common_accuracy",
                short="Common seeds",
                priority=2,
            ),
            number_column(
                "Validation accuracy",
                "%",
                "↑",
                lambda row: row.valid_accuracy.value,
                shown=with_table,
                ranked=ranked,
                key="valid_accuracy",
                short="Val. acc.",
                priority=3,
            ),
            number_column(
                "Regret", "pp", "↓", lambda row: row.regret.value, shown=with_table, ranked=ranked, priority=2
            ),
            number_column(
                "Percentile",
                "%",
                "↑",
                lambda row: row.percentile.value,
                1,
                with_table,
                ranked,
                short="Pct.",
                priority=3,
            ),
            Column("Distinct choices", show=lambda row: str(row.architectures), key="architectures", priority=5),
            Column("Tied decisions", show=lambda row: f"{row.tied_decisions} of {row.decisions}", priority=6),
            Column(
                "Non-finite scores",
                "",
                "↓",
                show=lambda row: f"{row.nonfinite_scores} of {row.scores}",
                key="nonfinite_scores",
                priority=7,
            ),
        ),
        blocks=role_blocks(run, rows),
        notes=(
            _source_note(run),
            *supernet_size_notes(run),
            *interval_notes((row.test_accuracy, row.median_accuracy) for row in rows if row.test_accuracy.n),
            _marks_note(common),
            *_noise_notes(run),
            *([REGRET_NOTE] if with_table else []),
            "Decisions and scores are those of the recorded steps (of the first proposal, where a selector makes "
            "several) and the proposals' validation scores.",
            *_validation_notes(run),
        ),
        data=rows,
        legend=means_over(row.test_accuracy.n for row in rows),
    )


def counted(seeds: Sequence[int]) -> str:
    """`1 seed` or `2 seeds`."""
    return f"{len(seeds)} seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _marks_note(common: CommonSeeds) -> str:
    if not common.are_enough:
        return f"No selector is marked as the best: they have {common.text} in common, which is too little."
    over = "" if common.are_all else f" over the {common.text} that {common.whose} have ({seed_listing(common.seeds)})"
    return (
        f"Best selector in bold, runner-up underlined, by rounded means{over}; random choice and oracles do not "
        "compete. Whether a difference is more than chance is in the table of paired differences."
    )


def _noise_notes(run: Run) -> list[str]:
    """How far single trainings of one architecture lie apart, where there are accuracies."""
    noise = training_noise(run)
    if noise is None:
        has_accuracies = any(result.test_accuracy is not None for result in run.all_results)
        return [f"{noise_note(run)} A deviation of 0 over seeds is not certainty."] if has_accuracies else []
    whose, means = ("table's", "table's mean") if has_table(run) else ("trainings'", "mean")
    sizes = sorted(set(noise.trainings.values()))
    return [
        f"The {whose} own noise: single trainings of one selected architecture have a standard deviation of "
        f"{number(noise.deviation)} pp, so the {means} of {' or '.join(map(str, sizes))} has a standard error of about "
        f"{number(noise.cell_error)} pp, also where all seeds chose the same."
    ]


def _source_note(run: Run) -> str:
    """Number of trials, and the source of their accuracies."""
    trials = f"{len(run.all)} trials over {counted(run.seeds)} ({seed_listing(run.seeds)})"
    table = next((record.trial.table for record in run.all), None)
    if table is None and not run.training_records:
        return f"{trials}; no table of accuracies, so nothing is said about accuracy."
    if table is None:
        return f"{trials}. Accuracies are those of the selected networks after training from nothing, last epoch."
    differs = table.valid_epochs != table.epochs
    validation = f" (validation accuracies: {table.valid_epochs} epochs)" if differs else ""
    return (
        f"{trials}. Accuracies are those of the table {table.name}: dataset {table.dataset}, {table.epochs} epochs"
        f"{validation}, mean over the table's own seeds. Selection used validation data only; test accuracies were "
        "read later."
    )


def _validation_notes(run: Run) -> list[str]:
    """How validation and test accuracy agree, where both are known."""
    accuracies = [
        (result.valid_accuracy, result.test_accuracy)
        for result in {result.architecture: result for result in run.all_results}.values()
        if result.valid_accuracy is not None and result.test_accuracy is not None
    ]
    agreement = spearman([valid for valid, _ in accuracies], [test for _, test in accuracies]) if accuracies else None
    if agreement is None or agreement.value is None:
        return []
    # Where all resamples agree, as those of three pairs in perfect order do, their quantiles are no interval.
    has_interval = agreement.low is not None and agreement.low != agreement.high
    uncertainty = f" (95 % bootstrap interval {interval(agreement)})" if has_interval else ""
    return [
        f"Spearman between validation and test accuracy of the {agreement.n} distinct selected architectures: "
        f"{number(agreement.value)}{uncertainty}."
    ]


def findings(run: Run) -> tuple[str, ...]:
    """What a reader must know first: doubts about the records, what is missing, whether chance is beaten, the best."""
    if not run.all:
        return (*run.remarks, *unfinished_notes(run), "There are no records.")
    failed = sum(record.result is None for record in run.all)
    trials = f"{len(run.all)} trials, {failed} failed."
    best = best_selectors(run)
    if best is None:
        return (*run.remarks, *unfinished_notes(run), trials)
    chance, is_beaten = chance_sentences(run, best)
    # What a reader would otherwise cite without it stands first.
    order = [trials, _highest(best), *chance] if is_beaten else [*chance, trials, _highest(best)]
    return (*run.remarks, *unfinished_notes(run), " ".join(order))


def unfinished_notes(run: Run) -> list[str]:
    """Which trials of the experiment have no record, in a sentence."""
    if not run.missing:
        return []
    count = sum(map(len, run.missing.values()))
    which = "; ".join(f"{label}: {seed_listing(seeds)}" for label, seeds in run.missing.items())
    return [
        f"This run is not finished: {count} of {count + len(run.all)} trials have no record (seeds of {which}). "
        "Numbers may change until they have."
    ]


def _highest(best: Best) -> str:
    over = "" if best.common.are_all else f" over the {best.common.text} that {best.common.whose} have"
    below = (
        "" if best.regret is None else f", {number(best.regret)} percentage points below the table's best architecture"
    )
    labels = " and ".join(best.labels)
    return f"Highest mean test accuracy{over}: {labels} with {mean_and_deviation(best.accuracy)} %{below}."


def chance_sentences(run: Run, best: Best) -> tuple[list[str], bool]:
    """Sentences on the best selector against random choice, and whether it beats it."""
    assert best.accuracy.value is not None
    expected = random_expectation(run)
    if expected is not None and run.population is not None:
        reached = chance_to_reach(run.population.test, best.accuracy.value, best.accuracy.n)
        return _against_expectation(best, expected, reached)
    drawn = {
        label: mean.value for label in run.in_role("random") if (mean := mean_accuracy(run, label)).value is not None
    }
    sentences = [
        f"Random choice is not beaten: {label} has a mean of {number(value)} %, the highest mean of a selector is "
        f"{number(best.accuracy.value)} % ({best.labels[0]})."
        for label, value in drawn.items()
        if value is not None and value >= best.accuracy.value
    ]
    return sentences, not sentences


def _against_expectation(best: Best, expected: Baseline, reached: float | None) -> tuple[list[str], bool]:
    assert best.accuracy.value is not None
    of_random = f"the expectation over all architectures of the table is {number(expected.mean)} %"
    if best.accuracy.value <= expected.mean:
        return [f"Random choice is not beaten: {of_random}."], False
    chance = "below 0.0001" if reached is not None and reached < 1e-4 else f"of {number(reached, 4)}"
    draws = "1 random draw reaches" if best.accuracy.n == 1 else f"{best.accuracy.n} random draws reach"
    draws += f" the mean of {best.labels[0]} with a chance {chance}"
    is_rare = reached is not None and reached <= 0.05
    text = f"Random choice: {of_random}; {draws}."
    return [text if is_rare else f"Not clearly better than random choice: {of_random}, and {draws}."], is_rare


@dataclass(frozen=True)
class TransferSummary:
    """How good the architectures that a selector chose are on other datasets.

    Attributes:
        label: Label of the selector.
        role: Whether it competes.
        trials: Number of finished trials.
        test_accuracy: By dataset, test accuracy in percent, mean over seeds.
        median_accuracy: By dataset, the median of the same.
    """

    label: str
    role: Role
    trials: int
    test_accuracy: dict[str, Mean]
    median_accuracy: dict[str, Median]


def transfer(run: Run) -> list[TransferSummary]:
    """One row per label; empty where the experiment reports one dataset only."""
    datasets = sorted({dataset for record in run.all if record.trial.table for dataset in record.trial.table.also})
    if not datasets:
        return []
    rows = []
    for label in run.labels:
        results = run.results(label).values()
        values = {name: [result.other_test_accuracies.get(name) for result in results] for name in datasets}
        means = {name: mean_interval(each, PERCENT) for name, each in values.items()}
        medians = {name: median_interval(each) for name, each in values.items()}
        rows.append(TransferSummary(label, run.role(label), len(results), means, medians))
    return rows


def transfer_table(run: Run) -> Table[TransferSummary]:
    """How good the selected architectures are on other datasets, one row per selector."""
    rows = transfer(run)
    datasets = tuple(rows[0].test_accuracy) if rows else ()
    common = common_seeds(run)
    return Table(
        name="transfer",
        title="The selected architectures on other datasets",
        columns=(
            SELECTOR,
            Column("Trials", show=lambda row: str(row.trials), priority=4),
            *(column for name in datasets for column in _transfer_columns(name, rows, common)),
        ),
        blocks=role_blocks(run, rows),
        notes=(
            *interval_notes((row.test_accuracy[name], row.median_accuracy[name]) for row in rows for name in datasets),
            "The architectures are those of the main table; nothing was selected on these datasets.",
        ),
        data=rows,
        legend=means_over(mean.n for row in rows for mean in row.test_accuracy.values()),
    )


def _transfer_columns(
    dataset: str, rows: Sequence[TransferSummary], common: CommonSeeds
) -> tuple[Column[TransferSummary], ...]:
    return mean_columns(
        f"{dataset} test accuracy",
        "%",
        "↑",
        rows,
        lambda row: row.test_accuracy[dataset],
        lambda row: row.median_accuracy[dataset],
        (f"test_accuracy_{dataset}", f"median_accuracy_{dataset}"),
        common.are_enough and common.are_all,
    )


@dataclass(frozen=True)
class ArchitectureSummary:
    """The architecture that a selector chose most often.

    Attributes:
        label: Label of the selector.
        architecture: The architecture in the field's notation.
        times: Number of trials that chose it.
        trials: Number of finished trials.
        test_accuracy: Test accuracy in percent.
    """

    label: str
    architecture: str
    times: int
    trials: int
    test_accuracy: float | None


def typical_architectures(run: Run) -> list[ArchitectureSummary]:
    """One row per label with a finished trial; of equally frequent architectures that of the smallest seed."""
    rows = []
    for label in run.labels:
        results = list(run.results(label).values())
        for architecture, times in Counter(result.architecture for result in results).most_common(1):
            test = next(result.test_accuracy for result in results if result.architecture == architecture)
            rows.append(ArchitectureSummary(label, architecture, times, len(results), test))
    return rows


def figures(run: Run) -> tuple[Figure, ...]:
    """The figures of test accuracies and of typical architectures."""
    return (
        Figure(
            "accuracy",
            "Test accuracy of the selected architectures: a dot per seed, a diamond at the mean, a tick at the "
            "median, a line over the interval of the median.",
            shown=any(result.test_accuracy is not None for result in run.all_results),
        ),
        Figure(
            "cells",
            "An architecture of each selector: the one that most seeds chose, of equally frequent ones that of the "
            "smallest seed; below its name, how many seeds chose it. Edges with the operation none are left out.",
            shown=bool(run.all_results),
        ),
    )
