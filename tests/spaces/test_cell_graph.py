"""The walk over a cell by hand, and folded edges: sums in place, variants together as they are one by one."""

import pytest
import torch
from torch import Tensor, nn

from opselect.spaces.cell_graph import (
    EdgeOperations,
    FoldedEdge,
    FoldedGraph,
    ForkedEdge,
    Node,
    SharedReLU,
    add_in_place,
    affine_map,
    plus,
    walk,
)

ROUTES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]


def maps(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 2, 3, 3, generator=torch.Generator().manual_seed(seed))


def test_every_node_is_the_sum_of_its_edges_in_their_order() -> None:
    calls = []

    def add_edge(number: int, value: Tensor, total: Tensor | None) -> Tensor | None:
        calls.append((number, value.tolist(), None if total is None else total.tolist()))
        return plus(total, 10**number * value)

    # Nodes 0 and 1 are inputs; node 2 is v0 + 10 v1, node 3 is 100 v0 + 1000 v2.
    nodes = walk([(0, 2), (1, 2), (0, 3), (2, 3)], [torch.tensor([1.0]), torch.tensor([2.0])], torch.zeros(1), add_edge)
    assert [node.tolist() for node in nodes] == [[1], [2], [21], [21100]]
    assert calls == [(0, [1], None), (1, [2], [1]), (2, [1], None), (3, [21], [100])]


def test_a_node_that_nothing_enters_is_zero_for_the_edges_that_leave_it_and_in_the_end() -> None:
    received = []

    def add_edge(number: int, value: Tensor, total: Tensor | None) -> Tensor | None:
        received.append(value.tolist())
        return None

    inputs = torch.tensor([5.0])
    nodes = walk([(0, 1), (1, 2), (2, 3)], [inputs], torch.ones(1, 2), add_edge)
    assert received == [[5], [[0, 0]], [[0, 0]]]
    assert nodes[0] is inputs
    assert [node.tolist() for node in nodes[1:]] == [[[0, 0]]] * 3


def test_a_sum_with_nothing_is_the_other_one() -> None:
    first, second = torch.tensor(1.0), torch.tensor(2.0)
    assert plus(None, None) is None
    assert plus(first, None) is first
    assert plus(None, second) is second
    assert plus(first, second) == 3
    assert (first, second) == (1, 2)


