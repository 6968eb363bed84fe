"""The initial weights of the published code, against the order in which it draws them, written out once more."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from opselect.spaces import registry
from opselect.spaces.darts.space import DARTSSpace
from opselect.spaces.nasbench201.space import NASBench201Space, digits201, nasbench201
from opselect.spaces.space import HasReferenceSupernet

NASBENCH201_EDGES = 6
CELL_NODES = 4


def convolution(out_channels: int, in_channels: int, size: int) -> Tensor:
    """The weight of a convolution as torch draws it; batch norms draw nothing."""
    weight = torch.empty(out_channels, in_channels, size, size)
    return nn.init.kaiming_uniform_(weight, a=math.sqrt(5))


def classifier(classes: int, channels: int) -> Iterator[Tensor]:
    yield nn.init.kaiming_uniform_(torch.empty(classes, channels), a=math.sqrt(5))
    yield torch.empty(classes).uniform_(-1 / math.sqrt(channels), 1 / math.sqrt(channels))


def nasbench201_draws(channels: int, cells: int) -> Iterator[Tensor]:
    """Stem, cells and residual blocks, classifier, alpha; none, skip and pooling draw nothing."""
    yield convolution(channels, 3, 3)
    for stage in range(3):
        if stage > 0:
            yield convolution(2 * channels, channels, 3)
            yield convolution(2 * channels, 2 * channels, 3)
            yield convolution(2 * channels, channels, 1)
            channels *= 2
        for _ in range(cells * NASBENCH201_EDGES):
            yield convolution(channels, channels, 1)
            yield convolution(channels, channels, 3)
    yield from classifier(10, channels)
    yield 1e-3 * torch.randn(NASBENCH201_EDGES, 5)


def darts_operation_draws(name: str, channels: int, stride: int) -> Iterator[Tensor]:
    if name == "skip_connect" and stride == 2:
        yield convolution(channels // 2, channels, 1)
        yield convolution(channels // 2, channels, 1)
    if name.startswith(("sep", "dil")):
        for _ in range(2 if name.startswith("sep") else 1):
            yield convolution(channels, 1, int(name[-1]))
            yield convolution(channels, channels, 1)


def darts_draws(space: DARTSSpace, channels: int, cells: int) -> Iterator[Tensor]:
    """Stem, cells with their two inputs first, classifier, one alpha for each type of cell."""
    yield convolution(3 * channels, 3, 3)
    before_previous = previous = 3 * channels
    after_reduction = False
    for place in range(cells):
        reduction = place in (cells // 3, 2 * cells // 3)
        channels *= 2 if reduction else 1
        for _ in range(2 if after_reduction else 1):
            yield convolution(channels // 2 if after_reduction else channels, before_previous, 1)
        yield convolution(channels, previous, 1)
        edges = [edge for edge in space.edges if edge.cell == ("reduce" if reduction else "normal")]
        for edge in sorted(edges, key=lambda edge: (edge.target, edge.source)):
            for name in edge.operations:
                yield from darts_operation_draws(name, channels, 2 if reduction and edge.source < 2 else 1)
        before_previous, previous, after_reduction = previous, CELL_NODES * channels, reduction
    yield from classifier(10, previous)
    operations = max(len(edge.operations) for edge in space.edges)
    yield 1e-3 * torch.cat([torch.randn(14, operations), torch.randn(14, operations)])


def drawn(supernet: nn.Module, alpha: Tensor) -> list[Tensor]:
    """What a network drew, in order: all parameters but those of norms, which start as ones and zeros."""
    norms = {
        id(each) for module in supernet.modules() if isinstance(module, nn.BatchNorm2d) for each in module.parameters()
    }
    return [*(each.detach() for each in supernet.parameters() if id(each) not in norms), alpha]


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize(
    "name", ["nasbench201", "darts", "darts-original", "darts-s1", "darts-s2", "darts-s3", "darts-s4"]
)
def test_the_reference_draws_its_weights_in_the_order_of_the_published_code(name: str, seed: int) -> None:
    space = registry.load("spaces", name).resized(4, 3)
    assert isinstance(space, HasReferenceSupernet)
    before = torch.random.get_rng_state()
    ours = drawn(*space.reference_supernet(3, 10, seed))
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        theirs = list(nasbench201_draws(4, 3) if isinstance(space, NASBench201Space) else darts_draws(space, 4, 3))
    assert [tensor.shape for tensor in ours] == [tensor.shape for tensor in theirs]
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    own = drawn(space.supernet(3, 10, seed), theirs[-1])
    assert not torch.equal(own[0], ours[0])


def test_a_skeleton_that_no_published_code_has_says_so() -> None:
    assert nasbench201.has_published_code
    assert not digits201.has_published_code
