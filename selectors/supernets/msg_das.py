"""MSG-DAS: every step trains several sub-graphs that share no operation on any edge."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.changes import ChangedSupernet, setting, why_unchangeable
from opselect.selectors.supernets.drop_block import BlockDrop, DroppedSkip, with_dropped_skip
from opselect.selectors.supernets.gdas import GDAS
from opselect.selectors.supernets.relaxations import gumbel_noise, hard_gumbel
from opselect.selectors.supernets.settings import Moment, TrainingStep
from opselect.spaces.space import SearchSpace, Weights


class MSGDAS(GDAS):
    """After MSG-DAS: exclusive sub-graphs by Gumbel top-k, DropBlock on skip connections, distillation by the supernet.

    One draw of noise ranks the operations of every edge; sub-graph k has the k-th. Each learns from the labels, and
    from the supernet under alpha's softmax, which gets no gradient. With one sub-graph, no distillation and no dropping
    this is `gdas`.

    Only the abstract of the paper was at hand, which names the three parts. The number of sub-graphs, the temperatures,
    weight and form of the distillation, rate and size of the dropped blocks and how ranks are joined are ours.

    Source: Tan et al., Mutually-aware Sub-Graphs Differentiable Architecture Search, arXiv 2107.04324.
    """

    sub_graph_count: int = Field(default=2, ge=1, description="K, the number of sub-graphs of a step.")
    ranks: Literal["aligned", "shuffled"] = Field(
        default="aligned", description="Whether a sub-graph has one rank on all edges, or any on each."
    )
    distillation: float = Field(
        default=1.0, ge=0, description="Weight of the distillation by the supernet; 0 for none."
    )
    distillation_temperature: float = Field(default=1.0, gt=0, le=1000, description="Temperature of both softmaxes.")
    drop_rate: float = Field(
        default=0.1, ge=0, lt=1, description="Share of pixels dropped from skip connections in the end; 0 for none."
    )
    drop_size: int = Field(default=3, ge=1, description="Height and width of a dropped block in pixels.")

    def prepare(self, supernet: nn.Module) -> nn.Module:
        """The supernet, whose skip connections can lose blocks."""
        return ChangedSupernet(supernet, with_dropped_skip) if self.drop_rate else supernet

    def why_not(self, space: SearchSpace) -> str:
        """Why a space cannot have it: an edge has too few operations."""
        fewest = min(len(edge.operations) for edge in space.edges)
        if self.sub_graph_count > fewest:
            return f"it draws {self.sub_graph_count} operations per edge (sub_graph_count), and an edge has {fewest}"
        return why_unchangeable(space, self.prepare)

    def sub_graphs(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Sequence[Weights]:
        """K matrices `[edges, operations]` of one-hot rows that differ on every open edge."""
        noise, ranks = gumbel_noise(alpha, moment.generator), torch.arange(self.sub_graph_count)
        by_edge = ranks.expand(len(alpha), -1)
        if self.ranks == "shuffled":
            by_edge = torch.rand(by_edge.shape, generator=moment.generator).argsort(dim=1)
        temperature = self.temperature(moment)
        return [hard_gumbel(alpha, decisions, noise, temperature, by_edge[:, [place]]) for place in ranks]

    def losses(self, supernet: nn.Module, step: TrainingStep) -> Iterator[Tensor]:
        """The mean over the sub-graphs of the cross entropy and of the divergence from the supernet."""
        drop = BlockDrop(self.drop_rate * step.moment.progress, self.drop_size, step.moment.generator)
        teacher = None
        if self.distillation:
            with torch.no_grad():
                teacher = supernet(step.batch.images, self.weights(step.alpha, step.decisions))
        for weights in step.sub_graphs:
            with setting(supernet, DroppedSkip, drop=drop if drop.rate else None):
                logits = supernet(step.batch.images, weights)
            loss = functional.cross_entropy(logits, step.batch.labels)
            if teacher is not None:
                loss = loss + self.distillation * divergence(teacher, logits, self.distillation_temperature)
            yield loss / len(step.sub_graphs)


def divergence(teacher: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """The mean Kullback-Leibler divergence of predictions from those of a teacher, times the squared temperature.

    Args:
        teacher: Logits of the teacher, `[batch, classes]`.
        logits: Logits of the student, `[batch, classes]`.
        temperature: Temperature of both softmaxes.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, arXiv 1503.02531, section 2.
    """
    expected, predicted = ((each / temperature).log_softmax(dim=1) for each in (teacher, logits))
    return temperature**2 * functional.kl_div(predicted, expected, reduction="batchmean", log_target=True)
