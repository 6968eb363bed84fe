"""Comparisons: hand-worked numbers, agreement with scipy, p-values that agree with intervals, and false alarms."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from opselect.bench.statistics.comparisons import (
    BySeed,
    Comparison,
    compare_pairs,
    compare_with_best,
    compare_with_reference,
    fewest_seeds,
    holm,
    sign_flip_p_value,
    smallest_p,
)

# Few distinct values, so that ties and zeros are common; quarters, so that sums are exact.
differences = st.lists(st.integers(-12, 12).map(lambda number: number / 4), min_size=2, max_size=11)
seed_values = st.dictionaries(st.integers(0, 99), st.floats(0, 100), min_size=2, max_size=9)


def by_seed(values: Sequence[float]) -> dict[int, float | None]:
    return dict(enumerate(values))


def against_zero(sample: Sequence[float], level: float = 0.05) -> Comparison:
    (found,) = compare_pairs([(by_seed(sample), by_seed([0.0] * len(sample)))], level)
    return found


@given(differences)
@settings(max_examples=80, deadline=None)
def test_p_values_agree_with_scipy(sample: list[float]) -> None:
    # Rejecting by the sum is what scipy calls a permutation test of samples, here against its mirror image.
    expected = stats.permutation_test(
        (sample,), np.sum, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
    )
    # scipy doubles the smaller tail; the distribution is symmetric, so that is the same up to 1.
    assert sign_flip_p_value(sample) == pytest.approx(min(1, expected.pvalue))


def test_a_comparison_by_hand() -> None:
    # Differences 1, 2, 3 over the common seeds; only all plus and all minus, of eight patterns, reach a sum of 6.
    first, second = {0: 5.0, 1: 7.0, 2: 9.0, 3: 100.0}, {0: 4.0, 1: 5.0, 2: 6.0, 4: -100.0}
    (found,) = compare_pairs([(first, second)])
    assert (found.difference.value, found.difference.n, found.difference.deviation) == (2, 3, 1)
    assert (found.p_value, found.smallest_p) == (2 / 8, 2 / 8)
    assert (found.difference.low, found.difference.note) == (None, "3 seeds are too few for an interval")
    # Differences 3, 3, -1: the sum is 5. Of the eight patterns' sums 7, 5, 1, 1 and their negatives four reach 5.
    assert against_zero([3.0, 3.0, -1.0]).p_value == 4 / 8


def test_an_interval_by_hand() -> None:
    # Six seeds: level 5 % allows 3 of 64 patterns, hence one on each side: smallest to largest difference. Seven seeds
    # allow 6 of 128: the third smallest and the third largest mean of all subsets.
    sample = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    found = against_zero(sample).difference
    assert (found.value, found.low, found.high) == (10.5, 1.0, 32.0)
    sample.append(64.0)
    means = sorted(np.mean(part) for size in range(1, 8) for part in itertools.combinations(sample, size))
    assert len(means) == 127
    found = against_zero(sample).difference
    assert (found.low, found.high) == (means[2], means[-3]) == (2.0, (64 + 16) / 2)


@given(differences, st.sampled_from([0.05, 0.1, 0.3]))
@settings(max_examples=150, deadline=None)
def test_an_interval_excludes_exactly_what_the_test_rejects(sample: list[float], level: float) -> None:
    found = against_zero(sample, level)
    low, high = found.difference.low, found.difference.high
    if low is None or high is None:
        equal = len(set(sample)) == 1
        assert found.difference.note == (
            "all differences equal, no interval" if equal else f"{len(sample)} seeds are too few for an interval"
        )
        return
    assert low <= np.mean(sample) <= high
    for shift in (0.0, low, high, low - 0.125, high + 0.125, float(np.mean(sample))):
        rejected = sign_flip_p_value([each - shift for each in sample]) <= level
        assert rejected == (not low <= shift <= high)


def test_an_interval_covers_together_with_the_others_of_its_family() -> None:
    generator = np.random.default_rng(0)
    shifted = np.arange(6) * 2.0
    missed = excluded_in_error = 0
    for sample in generator.standard_t(3, size=(400, 6, 10)):
        pairs = [(by_seed(values + shift), by_seed([0.0] * 10)) for values, shift in zip(sample, shifted, strict=True)]
        found = compare_pairs(pairs)
        limits = [(each.difference.low, each.difference.high) for each in found]
        missed += any(not low <= shift <= high for (low, high), shift in zip(limits, shifted, strict=True))  # type: ignore[operator]
        for each, (low, high) in zip(found, limits, strict=True):
            assert low is not None and high is not None and each.p_value is not None
            excluded_in_error += not low <= 0 <= high and each.p_value > 0.05
    assert missed / 400 <= 0.05 + 0.02
    assert excluded_in_error == 0


def test_equal_results_differ_by_nothing_with_certainty_unknown() -> None:
    (found,) = compare_pairs([({0: 1.5, 1: 2.5}, {0: 1.5, 1: 2.5})])
    assert (found.difference.value, found.difference.low, found.p_value) == (0, None, 1)
    # Equal on paper, not in the last bits.
    (found,) = compare_pairs([({0: 0.1 + 0.2, 1: 0.3}, {0: 0.3, 1: 0.1 + 0.2})])
    assert (found.difference.value, found.p_value) == (0, 1)
    # The same gain with every seed is no certainty: two seeds show it by chance half of the time.
    assert against_zero([0.7, 0.7]).p_value == 0.5


@pytest.mark.parametrize(("first", "second"), [({}, {}), ({0: 1.0}, {1: 2.0}), ({1: 2.0}, {1: None})])
def test_without_a_common_seed_there_is_no_comparison(first: BySeed, second: BySeed) -> None:
    found, other = compare_pairs([(first, second), (by_seed([1.0] * 6), by_seed([0.0] * 6))])
    assert (found.difference.value, found.difference.n, found.difference.note) == (None, 0, "no common seeds")
    assert (found.p_value, found.smallest_p) == (None, None)
    # And it does not count where the other is corrected.
    assert (other.p_value, other.smallest_p) == (2 / 64, 2 / 64)


def test_one_common_seed_shows_a_difference_and_no_spread() -> None:
    found = against_zero([3.0])
    assert (found.difference.value, found.difference.deviation, found.p_value, found.smallest_p) == (3, None, 1, 1)


def test_seeds_without_a_value_are_left_out_of_a_difference_and_counted() -> None:
    first = {0: 3.0, 1: 5.0, 2: None, 3: 4.0, 4: math.inf}
    (found,) = compare_pairs([(first, {0: 1.0, 1: 2.0, 2: 2.0, 3: None, 4: 1.0})])
    assert (found.difference.value, found.difference.n, found.difference.dropped) == (2.5, 2, 3)
    assert found.p_value == 0.5


@given(seed_values, seed_values, st.permutations(range(100)))
@settings(max_examples=60)
def test_names_and_order_of_seeds_are_irrelevant(first: BySeed, second: BySeed, renamed: list[int]) -> None:
    def rename(values: BySeed) -> dict[int, float | None]:
        return {renamed[seed]: values[seed] for seed in reversed(list(values))}

    assert compare_pairs([(rename(first), rename(second))]) == compare_pairs([(first, second)])
    (swapped,), (as_given,) = compare_pairs([(second, first)]), compare_pairs([(first, second)])
    assert swapped.p_value == as_given.p_value
    mirrored = [None if x is None else -x for x in (as_given.difference.value, as_given.difference.high)]
    assert [swapped.difference.value, swapped.difference.low] == mirrored


def test_more_than_twenty_seeds_get_random_signs_that_hardly_matter() -> None:
    sample = np.random.default_rng(2).normal(0.3, 1, size=24)
    found = against_zero(sample.tolist())
    expected = stats.ttest_1samp(sample, 0)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.03)
    interval = expected.confidence_interval()
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high), abs=0.1)
    mirrored = against_zero((-sample).tolist())
    assert (mirrored.p_value, mirrored.difference.low) == (found.p_value, -(found.difference.high or 0))
    # Twenty are the most that are tested exactly; of random patterns, the observed one is always there.
    assert against_zero([0.5] * 20).p_value == 2 / 2**20 == smallest_p(20)
    assert against_zero([0.5] * 40).p_value == 2 / 2**16 == smallest_p(40)


def test_the_floor_of_the_p_value_is_what_the_clearest_difference_reaches() -> None:
    for seeds in (2, 5, 6, 9):
        clear = [(by_seed([1.0 + place / 10 for place in range(seeds)]), by_seed([0.0] * seeds))] * 3
        found = compare_pairs(clear)
        assert {each.p_value for each in found} == {smallest_p(seeds, 3)} == {each.smallest_p for each in found}
    assert fewest_seeds(0.05) == 6
    for level, comparisons in ((0.05, 1), (0.05, 7), (0.01, 21)):
        seeds = fewest_seeds(level, comparisons)
        assert smallest_p(seeds, comparisons) <= level < smallest_p(seeds - 1, comparisons)


def test_a_family_is_corrected_by_holm() -> None:
    generator = np.random.default_rng(3)
    values = {label: by_seed(generator.normal(shift, 1, 10).tolist()) for shift, label in enumerate("abcd")}
    found = compare_with_reference(values, "a")
    differences = {label: [values[label][s] - values["a"][s] for s in range(10)] for label in "bcd"}  # type: ignore[operator]
    raw = {label: sign_flip_p_value(each) for label, each in differences.items()}
    assert {label: each.p_value for label, each in found.items()} == dict(
        zip("bcd", holm([*raw.values()]), strict=True)
    )
    assert found["d"].difference.value == pytest.approx(np.mean([values["d"][s] - values["a"][s] for s in range(10)]))  # type: ignore[operator]


def test_the_best_is_compared_as_one_of_all_pairs() -> None:
    generator = np.random.default_rng(4)
    values = {
        label: by_seed(generator.normal(shift, 1, 12).tolist())
        for label, shift in zip("abcd", (0, 9, 8.9, 5), strict=True)
    }
    found = compare_with_best(values, "b")
    assert found.best == "b"
    assert list(found.comparisons) == ["a", "c", "d"]
    assert found.indistinguishable == ("b", "c")
    assert found.comparisons["a"].smallest_p == smallest_p(12, 6)
    assert found.comparisons["d"].difference.value == pytest.approx(-4, abs=1.5)
    assert all(each.p_value is not None and each.p_value >= 6 * 2 / 2**12 for each in found.comparisons.values())
    # Five seeds tell nobody from the best.
    few = {label: {seed: each[seed] for seed in range(5)} for label, each in values.items()}
    assert compare_with_best(few, "b").indistinguishable == ("a", "b", "c", "d")
    assert compare_with_best({"a": values["a"]}, "a").indistinguishable == ("a",)


def test_equal_methods_are_told_apart_no_more_often_than_the_level() -> None:
    generator = np.random.default_rng(5)
    alarms = 0
    for sample in generator.exponential(size=(150, 7, 10)):
        values = {str(place): by_seed(row.tolist()) for place, row in enumerate(sample)}
        best = max(values, key=lambda label: sum(values[label].values()))  # type: ignore[arg-type]
        alarms += len(compare_with_best(values, best).indistinguishable) < 7
    assert alarms / 150 <= 0.05 + 0.04


def test_corrected_p_values_are_holms() -> None:
    assert holm([0.9, 0.8, None, 0.01]) == [1.0, 1.0, None, 0.03]
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    p_values = np.random.default_rng(1).uniform(0, 0.2, 12).tolist()
    corrected = [value for value in holm(p_values) if value is not None]
    assert all(p <= c <= min(1, 12 * p) for p, c in zip(p_values, corrected, strict=True))
    # Benjamini and Hochberg's correction is weaker.
    weaker = stats.false_discovery_control(p_values)
    assert all(c >= w - 1e-12 for c, w in zip(corrected, weaker, strict=True))
    assert [c for _, c in sorted(zip(p_values, corrected, strict=True))] == sorted(corrected)
    assert holm([]) == []
