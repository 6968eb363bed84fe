"""Aggregates over tasks: hand-worked numbers, agreement with scipy and the literature, intervals that cover."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from opselect.bench.statistics.aggregates import (
    average_ranks,
    critical_difference,
    fewest_tasks,
    interquartile_mean,
    probability_of_improvement,
)


def test_the_interquartile_mean_is_that_of_the_middle_half_of_all_values() -> None:
    # Of eight values the two smallest and the two largest are left out, whatever task they are of.
    found = interquartile_mean([[1.0, 9.0, 2.0, None], [3.0, 4.0, 5.0, -7.0, 6.0, math.nan]])
    assert found.value == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert (found.n, found.dropped) == (8, 2)
    single = np.random.default_rng(0).exponential(size=40).tolist()
    assert interquartile_mean([single]).value == pytest.approx(stats.trim_mean(single, 0.25))


def test_the_interval_of_the_interquartile_mean_resamples_within_tasks() -> None:
    # Two tasks far apart: if runs were exchanged between them, the mean of the middle half would jump between both.
    generator = np.random.default_rng(1)
    tasks = [(shift + generator.normal(size=20)).tolist() for shift in (0.0, 100.0)]
    found = interquartile_mean(tasks)
    assert found.low is not None and found.high is not None
    assert 45 < found.low < found.value < found.high < 55  # type: ignore[operator]
    slow = np.random.default_rng(2)
    resampled = [stats.trim_mean(np.concatenate([slow.choice(task, 20) for task in tasks]), 0.25) for _ in range(2000)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])), abs=0.15)


def test_an_interquartile_mean_says_why_it_has_no_interval() -> None:
    assert interquartile_mean([[1.0, 2.0], [1.0, 2.0, 3.0]]).note == "fewer than 3 values of a task, no interval"
    assert interquartile_mean([[2.0] * 5, [3.0] * 5]).note == "all values of every task equal, no interval"
    assert interquartile_mean([[None], []]).note == "no values"
    assert interquartile_mean([]).value is None


def test_the_probability_of_improvement_is_the_share_of_pairs_that_the_first_wins() -> None:
    # 3 and 5 against 1, 3 and 4: wins 1 + 1/2 and 3 of 3 each.
    found = probability_of_improvement([[3.0, 5.0]], [[1.0, 3.0, 4.0]])
    assert found.value == pytest.approx((1.5 + 3) / 6)
    assert (found.n, found.note) == (2, "fewer than 3 values, no interval")
    generator = np.random.default_rng(3)
    first, second = generator.normal(0.5, 1, (3, 8)), generator.normal(0, 1, (3, 6))
    expected = [stats.mannwhitneyu(a, b).statistic / 48 for a, b in zip(first, second, strict=True)]
    found = probability_of_improvement(first.tolist(), second.tolist())
    assert found.value == pytest.approx(np.mean(expected))
    opposite = probability_of_improvement(second.tolist(), first.tolist())
    assert opposite.value == pytest.approx(1 - np.mean(expected))


def test_the_interval_of_a_probability_covers_one_half_for_equal_methods() -> None:
    generator = np.random.default_rng(4)
    covered = []
    for first, second in generator.normal(size=(300, 2, 3, 10)):
        found = probability_of_improvement(first.tolist(), second.tolist())
        assert found.low is not None and found.high is not None
        covered.append(found.low <= 0.5 <= found.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.035)


def test_a_probability_says_why_it_is_undefined_or_has_no_interval() -> None:
    assert probability_of_improvement([[1.0], []], [[2.0], [1.0]]).note == "no values on some task"
    assert probability_of_improvement([], []).value is None
    sure = probability_of_improvement([[5.0, 6.0, 7.0, None]], [[1.0, 2.0, 3.0]])
    assert (sure.value, sure.low, sure.note, sure.dropped) == (1, None, "all values on one side, no interval", 1)
    with pytest.raises(ValueError, match="zip"):
        probability_of_improvement([[1.0], [2.0]], [[1.0]])


def test_ranks_and_friedmans_test_agree_with_scipy() -> None:
    generator = np.random.default_rng(5)
    values = {
        label: (generator.normal(size=12) + shift).tolist() for label, shift in zip("abcd", (0, 1, 3, 0), strict=True)
    }
    found = average_ranks(values)
    matrix = np.array(list(values.values()))
    expected = dict(zip("abcd", stats.rankdata(-matrix, axis=0).mean(axis=1), strict=True))
    assert found.ranks == pytest.approx(expected)
    assert list(found.ranks.values()) == sorted(found.ranks.values())
    assert found.p_value == pytest.approx(stats.friedmanchisquare(*matrix).pvalue)
    assert next(iter(found.ranks)) == "c"


@pytest.mark.parametrize(("methods", "quantile"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_those_of_the_literature(methods: int, quantile: float) -> None:
    # Demšar 2006, table 5(a).
    expected = quantile * math.sqrt(methods * (methods + 1) / (6 * 14))
    assert critical_difference(methods, 14) == pytest.approx(expected, abs=2e-3)


def test_cliques_are_the_largest_groups_within_the_critical_difference() -> None:
    # 40 tasks of five methods in nearly the same order: the critical difference is 0.96.
    order = np.arange(5.0)
    swapped = np.array([1.0, 0.0, 2.0, 4.0, 3.0])
    matrix = np.array([order] * 24 + [swapped] * 16).T
    found = average_ranks({label: (-row).tolist() for label, row in zip("abcde", matrix, strict=True)})
    assert found.ranks == pytest.approx({"a": 1.4, "b": 1.6, "c": 3.0, "d": 4.4, "e": 4.6})
    assert found.cliques == (("a", "b"), ("c",), ("d", "e"))
    chain = average_ranks({"a": [3.0] * 3, "b": [2.0] * 3, "c": [1.0] * 3})
    assert chain.critical_difference == pytest.approx(1.913, abs=1e-3)
    assert chain.cliques == (("a", "b"), ("b", "c"))


def test_tasks_without_all_methods_are_left_out_and_counted() -> None:
    found = average_ranks({"a": [3.0, 1.0, None, 2.0], "b": [2.0, 2.0, 1.0, math.nan], "c": [1.0, 0.0, 5.0, 1.0]})
    assert (found.tasks, found.dropped) == (2, 2)
    assert found.ranks == {"a": 1.5, "b": 1.5, "c": 3.0}


def test_ranks_say_less_where_there_is_less() -> None:
    assert average_ranks({}).ranks == {}
    assert average_ranks({"a": [], "b": []}).cliques == ()
    one = average_ranks({"a": [1.0], "b": [2.0], "c": [0.0]})
    assert (one.ranks, one.p_value, one.critical_difference) == ({"b": 1, "a": 2, "c": 3}, None, None)
    assert one.cliques == (("b", "a", "c"),)
    two = average_ranks({"a": [1.0] * 9, "b": [2.0] * 9})
    assert (two.p_value, two.critical_difference, two.cliques) == (None, None, (("b", "a"),))
    equal = average_ranks({label: [1.0, 1.0] for label in "abc"})
    assert (equal.ranks, equal.p_value) == ({"a": 2, "b": 2, "c": 2}, 1.0)


@pytest.mark.parametrize("methods", [3, 5, 12])
def test_with_fewer_tasks_no_order_is_distinguished_and_with_enough_the_same_order_is(methods: int) -> None:
    fewest = fewest_tasks(methods)
    for tasks, groups in ((fewest - 1, 1), (fewest, 2)):
        found = average_ranks({str(place): [-float(place)] * tasks for place in range(methods)})
        assert (len(found.cliques) >= 2) == (groups == 2)


def test_nemenyi_s_test_distinguishes_equal_methods_as_rarely_as_the_documentation_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("| 5 equal selectors")]
    stated = [float(share) for share in re.findall(r"\d+\.\d", line)]
    generator = np.random.default_rng(6)
    for tasks, share in zip((3, 5, 10, 20), stated, strict=True):
        ranks = generator.random((8000, tasks, 5)).argsort(axis=2).argsort(axis=2).mean(axis=1)
        measured = 100 * float(np.mean(np.ptp(ranks, axis=1) >= critical_difference(5, tasks)))
        assert measured == pytest.approx(share, abs=0.9)
        assert measured < 6
    # Why two methods have no such test.
    pair = generator.random((8000, 4, 2)).argsort(axis=2).mean(axis=1)
    assert np.mean(np.ptp(pair, axis=1) >= critical_difference(2, 4)) > 0.1
