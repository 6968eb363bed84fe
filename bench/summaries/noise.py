"""The noise of accuracies that are means of a few trainings: how far a mean or a gain would move if all were repeated.

The report shows it beside every gain. Over seeds of the search it is not seen: where all seeds choose one architecture,
their deviation is zero and the noise is that of one cell of the table.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opselect.bench.runs.records import Result
from opselect.bench.runs.run import Run
from opselect.bench.statistics.estimates import pooled_deviation


@dataclass(frozen=True)
class TrainingNoise:
    """How far single trainings of one architecture lie apart.

    Attributes:
        deviation: Standard deviation of the test accuracy of one training in percentage points, pooled over the
            selected architectures.
        trainings: By architecture, number of trainings whose mean is its test accuracy.
    """

    deviation: float
    trainings: Mapping[str, int]

    @property
    def cell_error(self) -> float:
        """Standard error of the accuracy of one architecture, of those that have the fewest trainings."""
        return self.deviation / math.sqrt(min(self.trainings.values()))

    def error_of_mean(self, results: Iterable[Result]) -> float:
        """Standard error of the mean test accuracy of results, percentage points; equal architectures share a cell."""
        return self._error(_shares(results))

    def error_of_difference(self, first: Iterable[Result], second: Iterable[Result]) -> float:
        """The same of the difference of two means: cells that both have take no part in it."""
        ours, theirs = _shares(first), _shares(second)
        return self._error({each: ours.get(each, 0.0) - theirs.get(each, 0.0) for each in ours.keys() | theirs.keys()})

    def _error(self, weights: Mapping[str, float]) -> float:
        return self.deviation * math.sqrt(
            math.fsum(weight**2 / self.trainings[architecture] for architecture, weight in weights.items())
        )


def training_noise(run: Run) -> TrainingNoise | None:
    """The noise of a run's accuracies; None where no selected architecture has several trainings."""
    accuracies = {result.architecture: result.test_accuracies for result in run.all_results if result.test_accuracies}
    deviation = pooled_deviation(accuracies.values())
    if deviation is None:
        return None
    return TrainingNoise(deviation, {architecture: len(values) for architecture, values in accuracies.items()})


def _shares(results: Iterable[Result]) -> dict[str, float]:
    """The share of results with every architecture, of those that have accuracies."""
    counts = Counter(result.architecture for result in results if result.test_accuracies)
    return {architecture: count / counts.total() for architecture, count in counts.items()}
