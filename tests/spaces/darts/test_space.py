"""The DARTS spaces and their networks: sizes that are known, supernet and stand-alone network the same computation."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from opselect.spaces import registry
from opselect.spaces.darts.genotypes import Genotype, library
from opselect.spaces.darts.network import DARTSNetwork, DARTSSkeleton, DropPath
from opselect.spaces.darts.operations import FactorizedReduction, Noise
from opselect.spaces.darts.space import (
    DARTSSpace,
    EndlessSpace,
    darts,
    darts_original,
    darts_s1,
    darts_s2,
    darts_s3,
    darts_s4,
)
from opselect.spaces.inspection import mode
from opselect.spaces.space import NONE, Architecture, InvalidArchitecture, SearchSpace

SPACES = {space.name: space for space in (darts, darts_original, darts_s1, darts_s2, darts_s3, darts_s4)}
SEARCHED = {"s5": darts, "original": darts_original} | {f"s{n}": SPACES[f"darts-s{n}"] for n in range(1, 5)}
DARTS_V2 = library()["DARTS_V2"].genotype


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def sampled(space: DARTSSpace, seed: int) -> Architecture:
    return space.sample(np.random.default_rng(seed))


def one_hot(space: DARTSSpace, architecture: Architecture) -> torch.Tensor:
    weights = torch.zeros(len(space.edges), max(len(edge.operations) for edge in space.edges))
    for row, (edge, operation) in enumerate(zip(space.edges, architecture.operations, strict=True)):
        if operation in edge.operations:
            weights[row, edge.operations.index(operation)] = 1
    return weights


def with_random_norms(network: DARTSNetwork) -> DARTSNetwork:
    """The network with statistics and parameters of its norms as after some training."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.running_mean, module.running_var, module.weight, module.bias):
                if value is not None:
                    value.data = torch.rand(value.shape, generator=generator) + 0.5
    return network


@pytest.mark.parametrize("name", SPACES)
def test_every_space_is_registered_and_a_search_space(name: str) -> None:
    space = registry.load("spaces", name)
    assert space is SPACES[name]
    assert isinstance(space, SearchSpace)
    assert len(space.edges) == 28
    assert space.inputs_per_node == 2


# REFERENCE.md, section 0: S1 and S5 at 16 channels and 8 cells.
@pytest.mark.parametrize(("space", "parameters"), [(darts_s1, 405_146), (darts, 1_930_618)])
def test_supernets_have_the_published_sizes(space: DARTSSpace, parameters: int) -> None:
    assert count(space.supernet(3, 10, seed=0)) == parameters


def test_the_network_of_darts_v2_has_the_published_size() -> None:
    full = darts.resized(channels=36, cells=20)
    assert count(full.network(darts.architecture(DARTS_V2), 3, 10, seed=0)) == 3_349_342


def independent_count(genotype: Genotype, channels: int, cells: int, classes: int) -> int:
    """Parameters of a CIFAR network by arithmetic alone."""

    def operation(name: str, width: int, stride: int) -> int:
        kind, window = name[:3], int(name[-1]) if name[-1].isdigit() else 0
        once = width * window * window + width * width + 2 * width
        if kind == "sep":
            return 2 * once
        if kind == "dil":
            return once
        # Two halves of a 1x1 convolution and a norm where a skip connection halves the size.
        return width * width + 2 * width if name == "skip_connect" and stride == 2 else 0

    total = 3 * 9 * 3 * channels + 2 * 3 * channels
    before, previous = 3 * channels, 3 * channels
    for place in range(cells):
        reduction = place in (cells // 3, 2 * cells // 3)
        channels *= 2 if reduction else 1
        total += (before + previous) * channels + 2 * 2 * channels
        pairs = genotype.reduce if reduction else genotype.normal
        total += sum(operation(name, channels, 2 if reduction and source < 2 else 1) for name, source in pairs)
        before, previous = previous, 4 * channels
    return total + previous * classes + classes


@pytest.mark.parametrize("name", sorted(library()))
def test_networks_of_the_library_have_the_size_that_arithmetic_gives(name: str) -> None:
    genotype = library()[name].genotype
    space = SEARCHED[library()[name].space]
    network = space.resized(channels=8, cells=5).network(space.architecture(genotype), 3, 10, seed=0)
    assert count(network) == independent_count(genotype, channels=8, cells=5, classes=10)


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=6)
@given(st.integers(0, 10_000))
def test_a_one_hot_supernet_is_the_stand_alone_network(name: str, seed: int) -> None:
    space = SPACES[name].resized(channels=4, cells=3)
    architecture = sampled(space, seed)
    supernet = with_random_norms(space.supernet(3, 10, seed))
    alone = DARTSNetwork(
        space.edges, [(each,) for each in architecture.operations], DARTSSkeleton(4, 3), 3, 10, search=True
    )
    state = supernet.state_dict()
    alone.load_state_dict({name: state[name] for name in alone.state_dict()})
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    for training in (False, True):
        with mode(supernet, training), mode(alone, training), torch.no_grad():
            expected = alone(images)
            assert torch.equal(supernet(images, one_hot(space, architecture)), expected)


