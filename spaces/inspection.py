"""Looking into networks without changing them: modes, hooks, the modules that a pass reaches, their sizes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Hook: TypeAlias = Callable[..., Any]
"""What a module calls: `(module, inputs)` before its forward pass, `(module, inputs, output)` after it."""


@contextmanager
def mode(network: nn.Module, training: bool) -> Iterator[None]:
    """Switch a network to train or eval mode for the block; every module gets its own mode back.

    Args:
        network: Any module.
        training: True for train mode, False for eval mode.

    Example:
        >>> network = nn.Sequential(nn.ReLU())
        >>> with mode(network, training=False):
        ...     network.training
        False
        >>> network.training
        True
    """
    modes = [(module, module.training) for module in network.modules()]
    network.train(training)
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


@contextmanager
def hooks(after: Iterable[tuple[nn.Module, Hook]], before: Iterable[tuple[nn.Module, Hook]] = ()) -> Iterator[None]:
    """Register hooks on modules for the block.

    Args:
        after: Modules with what is called after their forward pass.
        before: Modules with what is called before it.
    """
    handles = [module.register_forward_pre_hook(hook) for module, hook in before]
    handles += [module.register_forward_hook(hook) for module, hook in after]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def reached_leaves(network: nn.Module, images: Tensor) -> list[tuple[nn.Module, Tensor]]:
    """The modules without children that one forward pass in eval mode reaches.

    Args:
        network: Any network of images; it is not changed.
        images: One batch, `[batch, channels, height, width]`.

    Returns:
        Each module and its output, in the order of the calls.
    """
    reached: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, _: object, output: Tensor) -> None:
        reached.append((module, output))

    leaves = [module for module in network.modules() if not any(True for _ in module.children())]
    with hooks((leaf, note) for leaf in leaves), mode(network, training=False), torch.no_grad():
        network(images)
    return reached


def parameter_count(network: nn.Module, images: Tensor) -> int:
    """Number of parameters of all modules that a pass over the images reaches; each module counts once.

    Args:
        network: Any network of images; it is not changed.
        images: One batch, `[batch, channels, height, width]`.
    """
    reached = {id(module): module for module, _ in reached_leaves(network, images)}
    return sum(parameter.numel() for module in reached.values() for parameter in module.parameters())


def multiply_adds(network: nn.Module, images: Tensor) -> int:
    """Multiply-adds of convolutions and linear layers for one image, what NAS-Bench-201 calls FLOPs (in units of one).

    A bias counts as one per output, so the numbers equal the official ones.

    Args:
        network: Any network of images; it is not changed.
        images: A batch of which only the shape `[batch, channels, height, width]` matters.

    Example:
        A 3x3 convolution from 1 to 2 channels on 4x4 pixels: 9 products for each of 2 * 16 outputs.

        >>> multiply_adds(nn.Conv2d(1, 2, 3, padding=1, bias=False), torch.zeros(1, 1, 4, 4))
        288
    """
    total = 0
    for module, output in reached_leaves(network, images[:1]):
        if isinstance(module, nn.Conv2d | nn.Linear):
            per_output = module.weight[0].numel() + (module.bias is not None)
            total += per_output * output[0].numel()
    return total
