"""What several trainings make of alpha: sampled and other weight matrices, as functions of alpha and random draws.

All keep the rows of decided and dropped edges as `Decisions` defines them, and no gradient reaches those.
"""

import torch
from torch import Tensor
from torch.distributions import Dirichlet
from torch.nn import functional

from opselect.selectors.decisions import Decisions
from opselect.spaces.space import Weights

SMALLEST_CONCENTRATION = 1e-6
"""Below it, samples of a Dirichlet distribution are no longer numbers in single precision."""


def sigmoid(alpha: Tensor, decisions: Decisions) -> Weights:
    """The sigmoid of every entry of alpha, so that the operations of an edge do not compete (FairDARTS)."""
    return decisions.applied_to(torch.sigmoid(alpha).masked_fill(~decisions.candidates(alpha), 0))


def gumbel_noise(alpha: Tensor, generator: torch.Generator) -> Tensor:
    """Independent draws `[edges, operations]` from the standard Gumbel distribution."""
    draws = torch.empty(alpha.shape).exponential_(generator=generator)
    return -draws.clamp_min(torch.finfo(draws.dtype).tiny).log()


def soft_gumbel(alpha: Tensor, decisions: Decisions, noise: Tensor, temperature: float) -> Weights:
    """The softmax of log-probabilities plus noise over a temperature: a relaxed draw of one operation per edge.

    Args:
        alpha: Architecture parameters, `[edges, operations]`.
        decisions: Decisions made so far.
        noise: Draws of `gumbel_noise`.
        temperature: Above 0; the smaller, the closer the weights are to one-hot rows.

    Source: Xie et al., SNAS, ICLR 2019, equation 4.
    """
    return decisions.applied_to(_tempered(_noisy_scores(alpha, decisions, noise), temperature))


def hard_gumbel(
    alpha: Tensor, decisions: Decisions, noise: Tensor, temperature: float, rank: int | Tensor = 0
) -> Weights:
    """One-hot rows with the operation of a rank by log-probability plus noise; gradients are those of the softmax.

    With rank 0 this draws operations by the softmax of alpha. The ranks from 0 on draw without replacement (the
    Plackett-Luce distribution): on every edge they are different operations. The gradient of a rank is that of the
    softmax over the operations of this and of later ranks.

    Args:
        alpha: Architecture parameters, `[edges, operations]`.
        decisions: Decisions made so far; the rows of decided and dropped edges are the same in every rank.
        noise: Draws of `gumbel_noise`.
        temperature: Above 0; that of the softmax behind the gradient. The draw does not depend on it.
        rank: Rank of the operations, from 0 and below the number of operations of every edge; or one per edge,
            `[edges, 1]`.

    Source: Dong and Yang, GDAS, CVPR 2019, section 3.2; Kool et al., Stochastic Beams, ICML 2019, for the ranks.

    Example:
        >>> from opselect.spaces.space import Edge
        >>> decisions = Decisions.none_yet((Edge("cell", 0, 1, ("skip", "conv", "pool")),))
        >>> alpha, noise = torch.tensor([[0.1, 0.3, 0.2]]), torch.zeros(1, 3)
        >>> [hard_gumbel(alpha, decisions, noise, 1.0, rank).tolist() for rank in range(2)]
        [[[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]]
    """
    scores = _noisy_scores(alpha, decisions, noise)
    ranks = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    soft = _tempered(scores.masked_fill(ranks < rank, -torch.inf), temperature)
    hard = (ranks == rank).to(soft)
    # The difference is exactly zero and has the gradient of the softmax; `1 - soft + soft` would not be exactly one.
    return decisions.applied_to(hard + (soft - soft.detach()))


def dirichlet_concentration(alpha: Tensor) -> Tensor:
    """Concentrations `[edges, operations]` of the Dirichlet distributions that alpha stands for: elu(alpha) + 1."""
    return (functional.elu(alpha) + 1).clamp_min(SMALLEST_CONCENTRATION)


def dirichlet_sample(alpha: Tensor, decisions: Decisions, generator: torch.Generator) -> Weights:
    """One draw per edge from the Dirichlet distribution of its row; gradients are pathwise.

    Args:
        alpha: Architecture parameters, `[edges, operations]`.
        decisions: Decisions made so far.
        generator: Random stream, which goes on by the draws.

    Source: Chen et al., DrNAS, ICLR 2021, section 3.1.
    """
    # torch.distributions draws from the global stream only, which gives way to the generator for the draw.
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator.get_state())
        sample = Dirichlet(dirichlet_concentration(alpha)).rsample()
        generator.set_state(torch.get_rng_state())
    # A part of a Dirichlet vector, normalised, has the Dirichlet distribution of the part.
    return decisions.applied_to(_normalized(sample, decisions))


def dirichlet_mean(alpha: Tensor, decisions: Decisions) -> Weights:
    """The mean of the Dirichlet distribution of every row: its concentrations divided by their sum."""
    return decisions.applied_to(_normalized(dirichlet_concentration(alpha), decisions))


def _noisy_scores(alpha: Tensor, decisions: Decisions, noise: Tensor) -> Tensor:
    masked = alpha.masked_fill(~decisions.candidates(alpha), -torch.inf)
    return torch.log_softmax(masked, dim=1) + noise


def _tempered(scores: Tensor, temperature: float) -> Tensor:
    # Relative to the largest score, so that no quotient overflows.
    return torch.softmax((scores - scores.detach().amax(dim=1, keepdim=True)) / temperature, dim=1)


def _normalized(matrix: Tensor, decisions: Decisions) -> Tensor:
    real = matrix.masked_fill(~decisions.candidates(matrix), 0)
    return real / real.sum(dim=1, keepdim=True)
