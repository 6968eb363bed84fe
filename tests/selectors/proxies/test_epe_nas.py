"""epe_nas: hand-worked correlations within classes, both published forms, and where it is undefined."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.epe_nas import epe_nas
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

ARCHITECTURE = digits201.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
)
SAME, NONE = math.log(1 + 1e-5), math.log(1e-5)
"""The logarithms for correlations of 1 (or -1) and of 0."""


class HalfSquare(nn.Module):
    """Logits x^2 / 2 and zeros, so that the gradient of their sum with respect to an image is the image."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        squares = images.flatten(1) ** 2 / 2
        return torch.cat([squares, squares.new_zeros(len(images), self.classes - squares.shape[1])], 1)


def rows(images: list[list[float]], labels: list[int]) -> LabelledImages:
    return LabelledImages(torch.tensor(images)[:, None, None, :], torch.tensor(labels))


UNCORRELATED = [[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]
OPPOSITE = [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]
THREE = [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, -2.0, 1.0]]
"""The third is uncorrelated with both others, which are opposite."""


def test_few_classes_by_hand() -> None:
    network = HalfSquare(100)
    uncorrelated, opposite = epe_nas(network, rows(UNCORRELATED, [0, 0])), epe_nas(network, rows(OPPOSITE, [0, 0]))
    assert uncorrelated == pytest.approx(abs(2 * SAME + 2 * NONE))
    assert opposite == pytest.approx(4 * SAME)
    # The direction: images of one class that are told apart score higher.
    assert uncorrelated > opposite
    both = epe_nas(network, rows(UNCORRELATED + OPPOSITE, [7, 7, 3, 3]))
    assert both == pytest.approx(uncorrelated + opposite)


def test_many_classes_by_hand() -> None:
    batch = rows([*UNCORRELATED, *OPPOSITE, *THREE], [7, 7, 3, 3, 5, 5, 5])
    seven, three, five = (2 * SAME + 2 * NONE) / 2, 4 * SAME / 2, (5 * SAME + 4 * NONE) / 3
    expected = 2 * (abs(seven - three) + abs(seven - five) + abs(three - five)) / 3
    assert epe_nas(HalfSquare(101), batch) == pytest.approx(expected)
    assert epe_nas(HalfSquare(100), batch) != pytest.approx(expected)


def test_a_single_image_of_a_class_is_left_out() -> None:
    alone = rows([*UNCORRELATED, [0.0, 5.0, 1.0]], [0, 0, 1])
    for classes in (100, 101):
        network = HalfSquare(classes)
        assert epe_nas(network, alone) == epe_nas(network, rows(UNCORRELATED, [0, 0]))


def test_the_published_computation(few_digits: LabelledImages) -> None:
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    copy, images = deepcopy(network).train(), few_digits.images.clone().requires_grad_()
    logits = copy(images)
    logits.backward(torch.ones_like(logits))
    assert images.grad is not None
    gradients, labels = images.grad.flatten(1).double().numpy(), few_digits.labels.numpy()
    expected = 0.0
    for label in set(labels.tolist()):
        correlations = np.corrcoef(gradients[labels == label])
        expected += abs(np.log(np.abs(correlations) + 1e-5).sum())
    assert epe_nas(network.eval(), few_digits) == pytest.approx(expected, rel=1e-4)


def test_undefined_scores_are_nan(few_digits: LabelledImages) -> None:
    for classes in (100, 101):
        assert math.isnan(epe_nas(HalfSquare(classes), rows(OPPOSITE, [0, 1])))
        assert math.isnan(epe_nas(HalfSquare(classes), rows([*OPPOSITE, [1.0, 1.0, 1.0]], [0, 0, 0])))
    assert math.isnan(epe_nas(digits201.network(digits201.at(0), 1, 10, seed=0), few_digits))


def test_the_promises(few_digits: LabelledImages) -> None:
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    check_proxy(epe_nas, network, digits201.supernet(1, 10, seed=0), weights, few_digits)
