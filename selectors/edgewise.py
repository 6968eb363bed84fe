"""The one loop: for each edge in some order, score its operations, keep the best, tune the supernet or not."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from torch import Tensor

from opselect.selectors.orders import Order
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
        state: where to start; usually nothing is decided.
        score: how good each operation of an edge is.
        order: which edge comes next.
        tune: what happens between two rounds.
        batches: one is drawn for every round and lies in the state while its edges are scored.

    Returns:
        The state with all edges decided, and one step a decision.

    Raises:
        UndecidableEdge: all scores of an edge are NaN or infinite.
    """
    costs, edges = state.task.costs, state.decisions.edges
    steps: list[Step] = []

    def counted(current: SearchState, edge: int) -> Tensor:
        with costs.phase("scoring"):
            scores = score(current, edge)
        costs.evaluations += len(scores)
        return scores

    if batches is not None:
        state = replace(state, batch=next(batches))
    ranking = order.rank(state, counted)
    while state.decisions.open_edges:
        if steps:
            if batches is not None:
                state = replace(state, batch=next(batches))
            if order.every_step:
                ranking = order.rank(state, counted)
        for cell in dict.fromkeys(edges[number].cell for number in state.decisions.open_edges):
            still_open = state.decisions.open_edges
            known = {number: scores for number, scores in ranking.scores.items() if number in still_open}
            edge = next(number for number in ranking.edges if number in still_open and edges[number].cell == cell)
            if edge not in known:
                known[edge] = counted(state, edge)
            operation, tied = best(known[edge], edges[edge].name)
            if state.task.record_all_scores and state.candidate == 0:
                with costs.phase("observing"):
                    for other in state.decisions.open_edges:
                        if other not in known:
                            known[other] = score(state, other)
            scores = {number: tuple(known[number].tolist()) for number in sorted(known)}
            steps.append(Step(edge, operation, scores, tied))
            state = state.decide(edge, operation)
        if state.decisions.open_edges:
            with costs.phase("tuning"):
                state = tune(state)
    return state, tuple(steps)


def best(scores: Tensor, edge_name: str) -> tuple[int, int]:
    """The first operation with the largest finite score, and how many others tie with it.

    NaN and infinite scores are never chosen: a singular kernel or a failed evaluation says nothing about an operation.

    Raises:
        UndecidableEdge: no score is finite.
    """
    finite = {number: value for number, value in enumerate(scores.tolist()) if math.isfinite(value)}
    if not finite:
        raise UndecidableEdge(f"edge {edge_name}: none of its scores is finite: {scores.tolist()}")
    largest = max(finite.values())
    winners = [number for number, value in finite.items() if value == largest]
    return winners[0], len(winners) - 1
