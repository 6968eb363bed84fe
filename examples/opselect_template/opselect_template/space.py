"""A space: a cell of three nodes and three edges with four operations each, 64 architectures.

Nodes are sums as in NAS-Bench-201; the operations are others. Nothing more is needed: opselect trains, perturbs and
discretizes the supernet through its matrix of weights.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from opselect.spaces.cell_graph import plus, walk
from opselect.spaces.seeds import seed_for
from opselect.spaces.space import Architecture, Edge, operation_indices

OPERATIONS = ("none", "identity", "depthwise_3x3", "max_pool_3x3")
EDGES = tuple(Edge("cell", source, target, OPERATIONS) for source, target in ((0, 1), (0, 2), (1, 2)))


def operation(name: str, channels: int) -> nn.Module | None:
    """The module of an operation, which keeps channels and size; `none` is never computed."""
    match name:
        case "identity":
            return nn.Identity()
        case "depthwise_3x3":
            return nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            )
        case "max_pool_3x3":
            return nn.MaxPool2d(3, stride=1, padding=1)
    return None


class Cell(nn.Module):
    """Three nodes; each edge has the given candidates."""

    def __init__(self, candidates: list[tuple[str, ...]], channels: int) -> None:
        super().__init__()
        self.names = candidates
        self.edges = nn.ModuleList(
            nn.ModuleDict({name: module for name in names if (module := operation(name, channels)) is not None})
            for names in candidates
        )

    def forward(self, images: Tensor, weights: Tensor | None) -> Tensor:
        """Feature maps in and out; an operation with weight zero is not computed."""

        def add_edge(number: int, value: Tensor, total: Tensor | None) -> Tensor | None:
            modules = self.edges[number]
            assert isinstance(modules, nn.ModuleDict)
            for column, name in enumerate(self.names[number]):
                factor = None if weights is None else weights[number, column]
                if name in modules and (factor is None or factor != 0):
                    total = plus(total, modules[name](value) if factor is None else factor * modules[name](value))
            return total

        return walk([(edge.source, edge.target) for edge in EDGES], [images], images, add_edge)[-1]


class Network(nn.Module):
    """Stem, a cell, down-sampling, a cell, classifier: supernet with all candidates, network with one per edge.

    Optional, and left out here: `evaluation_form` and `block_chain`, which proxies ask a network for
    (`opselect.spaces.space`). Without the first, `nwot` scores the network as it is, only slower.
    """

    def __init__(self, candidates: list[tuple[str, ...]], channels: int, cells: int, inputs: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(inputs, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.first = nn.ModuleList(Cell(candidates, channels) for _ in range(cells))
        self.down = nn.Sequential(
            nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.BatchNorm2d(2 * channels)
        )
        self.second = nn.ModuleList(Cell(candidates, 2 * channels) for _ in range(cells))
        self.head = nn.Sequential(
            nn.BatchNorm2d(2 * channels),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * channels, classes),
        )

    def forward(self, images: Tensor, weights: Tensor | None = None) -> Tensor:
        """Logits `[batch, classes]`; weights are for supernets."""
        value = self.stem(images)
        for cell in self.first:
            value = cell(value, weights)
        value = self.down(value)
        for cell in self.second:
            value = cell(value, weights)
        logits: Tensor = self.head(value)
        return logits


@dataclass(frozen=True)
class OpselectTemplateSpace:
    """The cell with its two stages.

    Attributes:
        name: Registered name.
        channels: Number of channels in the first stage.
        cells: Number of cells per stage.
    """

    name: str = "opselect-template"
    channels: int = 8
    cells: int = 1
    edges: tuple[Edge, ...] = EDGES
    inputs_per_node: int | None = None

    def parse(self, text: str) -> Architecture:
        """Read a text such as `identity/depthwise_3x3/none`, in the order of the edges."""
        architecture = Architecture(tuple(text.strip().split("/")))
        operation_indices(EDGES, architecture)
        return architecture

    def format(self, architecture: Architecture) -> str:
        """The operations between slashes."""
        operation_indices(EDGES, architecture)
        return "/".join(architecture.operations)

    def sample(self, generator: np.random.Generator) -> Architecture:
        """One architecture, all equally likely."""
        return Architecture(
            tuple(OPERATIONS[number] for number in generator.integers(len(OPERATIONS), size=len(EDGES)))
        )

    def enumerate(self) -> Iterator[Architecture]:
        """All 64, the last edge fastest."""
        return map(Architecture, itertools.product(OPERATIONS, repeat=len(EDGES)))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Edges of the path over the middle node count only if both carry something."""
        operation_indices(EDGES, architecture)
        first, short, second = architecture.operations
        dead = "none" in (first, second)
        return Architecture(("none", short, "none")) if dead else architecture

    def resized(self, channels: int | None, cells: int | None) -> "OpselectTemplateSpace":
        """The same cell in networks of another size."""
        return replace(self, channels=channels or self.channels, cells=cells or self.cells)

    def supernet(self, image_channels: int, classes: int, seed: int) -> nn.Module:
        """All operations on every edge."""
        return self._build([OPERATIONS] * len(EDGES), image_channels, classes, seed)

    def network(self, architecture: Architecture, image_channels: int, classes: int, seed: int) -> nn.Module:
        """The chosen operations only."""
        operation_indices(EDGES, architecture)
        return self._build([(name,) for name in architecture.operations], image_channels, classes, seed)

    def _build(self, candidates: list[tuple[str, ...]], image_channels: int, classes: int, seed: int) -> nn.Module:
        # Layers draw from torch's global stream; the fork leaves the caller's stream as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for("initial parameters", seed))
            return Network(candidates, self.channels, self.cells, image_channels, classes)


SPACE = OpselectTemplateSpace()
