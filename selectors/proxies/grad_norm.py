"""Gradient norm: the size of the loss's gradient."""

from torch import nn

from opselect.selectors.proxies.interface import loss_gradients
from opselect.spaces.images import LabelledImages


def grad_norm(network: nn.Module, batch: LabelledImages) -> float:
    """Sum over convolutions and linear layers of the Euclidean norm of dL/dw, L the cross entropy; larger is better.

    One batch with its labels, train mode.

    Source: Abdelfattah et al., Zero-Cost Proxies, ICLR 2021, section 3.1.
    """
    return float(sum(gradient.norm() for _, gradient in loss_gradients(network, batch)))
