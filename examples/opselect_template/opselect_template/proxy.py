"""A proxy: how many directions the logits of a batch span at initialisation."""

import torch
from torch import nn

from opselect.selectors.proxies.interface import train_mode_logits
from opselect.spaces.images import LabelledImages


@torch.no_grad()
def opselect_template_proxy(network: nn.Module, batch: LabelledImages) -> float:
    """The effective rank of the centred logits; larger is better. Labels are not used.

    With s_i the singular values of the matrix `[images, classes]` and p_i = s_i / sum(s), it is exp(-sum p_i log p_i).
    NaN where all images have the same logits.

    Args:
        network: Run in train mode by opselect's `train_mode_logits`, which leaves it exactly as it was.
        batch: Images and labels.

    Source of the measure: Roy and Vetterli, The effective rank, EUSIPCO 2007.
    """
    logits = train_mode_logits(network, batch.images).double()
    values = torch.linalg.svdvals(logits - logits.mean(0))
    if values[0] < 1e-6:
        return float("nan")
    shares = values / values.sum()
    return float(torch.exp(torch.special.entr(shares).sum()))
