"""Student's t interval and the uncorrected paired difference, until the report shows medians and corrected tests."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scipy.stats import t as student_t

from opselect.bench.statistics.comparisons import sign_flip_p_value
from opselect.bench.statistics.estimates import CONFIDENCE, Mean, are_equal, finite_values


@dataclass(frozen=True)
class PairedDifference:
    """The difference between two methods under the same seeds.

    Attributes:
        difference: Mean of first minus second over the common seeds, with its t interval.
        p_value: P-value of the two-sided sign-flip permutation test; None where the difference is undefined.
    """

    difference: Mean
    p_value: float | None


def t_interval(values: Iterable[float | None]) -> Mean:
    """The mean, the sample standard deviation and the t interval of the mean.

    Args:
        values: Observations; None, NaN and infinite ones are left out and counted.
    """
    finite, dropped = finite_values(values)
    n = len(finite)
    if n == 0:
        return Mean(None, None, None, 0, "no values", dropped=dropped)
    mean = math.fsum(finite) / n
    if n == 1:
        return Mean(mean, None, None, 1, "one value has no interval", dropped=dropped)
    if are_equal(finite):
        return Mean(mean, None, None, n, "all values equal, no interval", deviation=0.0, dropped=dropped)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1))
    half = float(student_t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
    return Mean(mean, mean - half, mean + half, n, deviation=deviation, dropped=dropped)


def paired_difference(first: Mapping[int, float | None], second: Mapping[int, float | None]) -> PairedDifference:
    """The mean difference over common seeds, its t interval, and the p-value of the sign-flip test.

    Args:
        first: Values of the first method by seed.
        second: Values of the second method by seed; seeds that only one method has are left out.
    """
    differences = []
    for common in sorted(first.keys() & second.keys()):
        minuend, subtrahend = first[common], second[common]
        differences.append(None if minuend is None or subtrahend is None else minuend - subtrahend)
    estimate = t_interval(differences)
    if estimate.n < 2:
        note = "fewer than 2 common seeds"
        return PairedDifference(Mean(None, None, None, estimate.n, note, dropped=estimate.dropped), None)
    return PairedDifference(estimate, sign_flip_p_value(finite_values(differences)[0]))
