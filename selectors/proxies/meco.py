"""MeCo: how independent the channels of each layer are."""

import math

import torch
from torch import Tensor, nn

from opselect.selectors.proxies.activations import measured
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.spaces.images import LabelledImages
from opselect.spaces.seeds import torch_generator

SIDE = 64
"""Height and width of the random image in pixels."""


def meco(network: nn.Module, batch: LabelledImages) -> float:
    """Sum over layers of the smallest eigenvalue of the Pearson correlation matrix of the channels; larger is better.

    The channels of a layer's feature map are the variables, its pixels the observations. The input is one seeded
    Gaussian image of 64x64 pixels with the network's image channels: the method uses one random image, and with fewer
    pixels than channels the eigenvalue is always zero. So only the number of channels of the batch matters, and a
    network that accepts only one size of images cannot be scored. Train mode; the parameters of the network are used
    unchanged.

    Layers are all computed modules without children that return feature maps. A map with a constant channel counts
    zero, and so does a map of a single pixel. NaN where a map is not finite.

    Differs from the published code: (1) its hooks are attached to containers too, so their outputs count several times;
    (2) in single precision, it also adds eigenvalues slightly below zero; (3) its variant for search uses the first
    image of the batch.

    Raises:
        UnscorableNetwork: No module returns feature maps.

    Source: Jiang et al., MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum Eigenvalue of
    Correlation, NeurIPS 2023, section 4.
    """
    shape = (1, batch.images.shape[1], SIDE, SIDE)
    image = torch.randn(shape, generator=torch_generator("meco")).to(batch.images)
    eigenvalues = measured(
        network,
        image,
        lambda module: not any(True for _ in module.children()),
        lambda _, __, returned: smallest_eigenvalue(returned[0]) if returned.ndim == 4 else None,
    )
    defined = [value for value in eigenvalues if value is not None]
    if not defined:
        raise UnscorableNetwork("meco: no layer of the network returns feature maps")
    return sum(defined)


def smallest_eigenvalue(maps: Tensor) -> float:
    """Smallest eigenvalue of the correlation matrix of the channels of one image's feature maps.

    Args:
        maps: Feature maps `[channels, height, width]`.

    Returns:
        A number from 0 (a channel is constant or a combination of others) to 1 (all are uncorrelated); NaN where a map
        is not finite.

    Example:
        >>> smallest_eigenvalue(torch.tensor([[[1.0, 2.0, 3.0]], [[3.0, 2.0, 1.0]]])) < 1e-12
        True
    """
    channels = maps.flatten(1).double()
    centred = channels - channels.mean(1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    if not norms.isfinite().all():
        return math.nan
    # By rounding, the values of a constant channel may differ a little from their mean.
    if (norms <= 1e-6 * channels.norm(dim=1, keepdim=True)).any():
        return 0.0
    directions = centred / norms
    return max(float(torch.linalg.eigvalsh(directions @ directions.T)[0]), 0.0)
