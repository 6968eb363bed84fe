"""DropBlock on skip connections, against the advantage that they have in a supernet (MSG-DAS)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from opselect.selectors.supernets.changes import SKIP
from opselect.spaces.cell_graph import EdgeOperations


@dataclass(frozen=True)
class BlockDrop:
    """DropBlock: square blocks of single channels are set to zero, and the rest is scaled so that the mean stays.

    Attributes:
        rate: Share of the pixels that is dropped, about; below 1.
        size: Height and width of a block in pixels; smaller where the map is smaller.
        generator: Source of the random numbers, on the CPU.

    Source: Ghiasi et al., DropBlock, NeurIPS 2018, algorithm 1.
    """

    rate: float
    size: int
    generator: torch.Generator

    def __call__(self, value: Tensor) -> Tensor:
        """`[batch, channels, height, width]` in and out."""
        batch, channels, height, width = value.shape
        size = min(self.size, height, width)
        rows, columns = height - size + 1, width - size + 1
        # Every seed drops a block, so that there are fewer of them than of dropped pixels.
        seeds = self.rate / size**2 * height * width / (rows * columns)
        centres = torch.rand(batch, channels, rows, columns, generator=self.generator) < seeds
        dropped = functional.max_pool2d(functional.pad(centres.float(), [size - 1] * 4), size, stride=1)
        kept = (1 - dropped).to(value)
        return value * kept * (kept.numel() / kept.sum().clamp_min(1))


class DroppedSkip(nn.Module):
    """A skip connection that loses blocks of pixels while a step computes its loss.

    Args:
        skip: The skip connection.
    """

    def __init__(self, skip: nn.Module) -> None:
        super().__init__()
        self.skip = skip
        self.drop: BlockDrop | None = None

    def forward(self, value: Tensor) -> Tensor:
        """As of the skip connection, with blocks of zeros where `drop` is set."""
        skipped: Tensor = self.skip(value)
        return skipped if self.drop is None else self.drop(skipped)


def with_dropped_skip(edge: EdgeOperations) -> EdgeOperations:
    """The edge, whose skip connection is a `DroppedSkip` from now on where it has one."""
    if SKIP in edge.operations:
        edge.operations[SKIP] = DroppedSkip(edge.operations[SKIP])
    return edge
