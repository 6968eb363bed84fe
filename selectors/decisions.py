"""The partly decided architecture, and the weight matrices that perturbation and discretization ask about."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from opselect.spaces.space import NONE, Architecture, Edge, Weights


@dataclass(frozen=True)
class Decisions:
    """Which operation every edge has, where that is decided.

    Attributes:
        edges: the edges of the space.
        chosen: the operation's number on every decided edge, None on the open ones.
        dropped: numbers of the edges that the topology rule has removed.
    """

    edges: tuple[Edge, ...]
    chosen: tuple[int | None, ...]
    dropped: frozenset[int] = frozenset()

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

    def drop(self, edge: int) -> "Decisions":
        """The decisions without an edge.

        Raises:
            ValueError: the edge is dropped already.
        """
        if edge in self.dropped:
            raise ValueError(f"edge {self.edges[edge].name} is dropped already")
        return replace(self, dropped=self.dropped | {edge})

    def inputs(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """By cell type and node, the edges that enter it and are not dropped, ascending."""
        found: dict[tuple[str, int], tuple[int, ...]] = {}
        for number, edge in enumerate(self.edges):
            node = edge.cell, edge.target
            found[node] = (*found.get(node, ()), *(() if number in self.dropped else (number,)))
        return found

    def weights(self, alpha: Float[Tensor, "edges operations"]) -> Weights:
        """The softmax of every open edge's row of alpha, one-hot rows for the decided edges, zeros for dropped ones.

        Edges with fewer operations than the matrix has columns have zeros there. Gradients reach the open rows only.
        """
        sizes = torch.tensor([len(edge.operations) for edge in self.edges])
        real = torch.arange(alpha.shape[1]) < sizes[:, None]
        weights = torch.softmax(alpha.masked_fill(~real, -torch.inf), dim=1)
        for edge, operation in enumerate(self.chosen):
            if operation is not None:
                weights = only(weights, edge, operation)
        for edge in sorted(self.dropped):
            weights = without_edge(weights, edge)
        return weights

    def architecture(self) -> Architecture:
        """The decided architecture; dropped edges have the operation `none`.

        Raises:
            ValueError: an edge is still open.
        """
        if self.open_edges:
            raise ValueError(f"{len(self.open_edges)} edge(s) still open")
        return Architecture(
            tuple(
                NONE if place in self.dropped else edge.operations[number]
                for place, (edge, number) in enumerate(zip(self.edges, self.chosen, strict=True))
                if number is not None
            )
        )


def without(weights: Weights, edge: int, operation: int) -> Weights:
    """Another matrix in which one operation is removed; the others keep their weights (DARTS-PT, section 4)."""
    changed = weights.clone()
    changed[edge, operation] = 0
    return changed


def without_edge(weights: Weights, edge: int) -> Weights:
    """Another matrix in which an edge carries nothing."""
    return torch.cat([weights[:edge], torch.zeros_like(weights[edge])[None], weights[edge + 1 :]])


def only(weights: Weights, edge: int, operation: int) -> Weights:
    """Another matrix in which the edge is discretized: this operation with weight 1, the others removed."""
    row = torch.zeros_like(weights[edge])
    row[operation] = 1
    return torch.cat([weights[:edge], row[None], weights[edge + 1 :]])
