"""What random choice and random search reach on a table, computed from all its architectures instead of a few draws.

A random selector draws the operation of every edge evenly and independently, so every architecture that the space
enumerates is equally likely, and different spellings of one network count as often as they are spelt. Where a sampler
draws otherwise, `weights` gives the chance of every architecture.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.fft import irfft, next_fast_len, rfft

STEPS = 2**16
"""Number of steps from the smallest to the largest accuracy to which sums of draws are rounded."""

Accuracies: TypeAlias = Float[np.ndarray, " architectures"]
"""One accuracy per architecture of a space; NaN where it is missing, which leaves the architecture out."""

Known: TypeAlias = Float[np.ndarray, " known"]
"""One value per architecture that has all of them."""


@dataclass(frozen=True)
class Baseline:
    """The distribution of what a random procedure reaches; exact, so there is no interval.

    Attributes:
        mean: Expectation.
        deviation: Standard deviation of a single outcome.
        quartiles: The smallest values that 25, 50 and 75 % of outcomes do not exceed.
        architectures: Number of architectures with an accuracy.
        missing: Number of architectures without one, which cannot be drawn.
    """

    mean: float
    deviation: float
    quartiles: tuple[float, float, float]
    architectures: int
    missing: int


def random_choice(accuracies: Accuracies, weights: Accuracies | None = None) -> Baseline | None:
    """The distribution of the accuracy of one architecture drawn at random.

    Args:
        accuracies: One per architecture.
        weights: Relative chance of every architecture; equal if None.

    Returns:
        None if no architecture has an accuracy.

    Example:
        >>> random_choice(np.array([10.0, 20.0, 30.0, 60.0, np.nan]))
        Baseline(mean=30.0, deviation=18.708286933869708, quartiles=(10.0, 20.0, 30.0), architectures=4, missing=1)
    """
    known, chances = _known(accuracies, weights=weights)
    return _summary(known[0], chances, len(accuracies)) if len(chances) else None


def random_search(
    validation: Accuracies, test: Accuracies, draws: int, weights: Accuracies | None = None
) -> Baseline | None:
    """The distribution of the test accuracy of the best of several random architectures by validation accuracy.

    Of k independent draws, the best has at most validation accuracy v with the chance F(v)^k, where F is the
    distribution of one draw. Among architectures of equal validation accuracy the choice is random.

    Args:
        validation: Accuracy that is selected by, one per architecture.
        test: Accuracy that is reported, of the same architectures.
        draws: How many architectures are drawn, with replacement; at least 1.
        weights: Relative chance of every architecture; equal if None.

    Returns:
        None if no architecture has both accuracies.

    Example:
        >>> found = random_search(np.array([1.0, 2.0, 3.0, 3.0]), np.array([10.0, 20.0, 30.0, 60.0]), draws=2)
        >>> found.mean, found.quartiles
        (38.125, (20.0, 30.0, 60.0))
    """
    if draws < 1:
        raise ValueError(f"draws: {draws}, expected at least 1")
    (known_validation, known_test), chances = _known(validation, test, weights=weights)
    if not len(chances):
        return None
    levels, level = np.unique(known_validation, return_inverse=True)
    per_level = np.bincount(level, chances, len(levels))
    # Without the last sum, which is 1 up to rounding: the largest level has the chance 1 - F^k.
    below = np.concatenate([[0.0], np.cumsum(per_level)[:-1]])
    best = np.diff(np.append(below, 1.0) ** draws)
    return _summary(known_test, chances * (best / per_level)[level], len(validation))


def chance_to_reach(accuracies: Accuracies, mean: float, draws: int, weights: Accuracies | None = None) -> float | None:
    """The chance that the mean accuracy of several random architectures is at least as high as a given one.

    Accuracies and mean are rounded to 1/65,536 of the range of accuracies (0.001 points for 0 to 65 %); for these the
    chance is exact to 1e-9, by convolution.

    Args:
        accuracies: One per architecture.
        mean: The mean to reach, for example that of a selector over as many seeds.
        draws: Number of architectures drawn, with replacement; at least 1.
        weights: Relative chance of every architecture; equal if None.

    Returns:
        None if no architecture has an accuracy.

    Example:
        >>> accuracies = np.array([10.0, 20.0, 30.0, 40.0])
        >>> chance_to_reach(accuracies, 35.0, draws=1), round(chance_to_reach(accuracies, 35.0, draws=2), 9)
        (0.25, 0.1875)
    """
    if draws < 1:
        raise ValueError(f"draws: {draws}, expected at least 1")
    (known,), chances = _known(accuracies, weights=weights)
    if not len(chances):
        return None
    low, high = float(known.min()), float(known.max())
    step = (high - low) / STEPS or 1.0
    places = np.rint((known - low) / step).astype(int)
    # In steps, the sum that the draws need; rounding may cost every draw half a step, so the mean is rounded as well.
    needed = draws * round((mean - low) / step)
    largest = draws * int(places.max())
    if needed <= 0:
        return 1.0
    if needed > largest:
        return 0.0
    if draws == 1:
        return float(chances[places >= needed].sum())
    length = next_fast_len(largest + 1, real=True)
    distribution = irfft(rfft(np.bincount(places, chances), length) ** draws, length)
    return min(1.0, max(0.0, float(distribution[needed : largest + 1].sum())))


def _known(*columns: Accuracies, weights: Accuracies | None) -> tuple[list[Known], Known]:
    """The columns where all of them have a value, and the chances of these architectures, which sum to 1."""
    weights = np.ones(len(columns[0])) if weights is None else weights
    known = np.isfinite(columns).all(axis=0) & (weights > 0)
    return [column[known] for column in columns], weights[known] / weights[known].sum()


def _summary(values: Known, chances: Known, architectures: int) -> Baseline:
    order = np.argsort(values, kind="stable")
    values, chances = values[order], chances[order]
    mean = float(chances @ values)
    up_to = np.cumsum(chances)
    # A quartile that falls on the boundary between two values is the lower one, whatever the last bits of the sums.
    places = np.minimum(np.searchsorted(up_to, np.array([0.25, 0.5, 0.75]) - 1e-9), len(values) - 1)
    first, second, third = values[places].tolist()
    deviation = math.sqrt(float(chances @ (values - mean) ** 2))
    return Baseline(mean, deviation, (first, second, third), len(values), architectures - len(values))
