"""The neural tangent kernel: how evenly gradient descent could fit the images of one batch."""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call

from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import mode

AT_ONCE = 8
"""Backward passes that are vectorised together: more are not faster, and memory grows with them."""


def ntk(network: nn.Module, batch: LabelledImages) -> float:
    """Minus the condition number of the neural tangent kernel of one batch; larger is better (smaller is published).

    With g_i the gradient of the sum of image i's logits in all parameters, the kernel is K_ij = g_i . g_j, and its
    condition number the largest eigenvalue over the smallest. Train mode: batch norm uses the statistics of the batch,
    through which images influence each other. Labels are not used. Gradients are in single precision, kernel and
    eigenvalues in double. Minus infinity where the kernel is singular as far as single precision can tell, as with two
    equal images; NaN where a gradient is not finite.

    The sum of the logits is the published code's reading; the paper does not say how several outputs become one.
    Differs from the published code: it leaves out the biases; and it draws the network three times anew (Kaiming
    normal), where the network is taken as it is here.

    Raises:
        UnscorableNetwork: no parameter takes part in the output.

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
    """The matrix K of `ntk`, in double precision.

    Raises:
        UnscorableNetwork: no parameter takes part in the output.
    """
    parameters = {name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with mode(network, training=True), torch.enable_grad():
        outputs = functional_call(network, parameters | buffers, (images,)).flatten(1).sum(1)
    if not parameters or not outputs.requires_grad:
        raise UnscorableNetwork("ntk: no parameter takes part in the network's output")
    selections = torch.eye(len(outputs), dtype=outputs.dtype, device=outputs.device)
    parts = [
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
    for of_parameter in zip(*parts, strict=True):
        if of_parameter[0] is not None:
            gradients = torch.cat(of_parameter).flatten(1).double()
            kernel += gradients @ gradients.T
    return kernel
