"""Statistics: hand-worked numbers, agreement with scipy, and what must not change a result."""

import math
import warnings
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from opselect.bench.statistics import (
    holm,
    kendall,
    mean_interval,
    mean_over_edges_kendall,
    mean_over_edges_spearman,
    paired_difference,
    spearman,
    t_test,
)

# Few distinct values, so that ties are common; whole numbers, so that the maps below stay exact.
columns = st.integers(4, 25).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-6, 6).map(float), min_size=n, max_size=n)] * 2)
)
seed_values = st.dictionaries(st.integers(0, 99), st.floats(0, 100), min_size=2, max_size=9)


@given(columns)
@settings(max_examples=60)
def test_rank_correlations_agree_with_scipy_on_ties(pair: tuple[list[float], list[float]]) -> None:
    first, second = pair
    assume(len(set(first)) > 1 and len(set(second)) > 1)
    assert spearman(first, second).value == pytest.approx(stats.spearmanr(first, second).statistic)
    assert kendall(first, second).value == pytest.approx(stats.kendalltau(first, second).statistic)


@given(columns)
@settings(max_examples=30)
def test_rank_correlations_see_only_the_order_of_values(pair: tuple[list[float], list[float]]) -> None:
    first, second = pair
    bent = [value**3 + 2 * value for value in first]
    mirrored = [-value for value in first]
    for correlation in (spearman, kendall):
        assert correlation(bent, second) == correlation(first, second)
        value, opposite = correlation(first, second).value, correlation(mirrored, second).value
        assert opposite == (None if value is None else pytest.approx(-value))


@given(columns, st.randoms())
@settings(max_examples=30)
def test_the_order_of_observations_changes_no_digit(pair: tuple[list[float], list[float]], chance: Random) -> None:
    order = chance.sample(range(len(pair[0])), len(pair[0]))
    first, second = ([column[place] for place in order] for column in pair)
    assert spearman(first, second) == spearman(*pair)


def test_the_bootstrap_interval_is_that_of_resampled_pairs() -> None:
    generator = np.random.default_rng(1)
    first = generator.normal(size=30)
    second = first + generator.normal(size=30)
    estimate = spearman(list(first), list(second))
    resamples = generator.integers(30, size=(2000, 30))
    correlations = [stats.spearmanr(first[chosen], second[chosen]).statistic for chosen in resamples]
    assert estimate.low == pytest.approx(np.quantile(correlations, 0.025), abs=0.05)
    assert estimate.high == pytest.approx(np.quantile(correlations, 0.975), abs=0.03)


@pytest.mark.parametrize("seed", [0, 7])
def test_bootstrap_intervals_are_those_of_a_slow_loop_over_the_same_resamples(seed: int) -> None:
    first = [1.0, 2.0, 2.0, 3.0, 5.0, 8.0, 8.0, 9.0]
    second = [2.0, 1.0, 4.0, 4.0, 3.0, 9.0, 7.0, 7.0]
    generator = np.random.default_rng(seed)
    counts = np.concatenate([generator.multinomial(8, np.full(8, 1 / 8), 50) for _ in range(40)])
    # In the order in which they are resampled: by the first variable, then by the second.
    pairs = np.array(sorted(zip(first, second, strict=True)))
    for of, slow in ((spearman, stats.spearmanr), (kendall, stats.kendalltau)):
        resampled = [np.repeat(pairs, times, axis=0) for times in counts]
        values = [slow(*each.T).statistic for each in resampled if (each != each[0]).any(axis=0).all()]
        estimate = of(first, second, seed)
        assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-9)
        assert (estimate.n, estimate.dropped, estimate.ties) == (8, 0, 6)


def test_without_a_seed_everybody_has_the_same_resamples() -> None:
    generator = np.random.default_rng(3)
    first, second = generator.normal(size=(2, 20)).tolist()
    for correlation in (spearman, kendall):
        assert correlation(first, second) == correlation(first, second, seed=0) != correlation(first, second, seed=1)
    pair = dict(enumerate(first)), dict(enumerate(second))
    assert paired_difference(*pair) == paired_difference(*pair, seed=0) != paired_difference(*pair, seed=1)


