"""Medians and means with their intervals: hand-worked numbers, coverage, and what is undefined."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from opselect.bench.statistics.estimates import Estimate, mean_interval, median_interval

values = st.lists(st.one_of(st.none(), st.integers(-50, 50).map(lambda number: number / 4)), max_size=25)


@pytest.mark.parametrize(
    ("n", "low", "high", "coverage"),
    [
        # Of 2^n patterns of "below or above the true median", 2 leave all values on one side, 2n all but one.
        (3, 0, 2, 1 - 2 / 2**3),
        (4, 0, 3, 1 - 2 / 2**4),
        (5, 0, 4, 1 - 2 / 2**5),
        (8, 0, 7, 1 - 2 / 2**8),
        (9, 1, 7, 1 - (2 + 2 * 9) / 2**9),
        (10, 1, 8, 1 - (2 + 2 * 10) / 2**10),
        (20, 5, 14, 0.9586105),
    ],
)
def test_a_median_lies_between_two_values_whose_coverage_is_exact(n: int, low: int, high: int, coverage: float) -> None:
    found = median_interval([float(place**2) for place in reversed(range(n))])
    assert (found.low, found.high) == (low**2, high**2)
    assert found.coverage == pytest.approx(coverage, abs=1e-7)
    assert found.value == np.median(np.arange(n) ** 2)
    assert (found.n, found.note, found.dropped) == (n, "", 0)


def test_no_narrower_pair_of_values_would_cover_enough() -> None:
    for n in range(5, 60):
        found = median_interval([float(place) for place in range(n)])
        assert found.low is not None and found.coverage is not None
        k = int(found.low) + 1
        assert found.coverage == pytest.approx(1 - 2 * stats.binom.cdf(k - 1, n, 0.5))
        assert found.coverage >= 0.9375
        assert 1 - 2 * stats.binom.cdf(k, n, 0.5) < 0.9375


@pytest.mark.parametrize("n", [5, 10, 20])
def test_the_interval_of_a_median_covers_as_often_as_it_says(n: int) -> None:
    samples = np.random.default_rng(0).exponential(size=(4000, n))
    found = [median_interval(sample) for sample in samples.tolist()]
    covered = [each.low <= math.log(2) <= each.high for each in found]  # type: ignore[operator]
    assert np.mean(covered) == pytest.approx(found[0].coverage, abs=0.015)


def test_mean_and_deviation_by_hand() -> None:
    mean = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (mean.value, mean.deviation) == (3, pytest.approx(math.sqrt(10 / 4)))
    assert (mean.low, mean.n, mean.note) == (None, 5, "fewer than 10 values, no interval")


def test_the_interval_of_a_mean_is_that_of_a_slow_loop_over_the_same_resamples() -> None:
    sample = sorted(np.random.default_rng(1).exponential(size=12).tolist())
    counts = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), 2000)
    mean, error = np.mean(sample), stats.sem(sample)
    statistics = []
    for times in counts:
        resample = np.repeat(sample, times)
        statistics.append((resample.mean() - mean) / stats.sem(resample))
    lower, upper = sorted(statistics)[50], sorted(statistics)[1949]
    found = mean_interval(sample)
    assert (found.low, found.high) == (pytest.approx(mean - upper * error), pytest.approx(mean - lower * error))


def test_the_interval_of_a_mean_follows_skew_where_students_does_not() -> None:
    samples = np.random.default_rng(2).exponential(size=(1500, 10))
    missed: dict[str, list[bool]] = {}
    for sample in samples.tolist():
        found = mean_interval(sample)
        students = stats.t.interval(0.95, 9, np.mean(sample), stats.sem(sample))
        for name, (low, high) in (("bootstrap", (found.low, found.high)), ("t", students)):
            assert low is not None and high is not None
            missed.setdefault(name, []).append(not low <= 1 <= high)
    assert np.mean(missed["bootstrap"]) == pytest.approx(0.05, abs=0.015)
    assert np.mean(missed["t"]) > 0.08


def test_the_interval_of_a_mean_stays_within_the_bounds() -> None:
    skewed = [99.9, 99.8, 99.9, 99.7, 99.95, 99.6, 99.9, 99.99, 60.0, 99.8]
    free, bounded = mean_interval(skewed), mean_interval(skewed, (0.0, 100.0))
    assert free.low is not None and free.high is not None and free.high > 100 > free.low
    assert (bounded.low, bounded.high) == (max(free.low, 0.0), 100.0)
    # Numbers of parameters, of which a t interval says that they may be negative.
    parameters = [5e3, 6e3, 5e3, 7e3, 5.5e3, 8e3, 5e3, 6e3, 9e5, 5e3]
    assert stats.t.interval(0.95, 9, np.mean(parameters), stats.sem(parameters))[0] < 0
    found = mean_interval(parameters, (0.0, math.inf))
    assert found.low is not None and found.low >= 0


@given(values, st.randoms())
@settings(max_examples=60)
def test_the_order_of_values_changes_no_digit(sample: list[float | None], chance: Random) -> None:
    shuffled = chance.sample(sample, len(sample))
    assert median_interval(shuffled) == median_interval(sample)
    assert mean_interval(shuffled, (-20.0, 20.0)) == mean_interval(sample, (-20.0, 20.0))


@given(values)
@settings(max_examples=60)
def test_an_estimate_has_two_limits_around_it_or_a_reason(sample: list[float | None]) -> None:
    found: Estimate
    for found in (median_interval(sample), mean_interval(sample)):
        assert found.n + found.dropped == len(sample)
        assert (found.value is None) == (found.n == 0)
        assert (found.low is None) == (found.high is None) == bool(found.note)
        if found.low is not None and found.high is not None and found.value is not None:
            assert found.low <= found.value <= found.high


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    sample = [3.0, None, 1.0, math.nan, 2.0, math.inf, -math.inf, 5.0]
    assert (median_interval(sample).value, median_interval(sample).n, median_interval(sample).dropped) == (2.5, 4, 4)
    assert (mean_interval(sample).value, mean_interval(sample).n, mean_interval(sample).dropped) == (2.75, 4, 4)


def test_estimates_say_what_they_cannot_know() -> None:
    for of in (median_interval, mean_interval):
        none, one = of([None, math.nan]), of([None, 4.0])
        assert (none.value, none.n, none.note, none.dropped) == (None, 0, "no values", 2)
        assert (one.value, one.low, one.n, one.dropped) == (4.0, None, 1, 1)
        assert of(iter(())) == of([])
        equal = of([0.3 - 0.1, 0.5 - 0.3, *[0.2] * 10])
        assert (equal.value, equal.low, equal.note) == (pytest.approx(0.2), None, "all values equal, no interval")
    assert mean_interval([4.0, 4.0]).deviation == 0 and mean_interval([4.0]).deviation is None
    assert median_interval([1.0, 2.0]).note == "fewer than 3 values, no interval"
    assert median_interval([1.0, 2.0]).coverage is None


def test_a_mean_of_nearly_equal_values_has_no_interval() -> None:
    # A third of the resamples miss the one that differs, so their spread is zero.
    found = mean_interval([94.0] * 9 + [90.0])
    assert (found.value, found.low, found.note) == (93.6, None, "too many equal values, no interval")
    assert median_interval([94.0] * 9 + [90.0]).high == 94.0
