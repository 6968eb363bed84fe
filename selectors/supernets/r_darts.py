"""R-DARTS: stronger regularisation of the network's weights."""

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor, nn

from opselect.selectors.supernets.changes import ChangedSupernet, setting, why_unchangeable
from opselect.selectors.supernets.settings import SupernetTraining, TrainingStep
from opselect.spaces.cell_graph import EdgeOperations
from opselect.spaces.darts.network import DropPath
from opselect.spaces.space import SearchSpace


class DroppedEdge(nn.Module):
    """An edge that single images lose while a step computes its loss.

    Args:
        edge: The edge.
    """

    def __init__(self, edge: EdgeOperations) -> None:
        super().__init__()
        self.edge = edge
        self.drop: DropPath | None = None

    def forward(self, value: Tensor, weights: Tensor, computed: list[bool]) -> Tensor | None:
        """As of the edge, with zeros for some of the images where `drop` is set."""
        mixed: Tensor | None = self.edge(value, weights, computed)
        return mixed if mixed is None or self.drop is None else self.drop(mixed)


class RDARTS(SupernetTraining):
    """DARTS with more weight decay (R-DARTS-L2, the default), or with drop path that grows linearly (R-DARTS-DP).

    For R-DARTS-DP set `weight_decay` to 3e-4 and `drop_path` to a value from 0.2 to 0.6. The paper's searches with drop
    path also cut out squares of the images, and it repeats searches with several strengths; this is one search.

    Source: Zela et al., Understanding and Robustifying Differentiable Architecture Search, ICLR 2020, section 5, and
    its published code, src/search (50 epochs; weight decay up to 81 x 3e-4, here 27 x 3e-4).
    """

    epochs: int = Field(default=50, ge=1, description="Passes over the train split.")
    weight_decay: float = Field(default=81e-4, ge=0)
    drop_path: float = Field(default=0.0, ge=0, lt=1, description="Probability of losing an edge, in the end.")

    def prepare(self, supernet: nn.Module) -> nn.Module:
        """The supernet, whose edges can be lost where there is drop path."""
        return ChangedSupernet(supernet, DroppedEdge) if self.drop_path else supernet

    def why_not(self, space: SearchSpace) -> str:
        """Why a space cannot have it: with drop path, its supernet must have edges that can be lost."""
        return why_unchangeable(space, self.prepare)

    def losses(self, supernet: nn.Module, step: TrainingStep) -> Iterator[Tensor]:
        """The losses with drop path."""
        probability = self.drop_path * step.moment.progress
        drop = DropPath(probability, step.moment.generator) if probability else None
        with setting(supernet, DroppedEdge, drop=drop):
            yield from super().losses(supernet, step)
