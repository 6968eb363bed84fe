"""Rank correlations with their uncertainty, where "undefined" is a state of its own and never a number.

The pairs are sorted first, so their order changes no digit of a result.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from opselect.bench.statistics.estimates import CONFIDENCE, RESAMPLES, Estimate

FEWEST_PAIRS = 3
"""Number of pairs below which a rank correlation is undefined."""

# Sizes of chunks, which bound the memory: resamples, and rows of the matrix of all pairs.
RESAMPLES_AT_A_TIME = 50
ROWS_AT_A_TIME = 256

Pairs: TypeAlias = Float[np.ndarray, "n 2"]
"""Both variables of every observation, all finite."""

Counts: TypeAlias = Float[np.ndarray, "resamples n"]
"""Number of times that each observation occurs in each resample; all ones is the sample itself."""

ResampledCorrelation: TypeAlias = Callable[[Pairs, Counts], Float[np.ndarray, " resamples"]]
"""A function that returns one rank correlation per resample; NaN where it is undefined."""


@dataclass(frozen=True)
class RankCorrelation(Estimate):
    """A rank correlation with its bootstrap interval.

    Attributes:
        ties: Number of observations that share a value of either variable with another observation.
    """

    ties: int = 0


@dataclass(frozen=True)
class EdgeMean:
    """A mean over edges of the rank correlations of their operations' scores.

    Attributes:
        value: The mean; None where the correlation is undefined on every edge.
        edges: Number of edges that were used.
        undefined: Number of edges left out because their scores are constant or fewer than three pairs are finite.
        dropped: Number of pairs of scores left out because a score was not finite.
    """

    value: float | None
    edges: int
    undefined: int
    dropped: int


def spearman(first: Sequence[float], second: Sequence[float], seed: int = 0) -> RankCorrelation:
    """Spearman's rank correlation, average ranks for ties, with a percentile bootstrap interval.

    Pairs with a NaN or infinite value are dropped and counted.

    Args:
        first: Values of the first variable, one per observation.
        second: Values of the second variable, one per observation in the same order.
        seed: Seed of the bootstrap.

    Returns:
        The correlation; undefined with fewer than three finite pairs or where a variable is constant.

    Example:
        >>> spearman([1.0, 2.0, 3.0, 4.0], [20.0, 10.0, 30.0, 40.0]).value
        0.8
        >>> spearman([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]).note
        'constant'
    """
    return _rank_correlation(first, second, _spearman, seed)


def kendall(first: Sequence[float], second: Sequence[float], seed: int = 0) -> RankCorrelation:
    """Kendall's rank correlation tau-b with a percentile bootstrap interval; arguments and result as in `spearman`.

    Example:
        >>> round(kendall([1.0, 2.0, 3.0, 4.0], [20.0, 10.0, 30.0, 40.0]).value, 3)
        0.667
    """
    return _rank_correlation(first, second, _kendall, seed)


def mean_over_edges_spearman(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> EdgeMean:
    """The agreement of two sets of operation scores, as Zero-Cost-PT's code measures it.

    Spearman over the operations of each edge with average ranks, then the mean over edges; flattening all edges into
    one list gives other numbers. Differs from the reference: an edge where it is undefined is left out and counted.

    Args:
        first: Scores `[edges][operations]`; edges may differ in their number of operations.
        second: Another set of scores of the same operations.

    Example:
        >>> mean_over_edges_spearman([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], [[1.0, 3.0, 2.0], [1.0, 2.0, 3.0]])
        EdgeMean(value=0.75, edges=2, undefined=0, dropped=0)
    """
    return _mean_over_edges(first, second, _spearman)


def mean_over_edges_kendall(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> EdgeMean:
    """The agreement of two sets of operation scores by Kendall's tau-b; otherwise as `mean_over_edges_spearman`."""
    return _mean_over_edges(first, second, _kendall)


def _mean_over_edges(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], correlation: ResampledCorrelation
) -> EdgeMean:
    values = []
    dropped = 0
    for first_scores, second_scores in zip(first, second, strict=True):
        pairs, missing = _finite_pairs(first_scores, second_scores)
        dropped += missing
        if not _why_undefined(pairs):
            values.append(_of_sample(pairs, correlation))
    mean = math.fsum(values) / len(values) if values else None
    return EdgeMean(mean, len(values), len(first) - len(values), dropped)


