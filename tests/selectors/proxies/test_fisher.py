"""fisher: hand-worked numbers, gates on channels, and what counts."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.fisher import fisher
from opselect.selectors.proxies.interface import UnscorableNetwork, Weighted
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

ARCHITECTURE = digits201.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
)
P1 = math.e / (1 + math.e)
"""Probability of class 1 under logits (1, 2)."""


def identity_network() -> nn.Sequential:
    """One channel, copied, then each pixel is a logit."""
    convolution, linear = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(2, 2, bias=False)
    nn.init.ones_(convolution.weight)
    linear.weight.data = torch.eye(2)
    return nn.Sequential(convolution, nn.Flatten(), linear)


def pixels(*images: list[float]) -> torch.Tensor:
    return torch.tensor(images)[:, None, None, :]


def test_one_image_by_hand() -> None:
    # Outputs (1, 2) and dL/da = (-p1, p1) at both layers. The channel of the convolution sums over its two pixels,
    # (-p1 + 2 p1)^2 / 2; the two units of the linear layer are channels of their own, (p1^2 + 4 p1^2) / 2. The 1 and 2
    # weights of a channel do not multiply them.
    expected = P1**2 / 2 + 5 * P1**2 / 2
    assert fisher(identity_network(), LabelledImages(pixels([1.0, 2.0]), torch.tensor([0]))) == pytest.approx(expected)


def test_equal_images_count_by_their_mean_and_their_share_of_the_loss() -> None:
    one = fisher(identity_network(), LabelledImages(pixels([1.0, 2.0]), torch.tensor([0])))
    two = fisher(identity_network(), LabelledImages(pixels([1.0, 2.0], [1.0, 2.0]), torch.tensor([0, 0])))
    assert two == pytest.approx(one / 4)


def test_larger_is_where_the_loss_relies_more_on_the_channels() -> None:
    right, wrong = (LabelledImages(pixels([1.0, 2.0]), torch.tensor([label])) for label in (1, 0))
    assert fisher(identity_network(), wrong) > fisher(identity_network(), right)


class Gated(nn.Module):
    """A small network with one gate for every image and channel of its two convolutions and its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 2, bias=False)
        self.norm, self.classifier = nn.BatchNorm2d(3), nn.Linear(4, 3)

    def forward(self, images: Tensor, gates: list[Tensor] | None = None) -> Tensor:
        ones = [torch.ones(len(images), channels) for channels in (3, 4, 3)]
        first, second, last = gates if gates is not None else ones
        features = functional.relu(self.norm(first[:, :, None, None] * self.first(images)))
        features = functional.relu(second[:, :, None, None] * self.second(features)).mean((2, 3))
        return last * self.classifier(features)


def test_it_is_the_squared_derivative_by_gates_on_the_channels_of_single_images() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, images = Gated().train(), torch.randn(5, 1, 6, 6)
    labels = torch.tensor([0, 1, 2, 0, 1])
    gates = [torch.ones(5, channels, requires_grad=True) for channels in (3, 4, 3)]
    functional.cross_entropy(network(images, gates), labels).backward()
    expected = sum(float(0.5 * (gate.grad**2).sum() / 5) for gate in gates if gate.grad is not None)
    assert expected > 1e-6
    network.zero_grad()
    assert fisher(network.eval(), LabelledImages(images, labels)) == pytest.approx(expected, rel=1e-4)


def test_a_layer_that_is_used_twice_counts_twice() -> None:
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.eye(2)
    batch = LabelledImages(pixels([1.0, 2.0]), torch.tensor([0]))
    once, twice = nn.Sequential(nn.Flatten(), layer), nn.Sequential(nn.Flatten(), layer, layer)
    assert fisher(twice, batch) == pytest.approx(2 * fisher(once, batch))


def test_a_frozen_network_scores_the_same(few_digits: LabelledImages) -> None:
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    before = fisher(network, few_digits)
    network.requires_grad_(False)
    assert fisher(network, few_digits) == before


def test_a_supernet_with_one_operation_an_edge_scores_as_its_layers_alone(few_digits: LabelledImages) -> None:
    supernet = digits201.supernet(1, 10, seed=0)
    weights = torch.zeros(6, 5)
    weights[:, 3] = 1.0
    before = fisher(Weighted(supernet, weights), few_digits)
    for module in supernet.modules():
        # Whatever the removed 1x1 convolutions hold must not matter.
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.in_channels == module.out_channels:
            module.weight.data.fill_(100.0)
    assert fisher(Weighted(supernet, weights), few_digits) == before > 0


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
    with pytest.raises(UnscorableNetwork, match="fisher"):
        fisher(network, few_digits)


def test_hooks_are_removed_even_if_the_network_fails() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(7, 7))
    with pytest.raises(RuntimeError):
        fisher(network, LabelledImages(torch.zeros(1, 1, 2, 2), torch.tensor([0])))
    assert not any(module._forward_hooks for module in network)


def test_the_promises(few_digits: LabelledImages) -> None:
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    check_proxy(fisher, network, digits201.supernet(1, 10, seed=0), weights, few_digits)
