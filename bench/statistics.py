"""Numbers with their uncertainty, where "undefined" is a state of its own and never a number.

Every function sorts what it is given, so the order of seeds or pairs changes no digit of a result.
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
RESAMPLES = 2000
FEWEST_PAIRS = 3
# Up to this many seeds all sign patterns are tried (65,536); beyond, as many random ones.
EXACT_SIGN_FLIPS = 16

# How much is worked on at a time, which keeps memory flat: resamples, and rows of the matrix of all pairs.
RESAMPLES_AT_A_TIME = 50
ROWS_AT_A_TIME = 256

Pairs: TypeAlias = Float[np.ndarray, "n 2"]
"""Both variables of every observation, all finite."""

Counts: TypeAlias = Float[np.ndarray, "resamples n"]
"""How often each observation stands in each resample; all ones is the sample itself."""

ResampledCorrelation: TypeAlias = Callable[[Pairs, Counts], Float[np.ndarray, " resamples"]]
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

    Pairs with a NaN or infinite member are dropped and counted.

    Args:
        first: one value an observation.
        second: one value an observation.
        seed: of the bootstrap.
    """
    return _rank_correlation(first, second, _spearman, seed)


def kendall(first: Sequence[float], second: Sequence[float], seed: int = 0) -> RankCorrelation:
    """Kendall's rank correlation tau-b, with a percentile bootstrap interval; otherwise as `spearman`."""
    return _rank_correlation(first, second, _kendall, seed)


