"""Rank correlations: hand-worked numbers, agreement with scipy, and what must not change a result."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from opselect.bench.statistics.correlations import kendall, mean_over_edges_kendall, mean_over_edges_spearman, spearman

# Few distinct values, so that ties are common; whole numbers, so that the maps below stay exact.
columns = st.integers(4, 25).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-6, 6).map(float), min_size=n, max_size=n)] * 2)
)


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
