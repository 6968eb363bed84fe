"""The networks of the NAS-Bench-201 cell: one class is the supernet and the stand-alone network alike.

A supernet has all candidate operations on every edge and takes their weights as an argument; the stand-alone network
has one operation an edge and takes none. Everything else (skeleton, cells, sums) is the same code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from opselect.spaces.nasbench201.operations import PlainDownSampling, ResidualDownSampling, cell_operation
from opselect.spaces.space import Edge, Weights


@dataclass(frozen=True)
class Skeleton:
    """What surrounds the cells: three stages, channels doubled and the size halved between them.

    Attributes:
        channels: channels of the first stage.
        cells_per_stage: how many cells each of the three stages stacks.
        down_sampling: `"residual"` is NAS-Bench-201's block; `"plain"` has no residual convolutions.
    """

    channels: int
    cells_per_stage: int
    down_sampling: Literal["residual", "plain"]


class EdgeOperations(nn.Module):
    """The candidate operations of one edge of one cell, and their weighted sum.

    Args:
        modules: by name, in the order of the columns of weights; None for an operation that is never computed.
    """

    def __init__(self, modules: Mapping[str, nn.Module | None]) -> None:
        super().__init__()
        self.names = tuple(modules)
        self.operations = nn.ModuleDict({name: module for name, module in modules.items() if module is not None})
        self.is_identity = all(isinstance(module, nn.Identity) for module in self.operations.values())

    def forward(self, value: Tensor, weights: Tensor | None, computed: Sequence[bool]) -> Tensor | None:
        """The weighted sum of the computed operations, or None where there is nothing to add.

        Args:
            value: the source node, `[batch, channels, height, width]`.
            weights: one weight an operation, or None for the plain sum.
            computed: whether each operation is computed at all; the others cost nothing.
        """
        total: Tensor | None = None
        for index, (name, is_computed) in enumerate(zip(self.names, computed, strict=True)):
            if not is_computed or name not in self.operations:
                continue
            term = self.operations[name](value)
            if weights is not None:
                term = weights[index] * term
            total = term if total is None else total + term
        return total


class Cell(nn.Module):
    """A directed acyclic graph of nodes: every node is the sum of its incoming edges, the last node is the output."""

    def __init__(
        self, edges: Sequence[Edge], candidates: Sequence[Sequence[str]], channels: int, affine: bool, members: int
    ) -> None:
        super().__init__()
        self.routes = tuple((edge.source, edge.target) for edge in edges)
        self.edges = nn.ModuleList(
            EdgeOperations({name: cell_operation(name, channels, affine, members) for name in names})
            for names in candidates
        )

    def forward(self, images: Tensor, weights: Tensor | None, computed: Sequence[Sequence[bool]]) -> Tensor:
        """Feature maps `[batch, channels, height, width]` in and out; a node that nothing enters is zero."""
        nodes: list[Tensor | None] = [images] + [None] * max(target for _, target in self.routes)
        for number, ((source, target), edge) in enumerate(zip(self.routes, self.edges, strict=True)):
            value = nodes[source]
            if value is None:
                value = torch.zeros_like(images)
            term = edge(value, None if weights is None else weights[number], computed[number])
            if term is not None:
                present = nodes[target]
                nodes[target] = term if present is None else present + term
        return torch.zeros_like(images) if nodes[-1] is None else nodes[-1]


class CellNetwork(nn.Module):
    """Stem, three stages of cells with down-sampling between them, BN-ReLU, global average, linear classifier.

    Args:
        edges: the edges of the cell; every cell of the network has the same ones.
        candidates: names of the operations that each edge contains (all of them in a supernet, one in a network).
        skeleton: sizes and the kind of down-sampling.
        image_channels: channels of the images.
        classes: number of classes.
        affine: whether the batch norms of the candidate operations are learnt (off in the published supernet).
        members: independent networks side by side (see `stack_networks`).
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        candidates: Sequence[Sequence[str]],
        skeleton: Skeleton,
        image_channels: int,
        classes: int,
        affine: bool,
        members: int = 1,
    ) -> None:
        super().__init__()
        self.arguments = (tuple(edges), tuple(map(tuple, candidates)), skeleton, image_channels, classes, affine)
        self.members = members
        channels = skeleton.channels
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels * members, channels * members, 3, padding=1, groups=members, bias=False),
            nn.BatchNorm2d(channels * members),
        )
        down_sampling = ResidualDownSampling if skeleton.down_sampling == "residual" else PlainDownSampling
        body: list[nn.Module] = []
        for stage in range(3):
            if stage > 0:
                body.append(down_sampling(channels, 2 * channels, members))
                channels *= 2
            body += [Cell(edges, candidates, channels, affine, members) for _ in range(skeleton.cells_per_stage)]
        self.body = nn.ModuleList(body)
        self.is_cell = tuple(isinstance(block, Cell) for block in body)
        self.last_norm = nn.BatchNorm2d(channels * members)
        self.last_relu = nn.ReLU()
        self.pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = (
            nn.Linear(channels, classes)
            if members == 1
            else nn.Conv2d(channels * members, classes * members, 1, groups=members)
        )
        self.all_computed = [[True] * len(names) for names in candidates]

    def forward(
        self, images: Float[Tensor, "batch channels height width"], weights: Weights | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Logits of the images; with several members `[batch, members * classes]`.

        Args:
            images: one batch; with several members their images are stacked along the channels.
            weights: of every candidate operation. None is for networks with one operation an edge.
        """
        computed = self.all_computed
        if weights is not None:
            # Weights are kept on the CPU, where asking which of them are zero waits for nothing.
            computed, weights = (weights != 0).tolist(), weights.to(images.device)
        features = self.stem(images)
        for is_cell, block in zip(self.is_cell, self.body, strict=True):
            features = block(features, weights, computed) if is_cell else block(features)
        features = self.pooling(self.last_relu(self.last_norm(features)))
        if self.members == 1:
            features = features.flatten(1)
        logits: Tensor = self.classifier(features).flatten(1)
        return logits


def stack_networks(networks: Sequence[CellNetwork]) -> CellNetwork:
    """One network whose groups are the given networks, parameters copied; they stay independent of each other.

    Member m reads image channels `[m * image_channels, ...)` and writes logits `[m * classes, ...)`. A loss that is
    the sum of the members' losses gives each its own gradient, so training the stack trains every member.

    Raises:
        ValueError: the networks differ in architecture or size.
    """
    first = networks[0]
    if any(network.arguments != first.arguments or network.members != 1 for network in networks):
        raise ValueError("only plain networks of one architecture and size can be stacked")
    if len(networks) == 1:
        return first
    # On the meta device nothing is drawn from the global random stream for parameters that are replaced anyway.
    with torch.device("meta"):
        stacked = CellNetwork(*first.arguments, members=len(networks))
    states = [network.state_dict() for network in networks]
    joint = {}
    for name, target in stacked.state_dict().items():
        parts = [state[name] for state in states]
        joint[name] = parts[0].clone() if target.ndim == 0 else torch.cat(parts).reshape(target.shape)
    stacked.load_state_dict(joint, assign=True)
    return stacked
