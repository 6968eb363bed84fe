"""GraSP: how much the size of the gradient depends on the weights."""

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from opselect.selectors.proxies.interface import UnscorableNetwork, layer_weights
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import mode


def grasp(network: nn.Module, batch: LabelledImages) -> float:
    """Sum of -w (H g) over the weights of convolutions and linear layers; larger is better.

    g is the gradient of the cross entropy and H its matrix of second derivatives, both with respect to these weights.
    One batch with its labels for both derivatives, train mode. To first order, the score is the change of half the
    squared norm of g if all weights shrank by the same factor. A convolution followed by batch norm adds the squared
    norm of its own gradient, which is inversely proportional to the size of its weights. The classifier often adds a
    negative number, so the score can have either sign.

    Direction: GraSP prunes the weights whose -w (H g) is largest. Zero-Cost Proxies uses the same expression, with the
    minus, as a score of which more is better; its code remarks that accuracy was negatively correlated with the sum
    without the minus.

    Differs from GraSP's own code: it divides the logits by 200 and takes equally many images of every class. The code
    of Zero-Cost Proxies does neither by default.

    Raises:
        UnscorableNetwork: The loss depends on no convolution or linear layer.

    Sources: Wang et al., GraSP, ICLR 2020, section 4; Abdelfattah et al., Zero-Cost Proxies, ICLR 2021, section 3.2.
    """
    weights = layer_weights(network)
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with mode(network, training=True):
        logits = functional_call(network, weights | buffers, (batch.images,))
    loss = functional.cross_entropy(logits, batch.labels)
    measurable = bool(weights) and loss.requires_grad
    gradients = (
        torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True) if measurable else ()
    )
    # The gradients are none at all, or one per weight.
    pairs = [(w, g) for w, g in zip(weights.values(), gradients, strict=False) if g is not None]
    if not pairs:
        raise UnscorableNetwork("grasp: no convolution or linear layer takes part in the network's output")
    # With one factor held fixed, the derivative of g·g is H g.
    product = torch.stack([(gradient.detach() * gradient).sum() for _, gradient in pairs]).sum()
    curvatures = torch.autograd.grad(product, [weight for weight, _ in pairs], materialize_grads=True)
    terms = [
        -(weight.detach().double() * curvature.double()).sum()
        for (weight, _), curvature in zip(pairs, curvatures, strict=True)
    ]
    return float(sum(terms))
