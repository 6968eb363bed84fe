"""Counting parameters and multiply-adds: NAS-Bench-201's own numbers, numbers by hand, networks left as found."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from opselect.spaces.inspection import hooks, mode, multiply_adds, parameter_count, reached_leaves
from opselect.spaces.nasbench201.space import EDGES, OPERATIONS, digits201, nasbench201

ALL_CONVOLUTIONS = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
NOTHING = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
POOLINGS = "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|"
# The first architecture of the official files.
INDEX_0 = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
THREE_CONVOLUTIONS = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.mark.parametrize(
    ("text", "classes", "size", "parameters", "flops"),
    [
        # The largest and the smallest numbers in the benchmark's files, as EvoXBench and others list them.
        (ALL_CONVOLUTIONS, 10, 32, 1_531_546, 220_119_690),
        (ALL_CONVOLUTIONS, 120, 16, 1_538_696, 55_037_560),
        (NOTHING, 10, 32, 73_306, 7_783_050),
        (POOLINGS, 10, 32, 73_306, 7_783_050),
        (NOTHING, 100, 32, 79_156, 7_788_900),
        (NOTHING, 120, 16, 80_456, 1_953_400),
        # D-X-Y/NATS-Bench, issues 24 and 36: answers of the official interface.
        (INDEX_0, 10, 32, 129_306, 15_647_370),
        (INDEX_0, 100, 32, 135_156, 15_653_220),
        (INDEX_0, 120, 16, 136_456, 3_919_480),
        (THREE_CONVOLUTIONS, 10, 32, 802_426, 113_951_370),
    ],
)
def test_sizes_are_those_of_the_nasbench201_files(
    text: str, classes: int, size: int, parameters: int, flops: int
) -> None:
    network = nasbench201.network(nasbench201.parse(text), 3, classes, seed=0)
    image = torch.zeros(1, 3, size, size)
    assert parameter_count(network, image) == parameters
    assert multiply_adds(network, image) == flops


def test_a_small_network_counted_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, bias=False),  # on 4x6: 2*9 products for each of 3*24 outputs
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Conv2d(3, 6, 1, stride=2, groups=3),  # 1 product and a bias for each of 6 * 2*3 outputs
        nn.Flatten(),
        nn.Linear(36, 5),  # 36 products and a bias for each of 5
    )
    image = torch.zeros(1, 2, 4, 6)
    assert multiply_adds(network, image) == 18 * 72 + 2 * 36 + 185
    assert parameter_count(network, image) == 54 + 6 + (6 + 6) + (180 + 5)
    assert multiply_adds(network, torch.zeros(7, 2, 4, 6)) == 18 * 72 + 2 * 36 + 185  # for one image, however many come


class Twice(nn.Module):
    """One layer used twice, another one never."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(4, 4)
        self.idle = nn.Linear(4, 1000)

    def forward(self, images: Tensor) -> Tensor:
        return self.used(self.used(images))


def test_a_layer_used_twice_has_its_parameters_once_and_its_products_twice() -> None:
    assert parameter_count(Twice(), torch.zeros(1, 4)) == 20
    assert multiply_adds(Twice(), torch.zeros(1, 4)) == 40
    assert [type(module) for module, _ in reached_leaves(Twice(), torch.zeros(1, 4))] == [nn.Linear, nn.Linear]


class Under(nn.Module):
    """A supernet under given weights."""

    def __init__(self, supernet: nn.Module, weights: Tensor) -> None:
        super().__init__()
        self.supernet = supernet
        self.weights = weights

    def forward(self, images: Tensor) -> Tensor:
        return self.supernet(images, self.weights)


def test_what_a_supernet_does_not_compute_does_not_count() -> None:
    image = torch.zeros(1, 1, 12, 12)
    supernet = digits201.supernet(1, 10, seed=0)
    weights = torch.zeros(len(EDGES), len(OPERATIONS))
    empty_parameters, empty_products = (
        count(Under(supernet, weights), image) for count in (parameter_count, multiply_adds)
    )
    weights[3, OPERATIONS.index("nor_conv_3x3")] = 0.1
    weights[5, OPERATIONS.index("avg_pool_3x3")] = 0.1
    # Three cells: 8, 16, 32 channels on 12x12, 6x6, 3x3; c*c*9 parameters (norms have none), each used once a pixel.
    assert parameter_count(Under(supernet, weights), image) - empty_parameters == 9 * (64 + 256 + 1024)
    assert multiply_adds(Under(supernet, weights), image) - empty_products == 9 * (64 * 144 + 256 * 36 + 1024 * 9)


def snapshot(network: nn.Module) -> object:
    return (
        {name: (value.clone(), value.dtype) for name, value in network.state_dict().items()},
        [(module.training, len(module._forward_hooks), len(module._forward_pre_hooks)) for module in network.modules()],
        [parameter.grad for parameter in network.parameters()],
        [parameter.requires_grad for parameter in network.parameters()],
    )


def assert_same(first: object, second: object) -> None:
    (first_state, *first_rest), (second_state, *second_rest) = first, second
    assert first_rest == second_rest
    assert first_state.keys() == second_state.keys()
    assert all(torch.equal(value, second_state[name][0]) for name, (value, _) in first_state.items())


@pytest.mark.parametrize("count", [parameter_count, multiply_adds, reached_leaves])
def test_counting_leaves_the_network_and_the_random_state_as_found(count: Callable[..., object]) -> None:
    network = digits201.network(nasbench201.parse(INDEX_0), 1, 10, seed=0)
    network.train()
    network.body[0].eval()  # a mixture of modes must come back as a mixture
    network.stem.register_forward_hook(lambda *_: None)
    before, random = snapshot(network), torch.get_rng_state()
    count(network, torch.ones(3, 1, 12, 12))
    assert_same(snapshot(network), before)
    assert torch.equal(torch.get_rng_state(), random)


def test_a_pass_that_fails_leaves_no_hooks_and_the_modes_as_found() -> None:
    network = digits201.network(nasbench201.parse(INDEX_0), 1, 10, seed=0).train()
    before = snapshot(network)
    with pytest.raises(RuntimeError):
        multiply_adds(network, torch.ones(1, 2, 12, 12))
    assert_same(snapshot(network), before)


@pytest.mark.parametrize("training", [True, False])
def test_a_mode_holds_for_its_block_only(training: bool) -> None:
    network = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), nn.ReLU()))
    network[1].eval()
    before = [module.training for module in network.modules()]
    with mode(network, training):
        assert {module.training for module in network.modules()} == {training}
    assert [module.training for module in network.modules()] == before


def test_hooks_hold_for_their_block_only_even_if_it_fails() -> None:
    network = nn.Sequential(nn.ReLU(), nn.Flatten())
    calls: list[str] = []
    after = [(module, lambda module, *_: calls.append(f"after {type(module).__name__}")) for module in network]
    before = [(network[1], lambda module, _: calls.append(f"before {type(module).__name__}"))]
    with pytest.raises(ZeroDivisionError), hooks(after, before):
        network(torch.zeros(1, 2))
        raise ZeroDivisionError
    network(torch.zeros(1, 2))
    assert calls == ["after ReLU", "before Flatten", "after Flatten"]
