"""`opselect plan`: powers against simulation, and what a pilot cannot tell."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from opselect.bench.power import CannotEstimate, power_of, sample_size, seeds_needed
from opselect.bench.runs.run import Run, load_run
from opselect.bench.statistics.comparisons import fewest_seeds

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]
RESULTS = Path(__file__).parents[2] / "results" / "digits201"


@pytest.fixture(scope="module")
def pilot() -> Run:
    """The committed default report: nine seeds of the selectors that need a trained supernet, twenty of the others."""
    return load_run(RESULTS)


def p_values_of(samples: np.ndarray) -> np.ndarray:
    """P-values of the sign-flip test, by all signs, one sample per row."""
    n = samples.shape[1]
    signs = 1.0 - 2 * ((np.arange(2**n) >> np.arange(n)[:, None]) & 1)
    sums = np.abs(samples @ signs)
    return (sums >= sums[:, :1] - 1e-9).mean(axis=1)


@pytest.mark.parametrize(("effect", "seeds"), [(0.0, 8), (1.0, 6), (1.0, 8), (0.5, 10), (1.5, 7)])
def test_the_power_is_how_often_the_sign_flip_test_finds_the_effect(effect: float, seeds: int) -> None:
    samples = np.random.default_rng(1).normal(effect, 1, (4000, seeds))
    found = float((p_values_of(samples) <= 0.05).mean())
    assert power_of(effect, seeds, 0.05) == pytest.approx(found, abs=0.04)


def test_with_many_seeds_the_power_is_that_of_students_test() -> None:
    samples = np.random.default_rng(2).normal(0.7, 1, (400, 15))
    assert power_of(0.7, 15, 0.05) == pytest.approx((p_values_of(samples) <= 0.05).mean(), abs=0.06)
    samples = np.random.default_rng(3).normal(0.4, 1, (20_000, 40))
    found = float((ttest_1samp(samples, 0, axis=1).pvalue < 0.05).mean())
    assert power_of(0.4, 40, 0.05) == pytest.approx(found, abs=0.01)
    assert power_of(30.0, 200, 0.05) == 1


def test_five_seeds_have_no_power_at_all() -> None:
    assert [power_of(50.0, seeds, 0.05) for seeds in (2, 5, 6)] == [0, 0, 1]
    assert [power_of(50.0, seeds, 0.05 / 7) for seeds in (8, 9)] == [0, 1]


def test_the_fewest_seeds_have_the_power_and_one_less_has_not() -> None:
    for effect in (0.2, 0.5, 1.0, 2.0):
        seeds = seeds_needed(effect, 0.8, 0.05)
        assert seeds is not None
        assert power_of(effect, seeds, 0.05) >= 0.8 > power_of(effect, seeds - 1, 0.05)
    # Known from the literature (Cohen): a medium effect takes 34 pairs.
    assert seeds_needed(0.5, 0.8, 0.05) == 34
    assert seeds_needed(0.001, 0.8, 0.05) is None
    assert seeds_needed(50.0, 0.8, 0.05) == fewest_seeds(0.05) == 6


def test_a_pilot_s_deviation_and_its_bound_are_planned_with(pilot: Run) -> None:
    found = sample_size(pilot, "zero-cost-pt (nwot)", "darts-pt", difference=1.0)
    differences = [
        pilot.values("zero-cost-pt (nwot)", lambda result: result.test_accuracy)[seed]
        - pilot.values("darts-pt", lambda result: result.test_accuracy)[seed]  # type: ignore[operator]
        for seed in range(9)
    ]
    deviation = float(np.std(differences, ddof=1))
    assert found.pilot.deviation == pytest.approx(deviation)
    assert found.seeds == seeds_needed(1.0 / deviation, 0.8, 0.05)
    assert (found.comparisons, found.fewest) == (1, 6)
    several = sample_size(pilot, "zero-cost-pt (nwot)", "darts-pt", difference=1.0, comparisons=7)
    assert several.seeds == seeds_needed(1.0 / deviation, 0.8, 0.05 / 7)
    assert (several.comparisons, several.fewest) == (7, 9)
    # With nine seeds, the true deviation may be 1.7 times as large.
    assert found.deviation_bound == pytest.approx(1.711 * deviation, rel=0.001)
    assert found.seeds_bound is None or (found.seeds is not None and found.seeds_bound > found.seeds)


def test_the_bound_holds_for_nineteen_of_twenty_pilots() -> None:
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(2000):
        sample = generator.normal(0, 1, 5)
        held += float(np.std(sample, ddof=1)) * 2.3724 >= 1
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_what_cannot_be_planned_is_said(pilot: Run) -> None:
    with pytest.raises(CannotEstimate, match=r"no selector labelled 'x' in the pilot; it has magnitude, darts-pt"):
        sample_size(pilot, "x", "darts-pt", 1.0)
    with pytest.raises(CannotEstimate, match=r"20 common seed.* and always the same difference; expected at least two"):
        sample_size(pilot, "best-acc", "best-acc", 1.0)


def test_the_command_says_it_in_a_sentence(opselect: CommandLine, pilot: Run) -> None:
    labels = ("zero-cost-pt (nwot)", "darts-pt")
    status, out, error = opselect("plan", RESULTS, "--first", labels[0], "--second", labels[1], "--difference", 2)
    assert (status, error) == (0, "")
    found = sample_size(pilot, *labels, 2.0)
    assert f"{found.seeds} seeds" in out
    assert f"{found.seeds_bound} seeds" in out
    assert "(sign-flip test, level 0.05): " in out
    assert out.endswith("with fewer than 6 seeds, no difference can reach that level\n")
    status, out, _ = opselect(
        "plan", RESULTS, "--first", labels[0], "--second", labels[1], "--difference", 2, "--comparisons", 7
    )
    assert status == 0
    assert "(sign-flip test, level 0.05, corrected for 7 comparisons): " in out
    assert "with fewer than 9 seeds" in out
    assert opselect("plan", RESULTS, "--first", "x", "--second", "darts-pt", "--difference", 2)[0] == 2
