"""The one loop: for each edge in some order, score its operations, keep the best, tune the supernet or not."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from torch import Tensor

from opselect.selectors.orders import Order, Ranking
from opselect.selectors.scores import score_edges
from opselect.selectors.task import Score, SearchState, Step
from opselect.spaces.images import LabelledImages

Tune: TypeAlias = Callable[[SearchState], SearchState]
"""Adjust the supernet to the decisions made so far; only called while an edge is still open."""


class UndecidableEdge(ValueError):
    """No operation of an edge has a finite score, so there is nothing to choose by."""


def leave_as_it_is(state: SearchState) -> SearchState:
    """The `Tune` of methods that do not tune."""
    return state


def decide_edges(
    state: SearchState,
    score: Score,
    order: Order,
    tune: Tune = leave_as_it_is,
    batches: Iterator[LabelledImages] | None = None,
) -> tuple[SearchState, tuple[Step, ...]]:
    """Decide every open edge: in each round one edge of every type of cell, as in the published code of DARTS-PT.

    Args:
        state: State to start from; usually nothing is decided.
        score: Score of the operations of an edge; larger is better.
        order: Order in which the edges are decided.
        tune: Tuning of the supernet between two rounds.
        batches: Batches of images, or None. One is drawn for every round and is in the state while its edges are
            scored.

    Returns:
        The state with all edges decided, and one step per decision.

    Raises:
        UndecidableEdge: All scores of an edge are NaN or infinite.

    Example:
        Magnitude on a supernet whose alpha prefers the fourth operation of every edge:

        >>> import torch
        >>> from opselect.selectors.methods import initial_state
        >>> from opselect.selectors.orders import ORDERS
        >>> from opselect.selectors.scores import alpha_strength
        >>> from opselect.selectors.task import SearchImages, Task
        >>> from opselect.spaces.digits import digits
        >>> from opselect.spaces.nasbench201.space import digits201
        >>> alpha = torch.zeros(6, 5)
        >>> alpha[:, 3] = 1
        >>> task = Task(digits201, SearchImages.halves(digits()), classes=10, seed=0, alpha=alpha)
        >>> state, steps = decide_edges(initial_state(task), alpha_strength, ORDERS["fixed"])
        >>> digits201.edges[0].operations[steps[0].operation]
        'nor_conv_3x3'
        >>> len(steps)
        6
    """
    costs, edges = state.task.costs, state.decisions.edges

    def measure(current: SearchState, numbers: Sequence[int]) -> dict[int, Tensor]:
        with costs.phase("scoring"):
            scores = score_edges(score, current, numbers)
        costs.evaluations += sum(map(len, scores.values()))
        return scores

    ranking: Ranking | None = None
    steps: list[Step] = []
    while state.decisions.open_edges:
        if batches is not None:
            state = replace(state, batch=next(batches))
        if ranking is None or order.every_step:
            ranking = order.rank(state, measure)
        for edge in ranking.next_edges(state.decisions):
            scores = ranking.valid_scores(state.decisions)
            if edge not in scores:
                scores |= measure(state, [edge])
            operation, tied = best(scores[edge], edges[edge].name)
            scores |= _scores_for_the_record(state, score, scores)
            steps.append(Step(edge, operation, {e: tuple(scores[e].tolist()) for e in sorted(scores)}, tied))
            state = state.decide(edge, operation)
        if state.decisions.open_edges:
            with costs.phase("tuning"):
                state = tune(state)
    return state, tuple(steps)


def _scores_for_the_record(state: SearchState, score: Score, known: dict[int, Tensor]) -> dict[int, Tensor]:
    """The missing scores of open edges, where the task records all scores; otherwise none.

    The method does not need them, so they do not count as evaluations and have a phase of their own.
    """
    if not state.task.record_all_scores or state.candidate != 0:
        return {}
    others = [edge for edge in state.decisions.open_edges if edge not in known]
    with state.task.costs.phase("observing"):
        return score_edges(score, state, others) if others else {}


def best(scores: Tensor, edge_name: str) -> tuple[int, int]:
    """The first operation with the largest finite score, and how many others tie with it.

    NaN and infinite scores are never chosen: a singular kernel or a failed evaluation says nothing about an operation.

    Args:
        scores: One score per operation, `[operations of the edge]`.
        edge_name: Name of the edge, for the message.

    Returns:
        The number of the operation, and the number of other operations with the same score.

    Raises:
        UndecidableEdge: No score is finite.

    Example:
        >>> import torch
        >>> best(torch.tensor([0.5, torch.nan, 2.0, 2.0]), "0 -> 1")
        (2, 1)
    """
    finite = {number: value for number, value in enumerate(scores.tolist()) if math.isfinite(value)}
    if not finite:
        raise UndecidableEdge(f"edge {edge_name}: none of its scores is finite: {scores.tolist()}")
    largest = max(finite.values())
    winners = [number for number, value in finite.items() if value == largest]
    return winners[0], len(winners) - 1
