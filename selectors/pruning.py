"""The topology rule of the DARTS spaces: of the edges that enter a node, the few that are missed most stay."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from opselect.selectors.decisions import Decisions, without_edge
from opselect.selectors.edgewise import Tune, UndecidableEdge, leave_as_it_is
from opselect.selectors.proxies.interface import Combination
from opselect.selectors.scores import MissingIngredient, SupernetMetric
from opselect.selectors.task import EdgeScore, PruningStep, Score, SearchState
from opselect.spaces.images import LabelledImages
from opselect.spaces.space import NONE


def removal(metric: SupernetMetric) -> EdgeScore:
    """Minus the quality of the supernet without the edge: the best edge is the one that is missed most.

    Source: Wang et al. (arXiv 2108.04392), algorithm 2.
    """

    def score(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
        found = metric(state, [without_edge(state.weights, edge) for edge in edges])
        return {edge: -value for edge, value in zip(edges, found, strict=True)}

    return score


def strongest_operation(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
    """The largest weight of an operation of the edge other than `none`.

    Source: Liu et al., DARTS, ICLR 2019, section 2.4.
    """
    weights = torch.softmax(state.alpha.detach(), dim=1)
    return {
        edge: max(
            float(weights[edge, number])
            for number, name in enumerate(state.decisions.edges[edge].operations)
            if name != NONE
        )
        for edge in edges
    }


def best_operation(score: Score) -> EdgeScore:
    """An edge is as good as its best operation other than `none` looks while nothing is decided.

    DARTS's rule (`strongest_operation`) with any score in the place of alpha.
    """

    def strength(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
        undecided = replace(state, decisions=Decisions.none_yet(state.decisions.edges))
        return {
            edge: max(
                (
                    value
                    for name, value in zip(
                        undecided.decisions.edges[edge].operations, score(undecided, edge).tolist(), strict=True
                    )
                    if name != NONE and math.isfinite(value)
                ),
                default=-math.inf,
            )
            for edge in edges
        }

    return strength


def ranked_removals(scores: Sequence[EdgeScore], combination: Combination) -> EdgeScore:
    """Several scores as one, by their ranks among the edges of the node."""

    def score(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
        columns = [part(state, edges) for part in scores]
        combined = combination.combine(np.array([[column[edge] for column in columns] for edge in edges]))
        return dict(zip(edges, combined.tolist(), strict=True))

    return score


def no_edge_score(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
    """Of the oracles: a table says nothing about edges.

    Raises:
        MissingIngredient: always.
    """
    raise MissingIngredient(f"the oracles cannot say which edges to keep, as {state.task.space.name} asks")


def random_edge_score(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
    """Random numbers that depend on the trial's seed and what is decided."""
    generator = state.task.numpy_generator("random edge score", state.decisions.chosen, sorted(state.decisions.dropped))
    return dict(zip(edges, generator.random(len(edges)).tolist(), strict=True))


def prune_edges(
    state: SearchState,
    score: EdgeScore,
    tune: Tune = leave_as_it_is,
    batches: Iterator[LabelledImages] | None = None,
) -> tuple[SearchState, tuple[PruningStep, ...]]:
    """Drop edges until no node has more inputs than the space allows; nothing happens where it allows all.

    Nodes come in random order, one of every type of cell at a time. In a node the worst edge goes, the others are
    scored again, and so on. An edge that was dropped stays dropped while its node is decided; the published code scores
    the others as if it were still there.

    Args:
        state: with all operations decided.
        score: how good each edge into a node is.
        tune: what happens before each round of nodes.
        batches: one is drawn for each round and lies in the state.

    Raises:
        UndecidableEdge: of a node's edges, none has a finite score.
    """
    limit = state.task.space.inputs_per_node
    if limit is None:
        return state, ()
    costs = state.task.costs
    generator = state.task.numpy_generator("node order", state.candidate)
    crowded = [node for node, edges in state.decisions.inputs().items() if len(edges) > limit]
    waiting = {
        cell: [crowded[place] for place in generator.permutation(len(crowded)) if crowded[place][0] == cell]
        for cell in dict.fromkeys(cell for cell, _ in crowded)
    }
    steps: list[PruningStep] = []
    while any(waiting.values()):
        with costs.phase("tuning"):
            state = tune(state)
        if batches is not None:
            state = replace(state, batch=next(batches))
        for nodes in waiting.values():
            if nodes:
                state, step = _decide_node(state, score, nodes.pop(0), limit)
                steps.append(step)
    return state, tuple(steps)


def _decide_node(
    state: SearchState, score: EdgeScore, node: tuple[str, int], limit: int
) -> tuple[SearchState, PruningStep]:
    rounds: list[dict[int, float]] = []
    dropped: list[int] = []
    while len(edges := state.decisions.inputs()[node]) > limit:
        with state.task.costs.phase("scoring"):
            scores = score(state, edges)
        state.task.costs.evaluations += len(scores)
        finite = {edge: value for edge, value in scores.items() if math.isfinite(value)}
        if not finite:
            raise UndecidableEdge(f"cell {node[0]}, node {node[1]}: none of its edges has a finite score: {scores}")
        # Of equally bad edges the last one goes, as in the published code.
        worst = min(sorted(finite, reverse=True), key=lambda edge: finite[edge])
        rounds.append(scores)
        dropped.append(worst)
        state = replace(state, decisions=state.decisions.drop(worst))
    return state, PruningStep(cell=node[0], node=node[1], dropped=tuple(dropped), scores=tuple(rounds))
