"""grasp: a hand-worked number, finite differences, and the sign of layers in front of batch norm."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.grasp import grasp
from opselect.selectors.proxies.interface import UnscorableNetwork, loss_gradients
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

ARCHITECTURE = digits201.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
)


@pytest.mark.parametrize("first", [1.0, -1.0])
def test_by_hand(first: float) -> None:
    linear = nn.Linear(1, 2, bias=False)
    linear.weight.data = torch.tensor([[first], [0.0]])
    batch = LabelledImages(torch.full((1, 1, 1, 1), 2.0), torch.tensor([0]))
    # Logits (2a, 0), label 0, x = 2: g = p1 x (-1, 1), H = p0 p1 x^2 ((1, -1), (-1, 1)), H g = 2 p0 p1^2 x^3 (-1, 1),
    # so that -w (H g) = 2 p0 p1^2 x^3 a.
    p1 = 1 / (1 + math.exp(2 * first))
    assert grasp(nn.Sequential(nn.Flatten(), linear), batch) == pytest.approx(2 * (1 - p1) * p1**2 * 8 * first)


def squared_gradient_norm(network: nn.Module, batch: LabelledImages) -> float:
    return float(sum((gradient**2).sum() for _, gradient in loss_gradients(network, batch)))


def test_it_is_the_change_of_half_the_squared_gradient_if_all_weights_shrink() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.Tanh(),
            nn.Conv2d(4, 2, 2),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(18, 3),
        ).double()
        batch = LabelledImages(torch.randn(5, 1, 6, 6, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1]))
    step, around = 1e-4, []
    layers = [module for module in network if isinstance(module, nn.Conv2d | nn.Linear)]
    originals = [layer.weight.detach().clone() for layer in layers]
    for factor in (1 - step, 1 + step):
        for layer, original in zip(layers, originals, strict=True):
            layer.weight.data = factor * original
        around.append(squared_gradient_norm(network, batch))
    for layer, original in zip(layers, originals, strict=True):
        layer.weight.data = original
    assert grasp(network, batch) == pytest.approx((around[0] - around[1]) / (2 * step) / 2, rel=1e-4)


def test_a_convolution_in_front_of_batch_norm_adds_its_squared_gradient() -> None:
    """Larger is better: where gradients flow more, the score is larger."""

    class FrozenClassifier(nn.Module):
        """Conv, norm, and a classifier whose weights are no layer's."""

        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(1, 3, 2, bias=False), nn.BatchNorm2d(3, eps=1e-10)
            self.register_buffer("classifier", torch.randn(2, 3))

        def forward(self, images: Tensor) -> Tensor:
            features = functional.softplus(self.norm(self.convolution(images))).mean((2, 3))
            return features @ self.classifier.T

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = FrozenClassifier()
        batch = LabelledImages(torch.randn(6, 1, 4, 4), torch.tensor([0, 1, 0, 1, 1, 0]))
    expected = squared_gradient_norm(network, batch)
    assert expected > 1e-3
    assert grasp(network, batch) == pytest.approx(expected, rel=1e-3)


def test_an_architecture_that_no_image_passes_scores_zero(few_digits: LabelledImages) -> None:
    assert grasp(digits201.network(digits201.at(0), 1, 10, seed=0), few_digits) == 0


class Aside(nn.Module):
    """A convolution that the output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        self.convolution(images)
        return images.flatten(1)


@pytest.mark.parametrize(
    "network", [nn.Flatten(), Aside(), nn.Sequential(nn.BatchNorm2d(1), Aside())], ids=["empty", "aside", "norm"]
)
def test_a_network_without_a_layer_cannot_be_scored(network: nn.Module, few_digits: LabelledImages) -> None:
    with pytest.raises(UnscorableNetwork, match="grasp"):
        grasp(network, few_digits)


def test_the_promises(few_digits: LabelledImages) -> None:
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    check_proxy(grasp, network, digits201.supernet(1, 10, seed=0), weights, few_digits)
