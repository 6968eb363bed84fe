"""Zero-cost scores: the fast paths against the published computation and against the plain definition."""

import time
from collections.abc import Callable

import pytest
import torch

from opselect.selectors.decisions import Decisions, without
from opselect.selectors.proxies.interface import Weighted
from opselect.selectors.proxies.kernels import log_determinants
from opselect.selectors.proxies.nwot import nwot, nwot_reference
from opselect.selectors.supernets.settings import random_alpha
from opselect.spaces.darts.space import DARTSSpace, darts, darts_s2
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import multiply_adds
from opselect.spaces.nasbench201.network import CellNetwork, Skeleton
from opselect.spaces.nasbench201.space import OPERATIONS, digits201, nasbench201
from opselect.spaces.seeds import torch_generator
from opselect.spaces.space import Edge, SearchSpace, Weights

from .conftest import Findings, random_images
from .published_form import published_score

pytestmark = pytest.mark.performance

Turns = Callable[..., float]
PEAK_SIZE = 2048


def perturbations(space: SearchSpace, edge: int = 3) -> list[Weights]:
    """The weights of one step of Zero-Cost-PT: one operation of an edge is removed in each."""
    decisions = Decisions.none_yet(space.edges)
    weights = decisions.weights(random_alpha(decisions, torch_generator("benchmark")))
    return [without(weights, edge, operation) for operation in range(len(space.edges[edge].operations))]


def plain_score(network: torch.nn.Module, batch: LabelledImages) -> float:
    """The score of a network as it is, without its evaluation form."""
    return log_determinants(nwot.kernels(network, batch))[0]


@pytest.fixture(scope="session")
def peak(findings: Findings) -> float:
    """Floating-point operations a second of a product of two large float32 matrices on one core, the best of five."""
    matrix = torch.randn(PEAK_SIZE, PEAK_SIZE)
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        torch.mm(matrix, matrix)
        seconds.append(time.perf_counter() - started)
    findings.add("float32 peak of one core", f"{2 * PEAK_SIZE**3 / min(seconds[1:]) / 1e9:.0f} GFLOP/s")
    return 2 * PEAK_SIZE**3 / min(seconds[1:])


def supernet_of(space: SearchSpace, image_channels: int = 3) -> torch.nn.Module:
    return space.supernet(image_channels, 10, 0).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("batch_size", [64, 256])
def test_a_step_against_the_published_computation(
    turns: Turns, peak: float, findings: Findings, batch_size: int
) -> None:
    supernet, batch = supernet_of(nasbench201), random_images(batch_size)
    assert isinstance(supernet, CellNetwork)
    steps = perturbations(nasbench201)

    def published() -> list[float]:
        return [published_score(supernet, weights, batch.images) for weights in steps]

    def fast() -> list[float]:
        return nwot_reference.score_many(supernet, steps, batch)

    assert fast() == pytest.approx(published(), rel=1e-4)
    what = f"nasbench201, full size, batch {batch_size}: one step of nwot_reference, against the published computation"
    ratio = turns(what, published, fast, rounds=2)
    fused = 5 * 15 * 6 * 9 * 2 * 16 * 16 * 32 * 32 * batch_size
    findings.add(f"  its convolutions alone, at the peak: batch {batch_size}", f"{fused / peak:.3g} s")
    assert ratio > 1


def test_a_step_of_nwot_against_the_plain_definition(turns: Turns) -> None:
    supernet, batch, steps = supernet_of(nasbench201), random_images(64), perturbations(nasbench201)

    def plain() -> list[float]:
        return [plain_score(Weighted(supernet, weights), batch) for weights in steps]

    what = "nasbench201, full size, batch 64: one step of nwot, against the plain definition"
    turns(what, plain, lambda: nwot.score_many(supernet, steps, batch), 3)


def test_a_step_of_small_networks_together_against_one_by_one(turns: Turns) -> None:
    batch = LabelledImages(torch.randn(64, 1, 12, 12, generator=torch_generator("images")), torch.arange(64) % 10)
    supernet, steps = supernet_of(digits201, 1), perturbations(digits201)
    turns(
        "digits201, batch 64: one step of nwot, all perturbations in one stack, against one after the other",
        lambda: [nwot(Weighted(supernet, weights), batch) for weights in steps],
        lambda: nwot.score_many(supernet, steps, batch),
        20,
    )


