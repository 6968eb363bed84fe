"""Looking into networks without changing them: modes, the modules that a pass reaches, parameters, multiply-adds."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def mode(network: nn.Module, training: bool) -> Iterator[None]:
    """Switch a network to train or eval mode for the block; every module gets its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.train(training)
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def reached_leaves(network: nn.Module, images: Tensor) -> list[tuple[nn.Module, Tensor]]:
    """(module, output) of every module without children that one forward pass in eval mode reaches, in order."""
    reached: list[tuple[nn.Module, Tensor]] = []
    hooks = [
        module.register_forward_hook(lambda module, _, output: reached.append((module, output)))
        for module in network.modules()
        if not any(True for _ in module.children())
    ]
    try:
        with mode(network, training=False), torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return reached


def parameter_count(network: nn.Module, images: Tensor) -> int:
    """Parameters of all modules that a pass over the images reaches; one that is used several times counts once."""
    reached = {id(module): module for module, _ in reached_leaves(network, images)}
    return sum(parameter.numel() for module in reached.values() for parameter in module.parameters())


def multiply_adds(network: nn.Module, images: Tensor) -> int:
    """Multiply-adds of convolutions and linear layers for one image, what NAS-Bench-201 calls FLOPs (in units of one).

    A bias counts as one per output, so the numbers equal the official ones.

    Args:
        network: left as found.
        images: only their shape `[batch, channels, height, width]` matters.
    """
    total = 0
    for module, output in reached_leaves(network, images[:1]):
        if isinstance(module, nn.Conv2d | nn.Linear):
            per_output = module.weight[0].numel() + (module.bias is not None)
            total += per_output * output[0].numel()
    return total
