"""The vocabulary of search spaces: edges, architectures, supernets, and what a network may offer to proxies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float

from opselect.spaces.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn
else:
    # Torch is imported where something is computed with it. A program that opens a table needs its space but no tensor,
    # and torch costs over a second and 500 MB. Checks at run time still see shape and type of number of `Weights`.
    Tensor = Any

Weights: TypeAlias = Float[Tensor, "edges operations"]
"""Factor of each operation on each edge; zero means that the operation is not computed."""


NONE = "none"
"""The operation that is always zero; an edge that is left out of an architecture has it."""


class InvalidArchitecture(UserError, ValueError):
    """A text or a tuple that does not describe an architecture of the given space."""


@dataclass(frozen=True)
class Edge:
    """One choice point of a space: which operation carries the source node's value to the target node.

    Attributes:
        cell: The cell type that the edge belongs to, for example `"normal"`.
        source: Number of the node that the edge leaves.
        target: Number of the node that the edge enters.
        operations: Names of the candidate operations, in the order of the columns of `Weights`.

    Example:
        >>> Edge("normal", 0, 2, ("none", "skip_connect")).name
        '0→2'
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
    """One operation per edge.

    Attributes:
        operations: Names of the operations, in the order of the edges of the space.

    Example:
        >>> Architecture(("none", "skip_connect")).operations[1]
        'skip_connect'
    """

    operations: tuple[str, ...]


@runtime_checkable
class Supernet(Protocol):
    """A network that contains every candidate operation and takes their weights as an argument.

    Example:
        >>> from opselect.spaces.nasbench201.space import digits201
        >>> isinstance(digits201.supernet(image_channels=1, classes=10, seed=0), Supernet)
        True
    """

    def __call__(self, images: Float[Tensor, "batch channels height width"], weights: Weights) -> Tensor:
        """Logits `[batch, classes]` of the images under these weights; zero-weighted operations are not computed."""
        ...


@runtime_checkable
class HasEvaluationForm(Protocol):
    """Optional for a network: a faster form of what it computes in evaluation mode, for proxies that read ReLUs.

    Proxies such as `nwot` score a network that lacks these methods as it is. `opselect.spaces.cell_graph.FoldedGraph`
    makes such a form of a cell.
    """

    def evaluation_form(self, weights: Sequence[Weights] | None, batch_size: int) -> "nn.Module | None":
        """A module of images with the logits and the ReLU inputs of the network in evaluation mode, but for rounding.

        With several variants every ReLU receives `[variants * batch_size, ...]`, the images of one variant after those
        of the other, or `[batch_size, ...]` where the variants do not differ. A `SharedReLU` stands for several ReLUs
        with one input. The network itself is not changed; parameters and modules may be shared.

        Args:
            weights: Of a supernet, one matrix per variant and at most `most_together`; None for a stand-alone network.
            batch_size: Number of images per variant.

        Returns:
            The form, or None where this network has none; then `most_together` is 1.
        """
        ...

    def most_together(self, images: Float[Tensor, "batch channels height width"]) -> int:
        """The number of variants that are fastest in one form, for a batch of this shape and on this device."""
        ...


REFERENCE_ALPHA_SPREAD = 1e-3
"""Standard deviation of alpha's random start in the published codes."""


@runtime_checkable
class HasReferenceSupernet(Protocol):
    """Optional for a space: the supernet as its published code starts it, for `initialization = "reference"`."""

    @property
    def has_published_code(self) -> bool:
        """Whether there is published code to start as."""
        ...

    def reference_supernet(self, image_channels: int, classes: int, seed: int) -> "tuple[nn.Module, Tensor]":
        """The supernet and alpha `[edges, operations]` with which that code starts for a seed."""
        ...


@runtime_checkable
class HasBlockChain(Protocol):
    """Optional for a network: the blocks that it consists of, for proxies that score them one by one (AZ-NAS)."""

    @property
    def block_chain(self) -> "Sequence[nn.Module]":
        """Cells and the blocks between them, in the order in which they run.

        The first argument and the result of each are feature maps `[batch, channels, height, width]`, and each receives
        what the block before it returns.
        """
        ...


@runtime_checkable
class SearchSpace(Protocol):
    """A name, its edges, and the pure functions of an architecture.

    Example:
        >>> from opselect.spaces.nasbench201.space import digits201
        >>> isinstance(digits201, SearchSpace)
        True
    """

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
        """Number of edges into every node that an architecture has (edge pruning); None where it has all."""
        ...

    def parse(self, text: str) -> Architecture:
        """The architecture that a text describes.

        Raises:
            InvalidArchitecture: The text describes none; the message says why.
        """
        ...

    def format(self, architecture: Architecture) -> str:
        """The architecture in the field's own notation; `parse` is the inverse."""
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
    """The column of every chosen operation in `Weights`, one per edge.

    Args:
        space_edges: The edges of a space.
        architecture: One operation per edge.

    Raises:
        InvalidArchitecture: The number of operations differs from the number of edges, or an edge lacks an operation.

    Example:
        >>> operation_indices([Edge("normal", 0, 1, ("none", "skip_connect"))], Architecture(("skip_connect",)))
        (1,)
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
