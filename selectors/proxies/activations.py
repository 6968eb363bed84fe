"""What layers receive and return in one pass, and networks under freshly drawn parameters."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from opselect.spaces.inspection import mode

Result = TypeVar("Result")


def measured(
    network: nn.Module,
    images: Tensor,
    chosen: Callable[[nn.Module], bool],
    measure: Callable[[nn.Module, Tensor, Tensor], Result],
    parameters: dict[str, Tensor] | None = None,
) -> list[Result]:
    """One result for every call of a chosen module in one pass, in order; a module that is not computed gives none.

    In train mode, so that batch norm uses the statistics of these images, and without gradients.

    Args:
        network: left as found.
        images: what it is run on.
        chosen: which modules are measured.
        measure: of a module, what it received and what it returned.
        parameters: used in place of the network's own, by name.
    """
    results: list[Result] = []
    hooks = [
        module.register_forward_hook(
            lambda module, received, returned: results.append(measure(module, received[0], returned))
        )
        for module in network.modules()
        if chosen(module)
    ]
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        with mode(network, training=True), torch.no_grad():
            functional_call(network, buffers | (parameters or {}), (images,))
    finally:
        for hook in hooks:
            hook.remove()
    return results


def is_relu(module: nn.Module) -> bool:
    """Whether a module is a ReLU."""
    return isinstance(module, nn.ReLU)


def drawn_parameters(
    network: nn.Module, generator: torch.Generator, deviation: Callable[[Tensor], float]
) -> dict[str, Tensor]:
    """Gaussian weights for all convolutions and linear layers, biases zero, batch norms one and zero, by name.

    Args:
        network: only the shapes of its parameters matter.
        generator: on the CPU.
        deviation: the standard deviation for a weight of this shape.
    """
    drawn = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            for key, parameter in module.named_parameters(prefix=name, recurse=False):
                if parameter is module.weight and not isinstance(module, nn.BatchNorm2d):
                    normal = torch.randn(parameter.shape, generator=generator)
                    drawn[key] = (normal * deviation(parameter)).to(parameter)
                else:
                    drawn[key] = torch.full_like(parameter, float(parameter is module.weight), requires_grad=False)
    return drawn


def normal_images(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal images of the shape of other images."""
    return torch.randn(like.shape, generator=generator).to(like)
