"""Every proxy against a number worked by hand or an independent slow formula, and all of them against the contract."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.flops import flops
from opselect.selectors.proxies.grad_norm import grad_norm
from opselect.selectors.proxies.interface import (
    Proxy,
    UnscorableNetwork,
    Weighted,
    evaluation_form,
    loss_gradients,
    most_together,
    score_many,
    train_mode_logits,
)
from opselect.selectors.proxies.kernels import agreement
from opselect.selectors.proxies.nwot import nwot, nwot_reference
from opselect.selectors.proxies.params import params
from opselect.selectors.proxies.snip import snip
from opselect.selectors.proxies.synflow import synflow
from opselect.spaces import registry
from opselect.spaces.cell_graph import SharedReLU
from opselect.spaces.darts.space import darts
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.network import Cell, CellNetwork
from opselect.spaces.nasbench201.space import digits201, nasbench201
from opselect.spaces.space import SearchSpace, Weights


def batch_of(images: list[list[float]], labels: list[int]) -> LabelledImages:
    """Images of one row of pixels."""
    return LabelledImages(torch.tensor(images, dtype=torch.float32)[:, None, None, :], torch.tensor(labels))


def uniform_weights() -> Weights:
    return Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5))


FOUR_IMAGES = batch_of([[1, -1, -1], [2, 3, -1], [-4, 1, 1], [1, 0, 5]], [0, 1, 0, 1])
"""ReLU codes 100, 110, 011, 101 (zero is off)."""
AGREEMENT = [[3, 2, 0, 2], [2, 3, 1, 1], [0, 1, 3, 1], [2, 1, 1, 3]]
DETERMINANT = 12
"""Of AGREEMENT, by hand: expanding along the first row gives 3 * 20 - 2 * 12 + 0 - 2 * 12 = 12."""


def test_nwot_of_four_images_by_hand() -> None:
    network = nn.Sequential(nn.ReLU(), nn.Flatten())
    assert nwot.kernels(network, FOUR_IMAGES).tolist() == [AGREEMENT]
    assert nwot(network, FOUR_IMAGES) == pytest.approx(math.log(DETERMINANT))


def test_agreement_is_the_published_sum_of_two_products() -> None:
    features = torch.randn(7, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    codes = (features.flatten(1) > 0).double()
    assert torch.equal(agreement(features, 7)[0].double(), codes @ codes.T + (1 - codes) @ (1 - codes).T)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_variants_that_are_scored_together_agree_as_they_do_alone(layout: torch.memory_format) -> None:
    features = torch.randn(15, 2, 3, 3, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
    together = agreement(features, 5)
    assert together.shape == (3, 5, 5)
    for variant, alone in zip(together, features.split(5), strict=True):
        assert torch.equal(variant, agreement(alone, 5)[0])


def test_two_images_with_one_code_give_minus_infinity() -> None:
    twins = batch_of([[1.0, -1.0], [2.0, -3.0]], [0, 1])
    assert nwot(nn.ReLU(), twins) == -math.inf


def test_a_network_without_relu_cannot_be_scored_by_nwot(few_digits: LabelledImages) -> None:
    with pytest.raises(UnscorableNetwork, match="no ReLU"):
        nwot(nn.Conv2d(1, 1, 1), few_digits)


def test_an_operation_that_is_not_computed_contributes_nothing_to_nwot(few_digits: LabelledImages) -> None:
    supernet = digits201.supernet(1, 10, seed=0)
    weights = uniform_weights()
    units = nwot.kernels(Weighted(supernet, weights), few_digits)[0, 0, 0]
    removed = nwot.kernels(Weighted(supernet, without(weights, 3, 3)), few_digits)[0, 0, 0]
    # One convolution of each of the three cells loses its ReLU: 8x12x12, 16x6x6 and 32x3x3 units.
    assert units - removed == 8 * 144 + 16 * 36 + 32 * 9
    # 12 convolutions a cell, and the last ReLU.
    assert units == 12 * (8 * 144 + 16 * 36 + 32 * 9) + 32 * 9


def test_removing_none_or_pooling_changes_no_code_before_it(few_digits: LabelledImages) -> None:
    supernet, weights = digits201.supernet(1, 10, seed=0), uniform_weights()
    assert nwot(Weighted(supernet, without(weights, 2, 0)), few_digits) == nwot(Weighted(supernet, weights), few_digits)


def slow_reference_kernel(supernet: CellNetwork, weights: Weights, images: Tensor) -> Tensor:
    """The published computation, written out: a removed convolution runs on zeros, its block sees the real input."""
    total = torch.zeros(len(images), len(images), dtype=torch.float64)

    def count(features: Tensor) -> None:
        codes = (features.flatten(1) > 0).double()
        total.add_(codes @ codes.T + (1 - codes) @ (1 - codes).T)

    def cell_forward(cell: Cell, value: Tensor) -> Tensor:
        nodes = [value] + [torch.zeros_like(value) for _ in range(3)]
        for number, (source, target) in enumerate(cell.routes):
            x = nodes[source]
            for column, name in enumerate(("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")):
                weight = weights[number, column]
                if name.startswith("nor_conv"):
                    block = cell.edges[number].operations[name]
                    count(x)
                    blocked = x if weight != 0 else torch.zeros_like(x)
                    count(blocked)
                    out = block.norm(block.convolution(functional.relu(blocked)))
                elif name == "none":
                    out = torch.zeros_like(x)
                elif name == "skip_connect":
                    out = x
                else:
                    out = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
                nodes[target] = nodes[target] + weight * out
        return nodes[3]

    supernet.eval()
    with torch.no_grad():
        features = supernet.stem(images)
        for block in supernet.body:
            features = cell_forward(block, features) if isinstance(block, Cell) else block(features)
        count(supernet.last_norm(features))
    return total


def test_nwot_reference_is_the_published_computation(few_digits: LabelledImages) -> None:
    supernet = digits201.supernet(1, 10, seed=3)
    for weights in (uniform_weights(), without(uniform_weights(), 1, 3), without(uniform_weights(), 5, 2)):
        expected = slow_reference_kernel(supernet, weights, few_digits.images)
        assert torch.equal(nwot_reference.kernels(Weighted(supernet, weights), few_digits)[0], expected)
        assert nwot_reference(Weighted(supernet, weights), few_digits) == pytest.approx(
            float(np.linalg.slogdet(expected.numpy())[1])
        )


@settings(max_examples=12)
@given(st.lists(st.sampled_from((0.0, 0.2, 1.0)), min_size=30, max_size=30), st.integers(0, 99))
def test_the_folded_supernet_has_the_kernels_of_the_supernet(weights: list[float], seed: int) -> None:
    images = torch.randn(8, 1, 12, 12, generator=torch.Generator().manual_seed(seed))
    batch = LabelledImages(images, torch.arange(8))
    network = Weighted(digits201.supernet(1, 10, seed), torch.tensor(weights).reshape(6, 5))
    for proxy in (nwot, nwot_reference):
        plain, fast = proxy.kernels(network, batch)[0], proxy.kernels(evaluation_form(network, len(batch)), batch)[0]
        assert torch.equal(fast.diagonal(), plain.diagonal())
        # A unit whose input is zero but for rounding may be on in one form and off in the other: one in ten thousand.
        assert (fast - plain).abs().max() <= 1e-4 * plain.diagonal().max()


rows = st.lists(st.sampled_from((0.0, 0.2, 1.0)), min_size=5, max_size=5)


@settings(max_examples=10)
@given(st.data(), st.sets(st.integers(0, 5), max_size=3), st.integers(1, 6), st.integers(0, 99))
def test_weights_that_are_scored_together_have_the_kernels_of_each(
    data: st.DataObject, edges: set[int], variants: int, seed: int
) -> None:
    base = torch.tensor([data.draw(rows) for _ in range(6)])
    several = [base.clone() for _ in range(variants)]
    for weights in several:
        for edge in edges:
            weights[edge] = torch.tensor(data.draw(rows))
    images = torch.randn(8, 1, 12, 12, generator=torch.Generator().manual_seed(seed))
    batch = LabelledImages(images, torch.arange(8))
    supernet = digits201.supernet(1, 10, seed)
    assert isinstance(supernet, CellNetwork)
    for proxy in (nwot, nwot_reference):
        plain = torch.cat([proxy.kernels(Weighted(supernet, weights), batch) for weights in several])
        together = proxy.kernels(evaluation_form(supernet, len(batch), several), batch).expand_as(plain)
        assert torch.equal(together.diagonal(dim1=1, dim2=2), plain.diagonal(dim1=1, dim2=2))
        # A unit whose input is zero but for rounding may be on in one form and off in the other: one in ten thousand.
        assert (together - plain).abs().max() <= 1e-4 * plain.max()


@pytest.mark.parametrize("space", [digits201, darts.resized(2, 3)], ids=lambda space: space.name)
@pytest.mark.parametrize("proxy", [nwot, nwot_reference, synflow])
def test_scores_of_one_step_are_those_of_each_perturbation(proxy: Proxy, space: SearchSpace) -> None:
    supernet = space.supernet(1, 10, seed=5)
    decisions = Decisions.none_yet(space.edges)
    weights = decisions.weights(torch.zeros(len(space.edges), len(space.edges[0].operations)))
    removed = [without(weights, 3, operation) for operation in range(weights.shape[1])]
    images = torch.randn(6, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    batch = LabelledImages(images, torch.arange(6))
    together = score_many(proxy, supernet, removed, batch)
    assert together == pytest.approx([proxy(Weighted(supernet, each), batch) for each in removed], rel=1e-4)
    assert len(set(together)) > 2


def test_a_network_that_offers_no_evaluation_form_is_scored_as_it_is(few_digits: LabelledImages) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    assert evaluation_form(network, 32) is network
    supernet, weights = ScaledReLUs(), torch.ones(1, 2)
    assert most_together(supernet, few_digits) == 1
    form = evaluation_form(supernet, 32, [weights])
    assert isinstance(form, Weighted)
    assert (form.supernet, form.weights) == (supernet, weights)
    with pytest.raises(ValueError, match="too many values"):
        evaluation_form(supernet, 32, [weights, weights])


class ScaledReLUs(nn.Module):
    """A supernet of one edge with two operations: ReLUs of the pixels and of the pixels minus a half."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = nn.ModuleList([nn.ReLU(), nn.ReLU()])

    def forward(self, images: Tensor, weights: Tensor) -> Tensor:
        value = images.flatten(1)
        for column, operation in enumerate(self.operations):
            if weights[0, column] != 0:
                value = value + weights[0, column] * operation(value - column / 2)
        return value


