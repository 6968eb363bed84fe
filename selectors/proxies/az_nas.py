"""AZ-NAS: expressivity, progressivity and trainability of the blocks of a random network, and their combination."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from opselect.selectors.proxies.activations import drawn_parameters, normal_images
from opselect.selectors.proxies.interface import Combination, UnscorableNetwork, train_mode_logits
from opselect.selectors.proxies.ranking import Scores, sum_over_ranks
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import hooks
from opselect.spaces.seeds import torch_generator
from opselect.spaces.space import HasBlockChain


def az_expressivity(network: nn.Module, batch: LabelledImages) -> float:
    """Sum over blocks of the entropy of the principal components of their features; larger is better.

    Per block the eigenvalues of the covariance of the channels (observations are images and pixels), divided by their
    sum, and their entropy in nats: largest where features spread evenly over all directions. Minus infinity where the
    features of a block are constant or not finite.

    Blocks are those of the network's `block_chain`: cells and the down-sampling between them. The input of the first
    one (the stem's output) counts as a block too, as in the published code. Parameters are random (weights from
    N(0, 2 / fan-in), biases 0) and images are Gaussian, so those of the network, pixels and labels do not matter: only
    the shape of the batch is used. Train mode.

    Args:
        network: A network with a `block_chain` (see `HasBlockChain`), or one that contains it; it is not changed.
        batch: Images, of which only the shape matters.

    Raises:
        UnscorableNetwork: The network has no `block_chain`.

    Source: Lee and Ham, AZ-NAS, CVPR 2024, section 3.1.
    """
    return _or_worst(sum(_isotropies(network, batch)))


def az_progressivity(network: nn.Module, batch: LabelledImages) -> float:
    """Smallest increase of the expressivity of a block over the block before; larger is better.

    Blocks, random parameters and images as for `az_expressivity`. Minus infinity where the features of a block are
    constant or not finite.

    Args:
        network: As for `az_expressivity`.
        batch: As for `az_expressivity`.

    Raises:
        UnscorableNetwork: The network has no `block_chain`.

    Source: Lee and Ham, AZ-NAS, CVPR 2024, section 3.1.
    """
    isotropies = np.array(_isotropies(network, batch))
    return _or_worst(float(np.diff(isotropies).min()))


def az_trainability(network: nn.Module, batch: LabelledImages) -> float:
    """Mean over blocks of 2 - s - 1/s, s the spectral norm of a block's Jacobian; larger is better.

    The value is largest, zero, at s = 1, where gradients neither grow nor vanish. The Jacobian of channels against
    channels is estimated with one random sign g for every output: the mean over images and pixels of (J^T g) g^T. For
    a block that halves the size, the pixels under one output pixel count as channels. Minus infinity where a block has
    no finite gradient, and where it is the identity, as in the published code.

    Blocks, random parameters and images as for `az_expressivity`. The only difference from the published code is that
    no small number is added to avoid dividing by zero.

    Args:
        network: As for `az_expressivity`.
        batch: As for `az_expressivity`.

    Raises:
        UnscorableNetwork: The network has no `block_chain`.

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
    member with a NaN or infinite score gets NaN, takes no rank from the others, and does not count as a member.

    Args:
        scores: `[members, proxies]`, larger is better.

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
        entered: Input of the block, `[batch, channels, height, width]`, a leaf of the graph of gradients.
        returned: Its output.
        signs: 1 or -1 for every element of the output.

    Returns:
        At most 0; minus infinity without a finite gradient, and for an identity.
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
    """Input and output of every block in one pass; with gradients, each block has a graph of its own.

    Raises:
        UnscorableNetwork: The network has no `block_chain`.
    """
    parameters = drawn_parameters(network, generator, deviation=lambda weight: math.sqrt(2 / weight[0].numel()))
    images = normal_images(batch.images, generator)
    blocks: list[tuple[Tensor, Tensor]] = []

    def cut(_: nn.Module, received: tuple[Any, ...]) -> tuple[Any, ...]:
        return received[0].detach().requires_grad_(gradients), *received[1:]

    def note(_: nn.Module, received: tuple[Any, ...], returned: Tensor) -> None:
        blocks.append((received[0], returned))

    chain = [block for module in network.modules() if isinstance(module, HasBlockChain) for block in module.block_chain]
    with (
        hooks(after=[(block, note) for block in chain], before=[(block, cut) for block in chain]),
        torch.set_grad_enabled(gradients),
    ):
        train_mode_logits(network, images, parameters)
    if not blocks:
        raise UnscorableNetwork("az_nas: the network has no cell")
    return blocks
