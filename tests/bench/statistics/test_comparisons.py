"""Comparisons: hand-worked numbers, agreement with scipy, and what must not change a result."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from opselect.bench.statistics.comparisons import holm, paired_difference, t_test

seed_values = st.dictionaries(st.integers(0, 99), st.floats(0, 100), min_size=2, max_size=9)


def test_paired_difference_by_hand() -> None:
    first, second = {0: 5.0, 1: 7.0, 2: 9.0, 3: 100.0}, {0: 4.0, 1: 5.0, 2: 6.0, 4: -100.0}
    paired = paired_difference(first, second)
    # Differences 1, 2, 3 over the common seeds; only all plus and all minus, of eight patterns, reach a sum of 6.
    assert (paired.difference.value, paired.difference.n) == (2, 3)
    assert paired.p_value == pytest.approx(2 / 8)


def test_paired_difference_with_mixed_signs_by_hand() -> None:
    # Differences 3, 3, -1: the sum is 5. Of the eight patterns' sums 7, 5, 1, 1 and their negatives four reach 5.
    assert paired_difference({0: 3.0, 1: 3.0, 2: -1.0}, {0: 0.0, 1: 0.0, 2: 0.0}).p_value == pytest.approx(4 / 8)


def test_equal_results_differ_by_nothing_with_certainty_unknown() -> None:
    paired = paired_difference({0: 1.5, 1: 2.5}, {0: 1.5, 1: 2.5})
    assert (paired.difference.value, paired.difference.low, paired.p_value) == (0, None, 1)


@pytest.mark.parametrize(("first", "second"), [({}, {}), ({0: 1.0}, {0: 2.0}), ({0: 1.0, 1: 2.0}, {0: 1.0, 1: None})])
def test_fewer_than_two_common_seeds_have_no_difference(
    first: dict[int, float | None], second: dict[int, float | None]
) -> None:
    paired = paired_difference(first, second)
    assert paired.difference.value is None and paired.p_value is None
    assert paired.difference.note == "fewer than 2 common seeds"
    common = [(first[seed], second[seed]) for seed in first.keys() & second.keys()]
    assert paired.difference.dropped == sum(None in pair for pair in common)
    assert paired.difference.n == len(common) - paired.difference.dropped


@given(seed_values, seed_values, st.permutations(range(100)))
@settings(max_examples=60)
def test_names_and_order_of_seeds_are_irrelevant(
    first: dict[int, float | None], second: dict[int, float | None], renamed: list[int]
) -> None:
    def rename(values: dict[int, float | None]) -> dict[int, float | None]:
        return {renamed[seed]: values[seed] for seed in reversed(values)}

    assert paired_difference(rename(first), rename(second)) == paired_difference(first, second)
    swapped, given_order = paired_difference(second, first), paired_difference(first, second)
    assert swapped.p_value == given_order.p_value
    assert swapped.difference.value == (None if given_order.difference.value is None else -given_order.difference.value)


def test_seeds_without_a_value_are_left_out_of_a_difference_and_counted() -> None:
    first = {0: 3.0, 1: 5.0, 2: None, 3: 4.0, 4: math.inf}
    paired = paired_difference(first, {0: 1.0, 1: 2.0, 2: 2.0, 3: None, 4: 1.0})
    assert (paired.difference.value, paired.difference.n, paired.difference.dropped) == (2.5, 2, 3)
    assert paired.p_value == 0.5


def test_sixteen_seeds_are_the_most_that_are_tested_exactly() -> None:
    paired = paired_difference(dict.fromkeys(range(16), 1.5), dict.fromkeys(range(16), 1.0))
    assert paired.p_value == 2 / 2**16
    # Of random patterns, the observed one is always there, so that no p-value is zero.
    more = paired_difference(dict.fromkeys(range(40), 1.5), dict.fromkeys(range(40), 1.0))
    assert more.p_value == 1 / 2**16


def test_many_seeds_get_a_random_sign_flip_test() -> None:
    differences = np.random.default_rng(2).normal(0.3, 1, size=20)
    paired = paired_difference(dict(enumerate(differences.tolist())), dict.fromkeys(range(20), 0.0))
    assert paired.p_value == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.03)


def test_other_seeds_are_compared_by_welch_s_test_even_if_one_side_never_varies() -> None:
    varied, constant = {0: 1.0, 1: 2.0, 2: 4.0}, {10: 3.0, 11: 3.0}
    for first, second in ((varied, constant), (constant, varied), (varied, {10: 5.0, 11: 6.5})):
        found = t_test(first, second)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            slow = stats.ttest_ind(list(first.values()), list(second.values()), equal_var=False)
        assert (found.test, found.p_value) == ("Welch", pytest.approx(slow.pvalue))
        interval = slow.confidence_interval(0.95)
        assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
        assert found.difference.n == 2


def test_a_comparison_without_spread_or_seeds_says_so() -> None:
    for second, value, p_value in (({10: 3.0, 11: 3.0}, -1.0, 0.0), ({10: 2.0, 11: 2.0 + 1e-12}, 0.0, 1.0)):
        found = t_test({0: 2.0, 1: 2.0, 2: 2.0}, second)
        assert (found.difference.value, found.p_value) == (pytest.approx(value), p_value)
        assert (found.difference.note, found.difference.n) == ("all values equal, no interval", 2)
        assert (found.difference.deviation, found.difference.low, found.test) == (0.0, None, "Welch")
    for first, second in (({0: 1.0, 1: 2.0}, {5: 1.0}), ({5: 1.0}, {0: 1.0, 1: 2.0}), ({0: 1.0}, {})):
        found = t_test(first, second)
        assert (found.difference.value, found.p_value, found.test) == (None, None, "none")
        assert (found.difference.note, found.difference.n) == ("fewer than 2 seeds", min(len(first), len(second)))


def test_corrected_p_values_stay_probabilities() -> None:
    assert holm([0.9, 0.8, None, 0.01]) == [1.0, 1.0, None, 0.03]
