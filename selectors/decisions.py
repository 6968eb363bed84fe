"""The partly decided architecture, and the weight matrices that perturbation and discretization ask about."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from opselect.spaces.space import Architecture, Edge, Weights


@dataclass(frozen=True)
class Decisions:
    """Which operation every edge has, where that is decided.

    Attributes:
        edges: the edges of the space.
        chosen: the operation's number on every decided edge, None on the open ones.
    """

    edges: tuple[Edge, ...]
    chosen: tuple[int | None, ...]

    @classmethod
    def none_yet(cls, edges: tuple[Edge, ...]) -> "Decisions":
        """All edges open."""
        return cls(edges, (None,) * len(edges))

    @property
    def open_edges(self) -> tuple[int, ...]:
        """Numbers of the undecided edges, ascending."""
        return tuple(number for number, operation in enumerate(self.chosen) if operation is None)

    def decide(self, edge: int, operation: int) -> "Decisions":
        """The decisions with one more edge decided.

        Raises:
            ValueError: the edge is decided already.
        """
        if self.chosen[edge] is not None:
            raise ValueError(f"edge {self.edges[edge].name} is decided already")
        return replace(self, chosen=(*self.chosen[:edge], operation, *self.chosen[edge + 1 :]))

    def weights(self, alpha: Float[Tensor, "edges operations"]) -> Weights:
        """The softmax of every open edge's row of alpha, one-hot rows for the decided edges.

        Edges with fewer operations than the matrix has columns have zeros there. Gradients reach the open rows only.
        """
        sizes = torch.tensor([len(edge.operations) for edge in self.edges])
        real = torch.arange(alpha.shape[1]) < sizes[:, None]
        weights = torch.softmax(alpha.masked_fill(~real, -torch.inf), dim=1)
        for edge, operation in enumerate(self.chosen):
            if operation is not None:
                weights = only(weights, edge, operation)
        return weights

    def architecture(self) -> Architecture:
        """The decided architecture.

        Raises:
            ValueError: an edge is still open.
        """
        if self.open_edges:
            raise ValueError(f"{len(self.open_edges)} edge(s) still open")
        return Architecture(
            tuple(
                edge.operations[number]
                for edge, number in zip(self.edges, self.chosen, strict=True)
                if number is not None
            )
        )


def without(weights: Weights, edge: int, operation: int) -> Weights:
    """Another matrix in which one operation is removed; the others keep their weights (DARTS-PT, section 4)."""
    changed = weights.clone()
    changed[edge, operation] = 0
    return changed


def only(weights: Weights, edge: int, operation: int) -> Weights:
    """Another matrix in which the edge is discretized: this operation with weight 1, the others removed."""
    row = torch.zeros_like(weights[edge])
    row[operation] = 1
    return torch.cat([weights[:edge], row[None], weights[edge + 1 :]])
