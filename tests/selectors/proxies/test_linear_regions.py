"""The number of linear regions against numbers worked by hand and a slow count of patterns."""

import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.interface import UnscorableNetwork, Weighted
from opselect.selectors.proxies.linear_regions import circle, linear_regions
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201


def batch_of_shape(*shape: int) -> LabelledImages:
    return LabelledImages(torch.zeros(shape), torch.zeros(shape[0], dtype=torch.long))


class Parallel(nn.Module):
    """One ReLU of the images and one of the images with the other sign."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        total: Tensor = self.first(images) + self.second(-images)
        return total


def shifted(network: nn.Conv2d, bias: float) -> nn.Sequential:
    nn.init.ones_(network.weight)
    nn.init.constant_(network.bias, bias)  # type: ignore[arg-type]
    return nn.Sequential(network, nn.ReLU())


def test_every_unit_cuts_a_circle_twice() -> None:
    # A pixel is cos(t) a + sin(t) b: it changes its sign twice. Batches are cut to at most 4x4 pixels.
    for shape, pixels in (((2, 1, 1, 1), 1), ((2, 1, 1, 2), 2), ((2, 1, 9, 3), 12), ((2, 3, 8, 8), 48)):
        assert linear_regions(nn.ReLU(), batch_of_shape(*shape)) == 2 * pixels


def test_boundaries_that_units_share_count_once() -> None:
    batch = batch_of_shape(2, 1, 4, 4)
    assert linear_regions(nn.Sequential(nn.ReLU(), nn.ReLU()), batch) == 32
    assert linear_regions(Parallel(), batch) == 32


def test_units_that_never_switch_leave_one_region(few_digits: LabelledImages) -> None:
    assert linear_regions(shifted(nn.Conv2d(1, 1, 1), 1000.0), few_digits) == 1
    dead = digits201.parse("|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|")
    assert linear_regions(digits201.network(dead, 1, 10, seed=0), few_digits) == 1


def test_the_slow_count_of_distinct_patterns_along_the_circle() -> None:
    # Four units of one layer and three of the next, on one pixel row of two: few enough that no step hides a region.
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, (1, 2)), nn.ReLU())
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=1.0 if parameter.ndim > 1 else 0.1, generator=generator)
    batch = batch_of_shape(2, 1, 1, 2)
    with torch.no_grad():
        first = network[:2](circle(batch.images))
        second = network[2:](first)
    codes = torch.cat([first.flatten(1) > 0, second.flatten(1) > 0], dim=1).tolist()
    changes = sum(codes[number] != codes[number - 1] for number in range(len(codes)))
    assert changes >= 10
    assert linear_regions(network, batch) == changes


def test_more_relus_have_more_regions(few_digits: LabelledImages) -> None:
    one = digits201.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    three = digits201.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|")
    assert linear_regions(digits201.network(three, 1, 10, 0), few_digits) > linear_regions(
        digits201.network(one, 1, 10, 0), few_digits
    )


def test_a_network_without_relu_cannot_be_scored(few_digits: LabelledImages) -> None:
    with pytest.raises(UnscorableNetwork, match="no ReLU"):
        linear_regions(nn.Conv2d(1, 1, 1), few_digits)


def test_contract(few_digits: LabelledImages) -> None:
    architecture = digits201.parse(
        "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    )
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    supernet = digits201.supernet(1, 10, seed=0)
    check_proxy(linear_regions, digits201.network(architecture, 1, 10, seed=0), supernet, weights, few_digits)
    # Without any convolution only the down-sampled sums and the last ReLU are left: far fewer units.
    bare = torch.zeros(6, 5)
    bare[:, 1] = 1.0
    assert linear_regions(Weighted(supernet, bare), few_digits) < linear_regions(
        Weighted(supernet, weights), few_digits
    )
