"""What every proxy shares: the interface, and functions that run a network and leave it exactly as it was."""

from collections.abc import Callable, Mapping, Sequence
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
from opselect.spaces.space import HasEvaluationForm, Weights


@runtime_checkable
class Proxy(Protocol):
    """How promising a network is, without training it. A larger value is better, whatever the published form says.

    A proxy works on a stand-alone network and on a supernet with given weights (`Weighted`) alike. It leaves
    parameters, buffers, gradients, hooks, modes and the global random state as they were.

    Example:
        >>> from opselect.selectors.proxies.params import params
        >>> isinstance(params, Proxy)
        True
    """

    def __call__(self, network: nn.Module, batch: LabelledImages) -> float:
        """The score of the network on one batch; infinite or NaN where it is undefined.

        Args:
            network: A network of images.
            batch: Images and labels.

        Raises:
            UnscorableNetwork: The network has nothing that the proxy measures.
        """
        ...


@runtime_checkable
class BatchedProxy(Proxy, Protocol):
    """A proxy that scores a supernet under several weights faster together than one after the other."""

    def score_many(self, supernet: nn.Module, weights: Sequence[Weights], batch: LabelledImages) -> list[float]:
        """One score for each of the weights, equal to that of `Weighted(supernet, each)` but for rounding."""
        ...


@dataclass(frozen=True)
class Combination:
    """Several proxies as one score, which ranks the members of a group and means nothing for one network alone.

    Attributes:
        proxies: Names of registered proxies.
        combine: Maps their scores `[members, proxies]` to one score per member, larger is better; a member with a score
            that is NaN or infinite gets NaN and does not take part in the ranks of the others.

    Example:
        >>> both = Combination(("nwot", "params"), lambda scores: scores.sum(axis=1))
        >>> both.combine(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
        [3.0, 7.0]
    """

    proxies: tuple[str, ...]
    combine: Callable[[Float[np.ndarray, "members proxies"]], Float[np.ndarray, " members"]]


class UnscorableNetwork(ValueError):
    """The network has nothing that the proxy measures."""


class Weighted(nn.Module):
    """A supernet under fixed weights: an ordinary network of images.

    Args:
        supernet: A `Supernet`.
        weights: `[edges, operations]`.
    """

    def __init__(self, supernet: nn.Module, weights: Weights) -> None:
        super().__init__()
        self.supernet = supernet
        self.weights = weights

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[batch, classes]`."""
        logits: Tensor = self.supernet(images, self.weights)
        return logits


def score_many(proxy: Proxy, supernet: nn.Module, weights: Sequence[Weights], batch: LabelledImages) -> list[float]:
    """The scores of a supernet under each of several weights, batched where the proxy is a `BatchedProxy`.

    Args:
        proxy: Any proxy.
        supernet: A `Supernet`.
        weights: Each `[edges, operations]`.
        batch: Images and labels.
    """
    if isinstance(proxy, BatchedProxy):
        return proxy.score_many(supernet, weights, batch)
    return [proxy(Weighted(supernet, each), batch) for each in weights]


def evaluation_form(network: nn.Module, batch_size: int, weights: Sequence[Weights] | None = None) -> nn.Module:
    """The fastest form in which a network computes its evaluation mode: what it offers, or itself.

    Rounding differs, so a unit whose input is zero but for rounding may be on in one form and off in the other.

    Args:
        network: A network of images, or a supernet.
        batch_size: Number of images per variant.
        weights: Of a supernet, one matrix per variant, at most `most_together`.
    """
    if isinstance(network, Weighted):
        weights, network = [network.weights], network.supernet
    form = network.evaluation_form(weights, batch_size) if isinstance(network, HasEvaluationForm) else None
    if form is not None:
        return form
    if weights is None:
        return network
    (single,) = weights
    return Weighted(network, single)


def most_together(supernet: nn.Module, batch: LabelledImages) -> int:
    """The number of variants that the evaluation form of a supernet holds at most; one where it offers no form."""
    return supernet.most_together(batch.images) if isinstance(supernet, HasEvaluationForm) else 1


def train_mode_logits(network: nn.Module, images: Tensor, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
    """The logits in train mode, in which batch norms use the statistics of the batch; the network is not changed.

    Args:
        network: A network of images; copies of its buffers take the updates of train mode.
        images: One batch, `[batch, channels, height, width]`.
        parameters: Used in place of the network's own, by name.

    Example:
        >>> network = nn.Sequential(nn.BatchNorm1d(1))
        >>> train_mode_logits(network, torch.tensor([[1.0], [3.0]])).round(decimals=3).flatten().tolist()
        [-1.0, 1.0]
        >>> network[0].running_mean.tolist()
        [0.0]
    """
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with mode(network, training=True):
        logits: Tensor = functional_call(network, {**buffers, **(parameters or {})}, (images,))
    return logits


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

    Raises:
        UnscorableNetwork: The cross entropy depends on no convolution or linear layer.
    """
    weights = layer_weights(network)
    logits = train_mode_logits(network, batch.images, weights)
    return weight_gradients(functional.cross_entropy(logits, batch.labels), weights)


def weight_gradients(loss: Tensor, weights: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(weight, gradient) of every weight that the loss depends on.

    Args:
        loss: A scalar.
        weights: Weights by name, which the loss was computed with.

    Raises:
        UnscorableNetwork: It depends on none.
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
