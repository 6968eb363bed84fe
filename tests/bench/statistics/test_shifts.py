"""Shifts between two runs: hand-worked numbers, agreement with scipy, and false alarms."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from opselect.bench.statistics.comparisons import BySeed
from opselect.bench.statistics.shifts import shifts

seed_values = st.dictionaries(st.integers(0, 99), st.floats(0, 100), min_size=2, max_size=9)


def by_seed(values: Sequence[float]) -> dict[int, float | None]:
    return dict(enumerate(values))


def test_a_paired_shift_by_hand() -> None:
    before = by_seed([60.0, 61.0, 62.0, 63.0, 64.0])
    worse = by_seed([50.0, 51.5, 53.0, 52.0, 54.0])
    # Units: sums of signed differences over the root of their squares. "noisy" reaches 1.79 under its own best signs,
    # "even" all of 2.236, but downwards only under one pattern and its own.
    found = shifts({"worse": (worse, before), "same": (before, before)}, 0.05)
    assert found["worse"].value == pytest.approx(-9.9)
    assert (found["worse"].p_value, found["worse"].smallest_p, found["worse"].n) == (1 / 32, 1 / 32, 5)
    assert (found["same"].value, found["same"].p_value, found["same"].test) == (0, 1, "paired sign-flip")
    better = shifts({"better": (before, worse)}, 0.05)["better"]
    assert (better.value, better.p_value) == (pytest.approx(9.9), 1 / 32)
    # Another measure that would fall as evenly under other signs costs one more pattern.
    even = by_seed([61.0, 60.0, 63.0, 62.0, 65.0])
    found = shifts({"worse": (worse, before), "even": (even, before)}, 0.05)
    assert found["worse"].p_value == 2 / 32


def test_a_shift_between_other_seeds_by_hand() -> None:
    before, after = {0: 5.0, 1: 6.0, 2: 7.0}, {10: 1.0, 11: 2.0, 12: 3.0, 13: 4.0}
    found = shifts({"measure": (after, before)}, 0.05)["measure"]
    # Of the 35 ways to choose the four of the run, none but the observed one has only the four smallest values.
    assert found.value == pytest.approx(2.5 - 6)
    assert (found.p_value, found.smallest_p, found.test, found.n) == (1 / 35, 1 / 35, "permutation", 3)
    mixed = shifts({"measure": ({10: 1.0, 11: 6.5}, {0: 5.0, 1: 7.0})}, 0.05)["measure"]
    # Differences of means over the 6 ways: -2.25 as observed, and one lower: 1 and 5 against 6.5 and 7.
    assert (mixed.p_value, mixed.smallest_p) == (2 / 6, 1 / 6)


def test_unpaired_shifts_are_as_those_of_scipy() -> None:
    generator = np.random.default_rng(6)
    first, second = generator.normal(0, 1, 6).tolist(), generator.normal(1, 2, 5).tolist()

    def statistic(ours: np.ndarray, theirs: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.mean(ours, axis=axis) - np.mean(theirs, axis=axis)

    expected = stats.permutation_test((first, second), statistic, alternative="less", n_resamples=np.inf)
    found = shifts({"measure": (by_seed(first), dict(enumerate(second, start=50)))}, 0.05)["measure"]
    assert found.value is not None and found.value < 0
    assert found.p_value == pytest.approx(expected.pvalue)


def test_common_seeds_count_only_where_they_can_raise_an_alarm() -> None:
    first, second = by_seed([1.0, 2.0, 3.0, 4.0, 5.0]), by_seed([11.0, 12.5, 13.0, 14.0, 15.0])
    fewer = {seed: second[seed] for seed in range(4)}
    assert shifts({"measure": (first, second)}, 0.05)["measure"].test == "paired sign-flip"
    assert shifts({"measure": (first, fewer)}, 0.05)["measure"].test == "permutation"
    few = {0: 1.0, 1: 2.0}, {0: 2.0, 1: 4.0}
    assert shifts({"measure": few}, 0.05)["measure"].test == "paired sign-flip"
    # Two kinds of test in one family are both corrected for there being two.
    found = shifts({"pairs": (first, second), "others": (first, {9: 11.0, 10: 12.0, 11: 13.0})}, 0.07)
    assert found["pairs"].p_value == found["pairs"].smallest_p == 2 / 32
    assert found["others"].p_value == found["others"].smallest_p == 2 / math.comb(8, 3)


def test_shifts_without_values_or_spread_are_no_alarm() -> None:
    nothing = shifts({"measure": ({0: None}, {0: 1.0})}, 0.05)["measure"]
    assert (nothing.value, nothing.p_value, nothing.smallest_p, nothing.test) == (None, None, None, "none")
    # A constant leaves rounding errors where its mean is taken away; they are no spread.
    constant = dict.fromkeys(range(5), 63.1), dict.fromkeys(range(10, 15), 63.1)
    found = shifts({"constant": constant, "fell": (by_seed([1.0] * 5), dict.fromkeys(range(10, 15), 9.0))}, 0.05)
    assert found["constant"].p_value == 1
    assert found["fell"].p_value == 1 / math.comb(10, 5)
    assert shifts({}, 0.05) == {}


@pytest.mark.parametrize("common", [True, False])
def test_repeated_runs_raise_no_more_false_alarms_than_stated(common: bool) -> None:
    generator = np.random.default_rng(7)
    alarms = 0
    for sample in generator.exponential(size=(500, 2, 8, 5)):
        seeds = range(5), range(5) if common else range(50, 55)
        runs = [
            [dict(zip(names, row.tolist(), strict=True)) for row in run]
            for run, names in zip(sample, seeds, strict=True)
        ]
        found = shifts(dict(enumerate(zip(*runs, strict=True))), 0.05)
        alarms += any(each.p_value <= 0.05 and each.value < 0 for each in found.values())  # type: ignore[operator]
    assert alarms / 500 <= 0.05 + 0.02


def test_many_seeds_are_exchanged_at_random() -> None:
    generator = np.random.default_rng(8)
    first, second = generator.normal(size=(2, 12))
    found = shifts({"measure": (by_seed(first), dict(enumerate(second + 2, start=20)))}, 0.05)["measure"]
    assert found.smallest_p == 1 / 2**16
    assert found.p_value == pytest.approx(stats.ttest_ind(first, second + 2, alternative="less").pvalue, abs=1e-3)


@given(seed_values, seed_values, st.permutations(range(100)))
@settings(max_examples=60, deadline=None)
def test_names_and_order_of_seeds_are_irrelevant(first: BySeed, second: BySeed, renamed: list[int]) -> None:
    def rename(values: BySeed) -> dict[int, float | None]:
        return {renamed[seed]: values[seed] for seed in reversed(list(values))}

    expected = shifts({"measure": (first, second)}, 0.05)["measure"]
    found = shifts({"measure": (rename(first), rename(second))}, 0.05)["measure"]
    assert (found.p_value, found.smallest_p, found.test) == (expected.p_value, expected.smallest_p, expected.test)
    assert found.value == expected.value
