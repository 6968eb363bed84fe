"""ZiCo: how large and how steady the gradients are across batches."""

import math

import torch
from torch import nn

from opselect.selectors.proxies.interface import loss_gradients
from opselect.spaces.images import LabelledImages


def zico(network: nn.Module, batch: LabelledImages) -> float:
    """Sum over layers of log(sum over weights of mean |g| / deviation of |g| across batches); larger is better.

    g is the gradient of the cross entropy with respect to the weights of convolutions and linear layers. Labels, train
    mode. The paper measures two batches. Here these are the two halves of the one batch, see `halves`: which half an
    image is in depends on the image, not on its place. The deviation is the population's. A weight whose |g| is the
    same in both halves (a dead one) is left out, and a layer without any other adds nothing, as in the published code.

    NaN with fewer than two images.

    Differs from the published code: it takes the deviation of g, the paper's equation that of |g|. They differ for
    weights whose gradient changes its sign between the batches.

    Source: Li et al., ZiCo, ICLR 2023, section 3, the definition of the proxy.
    """
    if len(batch) < 2:
        return math.nan
    first, second = (loss_gradients(network, half) for half in halves(batch))
    score = 0.0
    for (_, one), (_, other) in zip(first, second, strict=True):
        sizes = torch.stack([one, other]).double().abs()
        deviations = sizes.std(0, correction=0)
        ratios = sizes.mean(0)[deviations > 0] / deviations[deviations > 0]
        if len(ratios):
            score += math.log(float(ratios.sum()))
    return score


def halves(batch: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    """Two halves of a batch, the same ones whatever the order of its images, with nearly the same classes.

    The images are sorted by class and then by their bytes, and go into the halves in turn. The first half has one more
    if their number is odd.
    """
    # With the most significant byte first, rounding errors hardly change the order.
    pixels = batch.images.detach().cpu().numpy().astype(">f4")
    order = sorted(range(len(batch)), key=lambda number: (int(batch.labels[number]), pixels[number].tobytes()))
    return batch[torch.tensor(order[0::2])], batch[torch.tensor(order[1::2])]
