"""The NAS-Bench-201 cell: 4 nodes, 6 edges, 5 operations, 15,625 architectures.

Source: Dong and Yang, NAS-Bench-201, ICLR 2020 (arXiv 2001.00326). Edges are target-major, as in the arch strings:
0→1 | 0→2 1→2 | 0→3 1→3 2→3. Two registered spaces share the cell and differ in the network around it.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from opselect.spaces.nasbench201.equivalence import computation
from opselect.spaces.seeds import global_torch_seed, seed_for
from opselect.spaces.space import REFERENCE_ALPHA_SPREAD, Architecture, Edge, InvalidArchitecture, operation_indices

if TYPE_CHECKING:
    from torch import Tensor

    from opselect.spaces.nasbench201.network import CellNetwork

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NODES = 4
EDGES = tuple(Edge("cell", source, target, OPERATIONS) for target in range(1, NODES) for source in range(target))
SIZE = len(OPERATIONS) ** len(EDGES)

_TERM = re.compile(r"([a-z0-9_]+)~([0-9]+)", re.ASCII)


@dataclass(frozen=True)
class NASBench201Space:
    """The NAS-Bench-201 cell, and the size of the networks that stack it.

    Attributes:
        name: Registered name of the space.
        channels: Number of channels of the first stage, in supernets and stand-alone networks.
        cells_per_stage: Number of cells that each of the three stages stacks.
        down_sampling: Kind of block between the stages; see `opselect.spaces.nasbench201.network.Skeleton`.
        edges: The six edges of the cell, target-major.
        inputs_per_node: None: a cell keeps all edges into every node.

    Example:
        >>> cell = digits201.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|")
        >>> cell.operations
        ('nor_conv_3x3', 'none', 'skip_connect', 'none', 'none', 'avg_pool_3x3')
        >>> digits201.index(cell)
        9504
        >>> digits201.at(9504) == cell
        True
        >>> digits201.format(cell)
        '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|'
    """

    name: str
    channels: int
    cells_per_stage: int
    down_sampling: Literal["residual", "plain"]
    edges: tuple[Edge, ...] = EDGES
    inputs_per_node: int | None = None

    def parse(self, text: str) -> Architecture:
        """Read an arch string such as `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|`.

        Args:
            text: For every node after the first, the operations on its edges with the nodes that they come from.

        Raises:
            InvalidArchitecture: The text is no arch string; the message names the node, its text and what was expected.
        """
        nodes = text.strip().split("+")
        if len(nodes) != NODES - 1:
            raise InvalidArchitecture(
                f"arch string {_shorten(text)!r}: {len(nodes)} node(s) joined by '+', expected {NODES - 1}"
            )
        operations: list[str] = []
        for target, node in enumerate(nodes, start=1):
            terms = node.split("|")
            if len(terms) != target + 2 or terms[0] or terms[-1]:
                raise InvalidArchitecture(
                    f"arch string, node {target}: {_shorten(node)!r} is not {target} term(s) "
                    "operation~source between bars"
                )
            for source, term in enumerate(terms[1:-1]):
                match = _TERM.fullmatch(term)
                if match is None or match[1] not in OPERATIONS:
                    raise InvalidArchitecture(
                        f"arch string, node {target}: {_shorten(term)!r} is no operation~source; "
                        f"operations are {', '.join(OPERATIONS)}"
                    )
                if match[2] != str(source):
                    raise InvalidArchitecture(
                        f"arch string, node {target}: {_shorten(term)!r} comes from node {_shorten(match[2])}, "
                        f"expected node {source}"
                    )
                operations.append(match[1])
        return Architecture(tuple(operations))

    def format(self, architecture: Architecture) -> str:
        """The arch string of an architecture; `parse` reads it.

        Raises:
            InvalidArchitecture: The architecture is not one of this space.
        """
        operation_indices(EDGES, architecture)
        terms = [f"{name}~{edge.source}" for name, edge in zip(architecture.operations, EDGES, strict=True)]
        return "+".join(f"|{'|'.join(terms[start:stop])}|" for start, stop in ((0, 1), (1, 3), (3, 6)))

    def index(self, architecture: Architecture) -> int:
        """The base-5 number of an architecture; the edge 0→1 is the most significant digit.

        This is the position in `enumerate`. It is not the index of the official files, whose order is arbitrary.

        Raises:
            InvalidArchitecture: The architecture is not one of this space.
        """
        number = 0
        for digit in operation_indices(EDGES, architecture):
            number = number * len(OPERATIONS) + digit
        return number

    def at(self, index: int) -> Architecture:
        """The architecture with this base-5 number; undoes `index`.

        Raises:
            InvalidArchitecture: The number is not from 0 to 15,624.
        """
        if not 0 <= index < SIZE:
            raise InvalidArchitecture(f"architecture index {index}, expected 0 to {SIZE - 1}")
        digits = []
        for _ in EDGES:
            index, digit = divmod(index, len(OPERATIONS))
            digits.append(OPERATIONS[digit])
        return Architecture(tuple(reversed(digits)))

    def sample(self, generator: np.random.Generator) -> Architecture:
        """One architecture, all equally likely."""
        return self.at(int(generator.integers(SIZE)))

    def enumerate(self) -> Iterator[Architecture]:
        """All 15,625 architectures, in the order of their base-5 numbers."""
        for operations in itertools.product(OPERATIONS, repeat=len(EDGES)):
            yield Architecture(operations)

    def canonical(self, architecture: Architecture) -> Architecture:
        """The representative of the cells that compute the same function of the same parameters (5,260 classes).

        It has the fewest operations other than `none` in its class, hence no dead branch; then the smallest index.
        Two things are left aside. A convolution on a node that nothing enters counts as nothing, although the batch
        norm after it adds a learnt constant in the networks as published. And pooling counts as any function: by its
        linearity, pool(a) + pool(b) = pool(a + b), 5,044 classes would be left.

        Raises:
            InvalidArchitecture: The architecture is not one of this space.

        Example:
            The convolutions do not reach the output, so only the skip connection counts.

            >>> cell = digits201.parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|none~2|")
            >>> digits201.format(digits201.canonical(cell))
            '|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|'
        """
        return self.at(int(self.representatives[self.index(architecture)]))

    @cached_property
    def representatives(self) -> np.ndarray:
        """Index of the canonical form of every architecture, `[15625]`, in the order of `enumerate`."""
        best: dict[object, tuple[int, int]] = {}
        classes = []
        for number, architecture in enumerate(self.enumerate()):
            key = computation(architecture.operations)
            simplicity = (sum(name != "none" for name in architecture.operations), number)
            best[key] = min(best.get(key, simplicity), simplicity)
            classes.append(key)
        return np.array([best[key][1] for key in classes])

    def resized(self, channels: int | None, cells: int | None) -> "NASBench201Space":
        """The same cell in networks of another size.

        Args:
            channels: Number of channels of the first stage; None for no change.
            cells: Number of cells per stage; None for no change.
        """
        return replace(self, channels=channels or self.channels, cells_per_stage=cells or self.cells_per_stage)

    def supernet(self, image_channels: int, classes: int, seed: int) -> "CellNetwork":
        """A supernet at initialisation, with all five operations on every edge.

        Its batch norms have no learnt parameters, as in the published search code.

        Args:
            image_channels: Number of channels of the images.
            classes: Number of classes.
            seed: Seed of the initial parameters.
        """
        with global_torch_seed(seed_for("initial parameters", seed)):
            return self._build([edge.operations for edge in EDGES], image_channels, classes, affine=False)

    @property
    def has_published_code(self) -> bool:
        """Whether the published search code has this skeleton, so that it has initial weights to start from."""
        return self.down_sampling == "residual"

    def reference_supernet(self, image_channels: int, classes: int, seed: int) -> "tuple[CellNetwork, Tensor]":
        """The supernet and alpha with which the published code starts after `torch.manual_seed(seed)`.

        It builds stem, cells and classifier in the order in which they run, the edges of a cell by their number and the
        operations of an edge by theirs, all with torch's own initial parameters, and draws alpha `[edges, operations]`
        next.

        Args:
            image_channels: Number of channels of the images.
            classes: Number of classes.
            seed: Seed of torch's global stream.

        Source: The published code of DARTS-PT (nasbench201/search_model.py), which that of Zero-Cost-PT shares.
        """
        import torch

        with global_torch_seed(seed):
            supernet = self._build([edge.operations for edge in EDGES], image_channels, classes, affine=False)
            return supernet, REFERENCE_ALPHA_SPREAD * torch.randn(len(EDGES), len(OPERATIONS))

    def network(self, architecture: Architecture, image_channels: int, classes: int, seed: int) -> "CellNetwork":
        """A stand-alone network at initialisation, with the chosen operations only; all its batch norms are learnt.

        Args:
            architecture: Architecture of this space.
            image_channels: Number of channels of the images.
            classes: Number of classes.
            seed: Seed of the initial parameters.

        Raises:
            InvalidArchitecture: The architecture is not one of this space.
        """
        operation_indices(EDGES, architecture)
        with global_torch_seed(seed_for("initial parameters", seed)):
            candidates: list[tuple[str, ...]] = [(name,) for name in architecture.operations]
            return self._build(candidates, image_channels, classes, affine=True)

    def _build(
        self, candidates: list[tuple[str, ...]], image_channels: int, classes: int, affine: bool
    ) -> "CellNetwork":
        # Imported here, since reading tables and arch strings should not load torch; see `opselect.spaces.space`.
        from opselect.spaces.nasbench201.network import CellNetwork, Skeleton

        skeleton = Skeleton(self.channels, self.cells_per_stage, self.down_sampling)
        return CellNetwork(EDGES, candidates, skeleton, image_channels, classes, affine)


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


nasbench201 = NASBench201Space("nasbench201", channels=16, cells_per_stage=5, down_sampling="residual")
digits201 = NASBench201Space("digits201", channels=8, cells_per_stage=1, down_sampling="plain")
