"""The DARTS spaces: 14 edges in a normal cell and 14 in a reduction cell; an architecture keeps two per inner node.

`darts` is the full space with the seven operations of the DARTS-PT code (its S5), `darts-original` has the eight of
DARTS, `none` among them, and `darts-s1` to `darts-s4` are the subspaces on which DARTS is known to collapse. They
differ only in the operations of each edge, see `opselect.spaces.darts.cells`.

An architecture names an operation for all 28 edges; those that are left out have `none`. Its text is the field's
genotype.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from opselect.spaces.darts.cells import CELL_INPUTS, CELLS, EDGES, INNER_NODES, SPACES, Cell
from opselect.spaces.darts.genotypes import (
    INPUTS_PER_NODE,
    Genotype,
    InvalidGenotype,
    Pair,
    format_genotype,
    parse_genotype,
)
from opselect.spaces.errors import UserError
from opselect.spaces.seeds import global_torch_seed, seed_for
from opselect.spaces.space import NONE, REFERENCE_ALPHA_SPREAD, Architecture, Edge, InvalidArchitecture

if TYPE_CHECKING:
    from torch import Tensor

    from opselect.spaces.darts.network import DARTSNetwork

CONCAT = tuple(range(CELL_INPUTS, CELL_INPUTS + INNER_NODES))
"""The nodes whose outputs are concatenated to the output of a cell: all inner nodes."""


class EndlessSpace(UserError, ValueError):
    """All architectures were requested of a space that has too many."""


@dataclass(frozen=True)
class DARTSSpace:
    """One of the DARTS spaces, and the size of its networks.

    Attributes:
        name: Registered name of the space.
        edges: The 14 edges of the normal cell, then the 14 of the reduction cell, target-major.
        channels: Number of channels of the edges in the first cell, in supernets and stand-alone networks.
        cells: Number of cells; those at one third and at two thirds of them are reduction cells.
        inputs_per_node: Number of edges into every inner node that an architecture keeps.

    Example:
        >>> len(darts.edges), darts.edges[0].name, len(darts.edges[0].operations)
        (28, '0→2', 7)
        >>> from opselect.spaces.darts.genotypes import library
        >>> architecture = darts.architecture(library()["DARTS_V2"].genotype)
        >>> architecture.operations[:5]
        ('sep_conv_3x3', 'sep_conv_3x3', 'sep_conv_3x3', 'sep_conv_3x3', 'none')
        >>> darts.format(architecture)[:64]
        "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep"
        >>> darts.parse(darts.format(architecture)) == architecture
        True
    """

    name: str
    edges: tuple[Edge, ...]
    channels: int = 16
    cells: int = 8
    inputs_per_node: int | None = INPUTS_PER_NODE

    def parse(self, text: str) -> Architecture:
        """Read a genotype in any of the field's notations, see `parse_genotype`.

        Raises:
            InvalidArchitecture: The text is no genotype, or not one of this space.
        """
        try:
            return self.architecture(parse_genotype(text))
        except InvalidGenotype as error:
            raise InvalidArchitecture(str(error)) from error

    def architecture(self, genotype: Genotype) -> Architecture:
        """The architecture that a genotype stands for.

        Raises:
            InvalidArchitecture: An edge does not have the operation, a cell has another number of inner nodes, or its
                output is not the concatenation of all inner nodes.
        """
        chosen: dict[tuple[str, int, int], str] = {}
        for cell in CELLS:
            if set(genotype.concat(cell)) != set(CONCAT) or len(genotype.pairs(cell)) != INNER_NODES:
                raise InvalidArchitecture(
                    f"genotype, {cell} cell: {len(genotype.pairs(cell))} inner node(s), of which "
                    f"{', '.join(map(str, genotype.concat(cell)))} make the output, expected {INNER_NODES} and all"
                )
            for target, pairs in enumerate(genotype.pairs(cell), start=CONCAT[0]):
                chosen |= {(cell, source, target): operation for operation, source in pairs}
        operations = []
        for edge in self.edges:
            operation = chosen.get((edge.cell, edge.source, edge.target), NONE)
            if operation not in (*edge.operations, NONE):
                raise InvalidArchitecture(
                    f"genotype, {edge.cell} cell, edge {edge.name}: {operation!r} is no operation of this edge in "
                    f"{self.name}, expected one of {', '.join(edge.operations)}"
                )
            operations.append(operation)
        return Architecture(tuple(operations))

    def genotype(self, architecture: Architecture) -> Genotype:
        """The genotype of an architecture, the inputs of every node ascending.

        A genotype has two pairs per node. Where fewer than two edges into a node have an operation, the first edges
        with `none` fill up the pairs.

        Raises:
            InvalidArchitecture: An edge does not have its operation, or a node has more than two inputs.
        """
        self._check(architecture)
        cells: dict[Cell, list[Pair]] = {cell: [] for cell in CELLS}
        for cell, target in itertools.product(CELLS, CONCAT):
            entering = [
                (operation, edge.source)
                for operation, edge in zip(architecture.operations, self.edges, strict=True)
                if (edge.cell, edge.target) == (cell, target)
            ]
            # Edges with an operation come first; sorting is stable, so the order of the rest does not change.
            inputs = sorted(entering, key=lambda pair: pair[0] == NONE)[:INPUTS_PER_NODE]
            cells[cell] += sorted(inputs, key=lambda pair: pair[1])
        return Genotype(tuple(cells["normal"]), CONCAT, tuple(cells["reduce"]), CONCAT)

    def format(self, architecture: Architecture) -> str:
        """The text of the architecture's genotype; `parse` reads it.

        Raises:
            InvalidArchitecture: The architecture is not one of this space.
        """
        return format_genotype(self.genotype(architecture))

    def sample(self, generator: np.random.Generator) -> Architecture:
        """Draw an architecture: two inputs of every node and an operation for each of them, all equally likely."""
        operations = [NONE] * len(self.edges)
        for cell, target in itertools.product(CELLS, CONCAT):
            entering = [n for n, edge in enumerate(self.edges) if (edge.cell, edge.target) == (cell, target)]
            for number in sorted(generator.choice(entering, INPUTS_PER_NODE, replace=False).tolist()):
                candidates = self.edges[number].operations
                operations[number] = candidates[int(generator.integers(len(candidates)))]
        return Architecture(tuple(operations))

    def enumerate(self) -> Iterator[Architecture]:
        """Refuse: there are far too many architectures.

        Raises:
            EndlessSpace: Always.
        """
        raise EndlessSpace(f"{self.name} has too many architectures to go through all; draw a sample")

    def canonical(self, architecture: Architecture) -> Architecture:
        """The architecture itself: every inner node is part of the output, so no edge is dead.

        Raises:
            InvalidArchitecture: The architecture is not one of this space.
        """
        self._check(architecture)
        return architecture

    def resized(self, channels: int | None, cells: int | None) -> "DARTSSpace":
        """The same cells in networks of another size.

        Args:
            channels: Number of channels of the first cell; None for no change.
            cells: Number of cells; None for no change.
        """
        return replace(self, channels=channels or self.channels, cells=cells or self.cells)

    def supernet(self, image_channels: int, classes: int, seed: int) -> "DARTSNetwork":
        """A supernet at initialisation, with all candidate operations on every edge.

        Its batch norms have no learnt parameters, and a batch norm follows every pooling, as in the published code.

        Args:
            image_channels: Number of channels of the images.
            classes: Number of classes.
            seed: Seed of the initial parameters.
        """
        with global_torch_seed(seed_for("initial parameters", seed)):
            return self._build([edge.operations for edge in self.edges], image_channels, classes, search=True)

    @property
    def has_published_code(self) -> bool:
        """Whether the published search code has this space, so that it has initial weights to start from."""
        return True

    def reference_supernet(self, image_channels: int, classes: int, seed: int) -> "tuple[DARTSNetwork, Tensor]":
        """The supernet and alpha with which the published code starts after `torch.manual_seed(seed)`.

        It builds the cells in the order in which they run, in a cell the two inputs and then the edges by their number,
        all with torch's own initial parameters, and draws one alpha for each type of cell next.

        Args:
            image_channels: Number of channels of the images.
            classes: Number of classes.
            seed: Seed of torch's global stream.

        Source: The published code of DARTS-PT (sota/cnn/model_search.py).
        """
        import torch

        operations = max(len(edge.operations) for edge in self.edges)
        with global_torch_seed(seed):
            supernet = self._build([edge.operations for edge in self.edges], image_channels, classes, search=True)
            alphas = [torch.randn(len(EDGES), operations) for _ in CELLS]
            return supernet, REFERENCE_ALPHA_SPREAD * torch.cat(alphas)

    def network(self, architecture: Architecture, image_channels: int, classes: int, seed: int) -> "DARTSNetwork":
        """A stand-alone network at initialisation, for images of CIFAR's size and without auxiliary classifier.

        Args:
            architecture: Architecture of this space.
            image_channels: Number of channels of the images.
            classes: Number of classes.
            seed: Seed of the initial parameters.

        Raises:
            InvalidArchitecture: The architecture is not one of this space.
        """
        return self.evaluation_network(architecture, image_channels, classes, seed, "cifar", auxiliary=False)

    def evaluation_network(
        self,
        architecture: Architecture,
        image_channels: int,
        classes: int,
        seed: int,
        stem: Literal["cifar", "imagenet"],
        auxiliary: bool,
    ) -> "DARTSNetwork":
        """A stand-alone network at initialisation, in the form that the final evaluation trains.

        Args:
            architecture: Architecture of this space.
            image_channels: Number of channels of the images.
            classes: Number of classes.
            seed: Seed of the initial parameters.
            stem: First layers of the network, for images of CIFAR's or of ImageNet's size.
            auxiliary: Whether the network has the auxiliary classifier that training adds to the loss.

        Raises:
            InvalidArchitecture: The architecture is not one of this space.
        """
        self._check(architecture)
        candidates = [(name,) for name in architecture.operations]
        with global_torch_seed(seed_for("initial parameters", seed)):
            return self._build(candidates, image_channels, classes, search=False, stem=stem, auxiliary=auxiliary)

    def _build(
        self,
        candidates: Sequence[tuple[str, ...]],
        image_channels: int,
        classes: int,
        search: bool,
        stem: Literal["cifar", "imagenet"] = "cifar",
        auxiliary: bool = False,
    ) -> "DARTSNetwork":
        # Imported here, so that genotypes can be read and written without torch.
        from opselect.spaces.darts.network import DARTSNetwork, DARTSSkeleton

        skeleton = DARTSSkeleton(self.channels, self.cells, stem, auxiliary)
        return DARTSNetwork(self.edges, candidates, skeleton, image_channels, classes, search)

    def _check(self, architecture: Architecture) -> None:
        if len(architecture.operations) != len(self.edges):
            raise InvalidArchitecture(
                f"architecture with {len(architecture.operations)} operations, expected one for each of the "
                f"{len(self.edges)} edges of {self.name}"
            )
        inputs: dict[tuple[str, int], int] = {}
        for edge, operation in zip(self.edges, architecture.operations, strict=True):
            if operation not in (*edge.operations, NONE):
                raise InvalidArchitecture(
                    f"{edge.cell} cell, edge {edge.name}: unknown operation {operation!r}, expected one of "
                    f"{', '.join(edge.operations)}, or none where the edge is left out"
                )
            node = edge.cell, edge.target
            inputs[node] = inputs.get(node, 0) + (operation != NONE)
        for (cell, target), count in inputs.items():
            if count > INPUTS_PER_NODE:
                raise InvalidArchitecture(
                    f"{cell} cell, node {target}: {count} inputs, expected at most {INPUTS_PER_NODE}"
                )


def _edges_of(key: str) -> tuple[Edge, ...]:
    return tuple(
        Edge(cell, source, target, operations)
        for cell in CELLS
        for (source, target), operations in zip(EDGES, SPACES[key][cell], strict=True)
    )


darts = DARTSSpace("darts", _edges_of("s5"))
darts_original = DARTSSpace("darts-original", _edges_of("original"))
darts_s1 = DARTSSpace("darts-s1", _edges_of("s1"))
darts_s2 = DARTSSpace("darts-s2", _edges_of("s2"))
darts_s3 = DARTSSpace("darts-s3", _edges_of("s3"))
darts_s4 = DARTSSpace("darts-s4", _edges_of("s4"))
