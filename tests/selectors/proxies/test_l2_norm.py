"""l2_norm: hand-worked sums, and which layers count."""

import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.interface import UnscorableNetwork, Weighted
from opselect.selectors.proxies.l2_norm import l2_norm
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.space import Weights


def some_weights() -> Weights:
    return Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5))


def test_by_hand() -> None:
    convolution, linear = nn.Conv2d(1, 2, 1), nn.Linear(2, 1)
    convolution.weight.data = torch.tensor([3.0, -4.0]).reshape(2, 1, 1, 1)
    linear.weight.data = torch.tensor([[5.0, 12.0]])
    network = nn.Sequential(convolution, nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), linear)
    batch = LabelledImages(torch.zeros(2, 1, 1, 1), torch.tensor([0, 0]))
    # Biases and batch norms do not count: |(3, -4)| + |(5, 12)|.
    assert l2_norm(network, batch) == pytest.approx(5 + 13)


def test_larger_weights_score_higher(few_digits: LabelledImages) -> None:
    network = digits201.network(digits201.at(0), 1, 10, seed=0)
    before = l2_norm(network, few_digits)
    network.classifier.weight.data.mul_(2)
    assert l2_norm(network, few_digits) > before


def test_a_layer_that_is_used_twice_counts_once() -> None:
    layer = nn.Linear(1, 1)
    layer.weight.data.fill_(2.0)
    batch = LabelledImages(torch.ones(1, 1, 1, 1), torch.tensor([0]))
    assert l2_norm(nn.Sequential(layer, layer), batch) == 2


def test_a_removed_operation_does_not_count(few_digits: LabelledImages) -> None:
    supernet, weights = digits201.supernet(1, 10, seed=0), some_weights()
    everything = l2_norm(Weighted(supernet, weights), few_digits)
    removed = l2_norm(Weighted(supernet, without(weights, 3, 3)), few_digits)
    lost = [
        float(cell.edges[3].operations["nor_conv_3x3"].convolution.weight.detach().norm())
        for cell, is_cell in zip(supernet.body, supernet.is_cell, strict=True)
        if is_cell
    ]
    assert len(lost) == 3
    assert everything - removed == pytest.approx(sum(lost))


class Aside(nn.Module):
    """A convolution that is never computed."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def test_a_network_without_a_computed_layer_cannot_be_scored(few_digits: LabelledImages) -> None:
    with pytest.raises(UnscorableNetwork, match="no convolution or linear layer"):
        l2_norm(Aside(), few_digits)


def test_the_promises(few_digits: LabelledImages) -> None:
    network = digits201.network(digits201.at(11_111), 1, 10, seed=0)
    check_proxy(l2_norm, network, digits201.supernet(1, 10, seed=0), without(some_weights(), 1, 3), few_digits)
