"""Means and their intervals: hand-worked numbers, coverage, and what is undefined."""

import math

import numpy as np
import pytest

from opselect.bench.statistics.estimates import mean_interval


def test_mean_interval_by_hand() -> None:
    # Mean 3, deviation sqrt(10 / 4), and 2.7764 is Student's t for 95 % and 4 degrees of freedom.
    mean = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.7764451 * math.sqrt(2.5) / math.sqrt(5)
    assert mean.deviation == pytest.approx(math.sqrt(2.5))
    assert [mean.value, mean.low, mean.high] == pytest.approx([3, 3 - half, 3 + half])
    assert (mean.n, mean.note) == (5, "")


def test_mean_interval_says_what_it_cannot_know() -> None:
    assert mean_interval([]) == mean_interval(iter(())) and mean_interval([]).value is None
    single = mean_interval([7.0, None, math.nan])
    assert (single.value, single.deviation, single.low, single.n, single.dropped) == (7, None, None, 1, 2)
    equal = mean_interval([0.3 - 0.1, 0.5 - 0.3, 0.2])
    assert (equal.deviation, equal.low, equal.high) == (0, None, None)
    assert "no interval" in single.note and "no interval" in equal.note


def test_the_t_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    samples = np.random.default_rng(0).normal(10, 2, size=(2000, 5))
    covered = [bool(m.low < 10 < m.high) for m in map(mean_interval, samples.tolist())]  # type: ignore[operator]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_what_a_mean_rests_on_is_told() -> None:
    none = mean_interval([None, math.nan])
    assert (none.value, none.n, none.note, none.dropped) == (None, 0, "no values", 2)
    one = mean_interval([None, 4.0])
    assert (one.value, one.n, one.note, one.dropped) == (4.0, 1, "one value has no interval", 1)
    equal = mean_interval([4.0, 4.0, math.inf])
    assert (equal.value, equal.deviation, equal.low, equal.dropped) == (4.0, 0.0, None, 1)
    assert equal.note == "all values equal, no interval"
    # Only the first, or only the last of the sorted values is another one.
    for values in ([1.0, 4.0, 4.0, None], [4.0, 4.0, 9.0, None]):
        some = mean_interval(values)
        assert some.deviation == pytest.approx(np.std(values[:3], ddof=1))
        assert (some.n, some.note, some.dropped) == (3, "", 1)
