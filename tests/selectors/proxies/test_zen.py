"""The Zen-Score against numbers worked by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.activations import drawn_parameters, normal_images
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.selectors.proxies.zen import zen
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.seeds import torch_generator


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * images


def batch_of_shape(*shape: int) -> LabelledImages:
    return LabelledImages(torch.zeros(shape), torch.zeros(shape[0], dtype=torch.long))


POOLED = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_the_features_of_no_layer_change_by_the_length_of_the_noise() -> None:
    # f(x) - f(x + 0.01 e) = -0.01 e, and a standard normal vector of 4096 numbers is about 64 long.
    assert zen(POOLED, batch_of_shape(8, 1, 64, 64)) == pytest.approx(math.log(0.64), abs=0.01)
    assert zen(nn.Sequential(Times(5.0), POOLED), batch_of_shape(8, 1, 64, 64)) == pytest.approx(
        math.log(5 * 0.64), abs=0.01
    )


def test_batch_norm_is_compensated_by_the_scale_that_it_took_away() -> None:
    batch = batch_of_shape(8, 2, 16, 16)
    plain = zen(nn.Sequential(nn.BatchNorm2d(2), POOLED), batch)
    # Batch norm undoes the factor in f; the log of the deviation, which is the factor, brings it back.
    assert zen(nn.Sequential(Times(100.0), nn.BatchNorm2d(2), POOLED), batch) == pytest.approx(
        plain + math.log(100), abs=1e-3
    )
    assert plain == pytest.approx(zen(POOLED, batch), abs=0.05)


def test_against_the_formula_written_out() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), POOLED, nn.Linear(3, 2))
    convolution, norm = network[0], network[1]
    batch = batch_of_shape(4, 1, 6, 6)
    generator, expected = torch_generator("zen"), []
    for _ in range(4):
        weights = drawn_parameters(network, generator, lambda _: 1.0)["0.weight"]
        images, noise = normal_images(batch.images, generator), normal_images(batch.images, generator)

        def features(images: Tensor, weights: Tensor = weights) -> tuple[Tensor, Tensor]:
            before = nn.functional.conv2d(images, weights, padding=1)
            centred = before - before.mean((0, 2, 3), keepdim=True)
            variance = centred.square().mean((0, 2, 3), keepdim=True)
            return (centred / (variance + norm.eps).sqrt()).clamp(min=0), variance  # type: ignore[operator]

        original, variance = features(images)
        perturbed, _ = features(images + 0.01 * noise)
        distance = (original - perturbed).square().sum((1, 2, 3)).sqrt().mean()
        expected.append(float(distance.log() + variance.mean().sqrt().log()))
    assert zen(network, batch) == pytest.approx(sum(expected) / 4, rel=1e-4)
    nn.init.constant_(convolution.weight, 7.0)  # type: ignore[arg-type]
    assert zen(network, batch) == pytest.approx(sum(expected) / 4, rel=1e-4), "the network's own weights do not matter"


def test_a_dead_branch_counts_nothing_and_a_dead_network_gets_minus_infinity(few_digits: LabelledImages) -> None:
    # The convolution of node 1 to node 2 receives zeros: the batch norm after it has no scale.
    dead_branch = digits201.parse("|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_3x3~0|skip_connect~1|skip_connect~2|")
    dead = digits201.parse("|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|")
    assert math.isfinite(zen(digits201.network(dead_branch, 1, 10, seed=0), few_digits))
    assert zen(digits201.network(dead, 1, 10, seed=0), few_digits) == -math.inf


def test_without_pooling_the_last_linear_layer_is_the_end() -> None:
    batch = batch_of_shape(8, 1, 64, 64)
    assert zen(nn.Sequential(nn.Flatten(), nn.Linear(4096, 2)), batch) == pytest.approx(math.log(0.64), abs=0.01)
    with pytest.raises(UnscorableNetwork, match="pooling"):
        zen(nn.ReLU(), batch)


def test_more_convolutions_score_higher(few_digits: LabelledImages) -> None:
    pooling = digits201.parse("|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|")
    convolution = digits201.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|")
    assert zen(digits201.network(convolution, 1, 10, 0), few_digits) > zen(
        digits201.network(pooling, 1, 10, 0), few_digits
    )


def test_contract(few_digits: LabelledImages) -> None:
    architecture = digits201.parse(
        "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    )
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    supernet = digits201.supernet(1, 10, seed=0)
    check_proxy(zen, digits201.network(architecture, 1, 10, seed=0), supernet, weights, few_digits[:8])
