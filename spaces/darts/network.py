"""The networks of the DARTS spaces: one class for supernets and stand-alone networks, as for NAS-Bench-201.

A cell has two inputs (the outputs of the two cells before it) and inner nodes whose values are sums over their edges;
its output is the concatenation of the inner nodes. Two of the cells halve the size: they have edges and operations of
their own, and where those leave an input, a stride of 2.

Source: Liu et al., DARTS, ICLR 2019, sections 3.1 and 3.2, appendix A.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from opselect.spaces.cell_graph import EdgeOperations, FoldedGraph, plus, walk
from opselect.spaces.darts.cells import CELL_INPUTS
from opselect.spaces.darts.folded import FoldedDARTSCell, FoldedDARTSNetwork, fold_operation
from opselect.spaces.darts.operations import FactorizedReduction, darts_operation
from opselect.spaces.errors import UserError
from opselect.spaces.nasbench201.operations import ReLUConvBN
from opselect.spaces.space import Edge, Weights

STEM_MULTIPLIER = 3
AUXILIARY_CHANNELS = (128, 768)
REDUCTION = "reduce"


@dataclass(frozen=True)
class DARTSSkeleton:
    """What surrounds the cells.

    Attributes:
        channels: Number of channels of the edges in the first cell; they double at each of the two reductions.
        cells: Number of all cells; those at one third and at two thirds are reductions.
        stem: For images of CIFAR's size, or of ImageNet's, which it reduces to an eighth.
        auxiliary: Whether training has a second classifier behind the second reduction.
    """

    channels: int
    cells: int
    stem: Literal["cifar", "imagenet"] = "cifar"
    auxiliary: bool = False

    @property
    def reductions(self) -> tuple[int, int]:
        """Numbers of the cells that halve the size; the same one twice where there are fewer than three cells."""
        return self.cells // 3, 2 * self.cells // 3


@dataclass(frozen=True)
class DropPath:
    """Every image loses every edge that is not an identity with some probability; the other edges are scaled up.

    Attributes:
        probability: Probability of losing an edge, below 1.
        generator: Source of the random numbers, on the CPU.

    Source: Larsson et al., FractalNet, ICLR 2017, as used by DARTS, section 3.2.
    """

    probability: float
    generator: torch.Generator

    def __call__(self, value: Tensor) -> Tensor:
        """`[batch, channels, height, width]` in and out."""
        keep = 1 - self.probability
        kept = torch.rand(len(value), generator=self.generator) < keep
        return value * (kept.to(value) / keep)[:, None, None, None]


class DARTSCell(nn.Module):
    """One cell: the two inputs brought to one size and number of channels, then the graph.

    Args:
        edges: The edges of this type of cell.
        candidates: Names of the operations on each edge.
        channels: Numbers of channels of the cell before the previous one, of the previous one, and of this one's edges.
        reduction: Whether it halves the size.
        after_reduction: Whether the previous cell did.
        search: Whether it belongs to a supernet.
        place: Number of the cell in the network, by which its operations differ from those of other cells.
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        candidates: Sequence[Sequence[str]],
        channels: tuple[int, int, int],
        reduction: bool,
        after_reduction: bool,
        search: bool,
        place: int,
    ) -> None:
        super().__init__()
        before_previous, previous, own = channels
        self.routes = tuple((edge.source, edge.target) for edge in edges)
        self.reduction = reduction
        self.first_input = (
            FactorizedReduction(before_previous, own, affine=not search)
            if after_reduction
            else ReLUConvBN(before_previous, own, 1, affine=not search)
        )
        self.second_input = ReLUConvBN(previous, own, 1, affine=not search)
        self.edges = nn.ModuleList(
            EdgeOperations(
                {
                    name: darts_operation(name, own, self.stride(source), search, place * len(edges) + number)
                    for name in names
                }
            )
            for number, ((source, _), names) in enumerate(zip(self.routes, candidates, strict=True))
        )
        self.inner_nodes = tuple(range(CELL_INPUTS, 1 + max(target for _, target in self.routes)))

    def stride(self, source: int) -> int:
        """Stride of the edges that leave a node."""
        return 2 if self.reduction and source < CELL_INPUTS else 1

    def forward(
        self,
        before_previous: Tensor,
        previous: Tensor,
        weights: Tensor | None,
        computed: Sequence[Sequence[bool]],
        drop: DropPath | None,
    ) -> Tensor:
        """The concatenated inner nodes; a node that nothing enters is zero.

        Args:
            before_previous: Output of the cell before the previous one, `[batch, channels, height, width]`.
            previous: Output of the previous cell.
            weights: One row per edge of this cell, or None for plain sums.
            computed: Whether each operation of each edge is computed.
            drop: In training only.
        """

        def add_edge(number: int, value: Tensor, total: Tensor | None) -> Tensor | None:
            edge = self.edges[number]
            term = edge(value, None if weights is None else weights[number], computed[number])
            if term is not None and drop is not None and not edge.is_identity:
                term = drop(term)
            return plus(total, term)

        inputs = [self.first_input(before_previous), self.second_input(previous)]
        stride = self.stride(0)
        nodes = walk(self.routes, inputs, inputs[1][:, :, ::stride, ::stride], add_edge)
        return torch.cat(nodes[CELL_INPUTS:], dim=1)

    def folded(self, weights: Tensor | None, batch_size: int) -> FoldedDARTSCell:
        """The cell in evaluation mode; weights as in `forward`."""
        rows = None if weights is None else weights.tolist()
        graph = FoldedGraph(self.routes, self.edges, [rows], fold_operation, batch_size)
        return FoldedDARTSCell(self.first_input, self.second_input, graph, self.stride(0))


