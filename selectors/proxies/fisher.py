"""Fisher: how much the loss would change if single channels were removed."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from opselect.selectors.proxies.interface import UnscorableNetwork, layer_weights
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import mode
from opselect.spaces.registry import expected_failure


@expected_failure(
    "larger is better",
    "larger is better as published, but the best cells of digits201 have smaller values than the worst, with this sign",
)
def fisher(network: nn.Module, batch: LabelledImages) -> float:
    """Sum over channels of the mean over images of (sum over positions of a dL/da)^2 / 2; larger is better.

    a are the outputs of convolutions and linear layers (before batch norm), L the cross entropy of the batch. One batch
    with its labels, train mode. A layer that is used several times counts every time; operations with weight zero do
    not count. L is a mean over the images, as in the published codes, so the score shrinks with the square of the batch
    size: only scores of equally large batches are comparable.

    Differs from the published code of Zero-Cost Proxies: it repeats the value of a channel for every weight of that
    channel before it sums, which weights a channel by its number of weights; the papers have no such factor. BlockSwap
    reads the outputs of blocks; here, as in Zero-Cost Proxies, every layer is read, since a cell has no blocks.

    Raises:
        UnscorableNetwork: The loss depends on no convolution or linear layer.

    Sources: Theis et al., arXiv 1801.05787, section 2 (Fisher pruning); Turner et al., BlockSwap, ICLR 2020 (Fisher
    potential); Abdelfattah et al., Zero-Cost Proxies, ICLR 2021, section 3.2.
    """
    outputs: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _, __, output: outputs.append(output))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    # Copies of the weights make the outputs differentiable even if the network's parameters are frozen.
    state = layer_weights(network) | {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        with mode(network, training=True):
            logits = functional_call(network, state, (batch.images,))
    finally:
        for hook in hooks:
            hook.remove()
    loss = functional.cross_entropy(logits, batch.labels)
    measurable = bool(outputs) and loss.requires_grad
    gradients = torch.autograd.grad(loss, outputs, allow_unused=True) if measurable else ()
    # The gradients are none at all, or one per output.
    terms = [_saliency(a, gradient) for a, gradient in zip(outputs, gradients, strict=False) if gradient is not None]
    if not terms:
        raise UnscorableNetwork("fisher: no convolution or linear layer takes part in the network's output")
    return float(sum(terms))


def _saliency(output: Tensor, gradient: Tensor) -> Tensor:
    """The sum over the channels of a layer, from its output and the output's gradient, `[batch, channels, ...]`."""
    products = (output.detach() * gradient).flatten(2).sum(2) if output.ndim > 2 else output.detach() * gradient
    return products.double().square().mean(0).sum() / 2
