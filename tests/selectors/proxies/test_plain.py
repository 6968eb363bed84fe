"""plain: a hand-worked number, its sign, and that convolutions in front of batch norm cancel."""

import math

import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.interface import UnscorableNetwork, loss_gradients
from opselect.selectors.proxies.plain import plain
from opselect.selectors.proxies.snip import snip
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

ARCHITECTURE = digits201.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
)


def identity_classifier() -> nn.Sequential:
    linear = nn.Linear(2, 2, bias=False)
    linear.weight.data = torch.eye(2)
    return nn.Sequential(nn.Flatten(), linear)


@pytest.mark.parametrize(("label", "expected"), [(0, math.e / (1 + math.e)), (1, -1 / (1 + math.e))])
def test_by_hand(label: int, expected: float) -> None:
    # Logits (1, 2). Label 0: dL/dlogits is (-p1, p1), and the sum of w dL/dw is the sum of logit times dL/dlogit,
    # -p1 + 2 p1 = p1. Label 1: (p0, -p0), hence -p0.
    batch = LabelledImages(torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 2), torch.tensor([label]))
    assert plain(identity_classifier(), batch) == pytest.approx(expected)


def test_a_convolution_in_front_of_batch_norm_adds_nothing(few_digits: LabelledImages) -> None:
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    *convolutions, (weight, gradient) = loss_gradients(network, few_digits)
    assert weight.shape == (10, 32)
    classifier = float((weight * gradient).sum())
    absolute = sum(float((w * g).abs().sum()) for w, g in convolutions)
    assert absolute == pytest.approx(snip(network, few_digits) - float((weight * gradient).abs().sum()))
    # Up to the epsilon of the norms.
    assert abs(plain(network, few_digits) - classifier) < 1e-4 * absolute
    assert abs(classifier) > 1e-2


def test_an_architecture_that_no_image_passes_scores_zero(few_digits: LabelledImages) -> None:
    assert plain(digits201.network(digits201.at(0), 1, 10, seed=0), few_digits) == 0


class Aside(nn.Module):
    """A convolution that the output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, images: Tensor) -> Tensor:
        self.convolution(images)
        return self.norm(images).flatten(1)


def test_a_network_without_a_layer_cannot_be_scored(few_digits: LabelledImages) -> None:
    with pytest.raises(UnscorableNetwork):
        plain(Aside(), few_digits)


def test_the_promises(few_digits: LabelledImages) -> None:
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    check_proxy(plain, network, digits201.supernet(1, 10, seed=0), weights, few_digits)