@pytest.mark.parametrize("space", [darts, darts_s2], ids=lambda space: space.name)
def test_a_score_on_the_darts_spaces_against_the_plain_definition(turns: Turns, space: DARTSSpace) -> None:
    supernet, batch = supernet_of(space), random_images(64)
    network = Weighted(supernet, perturbations(space)[0])
    turns(
        f"{space.name}, full size, batch 64: one score, against the plain definition",
        lambda: plain_score(network, batch),
        lambda: nwot(network, batch),
    )


def test_a_nearly_decided_supernet_costs_less(turns: Turns) -> None:
    supernet, batch = supernet_of(darts), random_images(64)
    undecided = perturbations(darts)[0]
    decisions = Decisions.none_yet(darts.edges)
    for edge in range(1, len(darts.edges)):
        decisions = decisions.decide(edge, 3)
    decided = decisions.weights(torch.zeros(undecided.shape))
    turns(
        "darts, full size, batch 64: one score with all edges but one decided, against none decided",
        lambda: nwot(Weighted(supernet, undecided), batch),
        lambda: nwot(Weighted(supernet, decided), batch),
    )


@pytest.mark.parametrize(
    ("what", "space", "batch_size"),
    [
        ("batch 16", nasbench201, 16),
        ("batch 128", nasbench201, 128),
        ("8 channels", nasbench201.resized(8, None), 64),
        ("32 channels", nasbench201.resized(32, None), 64),
        ("1 cell a stage", nasbench201.resized(None, 1), 64),
        ("10 cells a stage", nasbench201.resized(None, 10), 64),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_how_the_cost_grows(turns: Turns, what: str, space: SearchSpace, batch_size: int) -> None:
    base, other = supernet_of(nasbench201), supernet_of(space)
    weights, batch = perturbations(nasbench201)[0], random_images(64)
    batch_of_other = random_images(batch_size)
    turns(
        f"nasbench201: one score, 16 channels, 5 cells, batch 64, against {what}",
        lambda: nwot(Weighted(base, weights), batch),
        lambda: nwot(Weighted(other, weights), batch_of_other),
        3,
    )


@pytest.mark.parametrize("nodes", [3, 5, 6])
def test_how_a_step_grows_with_the_edges_of_a_cell(turns: Turns, nodes: int) -> None:
    batch = LabelledImages(torch.randn(64, 1, 12, 12, generator=torch_generator("images")), torch.arange(64) % 10)

    def step_of(nodes: int) -> Callable[[], list[float]]:
        routes = [(source, target) for target in range(1, nodes) for source in range(target)]
        edges = tuple(Edge("cell", source, target, OPERATIONS) for source, target in routes)
        with torch.random.fork_rng():
            supernet = CellNetwork(edges, [OPERATIONS] * len(edges), Skeleton(8, 1, "plain"), 1, 10, False)
        weights = Decisions.none_yet(edges).weights(torch.zeros(len(edges), len(OPERATIONS)))
        steps = [without(weights, 1, operation) for operation in range(len(OPERATIONS))]
        return lambda: nwot.score_many(supernet.to(memory_format=torch.channels_last), steps, batch)

    what = f"digits201, batch 64: one step of nwot, 6 edges, against {nodes * (nodes - 1) // 2}"
    turns(what, step_of(4), step_of(nodes), 20)


def test_whole_space_scoring(turns: Turns, findings: Findings) -> None:
    batch = LabelledImages(torch.randn(64, 1, 12, 12, generator=torch_generator("images")), torch.arange(64) % 10)
    cells = [digits201.at(int(index)) for index in torch.randperm(15_625, generator=torch_generator("cells"))[:60]]

    def scores(score: Callable[[torch.nn.Module, LabelledImages], float]) -> list[float]:
        return [score(digits201.network(cell, 1, 10, 0), batch) for cell in cells]

    what = "digits201: nwot of 60 random stand-alone networks, against the plain definition"
    turns(what, lambda: scores(plain_score), lambda: scores(nwot), 3)
    assert multiply_adds(digits201.network(cells[0], 1, 10, 0), batch.images[:1]) > 0