def _rank_correlation(
    first: Sequence[float], second: Sequence[float], correlation: ResampledCorrelation, seed: int
) -> RankCorrelation:
    pairs, dropped = _finite_pairs(first, second)
    n, ties = len(pairs), _tied(pairs)
    note = _why_undefined(pairs)
    if note:
        return RankCorrelation(None, None, None, n, note, ties=ties, dropped=dropped)
    generator, even = np.random.default_rng(seed), np.full(n, 1 / n)
    chunks = [generator.multinomial(n, even, RESAMPLES_AT_A_TIME) for _ in range(RESAMPLES // RESAMPLES_AT_A_TIME)]
    # Single precision holds all whole numbers up to 16 million, and multiplies matrices in half the time.
    resampled = correlation(pairs, np.concatenate([chunk.astype(np.float32) for chunk in chunks]))
    tail = (1 - CONFIDENCE) / 2
    # A resample may be constant by chance; the interval leaves it out.
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return RankCorrelation(_of_sample(pairs, correlation), float(low), float(high), n, ties=ties, dropped=dropped)


def _spearman(pairs: Pairs, counts: Counts) -> Float[np.ndarray, " resamples"]:
    """Spearman's correlation per resample. All sums are over integers, hence exact in every order of summation."""

    def of_chunk(chunk: Counts) -> Float[np.ndarray, " resamples"]:
        first, second = _centred_ranks(pairs[:, 0], chunk), _centred_ranks(pairs[:, 1], chunk)
        return _ratio((chunk * first * second).sum(1), (chunk * first**2).sum(1), (chunk * second**2).sum(1))

    return np.concatenate([of_chunk(chunk.astype(np.float64)) for chunk in _chunks(counts, RESAMPLES_AT_A_TIME)])


def _centred_ranks(values: Float[np.ndarray, " n"], counts: Counts) -> Float[np.ndarray, "resamples n"]:
    """Twice the centred rank of every observation: the number of observations below it, minus the number above it."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    up_to = counts[:, np.argsort(group, kind="stable")].cumsum(1)[:, sizes.cumsum() - 1]
    below = np.concatenate([np.zeros((len(counts), 1)), up_to[:, :-1]], axis=1)
    ranks: Float[np.ndarray, "resamples groups"] = below + up_to - up_to[:, -1:]
    return ranks[:, group]


def _kendall(pairs: Pairs, counts: Counts) -> Float[np.ndarray, " resamples"]:
    """Kendall's tau-b per resample: concordant minus discordant pairs, over those untied in either variable."""
    difference = np.zeros(len(counts))
    for rows in _chunks(np.arange(len(pairs)), ROWS_AT_A_TIME):
        signs = [np.sign(column[rows, None] - column).astype(np.float32) for column in pairs.T]
        difference += (counts[:, rows] * (counts @ (signs[0] * signs[1]).T)).sum(1, dtype=np.float64)
    return _ratio(difference, _untied(pairs[:, 0], counts), _untied(pairs[:, 1], counts))


def _untied(values: Float[np.ndarray, " n"], counts: Counts) -> Float[np.ndarray, " resamples"]:
    """Number of ordered pairs per resample that differ in a variable."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    starts = sizes.cumsum() - sizes
    by_value = np.add.reduceat(counts[:, np.argsort(group, kind="stable")].astype(np.float64), starts, axis=1)
    total: Float[np.ndarray, " resamples"] = counts.sum(1, dtype=np.float64) ** 2 - (by_value**2).sum(1)
    return total


def _chunks(values: np.ndarray, size: int) -> list[np.ndarray]:
    return np.array_split(values, math.ceil(len(values) / size))


def _of_sample(pairs: Pairs, correlation: ResampledCorrelation) -> float:
    return float(correlation(pairs, np.ones((1, len(pairs)), dtype=np.float32))[0])


def _finite_pairs(first: Sequence[float], second: Sequence[float]) -> tuple[Pairs, int]:
    pairs = np.column_stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)])
    finite = pairs[np.isfinite(pairs).all(axis=1)]
    order = np.lexsort((finite[:, 1], finite[:, 0]))
    return finite[order], len(pairs) - len(finite)


def _why_undefined(pairs: Pairs) -> str:
    if len(pairs) < FEWEST_PAIRS:
        return f"fewer than {FEWEST_PAIRS} finite pairs"
    if (pairs == pairs[0]).all(axis=0).any():
        return "constant"
    return ""


def _tied(pairs: Pairs) -> int:
    shared = np.zeros(len(pairs), dtype=bool)
    for column in pairs.T:
        _, group, sizes = np.unique(column, return_inverse=True, return_counts=True)
        shared |= sizes[group] > 1
    return int(shared.sum())


def _ratio(
    numerator: Float[np.ndarray, " n"], first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    denominator = np.sqrt(first * second)
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
