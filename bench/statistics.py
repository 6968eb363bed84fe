"""Means, correlations and tests with their uncertainty, where "undefined" is a state of its own and never a number.

Every function sorts its input, so the order of seeds or pairs changes no digit of a result.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student_t
from scipy.stats import ttest_ind

CONFIDENCE = 0.95
"""Confidence level of all intervals."""
RESAMPLES = 2000
"""Number of bootstrap resamples."""
FEWEST_PAIRS = 3
"""Number of pairs below which a rank correlation is undefined."""
EXACT_SIGN_FLIPS = 16
"""Up to this many seeds, all sign patterns are tried (65,536); with more seeds, as many random ones."""

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
class Estimate:
    """A number with a 95 % interval.

    Attributes:
        value: The number; None where it is undefined, and `note` then says why.
        low: Lower end of the interval; None where the interval is undefined, and `note` then says why.
        high: Upper end of the interval; None where `low` is.
        n: Number of observations that were used.
        note: Reason why the number or its interval is undefined, otherwise empty.
        dropped: Number of observations left out because they were not finite or not defined.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""
    dropped: int = 0


@dataclass(frozen=True)
class Mean(Estimate):
    """A mean with its t interval.

    Attributes:
        deviation: Sample standard deviation of the observations (n - 1 in the denominator); None where it is undefined.
    """

    deviation: float | None = None


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


@dataclass(frozen=True)
class PairedDifference:
    """The difference between two methods under the same seeds.

    Attributes:
        difference: Mean of first minus second over the common seeds, with its t interval.
        p_value: P-value of the two-sided sign-flip permutation test; None where the difference is undefined.
    """

    difference: Mean
    p_value: float | None


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


