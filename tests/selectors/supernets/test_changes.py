"""Changes of a supernet: partial channels, dropped blocks, second skips; measuring sees nothing that is dropped."""

import pytest
import torch
from torch import nn

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.changes import CannotChange, ChangedSupernet, setting, skip_of
from opselect.selectors.supernets.darts_minus import EdgeWithSkip
from opselect.selectors.supernets.drop_block import BlockDrop, DroppedSkip, with_dropped_skip
from opselect.selectors.supernets.partial_channels import PartialEdge, narrow
from opselect.selectors.supernets.r_darts import DroppedEdge
from opselect.spaces.cell_graph import EdgeOperations
from opselect.spaces.darts.network import DropPath
from opselect.spaces.darts.operations import darts_operation
from opselect.spaces.nasbench201.operations import cell_operation
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.seeds import global_torch_seed, torch_generator
from opselect.spaces.space import Weights

OPERATIONS = digits201.edges[0].operations
EVERYTHING = [True] * len(OPERATIONS)


def edge(channels: int = 8, stride: int = 1) -> EdgeOperations:
    with global_torch_seed(0):
        if stride == 1:
            return EdgeOperations({name: cell_operation(name, channels, affine=False) for name in OPERATIONS})
        names = ("none", "skip_connect", "max_pool_3x3", "sep_conv_3x3", "dil_conv_3x3")
        return EdgeOperations({name: darts_operation(name, channels, stride, True, 0) for name in names})


def value(channels: int = 8) -> torch.Tensor:
    return torch.randn(3, channels, 6, 6, generator=torch_generator("value"))


def uniform() -> Weights:
    return Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5))


def test_a_fraction_of_the_channels_is_mixed_and_the_rest_passes_by_interleaved() -> None:
    weights, whole = torch.tensor([0, 1.0, 0, 0, 0]), value()
    partial = PartialEdge(edge(), 4, scales_bypass=False)
    assert partial.edge.operations["nor_conv_3x3"].convolution.weight.shape == (2, 2, 3, 3)
    # With the identity alone every channel passes; channel c of group g comes out at place c * groups + g.
    out = partial(whole, weights, [bool(weight) for weight in weights])
    expected = whole[:, [g * 2 + c for c in range(2) for g in range(4)]]
    assert torch.equal(out, expected)
    halved = PartialEdge(edge(), 4, scales_bypass=True)(whole, weights / 2, EVERYTHING)
    torch.testing.assert_close(halved, expected / 2)
    assert partial(whole, torch.zeros(5), [False] * 5) is None


def test_the_bypass_of_an_edge_that_halves_the_size_is_pooled() -> None:
    whole = value()
    out = PartialEdge(edge(stride=2), 4, scales_bypass=False)(whole, torch.full((5,), 0.2), EVERYTHING)
    assert out.shape == (3, 8, 3, 3)
    pooled = nn.functional.max_pool2d(whole[:, 2:], 2)
    assert torch.equal(out.reshape(3, 2, 4, 3, 3)[:, :, 1:].transpose(1, 2).flatten(1, 2), pooled)


def test_narrow_layers_start_as_new_layers_of_their_width_do() -> None:
    layers = nn.Sequential(nn.Conv2d(64, 64, 3, bias=False), nn.Conv2d(64, 64, 3, groups=64, bias=False))
    with global_torch_seed(0):
        for layer in layers:
            layer.reset_parameters()  # type: ignore[operator]
    narrow(layers, 4)
    for layer, fan_in in zip(layers, (16 * 9, 9), strict=True):
        assert isinstance(layer.weight, nn.Parameter)
        # Uniform between minus and plus one over the root of the fan-in.
        assert float(layer.weight.detach().abs().max()) == pytest.approx(fan_in**-0.5, rel=0.05)
        assert float(layer.weight.detach().std()) == pytest.approx((3 * fan_in) ** -0.5, rel=0.1)
    assert layers(torch.zeros(1, 16, 9, 9)).shape == (1, 16, 5, 5)


