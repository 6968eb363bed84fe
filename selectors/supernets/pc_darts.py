"""PC-DARTS: operations see a part of the channels, and the edges into a node compete."""

import torch
from pydantic import Field
from torch import Tensor, nn

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.changes import ChangedSupernet, why_unchangeable
from opselect.selectors.supernets.partial_channels import PartialEdge
from opselect.selectors.supernets.settings import Moment, SupernetTraining
from opselect.spaces.space import SearchSpace, Weights


class PCDARTS(SupernetTraining):
    """DARTS on one channel in four, with normalised edges and a start without steps of alpha.

    The published method learns one more number per edge, whose softmax over the edges into a node weighs them. Here
    that number is the mean of the edge's row of alpha, which the softmax over operations does not depend on; so alpha
    keeps its shape, and the weights of a row sum to the weight of its edge. An operation that a selector removes takes
    its share of the edge's bypass with it. The start is a share of the training; published are 15 of 50 epochs.

    Source: Xu et al., PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search, ICLR 2020, and
    its published code, whose settings for CIFAR-10 are the defaults.
    """

    epochs: int = Field(default=50, ge=1, description="Passes over the train split.")
    batch_size: int = Field(default=256, ge=2, description="Images per step, for the weights and for alpha.")
    learning_rate: float = Field(default=0.1, gt=0, description="Learning rate of SGD for the weights at the start.")
    alpha_learning_rate: float = Field(default=6e-4, gt=0, description="Learning rate of Adam for alpha.")
    channel_fraction: int = Field(default=4, ge=1, description="K: operations see one K-th of the channels.")
    edge_normalization: bool = Field(default=True, description="Whether the edges into a node compete.")
    warm_up: float = Field(default=0.3, ge=0, lt=1, description="Share of the epochs before alpha takes steps.")

    def weights(self, alpha: Tensor, decisions: Decisions) -> Weights:
        """The softmax of alpha on open edges times the weight of the edge, `[edges, operations]`."""
        weights = decisions.weights(alpha)
        if not self.edge_normalization:
            return weights
        return decisions.applied_to(weights * edge_weights(alpha, decisions)[:, None])

    def prepare(self, supernet: nn.Module) -> nn.Module:
        """The supernet with partial channels."""
        if self.channel_fraction == 1:
            return supernet
        return ChangedSupernet(
            supernet, lambda edge: PartialEdge(edge, self.channel_fraction, scales_bypass=self.edge_normalization)
        )

    def why_not(self, space: SearchSpace) -> str:
        """Why a space cannot have it: its channels cannot be divided."""
        return why_unchangeable(space, self.prepare)

    def learns_alpha(self, moment: Moment) -> bool:
        """After the warm-up."""
        return moment.epoch >= int(self.warm_up * moment.epochs)


def edge_weights(alpha: Tensor, decisions: Decisions) -> Tensor:
    """One weight per edge, `[edges]`: the softmax over the edges into its node of the means of their rows of alpha.

    Decided edges count with the means that they have, and get no gradient; dropped ones do not count.
    """
    candidates = decisions.candidates(alpha)
    means = alpha.masked_fill(~candidates, 0).sum(dim=1) / candidates.sum(dim=1)
    is_mixed = torch.tensor([row in decisions.mixed_edges for row in range(len(alpha))])
    means = torch.where(is_mixed, means, means.detach())
    weights = torch.zeros_like(means)
    for edges in decisions.inputs().values():
        into_node = torch.tensor(edges, dtype=torch.long)
        weights = weights.index_put((into_node,), torch.softmax(means[into_node], dim=0))
    return weights