class Stacked(nn.Module):
    """The supernet under several weights, the images of one variant after those of the other."""

    def __init__(self, supernet: nn.Module, weights: list[Weights]) -> None:
        super().__init__()
        self.supernet = supernet
        self.weights = weights
        self.relus = nn.ModuleList([SharedReLU(len(weights)), SharedReLU(len(weights))])
        for column, relu in enumerate(self.relus):
            relu.computed = [int(matrix[0, column] != 0) for matrix in weights]

    def forward(self, images: Tensor) -> Tensor:
        value = images.flatten(1).repeat(len(self.weights), 1)
        for column, relu in enumerate(self.relus):
            factors = torch.stack([matrix[0, column] for matrix in self.weights]).repeat_interleave(len(images))
            value = value + factors[:, None] * relu(value - column / 2)
        return value


class WithEvaluationForm(ScaledReLUs):
    """What a plug-in's network may offer; it counts how often it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.folded: list[int] = []

    def evaluation_form(self, weights: list[Weights] | None, batch_size: int) -> nn.Module | None:
        assert weights is not None
        assert batch_size == 32
        self.folded.append(len(weights))
        return Stacked(self, weights)

    def most_together(self, images: Tensor) -> int:
        assert images.shape == (32, 1, 12, 12)
        return 3


@pytest.mark.parametrize("proxy", [nwot, nwot_reference])
def test_the_evaluation_form_that_a_network_offers_is_used(proxy: Proxy, few_digits: LabelledImages) -> None:
    batch = LabelledImages(few_digits.images - few_digits.images.mean(0), few_digits.labels)
    several = [torch.tensor([values]) for values in ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (2.0, 1.0), (-3.0, 0.5))]
    plain = [proxy(Weighted(ScaledReLUs(), weights), batch) for weights in several]
    supernet = WithEvaluationForm()
    assert score_many(proxy, supernet, several, batch) == plain
    assert supernet.folded == [3, 2]
    assert [proxy(Weighted(supernet, weights), batch) for weights in several] == plain
    assert supernet.folded == [3, 2, 1, 1, 1, 1, 1]
    assert len(set(plain)) == len(plain)
    assert all(map(math.isfinite, plain))


class PluginBlock(nn.Module):
    """ReLU, convolution, norm, which declares itself as a block of the published code."""

    is_relu_block = True

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.relu(images).flatten(1)


def test_a_block_that_declares_itself_counts_twice_for_nwot_reference() -> None:
    assert torch.equal(nwot.kernels(PluginBlock(), FOUR_IMAGES)[0], torch.tensor(AGREEMENT).double())
    assert torch.equal(nwot_reference.kernels(PluginBlock(), FOUR_IMAGES)[0], 2 * torch.tensor(AGREEMENT).double())


def test_logits_in_train_mode_use_the_batch_and_change_nothing(few_digits: LabelledImages) -> None:
    network = digits201.network(digits201.at(777), 1, 10, seed=0).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    logits = train_mode_logits(network, few_digits.images)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module.training for module in network.modules())
    loss_gradients(network, few_digits)
    assert all(parameter.grad is None for parameter in network.parameters())
    given = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    assert torch.equal(train_mode_logits(network, few_digits.images, given), torch.zeros(32, 10))
    assert torch.equal(network.train()(few_digits.images), logits)


def test_the_diagonal_of_the_full_size_reference_kernel() -> None:
    # REFERENCE: every K_ii of the supernet (C=16, N=5) is 3,518,464 at 32x32, whatever is removed.
    supernet = nasbench201.supernet(3, 10, seed=0)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for weights in (uniform_weights(), without(uniform_weights(), 4, 3)):
        diagonal = nwot_reference.kernels(Weighted(supernet, weights), LabelledImages(images, torch.tensor([0, 1])))[
            0
        ].diagonal()
        assert diagonal.tolist() == [3_518_464] * 2


def test_synflow_by_hand() -> None:
    convolution, linear = nn.Conv2d(1, 1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(convolution.weight, -3.0)
    nn.init.constant_(linear.weight, 0.5)
    norm = nn.BatchNorm2d(1)
    nn.init.constant_(norm.running_mean, 7.0)  # type: ignore[arg-type]
    network = nn.Sequential(convolution, norm, nn.ReLU(), nn.Flatten(), linear)
    # R = |w1| |w2| = 1.5 on an image of one, and each of the two weights contributes |w dR/dw| = R.
    assert synflow(network, batch_of([[5.0]], [0])) == pytest.approx(3.0, rel=1e-12)


IDENTITY_LAYER_LOSS_SHARE = math.e / (1 + math.e)
"""Probability of class 1 under logits (1, 2)."""


def test_snip_and_grad_norm_by_hand() -> None:
    linear = nn.Linear(2, 2, bias=False)
    linear.weight.data = torch.eye(2)
    network, batch = nn.Sequential(nn.Flatten(), linear), batch_of([[1.0, 2.0]], [0])
    # Logits (1, 2) and label 0: dL/dW has rows (p0 - 1) x and p1 x with p0 - 1 = -p1 and x = (1, 2).
    p1 = IDENTITY_LAYER_LOSS_SHARE
    assert snip(network, batch) == pytest.approx(p1 * 1 + p1 * 2)
    assert grad_norm(network, batch) == pytest.approx(math.sqrt(2 * p1**2 * 5))


def test_params_and_flops_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    batch = LabelledImages(torch.zeros(5, 1, 2, 2), torch.zeros(5, dtype=torch.long))
    assert params(network, batch) == 18 + 4 + 24 + 3
    assert flops(network, batch) == 18 * 4 + 24 + 3


def test_params_of_a_supernet_count_what_is_computed(few_digits: LabelledImages) -> None:
    supernet, weights = digits201.supernet(1, 10, seed=0), uniform_weights()
    difference = params(Weighted(supernet, weights), few_digits) - params(
        Weighted(supernet, without(weights, 0, 3)), few_digits
    )
    assert difference == 9 * (8 * 8 + 16 * 16 + 32 * 32)


@pytest.mark.parametrize("name", registry.names("proxies"))
def test_every_registered_proxy_keeps_the_promises(name: str, few_digits: LabelledImages) -> None:
    architecture = digits201.parse(
        "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    )
    check_proxy(
        registry.load("proxies", name),
        digits201.network(architecture, 1, 10, seed=0),
        digits201.supernet(1, 10, seed=0),
        without(uniform_weights(), 1, 3),
        few_digits[:16],
    )


@pytest.mark.parametrize("name", registry.names("proxies"))
def test_every_docstring_says_the_direction_and_the_source(name: str) -> None:
    text = registry.load("proxies", name).__doc__
    assert "larger is better" in text.splitlines()[0]
    assert "Source" in text


@pytest.mark.parametrize("proxy", [grad_norm, snip, synflow])
def test_a_network_without_weights_cannot_be_scored_by_gradients(
    proxy: Callable[[nn.Module, LabelledImages], float], few_digits: LabelledImages
) -> None:
    for network in (nn.Flatten(), nn.Sequential(nn.ReLU(), nn.Flatten())):
        with pytest.raises(UnscorableNetwork, match="no convolution or linear layer"):
            proxy(network, few_digits)


def test_an_undefined_score_keeps_the_promises(few_digits: LabelledImages) -> None:
    supernet, weights = digits201.supernet(1, 10, seed=0), uniform_weights()
    check_proxy(lambda network, batch: math.nan, nn.Flatten(), supernet, weights, few_digits)
