"""A proxy: how many directions the network's answers to a batch span at initialisation."""

import torch
from torch import nn
from torch.func import functional_call

from opselect.spaces.images import LabelledImages


@torch.no_grad()
def effective_rank(network: nn.Module, batch: LabelledImages) -> float:
    """The effective rank of the centred logits; larger is better. Labels are not used.

    With s_i the singular values of the matrix `[images, classes]` and p_i = s_i / sum(s), it is exp(-sum p_i log p_i).
    NaN where all images have the same logits.

    Source of the measure: Roy and Vetterli, The effective rank, EUSIPCO 2007.
    """
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    modes = [module.training for module in network.modules()]
    network.train()
    logits = functional_call(network, buffers, (batch.images,)).double()
    for module, training in zip(network.modules(), modes, strict=True):
        module.training = training
    values = torch.linalg.svdvals(logits - logits.mean(0))
    if values[0] < 1e-6:
        return float("nan")
    shares = values / values.sum()
    return float(torch.exp(torch.special.entr(shares).sum()))
