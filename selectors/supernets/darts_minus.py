"""DARTS-: a second skip connection on every edge, which fades out."""

from collections.abc import Iterator
from copy import deepcopy

from pydantic import Field
from torch import Tensor, nn

from opselect.selectors.supernets.changes import ChangedSupernet, setting, skip_of, why_unchangeable
from opselect.selectors.supernets.settings import SupernetTraining, TrainingStep
from opselect.spaces.cell_graph import EdgeOperations, plus
from opselect.spaces.space import SearchSpace


class EdgeWithSkip(nn.Module):
    """An edge with a copy of its skip connection, which counts while a step computes its loss.

    Args:
        edge: The edge.
    """

    def __init__(self, edge: EdgeOperations) -> None:
        super().__init__()
        self.edge, self.skip, self.share = edge, deepcopy(skip_of(edge)), 0.0

    def forward(self, value: Tensor, weights: Tensor, computed: list[bool]) -> Tensor | None:
        """As of the edge, plus a share of the skip connection; an edge that is dropped stays so."""
        mixed = self.edge(value, weights, computed)
        return plus(mixed, self.share * self.skip(value)) if self.share and any(computed) else mixed


class DARTSMinus(SupernetTraining):
    """DARTS whose edges add an auxiliary skip connection, so that the candidate one need not stabilise the training.

    Its factor falls linearly to 0 in tuning; selectors do not see it. Where an edge halves the size, the copy has
    weights of its own, which start as those of the candidate operation; in the published code they are drawn again.

    Source: Chu et al., DARTS-: Robustly Stepping out of Performance Collapse Without Indicators, ICLR 2021, section
    3.2, and its published code (linear decay from 1, 50 epochs).
    """

    epochs: int = Field(default=50, ge=1, description="Passes over the train split.")
    skip_factor: float = Field(default=1.0, ge=0, description="Factor of the auxiliary skip connection at the start.")

    def prepare(self, supernet: nn.Module) -> nn.Module:
        """The supernet with auxiliary skip connections."""
        return ChangedSupernet(supernet, EdgeWithSkip) if self.skip_factor else supernet

    def why_not(self, space: SearchSpace) -> str:
        """Why a space cannot have it: an edge has no skip connection."""
        return why_unchangeable(space, self.prepare)

    def losses(self, supernet: nn.Module, step: TrainingStep) -> Iterator[Tensor]:
        """The losses with the auxiliary skip connections in place."""
        with setting(supernet, EdgeWithSkip, share=self.skip_factor * (1 - step.moment.progress)):
            yield from super().losses(supernet, step)
