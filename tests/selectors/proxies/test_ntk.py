"""The condition number of the neural tangent kernel against numbers worked by hand and a slow loop."""

import math

import pytest
import torch
from torch import nn

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.selectors.proxies.ntk import ntk, tangent_kernel
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

ARCHITECTURE = digits201.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
)


def batch_of(images: list[list[float]]) -> LabelledImages:
    """Images of one row of pixels."""
    pixels = torch.tensor(images, dtype=torch.float32)[:, None, None, :]
    return LabelledImages(pixels, torch.zeros(len(images), dtype=torch.long))


ORTHOGONAL = batch_of([[1.0, 0.0], [0.0, 2.0]])


def test_a_linear_layer_by_hand() -> None:
    # The gradient of the summed logits in the row of every class is the image: K = 3 x_i x_j = diag(3, 12).
    without_bias = nn.Sequential(nn.Flatten(), nn.Linear(2, 3, bias=False))
    assert tangent_kernel(without_bias, ORTHOGONAL.images).tolist() == [[3, 0], [0, 12]]
    assert ntk(without_bias, ORTHOGONAL) == pytest.approx(-4)
    # A bias adds 1 a class: 3 [[2, 1], [1, 5]] with eigenvalues 3 (7 +- sqrt(13)) / 2.
    with_bias = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))
    assert ntk(with_bias, ORTHOGONAL) == pytest.approx(-(7 + math.sqrt(13)) / (7 - math.sqrt(13)))


def test_a_singular_kernel_gives_minus_infinity(few_digits: LabelledImages) -> None:
    assert ntk(nn.Sequential(nn.Flatten(), nn.Linear(2, 3)), batch_of([[1.0, 2.0], [1.0, 2.0]])) == -math.inf
    twins = few_digits[torch.tensor([0, 1, 2, 3, 4, 5, 6, 0])]
    assert ntk(digits201.network(ARCHITECTURE, 1, 10, seed=0), twins) == -math.inf
    # Nothing but the bias of the classifier is reached: the kernel has rank one.
    dead = digits201.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    assert ntk(digits201.network(dead, 1, 10, seed=0), few_digits[:8]) == -math.inf


def test_gradients_that_are_not_finite_give_nan() -> None:
    assert math.isnan(ntk(nn.Sequential(nn.Flatten(), nn.Linear(2, 3)), batch_of([[1.0, math.inf], [0.0, 1.0]])))


def test_a_network_without_parameters_cannot_be_scored() -> None:
    with pytest.raises(UnscorableNetwork, match="no parameter"):
        ntk(nn.Sequential(nn.ReLU(), nn.Flatten()), ORTHOGONAL)


def test_one_backward_pass_an_image_gives_the_same_kernel(few_digits: LabelledImages) -> None:
    images = few_digits.images[:11].double()
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    kernel = tangent_kernel(network, few_digits.images[:11])
    network.double().train()
    rows = []
    for number in range(len(images)):
        network.zero_grad()
        network(images)[number].sum().backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        rows.append(torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]))
    expected = torch.stack(rows) @ torch.stack(rows).T
    assert torch.allclose(kernel, expected, rtol=1e-4)
    eigenvalues = torch.linalg.eigvalsh(expected)
    again = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    assert ntk(again, few_digits[:11]) == pytest.approx(-float(eigenvalues[-1] / eigenvalues[0]), rel=1e-4)


def test_contract(few_digits: LabelledImages) -> None:
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    check_proxy(
        ntk,
        digits201.network(ARCHITECTURE, 1, 10, seed=0),
        digits201.supernet(1, 10, seed=0),
        weights,
        few_digits[:8],
    )
