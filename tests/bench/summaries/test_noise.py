"""The noise of trainings: hand-worked numbers, and what a simulation of training everything again gives."""

from collections import Counter

import numpy as np
import pytest

from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import pooled_deviation
from opselect.bench.summaries.noise import TrainingNoise, training_noise
from tests.bench.report.examples import finished, measured

CELLS = {"a": [50.0, 52.0], "b": [60.0, 62.0], "c": [70.0]}


def run_of(**chosen: str) -> Run:
    """A run whose labels chose one cell per seed."""
    return Run.of(
        [
            finished(label, "mine", seed, measured(float(np.mean(CELLS[cell])), cell, test_accuracies=CELLS[cell]))
            for label, cells in chosen.items()
            for seed, cell in enumerate(cells)
        ],
        list(chosen),
    )


def noise_of(run: Run) -> TrainingNoise:
    noise = training_noise(run)
    assert noise is not None
    return noise


def test_the_deviation_is_pooled_over_architectures_and_each_counts_once() -> None:
    noise = noise_of(run_of(first="aaab", second="c"))
    assert noise.deviation == pytest.approx(np.sqrt((2 + 2) / 2))
    assert noise.trainings == {"a": 2, "b": 2, "c": 1}
    assert noise.cell_error == pytest.approx(noise.deviation)
    generator = np.random.default_rng(0)
    many = [generator.normal(mean, 3, 5).tolist() for mean in range(400)]
    assert pooled_deviation(many) == pytest.approx(3, abs=0.1)


def test_without_a_second_training_the_noise_is_unknown() -> None:
    assert training_noise(run_of(first="cc")) is None
    assert training_noise(Run.of([], [])) is None


@pytest.mark.parametrize(("first", "second"), [("aaaa", "bbbb"), ("aaab", "abcc"), ("abca", "abca"), ("aabb", "ccca")])
def test_the_errors_of_means_and_differences_are_those_of_training_everything_again(first: str, second: str) -> None:
    run = run_of(first=first, second=second)
    noise = noise_of(run)
    ours, theirs = (run.results(label).values() for label in ("first", "second"))
    generator = np.random.default_rng(1)
    means = {
        cell: generator.normal(0, noise.deviation, (40_000, len(values))).mean(axis=1) for cell, values in CELLS.items()
    }
    of_first, of_second = (
        sum(count * means[cell] for cell, count in Counter(cells).items()) / len(cells) for cells in (first, second)
    )
    assert noise.error_of_mean(ours) == pytest.approx(np.std(of_first), rel=0.02)
    assert noise.error_of_difference(ours, theirs) == pytest.approx(np.std(of_first - of_second), rel=0.02, abs=1e-9)