@pytest.mark.parametrize(
    "factor", [1.0, -0.5, torch.tensor([2.0, -3.0])[:, None, None]], ids=["one", "number", "channels"]
)
@pytest.mark.parametrize(("longer", "shorter"), [(4, 4), (12, 4), (4, 12)])
def test_a_term_is_added_to_every_variant_and_in_place_unless_it_is_longer(
    longer: int, shorter: int, factor: float | Tensor
) -> None:
    total, term = maps(longer), maps(shorter, 1)
    before, given = total.clone(), term.clone()
    found = add_in_place(total, term, factor)
    longest = max(longer, shorter)
    expected = before.repeat(longest // longer, 1, 1, 1) + factor * given.repeat(longest // shorter, 1, 1, 1)
    torch.testing.assert_close(found, expected)
    assert torch.equal(term, given)
    assert (found is total) == (longer >= shorter)
    assert torch.equal(total, found if longer >= shorter else before)


def test_the_first_term_of_a_sum_is_a_copy() -> None:
    term = maps(4)
    assert add_in_place(None, term) is not term
    assert torch.equal(add_in_place(None, term), term)


@pytest.mark.parametrize("affine", [True, False])
def test_a_norm_in_evaluation_mode_is_an_affine_map(affine: bool) -> None:
    norm = nn.BatchNorm2d(2, affine=affine).eval()
    norm.running_mean = torch.tensor([0.5, -1.0])
    norm.running_var = torch.tensor([2.0, 0.3])
    if affine:
        norm.weight.data, norm.bias.data = torch.tensor([1.5, -2.0]), torch.tensor([0.1, 0.7])
    scale, shift = (each.detach()[:, None, None] for each in affine_map(norm, -0.7))
    torch.testing.assert_close(scale * maps(4) + shift, -0.7 * norm(maps(4)).detach())


class Rectified(nn.Module):
    """An operation that is folded: twice the ReLU."""


class Scaled(nn.Module):
    """A multiple of the rectified node."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, rectified: Tensor) -> Tensor:
        return self.factor * rectified


def fold(edge: FoldedEdge, operation: nn.Module, weight: float) -> None:
    """The plug of a family of spaces."""
    match operation:
        case Rectified() if weight == 0:
            edge.removed += 1
        case Rectified():
            edge.computed += 1
            edge.rectifying.append(Scaled(2 * weight))
        case nn.MaxPool2d() if weight != 0:
            edge.poolings.append((operation, weight, torch.tensor([1.0, 2.0])[:, None, None]))
        case nn.Sigmoid() if weight != 0:
            edge.others.append((operation, weight))
        case nn.Identity():
            edge.unchanged += weight


def edge_of() -> EdgeOperations:
    return EdgeOperations(
        {
            "none": None,
            "rectified": Rectified(),
            "pooling": nn.MaxPool2d(3, stride=1, padding=1),
            "sigmoid": nn.Sigmoid(),
            "identity": nn.Identity(),
        }
    )


def slow_edge(value: Tensor, row: list[float]) -> Tensor:
    pooled = nn.functional.max_pool2d(value, 3, stride=1, padding=1)
    shift = torch.tensor([1.0, 2.0])[:, None, None] if row[2] else 0
    return row[1] * 2 * value.clamp(min=0) + row[2] * pooled + shift + row[3] * value.sigmoid() + row[4] * value


def slow_graph(images: Tensor, rows: list[list[float]]) -> list[Tensor]:
    nodes = [images]
    for target in (1, 2, 3):
        entering = [number for number, route in enumerate(ROUTES) if route[1] == target]
        nodes.append(sum((slow_edge(nodes[ROUTES[n][0]], rows[n]) for n in entering), torch.zeros_like(images)))
    return nodes


def random_rows(seed: int) -> list[list[float]]:
    generator = torch.Generator().manual_seed(seed)
    kept = torch.rand(6, 5, generator=generator) > 0.4
    return (torch.randn(6, 5, generator=generator) * kept).tolist()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("differing", [[], [0], [5], [2, 3], [0, 1, 2, 3, 4, 5]], ids=str)
def test_variants_that_are_folded_together_have_the_values_of_each(seed: int, differing: list[int]) -> None:
    images, base = maps(4, seed), random_rows(seed)
    variants = [
        [random_rows(100 * each + seed)[n] if n in differing else base[n] for n in range(6)] for each in (1, 2, 3)
    ]
    graph = FoldedGraph(ROUTES, [edge_of() for _ in ROUTES], variants, fold, 4)
    before = images.clone()
    found = graph([images], images)
    assert torch.equal(images, before)
    apart = [slow_graph(images, rows) for rows in variants]
    for number, node in enumerate(found):
        expected = torch.cat([nodes[number] for nodes in apart])
        torch.testing.assert_close(node.repeat(len(expected) // len(node), 1, 1, 1), expected)


def test_the_graph_of_a_network_has_the_weight_one_everywhere() -> None:
    graph = FoldedGraph(ROUTES, [edge_of() for _ in ROUTES], [None], fold, 4)
    torch.testing.assert_close(graph([maps(4)], maps(4))[3], slow_graph(maps(4), [[1.0] * 5] * 6)[3])


def test_a_node_rectifies_and_pools_once_and_only_where_an_edge_reads_it() -> None:
    rows = [[0.0, 0.0, 0.0, 0.0, 1.0] for _ in ROUTES]
    rows[0][1] = rows[1][1] = rows[1][2] = rows[3][2] = 1.0
    edges = [edge_of() for _ in ROUTES]
    pooled: list[int] = []
    for edge in edges:
        edge.operations["pooling"].register_forward_hook(lambda *_: pooled.append(1))
    graph = FoldedGraph(ROUTES, edges, [rows], fold, 4)
    relus = [module for module in graph.modules() if isinstance(module, SharedReLU)]
    # Edges 0, 1 and 3 leave node 0, edges 2 and 4 node 1, edge 5 node 2.
    assert [(relu.computed, relu.removed) for relu in relus] == [([2], [1]), ([0], [2]), ([0], [1])]
    rectified: list[int] = []
    for number, relu in enumerate(relus):
        relu.register_forward_hook(lambda *_, number=number: rectified.append(number))
    graph([maps(4)], maps(4))
    assert rectified == [0, 1, 2]
    assert len(pooled) == 1
    assert not SharedReLU().is_needed


def folded_edge(row: list[float]) -> FoldedEdge:
    edge = FoldedEdge()
    for operation, weight in zip(list(edge_of().operations.values()), row[1:], strict=True):
        fold(edge, operation, weight)
    return edge


def node_of(value: Tensor) -> Node:
    return Node(value, value.relu(), {nn.MaxPool2d: nn.functional.max_pool2d(value, 3, stride=1, padding=1)})


@pytest.mark.parametrize(
    "row",
    [
        [0.0, 1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 2.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 3.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 4.0],
        [0.0, 1.0, 2.0, 3.0, 4.0],
    ],
)
def test_a_folded_edge_changes_a_sum_of_its_size_in_place(row: list[float]) -> None:
    # What `ForkedEdge` relies on: the parts that it passes on are views of its sum.
    total = maps(4, 1)
    assert folded_edge(row)(node_of(maps(4)), total) is total
    torch.testing.assert_close(total, maps(4, 1) + slow_edge(maps(4), row))


ROWS = [[0.0, 1.0, 2.0, 0.0, 0.5], [0.0] * 5, [0.0, 0.0, -1.0, 1.0, 0.0]]


@pytest.mark.parametrize("entering", [4, 12], ids=["shared node", "a node of each variant"])
@pytest.mark.parametrize("present", [None, 4, 12], ids=["no sum", "shared sum", "a sum of each variant"])
def test_a_forked_edge_adds_to_every_variant_its_own_part(entering: int, present: int | None) -> None:
    value = maps(entering)
    total = None if present is None else maps(present, 1)
    given = torch.zeros(12, 2, 3, 3) if total is None else total.clone().repeat(12 // len(total), 1, 1, 1)
    found = ForkedEdge([folded_edge(row) for row in ROWS], 4)(node_of(value), total)
    values = value.repeat(12 // entering, 1, 1, 1).split(4)
    assert found is not None
    torch.testing.assert_close(
        found, given + torch.cat([slow_edge(part, row) for part, row in zip(values, ROWS, strict=True)])
    )
    if present == 12:
        assert found is total


def test_a_forked_edge_of_which_no_variant_computes_anything_adds_nothing() -> None:
    edge = ForkedEdge([folded_edge([0.0] * 5), folded_edge([0.0] * 5)], 4)
    assert edge(node_of(maps(4)), None) is None
    total = maps(8, 1)
    assert torch.equal(edge(node_of(maps(4)), total), maps(8, 1))