class InvalidImageSize(UserError, ValueError):
    """Images of a size that the reduction cells cannot halve."""


class DARTSNetwork(nn.Module):
    """Stem, cells, global average, linear classifier.

    Args:
        edges: The edges of both types of cells; `edge.cell` is the type.
        candidates: Names of the operations on each edge; a dropped edge has `none` alone.
        skeleton: Sizes, stem, auxiliary classifier.
        image_channels: Number of channels of the images.
        classes: Number of classes.
        search: Whether it is a supernet: norms inside the cells are not affine, and poolings have one.
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        candidates: Sequence[Sequence[str]],
        skeleton: DARTSSkeleton,
        image_channels: int,
        classes: int,
        search: bool,
    ) -> None:
        super().__init__()
        self.rows = {
            kind: [number for number, edge in enumerate(edges) if edge.cell == kind]
            for kind in dict.fromkeys(edge.cell for edge in edges)
        }
        channels = skeleton.channels
        self.stem = nn.ModuleList(_stem(skeleton, image_channels))
        # The stem of ImageNet reduces once more between its two outputs.
        after_reduction = len(self.stem) > 1
        before_previous = previous = channels if after_reduction else STEM_MULTIPLIER * channels
        cells, kinds = [], []
        self.auxiliary: nn.Module | None = None
        self.auxiliary_place = 2 * skeleton.cells // 3
        for place in range(skeleton.cells):
            reduction = place in skeleton.reductions
            channels *= 2 if reduction else 1
            kind = REDUCTION if reduction else next(name for name in self.rows if name != REDUCTION)
            own = [edges[row] for row in self.rows[kind]]
            cell = DARTSCell(
                own,
                [candidates[row] for row in self.rows[kind]],
                (before_previous, previous, channels),
                reduction,
                after_reduction,
                search,
                place,
            )
            cells.append(cell)
            kinds.append(kind)
            before_previous, previous, after_reduction = previous, len(cell.inner_nodes) * channels, reduction
            if skeleton.auxiliary and place == self.auxiliary_place:
                self.auxiliary = _auxiliary(skeleton, previous, classes)
        self.cells = nn.ModuleList(cells)
        self.kinds = tuple(kinds)
        self.reductions = len(skeleton.reductions)
        self.pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(previous, classes)
        self.all_computed = [[True] * len(names) for names in candidates]

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        weights: Weights | None = None,
        drop: DropPath | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """Logits of the images.

        Args:
            images: One batch.
            weights: Weights of all candidate operations. None is for networks with one operation per edge.
            drop: In training only.
        """
        return self._logits(images, weights, drop, with_auxiliary=False)[0]

    def with_auxiliary(
        self, images: Float[Tensor, "batch channels height width"], drop: DropPath | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits, and those of the auxiliary classifier where there is one."""
        return self._logits(images, None, drop, with_auxiliary=True)

    @torch.no_grad()
    def evaluation_form(self, weights: Sequence[Weights] | None, batch_size: int) -> FoldedDARTSNetwork | None:
        """The network with folded cells; none with an auxiliary classifier.

        Args:
            weights: The matrix of a supernet, a single one; None for a stand-alone network.
            batch_size: Number of images.
        """
        if self.auxiliary is not None:
            return None
        (matrix,) = [None] if weights is None else weights
        cells = [
            cell.folded(None if matrix is None else matrix[self.rows[kind]], batch_size)
            for kind, cell in zip(self.kinds, self.cells, strict=True)
            if isinstance(cell, DARTSCell)
        ]
        return FoldedDARTSNetwork(self.stem, cells, nn.Sequential(self.pooling, nn.Flatten(), self.classifier))

    def most_together(self, images: Float[Tensor, "batch channels height width"]) -> int:
        """One variant: noise is drawn for a whole batch, and a larger batch rounds differently from earlier records."""
        return 1

    def _logits(
        self, images: Tensor, weights: Tensor | None, drop: DropPath | None, with_auxiliary: bool
    ) -> tuple[Tensor, Tensor | None]:
        self._check_size(images)
        computed = self.all_computed
        if weights is not None:
            # Weights stay on the CPU: reading there which of them are zero does not wait for a device.
            computed, weights = (weights != 0).tolist(), weights.to(images.device)
        outputs = [images]
        for part in self.stem:
            outputs.append(part(outputs[-1]))
        before_previous, previous = (outputs[-1], outputs[-1]) if len(self.stem) == 1 else outputs[-2:]
        auxiliary = None
        for place, (kind, cell) in enumerate(zip(self.kinds, self.cells, strict=True)):
            rows = self.rows[kind]
            own = None if weights is None else weights[rows]
            before_previous, previous = (
                previous,
                cell(before_previous, previous, own, [computed[row] for row in rows], drop),
            )
            if with_auxiliary and self.auxiliary is not None and place == self.auxiliary_place:
                auxiliary = self.auxiliary(previous)
        logits: Tensor = self.classifier(self.pooling(previous).flatten(1))
        return logits, auxiliary

    def _check_size(self, images: Tensor) -> None:
        """Two paths into a reduction cell halve their maps in different ways, which agree for even sizes only."""
        height, width = images.shape[2:]
        multiple = 2**self.reductions
        if len(self.stem) == 1 and (height % multiple or width % multiple):
            raise InvalidImageSize(
                f"images of {height} x {width} pixels, expected multiples of {multiple}: "
                f"{self.reductions} reduction cells halve the size"
            )


def _stem(skeleton: DARTSSkeleton, image_channels: int) -> list[nn.Module]:
    channels = skeleton.channels
    if skeleton.stem == "cifar":
        wide = STEM_MULTIPLIER * channels
        return [nn.Sequential(nn.Conv2d(image_channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide))]
    return [
        nn.Sequential(
            nn.Conv2d(image_channels, channels // 2, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels // 2),
            nn.ReLU(),
            nn.Conv2d(channels // 2, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        ),
        nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(channels)
        ),
    ]


def _auxiliary(skeleton: DARTSSkeleton, channels: int, classes: int) -> nn.Module:
    """On the 8x8 maps of CIFAR or the 7x7 maps of ImageNet, of which the last convolution leaves a single pixel."""
    narrow, wide = AUXILIARY_CHANNELS
    return nn.Sequential(
        nn.ReLU(),
        nn.AvgPool2d(5, stride=3 if skeleton.stem == "cifar" else 2, count_include_pad=False),
        nn.Conv2d(channels, narrow, 1, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        nn.Conv2d(narrow, wide, 2, bias=False),
        # The published ImageNet network leaves out this norm.
        nn.BatchNorm2d(wide) if skeleton.stem == "cifar" else nn.Identity(),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(wide, classes),
    )
