"""MeCo against numbers worked by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.selectors.proxies.meco import meco, smallest_eigenvalue
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201


class Shown(nn.Module):
    """Returns the same maps whatever it receives, and keeps what it received."""

    def __init__(self, maps: list[list[float]]) -> None:
        super().__init__()
        self.maps = torch.tensor(maps)[None, :, None, :]

    def forward(self, images: Tensor) -> Tensor:
        self.received = images
        return self.maps


HALF = [[1.0, -1.0, 0.0, 0.0], [1.0, 0.0, -1.0, 0.0]]
"""Two channels of four pixels with correlation 1/2: eigenvalues 1/2 and 3/2."""


def test_two_and_three_channels_by_hand(few_digits: LabelledImages) -> None:
    assert meco(Shown(HALF), few_digits) == pytest.approx(0.5)
    # Scale and offset of a channel do not matter.
    assert meco(Shown([[11.0, 9.0, 10.0, 10.0], [-5.0, 0.0, 5.0, 0.0]]), few_digits) == pytest.approx(0.5)
    # Three channels that sum to zero are dependent.
    assert meco(Shown([*HALF, [-2.0, 1.0, 1.0, 0.0]]), few_digits) == pytest.approx(0, abs=1e-12)
    uncorrelated = [[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0], [1.0, -1.0, -1.0, 1.0]]
    assert meco(Shown(uncorrelated), few_digits) == pytest.approx(1)


def test_layers_add_up_and_containers_do_not_count(few_digits: LabelledImages) -> None:
    layers = nn.Sequential(Shown(HALF), nn.Sequential(Shown(HALF), nn.Identity()), nn.Flatten())
    assert meco(layers, few_digits) == pytest.approx(1.5)


def test_constant_channels_and_single_pixels_count_zero(few_digits: LabelledImages) -> None:
    assert meco(Shown([[1.0, 2.0, 3.0], [0.1, 0.1, 0.1]]), few_digits) == 0
    assert meco(Shown([[1.0], [2.0]]), few_digits) == 0
    assert meco(Shown([[1.0, 2.0, 4.0]]), few_digits) == pytest.approx(1), "one channel is its own correlation matrix"


def test_maps_that_are_not_finite_give_nan(few_digits: LabelledImages) -> None:
    assert math.isnan(meco(nn.Sequential(Shown(HALF), Shown([[1.0, math.nan], [0.0, 1.0]])), few_digits))


def test_the_input_is_one_random_image_with_the_channels_of_the_batch() -> None:
    network = Shown(HALF)
    batch = LabelledImages(torch.zeros(3, 2, 5, 7), torch.zeros(3, dtype=torch.long))
    meco(network, batch)
    assert network.received.shape == (1, 2, 64, 64)
    correlation = np.corrcoef(network.received.flatten(2)[0].numpy())[0, 1]
    assert meco(nn.Identity(), batch) == pytest.approx(1 - abs(correlation))
    assert abs(correlation) < 0.1


def test_a_correlation_matrix_of_numpy_has_the_same_eigenvalue() -> None:
    maps = torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(0))
    expected = np.linalg.eigvalsh(np.corrcoef(maps.flatten(1).numpy()))[0]
    assert smallest_eigenvalue(maps) == pytest.approx(expected, rel=1e-5)


def test_a_network_without_feature_maps_cannot_be_scored(few_digits: LabelledImages) -> None:
    with pytest.raises(UnscorableNetwork, match="feature maps"):
        meco(nn.Flatten(), few_digits)


def test_contract(few_digits: LabelledImages) -> None:
    architecture = digits201.parse(
        "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    )
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    supernet = digits201.supernet(1, 10, seed=0)
    check_proxy(meco, digits201.network(architecture, 1, 10, seed=0), supernet, weights, few_digits[:8])


def test_a_convolution_more_is_a_layer_more(few_digits: LabelledImages) -> None:
    one = digits201.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    two = digits201.parse("|none~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    # Same seed, same first draws: the second convolution leads nowhere, but its layers are computed and counted.
    assert meco(digits201.network(two, 1, 10, 0), few_digits) > meco(digits201.network(one, 1, 10, 0), few_digits)
