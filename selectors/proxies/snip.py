"""SNIP: how much the loss would change if single weights were removed."""

from torch import nn

from opselect.selectors.proxies.interface import loss_gradients
from opselect.spaces.images import LabelledImages


def snip(network: nn.Module, batch: LabelledImages) -> float:
    """Sum of |w dL/dw| over the weights of convolutions and linear layers, L the cross entropy; larger is better.

    One batch with its labels, train mode.

    Sources: Lee et al., SNIP, ICLR 2019, equation 3; Abdelfattah et al., Zero-Cost Proxies, ICLR 2021, section 3.2.
    """
    return float(sum((weight * gradient).abs().sum() for weight, gradient in loss_gradients(network, batch)))
