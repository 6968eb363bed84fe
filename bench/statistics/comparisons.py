"""Tests of differences between methods, and the correction for their number.

The values are sorted first, so the order of seeds changes no digit of a result.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student_t
from scipy.stats import ttest_ind

from opselect.bench.statistics.estimates import CONFIDENCE, Mean, mean_interval

EXACT_SIGN_FLIPS = 16
"""Up to this many seeds, all sign patterns are tried (65,536); with more seeds, as many random ones."""


@dataclass(frozen=True)
class PairedDifference:
    """The difference between two methods under the same seeds.

    Attributes:
        difference: Mean of first minus second over the common seeds, with its t interval.
        p_value: P-value of the two-sided sign-flip permutation test; None where the difference is undefined.
    """

    difference: Mean
    p_value: float | None


def paired_difference(
    first: Mapping[int, float | None], second: Mapping[int, float | None], seed: int = 0
) -> PairedDifference:
    """The mean difference over common seeds, its t interval, and an exact test of "no difference".

    The test flips the signs of the differences in all 2^n ways: without a difference, either sign is as likely. Its
    smallest possible p-value is 2 / 2^n: 0.0625 with five seeds.

    Args:
        first: Values of the first method by seed.
        second: Values of the second method by seed; seeds that only one method has are left out.
        seed: Seed of the random sign patterns, which are used with more than `EXACT_SIGN_FLIPS` seeds.

    Example:
        >>> paired = paired_difference({0: 93.0, 1: 94.0, 2: 95.0}, {0: 92.0, 1: 92.5, 2: 93.0})
        >>> paired.difference.value, paired.p_value
        (1.5, 0.25)
    """
    differences = []
    for common in sorted(first.keys() & second.keys()):
        minuend, subtrahend = first[common], second[common]
        differences.append(None if minuend is None or subtrahend is None else minuend - subtrahend)
    estimate = mean_interval(differences)
    if estimate.n < 2:
        note = "fewer than 2 common seeds"
        return PairedDifference(Mean(None, None, None, estimate.n, note, dropped=estimate.dropped), None)
    finite = sorted(value for value in differences if value is not None and math.isfinite(value))
    return PairedDifference(estimate, _sign_flip_p_value(np.array(finite), seed))


def _sign_flip_p_value(differences: Float[np.ndarray, " n"], seed: int) -> float:
    n = len(differences)
    if n <= EXACT_SIGN_FLIPS:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        patterns = np.random.default_rng(seed).integers(2, size=(2**EXACT_SIGN_FLIPS, n))
        patterns[0] = 0  # the observed pattern counts too, so that the p-value is never 0
    sums = np.abs((1 - 2 * patterns) @ differences)
    # Sums that are equal on paper may differ in their last bits.
    observed = abs(math.fsum(differences)) - 1e-12 * float(np.abs(differences).sum())
    return float((sums >= observed).mean())


@dataclass(frozen=True)
class Comparison:
    """The difference between two methods by a t test.

    Attributes:
        difference: Mean of first minus second, with its interval where it is defined.
        p_value: Two-sided p-value of "no difference"; None where there is no test.
        test: Name of the test: `paired t`, `Welch` or `none`.
    """

    difference: Mean
    p_value: float | None
    test: str


def t_test(first: Mapping[int, float | None], second: Mapping[int, float | None]) -> Comparison:
    """Compare two methods by a t test: over the common seeds where there are two or more, else over all of each.

    The sign-flip test of `paired_difference` needs no normal distribution, but with five seeds stays above 0.06.
    Where all differences are equal and not zero, they do not vary by chance, and the p-value is 0.

    Args:
        first: Values of the first method by seed; None, NaN and infinite ones are left out.
        second: Values of the second method by seed.

    Example:
        >>> comparison = t_test({0: 93.0, 1: 94.0, 2: 95.0}, {0: 92.0, 1: 92.5, 2: 93.0})
        >>> comparison.difference.value, round(comparison.p_value, 3), comparison.test
        (1.5, 0.035, 'paired t')
    """
    ours, theirs = (
        {seed: v for seed, v in values.items() if v is not None and math.isfinite(v)} for values in (first, second)
    )
    common = sorted(ours.keys() & theirs.keys())
    if len(common) >= 2:
        difference = mean_interval(ours[seed] - theirs[seed] for seed in common)
        return Comparison(difference, _t_test_p_value(difference), "paired t")
    if len(ours) < 2 or len(theirs) < 2:
        return Comparison(Mean(None, None, None, min(len(ours), len(theirs)), "fewer than 2 seeds"), None, "none")
    our_mean, their_mean = mean_interval(ours.values()), mean_interval(theirs.values())
    assert our_mean.value is not None and their_mean.value is not None
    value, n = our_mean.value - their_mean.value, min(our_mean.n, their_mean.n)
    if not our_mean.deviation and not their_mean.deviation:
        mean = Mean(value, None, None, n, "all values equal, no interval", deviation=0.0)
        return Comparison(mean, _t_test_p_value(mean), "Welch")
    with warnings.catch_warnings():
        # scipy warns if the values of one method do not vary; the spread of the other is enough for this test.
        warnings.simplefilter("ignore", RuntimeWarning)
        test = ttest_ind(list(ours.values()), list(theirs.values()), equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    mean = Mean(value, float(low), float(high), n)
    return Comparison(mean, float(test.pvalue), "Welch")


def _t_test_p_value(difference: Mean) -> float:
    assert difference.value is not None
    if not difference.deviation:
        return 1.0 if math.isclose(difference.value, 0, abs_tol=1e-9) else 0.0
    statistic = abs(difference.value) / (difference.deviation / math.sqrt(difference.n))
    return float(2 * student_t.sf(statistic, difference.n - 1))


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