def test_many_observations_are_taken_in_parts_and_none_is_lost() -> None:
    first, second = np.random.default_rng(4).integers(40, size=(2, 600)).astype(float).tolist()
    assert kendall(first, second).value == pytest.approx(stats.kendalltau(first, second).statistic)
    assert spearman(first, second).value == pytest.approx(stats.spearmanr(first, second).statistic)


def test_spearman_and_kendall_by_hand() -> None:
    # Ranks 1 2 3 4 against 1 3 2 4: one swapped pair of six; squared rank differences sum to 2.
    assert spearman([10.0, 20.0, 30.0, 40.0], [1.0, 3.0, 2.0, 4.0]).value == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert kendall([10.0, 20.0, 30.0, 40.0], [1.0, 3.0, 2.0, 4.0]).value == pytest.approx((5 - 1) / 6)


def test_ties_and_dropped_pairs_are_counted() -> None:
    estimate = spearman([1.0, 1.0, 2.0, 3.0, math.nan, 5.0], [1.0, 2.0, 3.0, 3.0, 4.0, math.inf])
    # Of the four finite pairs the first two share 1, the last two share 3.
    assert (estimate.n, estimate.ties, estimate.dropped) == (4, 4, 2)
    assert kendall([1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 5.0, 6.0]).ties == 2


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        ([1.0, 2.0], [1.0, 2.0], "fewer than 3 finite pairs"),
        ([], [], "fewer than 3 finite pairs"),
        ([1.0, 2.0, math.nan, 4.0], [1.0, 2.0, 3.0, -math.inf], "fewer than 3 finite pairs"),
        ([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0], "constant"),
        ([1.0, 2.0, 3.0, math.nan], [7.0, 7.0, 7.0, 8.0], "constant"),
    ],
)
def test_an_undefined_correlation_is_no_number(first: list[float], second: list[float], note: str) -> None:
    for estimate in (spearman(first, second), kendall(first, second)):
        assert (estimate.value, estimate.low, estimate.high, estimate.note) == (None, None, None, note)
        finite = [pair for pair in zip(first, second, strict=True) if all(map(math.isfinite, pair))]
        assert (estimate.n, estimate.dropped) == (len(finite), len(first) - len(finite))
    if note == "constant":
        assert spearman(first, second).ties == len(finite)


def test_mean_over_edges_takes_ranks_within_each_edge() -> None:
    # Perfect on the first edge, reversed on the second: the mean is 0, though all ten values together agree well.
    scores = [[1.0, 2.0, 3.0, 4.0, 5.0], [50.0, 40.0, 30.0, 20.0, 10.0]]
    truth = [[1.0, 2.0, 3.0, 4.0, 5.0], [10.0, 20.0, 30.0, 40.0, 50.0]]
    assert mean_over_edges_spearman(scores, truth).value == pytest.approx(0)
    flat = spearman([*scores[0], *scores[1]], [*truth[0], *truth[1]]).value
    assert flat is not None and flat > 0.5


def test_mean_over_edges_leaves_out_and_counts_what_is_undefined() -> None:
    nan = math.nan
    scores = [[1.0, 2.0, 3.0, 4.0, 5.0], [7.0] * 5, [1.0, 2.0, nan, 4.0, math.inf], [1.0, nan, nan, 2.0, nan]]
    truth = [[1.0, 3.0, 2.0, 4.0, 5.0], *[[1.0, 2.0, 3.0, 4.0, 5.0]] * 3]
    mean = mean_over_edges_spearman(scores, truth)
    # Edge 1: squared rank differences sum to 2, hence 1 - 12 / 120 = 0.9; edge 3: perfect over its three finite pairs.
    assert mean.value == pytest.approx((0.9 + 1) / 2)
    assert (mean.edges, mean.undefined, mean.dropped) == (2, 2, 5)
    assert mean_over_edges_kendall(scores, truth).value == pytest.approx((0.8 + 1) / 2)


def test_mean_over_edges_without_a_defined_edge_is_undefined() -> None:
    assert mean_over_edges_spearman([[1.0, 1.0, 1.0]], [[1.0, 2.0, 3.0]]).value is None
    assert mean_over_edges_spearman([], []).value is None


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
