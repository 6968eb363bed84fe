"""Aggregates over several tasks: interquartile mean, probability of improvement, average ranks.

Tasks are search spaces, datasets or tables on which the same methods ran over several seeds. The first two aggregates
are those of Agarwal et al., with intervals from a stratified bootstrap: the seeds of every task are resampled, the
tasks are as they are. These are few lines of NumPy and scipy, for which no further library is worth its dependencies.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.stats import friedmanchisquare, rankdata, studentized_range, trim_mean

from opselect.bench.statistics.estimates import CONFIDENCE, RESAMPLES, Estimate, finite_values

FEWEST_FOR_BOOTSTRAP = 3
"""Number of seeds of a task below which there is no bootstrap interval."""

FEWEST_FOR_RANK_TESTS = 3
"""Number of methods below which average ranks are not tested: for two, Nemenyi's test approximates the sign test by a
normal distribution, and with four tasks calls every eighth pair of equal methods different."""

Values: TypeAlias = Sequence[float | None]
"""Values of one method on one task, one per seed; None, NaN and infinite ones are left out and counted."""

Sample: TypeAlias = Float[np.ndarray, " _"]
"""The sorted finite values of one task; tasks differ in their number."""


@dataclass(frozen=True)
class AverageRanks:
    """The average ranks of several methods over several tasks.

    Attributes:
        ranks: Average rank by label, best first; 1 is the best, ties share the average of their ranks.
        tasks: Number of tasks that were used.
        dropped: Number of tasks left out because a method has no value there.
        p_value: P-value of Friedman's test of "all methods are equal"; None for fewer than three methods or two tasks.
        critical_difference: By how much two average ranks must differ to be distinguished by Nemenyi's test; None for
            fewer than three methods or two tasks.
        cliques: Groups of labels that cannot be distinguished, the largest possible ones, each best first; without a
            test all labels.
    """

    ranks: dict[str, float]
    tasks: int
    dropped: int
    p_value: float | None
    critical_difference: float | None
    cliques: tuple[tuple[str, ...], ...]


def interquartile_mean(tasks: Sequence[Values]) -> Estimate:
    """The mean of the middle half of all values of all tasks, with a stratified bootstrap interval.

    Values of different tasks must share a scale, for example regret or percentile. Of fewer than four values it is
    their mean.

    Args:
        tasks: For every task the values of its seeds.

    Returns:
        The interquartile mean; without an interval if a task has fewer than three values, or if all are equal.

    Source: Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, 2021.

    Example:
        >>> interquartile_mean([[1.0, 2.0, 3.0, 100.0], [2.0, 3.0, 4.0, -50.0]]).value
        2.5
    """
    samples, dropped = _samples(tasks)
    n = sum(map(len, samples))
    if n == 0:
        return Estimate(None, None, None, 0, "no values", dropped)
    value = float(trim_mean(np.concatenate(samples), 0.25))
    if note := _why_no_interval(samples):
        return Estimate(value, None, None, n, note, dropped)
    generator = np.random.default_rng(0)
    resampled = [sample[generator.integers(len(sample), size=(RESAMPLES, len(sample)))] for sample in samples]
    low, high = _percentiles(trim_mean(np.concatenate(resampled, axis=1), 0.25, axis=1))
    return Estimate(value, low, high, n, dropped=dropped)


def probability_of_improvement(first: Sequence[Values], second: Sequence[Values]) -> Estimate:
    """The chance that a run of the first method is better than one of the second on the same task, mean over tasks.

    Runs of equal value count half. Seeds are not paired.

    Args:
        first: For every task the values of the first method, larger is better.
        second: For every task, in the same order, the values of the second method.

    Returns:
        A number from 0 to 1 with a stratified bootstrap interval; undefined if a method has no value on a task. `n` is
        the smallest number of values of a method on a task.

    Source: Agarwal et al., 2021, after Mann and Whitney's U statistic.

    Example:
        >>> probability_of_improvement([[3.0, 4.0, 5.0]], [[1.0, 4.0, 6.0]]).value
        0.5
    """
    ours, theirs = _samples(first), _samples(second)
    dropped = ours[1] + theirs[1]
    n = min(map(len, [*ours[0], *theirs[0]]), default=0)
    if n == 0:
        return Estimate(None, None, None, 0, "no values on some task", dropped)
    generator = np.random.default_rng(0)
    values, resampled = [], np.zeros(RESAMPLES)
    for our, their in zip(ours[0], theirs[0], strict=True):
        wins = (np.sign(our[:, None] - their) + 1) / 2
        counts = [
            generator.multinomial(len(each), np.full(len(each), 1 / len(each)), RESAMPLES) for each in (our, their)
        ]
        values.append(wins.mean())
        resampled += ((counts[0] @ wins) * counts[1]).sum(axis=1) / wins.size
    value = math.fsum(values) / len(values)
    if n < FEWEST_FOR_BOOTSTRAP:
        return Estimate(value, None, None, n, f"fewer than {FEWEST_FOR_BOOTSTRAP} values, no interval", dropped)
    if value in (0.0, 1.0):
        return Estimate(value, None, None, n, "all values on one side, no interval", dropped)
    low, high = _percentiles(resampled / len(values))
    return Estimate(value, low, high, n, dropped=dropped)


def average_ranks(values: Mapping[str, Sequence[float | None]]) -> AverageRanks:
    """Rank the methods on every task, average the ranks, and say which averages cannot be distinguished.

    Args:
        values: For every label one value per task, in the same order of tasks for all, larger is better.

    Returns:
        The ranks with Friedman's test and the critical difference of Nemenyi's test at 5 %.

    Source: Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, 2006.

    Example:
        >>> found = average_ranks({"a": [90.0, 80.0, 70.0], "b": [85.0, 75.0, 72.0], "c": [60.0, 50.0, 40.0]})
        >>> {label: round(rank, 2) for label, rank in found.ranks.items()}
        {'a': 1.33, 'b': 1.67, 'c': 3.0}
        >>> round(found.critical_difference, 2), found.cliques
        (1.91, (('a', 'b', 'c'),))
    """
    if not values:
        return AverageRanks({}, 0, 0, None, None, ())
    matrix = np.array([[math.nan if each is None else each for each in row] for row in values.values()], dtype=float)
    whole = matrix[:, np.isfinite(matrix).all(axis=0)]
    methods, tasks = whole.shape
    dropped = matrix.shape[1] - tasks
    if tasks == 0:
        return AverageRanks({}, tasks, dropped, None, None, ())
    means = rankdata(-whole, axis=0).mean(axis=1).tolist()
    ranks = dict(sorted(zip(values, means, strict=True), key=lambda each: each[1]))
    if methods < FEWEST_FOR_RANK_TESTS or tasks < 2:
        return AverageRanks(ranks, tasks, dropped, None, None, (tuple(ranks),))
    difference = critical_difference(methods, tasks)
    # Where all methods are equal on all tasks, the statistic is 0 / 0.
    equal = bool((whole == whole[0]).all())
    p_value = 1.0 if equal else float(friedmanchisquare(*whole).pvalue)
    return AverageRanks(ranks, tasks, dropped, p_value, difference, _cliques(ranks, difference))


def critical_difference(methods: int, tasks: int) -> float:
    """By how much average ranks must differ to be distinguished by Nemenyi's test at 5 %.

    Example:
        >>> round(critical_difference(methods=4, tasks=14), 2)
        1.25
    """
    quantile = float(studentized_range.ppf(CONFIDENCE, methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * tasks))


def fewest_tasks(methods: int) -> int:
    """The number of tasks below which Nemenyi's test distinguishes no two methods, however they rank.

    Average ranks differ by at most one less than the number of methods, which the critical difference must not exceed.

    Args:
        methods: Number of methods, at least 3.

    Example:
        >>> fewest_tasks(3), fewest_tasks(10)
        (3, 3)
    """
    return next(tasks for tasks in itertools.count(1) if critical_difference(methods, tasks) <= methods - 1)


def _cliques(ranks: Mapping[str, float], difference: float) -> tuple[tuple[str, ...], ...]:
    """The largest groups of neighbouring labels whose ranks differ by less than the critical difference."""
    labels, means = list(ranks), list(ranks.values())
    # For every first label, where the group that begins with it ends; a group within the one before is left out.
    ends = [max(end for end, mean in enumerate(means) if mean - first < difference) for first in means]
    return tuple(
        tuple(labels[start : end + 1])
        for (start, end), before in zip(enumerate(ends), itertools.chain([-1], ends), strict=False)
        if end > before
    )


def _samples(tasks: Sequence[Values]) -> tuple[list[Sample], int]:
    """The sorted finite values of every task, and the number of those left out."""
    finite = [finite_values(task) for task in tasks]
    return [np.array(values) for values, _ in finite], sum(dropped for _, dropped in finite)


def _why_no_interval(samples: Sequence[Sample]) -> str:
    if min(map(len, samples)) < FEWEST_FOR_BOOTSTRAP:
        return f"fewer than {FEWEST_FOR_BOOTSTRAP} values of a task, no interval"
    if all(sample[0] == sample[-1] for sample in samples):
        return "all values of every task equal, no interval"
    return ""


def _percentiles(resampled: Float[np.ndarray, " resamples"]) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)
