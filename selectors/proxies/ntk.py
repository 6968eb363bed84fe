"""NTK: how evenly gradient descent could fit the images of one batch, by the neural tangent kernel."""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call

from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import mode

AT_ONCE = 8
"""Number of backward passes that are vectorised together: more are not faster and need more memory."""


def ntk(network: nn.Module, batch: LabelledImages) -> float:
    """Minus the condition number of the neural tangent kernel of one batch; larger is better (smaller is published).

    With g_i the gradient of the sum of image i's logits with respect to all parameters, the kernel is K_ij = g_i . g_j,
    and its condition number is the largest eigenvalue over the smallest. Train mode: batch norm uses the statistics of
    the batch, through which images influence each other. Labels are not used. Gradients are in single precision, kernel
    and eigenvalues in double. Minus infinity where the kernel is singular up to single precision, as with two equal
    images; NaN where a gradient is not finite.

    The sum of the logits is the published code's reading; the paper does not say how several outputs become one.
    Differs from the published code: the code leaves out the biases, and it initialises the network three times (Kaiming
    normal), while the parameters of the network are used unchanged here.

    Raises:
        UnscorableNetwork: No parameter takes part in the output.

    Source: Chen et al., Neural Architecture Search on ImageNet in Four GPU Hours (TE-NAS), ICLR 2021, section 3.1.
    """
    kernel = tangent_kernel(network, batch.images)
    if not kernel.isfinite().all():
        return math.nan
    eigenvalues = torch.linalg.eigvalsh(kernel)
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    if smallest <= largest * len(eigenvalues) * torch.finfo(torch.float32).eps:
        return -math.inf
    return -largest / smallest


def tangent_kernel(network: nn.Module, images: Tensor) -> Tensor:
    """The neural tangent kernel K of `ntk`, `[batch, batch]` in double precision.

    Args:
        network: Network to differentiate; it is not changed.
        images: Images `[batch, channels, height, width]`.

    Raises:
        UnscorableNetwork: No parameter takes part in the output.

    Example:
        A linear layer with an output and no bias: the gradient of image i is the image itself.

        >>> images = torch.tensor([[1.0, 0.0], [1.0, 2.0]])
        >>> tangent_kernel(nn.Linear(2, 1, bias=False), images)
        tensor([[1., 1.],
                [1., 5.]], dtype=torch.float64)
    """
    parameters = {name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with mode(network, training=True), torch.enable_grad():
        outputs = functional_call(network, parameters | buffers, (images,)).flatten(1).sum(1)
    if not parameters or not outputs.requires_grad:
        raise UnscorableNetwork("ntk: no parameter takes part in the network's output")
    selections = torch.eye(len(outputs), dtype=outputs.dtype, device=outputs.device)
    chunks = [
        torch.autograd.grad(
            outputs,
            list(parameters.values()),
            selections[start : start + AT_ONCE],
            retain_graph=True,
            is_grads_batched=True,
            allow_unused=True,
        )
        for start in range(0, len(outputs), AT_ONCE)
    ]
    kernel = torch.zeros(len(outputs), len(outputs), dtype=torch.float64, device=outputs.device)
    for parameter_chunks in zip(*chunks, strict=True):
        if parameter_chunks[0] is not None:
            gradients = torch.cat(parameter_chunks).flatten(1).double()
            kernel += gradients @ gradients.T
    return kernel
