"""How many seeds it takes to tell two selectors apart, from the records of a pilot."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import chi2, nct
from scipy.stats import t as student_t

from opselect.bench.runs.run import Run
from opselect.bench.statistics.comparisons import fewest_seeds, sign_flip_p_value, smallest_p
from opselect.bench.statistics.estimates import CONFIDENCE, Mean, mean_interval
from opselect.spaces.errors import UserError

MOST_SEEDS = 10_000
MOST_SIMULATED = 14
"""Up to this many seeds, power is simulated; the standard error is at most 0.013."""
SIMULATED_SAMPLES = 1500


class CannotEstimate(UserError, ValueError):
    """A pilot from which nothing can be planned; the message says what it lacks."""


@dataclass(frozen=True)
class SampleSize:
    """How many seeds a comparison of two selectors needs, by the sign-flip test that the report uses.

    Attributes:
        first: Label of the first selector.
        second: Label of the second selector.
        pilot: Mean difference of test accuracies in the pilot, first minus second over common seeds, in percentage
            points.
        difference: True difference that the comparison is to detect, in percentage points.
        power: Probability that the test detects this difference.
        level: Probability that the test finds a difference where there is none.
        comparisons: Number of comparisons for which the test is corrected.
        fewest: Number of seeds below which no p-value can reach the level, however large the difference.
        seeds: Number of seeds needed if the standard deviation of the differences is the pilot's; None if more than
            10,000.
        deviation_bound: Upper 95 % confidence bound of the standard deviation, in percentage points; a small pilot
            knows the deviation badly.
        seeds_bound: Number of seeds needed at that bound; None if more than 10,000.
    """

    first: str
    second: str
    pilot: Mean
    difference: float
    power: float
    level: float
    comparisons: int
    fewest: int
    seeds: int | None
    deviation_bound: float
    seeds_bound: int | None


def sample_size(
    pilot: Run,
    first: str,
    second: str,
    difference: float,
    power: float = 0.8,
    level: float = 0.05,
    comparisons: int = 1,
) -> SampleSize:
    """Estimate how many seeds a comparison of two selectors needs.

    Args:
        pilot: Trials of both selectors, with at least two common seeds.
        first: Label of the first selector.
        second: Label of the second selector.
        difference: Smallest difference of test accuracies that matters, in percentage points; more than 0.
        power: Probability that the test detects this difference.
        level: Significance level of the two-sided test.
        comparisons: Number of comparisons for which the test is corrected. Holm's method tests the first of them at
            the level divided by their number, which is what is planned for.

    Returns:
        The sample size, for the pilot's standard deviation and for its upper bound.

    Raises:
        CannotEstimate: A label is absent, or the differences in the pilot do not vary.
    """
    for label in (first, second):
        if label not in pilot.labels:
            raise CannotEstimate(f"no selector labelled {label!r} in the pilot; it has {', '.join(pilot.labels)}")
    ours, theirs = (pilot.values(label, lambda result: result.test_accuracy) for label in (first, second))
    paired = [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
    mean = mean_interval(None if one is None or other is None else one - other for one, other in paired)
    if mean.n < 2 or not mean.deviation:
        raise CannotEstimate(
            f"{first} and {second} have {mean.n} common seed(s) with accuracies"
            f"{' and always the same difference' if mean.n > 1 else ''}; expected at least two whose differences vary"
        )
    # The variance of n observations, in units of the true one, is chi-squared with n - 1 degrees of freedom.
    bound = mean.deviation * math.sqrt((mean.n - 1) / float(chi2.ppf(1 - CONFIDENCE, mean.n - 1)))
    return SampleSize(
        first=first,
        second=second,
        pilot=mean,
        difference=difference,
        power=power,
        level=level,
        comparisons=comparisons,
        fewest=fewest_seeds(level, comparisons),
        seeds=seeds_needed(difference / mean.deviation, power, level / comparisons),
        deviation_bound=bound,
        seeds_bound=seeds_needed(difference / bound, power, level / comparisons),
    )


def power_of(effect: float, seeds: int, level: float) -> float:
    """Probability that the two-sided sign-flip test detects an effect, if the differences are normally distributed.

    Up to 14 seeds by simulation, since near its floor the test finds less than any formula says; with more seeds it
    finds what Student's t test finds.

    Args:
        effect: Mean of the differences in units of their standard deviation.
        seeds: Number of pairs, at least 2.
        level: Significance level of the test.

    Returns:
        The power of the test, between 0 and 1.

    Example:
        >>> round(power_of(effect=0.5, seeds=34, level=0.05), 2)
        0.81
    """
    if seeds <= MOST_SIMULATED:
        return _simulated_power(effect, seeds, level)
    critical = float(student_t.ppf(1 - level / 2, seeds - 1))
    shift = effect * math.sqrt(seeds)
    # Far in its tail the distribution is not a number.
    return float(nct.sf(critical, seeds - 1, shift) + np.nan_to_num(nct.cdf(-critical, seeds - 1, shift)))


@lru_cache(maxsize=256)
def _simulated_power(effect: float, seeds: int, level: float) -> float:
    if smallest_p(seeds) > level:
        return 0.0
    samples = np.random.default_rng(0).normal(effect, 1, (SIMULATED_SAMPLES, seeds))
    return float(np.mean([sign_flip_p_value(sample) <= level for sample in samples.tolist()]))


def seeds_needed(effect: float, power: float, level: float) -> int | None:
    """Smallest number of seeds at which the two-sided sign-flip test has the given power.

    Args:
        effect: Mean of the differences in units of their standard deviation, more than 0.
        power: Probability that the test detects this effect.
        level: Significance level of the test.

    Returns:
        The number of seeds, or None if more than 10,000 are needed.

    Example:
        >>> seeds_needed(effect=0.5, power=0.8, level=0.05)
        34
    """
    # Upwards from few seeds: far beyond the answer, the distribution is not computed reliably.
    low = high = 2
    while power_of(effect, high, level) < power:
        if high == MOST_SEEDS:
            return None
        low, high = high + 1, min(2 * high, MOST_SEEDS)
    while low < high:
        middle = (low + high) // 2
        if power_of(effect, middle, level) >= power:
            high = middle
        else:
            low = middle + 1
    return low
