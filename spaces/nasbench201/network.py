"""The networks of the NAS-Bench-201 cell: one class for supernets and stand-alone networks.

A supernet has all candidate operations on every edge and takes their weights as an argument; a stand-alone network has
one operation per edge and takes none. Everything else (skeleton, cells, sums) is the same code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from opselect.spaces.cell_graph import EdgeOperations, FoldedGraph, plus, variants_that_fit, walk
from opselect.spaces.nasbench201.folded import FoldedNetwork, fold_operation
from opselect.spaces.nasbench201.operations import PlainDownSampling, ResidualDownSampling, cell_operation
from opselect.spaces.space import Edge, Weights


@dataclass(frozen=True)
class Skeleton:
    """What surrounds the cells: three stages, channels doubled and the size halved between them.

    Attributes:
        channels: Number of channels in the first stage.
        cells_per_stage: Number of cells in each of the three stages.
        down_sampling: `"residual"` is NAS-Bench-201's block; `"plain"` has no residual convolutions.
    """

    channels: int
    cells_per_stage: int
    down_sampling: Literal["residual", "plain"]


class Cell(nn.Module):
    """A directed acyclic graph of nodes: every node is the sum of its incoming edges, the last node is the output.

    Args:
        edges: The edges, in topological order.
        candidates: Names of the operations on each edge.
        channels: Number of channels of every node.
        affine: Whether batch norms are learnt.
        models: Number of stacked networks (see `stack_networks`).
    """

    def __init__(
        self, edges: Sequence[Edge], candidates: Sequence[Sequence[str]], channels: int, affine: bool, models: int
    ) -> None:
        super().__init__()
        self.routes = tuple((edge.source, edge.target) for edge in edges)
        self.edges = nn.ModuleList(
            EdgeOperations({name: cell_operation(name, channels, affine, models) for name in names})
            for names in candidates
        )

    def forward(self, images: Tensor, weights: Tensor | None, computed: Sequence[Sequence[bool]]) -> Tensor:
        """Feature maps `[batch, channels, height, width]` in and out; a node that nothing enters is zero.

        Args:
            images: The input node.
            weights: One row per edge, or None for plain sums.
            computed: Whether each operation of each edge is computed.
        """

        def add_edge(number: int, value: Tensor, total: Tensor | None) -> Tensor | None:
            row = None if weights is None else weights[number]
            return plus(total, self.edges[number](value, row, computed[number]))

        return walk(self.routes, [images], images, add_edge)[-1]


class CellNetwork(nn.Module):
    """Stem, three stages of cells with down-sampling between them, BN-ReLU, global average, linear classifier.

    Args:
        edges: The edges of the cell; every cell of the network has the same ones.
        candidates: Names of the operations on each edge (all of them in a supernet, one in a stand-alone network).
        skeleton: Sizes and the kind of down-sampling.
        image_channels: Number of channels of the images.
        classes: Number of classes.
        affine: Whether the batch norms of the candidate operations are learnt (off in the published supernet).
        models: Number of independent networks that are stacked (see `stack_networks`).
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        candidates: Sequence[Sequence[str]],
        skeleton: Skeleton,
        image_channels: int,
        classes: int,
        affine: bool,
        models: int = 1,
    ) -> None:
        super().__init__()
        self.arguments = (tuple(edges), tuple(map(tuple, candidates)), skeleton, image_channels, classes, affine)
        self.models = models
        self.channels = skeleton.channels
        channels = skeleton.channels
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels * models, channels * models, 3, padding=1, groups=models, bias=False),
            nn.BatchNorm2d(channels * models),
        )
        down_sampling = ResidualDownSampling if skeleton.down_sampling == "residual" else PlainDownSampling
        body: list[nn.Module] = []
        for stage in range(3):
            if stage > 0:
                body.append(down_sampling(channels, 2 * channels, models))
                channels *= 2
            body += [Cell(edges, candidates, channels, affine, models) for _ in range(skeleton.cells_per_stage)]
        self.body = nn.ModuleList(body)
        self.is_cell = tuple(isinstance(block, Cell) for block in body)
        self.last_norm = nn.BatchNorm2d(channels * models)
        self.last_relu = nn.ReLU()
        self.pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = (
            nn.Linear(channels, classes)
            if models == 1
            else nn.Conv2d(channels * models, classes * models, 1, groups=models)
        )
        self.all_computed = [[True] * len(names) for names in candidates]

    def forward(
        self, images: Float[Tensor, "batch channels height width"], weights: Weights | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Logits of the images; with several models `[batch, models * classes]`.

        Args:
            images: One batch; with several models their images are stacked along the channels.
            weights: Weights of all candidate operations. None is for networks with one operation per edge.
        """
        computed = self.all_computed
        if weights is not None:
            # Weights stay on the CPU: reading there which of them are zero does not wait for a device.
            computed, weights = (weights != 0).tolist(), weights.to(images.device)
        features = self.stem(images)
        for is_cell, block in zip(self.is_cell, self.body, strict=True):
            features = block(features, weights, computed) if is_cell else block(features)
        features = self.pooling(self.last_relu(self.last_norm(features)))
        if self.models == 1:
            features = features.flatten(1)
        logits: Tensor = self.classifier(features).flatten(1)
        return logits

    @property
    def block_chain(self) -> tuple[nn.Module, ...]:
        """Cells and down-sampling blocks in the order in which they run (see `HasBlockChain`)."""
        return tuple(self.body)

    @torch.no_grad()
    def evaluation_form(self, weights: Sequence[Weights] | None, batch_size: int) -> FoldedNetwork | None:
        """The folded network, in which each cell is a `FoldedGraph`; none of stacked networks.

        Args:
            weights: One matrix per variant of a supernet; None for a stand-alone network.
            batch_size: Number of images per variant.
        """
        if self.models > 1:
            return None
        rows = [None] if weights is None else [matrix.tolist() for matrix in weights]
        body = [
            FoldedGraph(block.routes, block.edges, rows, fold_operation, batch_size)
            if isinstance(block, Cell)
            else block
            for block in self.body
        ]
        head = nn.Sequential(self.last_norm, self.last_relu, self.pooling, nn.Flatten(), self.classifier)
        return FoldedNetwork(self.stem, body, head)

    def most_together(self, images: Float[Tensor, "batch channels height width"]) -> int:
        """Number of variants that are fastest in one evaluation form."""
        return variants_that_fit(images, self.channels) if self.models == 1 else 1


def stack_networks(networks: Sequence[CellNetwork]) -> CellNetwork:
    """One network whose groups are the given models, parameters copied; they stay independent of each other.

    Model m reads image channels `[m * image_channels, ...)` and writes logits `[m * classes, ...)`. A loss that is the
    sum of the models' losses gives each its own gradient, so training the stack trains every model.

    Args:
        networks: One or more; a single one is returned as it is.

    Raises:
        ValueError: The networks differ in architecture or size.
    """
    first = networks[0]
    if any(network.arguments != first.arguments or network.models != 1 for network in networks):
        raise ValueError("only plain networks of one architecture and size can be stacked")
    if len(networks) == 1:
        return first
    # On the meta device nothing is drawn from the global random stream for parameters that are replaced anyway.
    with torch.device("meta"):
        stacked = CellNetwork(*first.arguments, models=len(networks))
    states = [network.state_dict() for network in networks]
    joint = {}
    for name, target in stacked.state_dict().items():
        parts = [state[name] for state in states]
        joint[name] = parts[0].clone() if target.ndim == 0 else torch.cat(parts).reshape(target.shape)
    stacked.load_state_dict(joint, assign=True)
    return stacked
