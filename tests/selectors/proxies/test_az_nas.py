"""The proxies of AZ-NAS and their combination against numbers worked by hand and the formulas written out."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import check_proxy
from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.activations import drawn_parameters
from opselect.selectors.proxies.az_nas import (
    az_expressivity,
    az_nas,
    az_progressivity,
    az_trainability,
    isotropy,
    log_rank_sum,
    stability,
)
from opselect.selectors.proxies.interface import Proxy, UnscorableNetwork
from opselect.spaces.darts.space import darts
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201, nasbench201
from opselect.spaces.seeds import torch_generator

ARCHITECTURE = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
ALL = (az_expressivity, az_progressivity, az_trainability)


def test_the_entropy_of_two_channels_by_hand() -> None:
    # Four pixels of two uncorrelated channels with variances 1 and 3; an offset does not matter.
    first, second = torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([1.0, -1.0, 1.0, -1.0]) * math.sqrt(3) + 5
    maps = torch.stack([first, second]).reshape(1, 2, 2, 2)
    assert isotropy(maps) == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    # Half of the pixels in another image is the same set of observations.
    assert isotropy(maps.permute(3, 1, 2, 0)) == pytest.approx(isotropy(maps))
    assert isotropy(torch.stack([first, first]).reshape(1, 2, 2, 2)) == pytest.approx(0, abs=1e-12)
    assert isotropy(torch.stack([first, second / math.sqrt(3)]).reshape(1, 2, 2, 2)) == pytest.approx(math.log(2))
    assert math.isnan(isotropy(torch.ones(2, 3, 4, 4)))
    assert math.isnan(isotropy(torch.full((2, 3, 4, 4), math.inf)))


def signs_for(maps: Tensor) -> Tensor:
    return torch.randint(0, 2, maps.shape, generator=torch.Generator().manual_seed(0)).to(maps) * 2 - 1


def test_the_stability_of_one_channel_by_hand() -> None:
    entered = torch.randn(3, 1, 4, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def of(returned: Tensor) -> float:
        return stability(entered, returned, signs_for(returned.detach()))

    # One channel: the mean of (2 g) g is 2 exactly, so 2 - 2 - 1/2.
    assert of(2 * entered) == pytest.approx(-0.5)
    assert of(-entered) == pytest.approx(0), "a norm of one is the best"
    # Average pooling spreads g / 4 on the four pixels under an output: norm sqrt(4 / 16) = 1/2.
    assert of(nn.functional.avg_pool2d(entered, 2)) == pytest.approx(2 - 0.5 - 2)
    # Of five rows pooling drops the last.
    assert of(nn.functional.avg_pool2d(nn.functional.pad(entered, (0, 0, 0, 1)), 2)) == pytest.approx(-0.5)


def test_blocks_that_only_pass_on_and_blocks_without_gradient_are_the_worst() -> None:
    entered = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    signs = signs_for(entered.detach())
    for returned in (entered * 1, torch.zeros(3, 2, 4, 4), entered * 0, entered * math.inf):
        assert stability(entered, returned, signs) == -math.inf


def written_out(text: str, batch: LabelledImages) -> tuple[float, float, float]:
    """The three scores by the published steps, one block after the other."""
    network = digits201.network(digits201.parse(text), 1, 10, seed=5)
    generator = torch_generator("az_nas")
    network.load_state_dict(
        drawn_parameters(network, generator, lambda weight: math.sqrt(2 / weight[0].numel())), strict=False
    )
    network.train()
    maps = [network.stem(torch.randn(batch.images.shape, generator=generator))]
    for is_cell, block in zip(network.is_cell, network.body, strict=True):
        maps.append(block(maps[-1], None, network.all_computed) if is_cell else block(maps[-1]))
    entropies = []
    for value in maps:
        table = np.stack([value[:, channel].detach().numpy().ravel() for channel in range(value.shape[1])])
        eigenvalues = np.linalg.eigvalsh(np.cov(table))
        shares = eigenvalues / eigenvalues.sum()
        entropies.append(-sum(share * math.log(share) for share in shares if share > 1e-12))
    stabilities = []
    for before, after in pairwise(maps):
        signs = torch.randint(0, 2, after.shape, generator=generator) * 2.0 - 1
        (pulled,) = torch.autograd.grad(after, before, signs, retain_graph=True)
        side, step = after.shape[2], before.shape[2] // after.shape[2]
        jacobian = torch.zeros(pulled.shape[1] * step**2, after.shape[1])
        for row in range(side):
            for column in range(side):
                under = pulled[:, :, row * step : (row + 1) * step, column * step : (column + 1) * step].flatten(1)
                jacobian += under.T @ signs[:, :, row, column]
        norm = float(np.linalg.svd(jacobian.numpy() / (len(signs) * side**2))[1][0])
        stabilities.append(2 - norm - 1 / norm)
    increases = [after - before for before, after in pairwise(entropies)]
    return sum(entropies), min(increases), sum(stabilities) / len(stabilities)


def test_the_published_steps_give_the_same(few_digits: LabelledImages) -> None:
    network = digits201.network(digits201.parse(ARCHITECTURE), 1, 10, seed=0)
    scores = [proxy(network, few_digits) for proxy in ALL]
    assert scores == pytest.approx(written_out(ARCHITECTURE, few_digits), rel=1e-4)


def test_a_cell_that_returns_nothing_and_one_that_does_nothing(few_digits: LabelledImages) -> None:
    zero = digits201.network(digits201.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), 1, 10, seed=0)
    assert [proxy(zero, few_digits) for proxy in ALL] == [-math.inf] * 3
    skip = digits201.network(digits201.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"), 1, 10, seed=0)
    assert az_expressivity(skip, few_digits) > 0
    assert az_progressivity(skip, few_digits) <= 0
    assert az_trainability(skip, few_digits) == -math.inf


def test_the_parameters_of_the_network_do_not_matter(few_digits: LabelledImages) -> None:
    networks = [digits201.network(digits201.parse(ARCHITECTURE), 1, 10, seed=seed) for seed in (0, 1)]
    for proxy in ALL:
        assert proxy(networks[0], few_digits) == proxy(networks[1], few_digits)


@pytest.mark.parametrize("proxy", ALL)
def test_residual_down_sampling_is_a_block(proxy: Proxy) -> None:
    network = nasbench201.network(nasbench201.parse(ARCHITECTURE), 3, 10, seed=0)
    batch = LabelledImages(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]))
    assert math.isfinite(proxy(network, batch))


class PluginChain(nn.Module):
    """A plug-in's network, which says what its blocks are."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.rest = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    @property
    def block_chain(self) -> list[nn.Module]:
        return [self.first, self.second]

    def forward(self, images: Tensor) -> Tensor:
        return self.rest(self.second(self.first(self.stem(images))))


