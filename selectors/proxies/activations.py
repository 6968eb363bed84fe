"""Inputs and outputs of layers in one pass, and random parameters and images to run a network with."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from opselect.selectors.proxies.interface import train_mode_logits
from opselect.spaces.inspection import hooks

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
        network: A network of images; it is not changed.
        images: One batch, `[batch, channels, height, width]`.
        chosen: Whether a module is measured.
        measure: The result of a module, its input and its output.
        parameters: Used in place of the network's own, by name.
    """
    results: list[Result] = []

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        results.append(measure(module, inputs[0], output))

    with hooks((module, note) for module in network.modules() if chosen(module)), torch.no_grad():
        train_mode_logits(network, images, parameters)
    return results


def is_relu(module: nn.Module) -> bool:
    """Whether a module is a ReLU."""
    return isinstance(module, nn.ReLU)


def drawn_parameters(
    network: nn.Module, generator: torch.Generator, deviation: Callable[[Tensor], float]
) -> dict[str, Tensor]:
    """Gaussian weights for all convolutions and linear layers, biases zero, batch norms one and zero, by name.

    Args:
        network: A network of which only the shapes of the parameters matter.
        generator: Source of the random numbers, on the CPU.
        deviation: The standard deviation for a weight of this shape.
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
    """Standard normal images of the shape, type and device of other images."""
    return torch.randn(like.shape, generator=generator).to(like)
