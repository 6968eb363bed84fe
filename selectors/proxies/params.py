"""The number of parameters."""

from torch import nn

from opselect.selectors.proxies.measuring import reached_leaves
from opselect.spaces.images import LabelledImages


def params(network: nn.Module, batch: LabelledImages) -> float:
    """Parameters of all modules that are computed; larger is better.

    A module that is used several times counts once. Operations with weight zero do not count.

    Args:
        network: left as found.
        batch: only the shape of its images is used.
    """
    reached = {id(module): module for module, _ in reached_leaves(network, batch.images[:1])}
    return float(sum(parameter.numel() for module in reached.values() for parameter in module.parameters()))
