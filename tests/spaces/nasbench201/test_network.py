"""Cell networks: the supernet against stand-alone networks, slow evaluations, and stacks against their models."""

import dataclasses
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from opselect.spaces.nasbench201.network import Cell, CellNetwork, Skeleton, stack_networks
from opselect.spaces.nasbench201.operations import AveragePooling, PlainDownSampling, ReLUConvBN, ResidualDownSampling
from opselect.spaces.nasbench201.space import EDGES, OPERATIONS, SIZE, digits201, nasbench201
from opselect.spaces.space import Architecture, Supernet, operation_indices

TINY = Skeleton(channels=4, cells_per_stage=1, down_sampling="residual")
CLASSES = 3
CONVOLUTIONS = Architecture(("nor_conv_3x3",) * 6)

indices = st.integers(0, SIZE - 1)
skeletons = st.sampled_from([TINY, dataclasses.replace(TINY, down_sampling="plain")])


def cell_network(
    candidates: list[tuple[str, ...]], skeleton: Skeleton = TINY, affine: bool = True, seed: int = 0
) -> CellNetwork:
    """A small network whose batch norms have statistics and parameters of their own, as after some training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CellNetwork(EDGES, candidates, skeleton, 1, CLASSES, affine)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.3)
                module.running_var.uniform_(0.5, 2)
                if module.affine:
                    nn.init.normal_(module.weight, mean=1, std=0.3)
                    nn.init.normal_(module.bias, std=0.3)
    return network.eval()


def supernet(skeleton: Skeleton = TINY) -> CellNetwork:
    return cell_network([OPERATIONS] * len(EDGES), skeleton, affine=False)


def alone(architecture: Architecture, **settings: object) -> CellNetwork:
    return cell_network([(name,) for name in architecture.operations], **settings)


def some_images(count: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def one_hot(architecture: Architecture) -> Tensor:
    return functional.one_hot(torch.tensor(operation_indices(EDGES, architecture)), len(OPERATIONS)).float()


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_same_state(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def slow_operation(cell: Cell, edge: int, name: str, value: Tensor) -> Tensor:
    """One operation of an edge in eval mode, written out."""
    match name:
        case "none":
            return torch.zeros_like(value)
        case "skip_connect":
            return value
        case "avg_pool_3x3":
            height, width = value.shape[2:]
            rows = [
                [value[:, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean(dim=(2, 3)) for j in range(width)]
                for i in range(height)
            ]
            return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    block = cell.edges[edge].operations[name]
    kernel = block.convolution.weight
    out = functional.conv2d(value.clamp(min=0), kernel, padding={"nor_conv_1x1": 0, "nor_conv_3x3": 1}[name])
    mean, variance = (statistic[None, :, None, None] for statistic in (block.norm.running_mean, block.norm.running_var))
    return (out - mean) / (variance + 1e-5).sqrt()


def slow_cell(cell: Cell, images: Tensor, weights: Tensor) -> Tensor:
    """node(j) = sum over i < j and operations o of weight(i→j, o) * o(node(i)), by recursion from the last node."""
    routes = [(edge.source, edge.target) for edge in EDGES]

    def node(number: int) -> Tensor:
        if number == 0:
            return images
        total = torch.zeros_like(images)
        for edge, (source, target) in enumerate(routes):
            if target == number:
                for column, name in enumerate(OPERATIONS):
                    total = total + weights[edge, column] * slow_operation(cell, edge, name, node(source))
        return total

    return node(3)


def test_the_supernet_of_nasbench201_has_the_published_size() -> None:
    # REFERENCE.md 0: 1.686106 M weights and 17 blocks; 185 ReLUs, 184 ReLU-conv-BN; 3,518,464 units at their inputs.
    network = nasbench201.supernet(3, 10, seed=0)
    assert isinstance(network, Supernet)
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_686_106
    assert len(network.body) == 17
    assert [number for number, is_cell in enumerate(network.is_cell) if not is_cell] == [5, 11]
    hooked = Counter(type(module) for module in network.modules())
    assert (hooked[nn.ReLU], hooked[ReLUConvBN]) == (185, 184)
    units = []
    for module in network.modules():
        if isinstance(module, nn.ReLU | ReLUConvBN):
            module.register_forward_hook(lambda _, inputs, __: units.append(inputs[0].numel()))
    with torch.no_grad():
        logits = network.eval()(torch.zeros(1, 3, 32, 32), torch.full((6, 5), 0.2))
    assert logits.shape == (1, 10)
    assert sum(units) == 3_518_464


def test_stages_double_the_channels_and_halve_the_size() -> None:
    for down_sampling, block in (("residual", ResidualDownSampling), ("plain", PlainDownSampling)):
        network = supernet(Skeleton(channels=4, cells_per_stage=2, down_sampling=down_sampling))
        assert [type(module) for module in network.body] == [Cell, Cell, block, Cell, Cell, block, Cell, Cell]
        shapes: list[tuple[int, ...]] = []
        for module in network.body:
            module.register_forward_hook(lambda _, __, output, shapes=shapes: shapes.append(tuple(output.shape[1:])))
        network(some_images(), torch.ones(6, 5))
        assert shapes == [(4, 8, 8)] * 2 + [(8, 4, 4)] * 3 + [(16, 2, 2)] * 3


@settings(max_examples=12)
@given(indices, skeletons, st.booleans())
def test_a_supernet_under_one_hot_weights_is_the_stand_alone_network(
    number: int, skeleton: Skeleton, training: bool
) -> None:
    architecture = digits201.at(number)
    whole = supernet(skeleton).train(training)
    single = alone(architecture, skeleton=skeleton, affine=False, seed=1).train(training)
    single.load_state_dict({name: whole.state_dict()[name] for name in single.state_dict()})
    images = some_images()
    torch.testing.assert_close(whole(images, one_hot(architecture)), single(images), rtol=0, atol=1e-6)
    # In train mode the statistics of what was computed move alike, and nothing else moves.
    moved = single.state_dict()
    before = supernet(skeleton).state_dict()
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(value, moved.get(name, before[name]), rtol=0, atol=1e-6)


@settings(max_examples=15)
@given(st.lists(st.sampled_from([0.0, 0.0, 0.3, -0.7, 1.0]), min_size=30, max_size=30))
def test_operations_of_weight_zero_are_not_computed(values: list[float]) -> None:
    weights = torch.tensor(values).reshape(6, 5)
    network = supernet()
    calls: Counter[tuple[int, str]] = Counter()

    def count(edge: int, name: str) -> Callable[..., None]:
        return lambda *_: calls.update([(edge, name)])

    for block in network.body:
        if isinstance(block, Cell):
            for edge, choices in enumerate(block.edges):
                for name, module in choices.operations.items():
                    module.register_forward_hook(count(edge, name))
    network(some_images(1), weights)
    expected = {
        (edge, name): 3  # cells
        for edge in range(6)
        for column, name in enumerate(OPERATIONS)
        if weights[edge, column] != 0 and name != "none"
    }
    assert calls == expected


@settings(max_examples=10)
@given(st.lists(st.sampled_from([0.0, 0.25, -0.5, 1.0, 2.0]), min_size=30, max_size=30))
def test_a_cell_is_the_weighted_sum_of_its_operations_node_by_node(values: list[float]) -> None:
    weights = torch.tensor(values).reshape(6, 5)
    network = supernet()
    cell = network.body[0]
    images = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(7))
    found = cell(images, weights, (weights != 0).tolist())
    torch.testing.assert_close(found, slow_cell(cell, images, weights), rtol=1e-4, atol=1e-4)


def test_a_cell_with_no_operation_at_all_is_zero() -> None:
    cell = supernet().body[0]
    images = torch.randn(2, 4, 5, 5)
    nothing = torch.zeros(6, 5)
    assert torch.equal(cell(images, nothing, (nothing != 0).tolist()), torch.zeros_like(images))


def test_a_forward_pass_is_a_pure_function_of_images_and_weights() -> None:
    network = supernet()
    before = state(network)
    images, weights = some_images(), torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
    kept = weights.clone()
    first = network(images, weights)
    network(images, one_hot(CONVOLUTIONS))
    network(some_images(seed=1), torch.zeros(6, 5))
    assert torch.equal(network(images, weights), first)
    assert torch.equal(weights, kept)
    assert_same_state(state(network), before)


def test_weights_get_the_gradient_of_finite_differences() -> None:
    network = supernet().double()
    images = some_images(2).double()
    weights = torch.rand(6, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 0.1
    weights[2, 3] = weights[4, 1] = 0
    variable = weights.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(images, variable)[:, 0].sum(), variable)

    step = 1e-6
    for edge in range(6):
        for column, name in enumerate(OPERATIONS):
            if weights[edge, column] == 0 or name == "none":
                assert gradient[edge, column] == 0  # it is not computed, so nothing is known about it
                continue
            shift = torch.zeros_like(weights)
            shift[edge, column] = step
            with torch.no_grad():
                difference = network(images, weights + shift)[:, 0].sum() - network(images, weights - shift)[:, 0].sum()
            assert gradient[edge, column] != 0
            assert float(gradient[edge, column]) == pytest.approx(float(difference / (2 * step)), rel=1e-3, abs=1e-6)


def test_average_pooling_does_not_count_padding() -> None:
    image = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    # corners: mean of 4 pixels, e.g. (1 + 2 + 4 + 5) / 4; borders: of 6; centre: of 9.
    expected = torch.tensor([[3.0, 3.5, 4.0], [4.5, 5.0, 5.5], [6.0, 6.5, 7.0]])
    assert torch.equal(AveragePooling()(image)[0, 0], expected)
    assert torch.equal(AveragePooling()(torch.ones(1, 2, 4, 6)), torch.ones(1, 2, 4, 6))


def test_relu_comes_before_the_convolution_and_the_norm_after_it() -> None:
    block = ReLUConvBN(1, 1, 1).eval()
    with torch.no_grad():
        block.convolution.weight.fill_(2)
        block.norm.running_mean.fill_(1)
        block.norm.running_var.fill_(4)
        block.norm.eps = 0
    # (2 * max(x, 0) - 1) / 2
    assert torch.equal(
        block(torch.tensor([-3.0, 0.0, 5.0]).reshape(1, 1, 1, 3)).flatten(), torch.tensor([-0.5, -0.5, 4.5])
    )


@pytest.mark.parametrize("space", [nasbench201, digits201], ids=lambda space: space.name)
def test_parameters_follow_the_seed_and_the_global_random_state_is_left_alone(space: object) -> None:
    architecture = nasbench201.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|avg_pool_3x3~2|")
    builders: tuple[Callable[[int], CellNetwork], ...] = (
        lambda seed: space.supernet(3, 10, seed),
        lambda seed: space.network(architecture, 3, 10, seed),
    )
    for build in builders:
        torch.manual_seed(5)
        untouched = torch.get_rng_state()
        first = state(build(1))
        assert torch.equal(torch.get_rng_state(), untouched)
        torch.manual_seed(6)
        assert_same_state(state(build(1)), first)
        other = state(build(2))
        drawn = [name for name, value in first.items() if value.ndim in (2, 4)]  # convolutions and the classifier
        assert drawn
        assert not any(torch.equal(first[name], other[name]) for name in drawn)


def test_only_the_norms_of_a_stand_alone_cell_are_learnt() -> None:
    architecture = Architecture(("nor_conv_3x3",) * 6)
    learnt = {
        kind: {module.affine for module in network.body[0].modules() if isinstance(module, nn.BatchNorm2d)}
        for kind, network in (
            ("supernet", digits201.supernet(1, 10, 0)),
            ("network", digits201.network(architecture, 1, 10, 0)),
        )
    }
    assert learnt == {"supernet": {False}, "network": {True}}


def stepped(
    network: CellNetwork, images: Tensor, labels: Tensor
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Logits `[batch, models, classes]` in train mode, gradients, and the state after one step of SGD.

    Args:
        network: with any number of models.
        images: `[models, batch, 1, height, width]`.
        labels: `[models, batch]`.
    """
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    logits = network(images.transpose(0, 1).flatten(1, 2)).unflatten(1, (len(images), CLASSES))
    losses = [functional.cross_entropy(logits[:, model], labels[model]) for model in range(len(images))]
    torch.stack(losses).sum().backward()
    gradients = {
        name: parameter.grad.clone() for name, parameter in network.named_parameters() if parameter.grad is not None
    }
    optimizer.step()
    return logits.detach(), gradients, state(network)


