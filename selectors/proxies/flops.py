"""The number of multiply-adds of one image."""

from torch import nn

from opselect.selectors.proxies.measuring import reached_leaves
from opselect.spaces.images import LabelledImages


def flops(network: nn.Module, batch: LabelledImages) -> float:
    """Multiply-adds of convolutions and linear layers for one image; larger is better.

    This is what NAS-Bench-201 prints as FLOPs, in units of one. Operations with weight zero do not count.

    Args:
        network: left as found.
        batch: only the shape of its images is used.
    """
    total = 0
    for module, output in reached_leaves(network, batch.images[:1]):
        if isinstance(module, nn.Conv2d | nn.Linear):
            per_output = module.weight[0].numel()
            total += per_output * output[0].numel()
    return float(total)
