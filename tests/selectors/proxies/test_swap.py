"""The SWAP-Score against numbers worked by hand and a slow set of tuples."""

import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.interface import UnscorableNetwork, Weighted
from opselect.selectors.proxies.swap import swap
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201

ARCHITECTURE = digits201.parse(
    "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
)


def batch_of(images: list[list[float]]) -> LabelledImages:
    """Images of one row of pixels."""
    pixels = torch.tensor(images, dtype=torch.float32)[:, None, None, :]
    return LabelledImages(pixels, torch.zeros(len(images), dtype=torch.long))


def test_four_images_by_hand() -> None:
    # Columns are units: on for images 124, 23, 34, and again 124 and 23; zero is off.
    images = batch_of([[1, -1, -1, 5, 0], [2, 3, -1, 1, 1], [-4, 1, 1, 0, 9], [1, 0, 5, 7, -2]])
    assert swap(nn.ReLU(), images) == 3
    assert swap(nn.Sequential(nn.ReLU(), nn.ReLU()), images) == 3, "patterns that two layers share count once"


def test_equal_images_have_two_patterns_at_most() -> None:
    assert swap(nn.ReLU(), batch_of([[1, -1, 2], [1, -1, 2], [1, -1, 2]])) == 2
    assert swap(nn.ReLU(), batch_of([[1, 1], [1, 1]])) == 1


def slow_swap(network: nn.Module, images: Tensor) -> int:
    patterns: set[tuple[bool, ...]] = set()
    handles = [
        module.register_forward_hook(
            lambda _, __, returned: patterns.update(tuple(unit) for unit in (returned.flatten(1).T != 0).tolist())
        )
        for module in network.modules()
        if isinstance(module, nn.ReLU)
    ]
    with torch.no_grad():
        network.train()(images)
    for handle in handles:
        handle.remove()
    return len(patterns)


# 9 and 32 images: patterns of more than one byte, whole and cut.
@pytest.mark.parametrize("count", [3, 9, 32])
def test_a_slow_set_of_tuples_has_as_many(count: int, few_digits: LabelledImages) -> None:
    network = digits201.network(ARCHITECTURE, 1, 10, seed=0)
    score = swap(network, few_digits[:count])
    assert score == slow_swap(digits201.network(ARCHITECTURE, 1, 10, seed=0), few_digits.images[:count])
    assert count > 3 or score == 2**3


def test_more_convolutions_score_higher(few_digits: LabelledImages) -> None:
    one = digits201.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    three = digits201.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|")
    assert swap(digits201.network(three, 1, 10, 0), few_digits) > swap(digits201.network(one, 1, 10, 0), few_digits)


def test_a_network_without_relu_cannot_be_scored(few_digits: LabelledImages) -> None:
    with pytest.raises(UnscorableNetwork, match="no ReLU"):
        swap(nn.Conv2d(1, 1, 1), few_digits)


def test_contract(few_digits: LabelledImages) -> None:
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    supernet = digits201.supernet(1, 10, seed=0)
    check_proxy(swap, digits201.network(ARCHITECTURE, 1, 10, seed=0), supernet, weights, few_digits)
    # With skips only, every ReLU but the last is gone, and the last one has 32 * 9 units.
    bare = torch.zeros(6, 5)
    bare[:, 1] = 1.0
    assert swap(Weighted(supernet, bare), few_digits) <= 32 * 9
