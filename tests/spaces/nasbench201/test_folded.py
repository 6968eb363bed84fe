import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from opselect.spaces.cell_graph import SharedReLU
from opselect.spaces.inspection import mode
from opselect.spaces.nasbench201.network import CellNetwork, stack_networks
from opselect.spaces.nasbench201.space import SIZE, NASBench201Space

SPACES = {
    kind: NASBench201Space("small", channels=4, cells_per_stage=2, down_sampling=kind) for kind in ("residual", "plain")
}
factors = st.sampled_from((0.0, 0.0, 0.2, 1.0, -0.5))


def _with_statistics(network: CellNetwork, seed: int) -> CellNetwork:
    """The network with norms as after some training: nothing is zero or one any more."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.running_mean, module.running_var, module.weight, module.bias):
                if value is not None:
                    value.data = torch.rand(value.shape, generator=generator) + 0.5
    return network


def _images(seed: int) -> torch.Tensor:
    return torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def _assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for rounding, which grows with the largest logit: under some weights that is in the thousands."""
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, float(expected.abs().max()) / 100))


@torch.no_grad()
def _logits(network: nn.Module, *arguments: torch.Tensor) -> torch.Tensor:
    with mode(network, training=False):
        return network(*arguments)


@pytest.mark.parametrize("kind", SPACES)
@settings(max_examples=12)
@given(st.lists(factors, min_size=30, max_size=30), st.integers(0, 99))
def test_a_folded_supernet_computes_what_the_supernet_computes(kind: str, weights: list[float], seed: int) -> None:
    supernet = _with_statistics(SPACES[kind].supernet(3, 10, seed), seed)
    matrix = torch.tensor(weights).reshape(6, 5)
    images = _images(seed)
    expected = _logits(supernet, images, matrix)
    _assert_close(_logits(supernet.evaluation_form([matrix], len(images)), images), expected)


@pytest.mark.parametrize("kind", SPACES)
@settings(max_examples=12)
@given(st.lists(factors, min_size=30, max_size=30), st.data(), st.sets(st.integers(0, 5)), st.integers(0, 99))
def test_a_supernet_folded_under_several_weights_computes_each(
    kind: str, weights: list[float], data: st.DataObject, edges: set[int], seed: int
) -> None:
    supernet = _with_statistics(SPACES[kind].supernet(3, 10, seed), seed)
    several = [torch.tensor(weights).reshape(6, 5) for _ in range(3)]
    for matrix in several:
        for edge in edges:
            matrix[edge] = torch.tensor(data.draw(st.lists(factors, min_size=5, max_size=5)))
    images = _images(seed)
    expected = torch.cat([_logits(supernet, images, matrix) for matrix in several])
    found = _logits(supernet.evaluation_form(several, len(images)), images)
    _assert_close(found.repeat(len(expected) // len(found), 1), expected)


@pytest.mark.parametrize("kind", SPACES)
@settings(max_examples=20)
@given(st.integers(0, SIZE - 1), st.integers(0, 99))
def test_a_folded_network_computes_what_the_network_computes(kind: str, index: int, seed: int) -> None:
    space = SPACES[kind]
    network = _with_statistics(space.network(space.at(index), 3, 10, seed), seed)
    images = _images(seed)
    expected = _logits(network, images)
    _assert_close(_logits(network.evaluation_form(None, len(images)), images), expected)


def test_every_relu_of_the_cells_is_counted() -> None:
    weights = torch.rand(6, 5, generator=torch.Generator().manual_seed(0)).round()
    folded = SPACES["plain"].supernet(3, 10, 0).evaluation_form([weights, 1 - weights], 3)
    assert folded is not None
    shared = [module for module in folded.modules() if isinstance(module, SharedReLU)]
    convolutions = weights[:, 2:4].numpy()
    # Edges 0, 1 and 3 leave node 0, edges 2 and 4 node 1, edge 5 node 2; there are six cells.
    leaving = [convolutions[[0, 1, 3]], convolutions[[2, 4]], convolutions[[5]]]
    ones, zeros = ([int(np.sum(each == value)) for each in leaving] for value in (1, 0))
    # What the first variant computes, the second has removed.
    assert [relu.computed for relu in shared] == [list(counts) for counts in zip(ones, zeros, strict=True)] * 6
    assert [relu.removed for relu in shared] == [list(counts) for counts in zip(zeros, ones, strict=True)] * 6


def test_folding_leaves_the_network_as_it_was() -> None:
    supernet = SPACES["residual"].supernet(3, 10, 0)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    weights = torch.full((6, 5), 0.2)
    _logits(supernet.evaluation_form([weights], 3), _images(0))
    assert supernet.training
    assert torch.equal(weights, torch.full((6, 5), 0.2))
    for name, value in supernet.state_dict().items():
        assert torch.equal(value, before[name])


def test_many_variants_of_small_networks_are_folded_together_and_one_of_large_ones() -> None:
    supernet = SPACES["plain"].supernet(3, 10, 0)
    # 4 channels of 8x8 pixels and 4 bytes are 1 KiB per image.
    assert supernet.most_together(torch.zeros(64, 3, 8, 8)) == 8 * 2**20 // (64 * 2**10)
    assert supernet.most_together(torch.zeros(10_000, 3, 8, 8)) == 1


def test_stacked_networks_have_no_evaluation_form() -> None:
    network = SPACES["plain"].network(SPACES["plain"].at(5), 3, 10, 0)
    stacked = stack_networks([network, network])
    assert stacked.evaluation_form(None, 3) is None
    assert stacked.most_together(torch.zeros(3, 6, 8, 8)) == 1