def test_channels_that_cannot_be_divided_are_named() -> None:
    with pytest.raises(CannotChange, match=r"has 6 channel\(s\), which cannot be divided by 4"):
        PartialEdge(edge(6), 4, scales_bypass=False)


def test_dropped_blocks_leave_the_mean_of_a_constant_map_and_nothing_is_dropped_outside_of_steps() -> None:
    skip = DroppedSkip(nn.Identity())
    constant = torch.full((16, 4, 8, 8), 3.0)
    assert skip(constant) is constant
    skip.drop = BlockDrop(0.2, 3, torch_generator("blocks"))
    out = skip(constant)
    assert 0.1 < float((out == 0).float().mean()) < 0.3
    assert float(out.mean()) == pytest.approx(3, rel=1e-5)
    assert len(out[out != 0].unique()) == 1


@pytest.mark.parametrize(("height", "width"), [(8, 8), (2, 5), (1, 1)])
def test_dropped_blocks_are_squares_no_larger_than_the_map(height: int, width: int) -> None:
    drop = BlockDrop(0.3, 3, torch_generator("blocks"))
    zeros = drop(torch.ones(200, 1, height, width)) == 0
    assert zeros.any() and not zeros.all()
    size = min(3, height, width)
    # Every zero lies in a square of zeros of that size.
    squares = nn.functional.max_pool2d(-zeros.float(), size, stride=1) == -1
    assert bool(squares.any())
    covered = nn.functional.max_pool2d(nn.functional.pad(squares.float(), [size - 1] * 4), size, stride=1)
    assert torch.equal(covered.bool(), zeros)


def test_an_auxiliary_skip_adds_its_share_to_edges_that_carry_something() -> None:
    plain, whole, weights = edge(), value(), torch.full((5,), 0.2)
    changed = EdgeWithSkip(edge())
    expected = plain(whole, weights, EVERYTHING)
    assert torch.equal(changed(whole, weights, EVERYTHING), expected)
    changed.share = 0.5
    torch.testing.assert_close(changed(whole, weights, EVERYTHING), expected + 0.5 * whole)
    assert changed(whole, torch.zeros(5), [False] * 5) is None


def test_an_edge_without_a_skip_connection_cannot_have_a_second_one() -> None:
    with pytest.raises(CannotChange, match=r"an edge with the operations none, conv has no skip_connect"):
        skip_of(EdgeOperations({"none": None, "conv": nn.Identity()}))


def test_settings_hold_for_the_block_only_even_if_it_fails() -> None:
    supernet = ChangedSupernet(digits201.supernet(1, 10, seed=0), DroppedEdge)
    drop = DropPath(0.5, torch_generator("drop"))
    images = torch.zeros(2, 1, 16, 16)

    def drops() -> set[object]:
        return {module.drop for module in supernet.modules() if isinstance(module, DroppedEdge)}

    def fail() -> None:
        with setting(supernet, DroppedEdge, drop=drop):
            assert drops() == {drop}
            raise KeyError

    before = supernet.eval()(images, uniform())
    with pytest.raises(KeyError):
        fail()
    assert drops() == {None}
    assert torch.equal(supernet(images, uniform()), before)


@pytest.mark.parametrize("change", [DroppedEdge, EdgeWithSkip, with_dropped_skip])
def test_outside_of_steps_a_changed_supernet_computes_what_it_did(change: type[nn.Module]) -> None:
    images = torch.randn(2, 1, 16, 16, generator=torch_generator("images"))
    plain = digits201.supernet(1, 10, seed=0)(images, uniform())
    changed = ChangedSupernet(digits201.supernet(1, 10, seed=0), change)
    assert torch.equal(changed(images, uniform()), plain)


def test_a_supernet_without_edges_of_ours_cannot_be_changed() -> None:
    with pytest.raises(CannotChange, match="has no EdgeOperations"):
        ChangedSupernet(nn.Linear(2, 2), DroppedEdge)
