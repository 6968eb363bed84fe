"""L2 norm: the size of the initial weights."""

from torch import nn

from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import reached_leaves


def l2_norm(network: nn.Module, batch: LabelledImages) -> float:
    """Sum over convolutions and linear layers of the Euclidean norm of their weights; larger is better.

    Every computed layer counts once, even if its output is not used, as in `params`; operations with weight zero do not
    count. The score depends on the architecture and the initialisation only: no labels and no gradients are used, and
    only the shape of the images. The mode does not matter.

    Raises:
        UnscorableNetwork: No convolution or linear layer is computed.

    Source: the measure `l2_norm` in the code of Abdelfattah et al., Zero-Cost Proxies, ICLR 2021.
    """
    layers = {
        id(module): module
        for module, _ in reached_leaves(network, batch.images[:1])
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    if not layers:
        raise UnscorableNetwork("l2_norm: the network has no convolution or linear layer that is computed")
    return float(sum(layer.weight.detach().double().norm() for layer in layers.values()))
