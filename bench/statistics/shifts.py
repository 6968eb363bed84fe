"""Whether any measure changed between two runs: the sign-flip test of comparisons, one-sided and for all jointly.

A gate has few seeds for many measures, and an alarm is about one direction. So the test is one-sided, whose floor is
1 / 2^n, 0.031 with five seeds, and all measures get the same signs, so that the floor is not multiplied by their
number, as Holm's correction would. On another machine most differences are exactly zero and take no part.

Seeds are sorted by their values first, so their names and order change no digit of a result.
"""

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from opselect.bench.statistics.comparisons import BySeed, all_signs, minus, random_signs

MOST_PATTERNS = 2**16
"""Up to this many sign patterns or exchanges, all are tried; of more, as many random ones."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Shift:
    """How one measure changed between two runs.

    Attributes:
        value: Mean of the first run minus that of the second, over common seeds where `test` is paired; None without
            values.
        p_value: One-sided p-value of a change in the direction of `value`, corrected for all measures; None where
            there is no test.
        smallest_p: Least p-value that the seeds can reach; None where there is no test.
        test: `paired sign-flip`, `permutation` or `none`.
        n: Number of common seeds, or the smaller number of values.
    """

    value: float | None
    p_value: float | None
    smallest_p: float | None
    test: str
    n: int


def shifts(pairs: Mapping[Key, tuple[BySeed, BySeed]], level: float) -> dict[Key, Shift]:
    """Test whether any measure changed between two runs, with the chance of any false alarm at most the level.

    Where the runs have enough common seeds to reach the level, signs are flipped, one pattern for all measures of a
    seed, since they share supernets. Otherwise whole seeds are exchanged between the runs; where the same seeds make
    the runs alike, that test is only more cautious. A p-value is the share of patterns in which any measure
    moves as far in the same direction, in units of its own spread.

    Args:
        pairs: Values of the first and of the second run by seed, for every measure.
        level: Chance of a false alarm in either direction, which decides how few common seeds are too few.

    Example:
        >>> before = {seed: 90.0 + seed for seed in range(5)}
        >>> after = {seed: value - 3 - seed / 10 for seed, value in before.items()}
        >>> shifts({"accuracy": (after, before)}, 0.05)["accuracy"]
        Shift(value=-3.2, p_value=0.03125, smallest_p=0.03125, test='paired sign-flip', n=5)
    """
    finite = {key: (_finite(first), _finite(second)) for key, (first, second) in pairs.items()}
    commons = {key: first.keys() & second.keys() for key, (first, second) in finite.items()}
    enough = any(2.0 ** -len(common) <= level for common in commons.values())
    paired, unpaired = {}, {}
    for key, (first, second) in finite.items():
        common = commons[key]
        exchanges = math.comb(len(first) + len(second), len(first))
        if common and (enough or 1 / exchanges > level):
            paired[key] = {seed: minus(first[seed], second[seed]) for seed in common}
        elif first and second:
            unpaired[key] = (first, second)
    families = bool(paired) + bool(unpaired)
    found = {key: Shift(None, None, None, "none", 0) for key in pairs}
    return found | _paired_shifts(paired, families) | _unpaired_shifts(unpaired, families)


def _finite(values: BySeed) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if value is not None and math.isfinite(value)}


def _paired_shifts(differences: Mapping[Key, Mapping[int, float]], families: int) -> dict[Key, Shift]:
    """Joint sign-flip test; the p-values are multiplied by the number of families of measures."""
    if not differences:
        return {}
    matrix = _by_seed(differences.values(), 0.0)
    signs = all_signs(len(matrix)) if 2 ** len(matrix) <= MOST_PATTERNS else random_signs(len(matrix))
    # In units that no flip of signs changes.
    units = np.sqrt((matrix**2).sum(axis=0))
    p_values = _joint_p_values(signs @ matrix / np.where(units > 0, units, 1), families)
    return {
        key: Shift(
            math.fsum(by_seed.values()) / len(by_seed),
            p_value,
            min(1.0, families / min(2 ** len(by_seed), MOST_PATTERNS)),
            "paired sign-flip",
            len(by_seed),
        )
        for (key, by_seed), p_value in zip(differences.items(), p_values, strict=True)
    }


def _unpaired_shifts(
    values: Mapping[Key, tuple[Mapping[int, float], Mapping[int, float]]], families: int
) -> dict[Key, Shift]:
    """Joint permutation test; the p-values are multiplied by the number of families of measures."""
    if not values:
        return {}
    first, second = (_by_seed([pair[place] for pair in values.values()], math.nan) for place in (0, 1))
    matrix = np.concatenate([first, second])
    known = ~np.isnan(matrix)
    counts = known.sum(axis=0)
    centred = np.where(known, matrix - np.nanmean(matrix, axis=0), 0.0)
    centred[:, np.abs(centred).max(axis=0) <= 1e-9 * np.nanmax(np.abs(matrix), axis=0)] = 0  # all values are equal
    ours = _splits(len(first), len(second))
    our_counts = ours @ known
    their_counts = counts - our_counts
    # The mean of ours minus theirs over its standard error; the values are centred, so theirs sum to minus ours.
    inverse = 1 / np.maximum(our_counts, 1) + 1 / np.maximum(their_counts, 1)
    differences = np.where((our_counts > 0) & (their_counts > 0), ours @ centred * inverse, 0.0)
    units = np.sqrt((centred**2).sum(axis=0) / counts) * np.sqrt(inverse)
    p_values = _joint_p_values(differences / np.where(units > 0, units, 1), families)
    found = {}
    for (key, pair), p_value in zip(values.items(), p_values, strict=True):
        means = [math.fsum(each.values()) / len(each) for each in pair]
        splits = min(math.comb(len(pair[0]) + len(pair[1]), len(pair[0])), MOST_PATTERNS)
        found[key] = Shift(
            means[0] - means[1], p_value, min(1.0, families / splits), "permutation", min(map(len, pair))
        )
    return found


def _joint_p_values(statistics: Float[np.ndarray, "patterns measures"], families: int) -> list[float]:
    """Share of patterns in which any measure moves as far as each does in the first, in the direction of that one."""
    upwards, downwards = statistics.max(axis=1), -statistics.min(axis=1)
    p_values = []
    for observed in statistics[0]:
        furthest = upwards if observed >= 0 else downwards
        share = 1.0 if abs(observed) < 1e-9 else float((furthest >= abs(observed) - 1e-9).mean())
        p_values.append(min(1.0, families * share))
    return p_values


def _by_seed(columns: Iterable[Mapping[int, float]], missing: float) -> Float[np.ndarray, "seeds measures"]:
    """One row per seed in an order that the names of the seeds do not determine, one column per measure."""
    each = list(columns)
    seeds = set().union(*each)
    rows = [[column.get(seed, missing) for column in each] for seed in seeds]
    return np.array(sorted(rows, key=lambda row: [(math.isnan(value), value) for value in row]), dtype=np.float64)


@lru_cache(maxsize=4)
def _splits(first: int, second: int) -> Float[np.ndarray, "splits seeds"]:
    """All ways to choose the seeds of the first run, or random ones, as rows of ones and zeros; the first is as is."""
    seeds = first + second
    if (count := math.comb(seeds, first)) <= MOST_PATTERNS:
        chosen = np.array(list(combinations(range(seeds), first)))
    else:
        count = MOST_PATTERNS
        chosen = np.random.default_rng(0).random((count, seeds)).argsort(axis=1)[:, :first]
        chosen[0] = np.arange(first)
    rows = np.zeros((count, seeds))
    np.put_along_axis(rows, chosen, 1.0, axis=1)
    return rows
