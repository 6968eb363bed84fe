"""Zen-Score: how strongly the features of a random network react to a small change of a random input."""

import torch
from torch import Tensor, nn

from opselect.selectors.proxies.activations import drawn_parameters, measured, normal_images
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.spaces.images import LabelledImages
from opselect.spaces.seeds import torch_generator

PERTURBATION = 0.01
"""Standard deviation of the change of an input."""
REPEATS = 4
"""Number of random draws of parameters and images that the score averages over."""
ENDS = (nn.AdaptiveAvgPool2d, nn.Linear)
"""Modules that receive the features: the last reached one of the first type, or else of the second."""


def zen(network: nn.Module, batch: LabelledImages) -> float:
    """Log E||f(x) - f(x + 0.01 e)|| + sum over batch norms of log sqrt(mean channel variance); larger is better.

    f are the feature maps before the global pooling (or, without one, what the last linear layer receives), the norm
    is Frobenius', x and e are Gaussian images. The second term restores the scale that batch norm removes: the variance
    is that of the input of a batch norm for x. A batch norm with a constant input has no scale to restore and adds
    nothing, so a dead branch does not decide the score.

    The parameters are drawn at random (weights from N(0, 1), biases 0), so those of the network do not matter, and
    neither do labels and pixels: only the shape of the batch is used. Train mode, the mean of 4 seeded draws. Minus
    infinity where no change reaches the features.

    Differs from the published code: (1) it sums absolute values instead of the Frobenius norm; (2) it reads running
    variances, which after two passes still hold 81 % of their initial 1; (3) it removes residual links, which here are
    operations to choose from; (4) it averages 32 draws, or takes one in its search.

    Raises:
        UnscorableNetwork: No global pooling and no linear layer was reached.

    Source: Lin et al., Zen-NAS, ICCV 2021, section 4 and algorithm 1.
    """
    generator = torch_generator("zen")
    return sum(_zen_score(network, batch.images, generator) for _ in range(REPEATS)) / REPEATS


def _zen_score(network: nn.Module, like: Tensor, generator: torch.Generator) -> float:
    parameters = drawn_parameters(network, generator, deviation=lambda _: 1.0)
    images, noise = normal_images(like, generator), normal_images(like, generator)
    received = _received(network, images, parameters, (*ENDS, nn.BatchNorm2d))
    perturbed = _received(network, images + PERTURBATION * noise, parameters, ENDS)
    distances = (_features(received) - _features(perturbed)).flatten(1).norm(dim=1)
    variances = [
        value.var((0, 2, 3), correction=0).mean() for module, value in received if isinstance(module, nn.BatchNorm2d)
    ]
    return float(distances.mean().log()) + sum(float(variance.log()) / 2 for variance in variances if variance > 0)


def _received(
    network: nn.Module, images: Tensor, parameters: dict[str, Tensor], kinds: tuple[type[nn.Module], ...]
) -> list[tuple[nn.Module, Tensor]]:
    return measured(
        network,
        images,
        lambda module: isinstance(module, kinds),
        lambda module, received, _: (module, received),
        parameters,
    )


def _features(received: list[tuple[nn.Module, Tensor]]) -> Tensor:
    for kind in ENDS:
        features = [value for module, value in received if isinstance(module, kind)]
        if features:
            return features[-1]
    raise UnscorableNetwork("zen: the network has neither a global pooling nor a linear layer")