@settings(max_examples=6)
@given(st.integers(0, 10_000))
def test_the_trained_network_differs_from_the_supernet_in_learnt_norms_alone(seed: int) -> None:
    # S2 has no pooling, which only supernets normalise.
    space = darts_s2.resized(channels=4, cells=3)
    architecture = sampled(space, seed)
    supernet, alone = space.supernet(3, 10, seed), space.network(architecture, 3, 10, seed)
    state = supernet.state_dict()
    alone.load_state_dict({name: state[name] for name in alone.state_dict() if name in state}, strict=False)
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    with mode(supernet, training=False), mode(alone, training=False), torch.no_grad():
        assert torch.equal(supernet(images, one_hot(space, architecture)), alone(images))


@pytest.fixture
def counted() -> Iterator[Callable[[nn.Module], list[int]]]:
    """Counts the convolutions that a network computes."""
    handles = []

    def watch(network: nn.Module) -> list[int]:
        calls = [0]

        def call(*_: object) -> None:
            calls[0] += 1

        handles.extend(
            module.register_forward_hook(call) for module in network.modules() if isinstance(module, nn.Conv2d)
        )
        return calls

    yield watch
    for handle in handles:
        handle.remove()


def test_zero_weighted_operations_are_not_computed(counted: Callable[[nn.Module], list[int]]) -> None:
    space = darts_s2.resized(channels=4, cells=3)
    supernet = space.supernet(3, 10, seed=0)
    calls = counted(supernet)
    images = torch.zeros(1, 3, 8, 8)
    weights = torch.zeros(28, 2)
    with torch.no_grad():
        supernet(images, weights)
        # The stem and two convolutions before each of three cells, two of them factorised: into the cell after a
        # reduction (the third), and none else.
        nothing = calls[0]
        assert nothing == 1 + 3 * 2 + 1
        weights[0, 1] = 1  # one separable convolution in the only normal cell: four convolutions
        supernet(images, weights)
    assert calls[0] == 2 * nothing + 4


def test_an_imagenet_network_has_its_stem_and_its_auxiliary_classifier() -> None:
    space = darts.resized(channels=8, cells=5)
    architecture = space.architecture(DARTS_V2)
    network = space.evaluation_network(architecture, 3, 20, 0, "imagenet", auxiliary=True)
    logits, auxiliary = network.with_auxiliary(torch.randn(2, 3, 224, 224))
    assert logits.shape == (2, 20)
    assert auxiliary is not None
    assert auxiliary.shape == (2, 20)


def test_a_cifar_network_has_an_auxiliary_classifier_where_it_is_asked_for() -> None:
    space = darts.resized(channels=4, cells=5)
    architecture = space.architecture(DARTS_V2)
    with_one = space.evaluation_network(architecture, 3, 10, 0, "cifar", auxiliary=True)
    images = torch.randn(2, 3, 32, 32)
    logits, auxiliary = with_one.with_auxiliary(images)
    assert auxiliary is not None
    assert auxiliary.shape == logits.shape == (2, 10)
    # 16 channels into it: 128 and 768 channels with norms, and a classifier.
    into = 4 * 4 * 4
    head = into * 128 + 2 * 128 + 128 * 768 * 4 + 2 * 768 + 768 * 10 + 10
    assert count(with_one) - count(space.network(architecture, 3, 10, 0)) == head
    assert space.network(architecture, 3, 10, 0).with_auxiliary(images)[1] is None


def test_drop_path_drops_whole_images_and_keeps_the_mean() -> None:
    drop = DropPath(0.25, torch.Generator().manual_seed(0))
    out = drop(torch.ones(4000, 2, 1, 1))
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert torch.equal(out[:, 0], out[:, 1])
    assert out.mean() == pytest.approx(1, abs=0.05)


