"""zico: hand-worked ratios, the halves of a batch, the published formula, and what is left out."""

import math
from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.selectors.proxies.zico import halves, zico
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

ARCHITECTURE = digits201.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
)


def zero_classifier(pixels: int = 1) -> nn.Sequential:
    """Both classes have probability 1/2, so dL/dw is x / 2 or -x / 2."""
    linear = nn.Linear(pixels, 2, bias=False)
    nn.init.zeros_(linear.weight)
    return nn.Sequential(nn.Flatten(), linear)


def rows(images: list[list[float]], labels: list[int]) -> LabelledImages:
    return LabelledImages(torch.tensor(images)[:, None, None, :], torch.tensor(labels))


@pytest.mark.parametrize("labels", [[0, 0], [0, 1]])
def test_two_images_by_hand(labels: list[int]) -> None:
    # |g| is 1/2 in one half and 3/2 in the other, for both weights: mean 1, deviation 1/2, two ratios of 2. That the
    # gradient changes its sign with the label does not matter; with the deviation of g the second score were log 2.
    assert zico(zero_classifier(), rows([[1.0], [3.0]], labels)) == pytest.approx(math.log(4))


def test_steadier_gradients_score_higher() -> None:
    assert zico(zero_classifier(), rows([[2.0], [3.0]], [0, 0])) == pytest.approx(math.log(10))


def test_a_weight_with_equal_gradients_is_left_out() -> None:
    # The second pixel is equal in both halves, the third one is zero.
    batch = rows([[1.0, 5.0, 0.0], [3.0, 5.0, 0.0]], [0, 0])
    assert zico(zero_classifier(3), batch) == pytest.approx(math.log(4))
    assert zico(zero_classifier(), rows([[2.0], [2.0]], [0, 0])) == 0


def test_one_image_gives_nan() -> None:
    assert math.isnan(zico(zero_classifier(), rows([[1.0]], [0])))


def test_the_halves_do_not_depend_on_the_order(few_digits: LabelledImages) -> None:
    batch = few_digits[:31]
    first, second = halves(batch)
    assert (len(first), len(second)) == (16, 15)
    together = torch.cat([first.images, second.images]).flatten(1)
    assert sorted(together.tolist()) == sorted(batch.images.flatten(1).tolist())
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        again = halves(batch[torch.randperm(31, generator=generator)])
        assert torch.equal(again[0].images, first.images)
        assert torch.equal(again[1].images, second.images)
        assert torch.equal(again[1].labels, second.labels)


def test_the_halves_have_nearly_the_same_classes(few_digits: LabelledImages) -> None:
    first, second = (Counter(half.labels.tolist()) for half in halves(few_digits))
    assert all(abs(first[label] - second[label]) <= 1 for label in first | second)


def test_a_rounding_error_does_not_move_images(few_digits: LabelledImages) -> None:
    first, _ = halves(few_digits)
    again, _ = halves(LabelledImages(few_digits.images * (1 + 1e-5), few_digits.labels))
    assert torch.allclose(again.images, first.images, rtol=1e-4)


def test_the_equation_of_the_paper(few_digits: LabelledImages) -> None:
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    gradients: list[list[np.ndarray]] = []
    for half in halves(few_digits):
        copy = deepcopy(network).train()
        functional.cross_entropy(copy(half.images), half.labels).backward()
        layers = [module for module in copy.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        gradients.append(
            [np.abs(layer.weight.grad.double().numpy()) for layer in layers if layer.weight.grad is not None]
        )
    expected = 0.0
    for one, other in zip(*gradients, strict=True):
        kept = one != other
        expected += math.log(np.sum((one + other)[kept] / np.abs(one - other)[kept]))
    assert len(gradients[0]) == 13
    # The ratios amplify the last digits of the gradients.
    assert zico(network.eval(), few_digits) == pytest.approx(expected, rel=1e-4)


def test_an_architecture_that_no_image_passes_scores_zero(few_digits: LabelledImages) -> None:
    assert zico(digits201.network(digits201.at(0), 1, 10, seed=0), few_digits) == 0


class Aside(nn.Module):
    """A convolution that the output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)

    def forward(self, images: Tensor) -> Tensor:
        self.convolution(images)
        return self.norm(images).flatten(1)


def test_a_network_without_a_layer_cannot_be_scored(few_digits: LabelledImages) -> None:
    with pytest.raises(UnscorableNetwork):
        zico(Aside(), few_digits)


def test_the_promises(few_digits: LabelledImages) -> None:
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    check_proxy(zico, network, digits201.supernet(1, 10, seed=0), weights, few_digits)
