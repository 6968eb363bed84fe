"""FLOPs: the number of multiply-adds for one image."""

from torch import nn

from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import multiply_adds


def flops(network: nn.Module, batch: LabelledImages) -> float:
    """Multiply-adds of convolutions and linear layers for one image; larger is better.

    Operations with weight zero do not count. Only the shape of the images is used.

    Source: the baseline of Abdelfattah et al., Zero-Cost Proxies, ICLR 2021, and of White et al., NeurIPS 2021.
    """
    return float(multiply_adds(network, batch.images))
