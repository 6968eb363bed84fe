"""Jacobian covariance: how differently an untrained network reacts to changes of the images of one batch."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import mode

STABILIZER = 1e-5
"""The constant k of the published score."""
RESOLUTION = 1e-6
"""A gradient whose deviation from its mean is at most this share of its norm is constant up to single precision."""


def jacob_cov(network: nn.Module, batch: LabelledImages) -> float:
    """Minus the sum of log(v + k) + 1 / (v + k) over the eigenvalues v of a correlation matrix; larger is better.

    The matrix holds the correlations between images of their input gradients: of the sum of all logits with respect to
    the pixels. k is 1e-5. The score is largest where the gradients are uncorrelated. Train mode, as in the published
    codes, so the gradient of an image includes its effect on the batch statistics. Labels are not used. The score
    depends on the size of the batch.

    NaN where a correlation is undefined, because the gradient of an image is the same at all pixels: it is zero, for
    example, if the image does not reach the output.

    Differs from the published code: eigenvalues of the symmetric matrix in double precision. The code's general solver
    in single precision can give small negative or complex ones, which turn the score into NaN or noise.

    Sources: Mellor et al., Neural Architecture Search without Training, arXiv 2006.04647, version 1, section 3;
    Abdelfattah et al., Zero-Cost Proxies, ICLR 2021, section 3.2.
    """
    gradients, _ = input_gradients(network, batch.images)
    correlations = correlation(gradients)
    if not correlations.isfinite().all():
        return math.nan
    eigenvalues = torch.linalg.eigvalsh(correlations) + STABILIZER
    return -float((eigenvalues.log() + 1 / eigenvalues).sum())


def input_gradients(network: nn.Module, images: Tensor) -> tuple[Float[Tensor, "batch pixels"], int]:
    """Differentiate the sum of all logits with respect to the pixels of every image, in train mode.

    Args:
        network: Network to differentiate; it is not changed.
        images: Images `[batch, channels, height, width]`.

    Returns:
        The gradients, one flat row per image, and the number of classes.
    """
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    images = images.detach().clone().requires_grad_()
    with mode(network, training=True):
        logits = functional_call(network, buffers, (images,))
    # The product keeps images that do not reach the output differentiable; its gradient is zero.
    (gradients,) = torch.autograd.grad(logits.sum() + 0 * images.sum(), images)
    return gradients.flatten(1), logits.shape[1]


def correlation(rows: Float[Tensor, "batch pixels"]) -> Float[Tensor, "batch batch"]:
    """Pearson's correlation of all pairs of rows, in double precision; NaN where a row is constant.

    Example:
        >>> correlation(torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])).round(decimals=6)
        tensor([[ 1., -1.],
                [-1.,  1.]], dtype=torch.float64)
    """
    rows = rows.double()
    centred = rows - rows.mean(1, keepdim=True)
    sizes = centred.norm(dim=1, keepdim=True)
    constant = sizes <= RESOLUTION * rows.norm(dim=1, keepdim=True)
    normalized = centred / sizes.masked_fill(constant, math.nan)
    return normalized @ normalized.T
