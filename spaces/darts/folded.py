"""The networks of the DARTS spaces as evaluation mode computes them; `opselect.spaces.cell_graph` says why.

What is theirs: a norm is absorbed by the pointwise convolution before it, or is a scale and a shift behind a pooling.
Depthwise convolutions stay apart: together in wider ones they are no faster, and copying their inputs together costs
more than it saves.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from opselect.spaces.cell_graph import FoldedEdge, FoldedGraph, affine_map
from opselect.spaces.darts.cells import CELL_INPUTS
from opselect.spaces.darts.operations import DilatedConvolution, FactorizedReduction, Noise, SeparableConvolution


class FoldedPointwise(nn.Module):
    """A depthwise convolution where there is one, then a pointwise one that has absorbed norm and weight."""

    def __init__(
        self, depthwise: nn.Conv2d | None, pointwise: nn.Conv2d, norm: nn.BatchNorm2d, factor: float = 1.0
    ) -> None:
        super().__init__()
        scale, self.bias = affine_map(norm, factor)
        self.depthwise = depthwise
        self.pointwise = pointwise
        self.kernel = scale[:, None, None, None] * pointwise.weight

    def forward(self, rectified: Tensor) -> Tensor:
        """`[batch, channels, height, width]`, already rectified."""
        value = rectified if self.depthwise is None else self.depthwise(rectified)
        return functional.conv2d(value, self.kernel, self.bias, stride=self.pointwise.stride)


class FoldedSeparable(nn.Sequential):
    """A separable or dilated convolution whose first ReLU is the node's."""

    def __init__(self, operation: nn.Sequential, factor: float) -> None:
        layers = list(operation)
        parts: list[nn.Module] = []
        for start in range(0, len(layers), 4):
            relu, depthwise, pointwise, norm = layers[start : start + 4]
            parts += [relu] if start else []
            is_last = start + 4 == len(layers)
            parts.append(FoldedPointwise(depthwise, pointwise, norm, factor if is_last else 1.0))  # type: ignore[arg-type]
        super().__init__(*parts)


class FoldedReduction(nn.Module):
    """A factorised reduction whose ReLU is the node's."""

    def __init__(self, operation: FactorizedReduction, factor: float) -> None:
        super().__init__()
        self.even, self.odd = operation.even, operation.odd
        scale, self.bias = affine_map(operation.norm, factor)
        half = self.even.out_channels
        self.kernels = [
            scale[:half, None, None, None] * self.even.weight,
            scale[half:, None, None, None] * self.odd.weight,
        ]

    def forward(self, rectified: Tensor) -> Tensor:
        """`[batch, in, height, width]`, already rectified, to `[batch, out, height / 2, width / 2]`."""
        even = functional.conv2d(rectified, self.kernels[0], stride=2)
        odd = functional.conv2d(rectified[:, :, 1:, 1:], self.kernels[1], stride=2)
        return torch.cat([even, odd], dim=1).add_(self.bias[None, :, None, None])


def fold_operation(edge: FoldedEdge, operation: nn.Module, weight: float) -> None:
    """Add an operation of a cell to a folded edge."""
    match operation:
        case _ if weight == 0:
            pass
        case SeparableConvolution() | DilatedConvolution():
            edge.computed += 1
            edge.rectifying.append(FoldedSeparable(operation, weight))
        case FactorizedReduction():
            edge.computed += 1
            edge.rectifying.append(FoldedReduction(operation, weight))
        case nn.Identity():
            edge.unchanged += weight
        case Noise():
            edge.others.append((operation, weight))
        case nn.Sequential():
            # A pooling of a supernet has a norm behind it.
            pooling, norm = operation
            assert isinstance(norm, nn.BatchNorm2d)
            scale, shift = (each[:, None, None] for each in affine_map(norm, weight))
            edge.poolings.append((pooling, scale, shift if shift.any() else None))
        case pooling:
            edge.poolings.append((pooling, weight, None))


class FoldedDARTSCell(nn.Module):
    """A cell with a folded graph.

    Args:
        first_input: What the output of the cell before the previous one passes through.
        second_input: What the output of the previous cell passes through.
        graph: The folded graph.
        stride: Stride of the edges that leave the inputs.
    """

    def __init__(self, first_input: nn.Module, second_input: nn.Module, graph: FoldedGraph, stride: int) -> None:
        super().__init__()
        self.first_input, self.second_input, self.graph = first_input, second_input, graph
        self.stride = stride

    def forward(self, before_previous: Tensor, previous: Tensor) -> Tensor:
        """The concatenated inner nodes."""
        inputs = [self.first_input(before_previous), self.second_input(previous)]
        nodes = self.graph(inputs, inputs[1][:, :, :: self.stride, :: self.stride])
        return torch.cat(nodes[CELL_INPUTS:], dim=1)


class FoldedDARTSNetwork(nn.Module):
    """A network, or a supernet under fixed weights, for scoring only.

    Args:
        stem: One or two modules of the unfolded network.
        cells: The folded cells.
        head: From the last cell to the logits.
    """

    def __init__(self, stem: nn.ModuleList, cells: Iterable[FoldedDARTSCell], head: nn.Module) -> None:
        super().__init__()
        self.stem, self.cells, self.head = stem, nn.ModuleList(cells), head

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Logits of the unfolded network in evaluation mode, but for rounding."""
        outputs = [images.contiguous(memory_format=torch.channels_last)]
        for part in self.stem:
            outputs.append(part(outputs[-1]))
        before_previous, previous = (outputs[-1], outputs[-1]) if len(self.stem) == 1 else outputs[-2:]
        for cell in self.cells:
            before_previous, previous = previous, cell(before_previous, previous)
        logits: Tensor = self.head(previous)
        return logits