def test_a_network_of_any_class_is_scored_by_the_blocks_that_it_names(few_digits: LabelledImages) -> None:
    network, generator = PluginChain(), torch_generator("az_nas")
    given = drawn_parameters(network, generator, lambda weight: math.sqrt(2 / weight[0].numel()))
    images = torch.randn(few_digits.images.shape, generator=generator)
    other = PluginChain()
    other.load_state_dict(given)
    maps = [other.stem(images)]
    maps += [other.first(maps[-1])]
    maps += [other.second(maps[-1])]
    entropies = [isotropy(value.detach()) for value in maps]
    assert az_expressivity(network, few_digits) == pytest.approx(sum(entropies))
    assert az_progressivity(network, few_digits) == pytest.approx(min(b - a for a, b in pairwise(entropies)))
    assert math.isfinite(az_trainability(network, few_digits))


@pytest.mark.parametrize("proxy", ALL)
def test_the_spaces_whose_cells_have_two_inputs_cannot_be_scored(proxy: Proxy) -> None:
    space = darts.resized(2, 3)
    network = space.network(space.sample(np.random.default_rng(0)), 3, 10, seed=0)
    with pytest.raises(UnscorableNetwork, match="no cell"):
        proxy(network, LabelledImages(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])))


@pytest.mark.parametrize("proxy", ALL)
def test_a_network_without_cells_cannot_be_scored(proxy: Proxy, few_digits: LabelledImages) -> None:
    with pytest.raises(UnscorableNetwork, match="no cell"):
        proxy(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), few_digits)


@pytest.mark.parametrize("proxy", ALL)
def test_contract(proxy: Proxy, few_digits: LabelledImages) -> None:
    weights = without(Decisions.none_yet(digits201.edges).weights(torch.zeros(6, 5)), 1, 3)
    network = digits201.network(digits201.parse(ARCHITECTURE), 1, 10, seed=0)
    check_proxy(proxy, network, digits201.supernet(1, 10, seed=0), weights, few_digits[:8])


def test_log_ranks_by_hand() -> None:
    # Ranks of three members from the worst; one bad rank costs log 3.
    scores = np.array([[1.0, 3.0, -1.0, 100.0], [2.0, 2.0, -2.0, 300.0], [3.0, 1.0, -3.0, 200.0]])
    expected = [
        math.log(1 / 3) + math.log(3 / 3) + math.log(3 / 3) + math.log(1 / 3),
        math.log(2 / 3) + math.log(2 / 3) + math.log(2 / 3) + math.log(3 / 3),
        math.log(3 / 3) + math.log(1 / 3) + math.log(1 / 3) + math.log(2 / 3),
    ]
    assert log_rank_sum(scores) == pytest.approx(expected)


def test_equal_scores_share_the_mean_of_their_places() -> None:
    scores = np.array([[5.0], [5.0], [7.0], [1.0]])
    assert log_rank_sum(scores) == pytest.approx([math.log(2.5 / 4), math.log(2.5 / 4), 0, math.log(1 / 4)])


def test_members_without_a_finite_score_do_not_count_as_members() -> None:
    scores = np.array([[1.0, 8.0], [math.nan, 9.0], [2.0, 4.0], [3.0, -math.inf]])
    halves = [math.log(1 / 2), math.nan, math.log(1 / 2), math.nan]
    assert log_rank_sum(scores) == pytest.approx(halves, nan_ok=True)


def test_one_member_and_none() -> None:
    assert log_rank_sum(np.array([[5.0, 1.0, -3.0, 2.0]])).tolist() == [0]
    assert np.isnan(log_rank_sum(np.array([[5.0, math.inf, -3.0, 2.0]]))).all()
    assert log_rank_sum(np.empty((0, 4))).shape == (0,)


def test_members() -> None:
    assert az_nas.proxies == ("az_expressivity", "az_progressivity", "az_trainability", "flops")
    assert az_nas.combine is log_rank_sum
