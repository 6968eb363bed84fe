"""The DARTS spaces: 14 edges in a normal and 14 in a reduction cell, of which two into every inner node stay.

`darts` is the full space with the seven operations of the DARTS-PT code (its S5), `darts-original` has the eight of
DARTS, `none` among them, and `darts-s1` to `darts-s4` are the subspaces on which DARTS is known to collapse. They
differ in data only: the operations of each edge, see `darts_edges`.

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
from opselect.spaces.seeds import seed_for
from opselect.spaces.space import NONE, Architecture, Edge, InvalidArchitecture

if TYPE_CHECKING:
    from opselect.spaces.darts.network import DARTSNetwork

CONCAT = tuple(range(CELL_INPUTS, CELL_INPUTS + INNER_NODES))


class EndlessSpace(UserError, ValueError):
    """Somebody asked for all architectures of a space that has too many."""


@dataclass(frozen=True)
class DARTSSpace:
    """One of the spaces.

    Attributes:
        name: the registered name.
        edges: the 14 of the normal cell, then the 14 of the reduction cell, target-major.
        channels: of the edges in the first cell of supernets and stand-alone networks.
        cells: how many there are; those at one and at two thirds are reductions.
        inputs_per_node: how many edges into every inner node stay.
    """

    name: str
    edges: tuple[Edge, ...]
    channels: int = 16
    cells: int = 8
    inputs_per_node: int | None = INPUTS_PER_NODE

    def parse(self, text: str) -> Architecture:
        """Read a genotype in any of the field's notations.

        Raises:
            InvalidArchitecture: it is no genotype, or none of this space.
        """
        try:
            return self.architecture(parse_genotype(text))
        except InvalidGenotype as error:
            raise InvalidArchitecture(str(error)) from error

    def architecture(self, genotype: Genotype) -> Architecture:
        """What a genotype stands for.

        Raises:
            InvalidArchitecture: an operation is not on its edge, or another number of nodes, or other nodes make the
                output.
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
        """The genotype of an architecture.

        Where fewer than two edges into a node carry something, the first ones that carry nothing fill up the two.

        Raises:
            InvalidArchitecture: it has an operation that is not on its edge, or more than two inputs of a node.
        """
        self._check(architecture)
        cells: dict[Cell, list[Pair]] = {cell: [] for cell in CELLS}
        for cell, target in itertools.product(CELLS, CONCAT):
            entering = [
                (operation, edge.source)
                for operation, edge in zip(architecture.operations, self.edges, strict=True)
                if (edge.cell, edge.target) == (cell, target)
            ]
            # Edges that carry something first; sorting keeps the order of the others.
            kept = sorted(entering, key=lambda pair: pair[0] == NONE)[:INPUTS_PER_NODE]
            cells[cell] += sorted(kept, key=lambda pair: pair[1])
        return Genotype(tuple(cells["normal"]), CONCAT, tuple(cells["reduce"]), CONCAT)

    def format(self, architecture: Architecture) -> str:
        """The architecture as a genotype, inputs of a node ascending.

        Raises:
            InvalidArchitecture: the architecture is not one of this space.
        """
        return format_genotype(self.genotype(architecture))

    def sample(self, generator: np.random.Generator) -> Architecture:
        """One architecture: two inputs of every node and an operation of each, all equally likely."""
        operations = [NONE] * len(self.edges)
        for cell, target in itertools.product(CELLS, CONCAT):
            entering = [n for n, edge in enumerate(self.edges) if (edge.cell, edge.target) == (cell, target)]
            for number in sorted(generator.choice(entering, INPUTS_PER_NODE, replace=False).tolist()):
                candidates = self.edges[number].operations
                operations[number] = candidates[int(generator.integers(len(candidates)))]
        return Architecture(tuple(operations))

    def enumerate(self) -> Iterator[Architecture]:
        """Nothing: there are far too many.

        Raises:
            EndlessSpace: always.
        """
        raise EndlessSpace(f"{self.name} has too many architectures to go through all; draw a sample")

    def canonical(self, architecture: Architecture) -> Architecture:
        """The architecture itself: every inner node makes part of the output, so no edge is dead."""
        self._check(architecture)
        return architecture

    def resized(self, channels: int | None, cells: int | None) -> "DARTSSpace":
        """The same cells in networks of another size; None leaves a size as it is."""
        return replace(self, channels=channels or self.channels, cells=cells or self.cells)

    def supernet(self, image_channels: int, classes: int, seed: int) -> "DARTSNetwork":
        """All candidate operations on every edge; norms are not learnt, and poolings have one."""
        return self._build([edge.operations for edge in self.edges], image_channels, classes, seed, search=True)

    def network(self, architecture: Architecture, image_channels: int, classes: int, seed: int) -> "DARTSNetwork":
        """The stand-alone network for images of CIFAR's size, without auxiliary classifier."""
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
        """The stand-alone network as it is trained in the end.

        Args:
            architecture: one of this space.
            image_channels: channels of the images.
            classes: number of classes.
            seed: of the initial parameters.
            stem: for which images.
            auxiliary: whether it has the second classifier that training uses.
        """
        self._check(architecture)
        candidates = [(name,) for name in architecture.operations]
        return self._build(candidates, image_channels, classes, seed, search=False, stem=stem, auxiliary=auxiliary)

    def _build(
        self,
        candidates: Sequence[tuple[str, ...]],
        image_channels: int,
        classes: int,
        seed: int,
        search: bool,
        stem: Literal["cifar", "imagenet"] = "cifar",
        auxiliary: bool = False,
    ) -> "DARTSNetwork":
        # Torch is imported here and not above, so that genotypes can be read and written without it.
        import torch

        from opselect.spaces.darts.network import DARTSNetwork, DARTSSkeleton

        skeleton = DARTSSkeleton(self.channels, self.cells, stem, auxiliary)
        # torch's layers draw from the global stream when they are built; the fork leaves the caller's stream as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for("initial parameters", seed))
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
