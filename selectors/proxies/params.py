"""Params: the number of parameters."""

from torch import nn

from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import parameter_count


def params(network: nn.Module, batch: LabelledImages) -> float:
    """Number of parameters of all computed modules; larger is better.

    Operations with weight zero do not count. Only the shape of the images is used.

    Source: the baseline of Abdelfattah et al., Zero-Cost Proxies, ICLR 2021, and of White et al., NeurIPS 2021.
    """
    return float(parameter_count(network, batch.images[:1]))
