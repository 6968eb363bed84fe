"""Numbers with their uncertainty, where "undefined" is a state of its own and never a number.

Every function sorts what it is given, so the order of seeds or pairs changes no digit of a result.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student_t

CONFIDENCE = 0.95
RESAMPLES = 2000
FEWEST_PAIRS = 3
# Up to this many seeds all sign patterns are tried (65,536); beyond, as many random ones.
EXACT_SIGN_FLIPS = 16

Signs: TypeAlias = Float[np.ndarray, "n n"]
"""`sign(x_i - x_j)` of every pair of observations: all that a rank correlation knows of a variable."""

Counts: TypeAlias = Float[np.ndarray, "resamples n"]
"""How often each observation stands in each resample; all ones is the sample itself."""

CorrelationOfSigns: TypeAlias = Callable[[Signs, Signs, Counts], Float[np.ndarray, " resamples"]]
"""One rank correlation a resample; NaN where it is undefined."""


@dataclass(frozen=True)
class Estimate:
    """A number with a 95 % interval.

    Attributes:
        value: None when it is undefined; `note` then says why.
        low: lower end of the interval; None when the interval is undefined, `note` then says why.
        high: upper end.
        n: how many observations it rests on.
        note: why something is undefined, empty otherwise.
        dropped: observations left out because they were not finite or not defined.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""
    dropped: int = 0


@dataclass(frozen=True)
class Mean(Estimate):
    """A mean.

    Attributes:
        deviation: sample standard deviation of the observations (n - 1 in the denominator).
    """

    deviation: float | None = None


@dataclass(frozen=True)
class RankCorrelation(Estimate):
    """A rank correlation.

    Attributes:
        ties: observations that share their value with another one, in either variable.
    """

    ties: int = 0


@dataclass(frozen=True)
class EdgeMean:
    """A mean over edges of a rank correlation over each edge's operations.

    Attributes:
        value: None when it is undefined on every edge.
        edges: how many edges it rests on.
        undefined: edges left out: a constant column or fewer than three finite pairs.
        dropped: pairs of scores left out because one of them was not finite.
    """

    value: float | None
    edges: int
    undefined: int
    dropped: int


@dataclass(frozen=True)
class PairedDifference:
    """How much one method is above another with the same seeds.

    Attributes:
        difference: mean of first minus second over the common seeds, with its t interval.
        p_value: two-sided sign-flip permutation test; None when the difference is undefined.
    """

    difference: Mean
    p_value: float | None


def spearman(first: Sequence[float], second: Sequence[float], seed: int = 0) -> RankCorrelation:
    """Spearman's rank correlation, average ranks for ties, with a percentile bootstrap interval.

    Pairs with a NaN or infinite member are dropped and counted. Memory grows with the square of their number.

    Args:
        first: one value an observation.
        second: one value an observation.
        seed: of the bootstrap.
    """
    return _rank_correlation(first, second, _spearman_of_signs, seed)


def kendall(first: Sequence[float], second: Sequence[float], seed: int = 0) -> RankCorrelation:
    """Kendall's rank correlation tau-b, with a percentile bootstrap interval; otherwise as `spearman`."""
    return _rank_correlation(first, second, _kendall_of_signs, seed)


