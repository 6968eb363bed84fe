"""`opselect plan`: powers against simulation, and what a pilot cannot tell."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from opselect.bench.power import CannotEstimate, power_of, sample_size, seeds_needed
from opselect.bench.runs.run import Run, load_run

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]
RESULTS = Path(__file__).parents[2] / "results" / "digits201"


@pytest.fixture(scope="module")
def pilot() -> Run:
    """The committed default report: five seeds."""
    return load_run(RESULTS)


@pytest.mark.parametrize(("effect", "seeds"), [(0.0, 5), (0.5, 10), (1.0, 5), (1.5, 8)])
def test_the_power_is_how_often_a_test_finds_the_effect(effect: float, seeds: int) -> None:
    samples = np.random.default_rng(0).normal(effect, 1, (20_000, seeds))
    found = float((ttest_1samp(samples, 0, axis=1).pvalue < 0.05).mean())
    assert power_of(effect, seeds, 0.05) == pytest.approx(found, abs=0.01)


def test_the_fewest_seeds_have_the_power_and_one_less_has_not() -> None:
    for effect in (0.2, 0.5, 1.0, 2.0):
        seeds = seeds_needed(effect, 0.8, 0.05)
        assert seeds is not None
        assert power_of(effect, seeds, 0.05) >= 0.8 > power_of(effect, seeds - 1, 0.05)
    # Known from the literature (Cohen): a medium effect takes 34 pairs.
    assert seeds_needed(0.5, 0.8, 0.05) == 34
    assert seeds_needed(0.001, 0.8, 0.05) is None
    assert seeds_needed(50.0, 0.8, 0.05) == 2


def test_a_pilot_s_deviation_and_its_bound_are_planned_with(pilot: Run) -> None:
    found = sample_size(pilot, "zero-cost-pt (nwot)", "darts-pt", difference=1.0)
    differences = [
        pilot.values("zero-cost-pt (nwot)", lambda result: result.test_accuracy)[seed]
        - pilot.values("darts-pt", lambda result: result.test_accuracy)[seed]  # type: ignore[operator]
        for seed in range(5)
    ]
    deviation = float(np.std(differences, ddof=1))
    assert found.pilot.deviation == pytest.approx(deviation)
    assert found.seeds == seeds_needed(1.0 / deviation, 0.8, 0.05)
    # With five seeds, the true deviation may be 2.4 times as large.
    assert found.deviation_bound == pytest.approx(2.37 * deviation, rel=0.01)
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
    with pytest.raises(CannotEstimate, match=r"5 common seed.* and always the same difference; expected at least two"):
        sample_size(pilot, "best-acc", "best-acc", 1.0)


def test_the_command_says_it_in_a_sentence(opselect: CommandLine, pilot: Run) -> None:
    labels = ("zero-cost-pt (nwot)", "darts-pt")
    status, out, error = opselect("plan", RESULTS, "--first", labels[0], "--second", labels[1], "--difference", 2)
    assert (status, error) == (0, "")
    found = sample_size(pilot, *labels, 2.0)
    assert f"{found.seeds} seeds" in out
    assert f"{found.seeds_bound} seeds" in out
    assert opselect("plan", RESULTS, "--first", "x", "--second", "darts-pt", "--difference", 2)[0] == 2
