"""Medians and means with intervals that assume no shape of a distribution; "undefined" is a state, never a number.

Test accuracies of selected architectures are skewed and bounded, and there are few of them: t intervals cover too
little and end above 100 %. The values are sorted first, so the order of seeds changes no digit of a result.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

CONFIDENCE = 0.95
"""Confidence level of all intervals but those of medians, which state their own."""
MEDIAN_COVERAGE = 15 / 16
"""Least coverage of the interval of a median where the number of values allows it: what five values reach."""
FEWEST_FOR_MEDIAN = 3
"""Number of values below which a median has no interval."""
FEWEST_FOR_MEAN = 10
"""Number of values below which a mean has no interval."""
RESAMPLES = 2000
"""Number of bootstrap resamples."""

PERCENT = (0.0, 100.0)
"""Bounds of percentages."""
CORRELATION = (-1.0, 1.0)
"""Bounds of correlations."""
NOT_NEGATIVE = (0.0, math.inf)
"""Bounds of counts, sizes and times."""


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
    """A mean with its interval.

    Attributes:
        deviation: Sample standard deviation of the observations (n - 1 in the denominator); None where it is undefined.
    """

    deviation: float | None = None


@dataclass(frozen=True)
class Median(Estimate):
    """A median with the interval between two of the sorted values.

    Attributes:
        coverage: Chance that the interval covers the true median, whatever the distribution: exact for a continuous
            one, at least this where values can be equal; None where there is no interval.
    """

    coverage: float | None = None


def finite_values(values: Iterable[float | None]) -> tuple[list[float], int]:
    """The finite values in ascending order, and the number of the others: None, NaN and infinite ones."""
    given = list(values)
    finite = sorted(float(value) for value in given if value is not None and math.isfinite(value))
    return finite, len(given) - len(finite)


def are_equal(ascending: list[float]) -> bool:
    """Whether all values are equal; differences that are equal on paper may differ in their last bits."""
    return math.isclose(ascending[0], ascending[-1], rel_tol=1e-9)


def pooled_deviation(groups: Iterable[Sequence[float]]) -> float | None:
    """The standard deviation within groups that differ in their mean alone; None where no group has two values.

    Args:
        groups: Values of every group, the single trainings of one network for example.

    Example:
        >>> pooled_deviation([[1.0, 3.0], [10.0, 12.0], [7.0]])
        1.4142135623730951
    """
    several = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in several)
    squares = math.fsum((value - math.fsum(group) / len(group)) ** 2 for group in several for value in group)
    return math.sqrt(squares / freedom) if freedom else None


def median_interval(values: Iterable[float | None]) -> Median:
    """The median and the narrowest symmetric pair of sorted values around it that covers enough.

    A value lies below the true median with a chance of one half. So the k-th smallest and the k-th largest of n values
    enclose the median unless fewer than k lie on one side, and the coverage is a sum of binomial probabilities,
    whatever the distribution. The largest k with at least 93.75 % is taken. That is k = 1, smallest to largest, up to
    8 values; 3 and 4 values cover only 75 % and 87.5 %, as `coverage` says.

    Args:
        values: Observations, one per seed for example; None, NaN and infinite ones are left out and counted.

    Returns:
        The median; without an interval if there are fewer than three values or all are equal.

    Example:
        >>> median = median_interval([93.0, 94.0, 91.0, 95.0, None, 94.5])
        >>> median.value, median.low, median.high, median.coverage
        (94.0, 91.0, 95.0, 0.9375)
    """
    finite, dropped = finite_values(values)
    n = len(finite)
    if n == 0:
        return Median(None, None, None, 0, "no values", dropped)
    value = (finite[(n - 1) // 2] + finite[n // 2]) / 2
    if n < FEWEST_FOR_MEDIAN:
        return Median(value, None, None, n, f"fewer than {FEWEST_FOR_MEDIAN} values, no interval", dropped)
    if are_equal(finite):
        return Median(value, None, None, n, "all values equal, no interval", dropped)
    k, coverage = _order_statistic(n)
    return Median(value, finite[k - 1], finite[n - k], n, dropped=dropped, coverage=coverage)


@lru_cache
def _order_statistic(n: int) -> tuple[int, float]:
    """The largest k whose interval of n values covers enough, at least 1, and the coverage."""
    coverages = [1 - 2 * float(binom.cdf(k - 1, n, 0.5)) for k in range(1, n // 2 + 1)]
    k = max(sum(coverage >= MEDIAN_COVERAGE - 1e-12 for coverage in coverages), 1)
    return k, coverages[k - 1]


def mean_interval(values: Iterable[float | None], bounds: tuple[float, float] = (-math.inf, math.inf)) -> Mean:
    """The mean, the sample standard deviation and, from ten values on, the bootstrap-t interval of the mean.

    Bootstrap-t follows the skew of the values: every resample gives a t statistic of its own, and their quantiles take
    the place of Student's. On a logarithmic or logit scale it covered no more, so none is used, and the limits are
    clipped to the bounds. Its coverage on real tables is in docs/statistics.md; below ten values it is no better than
    that of Student's t, so there is no interval, and the median has one.

    Args:
        values: Observations, one per seed for example; None, NaN and infinite ones are left out and counted.
        bounds: Least and largest value that the quantity can have, `(0, 100)` for percentages for example.

    Returns:
        The mean; without an interval if there are fewer than ten values, or if so many are equal that one resample in
        40 shows no spread.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 12.5.

    Example:
        >>> mean = mean_interval([93.0, 94.0, 95.0, None])
        >>> mean.value, mean.deviation, mean.n, mean.dropped
        (94.0, 1.0, 3, 1)
        >>> mean.low, mean.note
        (None, 'fewer than 10 values, no interval')
        >>> mean = mean_interval([91.0, 92.0, 93.0, 94.0, 95.0, 96.0, 97.0, 98.0, 99.0, 99.5], (0.0, 100.0))
        >>> mean.low < 94 < 97 < mean.high <= 100
        True
    """
    finite, dropped = finite_values(values)
    n = len(finite)
    if n == 0:
        return Mean(None, None, None, 0, "no values", dropped)
    value = math.fsum(finite) / n
    if n == 1:
        return Mean(value, None, None, 1, f"fewer than {FEWEST_FOR_MEAN} values, no interval", dropped)
    if are_equal(finite):
        return Mean(value, None, None, n, "all values equal, no interval", dropped, deviation=0.0)
    deviation = math.sqrt(math.fsum((each - value) ** 2 for each in finite) / (n - 1))
    if n < FEWEST_FOR_MEAN:
        return Mean(value, None, None, n, f"fewer than {FEWEST_FOR_MEAN} values, no interval", dropped, deviation)
    lower, upper = _bootstrap_t_quantiles((np.array(finite) - value) / deviation)
    if not math.isfinite(upper - lower):
        return Mean(value, None, None, n, "too many equal values, no interval", dropped, deviation)
    error = deviation / math.sqrt(n)
    low, high = max(value - upper * error, bounds[0]), min(value - lower * error, bounds[1])
    return Mean(value, low, high, n, dropped=dropped, deviation=deviation)


def _bootstrap_t_quantiles(centred: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Quantiles of the t statistics of resamples; infinite or NaN where too many of them have no spread."""
    n = len(centred)
    counts = _resamples(n)
    means = counts @ centred / n
    squares = counts @ centred**2 - n * means**2
    # Without spread, up to rounding, the t statistic of a resample is infinite.
    spreadless = squares < 1e-9
    statistics = means * math.sqrt(n) / np.sqrt(np.where(spreadless, 1, squares) / (n - 1))
    statistics[spreadless] = np.sign(means[spreadless]) * math.inf
    outside = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    statistics.sort()
    return float(statistics[outside]), float(statistics[-1 - outside])


@lru_cache
def _resamples(n: int) -> Float[np.ndarray, "resamples n"]:
    """How often each of n observations occurs in each resample."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
