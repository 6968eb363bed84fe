"""One test for all comparisons: the sign-flip test over common seeds, corrected for the number of comparisons.

Two methods run on the same seeds. If neither is better, either sign of each seed's difference is as likely, so the
signs are flipped in all 2^n ways, and the p-value is the share of patterns whose sum is at least as far from zero. No
shape of a distribution is assumed. The test has a floor, 2 / 2^n: no five seeds can reach 0.05, whatever they show.

Why this test and not Student's t: between equal methods both raise at most as many false alarms as they should, but on
skewed accuracies t finds far fewer differences (docs/statistics.md), and where all differences of two or three seeds
happen to be equal it is certain. Why Holm's correction: with 20 seeds it finds more than the joint distribution of the
largest statistic, which the most skewed comparison dominates, though its floor is higher.

`opselect check` asks another question of the same test (`shifts`).

Differences are sorted first, so the order of seeds changes no digit of a result.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from opselect.bench.statistics.estimates import CONFIDENCE, Mean, are_equal, finite_values

MOST_EXACT = 20
"""Up to this many seeds, all sign patterns are tried, a million for 20; with more seeds, random ones."""
RANDOM_PATTERNS = 2**16
"""Number of random sign patterns."""

BySeed: TypeAlias = Mapping[int, float | None]
"""Values of one method by seed; None, NaN and infinite ones are left out."""


@dataclass(frozen=True)
class Comparison:
    """The difference between two methods under the same seeds, as one of several comparisons.

    Attributes:
        difference: Mean of first minus second over the common seeds. The interval inverts the same test, and the
            intervals of all comparisons cover together; one that excludes zero has a p-value below the level.
        p_value: Two-sided p-value by Holm's method; None where there are no common seeds.
        smallest_p: Least p-value that this many seeds and comparisons can reach; None where there is none.
        tests: Number of comparisons with common seeds, which the p-value and the interval are corrected for.
    """

    difference: Mean
    p_value: float | None
    smallest_p: float | None
    tests: int


@dataclass(frozen=True)
class AgainstBest:
    """All methods against the one that came out best.

    Attributes:
        best: Label of the best method.
        comparisons: For every other label, that method minus the best one.
        indistinguishable: Labels, the best included, that the test cannot distinguish from the best.
    """

    best: str
    comparisons: dict[str, Comparison]
    indistinguishable: tuple[str, ...]


def smallest_p(seeds: int, comparisons: int = 1) -> float:
    """The least p-value that the two-sided sign-flip test can reach, corrected for the number of comparisons.

    Example:
        >>> smallest_p(5), smallest_p(8), round(smallest_p(8, comparisons=7), 3)
        (0.0625, 0.0078125, 0.055)
    """
    return min(1.0, comparisons * 2 / (2**seeds if seeds <= MOST_EXACT else RANDOM_PATTERNS))


def fewest_seeds(level: float, comparisons: int = 1) -> int:
    """The number of common seeds below which no comparison can reach a level.

    Example:
        >>> fewest_seeds(0.05), fewest_seeds(0.05, comparisons=7)
        (6, 9)
    """
    return next(seeds for seeds in range(1, 10_000) if comparisons * 2 / 2**seeds <= level)


def compare_pairs(pairs: Sequence[tuple[BySeed, BySeed]], level: float = 1 - CONFIDENCE) -> list[Comparison]:
    """Compare several pairs of methods, corrected for the number of pairs that have common seeds.

    Args:
        pairs: Values of the first and of the second method by seed.
        level: Chance of any false alarm, and of any interval that misses its difference.

    Returns:
        One comparison per pair. No interval where the seeds are too few for the level and the number of pairs, or
        where all differences are equal.

    Source: Hartigan, Using Subsample Values as Typical Values, 1969 (the intervals); Holm, 1979 (the correction).

    Example:
        >>> first = dict(enumerate([93.0, 94.0, 95.0, 93.5, 94.0, 96.0]))
        >>> second = dict(enumerate([92.0, 92.5, 93.0, 93.0, 93.25, 94.5]))
        >>> (found,) = compare_pairs([(first, second)])
        >>> found.difference.value, found.difference.low, found.difference.high
        (1.2083333333333333, 0.5, 2.0)
        >>> found.p_value, found.smallest_p
        (0.03125, 0.03125)
    """
    samples = [finite_values(_differences(first, second)) for first, second in pairs]
    tests = sum(bool(differences) for differences, _ in samples)
    corrected = holm([sign_flip_p_value(differences) if differences else None for differences, _ in samples])
    return [
        Comparison(
            _difference(differences, dropped, level, tests),
            p_value,
            smallest_p(len(differences), tests) if differences else None,
            tests,
        )
        for (differences, dropped), p_value in zip(samples, corrected, strict=True)
    ]


def compare_with_reference(
    values: Mapping[str, BySeed], reference: str, level: float = 1 - CONFIDENCE
) -> dict[str, Comparison]:
    """Every method minus the reference, corrected for their number.

    Args:
        values: Values by label and seed.
        reference: A label of `values`.
        level: Chance of any false alarm.
    """
    others = [label for label in values if label != reference]
    found = compare_pairs([(values[label], values[reference]) for label in others], level)
    return dict(zip(others, found, strict=True))


def compare_with_best(values: Mapping[str, BySeed], best: str, level: float = 1 - CONFIDENCE) -> AgainstBest:
    """Every method minus the best one, corrected for all pairs.

    The best of several equal methods looks better than the others by chance. Any of them could have come out as the
    best, so the comparisons with it are corrected for all pairs of methods, and hold whichever is the best.

    Args:
        values: Values by label and seed.
        best: Label of the method with the best mean.
        level: Chance that, of equally good methods, any is distinguished from the best.
    """
    pairs = list(combinations([best, *(label for label in values if label != best)], 2))
    found = dict(zip(pairs, compare_pairs([(values[b], values[a]) for a, b in pairs], level), strict=True))
    comparisons = {second: found[first, second] for first, second in pairs if first == best}
    told = {label for label, each in comparisons.items() if each.p_value is not None and each.p_value <= level}
    return AgainstBest(best, comparisons, tuple(label for label in values if label not in told))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for the number of tests, which bounds the chance of any false alarm among all of them.

    Args:
        p_values: P-values in any order; None where there is no test, which does not count.

    Returns:
        Corrected p-values in the same order; None remains None.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.

    Example:
        >>> holm([0.01, 0.04, None, 0.03])
        [0.03, 0.06, None, 0.06]
    """
    ranked = sorted((p_value, position) for position, p_value in enumerate(p_values) if p_value is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p_value, position) in enumerate(ranked):
        largest = max(largest, min(1.0, (len(ranked) - rank) * p_value))
        corrected[position] = largest
    return corrected


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """The two-sided p-value of the sign-flip test, without correction.

    Args:
        differences: One finite difference per seed.

    Example:
        >>> sign_flip_p_value([3.0, 3.0, -1.0])
        0.5
    """
    sums, total, tolerance = _flipped_sums(_upwards(differences)[0])
    return float((np.abs(sums) >= total - tolerance).mean())


