"""What every proxy shares: the interface, and ways to look into a network that leave it exactly as it was."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import mode
from opselect.spaces.space import Weights


@runtime_checkable
class Proxy(Protocol):
    """How promising a network is, without training it. A larger value is better, whatever the published form says.

    A proxy works on a stand-alone network and on a supernet with given weights (`Weighted`) alike. It leaves
    parameters, buffers, gradients, hooks, modes and the global random state as they were.
    """

    def __call__(self, network: nn.Module, batch: LabelledImages) -> float:
        """The score of the network on one batch; infinite or NaN where it is undefined."""
        ...


@runtime_checkable
class BatchedProxy(Proxy, Protocol):
    """A proxy that scores a supernet under several weights faster together than one after the other."""

    def score_many(self, supernet: nn.Module, weights: Sequence[Weights], batch: LabelledImages) -> list[float]:
        """One score for each of the weights: what the proxy says of `Weighted(supernet, each)`, but for rounding."""
        ...


@dataclass(frozen=True)
class Combination:
    """Several proxies as one score, which ranks the members of a group and means nothing for one network alone.

    Attributes:
        proxies: names of the proxies, registered ones.
        combine: their scores `[members, proxies]` to one score a member, larger is better; a member with a score that
            is NaN or infinite gets NaN and does not take part in the ranks of the others.
    """

    proxies: tuple[str, ...]
    combine: Callable[[Float[np.ndarray, "members proxies"]], Float[np.ndarray, " members"]]


class UnscorableNetwork(ValueError):
    """The network has nothing that the proxy could measure."""


class Weighted(nn.Module):
    """A supernet under fixed weights: an ordinary network of images."""

    def __init__(self, supernet: nn.Module, weights: Weights) -> None:
        super().__init__()
        self.supernet = supernet
        self.weights = weights

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[batch, classes]`."""
        logits: Tensor = self.supernet(images, self.weights)
        return logits


def score_many(proxy: Proxy, supernet: nn.Module, weights: Sequence[Weights], batch: LabelledImages) -> list[float]:
    """The proxy of a supernet under each of several weights, together where it knows how."""
    if isinstance(proxy, BatchedProxy):
        return proxy.score_many(supernet, weights, batch)
    return [proxy(Weighted(supernet, each), batch) for each in weights]


def layer_weights(network: nn.Module) -> dict[str, Tensor]:
    """Copies of the weights of all convolutions and linear layers by name, ready to be differentiated."""
    return {
        f"{name}.weight": module.weight.detach().clone().requires_grad_()
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


def loss_gradients(network: nn.Module, batch: LabelledImages) -> list[tuple[Tensor, Tensor]]:
    """(weight, gradient) of every convolution and linear layer that the cross entropy of one batch reaches.

    In train mode, as the published proxies measure: batch norm uses the batch's statistics. Layers of operations that
    are not computed are left out.
    """
    weights = layer_weights(network)
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with mode(network, training=True):
        logits = functional_call(network, weights | buffers, (batch.images,))
        return weight_gradients(functional.cross_entropy(logits, batch.labels), weights)


def weight_gradients(loss: Tensor, weights: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(weight, gradient) of every weight that the loss depends on.

    Raises:
        UnscorableNetwork: it depends on none.
    """
    pairs = []
    # torch itself refuses a loss that depends on nothing.
    if weights and loss.requires_grad:
        found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        pairs = [
            (weight.detach(), gradient)
            for weight, gradient in zip(weights.values(), found, strict=True)
            if gradient is not None
        ]
    if not pairs:
        raise UnscorableNetwork("no convolution or linear layer takes part in the network's output")
    return pairs