def mean_interval(values: Iterable[float | None]) -> Mean:
    """The mean, the sample standard deviation and the t interval of the mean.

    The t interval, not the bootstrap: with the usual five seeds a percentile bootstrap covers 84 %, not 95 %.
    Equal values have a mean but no interval, since they show no spread from which to estimate one.

    Args:
        values: Observations, one per seed for example; None, NaN and infinite ones are left out and counted.

    Example:
        >>> mean = mean_interval([93.0, 94.0, 95.0, None])
        >>> mean.value, mean.deviation, mean.n, mean.dropped
        (94.0, 1.0, 3, 1)
        >>> round(mean.low, 2), round(mean.high, 2)
        (91.52, 96.48)
    """
    given = list(values)
    finite = sorted(value for value in given if value is not None and math.isfinite(value))
    n, dropped = len(finite), len(given) - len(finite)
    if n == 0:
        return Mean(None, None, None, 0, "no values", dropped=dropped)
    mean = math.fsum(finite) / n
    if n == 1:
        return Mean(mean, None, None, 1, "one value has no interval", dropped=dropped)
    # Differences of decimal fractions that are equal on paper may differ in their last bits.
    if math.isclose(finite[0], finite[-1], rel_tol=1e-9):
        return Mean(mean, None, None, n, "all values equal, no interval", deviation=0.0, dropped=dropped)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (n - 1))
    half = float(student_t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
    return Mean(mean, mean - half, mean + half, n, deviation=deviation, dropped=dropped)


def paired_difference(
    first: Mapping[int, float | None], second: Mapping[int, float | None], seed: int = 0
) -> PairedDifference:
    """The mean difference over common seeds, its t interval, and an exact test of "no difference".

    The test flips the signs of the differences in all 2^n ways: without a difference, either sign is as likely. Its
    smallest possible p-value is 2 / 2^n: 0.0625 with five seeds.

    Args:
        first: Values of the first method by seed.
        second: Values of the second method by seed; seeds that only one method has are left out.
        seed: Seed of the random sign patterns, which are used with more than `EXACT_SIGN_FLIPS` seeds.

    Example:
        >>> paired = paired_difference({0: 93.0, 1: 94.0, 2: 95.0}, {0: 92.0, 1: 92.5, 2: 93.0})
        >>> paired.difference.value, paired.p_value
        (1.5, 0.25)
    """
    differences = []
    for common in sorted(first.keys() & second.keys()):
        minuend, subtrahend = first[common], second[common]
        differences.append(None if minuend is None or subtrahend is None else minuend - subtrahend)
    estimate = mean_interval(differences)
    if estimate.n < 2:
        note = "fewer than 2 common seeds"
        return PairedDifference(Mean(None, None, None, estimate.n, note, dropped=estimate.dropped), None)
    finite = sorted(value for value in differences if value is not None and math.isfinite(value))
    return PairedDifference(estimate, _sign_flip_p_value(np.array(finite), seed))


def _sign_flip_p_value(differences: Float[np.ndarray, " n"], seed: int) -> float:
    n = len(differences)
    if n <= EXACT_SIGN_FLIPS:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        patterns = np.random.default_rng(seed).integers(2, size=(2**EXACT_SIGN_FLIPS, n))
        patterns[0] = 0  # the observed pattern counts too, so that the p-value is never 0
    sums = np.abs((1 - 2 * patterns) @ differences)
    # Sums that are equal on paper may differ in their last bits.
    observed = abs(math.fsum(differences)) - 1e-12 * float(np.abs(differences).sum())
    return float((sums >= observed).mean())


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


@dataclass(frozen=True)
class Comparison:
    """The difference between two methods by a t test.

    Attributes:
        difference: Mean of first minus second, with its interval where it is defined.
        p_value: Two-sided p-value of "no difference"; None where there is no test.
        test: Name of the test: `paired t`, `Welch` or `none`.
    """

    difference: Mean
    p_value: float | None
    test: str


def t_test(first: Mapping[int, float | None], second: Mapping[int, float | None]) -> Comparison:
    """Compare two methods by a t test: over the common seeds where there are two or more, else over all of each.

    The sign-flip test of `paired_difference` needs no normal distribution, but with five seeds stays above 0.06.
    Where all differences are equal and not zero, they do not vary by chance, and the p-value is 0.

    Args:
        first: Values of the first method by seed; None, NaN and infinite ones are left out.
        second: Values of the second method by seed.

    Example:
        >>> comparison = t_test({0: 93.0, 1: 94.0, 2: 95.0}, {0: 92.0, 1: 92.5, 2: 93.0})
        >>> comparison.difference.value, round(comparison.p_value, 3), comparison.test
        (1.5, 0.035, 'paired t')
    """
    ours, theirs = (
        {seed: v for seed, v in values.items() if v is not None and math.isfinite(v)} for values in (first, second)
    )
    common = sorted(ours.keys() & theirs.keys())
    if len(common) >= 2:
        difference = mean_interval(ours[seed] - theirs[seed] for seed in common)
        return Comparison(difference, _t_test_p_value(difference), "paired t")
    if len(ours) < 2 or len(theirs) < 2:
        return Comparison(Mean(None, None, None, min(len(ours), len(theirs)), "fewer than 2 seeds"), None, "none")
    our_mean, their_mean = mean_interval(ours.values()), mean_interval(theirs.values())
    assert our_mean.value is not None and their_mean.value is not None
    value, n = our_mean.value - their_mean.value, min(our_mean.n, their_mean.n)
    if not our_mean.deviation and not their_mean.deviation:
        mean = Mean(value, None, None, n, "all values equal, no interval", deviation=0.0)
        return Comparison(mean, _t_test_p_value(mean), "Welch")
    with warnings.catch_warnings():
        # scipy warns if the values of one method do not vary; the spread of the other is enough for this test.
        warnings.simplefilter("ignore", RuntimeWarning)
        test = ttest_ind(list(ours.values()), list(theirs.values()), equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    mean = Mean(value, float(low), float(high), n)
    return Comparison(mean, float(test.pvalue), "Welch")


def _t_test_p_value(difference: Mean) -> float:
    assert difference.value is not None
    if not difference.deviation:
        return 1.0 if math.isclose(difference.value, 0, abs_tol=1e-9) else 0.0
    statistic = abs(difference.value) / (difference.deviation / math.sqrt(difference.n))
    return float(2 * student_t.sf(statistic, difference.n - 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for the number of tests, which bounds the chance of any false alarm among all of them.

    Args:
        p_values: P-values in any order; None where there is no test, which does not count.

    Returns:
        Corrected p-values in the same order; None remains None.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.

    Example:
        >>> holm([0.01, 0.04, None, 0.03])
        [0.03, 0.06, None, 0.06]
    """
    ranked = sorted((p_value, position) for position, p_value in enumerate(p_values) if p_value is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p_value, position) in enumerate(ranked):
        largest = max(largest, min(1.0, (len(ranked) - rank) * p_value))
        corrected[position] = largest
    return corrected
