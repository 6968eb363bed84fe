"""Terms of a loss that depend on alpha alone; edges that are decided or dropped do not count."""

from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.spaces.space import NONE, Weights


def beta_decay(alpha: Tensor, decisions: Decisions) -> Tensor:
    """The mean over the edges of the logarithm of the summed exponentials of their alpha.

    Its gradient is the softmax: what decays is the difference between the operations of an edge.

    Args:
        alpha: Architecture parameters, `[edges, operations]`.
        decisions: Decisions made so far; at least one edge mixes operations.

    Source: Ye et al., beta-DARTS, CVPR 2022, equation 13; `mlc_loss` in its published code.
    """
    rows = list(decisions.mixed_edges)
    return alpha.masked_fill(~decisions.candidates(alpha), -float("inf"))[rows].logsumexp(dim=1).mean()


def zero_one(weights: Weights, decisions: Decisions) -> Tensor:
    """Minus the mean squared distance of the weights from 0.5, which drives them to 0 or 1.

    `none` does not count: it has no effect on the output of its edge that could push back.

    Args:
        weights: Weights of the operations between 0 and 1, `[edges, operations]`.
        decisions: Decisions made so far; at least one edge mixes operations.

    Source: Chu et al., FairDARTS, ECCV 2020, equation 4.
    """
    counted = decisions.candidates(weights)
    for row, edge in enumerate(decisions.edges):
        counted[row] &= row in decisions.mixed_edges
        if NONE in edge.operations:
            counted[row, edge.operations.index(NONE)] = False
    return -(weights[counted] - 0.5).square().mean()
