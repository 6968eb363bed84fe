"""Ranks within a group, which combinations of proxies are made of: a member is one network or one operation."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

Scores: TypeAlias = Float[np.ndarray, "members proxies"]


def sum_over_ranks(
    scores: Scores, ties: Literal["average", "dense"], value: Callable[[Scores], Scores]
) -> Float[np.ndarray, " members"]:
    """The sum over proxies of a value of every member's ranks; NaN for members with a NaN or infinite score.

    Args:
        scores: `[members, proxies]`, larger is better.
        ties: The rank of equal scores; the worst rank is 1. `"average"` is the mean of the places that they take,
            `"dense"` gives them one place and the next score the following one.
        value: Maps the ranks of all members without NaN or infinite scores, `[members, proxies]`, to values.

    Example:
        >>> scores = np.array([[0.1, 5.0], [0.3, 7.0], [0.2, np.nan]])
        >>> sum_over_ranks(scores, "average", lambda ranks: ranks)
        array([ 2.,  4., nan])
    """
    scored = np.isfinite(scores).all(axis=1)
    combined = np.full(len(scores), np.nan)
    if scored.any():
        ranks = rankdata(scores[scored], method=ties, axis=0).astype(np.float64)
        combined[scored] = value(ranks).sum(axis=1)
    return combined
