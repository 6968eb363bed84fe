"""The vocabulary of everything that can be decided about: edges, architectures, search spaces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float

from opselect.spaces.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn
else:
    # Torch is imported where something is computed with it. Whoever opens a table needs its space but no tensor, and
    # torch costs over a second and 500 MB. Checks at run time still see the shape and the kind of number of `Weights`.
    Tensor = Any

Weights: TypeAlias = Float[Tensor, "edges operations"]
"""How much of each operation every edge carries; zero means that the operation is not computed."""


NONE = "none"
"""The operation that carries nothing; an edge that is left out of an architecture has it."""


class InvalidArchitecture(UserError, ValueError):
    """A text or a tuple that does not describe an architecture of the space it was read for."""


@dataclass(frozen=True)
class Edge:
    """One choice point of a space: which operation carries the source node's value to the target node.

    Attributes:
        cell: the cell type that the edge belongs to, for example `"normal"`.
        source: number of the node that the edge leaves.
        target: number of the node that the edge enters.
        operations: names of the candidate operations, in the order of the columns of `Weights`.
    """

    cell: str
    source: int
    target: int
    operations: tuple[str, ...]

    @property
    def name(self) -> str:
        """A label for tables and figures, for example `"0→2"`."""
        return f"{self.source}→{self.target}"


@dataclass(frozen=True)
class Architecture:
    """One operation an edge, in the order of the edges of its space."""

    operations: tuple[str, ...]


@runtime_checkable
class Supernet(Protocol):
    """A network that contains every candidate operation and takes their weights as an argument."""

    def __call__(self, images: Float[Tensor, "batch channels height width"], weights: Weights) -> Tensor:
        """Logits `[batch, classes]` of the images under these weights; zero-weighted operations are not computed."""
        ...


@runtime_checkable
class SearchSpace(Protocol):
    """A name, its edges, and the pure functions of an architecture."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every choice point, in the order of the rows of `Weights`."""
        ...

    @property
    def inputs_per_node(self) -> int | None:
        """How many edges into every node an architecture keeps (the topology rule); None where it keeps all."""
        ...

    def parse(self, text: str) -> Architecture:
        """The architecture that a text describes, or `InvalidArchitecture` with what is wrong."""
        ...

    def format(self, architecture: Architecture) -> str:
        """The architecture in the field's own notation; `parse` undoes it."""
        ...

    def sample(self, generator: np.random.Generator) -> Architecture:
        """One architecture, every operation of every edge equally likely."""
        ...

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures, in the order of their index."""
        ...

    def canonical(self, architecture: Architecture) -> Architecture:
        """The representative of all architectures that compute the same function of the same parameters."""
        ...

    def resized(self, channels: int | None, cells: int | None) -> "SearchSpace":
        """The same space with networks of another size; None leaves a size as it is."""
        ...

    def supernet(self, image_channels: int, classes: int, seed: int) -> "nn.Module":
        """A `Supernet` at initialisation, determined by the seed."""
        ...

    def network(self, architecture: Architecture, image_channels: int, classes: int, seed: int) -> "nn.Module":
        """The stand-alone network of an architecture at initialisation, determined by the seed."""
        ...


def operation_indices(space_edges: Sequence[Edge], architecture: Architecture) -> tuple[int, ...]:
    """The column of every chosen operation in `Weights`, one an edge.

    Raises:
        InvalidArchitecture: the number of operations differs from the number of edges, or an edge lacks an operation.
    """
    if len(architecture.operations) != len(space_edges):
        raise InvalidArchitecture(
            f"architecture with {len(architecture.operations)} operations, expected one for each of the "
            f"{len(space_edges)} edges: {architecture.operations}"
        )
    for edge, operation in zip(space_edges, architecture.operations, strict=True):
        if operation not in edge.operations:
            raise InvalidArchitecture(
                f"edge {edge.name}: unknown operation {operation!r}, expected one of {', '.join(edge.operations)}"
            )
    return tuple(edge.operations.index(o) for edge, o in zip(space_edges, architecture.operations, strict=True))
