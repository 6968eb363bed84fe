"""The partly decided architecture, and the weight matrices of perturbation and discretization."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from opselect.spaces.space import NONE, Architecture, Edge, Weights


@dataclass(frozen=True)
class Decisions:
    """The operations chosen so far, as an immutable value: deciding an edge returns new decisions.

    Attributes:
        edges: Edges of the space.
        chosen: Per edge, the number of its operation, or None where the edge is open.
        dropped: Numbers of the edges that edge pruning has removed.

    Example:
        >>> edges = (Edge("cell", 0, 1, ("skip", "conv")), Edge("cell", 1, 2, ("skip", "conv")))
        >>> decisions = Decisions.none_yet(edges).decide(0, 1)
        >>> decisions.open_edges
        (1,)
        >>> decisions.weights(torch.zeros(2, 2)).tolist()
        [[0.0, 1.0], [0.5, 0.5]]
        >>> decisions.decide(1, 0).architecture().operations
        ('conv', 'skip')
    """

    edges: tuple[Edge, ...]
    chosen: tuple[int | None, ...]
    dropped: frozenset[int] = frozenset()

    @classmethod
    def none_yet(cls, edges: tuple[Edge, ...]) -> "Decisions":
        """Decisions with all edges open."""
        return cls(edges, (None,) * len(edges))

    @property
    def open_edges(self) -> tuple[int, ...]:
        """Numbers of the undecided edges, ascending."""
        return tuple(number for number, operation in enumerate(self.chosen) if operation is None)

    @property
    def mixed_edges(self) -> tuple[int, ...]:
        """Numbers of the edges that still mix several operations, neither decided nor dropped, ascending."""
        return tuple(number for number in self.open_edges if number not in self.dropped)

    def decide(self, edge: int, operation: int) -> "Decisions":
        """The decisions with one more edge decided.

        Args:
            edge: Number of an open edge.
            operation: Number of the operation that it keeps.

        Raises:
            ValueError: The edge is decided already.
        """
        if self.chosen[edge] is not None:
            raise ValueError(f"edge {self.edges[edge].name} is decided already")
        return replace(self, chosen=(*self.chosen[:edge], operation, *self.chosen[edge + 1 :]))

    def drop(self, edge: int) -> "Decisions":
        """The decisions with one more edge dropped.

        Args:
            edge: Number of the edge.

        Raises:
            ValueError: The edge is dropped already.
        """
        if edge in self.dropped:
            raise ValueError(f"edge {self.edges[edge].name} is dropped already")
        return replace(self, dropped=self.dropped | {edge})

    def inputs(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """By cell type and node, the numbers of the edges into it that are not dropped, ascending."""
        inputs: dict[tuple[str, int], tuple[int, ...]] = {}
        for number, edge in enumerate(self.edges):
            node = edge.cell, edge.target
            inputs[node] = (*inputs.get(node, ()), *(() if number in self.dropped else (number,)))
        return inputs

    def weights(self, alpha: Float[Tensor, "edges operations"]) -> Weights:
        """The softmax of every open edge's row of alpha, one-hot rows for the decided edges, zeros for dropped ones.

        Edges with fewer operations than the matrix has columns have zeros there. Gradients reach the open rows only.

        Args:
            alpha: Architecture parameters, `[edges, operations]`.

        Returns:
            The weight of every operation, `[edges, operations]`; the rows of edges that are not dropped sum to 1.
        """
        return self.applied_to(torch.softmax(alpha.masked_fill(~self.candidates(alpha), -torch.inf), dim=1))

    def candidates(self, matrix: Float[Tensor, "edges operations"]) -> Bool[Tensor, "edges operations"]:
        """Which entries of a matrix stand for an operation; edges with fewer operations than columns have others."""
        sizes = torch.tensor([len(edge.operations) for edge in self.edges])
        return torch.arange(matrix.shape[1]) < sizes[:, None]

    def applied_to(self, weights: Weights) -> Weights:
        """The weights with one-hot rows for the decided edges and zeros for the dropped ones.

        Args:
            weights: Weights of all edges, `[edges, operations]`; gradients reach the rows of the other edges only.
        """
        for edge, operation in enumerate(self.chosen):
            if operation is not None:
                weights = only(weights, edge, operation)
        for edge in sorted(self.dropped):
            weights = without_edge(weights, edge)
        return weights

    def architecture(self) -> Architecture:
        """The decided architecture; dropped edges have the operation `none`.

        Raises:
            ValueError: An edge is still open.
        """
        if self.open_edges:
            raise ValueError(f"{len(self.open_edges)} edge(s) still open")
        return Architecture(
            tuple(
                NONE if number in self.dropped else edge.operations[operation]
                for number, (edge, operation) in enumerate(zip(self.edges, self.chosen, strict=True))
                if operation is not None
            )
        )


def without(weights: Weights, edge: int, operation: int) -> Weights:
    """A new matrix in which one operation is removed; the others keep their weights (DARTS-PT, section 4).

    Example:
        >>> without(torch.tensor([[0.25, 0.75]]), edge=0, operation=0).tolist()
        [[0.0, 0.75]]
    """
    changed = weights.clone()
    changed[edge, operation] = 0
    return changed


def without_edge(weights: Weights, edge: int) -> Weights:
    """A new matrix in which all operations of an edge are removed, so that the edge contributes nothing."""
    return torch.cat([weights[:edge], torch.zeros_like(weights[edge])[None], weights[edge + 1 :]])


def only(weights: Weights, edge: int, operation: int) -> Weights:
    """A new matrix in which the edge is discretized: this operation with weight 1, the others removed.

    Example:
        >>> only(torch.tensor([[0.25, 0.75]]), edge=0, operation=0).tolist()
        [[1.0, 0.0]]
    """
    row = torch.zeros_like(weights[edge])
    row[operation] = 1
    return torch.cat([weights[:edge], row[None], weights[edge + 1 :]])
