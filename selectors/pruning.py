"""Edge pruning in the DARTS spaces: every node keeps the few best-scored of the edges that enter it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from opselect.selectors.decisions import Decisions, without_edge
from opselect.selectors.edgewise import Tune, UndecidableEdge, leave_as_it_is
from opselect.selectors.proxies.interface import Combination
from opselect.selectors.scores import MissingIngredient, SupernetMetric
from opselect.selectors.task import EdgeScore, PruningStep, Score, SearchState
from opselect.spaces.images import LabelledImages
from opselect.spaces.space import NONE


def removal(metric: SupernetMetric) -> EdgeScore:
    """Minus the metric of the supernet without the edge: the best edge is the one that is missed most.

    Args:
        metric: Metric of the supernet, of which larger values are better.

    Source: Wang et al. (arXiv 2108.04392), algorithm 2.
    """

    def score(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
        values = metric(state, [without_edge(state.weights, edge) for edge in edges])
        return {edge: -value for edge, value in zip(edges, values, strict=True)}

    return score


def strongest_operation(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
    """The largest weight of an operation of the edge other than `none`.

    Args:
        state: State of the search.
        edges: Numbers of the edges into one node.

    Returns:
        By edge number, the largest entry of its row of the weights as which the training reads alpha.

    Source: Liu et al., DARTS, ICLR 2019, section 2.4.
    """
    undecided = Decisions.none_yet(state.decisions.edges)
    weights = state.task.training.weights(state.alpha.detach(), undecided)
    return {
        edge: max(
            float(weights[edge, number])
            for number, name in enumerate(state.decisions.edges[edge].operations)
            if name != NONE
        )
        for edge in edges
    }


def best_operation(score: Score) -> EdgeScore:
    """The score of the best operation of the edge other than `none`, computed as if nothing were decided.

    DARTS's rule (`strongest_operation`) with any score in place of alpha.

    Args:
        score: Score of operations; values that are not finite do not count.
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
    """Several scores as one, by their ranks among the edges of the node.

    Args:
        scores: One score of edges for each of the combination's proxies.
        combination: Rule that makes one score of them.
    """

    def score(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
        columns = [proxy_score(state, edges) for proxy_score in scores]
        combined = combination.combine(np.array([[column[edge] for column in columns] for edge in edges]))
        return dict(zip(edges, combined.tolist(), strict=True))

    return score


def no_edge_score(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
    """The edge score of the oracles, which have none: a table has no accuracies of single edges.

    Raises:
        MissingIngredient: Always.
    """
    raise MissingIngredient(f"the oracles cannot say which edges to keep, as {state.task.space.name} asks")


def random_edge_score(state: SearchState, edges: tuple[int, ...]) -> dict[int, float]:
    """Random numbers that depend on the trial's seed, the decisions and the dropped edges."""
    generator = state.task.numpy_generator("random edge score", state.decisions.chosen, sorted(state.decisions.dropped))
    return dict(zip(edges, generator.random(len(edges)).tolist(), strict=True))


def prune_edges(
    state: SearchState,
    score: EdgeScore,
    tune: Tune = leave_as_it_is,
    batches: Iterator[LabelledImages] | None = None,
) -> tuple[SearchState, tuple[PruningStep, ...]]:
    """Drop edges until no node has more inputs than the space allows; in spaces without edge pruning do nothing.

    Nodes come in random order, one of every type of cell at a time. In a node the worst edge is dropped, the others are
    scored again, and so on. A dropped edge stays dropped while its node is decided; the published code scores the
    others as if it were still there.

    Args:
        state: State with all operations decided.
        score: Score of the edges into a node; larger is better.
        tune: Tuning of the supernet before each round of nodes.
        batches: Batches of images, or None. One is drawn for every round and is in the state while its edges are
            scored.

    Returns:
        The state with the edges dropped, and one step per node that had too many.

    Raises:
        UndecidableEdge: None of the edges into a node has a finite score.

    Source: Wang et al. (arXiv 2108.04392), algorithm 2.
    """
    limit = state.task.space.inputs_per_node
    if limit is None:
        return state, ()
    costs = state.task.costs
    generator = state.task.numpy_generator("node order", state.candidate)
    crowded = [node for node, edges in state.decisions.inputs().items() if len(edges) > limit]
    waiting = {
        cell: [crowded[index] for index in generator.permutation(len(crowded)) if crowded[index][0] == cell]
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
                state, step = _prune_node(state, score, nodes.pop(0), limit)
                steps.append(step)
    return state, tuple(steps)


def _prune_node(
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
        # Of equally bad edges the last one is dropped, as in the published code.
        worst = min(sorted(finite, reverse=True), key=lambda edge: finite[edge])
        rounds.append(scores)
        dropped.append(worst)
        state = replace(state, decisions=state.decisions.drop(worst))
    return state, PruningStep(cell=node[0], node=node[1], dropped=tuple(dropped), scores=tuple(rounds))
