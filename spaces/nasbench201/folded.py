"""The networks of NAS-Bench-201 as evaluation mode computes them; `opselect.spaces.cell_graph` says why.

What is theirs: the weighted convolutions of one edge are one convolution with a merged kernel.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from opselect.spaces.cell_graph import FoldedEdge, FoldedGraph, affine_map
from opselect.spaces.nasbench201.operations import AveragePooling, ReLUConvBN


class MergedConvolution(nn.Module):
    """The sum of weighted convolutions with their norms, as one convolution with a bias.

    Args:
        kernel: `[out, in, size, size]`, the size being odd.
        bias: One per output channel.
    """

    def __init__(self, kernel: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.kernel = kernel.contiguous(memory_format=torch.channels_last)
        self.bias = bias

    def plus(self, kernel: Tensor, bias: Tensor) -> "MergedConvolution":
        """The sum with one more convolution; the smaller of two odd windows is the larger with a frame of zeros."""
        smaller, larger = sorted((self.kernel, kernel), key=lambda each: each.shape[-1])
        frame = (larger.shape[-1] - smaller.shape[-1]) // 2
        return MergedConvolution(larger + functional.pad(smaller, [frame] * 4), self.bias + bias)

    def forward(self, rectified: Tensor) -> Tensor:
        """Feature maps `[batch, channels, height, width]` in and out."""
        return functional.conv2d(rectified, self.kernel, self.bias, padding=self.kernel.shape[-1] // 2)


def fold_operation(edge: FoldedEdge, operation: nn.Module, weight: float) -> None:
    """Add an operation of the cell to a folded edge."""
    match operation:
        case ReLUConvBN() if weight == 0:
            edge.removed += 1
        case ReLUConvBN():
            edge.computed += 1
            edge.blocks += 1
            scale, bias = affine_map(operation.norm, weight)
            kernel = scale[:, None, None, None] * operation.convolution.weight
            if len(edge.rectifying) == 0:
                edge.rectifying.append(MergedConvolution(kernel, bias))
            else:
                merged = edge.rectifying[0]
                assert isinstance(merged, MergedConvolution)
                edge.rectifying[0] = merged.plus(kernel, bias)
        case AveragePooling() if weight != 0:
            edge.poolings.append((operation, weight, None))
        case nn.Identity():
            edge.unchanged += weight


class FoldedNetwork(nn.Module):
    """A network, or a supernet under the weights of one or several variants, for scoring only.

    Args:
        stem: Of the unfolded network, as the other parts.
        body: Folded cells, and the blocks between the stages.
        head: From the last cell to the logits.
    """

    def __init__(self, stem: nn.Module, body: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.stem, self.body, self.head = stem, nn.ModuleList(body), head

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "total classes"]:
        """Logits `[variants * batch, classes]`; variants that differ nowhere give one batch for all of them."""
        features = self.stem(images.contiguous(memory_format=torch.channels_last))
        for block in self.body:
            features = block([features], features)[-1] if isinstance(block, FoldedGraph) else block(features)
        logits: Tensor = self.head(features)
        return logits
