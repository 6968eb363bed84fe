"""AZ-NAS: expressivity, progressivity and trainability of the blocks of a random network, and their combination."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from opselect.selectors.proxies.activations import drawn_parameters, normal_images
from opselect.selectors.proxies.interface import Combination, UnscorableNetwork
from opselect.selectors.proxies.ranking import Scores, sum_over_ranks
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import mode
from opselect.spaces.nasbench201.network import Cell
from opselect.spaces.nasbench201.operations import PlainDownSampling, ResidualDownSampling
from opselect.spaces.seeds import torch_generator

BLOCKS = (Cell, PlainDownSampling, ResidualDownSampling)


def az_expressivity(network: nn.Module, batch: LabelledImages) -> float:
    """Sum over blocks of the entropy of the principal components of their features; larger is better.

    Per block the eigenvalues of the covariance of the channels (observations are images and pixels), divided by their
    sum, and their entropy in nats: largest where features spread evenly over all directions. Minus infinity where the
    features of a block are constant or not finite.

    Blocks are cells and the down-sampling between them; what enters the first one (the stem's output) counts as a
    block too, as in the published code. Parameters are drawn anew (weights from N(0, 2 / fan-in), biases 0) and images
    are Gaussian, so those of the network, pixels and labels do not matter: only the shape of the batch is used. Train
    mode.

    Raises:
        UnscorableNetwork: no cell was reached.

    Source: Lee and Ham, AZ-NAS, CVPR 2024, section 3.1.
    """
    return _or_worst(sum(_isotropies(network, batch)))


def az_progressivity(network: nn.Module, batch: LabelledImages) -> float:
    """Smallest increase of the expressivity of a block over the block before; larger is better.

    Blocks, drawn parameters and images as for `az_expressivity`. Minus infinity where the features of a block are
    constant or not finite.

    Raises:
        UnscorableNetwork: no cell was reached.

    Source: Lee and Ham, AZ-NAS, CVPR 2024, section 3.1.
    """
    isotropies = np.array(_isotropies(network, batch))
    return _or_worst(float(np.diff(isotropies).min()))


def az_trainability(network: nn.Module, batch: LabelledImages) -> float:
    """Mean over blocks of 2 - s - 1/s, s the spectral norm of a block's Jacobian; larger is better.

    The value is largest, zero, at s = 1, where gradients neither grow nor vanish. The Jacobian of channels against
    channels is estimated with one random sign g for every output: the mean over images and pixels of (J^T g) g^T. For
    a block that halves the size, the pixels under one output pixel count as channels. Minus infinity where a block has
    no finite gradient, and where it only passes its input on, as in the published code.

    Blocks, drawn parameters and images as for `az_expressivity`. Differs from the published code only in what it adds
    to avoid dividing by zero.

    Raises:
        UnscorableNetwork: no cell was reached.

    Source: Lee and Ham, AZ-NAS, CVPR 2024, section 3.1.
    """
    generator = torch_generator("az_nas")
    stabilities = []
    for entered, returned in _blocks(network, batch, generator, gradients=True):
        signs = torch.randint(0, 2, returned.shape, generator=generator).to(returned) * 2 - 1
        stabilities.append(stability(entered, returned, signs))
    return sum(stabilities) / len(stabilities)


def log_rank_sum(scores: Scores) -> Float[np.ndarray, " members"]:
    """The sum of log(rank / members) over a member's scores, the worst rank being 1; larger is better, at most 0.

    The logarithm punishes one bad rank more than it rewards a good one. Equal scores share the mean of their places. A
    member with a NaN or infinite score gets NaN and takes no rank from the others, nor does it count as a member.

    Source: Lee and Ham, AZ-NAS, CVPR 2024, section 3.2, equation 12.
    """
    return sum_over_ranks(scores, "average", lambda ranks: np.log(ranks / len(ranks)))


az_nas = Combination(("az_expressivity", "az_progressivity", "az_trainability", "flops"), log_rank_sum)


def isotropy(features: Tensor) -> float:
    """Entropy of the principal components of feature maps `[batch, channels, ...]`; NaN if constant or not finite."""
    observations = _by_pixel(features)
    centred = observations - observations.mean(0)
    covariance = centred.T @ centred
    if not covariance.isfinite().all():
        return math.nan
    variances = torch.linalg.eigvalsh(covariance).clamp(min=0)
    return float(torch.special.entr(variances / variances.sum()).sum())


def stability(entered: Tensor, returned: Tensor, signs: Tensor) -> float:
    """2 - s - 1/s of one block, s the spectral norm of its estimated Jacobian.

    Args:
        entered: what the block received, a leaf of the graph.
        returned: what it returned.
        signs: 1 or -1 for every element that it returned.
    """
    if not returned.requires_grad:
        return -math.inf
    (pulled,) = torch.autograd.grad(returned, entered, signs, allow_unused=True, materialize_grads=True)
    if pulled.shape == signs.shape and torch.equal(pulled, signs):
        return -math.inf
    height, width = returned.shape[2:]
    stride = entered.shape[2] // height
    pulled = functional.pixel_unshuffle(pulled[:, :, : stride * height, : stride * width], stride)
    jacobian = _by_pixel(pulled).T @ _by_pixel(signs) / signs[:, 0].numel()
    if not jacobian.isfinite().all():
        return -math.inf
    norm = torch.linalg.matrix_norm(jacobian, 2)
    return float(2 - norm - 1 / norm)


def _by_pixel(features: Tensor) -> Float[Tensor, "pixels channels"]:
    return features.movedim(1, -1).flatten(0, -2).double()


def _or_worst(score: float) -> float:
    return -math.inf if math.isnan(score) else score


def _isotropies(network: nn.Module, batch: LabelledImages) -> list[float]:
    blocks = _blocks(network, batch, torch_generator("az_nas"), gradients=False)
    return [isotropy(blocks[0][0])] + [isotropy(returned) for _, returned in blocks]


def _blocks(
    network: nn.Module, batch: LabelledImages, generator: torch.Generator, gradients: bool
) -> list[tuple[Tensor, Tensor]]:
    """What every block received and returned in one pass; with gradients, each block has a graph of its own.

    Raises:
        UnscorableNetwork: no cell was reached.
    """
    state = drawn_parameters(network, generator, deviation=lambda weight: math.sqrt(2 / weight[0].numel()))
    state |= {name: buffer.clone() for name, buffer in network.named_buffers()}
    images = normal_images(batch.images, generator)
    blocks: list[tuple[Tensor, Tensor]] = []
    cells: list[nn.Module] = []

    def cut(_: nn.Module, received: tuple[Any, ...]) -> tuple[Any, ...]:
        return received[0].detach().requires_grad_(gradients), *received[1:]

    def keep(block: nn.Module, received: tuple[Any, ...], returned: Tensor) -> None:
        blocks.append((received[0], returned))
        cells.extend([block] if isinstance(block, Cell) else [])

    hooked = [module for module in network.modules() if isinstance(module, BLOCKS)]
    hooks = [module.register_forward_pre_hook(cut) for module in hooked]
    hooks += [module.register_forward_hook(keep) for module in hooked]
    try:
        with mode(network, training=True), torch.set_grad_enabled(gradients):
            functional_call(network, state, (images,))
    finally:
        for hook in hooks:
            hook.remove()
    if not cells:
        raise UnscorableNetwork("az_nas: the network has no cell")
    return blocks