@settings(max_examples=6)
@given(indices, skeletons, st.integers(2, 3))
def test_models_of_a_stack_train_as_they_do_alone(number: int, skeleton: Skeleton, models: int) -> None:
    architecture = digits201.at(number)
    generator = torch.Generator().manual_seed(number)
    images = torch.randn(models, 6, 1, 8, 8, generator=generator)
    labels = torch.randint(CLASSES, (models, 6), generator=generator)
    networks = [alone(architecture, skeleton=skeleton, seed=model) for model in range(models)]
    together = stepped(stack_networks(networks), images, labels)
    for model, network in enumerate(networks):
        logits, gradients, after = stepped(network, images[[model]], labels[[model]])
        torch.testing.assert_close(together[0][:, [model]], logits, rtol=1e-3, atol=1e-4)
        for joint, own in ((together[1], gradients), (together[2], after)):
            assert joint.keys() == own.keys()
            for name, value in own.items():
                part = joint[name] if value.ndim == 0 else joint[name].chunk(models)[model].reshape(value.shape)
                torch.testing.assert_close(part, value, rtol=5e-3, atol=5e-4, msg=lambda m, name=name: f"{name}: {m}")


def test_models_of_a_stack_do_not_see_each_other() -> None:
    stacked = stack_networks([alone(CONVOLUTIONS, seed=model) for model in range(3)])
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    changed = images.clone()
    changed[:, 1] = 10 * torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(1))
    for training in (False, True):
        stacked.train(training)
        first, second = (stacked(batch).unflatten(1, (3, CLASSES)) for batch in (images, changed))
        torch.testing.assert_close(first[:, [0, 2]], second[:, [0, 2]], rtol=0, atol=1e-6)
        assert (first[:, 1] - second[:, 1]).abs().max() > 1e-4


