"""In which order the edges are decided.

Sources: Xiang et al. (arXiv 2106.06799) name fixed, random and four global orders. In the published code both "once"
variants amount to the reverse order, because the ranking is computed and then not used; here all four are what the
paper describes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from opselect.selectors.task import Score, SearchState


@dataclass(frozen=True)
class Ranking:
    """Open edges, the next one first.

    Attributes:
        edges: edge numbers.
        scores: scores that ranking them has cost already and that still hold, by edge number.
    """

    edges: tuple[int, ...]
    scores: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """A way to rank the open edges.

    Attributes:
        rank: the ranking of the open edges in a state.
        every_step: rank anew before every decision; otherwise once, before the first.
    """

    rank: Callable[[SearchState, Score], Ranking]
    every_step: bool = False


def _fixed(state: SearchState, score: Score) -> Ranking:
    return Ranking(state.decisions.open_edges)


def _reverse(state: SearchState, score: Score) -> Ranking:
    return Ranking(state.decisions.open_edges[::-1])


def _random(state: SearchState, score: Score) -> Ranking:
    generator = state.task.numpy_generator("edge order", state.candidate)
    return Ranking(tuple(int(edge) for edge in generator.permutation(state.decisions.open_edges)))


def _by_scores(summary: Callable[[Tensor], float], keep_scores: bool) -> Callable[[SearchState, Score], Ranking]:
    """Rank by a summary of each edge's scores, largest first; equal summaries keep the order of the edges."""

    def rank(state: SearchState, score: Score) -> Ranking:
        scores = {edge: score(state, edge) for edge in state.decisions.open_edges}
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
"""Orders by name. `fixed` is from input to output; `global-op-*` go by the best operation of an edge, `global-edge-*`
by its average; `iter` ranks again at every step, `once` only at the start."""
