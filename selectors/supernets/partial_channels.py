"""Partial channels: operations see a part of the channels of their edge, the others pass by (PC-DARTS)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from opselect.selectors.supernets.changes import CannotChange
from opselect.spaces.cell_graph import EdgeOperations


class PartialEdge(nn.Module):
    """An edge whose operations see the first channels; the others are joined to their sum, and all are interleaved.

    Args:
        edge: The edge, whose operations are limited to the first channels in place.
        fraction: Denominator of the share of channels that the operations see.
        scales_bypass: Whether the channels that pass by are weighted too, by the sum of the edge's weights.

    Raises:
        CannotChange: A number of channels is no multiple of the fraction.
    """

    def __init__(self, edge: EdgeOperations, fraction: int, scales_bypass: bool) -> None:
        super().__init__()
        narrow(edge, fraction)
        self.edge, self.fraction, self.scales_bypass = edge, fraction, scales_bypass

    def forward(self, value: Tensor, weights: Tensor, computed: list[bool]) -> Tensor | None:
        """As of the edge; where no operation is computed, nothing passes by either.

        Args:
            value: The source node, `[batch, channels, height, width]`.
            weights: One weight per operation.
            computed: Whether each operation is computed at all.
        """
        seen = value.shape[1] // self.fraction
        mixed = self.edge(value[:, :seen], weights, computed)
        if mixed is None:
            return None
        bypass = value[:, seen:]
        if mixed.shape[2:] != bypass.shape[2:]:
            bypass = functional.max_pool2d(bypass, 2)
        if self.scales_bypass:
            bypass = weights.sum() * bypass
        joined = torch.cat([mixed, bypass], dim=1)
        groups = joined.reshape(len(value), self.fraction, seen, *joined.shape[2:])
        return groups.transpose(1, 2).flatten(1, 2)


@torch.no_grad()
def narrow(module: nn.Module, fraction: int) -> None:
    """Limit convolutions and batch norms to the first channels, in place.

    The weights that stay are scaled to the distribution that a new convolution of this width starts with.

    Args:
        module: Module of convolutions without bias, batch norms, and layers without channels of their own.
        fraction: Denominator of the share of channels that stays.

    Raises:
        CannotChange: A number of channels is no multiple of it.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            _check_divisible(fraction, layer.in_channels, layer.out_channels)
            fan_in = layer.weight[0].numel()
            layer.in_channels //= fraction
            layer.out_channels //= fraction
            if layer.groups > 1:
                layer.groups //= fraction
            kept = layer.weight[: layer.out_channels, : layer.in_channels // layer.groups]
            scale = (fan_in / kept[0].numel()) ** 0.5
            layer.weight = nn.Parameter((kept * scale).contiguous(memory_format=torch.channels_last))
        elif isinstance(layer, nn.BatchNorm2d):
            _check_divisible(fraction, layer.num_features)
            layer.num_features //= fraction
            for name, values in [*layer.named_parameters(), *layer.named_buffers()]:
                if values.ndim:
                    first = values[: layer.num_features].clone()
                    setattr(layer, name, nn.Parameter(first) if isinstance(values, nn.Parameter) else first)


def _check_divisible(fraction: int, *channels: int) -> None:
    for count in channels:
        if count % fraction:
            raise CannotChange(f"a layer of its supernet has {count} channel(s), which cannot be divided by {fraction}")
