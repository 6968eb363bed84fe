"""Orders in which the edges are decided.

Sources: Xiang et al. (arXiv 2106.06799) name fixed, random and four global orders. In the published code both "once"
variants amount to the reverse order, because the ranking is computed and then not used; here all four are what the
paper describes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.selectors.task import SearchState

Measure: TypeAlias = Callable[[SearchState, Sequence[int]], dict[int, Tensor]]
"""`(state, numbers of open edges) -> by edge, one score per operation`; larger is better."""


@dataclass(frozen=True)
class Ranking:
    """Open edges, the next one first.

    Attributes:
        edges: Edge numbers.
        scores: By edge number, scores that were computed for the ranking and are still valid when the edges are
            decided.
    """

    edges: tuple[int, ...]
    scores: dict[int, Tensor] = field(default_factory=dict)

    def next_edges(self, decisions: Decisions) -> list[int]:
        """The first open edge of every type of cell: those that one round decides."""
        first: dict[str, int] = {}
        for edge in self.edges:
            if edge in decisions.open_edges:
                first.setdefault(decisions.edges[edge].cell, edge)
        return [first[cell] for cell in dict.fromkeys(decisions.edges[edge].cell for edge in decisions.open_edges)]

    def valid_scores(self, decisions: Decisions) -> dict[int, Tensor]:
        """The scores of the edges that are still open."""
        return {edge: scores for edge, scores in self.scores.items() if edge in decisions.open_edges}


@dataclass(frozen=True)
class Order:
    """A way to rank the open edges.

    Attributes:
        rank: The ranking of the open edges in a state, given a way to score them.
        every_step: Whether edges are ranked again before every round; otherwise once, before the first.
    """

    rank: Callable[[SearchState, Measure], Ranking]
    every_step: bool = False


def _fixed(state: SearchState, measure: Measure) -> Ranking:
    return Ranking(state.decisions.open_edges)


def _reverse(state: SearchState, measure: Measure) -> Ranking:
    return Ranking(state.decisions.open_edges[::-1])


def _random(state: SearchState, measure: Measure) -> Ranking:
    generator = state.task.numpy_generator("edge order", state.candidate)
    return Ranking(tuple(int(edge) for edge in generator.permutation(state.decisions.open_edges)))


def _by_scores(summary: Callable[[Tensor], float], keep_scores: bool) -> Callable[[SearchState, Measure], Ranking]:
    """Rank by a summary of each edge's scores, largest first; equal summaries keep the order of the edges."""

    def rank(state: SearchState, measure: Measure) -> Ranking:
        scores = measure(state, state.decisions.open_edges)
        edges = sorted(scores, key=lambda edge: summary(scores[edge]), reverse=True)
        # A ranking made once loses its scores: they were measured while more edges were open than at the decision.
        return Ranking(tuple(edges), scores if keep_scores else {})

    return rank


def _best(scores: Tensor) -> float:
    return max((value for value in scores.tolist() if abs(value) < float("inf")), default=-float("inf"))


def _average(scores: Tensor) -> float:
    finite = [value for value in scores.tolist() if abs(value) < float("inf")]
    return sum(finite) / len(finite) if finite else -float("inf")


ORDERS = {
    "fixed": Order(_fixed),
    "reverse": Order(_reverse),
    "random": Order(_random),
    "global-op-iter": Order(_by_scores(_best, keep_scores=True), every_step=True),
    "global-op-once": Order(_by_scores(_best, keep_scores=False)),
    "global-edge-iter": Order(_by_scores(_average, keep_scores=True), every_step=True),
    "global-edge-once": Order(_by_scores(_average, keep_scores=False)),
}
"""Orders by name. `fixed` is from input to output; `global-op-*` rank by the best operation of an edge, `global-edge-*`
by its average; `iter` ranks again at every step, `once` only at the start."""
