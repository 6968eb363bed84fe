"""Random choice and random search, exact: against enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest

from opselect.bench.statistics.baseline import Baseline, chance_to_reach, random_choice, random_search
from opselect.spaces.table import load


def test_random_choice_by_hand() -> None:
    found = random_choice(np.array([4.0, np.nan, 1.0, 2.0, 3.0]))
    assert found == Baseline(2.5, math.sqrt(1.25), (1.0, 2.0, 3.0), 4, 1)
    weighted = random_choice(np.array([1.0, 2.0, 3.0]), np.array([8.0, 2.0, 0.0]))
    assert weighted is not None
    assert (weighted.mean, weighted.quartiles, weighted.architectures) == (pytest.approx(1.2), (1.0, 1.0, 1.0), 2)
    assert random_choice(np.array([np.nan])) is None


def test_random_choice_on_the_packaged_table_is_the_mean_of_all_cells() -> None:
    table = load("digits201")
    accuracies = table.accuracies("digits", "test", 10, "mean")
    found = random_choice(accuracies)
    assert found is not None
    assert (found.mean, found.deviation) == (pytest.approx(accuracies.mean()), pytest.approx(accuracies.std()))
    assert found.mean == pytest.approx(45.5197, abs=1e-4)
    assert found.architectures == 15_625
    assert found.quartiles[1] == np.median(accuracies)
    # Spellings of one network count as often as the random selector draws them, not once.
    distinct = np.unique(
        [table.positions[table.space.format(table.space.canonical(each))] for each in table.space.enumerate()]
    )
    assert accuracies[distinct].mean() != pytest.approx(found.mean, abs=0.5)


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_random_search_agrees_with_all_ways_to_draw(draws: int) -> None:
    validation = np.array([3.0, 1.0, 2.0, 3.0, 1.0, np.nan])
    test = np.array([10.0, 20.0, 30.0, 50.0, 40.0, 99.0])
    weights = np.array([1.0, 2.0, 1.0, 3.0, 1.0, 4.0])
    chances = weights[:5] / weights[:5].sum()
    expected = np.zeros(5)
    for drawn in itertools.product(range(5), repeat=draws):
        best = [place for place in drawn if validation[place] == max(validation[list(drawn)])]
        for place in best:
            expected[place] += np.prod(chances[list(drawn)]) / len(best)
    found = random_search(validation, test, draws, weights)
    assert found is not None
    assert found.mean == pytest.approx(expected @ test[:5])
    assert found.deviation == pytest.approx(math.sqrt(expected @ (test[:5] - found.mean) ** 2))
    order = np.argsort(test[:5])
    up_to = np.cumsum(expected[order])
    assert found.quartiles == tuple(test[order][np.searchsorted(up_to, share)] for share in (0.25, 0.5, 0.75))
    assert found.missing == 1


def test_random_search_of_one_draw_is_random_choice_and_of_many_the_best() -> None:
    table = load("digits201")
    validation, test = (table.accuracies("digits", split, 10, "mean") for split in ("valid", "test"))
    one, choice = random_search(validation, test, 1), random_choice(test)
    assert one is not None and choice is not None
    assert (one.mean, one.quartiles) == (pytest.approx(choice.mean), choice.quartiles)
    many = random_search(validation, test, 10**7)
    assert many is not None and many.mean == pytest.approx(test[validation == validation.max()].mean(), abs=1e-3)
    means = [random_search(validation, test, draws).mean for draws in (1, 2, 5, 10, 100)]  # type: ignore[union-attr]
    assert means == sorted(means)
    drawn = np.random.default_rng(0).integers(len(test), size=(20_000, 5))
    best = test[np.take_along_axis(drawn, validation[drawn].argmax(axis=1)[:, None], axis=1)]
    assert means[2] == pytest.approx(best.mean(), abs=4 * best.std() / math.sqrt(len(best)))


def test_the_chance_to_reach_a_mean_agrees_with_all_ways_to_draw() -> None:
    accuracies, weights = np.array([0.0, 10.0, 35.0, np.nan, 64.0]), np.array([1.0, 2.0, 3.0, 9.0, 2.0])
    chances, known = weights[[0, 1, 2, 4]] / 8, accuracies[[0, 1, 2, 4]]
    for draws in (1, 2, 4):
        ways = list(itertools.product(range(4), repeat=draws))
        means = np.array([known[list(way)].mean() for way in ways])
        weight = np.array([np.prod(chances[list(way)]) for way in ways])
        for mean in (-1.0, 0.0, 9.9, 10.0, 22.5, 40.1, 64.0, 64.1):
            expected = weight[means >= mean - 1e-9].sum()
            assert chance_to_reach(accuracies, mean, draws, weights) == pytest.approx(expected, abs=1e-9)


def test_the_chance_to_reach_a_mean_agrees_with_simulation_on_the_packaged_table() -> None:
    accuracies = load("digits201").accuracies("digits", "test", 10, "mean")
    means = np.random.default_rng(1).choice(accuracies, size=(50_000, 5)).mean(axis=1)
    for mean in (30.0, 45.5, 55.0, 60.0):
        expected = (means >= mean).mean()
        assert chance_to_reach(accuracies, mean, 5) == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 50_000))
    # The best architecture with every one of 20 seeds: as unlikely as it is, and not zero or negative.
    chance = chance_to_reach(accuracies, accuracies.max(), 2)
    assert chance == pytest.approx(((accuracies == accuracies.max()).mean()) ** 2, rel=0.5, abs=1e-9)
    assert chance_to_reach(accuracies, 64.0, 20) == pytest.approx(0, abs=1e-9)


def test_tables_of_one_value_or_none_have_certain_chances() -> None:
    assert chance_to_reach(np.array([5.0, 5.0]), 5.0, 3) == 1
    assert chance_to_reach(np.array([5.0, 5.0]), 7.0, 3) == 0
    assert chance_to_reach(np.array([np.nan]), 5.0, 3) is None
    assert random_search(np.array([np.nan, 1.0]), np.array([1.0, np.nan]), 2) is None
    for wrong in (lambda: chance_to_reach(np.ones(3), 1.0, 0), lambda: random_search(np.ones(3), np.ones(3), 0)):
        with pytest.raises(ValueError, match="draws: 0, expected at least 1"):
            wrong()
