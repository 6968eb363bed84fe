"""Plain: the first-order change of the loss if the weights grew, with its sign."""

from torch import nn

from opselect.selectors.proxies.interface import loss_gradients
from opselect.spaces.images import LabelledImages


def plain(network: nn.Module, batch: LabelledImages) -> float:
    """Sum of w dL/dw over the weights of convolutions and linear layers, L the cross entropy; larger is better.

    SNIP without the absolute value. One batch with its labels, train mode. Positive and negative terms cancel: the
    output of train-mode batch norm does not change with the scale of the convolution before it, so the terms of such a
    convolution sum to zero (up to the epsilon of the norm). Where a norm follows every convolution, the score is that
    of the classifier, and 0 if no image reaches it. No paper argues for a direction: the sign is that of the published
    code.

    Source: the measure `plain` in the code of Abdelfattah et al., Zero-Cost Proxies, ICLR 2021.
    """
    # The sum is in double precision, since its terms are far larger than their sum.
    return float(
        sum((weight.double() * gradient.double()).sum() for weight, gradient in loss_gradients(network, batch))
    )
