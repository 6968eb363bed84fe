"""What combinations share: the ranks of the members of a group in every one of their scores."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

Scores: TypeAlias = Float[np.ndarray, "members proxies"]


def sum_over_ranks(
    scores: Scores, ties: Literal["average", "dense"], value: Callable[[Scores], Scores]
) -> Float[np.ndarray, " members"]:
    """The sum of a value of the ranks of every member, over its scores; NaN for members with a NaN or infinite score.

    Args:
        scores: larger is better.
        ties: what equal scores get; the worst rank is 1. `"average"` is the mean of the places that they take,
            `"dense"` gives them one place and the next score the following one.
        value: of the ranks of all members without NaN or infinite scores.
    """
    scored = np.isfinite(scores).all(axis=1)
    combined = np.full(len(scores), np.nan)
    if scored.any():
        ranks = rankdata(scores[scored], method=ties, axis=0).astype(np.float64)
        combined[scored] = value(ranks).sum(axis=1)
    return combined
