"""TE-NAS: trainability and expressivity combined by their ranks."""

import numpy as np
from jaxtyping import Float

from opselect.selectors.proxies.interface import Combination
from opselect.selectors.proxies.ranking import Scores, sum_over_ranks


def rank_sum(scores: Scores) -> Float[np.ndarray, " members"]:
    """The sum of the ranks of each candidate, where the worst has rank 1; larger is better.

    Equal scores get equal ranks and the next score gets the next rank, as in the published code. A candidate with a NaN
    or infinite score gets NaN and does not affect the ranks of the others.

    Args:
        scores: Scores `[candidates, proxies]`; a larger score is better.

    Example:
        >>> rank_sum(np.array([[0.3, 7.0], [0.1, 9.0], [0.3, 9.0]]))
        array([3., 3., 4.])

    Source: Chen et al., TE-NAS, ICLR 2021, section 4 (ranks of the condition number and of the linear regions).
    """
    return sum_over_ranks(scores, "dense", lambda ranks: ranks)


te_nas = Combination(("ntk", "linear_regions"), rank_sum)