def _differences(first: BySeed, second: BySeed) -> list[float | None]:
    """First minus second for every common seed; None where one of the two has no value."""
    pairs = [(first[seed], second[seed]) for seed in first.keys() & second.keys()]
    return [None if ours is None or theirs is None else minus(ours, theirs) for ours, theirs in pairs]


def minus(first: float, second: float) -> float:
    """First minus second, exactly 0 where they are equal but for their last bits."""
    return 0.0 if math.isclose(first, second, rel_tol=1e-9) else first - second


def _difference(differences: list[float], dropped: int, level: float, tests: int) -> Mean:
    """The mean of sorted differences, with the interval of one of several tests."""
    n = len(differences)
    if n == 0:
        return Mean(None, None, None, 0, "no common seeds", dropped)
    value = math.fsum(differences) / n
    if are_equal(differences):
        return Mean(value, None, None, n, "all differences equal, no interval", dropped, 0.0 if n > 1 else None)
    deviation = math.sqrt(math.fsum((each - value) ** 2 for each in differences) / (n - 1))
    limits = _sign_flip_interval(differences, level / tests)
    if limits is None:
        return Mean(value, None, None, n, f"{n} seeds are too few for an interval", dropped, deviation)
    return Mean(value, *limits, n, dropped=dropped, deviation=deviation)


def _sign_flip_interval(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    """Every shift of the differences that the sign-flip test does not reject at a level; None where it rejects none.

    The test rejects a shift above the mean if few subsets of the seeds have a mean difference above it. So the limits
    are the k-th smallest and the k-th largest of the mean differences of all subsets.
    """
    upwards, sign = _upwards(differences)
    sums, total, tolerance = _flipped_sums(upwards)
    k = math.floor(level * len(sums) / 2 + 1e-9)
    if k == 0:
        return None
    flipped = (total - sums) / 2
    flipped[np.abs(flipped) <= tolerance / 2] = 0
    # All but the first pattern, which flips no sign.
    means = flipped[1:] / _flipped_seeds(len(upwards))[1:]
    means.partition([k - 1, len(means) - k])
    limits = sorted((sign * float(means[k - 1]), sign * float(means[-k])))
    return limits[0], limits[1]


def _upwards(differences: Sequence[float]) -> tuple[Float[np.ndarray, " n"], int]:
    """The differences in ascending order, mirrored if their sum is negative, and the sign that mirrors them back."""
    sign = -1 if math.fsum(differences) < 0 else 1
    return np.array(sorted(sign * each for each in differences)), sign


def _flipped_sums(differences: Float[np.ndarray, " n"]) -> tuple[Float[np.ndarray, " patterns"], float, float]:
    """The sum of the differences under every sign pattern, the sum as it is, and the rounding error of both."""
    n = len(differences)
    if n <= MOST_EXACT:
        # Every pattern of the first half of the seeds with every one of the second half.
        first, second = differences[: n // 2], differences[n // 2 :]
        sums = np.add.outer(all_signs(len(first)) @ first, all_signs(len(second)) @ second).ravel()
    else:
        sums = random_signs(n) @ differences
    return sums, math.fsum(differences), 1e-12 * float(np.abs(differences).sum())


@lru_cache(maxsize=4)
def _flipped_seeds(n: int) -> Float[np.ndarray, " patterns"]:
    """The number of seeds whose sign is flipped, in the order of `_flipped_sums`."""
    return (n - _flipped_sums(np.ones(n))[0]) / 2


@lru_cache
def all_signs(n: int) -> Float[np.ndarray, "patterns n"]:
    """All patterns of n signs; the first has no minus."""
    return 1.0 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)


@lru_cache(maxsize=4)
def random_signs(n: int) -> Float[np.ndarray, "patterns n"]:
    """Random patterns of n signs; only the first has no minus, and every pattern has its opposite."""
    half = 1.0 - 2 * np.random.default_rng(0).integers(2, size=(RANDOM_PATTERNS // 2, n))
    half[np.abs(half.sum(axis=1)) == n, 0] *= -1
    half[0] = 1
    return np.concatenate([half, -half])
