"""The topology rule: two inputs of every node stay, those that are missed most."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from opselect.bench.conformance.run import check_selector
from opselect.selectors.decisions import Decisions
from opselect.selectors.edgewise import UndecidableEdge
from opselect.selectors.methods import DartsPT, Magnitude, Random, ZeroCostDisc, ZeroCostPT, initial_state
from opselect.selectors.pruning import prune_edges, removal
from opselect.selectors.supernets.darts import DARTS
from opselect.selectors.task import SearchImages, SearchState, Selection, Selector, Task
from opselect.spaces.darts.space import DARTSSpace, darts, darts_original, darts_s1, darts_s3, darts_s4
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.space import NONE


def images(count: int) -> LabelledImages:
    generator = torch.Generator().manual_seed(count)
    return LabelledImages(torch.randn(count, 3, 8, 8, generator=generator), torch.arange(count) % 3)


def task_on(space: DARTSSpace, seed: int = 0, alpha: torch.Tensor | None = None) -> Task:
    """A task with a supernet of its own, small enough to be measured many times."""
    small = space.resized(channels=4, cells=3)
    return Task(
        space=small,
        images=SearchImages(images(16), images(12)),
        classes=3,
        seed=seed,
        supernet=small.supernet(3, 3, seed),
        alpha=alpha,
        training=DARTS(epochs=1, batch_size=8),
    )


def decided(task: Task, operation: int = 0) -> SearchState:
    """The state in which every edge has the same operation."""
    state = initial_state(task)
    return replace(state, decisions=replace(state.decisions, chosen=(operation,) * len(task.space.edges)))


def test_the_edges_that_are_missed_most_stay() -> None:
    task = task_on(darts)
    # How much every edge is worth; what is dropped is never asked for again.
    worth = {edge: float(value) for edge, value in enumerate(np.random.default_rng(0).permutation(28))}
    asked: list[tuple[int, ...]] = []

    def score(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
        assert not state.decisions.dropped.intersection(edges)
        asked.append(edges)
        return {edge: worth[edge] for edge in edges}

    state, steps = prune_edges(decided(task), score)
    for (_, node), edges in state.decisions.inputs().items():
        rivals = [n for n, e in enumerate(darts.edges) if (e.cell, e.target) == (darts.edges[edges[0]].cell, node)]
        assert sorted(edges) == sorted(sorted(rivals, key=lambda edge: worth[edge])[-2:])
    # Nodes with two inputs need no decision; the others lose one, two and three, in each of two types of cell.
    assert sorted(len(step.dropped) for step in steps) == [1, 1, 2, 2, 3, 3]
    assert task.costs.evaluations == sum(map(len, asked)) == 2 * (3 + (4 + 3) + (5 + 4 + 3))
    assert [step.cell for step in steps] == ["normal", "reduce"] * 3
    architecture = state.decisions.architecture()
    assert sum(operation != NONE for operation in architecture.operations) == 16
    assert darts.parse(darts.format(architecture)) == architecture


def test_of_equally_bad_edges_the_last_one_goes() -> None:
    state, steps = prune_edges(decided(task_on(darts)), lambda _, edges: dict.fromkeys(edges, 1.0))
    assert all(sorted(edges) == list(range(edges[0], edges[0] + 2)) for edges in state.decisions.inputs().values())
    assert {step.dropped for step in steps if step.cell == "normal"} == {(4,), (8, 7), (13, 12, 11)}


def test_scores_that_are_not_finite_decide_nothing() -> None:
    state, _ = prune_edges(
        decided(task_on(darts)),
        lambda _, edges: {edge: (math.nan, -math.inf)[edge % 2] if edge in (3, 8) else float(edge) for edge in edges},
    )
    assert {3, 8}.isdisjoint(state.decisions.dropped)
    with pytest.raises(UndecidableEdge, match=r"cell .*, node .: none of its edges has a finite score"):
        prune_edges(decided(task_on(darts)), lambda _, edges: dict.fromkeys(edges, math.nan))


def test_spaces_that_keep_all_edges_ask_for_nothing() -> None:
    task = Task(digits201, SearchImages(images(4), images(4)), 3, 0)
    state = decided(task)
    assert prune_edges(state, lambda *_: pytest.fail("nothing to score")) == (state, ())


def test_removal_measures_the_supernet_without_the_edge() -> None:
    state = decided(task_on(darts), operation=3)
    seen = []

    def metric(_: SearchState, several: Sequence[torch.Tensor]) -> list[float]:
        seen.extend(several)
        return [float(weights.sum()) for weights in several]

    assert removal(metric)(state, (9, 11)) == {9: -27.0, 11: -27.0}
    for edge, weights in zip((9, 11), seen, strict=True):
        assert weights[edge].tolist() == [0] * 7
        assert weights.sum() == 27


def test_a_dropped_edge_is_never_dropped_again_and_weighs_nothing() -> None:
    decisions = Decisions.none_yet(darts.edges).drop(5)
    with pytest.raises(ValueError, match="edge 0→4 is dropped already"):
        decisions.drop(5)
    weights = decisions.weights(torch.zeros(28, 7))
    assert weights[5].tolist() == [0] * 7
    assert weights[6].sum() == pytest.approx(1)
    assert decisions.inputs()["normal", 4] == (6, 7, 8)


@pytest.mark.parametrize("space", [darts, darts_original, darts_s1, darts_s3])
def test_magnitude_follows_the_rule_of_darts(space: DARTSSpace) -> None:
    width = max(len(edge.operations) for edge in space.edges)
    alpha = torch.randn(28, width, generator=torch.Generator().manual_seed(1))
    selection = Magnitude()(task_on(space, alpha=alpha))
    # Written out: by edge the strongest operation but none, by node the two strongest of these.
    expected = [NONE] * 28
    strength = {}
    for number, edge in enumerate(space.edges):
        softmax = torch.softmax(alpha[number, : len(edge.operations)], dim=0).tolist()
        value, name = max((v, n) for v, n in zip(softmax, edge.operations, strict=True) if n != NONE)
        strength[number] = value, name
    for cell in ("normal", "reduce"):
        for node in range(2, 6):
            entering = [n for n, e in enumerate(space.edges) if (e.cell, e.target) == (cell, node)]
            for number in sorted(entering, key=lambda n: strength[n][0])[-2:]:
                expected[number] = strength[number][1]
    assert list(selection.architecture.operations) == expected


@pytest.mark.parametrize(
    ("selector", "space"),
    [
        (Random(), darts),
        (Magnitude(), darts_s1),
        pytest.param(DartsPT(tuning_epochs=0), darts_s1, marks=pytest.mark.slow),
        pytest.param(
            ZeroCostPT(proxy="l2_norm", candidates=2, validation_batches=1, batch_size=8),
            darts_s1,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_selectors_keep_their_promises_on_the_darts_spaces(selector: Selector, space: DARTSSpace) -> None:
    alpha = torch.randn(28, 7, generator=torch.Generator().manual_seed(2))[:, : len(space.edges[0].operations)]
    selection = check_selector(selector, lambda: task_on(space, alpha=alpha))
    _has_two_inputs_per_node(space, selection)


@pytest.mark.parametrize(
    ("selector", "space"),
    [
        # The other two have this proxy, and this score, between them.
        pytest.param(ZeroCostPT(proxy="nwot", candidates=1, batch_size=8), darts_s3, marks=pytest.mark.slow),
        (ZeroCostDisc(proxy="nwot", candidates=1, batch_size=8), darts_s4),
        (ZeroCostPT(proxy="synflow", candidates=1, batch_size=8), darts_s1),
    ],
    ids=["nwot", "disc nwot", "synflow"],
)
def test_the_proxies_of_the_papers_decide_on_the_darts_spaces(selector: ZeroCostPT, space: DARTSSpace) -> None:
    selection = selector(task_on(space))
    _has_two_inputs_per_node(space, selection)
    assert len({step.operation for step in selection.steps}) > 1


def test_tuning_happens_between_rounds_of_operations_and_before_rounds_of_nodes() -> None:
    # One round decides an edge, or a node, of both types of cell: 14 and 3 of them, so 16 tunings of one epoch each.
    task = task_on(darts_s1)
    trained: list[int] = []

    class Counting(torch.optim.SGD):
        def step(self, *arguments: object) -> None:
            trained.append(1)
            super().step()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("opselect.selectors.supernets.training.SGD", Counting)
        _has_two_inputs_per_node(darts_s1, DartsPT(tuning_epochs=1)(task))
    steps_per_epoch = 16 // 8
    assert len(trained) == 16 * steps_per_epoch


def _has_two_inputs_per_node(space: DARTSSpace, selection: Selection) -> None:
    assert space.parse(space.format(selection.architecture)) == selection.architecture
    # S3 has none among its operations, so a node may keep an edge that carries nothing.
    most = 16 if all(NONE not in edge.operations for edge in space.edges) else None
    kept = sum(operation != NONE for operation in selection.architecture.operations)
    assert kept <= 16 if most is None else kept == most
