"""MeCo: how independent the channels of every layer are."""

import math

import torch
from torch import Tensor, nn

from opselect.selectors.proxies.activations import measured
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.spaces.images import LabelledImages
from opselect.spaces.seeds import torch_generator

SIDE = 64


def meco(network: nn.Module, batch: LabelledImages) -> float:
    """Sum over layers of the smallest eigenvalue of the Pearson correlation matrix of the channels; larger is better.

    The channels of a layer's feature map are the variables, its pixels the observations. The input is one seeded
    Gaussian image of 64x64 pixels with the network's image channels: the method asks for one random image, and with
    fewer pixels than channels the eigenvalue is always zero. So the batch matters only by its number of channels, and
    a network that takes one size of images only cannot be scored. Train mode, the network is taken as it is.

    Layers are all computed modules without children that return feature maps. A map with a constant channel, and one
    of a single pixel, counts zero. NaN where a map is not finite.

    Differs from the published code: (1) its hooks sit on containers too, so their outputs count several times; (2) the
    code in single precision also adds eigenvalues just below zero; (3) its variant for search uses the first image of
    the batch.

    Raises:
        UnscorableNetwork: no module returns feature maps.

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
    of_maps = [value for value in eigenvalues if value is not None]
    if not of_maps:
        raise UnscorableNetwork("meco: no layer of the network returns feature maps")
    return sum(of_maps)


def smallest_eigenvalue(maps: Tensor) -> float:
    """Of the correlation matrix of the channels of one image's feature maps `[channels, height, width]`."""
    channels = maps.flatten(1).double()
    centred = channels - channels.mean(1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    if not norms.isfinite().all():
        return math.nan
    # Rounding may leave a constant channel a little off its mean.
    if (norms <= 1e-6 * channels.norm(dim=1, keepdim=True)).any():
        return 0.0
    directions = centred / norms
    return max(float(torch.linalg.eigvalsh(directions @ directions.T)[0]), 0.0)
