"""Means with their uncertainty, where "undefined" is a state of its own and never a number.

The values are sorted first, so the order of seeds changes no digit of a result.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from scipy.stats import t as student_t

CONFIDENCE = 0.95
"""Confidence level of all intervals."""
RESAMPLES = 2000
"""Number of bootstrap resamples."""


@dataclass(frozen=True)
class Estimate:
    """A number with a 95 % interval.

    Attributes:
        value: The number; None where it is undefined, and `note` then says why.
        low: Lower end of the interval; None where the interval is undefined, and `note` then says why.
        high: Upper end of the interval; None where `low` is.
        n: Number of observations that were used.
        note: Reason why the number or its interval is undefined, otherwise empty.
        dropped: Number of observations left out because they were not finite or not defined.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""
    dropped: int = 0


@dataclass(frozen=True)
class Mean(Estimate):
    """A mean with its t interval.

    Attributes:
        deviation: Sample standard deviation of the observations (n - 1 in the denominator); None where it is undefined.
    """

    deviation: float | None = None


def mean_interval(values: Iterable[float | None]) -> Mean:
    """The mean, the sample standard deviation and the t interval of the mean.

    The t interval, not the bootstrap: with the usual five seeds a percentile bootstrap covers 84 %, not 95 %.
    Equal values have a mean but no interval, since they show no spread from which to estimate one.

    Args:
        values: Observations, one per seed for example; None, NaN and infinite ones are left out and counted.

    Example:
        >>> mean = mean_interval([93.0, 94.0, 95.0, None])
        >>> mean.value, mean.deviation, mean.n, mean.dropped
        (94.0, 1.0, 3, 1)
        >>> round(mean.low, 2), round(mean.high, 2)
        (91.52, 96.48)
    """
    given = list(values)
    finite = sorted(value for value in given if value is not None and math.isfinite(value))
    n, dropped = len(finite), len(given) - len(finite)
    if n == 0:
        return Mean(None, None, None, 0, "no values", dropped=dropped)
    mean = math.fsum(finite) / n
    if n == 1:
        return Mean(mean, None, None, 1, "one value has no interval", dropped=dropped)
    # Differences of decimal fractions that are equal on paper may differ in their last bits.
    if math.isclose(finite[0], finite[-1], rel_tol=1e-9):
        return Mean(mean, None, None, n, "all values equal, no interval", deviation=0.0, dropped=dropped)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1))
    half = float(student_t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
    return Mean(mean, mean - half, mean + half, n, deviation=deviation, dropped=dropped)
