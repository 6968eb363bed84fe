"""ZiCo: how large and how steady the gradients are across batches."""

import math

import torch
from torch import nn

from opselect.selectors.proxies.interface import loss_gradients
from opselect.spaces.images import LabelledImages


def zico(network: nn.Module, batch: LabelledImages) -> float:
    """Sum over layers of log(sum over weights of mean |g| / deviation of |g| across batches); larger is better.

    g is the gradient of the cross entropy with respect to the weights of convolutions and linear layers. One batch with
    its labels, train mode. The paper uses two batches. Here they are the two halves of the one batch, see `halves`: the
    half of an image depends on the image, not on its position. The deviation is that of the population. A weight whose
    |g| is the same in both halves (a dead one) is left out, and a layer of such weights only adds nothing, as in the
    published code.

    NaN with fewer than two images.

    Differs from the published code: it uses the deviation of g, the paper's equation that of |g|. They differ for
    weights whose gradient changes its sign between the batches.

    Source: Li et al., ZiCo, ICLR 2023, section 3, the definition of the proxy.
    """
    if len(batch) < 2:
        return math.nan
    first, second = (loss_gradients(network, half) for half in halves(batch))
    score = 0.0
    for (_, first_gradient), (_, second_gradient) in zip(first, second, strict=True):
        sizes = torch.stack([first_gradient, second_gradient]).double().abs()
        deviations = sizes.std(0, correction=0)
        ratios = sizes.mean(0)[deviations > 0] / deviations[deviations > 0]
        if len(ratios):
            score += math.log(float(ratios.sum()))
    return score


def halves(batch: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    """Divide a batch into two halves with nearly the same classes, which do not depend on the order of its images.

    The images are sorted by class and then by their bytes, and go into the halves in turn. The first half has one more
    if their number is odd.

    Example:
        >>> batch = LabelledImages(torch.arange(4.0).view(4, 1, 1, 1), torch.tensor([0, 1, 1, 0]))
        >>> [half.labels.tolist() for half in halves(batch)]
        [[0, 1], [0, 1]]
    """
    # With the most significant byte first, rounding errors hardly change the order.
    pixels = batch.images.detach().cpu().numpy().astype(">f4")
    order = sorted(range(len(batch)), key=lambda number: (int(batch.labels[number]), pixels[number].tobytes()))
    return batch[torch.tensor(order[0::2])], batch[torch.tensor(order[1::2])]
