"""jacob_cov: hand-worked eigenvalues, the published computation, and where it is undefined."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.jacob_cov import correlation, input_gradients, jacob_cov
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

ARCHITECTURE = digits201.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
)
K = 1e-5


class HalfSquare(nn.Module):
    """Logits x^2 / 2, so that the gradient of their sum with respect to an image is the image."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) ** 2 / 2


def rows(*images: list[float]) -> LabelledImages:
    return LabelledImages(torch.tensor(images)[:, None, None, :], torch.zeros(len(images), dtype=torch.long))


def score(*eigenvalues: float) -> float:
    return -sum(math.log(value + K) + 1 / (value + K) for value in eigenvalues)


def test_uncorrelated_opposite_and_equal_images_by_hand() -> None:
    uncorrelated = jacob_cov(HalfSquare(), rows([1.0, -1.0, 0.0], [1.0, 1.0, -2.0]))
    opposite = jacob_cov(HalfSquare(), rows([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]))
    equal = jacob_cov(HalfSquare(), rows([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]))
    assert uncorrelated == pytest.approx(score(1, 1))
    assert opposite == pytest.approx(score(2, 0))
    assert equal == pytest.approx(score(2, 0))
    # The direction: images that are told apart score higher.
    assert uncorrelated > opposite


def test_the_published_computation(few_digits: LabelledImages) -> None:
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    copy, images = deepcopy(network).train(), few_digits.images.clone().requires_grad_()
    logits = copy(images)
    logits.backward(torch.ones_like(logits))
    assert images.grad is not None
    values = np.linalg.eig(np.corrcoef(images.grad.flatten(1).double().numpy()))[0].real
    expected = -np.sum(np.log(values + K) + 1 / (values + K))
    assert jacob_cov(network.eval(), few_digits) == pytest.approx(expected, rel=1e-4)


def test_the_correlation_is_numpys() -> None:
    values = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    assert np.allclose(correlation(values).numpy(), np.corrcoef(values.double().numpy()))


def test_a_gradient_that_is_the_same_at_all_pixels_gives_nan() -> None:
    assert math.isnan(jacob_cov(HalfSquare(), rows([1.0, 2.0, 3.0], [0.1, 0.1, 0.1])))
    # Constant up to rounding: a correlation would be one of noise.
    assert math.isnan(jacob_cov(HalfSquare(), rows([1.0, 2.0, 3.0], [1.0, 1.0, 1.0 + 2**-23])))
    assert math.isfinite(jacob_cov(HalfSquare(), rows([1.0, 2.0, 3.0], [1.0, 1.0, 1.001])))


def test_an_output_that_does_not_depend_on_the_images_gives_nan(few_digits: LabelledImages) -> None:
    network = digits201.network(digits201.at(0), 1, 10, seed=0)
    assert math.isnan(jacob_cov(network, few_digits))
    network.requires_grad_(False)
    assert math.isnan(jacob_cov(network, few_digits))


def test_the_number_of_classes_is_the_number_of_logits(few_digits: LabelledImages) -> None:
    gradients, classes = input_gradients(digits201.network(ARCHITECTURE, 1, 17, seed=0), few_digits.images)
    assert gradients.shape == (32, 144)
    assert classes == 17


def test_the_promises(few_digits: LabelledImages) -> None:
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    check_proxy(jacob_cov, network, digits201.supernet(1, 10, seed=0), weights, few_digits)