def test_a_stack_copies_the_parameters_of_its_models() -> None:
    networks = [alone(CONVOLUTIONS, seed=model) for model in range(2)]
    before = [state(network) for network in networks]
    stacked = stack_networks(networks)
    with torch.no_grad():
        for parameter in stacked.parameters():
            parameter.add_(1)
    for network, old in zip(networks, before, strict=True):
        assert_same_state(state(network), old)
    assert stack_networks(networks[:1]) is networks[0]


@pytest.mark.parametrize(
    "other",
    [
        lambda: alone(Architecture(("nor_conv_1x1",) * 6)),
        lambda: alone(CONVOLUTIONS, skeleton=dataclasses.replace(TINY, channels=8)),
        lambda: alone(CONVOLUTIONS, skeleton=dataclasses.replace(TINY, down_sampling="plain")),
        lambda: alone(CONVOLUTIONS, affine=False),
        lambda: stack_networks([alone(CONVOLUTIONS), alone(CONVOLUTIONS)]),
        supernet,
    ],
    ids=["architecture", "channels", "down-sampling", "norms", "stack", "supernet"],
)
def test_networks_that_differ_are_not_stacked(other: Callable[[], CellNetwork]) -> None:
    with pytest.raises(ValueError, match="only plain networks of one architecture and size"):
        stack_networks([alone(CONVOLUTIONS), other()])
