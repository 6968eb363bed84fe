"""Cell networks as evaluation mode computes them: fewer, larger pieces that give the same values.

In evaluation mode a batch norm is an affine map, so the weighted convolutions of one edge are one convolution with a
merged kernel; and all operations on edges that leave one node rectify and pool the same input, so each node does that
once. The folded network shares the other modules of the one that it is made of, and is for measuring only: it has no
gradients and no training mode.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from opselect.spaces.cellnet import Cell, CellNetwork, EdgeOperations
from opselect.spaces.operations import AveragePooling, ReLUConvBN
from opselect.spaces.space import Weights


class SharedReLU(nn.ReLU):
    """The ReLU of one node, in place of those of all convolutions that leave it.

    Attributes:
        computed: how many ReLUs of the unfolded cell it stands for.
        blocks: how many of these belong to a `ReLUConvBN`.
        removed: how many blocks more would be there if none had the weight zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.computed = 0
        self.blocks = 0
        self.removed = 0


def affine_map(norm: nn.BatchNorm2d, factor: float) -> tuple[Tensor, Tensor]:
    """Scale and shift, one a channel, of a multiple of a batch norm in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = factor * (norm.running_var + norm.eps).rsqrt()
    shift = torch.zeros_like(scale)
    if norm.affine:
        scale, shift = scale * norm.weight, factor * norm.bias
    return scale, shift - scale * norm.running_mean


class FoldedEdge(nn.Module):
    """One edge: a convolution of the rectified source, a multiple of the pooled one and a multiple of itself."""

    def __init__(self, edge: EdgeOperations, weights: Tensor | None, relu: SharedReLU) -> None:
        super().__init__()
        self.kernel: Tensor | None = None
        self.bias: Tensor | None = None
        self.pooled = 0.0
        self.unchanged = 0.0
        factors = [1.0] * len(edge.names) if weights is None else weights.tolist()
        for name, factor in zip(edge.names, factors, strict=True):
            if name not in edge.operations:
                continue
            match operation := edge.operations[name]:
                case ReLUConvBN() if factor == 0:
                    relu.removed += 1
                case ReLUConvBN():
                    relu.computed += 1
                    relu.blocks += 1
                    self._add_convolution(operation, factor)
                case AveragePooling():
                    self.pooled += factor
                case nn.Identity():
                    self.unchanged += factor

    def _add_convolution(self, operation: ReLUConvBN, factor: float) -> None:
        scale, bias = affine_map(operation.norm, factor)
        kernel = scale[:, None, None, None] * operation.convolution.weight
        if self.kernel is not None and self.bias is not None:
            # The smaller of two odd windows is the larger one with a frame of zeros.
            smaller, larger = sorted((self.kernel, kernel), key=lambda each: each.shape[-1])
            frame = (larger.shape[-1] - smaller.shape[-1]) // 2
            kernel = larger + functional.pad(smaller, [frame] * 4)
            bias = self.bias + bias
        self.kernel = kernel.contiguous(memory_format=torch.channels_last)
        self.bias = bias

    def forward(self, value: Tensor, rectified: Tensor, pooled: Tensor, total: Tensor | None) -> Tensor | None:
        """The sum so far plus this edge; the sum so far is changed in place."""
        if self.kernel is not None:
            term = functional.conv2d(rectified, self.kernel, self.bias, padding=self.kernel.shape[-1] // 2)
            total = term if total is None else total.add_(term)
        for other, factor in ((pooled, self.pooled), (value, self.unchanged)):
            if factor:
                total = other * factor if total is None else total.add_(other, alpha=factor)
        return total


class FoldedCell(nn.Module):
    """A cell with one ReLU and one pooling a node."""

    def __init__(self, cell: Cell, weights: Weights | None) -> None:
        super().__init__()
        relus = [SharedReLU() for _ in range(max(target for _, target in cell.routes))]
        edges = [
            FoldedEdge(edge, None if weights is None else weights[number], relus[source])
            for number, ((source, _), edge) in enumerate(zip(cell.routes, cell.edges, strict=True))
            if isinstance(edge, EdgeOperations)
        ]
        self.relus, self.edges = nn.ModuleList(relus), nn.ModuleList(edges)
        self.pooling = AveragePooling()
        self.sources = [
            [(target, edge) for (source, target), edge in zip(cell.routes, edges, strict=True) if source == node]
            for node in range(len(relus))
        ]

    def forward(self, images: Tensor) -> Tensor:
        """As of the unfolded cell under its weights."""
        nodes: list[Tensor | None] = [images] + [None] * len(self.relus)
        for node, (relu, leaving) in enumerate(zip(self.relus, self.sources, strict=True)):
            value = nodes[node]
            if value is None:
                value = torch.zeros_like(images)
            rectified = relu(value) if relu.computed or relu.removed else value
            pooled = self.pooling(value) if any(edge.pooled for _, edge in leaving) else value
            for target, edge in leaving:
                nodes[target] = edge(value, rectified, pooled, nodes[target])
        return torch.zeros_like(images) if nodes[-1] is None else nodes[-1]


class FoldedNetwork(nn.Module):
    """A network or a supernet under fixed weights, ready to be measured.

    Args:
        network: in any mode; its modules outside the cells are shared, not copied.
        weights: of a supernet; None for a network with one operation an edge.
    """

    @torch.no_grad()
    def __init__(self, network: CellNetwork, weights: Weights | None) -> None:
        super().__init__()
        self.stem = network.stem
        self.body = nn.Sequential(
            *(FoldedCell(block, weights) if isinstance(block, Cell) else block for block in network.body)
        )
        self.head = nn.Sequential(
            network.last_norm, network.last_relu, network.pooling, nn.Flatten(), network.classifier
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[batch, classes]`, as of the unfolded network in evaluation mode."""
        logits: Tensor = self.head(self.body(self.stem(images.contiguous(memory_format=torch.channels_last))))
        return logits