def mean_over_edges_spearman(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> EdgeMean:
    """The agreement of two sets of operation scores, as Zero-Cost-PT's code measures it.

    Spearman over the operations of each edge with average ranks, then the mean over edges; flattening all edges into
    one list gives other numbers. Differs from the reference: an edge where it is undefined is left out and counted.

    Args:
        first: scores, `[edges][operations]`; edges may differ in their number of operations.
        second: other scores of the same operations.
    """
    return _mean_over_edges(first, second, _spearman)


def mean_over_edges_kendall(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> EdgeMean:
    """The same with Kendall's tau-b instead of Spearman."""
    return _mean_over_edges(first, second, _kendall)


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
    parts = [generator.multinomial(n, even, RESAMPLES_AT_A_TIME) for _ in range(RESAMPLES // RESAMPLES_AT_A_TIME)]
    # Single precision holds all whole numbers up to 16 million, and a product of matrices takes half the time in it.
    resampled = correlation(pairs, np.concatenate([part.astype(np.float32) for part in parts]))
    tail = (1 - CONFIDENCE) / 2
    # A resample may be constant by chance; the interval is that of the others.
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return RankCorrelation(_of_sample(pairs, correlation), float(low), float(high), n, ties=ties, dropped=dropped)


def _spearman(pairs: Pairs, counts: Counts) -> Float[np.ndarray, " resamples"]:
    """Spearman of resamples. All sums are over integers and hence exact, whatever the order of summation."""

    def of_part(part: Counts) -> Float[np.ndarray, " resamples"]:
        first, second = _centred_ranks(pairs[:, 0], part), _centred_ranks(pairs[:, 1], part)
        return _ratio((part * first * second).sum(1), (part * first**2).sum(1), (part * second**2).sum(1))

    return np.concatenate([of_part(part.astype(np.float64)) for part in _parts(counts, RESAMPLES_AT_A_TIME)])


def _centred_ranks(values: Float[np.ndarray, " n"], counts: Counts) -> Float[np.ndarray, "resamples n"]:
    """How many observations of a resample lie below each one, minus how many lie above: twice its centred rank."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    up_to = counts[:, np.argsort(group, kind="stable")].cumsum(1)[:, sizes.cumsum() - 1]
    below = np.concatenate([np.zeros((len(counts), 1)), up_to[:, :-1]], axis=1)
    ranks: Float[np.ndarray, "resamples groups"] = below + up_to - up_to[:, -1:]
    return ranks[:, group]


def _kendall(pairs: Pairs, counts: Counts) -> Float[np.ndarray, " resamples"]:
    """Kendall's tau-b of resamples: concordant minus discordant pairs over those untied in either variable."""
    difference = np.zeros(len(counts))
    for rows in _parts(np.arange(len(pairs)), ROWS_AT_A_TIME):
        signs = [np.sign(column[rows, None] - column).astype(np.float32) for column in pairs.T]
        difference += (counts[:, rows] * (counts @ (signs[0] * signs[1]).T)).sum(1, dtype=np.float64)
    return _ratio(difference, _untied(pairs[:, 0], counts), _untied(pairs[:, 1], counts))


def _untied(values: Float[np.ndarray, " n"], counts: Counts) -> Float[np.ndarray, " resamples"]:
    """How many ordered pairs of a resample differ in a variable."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    starts = sizes.cumsum() - sizes
    by_value = np.add.reduceat(counts[:, np.argsort(group, kind="stable")].astype(np.float64), starts, axis=1)
    total: Float[np.ndarray, " resamples"] = counts.sum(1, dtype=np.float64) ** 2 - (by_value**2).sum(1)
    return total


def _parts(values: np.ndarray, size: int) -> list[np.ndarray]:
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
    """How much one method's values are above another's.

    Attributes:
        difference: mean of first minus second, with its interval where there is one.
        p_value: two-sided, of "no difference"; None where it cannot be tested.
        test: which test it is of: `paired t` or `Welch`.
    """

    difference: Mean
    p_value: float | None
    test: str


def t_test(first: Mapping[int, float | None], second: Mapping[int, float | None]) -> Comparison:
    """Compare two methods by a t test: over the common seeds where there are two or more, else over all of each.

    The sign-flip test of `paired_difference` needs no normal distribution, but with five seeds stays above 0.06.
    Where all differences are equal and not zero, no chance is in them, and the p-value is 0.

    Args:
        first: one value a seed; undefined ones are left out.
        second: one value a seed.
    """
    ours, theirs = (
        {seed: v for seed, v in each.items() if v is not None and math.isfinite(v)} for each in (first, second)
    )
    common = sorted(ours.keys() & theirs.keys())
    if len(common) >= 2:
        difference = mean_interval(ours[seed] - theirs[seed] for seed in common)
        return Comparison(difference, _t_test_p_value(difference), "paired t")
    if len(ours) < 2 or len(theirs) < 2:
        return Comparison(Mean(None, None, None, min(len(ours), len(theirs)), "fewer than 2 seeds"), None, "none")
    one, other = mean_interval(ours.values()), mean_interval(theirs.values())
    assert one.value is not None and other.value is not None
    value = one.value - other.value
    if not one.deviation and not other.deviation:
        mean = Mean(value, None, None, min(one.n, other.n), "all values equal, no interval", deviation=0.0)
        return Comparison(mean, _t_test_p_value(mean), "Welch")
    with warnings.catch_warnings():
        # That one side never varies is a warning of scipy's; the other's spread is enough for this test.
        warnings.simplefilter("ignore", RuntimeWarning)
        test = ttest_ind(list(ours.values()), list(theirs.values()), equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    mean = Mean(value, float(low), float(high), min(one.n, other.n))
    return Comparison(mean, float(test.pvalue), "Welch")


def _t_test_p_value(difference: Mean) -> float:
    assert difference.value is not None
    if not difference.deviation:
        return 1.0 if math.isclose(difference.value, 0, abs_tol=1e-9) else 0.0
    statistic = abs(difference.value) / (difference.deviation / math.sqrt(difference.n))
    return float(2 * student_t.sf(statistic, difference.n - 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number, so that the chance of any false alarm among all is that of one.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.

    Args:
        p_values: None where there is none; it stays None and does not count.
    """
    ranked = sorted((p_value, place) for place, p_value in enumerate(p_values) if p_value is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p_value, place) in enumerate(ranked):
        largest = max(largest, min(1.0, (len(ranked) - rank) * p_value))
        corrected[place] = largest
    return corrected
