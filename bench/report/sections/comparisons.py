"""Which differences between selectors are more than chance: every selector against a reference and against the best."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from opselect.bench.report.formatting import UNDEFINED_NOTE, interval, listing, means_over, number
from opselect.bench.report.render import SELECTOR, Block, Column, Table
from opselect.bench.report.sections.baseline import noise_column, noise_note
from opselect.bench.report.sections.selection import CommonSeeds, best_selectors, common_seeds
from opselect.bench.runs.records import Result
from opselect.bench.runs.run import Run
from opselect.bench.statistics.comparisons import (
    BySeed,
    Comparison,
    compare_with_best,
    compare_with_reference,
    fewest_seeds,
)
from opselect.bench.statistics.estimates import CONFIDENCE, Mean
from opselect.bench.summaries.noise import training_noise

LEVEL = 1 - CONFIDENCE
"""Chance of any false alarm among the comparisons with one rival."""


@dataclass(frozen=True)
class PairSummary:
    """One selector against another with the same seeds.

    Attributes:
        first: Label of the selector.
        second: Label of its rival.
        family: `reference` or `best`: the comparisons that the p-value is corrected for.
        difference: Test accuracy of the first minus that of the second, percentage points, with its interval.
        p_value: Two-sided p-value of the sign-flip test by Holm's method.
        smallest_p: Least p-value that this many common seeds and comparisons can reach.
        noise: Standard error of the difference from the noise of trainings; None where it is unknown.
    """

    first: str
    second: str
    family: str
    difference: Mean
    p_value: float | None
    smallest_p: float | None
    noise: float | None


@dataclass(frozen=True)
class Rival:
    """What the selectors are compared with.

    Attributes:
        label: Its label.
        family: `reference` or `best`.
        comparisons: By label of every other selector, that one minus the rival.
        indistinguishable: Of the best one, the selectors that the test cannot distinguish from it.
    """

    label: str
    family: str
    comparisons: Mapping[str, Comparison]
    indistinguishable: tuple[str, ...] = ()


def rivals(run: Run) -> list[Rival]:
    """The reference, and the selector with the best mean over the common seeds, where they have accuracies."""
    values: dict[str, BySeed] = {}
    for label in run.in_role("selector", "random"):
        accuracies = run.values(label, lambda result: result.test_accuracy)
        if any(accuracy is not None for accuracy in accuracies.values()):
            values[label] = accuracies
    if len(values) < 2:
        return []
    found = []
    if run.reference in values and run.reference is not None:
        found.append(Rival(run.reference, "reference", compare_with_reference(values, run.reference, LEVEL)))
    best = best_selectors(run)
    if best is not None:
        against = compare_with_best(values, best.labels[0], LEVEL)
        found.append(Rival(against.best, "best", against.comparisons, against.indistinguishable))
    return found


@dataclass(frozen=True)
class ComparisonRow:
    """One selector against each of its rivals; None where it is the rival itself, or has no accuracy.

    Attributes:
        label: Label of the selector.
        comparisons: One per rival.
        noises: Standard error of every difference from the noise of trainings; None where it is unknown as well.
    """

    label: str
    comparisons: tuple[Comparison | None, ...]
    noises: tuple[float | None, ...]


def comparisons_table(run: Run) -> Table[ComparisonRow]:
    """Every selector against the reference and against the best selector."""
    found = rivals(run)
    rows = [
        ComparisonRow(
            label,
            tuple(rival.comparisons.get(label) for rival in found),
            tuple(_noise(run, label, rival.label) for rival in found),
        )
        for label in run.in_role("selector", "random")
        if any(label in rival.comparisons for rival in found)
    ]
    return Table(
        name="paired",
        title="Paired differences of test accuracy",
        columns=(
            SELECTOR,
            *(
                column
                for place, rival in enumerate(found)
                for column in _columns(rival, place, training_noise(run) is not None)
            ),
        ),
        blocks=[Block("", rows)],
        notes=(*(_table_notes(run, found) if rows else ()), *_equal_by_construction(run)),
        data=[
            PairSummary(
                label,
                rival.label,
                rival.family,
                each.difference,
                each.p_value,
                each.smallest_p,
                _noise(run, label, rival.label),
            )
            for rival in found
            for label, each in rival.comparisons.items()
        ],
        legend=means_over(
            (each.difference.n for rival in found for each in rival.comparisons.values()), "common seeds"
        ),
    )


def _noise(run: Run, first: str, second: str) -> float | None:
    """Standard error of the difference of two selectors over their common seeds, from the noise of trainings."""
    noise = training_noise(run)
    ours, theirs = (
        {seed: result for seed, result in run.results(label).items() if result.test_accuracy is not None}
        for label in (first, second)
    )
    common = ours.keys() & theirs.keys()
    if noise is None or not common:
        return None
    return noise.error_of_difference((ours[seed] for seed in common), (theirs[seed] for seed in common))


def _columns(rival: Rival, place: int, noise: bool) -> tuple[Column[ComparisonRow], ...]:
    def show(text: Callable[[Comparison], str]) -> Callable[[ComparisonRow], str]:
        return lambda row: "" if (found := row.comparisons[place]) is None else text(found)

    name = rival.label if rival.family == "reference" else f"{rival.label} (best)"
    intervals = any(each.difference.low is not None for each in rival.comparisons.values())
    return (
        Column(
            f"minus {name}",
            "pp",
            "↑",
            show=show(lambda each: number(each.difference.value)),
            key=f"difference_{rival.family}",
        ),
        Column(
            "Interval",
            "pp",
            show=show(lambda each: interval(each.difference)),
            shown=intervals,
            key=f"interval_{rival.family}",
            priority=3,
            legend="intervals of the same test, those of one rival together 95 %",
        ),
        noise_column(
            lambda row: "" if row.comparisons[place] is None else number(row.noises[place]),
            noise,
            f"noise_{rival.family}",
        ),
        Column(
            "n",
            show=show(lambda each: str(each.difference.n)),
            key=f"n_{rival.family}",
            priority=2,
            legend="n: common seeds",
        ),
        Column(
            "p",
            show=show(lambda each: number(each.p_value, 4)),
            key=f"p_{rival.family}",
            legend="p: two-sided sign-flip test, corrected by Holm's method",
        ),
    )


def _table_notes(run: Run, found: Sequence[Rival]) -> tuple[str, ...]:
    noise = noise_note(run, "Architectures that both selected cancel.")
    return *_notes(found, common_seeds(run)), noise, UNDEFINED_NOTE


def _notes(found: Sequence[Rival], common: CommonSeeds) -> Iterator[str]:
    yield "Test accuracy of the row's selector minus that of the named one with the same seed, mean over common seeds."
    yield (
        "p: two-sided sign-flip test, corrected by Holm's method for all comparisons with the named selector, those "
        "with the best one for all pairs of selectors."
    )
    if any(each.difference.low is not None for rival in found for each in rival.comparisons.values()):
        yield "Intervals invert the same test, and those of one rival hold together with 95 %."
    for rival in found:
        yield _floor(rival)
    for rival in found:
        if rival.family == "best":
            others = [label for label in rival.indistinguishable if label != rival.label]
            yield (
                f"{rival.label} has the highest mean over the seeds that {common.whose} have in common; "
                + (
                    f"the test does not distinguish from it: {listing(others)}."
                    if others
                    else "the test distinguishes all others from it."
                )
            )


def _equal_by_construction(run: Run) -> Iterator[str]:
    """Name selectors without any difference, as where a setting that differs is one that they do not read."""
    groups: list[tuple[list[str], dict[int, str]]] = []
    for label in run.in_role("selector", "random"):
        decided = {seed: _decided(result) for seed, result in run.results(label).items() if result.steps}
        for place, (names, known) in enumerate(groups):
            common = {seed: text for seed, text in decided.items() if seed in known}
            if common and all(known[seed] == text for seed, text in common.items()):
                groups[place] = [*names, label], common
                break
        else:
            groups.append(([label], decided))
    for names, known in groups:
        if len(names) > 1:
            seeds = "the only common seed" if len(known) == 1 else f"all {len(known)} common seeds"
            yield f"{listing(names[:-1])} and {names[-1]} made the same decisions with the same scores on {seeds}."


def _decided(result: Result) -> str:
    """Architecture, decisions and scores of a trial, as text: NaN is equal to NaN there."""
    return result.model_dump_json(include={"architecture", "candidates", "steps", "topology"})


def _floor(rival: Rival) -> str:
    """What the number of seeds allows at best."""
    floors = [each.smallest_p for each in rival.comparisons.values() if each.smallest_p is not None]
    if not floors:
        return f"There are no common seeds for a comparison with {rival.label}."
    tests = max(each.tests for each in rival.comparisons.values())
    text = f"Comparisons with {rival.label}{' as the best' if rival.family == 'best' else ''}: {tests}"
    if min(floors) <= LEVEL:
        return f"{text}; no p-value can be below {number(min(floors), 4)}."
    return (
        f"{text}; with so few common seeds no p-value can be below {number(min(floors), 4)}, so nothing here can be "
        f"distinguished at 5 %, whatever the differences: that takes at least {fewest_seeds(LEVEL, tests)} seeds."
    )
