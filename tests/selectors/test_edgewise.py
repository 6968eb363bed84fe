"""The loop: planted answers, a case traced by hand, and what must not matter."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from opselect.selectors.costs import Costs
from opselect.selectors.decisions import Decisions
from opselect.selectors.edgewise import UndecidableEdge, best, decide_edges
from opselect.selectors.methods import initial_state
from opselect.selectors.orders import ORDERS
from opselect.selectors.task import SearchState, Task
from opselect.spaces.images import LabelledImages
from opselect.spaces.space import Edge

EDGES = 6
OPERATIONS = 5
tables = st.lists(
    st.lists(st.integers(-1000, 1000), min_size=OPERATIONS, max_size=OPERATIONS, unique=True),
    min_size=EDGES,
    max_size=EDGES,
)


def scored_by(table: list[list[int]]) -> "CountingScore":
    return CountingScore(torch.tensor(table, dtype=torch.float64))


class CountingScore:
    """A score that reads a fixed table and remembers which edges it was asked about, and with how many open edges."""

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.asked: list[tuple[int, int]] = []

    def __call__(self, state: SearchState, edge: int) -> Tensor:
        self.asked.append((edge, len(state.decisions.open_edges)))
        return self.table[edge]


@pytest.mark.parametrize("order", ORDERS)
@given(table=tables)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_additive_scores_give_the_optimum_in_every_order(order: str, table: list[list[int]], task: Task) -> None:
    state, steps = decide_edges(initial_state(task), scored_by(table), ORDERS[order])
    assert state.decisions.chosen == tuple(int(np.argmax(row)) for row in table)
    assert sorted(step.edge for step in steps) == list(range(EDGES))


TABLE = [[0, 1, 2, 3, 4], [9, 0, 0, 0, 1], [5, 6, 7, 6, 5], [0, 0, 20, 0, 0], [8, 8, 8, 8, 9], [1, 2, 3, 2, 1]]
"""Best scores by edge: 4, 9, 7, 20, 9, 3; averages 2, 2, 5.8, 4, 8.2, 1.8."""


@pytest.mark.parametrize(
    ("order", "edges"),
    [
        ("fixed", [0, 1, 2, 3, 4, 5]),
        ("reverse", [5, 4, 3, 2, 1, 0]),
        ("global-op-iter", [3, 1, 4, 2, 0, 5]),
        ("global-op-once", [3, 1, 4, 2, 0, 5]),
        ("global-edge-iter", [4, 2, 3, 0, 1, 5]),
        ("global-edge-once", [4, 2, 3, 0, 1, 5]),
    ],
)
def test_orders_by_hand(order: str, edges: list[int], task: Task) -> None:
    _, steps = decide_edges(initial_state(task), scored_by(TABLE), ORDERS[order])
    assert [step.edge for step in steps] == edges


@pytest.mark.parametrize(
    ("order", "evaluations"),
    [("fixed", 6), ("random", 6), ("global-op-once", 6 + 6), ("global-op-iter", 6 + 5 + 4 + 3 + 2 + 1)],
)
def test_how_many_edges_an_order_scores(order: str, evaluations: int, task: Task) -> None:
    score = scored_by(TABLE)
    decide_edges(initial_state(task), score, ORDERS[order])
    assert len(score.asked) == evaluations
    assert task.costs.evaluations == evaluations * OPERATIONS


def test_once_orders_score_again_when_they_decide(task: Task) -> None:
    score = scored_by(TABLE)
    decide_edges(initial_state(task), score, ORDERS["global-edge-once"])
    assert score.asked[:6] == [(edge, 6) for edge in range(6)]
    assert [edge for edge, _ in score.asked[6:]] == [4, 2, 3, 0, 1, 5]
    assert [still_open for _, still_open in score.asked[6:]] == [6, 5, 4, 3, 2, 1]


def test_iterated_orders_see_the_decisions_made_so_far(task: Task) -> None:
    def score(state: SearchState, edge: int) -> Tensor:
        # While edge 0 is open it looks best; once it is decided, edge 5 does.
        favourite = 0 if 0 in state.decisions.open_edges else 5
        return torch.arange(5.0) + (100 if edge == favourite else -edge)

    _, iterated = decide_edges(initial_state(task), score, ORDERS["global-op-iter"])
    _, once = decide_edges(initial_state(task), score, ORDERS["global-op-once"])
    assert [step.edge for step in iterated] == [0, 5, 1, 2, 3, 4]
    assert [step.edge for step in once] == [0, 1, 2, 3, 4, 5]


def test_random_order_depends_on_seed_and_candidate_alone(task: Task) -> None:
    def edges(seed: int, candidate: int, table: list[list[int]]) -> list[int]:
        state = initial_state(replace(task, seed=seed), candidate)
        return [step.edge for step in decide_edges(state, scored_by(table), ORDERS["random"])[1]]

    assert edges(0, 0, TABLE) == edges(0, 0, TABLE[::-1])
    seen = {tuple(edges(seed, candidate, TABLE)) for seed in range(4) for candidate in range(4)}
    assert len(seen) > 10


def test_a_trace_by_hand_with_tuning_between_decisions(task: Task) -> None:
    # Three edges with two operations; tuning adds 1 to alpha, which the score adds to its second operation.
    edges = tuple(Edge("cell", 0, target, ("a", "b")) for target in (1, 2, 3))
    state = SearchState(task, Decisions.none_yet(edges), torch.zeros(3, 2))
    base = torch.tensor([[1.0, 0.5], [1.0, 0.5], [3.0, 0.5]])

    def score(current: SearchState, edge: int) -> Tensor:
        return base[edge] + torch.tensor([0.0, float(current.alpha[0, 0])])

    calls = []

    def tune(current: SearchState) -> SearchState:
        calls.append(current.decisions.chosen)
        return replace(current, alpha=current.alpha + 1)

    final, steps = decide_edges(state, score, ORDERS["fixed"], tune)
    assert [step.scores[step.edge] for step in steps] == [(1.0, 0.5), (1.0, 1.5), (3.0, 2.5)]
    assert final.decisions.chosen == (0, 1, 0)
    assert calls == [(0, None, None), (0, 1, None)]  # not after the last decision
    assert final.decisions.architecture().operations == ("a", "b", "a")


def test_every_step_sees_one_new_batch(task: Task, few_digits: LabelledImages) -> None:
    batches = [few_digits[number : number + 1] for number in range(6)]
    seen: list[list[int]] = []

    def source() -> Iterator[LabelledImages]:
        yield from batches

    def score(state: SearchState, edge: int) -> Tensor:
        seen.append([number for number, batch in enumerate(batches) if state.batch is batch])
        return torch.arange(5.0)

    decide_edges(initial_state(task), score, ORDERS["global-op-iter"], batches=source())
    assert seen == [[step] for step, count in enumerate((6, 5, 4, 3, 2, 1)) for _ in range(count)]


def test_ties_keep_the_first_operation_and_are_counted() -> None:
    assert best(torch.tensor([1.0, 3.0, 3.0, 2.0, 3.0]), "0→1") == (1, 2)
    assert best(torch.tensor([0.0, 0.0]), "0→1") == (0, 1)


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_not_finite_are_never_chosen(strange: float) -> None:
    assert best(torch.tensor([strange, -5.0, strange, -4.0]), "0→1") == (3, 0)
    with pytest.raises(UndecidableEdge, match=r"edge 0→1: none of its scores is finite"):
        best(torch.tensor([strange, strange]), "0→1")


@given(table=tables, permutation=st.permutations(range(OPERATIONS)))
@settings(max_examples=30)
def test_permuted_operations_give_the_permuted_answer(table: list[list[int]], permutation: list[int]) -> None:
    for row in table:
        chosen, _ = best(torch.tensor(row, dtype=torch.float64), "")
        permuted, _ = best(torch.tensor([row[number] for number in permutation], dtype=torch.float64), "")
        assert permutation[permuted] == chosen


def test_observing_scores_every_open_edge_and_changes_no_decision(task: Task) -> None:
    _, plain = decide_edges(initial_state(task), scored_by(TABLE), ORDERS["random"])
    _, observed = decide_edges(initial_state(replace(task, record_all_scores=True)), scored_by(TABLE), ORDERS["random"])
    assert [(s.edge, s.operation) for s in plain] == [(s.edge, s.operation) for s in observed]
    assert [sorted(step.scores) for step in plain] == [[step.edge] for step in plain]
    decided: set[int] = set()
    for step in observed:
        assert set(step.scores) == set(range(EDGES)) - decided
        decided.add(step.edge)


def test_costs_are_written_by_phase_and_observing_is_a_phase_of_its_own(task: Task) -> None:
    def tune(state: SearchState) -> SearchState:
        return state

    for record_all_scores, phases in ((False, {"scoring", "tuning"}), (True, {"scoring", "tuning", "observing"})):
        watched = replace(task, record_all_scores=record_all_scores, costs=Costs())
        decide_edges(initial_state(watched), scored_by(TABLE), ORDERS["fixed"], tune)
        assert watched.costs.seconds.keys() == phases
        assert watched.costs.evaluations == EDGES * OPERATIONS, "what is observed is no cost of the selector"


def test_a_step_shows_the_scores_of_all_open_edges_that_were_observed_and_its_ties(task: Task) -> None:
    _, steps = decide_edges(initial_state(replace(task, record_all_scores=True)), scored_by(TABLE), ORDERS["reverse"])
    for number, step in enumerate(steps):
        assert step.scores == {edge: tuple(map(float, TABLE[edge])) for edge in range(EDGES - number)}
    tied = [[3, 1, 3, 3, 0], *TABLE[1:]]
    _, steps = decide_edges(initial_state(task), scored_by(tied), ORDERS["fixed"])
    assert [(step.operation, step.tied) for step in steps] == [(0, 2), (0, 0), (2, 0), (2, 0), (4, 0), (2, 0)]


def test_an_edge_without_a_finite_score_is_named(task: Task) -> None:
    table = torch.tensor(TABLE, dtype=torch.float64)
    table[3] = torch.nan
    with pytest.raises(UndecidableEdge, match=r"^edge 0→3: none of its scores is finite"):
        decide_edges(initial_state(task), CountingScore(table), ORDERS["fixed"])