def mean_over_edges_spearman(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> EdgeMean:
    """The agreement of two sets of operation scores, as Zero-Cost-PT's code measures it.

    Spearman over the operations of each edge with average ranks, then the mean over edges; flattening all edges into
    one list gives other numbers. Differs from the reference: an edge where it is undefined is left out and counted.

    Args:
        first: scores, `[edges][operations]`; edges may differ in their number of operations.
        second: other scores of the same operations.
    """
    return _mean_over_edges(first, second, _spearman_of_signs)


def mean_over_edges_kendall(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> EdgeMean:
    """The same with Kendall's tau-b instead of Spearman."""
    return _mean_over_edges(first, second, _kendall_of_signs)


def mean_interval(values: Iterable[float | None]) -> Mean:
    """The mean, the sample standard deviation and the t interval of the mean.

    The t interval, not the bootstrap: with the usual five seeds a percentile bootstrap covers 84 %, not 95 %.
    Equal values have a mean but no interval, since no spread was seen from which to estimate one.

    Args:
        values: None, NaN and infinite ones are left out and counted.
    """
    given = list(values)
    kept = sorted(value for value in given if value is not None and math.isfinite(value))
    n, dropped = len(kept), len(given) - len(kept)
    if n == 0:
        return Mean(None, None, None, 0, "no values", dropped=dropped)
    mean = math.fsum(kept) / n
    if n == 1:
        return Mean(mean, None, None, 1, "one value has no interval", dropped=dropped)
    # Differences of decimal fractions that are equal on paper may differ in their last bits.
    if math.isclose(kept[0], kept[-1], rel_tol=1e-9):
        return Mean(mean, None, None, n, "all values equal, no interval", deviation=0.0, dropped=dropped)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in kept) / (n - 1))
    half = float(student_t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
    return Mean(mean, mean - half, mean + half, n, deviation=deviation, dropped=dropped)


def paired_difference(
    first: Mapping[int, float | None], second: Mapping[int, float | None], seed: int = 0
) -> PairedDifference:
    """The mean difference over common seeds, its t interval, and an exact test of "no difference".

    The test flips the signs of the differences in all 2^n ways: without a difference, either sign is as likely. Its
    smallest possible p-value is 2 / 2^n: 0.0625 with five seeds.

    Args:
        first: one value a seed.
        second: one value a seed; seeds that only one of the two has are left out.
        seed: of the random sign patterns, which are needed above `EXACT_SIGN_FLIPS` seeds.
    """
    differences = []
    for common in sorted(first.keys() & second.keys()):
        one, other = first[common], second[common]
        differences.append(None if one is None or other is None else one - other)
    estimate = mean_interval(differences)
    if estimate.n < 2:
        note = "fewer than 2 common seeds"
        return PairedDifference(Mean(None, None, None, estimate.n, note, dropped=estimate.dropped), None)
    kept = sorted(value for value in differences if value is not None and math.isfinite(value))
    return PairedDifference(estimate, _sign_flip_p_value(np.array(kept), seed))


def _sign_flip_p_value(differences: Float[np.ndarray, " n"], seed: int) -> float:
    n = len(differences)
    if n <= EXACT_SIGN_FLIPS:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        patterns = np.random.default_rng(seed).integers(2, size=(2**EXACT_SIGN_FLIPS, n))
        patterns[0] = 0  # the pattern that was observed
    sums = np.abs((1 - 2 * patterns) @ differences)
    # Sums that are equal on paper may differ in their last bits.
    observed = abs(math.fsum(differences)) - 1e-12 * float(np.abs(differences).sum())
    return float((sums >= observed).mean())


def _mean_over_edges(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], correlation: CorrelationOfSigns
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
    first: Sequence[float], second: Sequence[float], correlation: CorrelationOfSigns, seed: int
) -> RankCorrelation:
    pairs, dropped = _finite_pairs(first, second)
    n, ties = len(pairs), _tied(pairs)
    note = _why_undefined(pairs)
    if note:
        return RankCorrelation(None, None, None, n, note, ties=ties, dropped=dropped)
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)
    resampled = correlation(_signs(pairs[:, 0]), _signs(pairs[:, 1]), counts)
    tail = (1 - CONFIDENCE) / 2
    # A resample may be constant by chance; the interval is that of the others.
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return RankCorrelation(_of_sample(pairs, correlation), float(low), float(high), n, ties=ties, dropped=dropped)


def _spearman_of_signs(first: Signs, second: Signs, counts: Counts) -> Float[np.ndarray, " resamples"]:
    """Spearman of resamples: the row sums of the signs are twice the centred average ranks.

    All sums are over integers and hence exact, whatever the order of summation.
    """
    first_ranks, second_ranks = counts @ first.T, counts @ second.T
    return _ratio(
        (counts * first_ranks * second_ranks).sum(1),
        (counts * first_ranks**2).sum(1),
        (counts * second_ranks**2).sum(1),
    )


def _kendall_of_signs(first: Signs, second: Signs, counts: Counts) -> Float[np.ndarray, " resamples"]:
    """Kendall's tau-b of resamples: concordant minus discordant pairs over those untied in either variable."""

    def over_pairs(signs: Signs) -> Float[np.ndarray, " resamples"]:
        return (counts * (counts @ signs)).sum(1)

    return _ratio(over_pairs(first * second), over_pairs(first**2), over_pairs(second**2))


def _of_sample(pairs: Float[np.ndarray, "n 2"], correlation: CorrelationOfSigns) -> float:
    return float(correlation(_signs(pairs[:, 0]), _signs(pairs[:, 1]), np.ones((1, len(pairs))))[0])


def _finite_pairs(first: Sequence[float], second: Sequence[float]) -> tuple[Float[np.ndarray, "n 2"], int]:
    pairs = np.column_stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)])
    finite = pairs[np.isfinite(pairs).all(axis=1)]
    order = np.lexsort((finite[:, 1], finite[:, 0]))
    return finite[order], len(pairs) - len(finite)


def _why_undefined(pairs: Float[np.ndarray, "n 2"]) -> str:
    if len(pairs) < FEWEST_PAIRS:
        return f"fewer than {FEWEST_PAIRS} finite pairs"
    if (pairs == pairs[0]).all(axis=0).any():
        return "constant"
    return ""


def _tied(pairs: Float[np.ndarray, "n 2"]) -> int:
    shared = np.zeros(len(pairs), dtype=bool)
    for column in pairs.T:
        _, group, sizes = np.unique(column, return_inverse=True, return_counts=True)
        shared |= sizes[group] > 1
    return int(shared.sum())


def _signs(values: Float[np.ndarray, " n"]) -> Signs:
    return (values[:, None] > values).astype(np.float64) - (values[:, None] < values)


def _ratio(
    numerator: Float[np.ndarray, " n"], first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    denominator = np.sqrt(first * second)
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