def test_drop_path_leaves_identities_alone() -> None:
    space = darts_s2.resized(channels=4, cells=3)
    skips = Genotype((("skip_connect", 0), ("skip_connect", 1)) * 4, (2, 3, 4, 5), DARTS_V2.reduce, (2, 3, 4, 5))
    network = space.evaluation_network(
        space.architecture(Genotype(skips.normal, (2, 3, 4, 5), skips.normal, (2, 3, 4, 5))),
        3, 10, 0, "cifar", auxiliary=False,
    )  # fmt: skip
    drop = DropPath(0.999, torch.Generator().manual_seed(0))
    images = torch.randn(2, 3, 8, 8)
    with mode(network, training=False), torch.no_grad():
        # Only where a reduction cell halves the size is a skip connection no identity.
        normal = network.cells[0](*[network.stem[0](images)] * 2, None, [[True]] * 14, drop)
        assert torch.equal(normal, network.cells[0](*[network.stem[0](images)] * 2, None, [[True]] * 14, None))


def test_a_factorised_reduction_sees_every_second_pixel_and_its_neighbour() -> None:
    reduction = FactorizedReduction(1, 2, affine=False).eval()
    images = torch.zeros(1, 1, 4, 4)
    images[0, 0, 0, 0], images[0, 0, 1, 1] = 1, 2
    with torch.no_grad():
        reduction.even.weight[:], reduction.odd.weight[:] = 1, 1
        out = reduction(images) * (1 + 1e-5) ** 0.5
    assert out.shape == (1, 2, 2, 2)
    assert out[0, :, 0, 0].tolist() == pytest.approx([1, 2])
    assert out.sum().item() == pytest.approx(3)


def test_noise_ignores_its_input_and_repeats_itself_in_evaluation_mode_only() -> None:
    noise = Noise(stride=2, place=3)
    images = torch.full((2, 3, 4, 4), 7.0)
    before = torch.get_rng_state()
    first, second = noise(images), noise(images)
    assert first.shape == (2, 3, 2, 2)
    assert not torch.equal(first, second)
    noise.eval()
    assert torch.equal(noise(images), noise(0 * images))
    assert not torch.equal(noise(images), Noise(2, 4).eval()(images))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_samples_are_architectures_and_come_back_from_their_text(name: str, seed: int) -> None:
    space = SPACES[name]
    architecture = sampled(space, seed)
    assert space.parse(space.format(architecture)) == architecture
    assert space.canonical(architecture) == architecture
    text = space.format(architecture)
    assert space.format(space.parse(text)) == text


def test_a_genotype_stands_for_its_operations_whatever_the_order_of_its_pairs() -> None:
    swapped = Genotype(
        tuple(pair for node in DARTS_V2.pairs("normal") for pair in reversed(node)),
        DARTS_V2.normal_concat,
        DARTS_V2.reduce,
        DARTS_V2.reduce_concat,
    )
    assert darts.architecture(swapped) == darts.architecture(DARTS_V2)
    chosen = dict(zip(darts.edges, darts.architecture(DARTS_V2).operations, strict=True))
    for (operation, source), place in zip(DARTS_V2.normal, range(8), strict=True):
        edge = next(e for e in darts.edges if (e.cell, e.source, e.target) == ("normal", source, 2 + place // 2))
        assert chosen[edge] == operation
    assert sum(operation != NONE for operation in chosen.values()) == 16


@pytest.mark.parametrize(
    ("space", "text", "expected"),
    [
        (darts, "Genotype(", "genotype text"),
        (darts_s2, "DARTS_V2", "no operation of this edge in darts-s2, expected one of skip_connect, sep_conv_3x3"),
    ],
)
def test_a_text_that_is_no_genotype_of_the_space_says_what_is_wrong(
    space: DARTSSpace, text: str, expected: str
) -> None:
    with pytest.raises(InvalidArchitecture, match=expected):
        space.parse(darts.format(darts.architecture(DARTS_V2)) if text == "DARTS_V2" else text)


def test_three_inputs_of_a_node_are_refused() -> None:
    operations = ["skip_connect" if (e.cell, e.target) == ("normal", 3) else NONE for e in darts.edges]
    with pytest.raises(InvalidArchitecture, match="normal cell, node 3: 3 inputs, expected at most 2"):
        darts.format(Architecture(tuple(operations)))


def test_going_through_all_architectures_is_refused() -> None:
    with pytest.raises(EndlessSpace, match="darts has too many architectures"):
        list(darts.enumerate())


def test_networks_are_determined_by_their_seed_and_leave_the_global_stream_alone() -> None:
    space = darts_s4.resized(channels=4, cells=3)
    before = torch.get_rng_state()
    first, again, other = (space.supernet(3, 10, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.0.0.weight"], other["stem.0.0.weight"])
