"""The networks of NAS-Bench-201 as evaluation mode computes them; `opselect.spaces.cell_graph` says why.

What is theirs: the weighted convolutions of one edge are one convolution with a merged kernel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from opselect.spaces.cell_graph import FoldedEdge, FoldedGraph, affine_map
from opselect.spaces.nasbench201.operations import AveragePooling, ReLUConvBN


@dataclass(frozen=True)
class MergedConvolution:
    """The sum of weighted convolutions with their norms, as one convolution with a bias.

    Attributes:
        kernel: `[out, in, size, size]`, the size being odd.
        bias: One per output channel.
    """

    kernel: Tensor
    bias: Tensor

    def __call__(self, rectified: Tensor) -> Tensor:
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
            if edge.rectifying:
                (merged,) = edge.rectifying
                assert isinstance(merged, MergedConvolution)
                kernel, bias = _sum_of_kernels(merged.kernel, kernel), merged.bias + bias
            edge.rectifying = [MergedConvolution(kernel.contiguous(memory_format=torch.channels_last), bias)]
        case AveragePooling() if weight != 0:
            edge.poolings.append((operation, weight, None))
        case nn.Identity():
            edge.unchanged += weight


def _sum_of_kernels(first: Tensor, second: Tensor) -> Tensor:
    """The smaller of two odd windows is the larger one with a frame of zeros."""
    smaller, larger = sorted((first, second), key=lambda kernel: kernel.shape[-1])
    frame = (larger.shape[-1] - smaller.shape[-1]) // 2
    return larger + functional.pad(smaller, [frame] * 4)


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
