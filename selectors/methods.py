"""The named methods: each is a composition of a score, an order, a tuning and a pool of candidates.

A selector's fields are its settings and the schema of its entry in an experiment file; their defaults are the papers'.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from opselect.selectors.decisions import Decisions
from opselect.selectors.edgewise import Tune, decide_edges, leave_as_it_is
from opselect.selectors.orders import ORDERS
from opselect.selectors.proxies.interface import Combination, Proxy
from opselect.selectors.pruning import (
    best_operation,
    no_edge_score,
    prune_edges,
    random_edge_score,
    ranked_removals,
    removal,
    strongest_operation,
)
from opselect.selectors.scores import (
    JointScore,
    SupernetMetric,
    ValidationAccuracy,
    alpha_strength,
    average_accuracy,
    best_accuracy,
    best_accuracy_of_runs,
    discretization,
    perturbation,
    proxy_metric,
    random_score,
)
from opselect.selectors.supernets.settings import random_alpha, uniform_alpha
from opselect.selectors.supernets.training import tuner
from opselect.selectors.task import (
    INITIAL_SUPERNET,
    LEARNT_ALPHA,
    NO_SUPERNET,
    TRAINED_SUPERNET,
    EdgeScore,
    Needs,
    RegisteredScore,
    Role,
    Score,
    SearchState,
    Selection,
    ShuffledBatches,
    Task,
)
from opselect.spaces import registry
from opselect.spaces.images import LabelledImages
from opselect.spaces.seeds import seed_for
from opselect.spaces.space import Architecture

FORMER_SELECTORS = {
    "darts-pt-fixed-alpha": ("darts-pt", "fixed-alpha"),
    "sdarts-rs": ("magnitude", "sdarts-rs"),
    "sdarts-rs-pt": ("darts-pt", "sdarts-rs"),
}
"""Former names of a selector and a supernet training in one; older experiment files and records have them."""

FORMER_READINGS: Mapping[str, object] = {
    "last_tuning_epochs": None,
    "alpha_optimizer": "new",
    "augmented": False,
    "shuffled": False,
    "accuracy_batch_size": 256,
    "of": "means",
}
"""What records mean that are older than a setting and do not name it, by the name of the setting."""

OrderName = Literal[
    "fixed", "reverse", "random", "global-op-iter", "global-op-once", "global-edge-iter", "global-edge-once"
]


def _registered(*kinds: str) -> AfterValidator:
    def check(name: str) -> str:
        known = tuple(sorted(known for kind in kinds for known in registry.names(kind)))
        if name not in known:
            raise ValueError(f"no {registry.SINGULAR[kinds[0]]} named {name!r}{registry.did_you_mean(name, known)}")
        return name

    return AfterValidator(check)


ProxyName = Annotated[str, _registered("proxies", "combinations")]
ScoreName = Annotated[str, _registered("scores")]


class Settings(BaseModel):
    """Base class of the selectors: immutable, checked settings.

    Attributes:
        needs: What the selector needs of the supernet.
        oracle: Whether it reads the validation accuracies of the table; an experiment must then name one.
        single_trainings: Whether it reads those of single trainings, so that a table of means does not do.
        is_random: Whether it is a random choice, which others are compared with.

    Example:
        >>> class FirstOperation(Settings):
        ...     edges: int = 6
        >>> FirstOperation(edges=2), FirstOperation().role
        (FirstOperation(edges=2), 'selector')
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    needs: ClassVar[Needs] = NO_SUPERNET
    oracle: ClassVar[bool] = False
    single_trainings: ClassVar[bool] = False
    is_random: ClassVar[bool] = False

    @property
    def components(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of every registered component that the settings name: a proxy, or a score."""
        return ()

    @property
    def role(self) -> Role:
        """Whether the selector competes, or is what others are compared with."""
        return "oracle" if self.oracle else "random" if self.is_random else "selector"


def initial_state(task: Task, candidate: int = 0) -> SearchState:
    """The state in which nothing is decided; alpha is the task's, or uniform where it has none.

    Args:
        task: The selection problem.
        candidate: Number of the proposed candidate that is decided from this state, from 0.
    """
    decisions = Decisions.none_yet(task.space.edges)
    alpha = uniform_alpha(decisions) if task.alpha is None else task.alpha
    return SearchState(task, decisions, alpha, candidate=candidate)


def select_edgewise(task: Task, score: Score, order: OrderName, edge_score: EdgeScore) -> Selection:
    """Decide all edges in one pass of the loop without tuning, then prune edges where the space requires it.

    Args:
        task: The selection problem.
        score: Score of the operations of an edge.
        order: Name of the order of the edges.
        edge_score: Score of the edges into a node; unused in spaces without edge pruning.

    Raises:
        UndecidableEdge: All scores of an edge, or of the edges into a node, are NaN or infinite.

    Example:
        >>> from opselect.selectors.task import SearchImages
        >>> from opselect.spaces.digits import digits
        >>> from opselect.spaces.nasbench201.space import digits201
        >>> task = Task(digits201, SearchImages.halves(digits()), classes=10, seed=0)
        >>> selection = select_edgewise(task, random_score, "reverse", random_edge_score)
        >>> [step.edge for step in selection.steps]
        [5, 4, 3, 2, 1, 0]
    """
    state, steps = decide_edges(initial_state(task), score, ORDERS[order])
    state, pruning = prune_edges(state, edge_score)
    return Selection(state.decisions.architecture(), steps, pruning)


class Magnitude(Settings):
    """DARTS: keep the operation with the largest architecture parameter.

    Source: Liu et al., DARTS, ICLR 2019, section 2.4; on NAS-Bench-201 `none` takes part, as in both published codes.
    """

    needs: ClassVar[Needs] = LEARNT_ALPHA

    def __call__(self, task: Task) -> Selection:
        """Decide by alpha; the order of the edges does not matter."""
        return select_edgewise(task, alpha_strength, "fixed", strongest_operation)


class DartsPT(Settings):
    """DARTS-PT: keep the operation whose removal hurts the validation accuracy most, tune, continue with the next edge.

    Source: Wang et al., Rethinking Architecture Selection in Differentiable NAS, ICLR 2021, algorithm 1.
    """

    needs: ClassVar[Needs] = TRAINED_SUPERNET

    edge_order: OrderName = "random"
    tuning_epochs: int = Field(
        default=5, ge=0, description="Epochs of supernet training between two decisions; 0 for none."
    )
    last_tuning_epochs: int | None = Field(
        default=None,
        ge=0,
        description="Epochs before the last decision about operations; null for as many as between the others.",
    )
    alpha_optimizer: Literal["continued", "new"] = Field(
        default="continued", description="Adam of alpha in tuning: with the state that training left, or a new one."
    )
    augmented: bool = Field(default=True, description="Whether accuracies are measured on augmented images.")
    shuffled: bool = Field(default=True, description="Whether every step measures in a new order of the images.")
    accuracy_batch_size: int = Field(default=64, ge=2, description="Images per batch when accuracies are measured.")

    @property
    def metric(self) -> SupernetMetric:
        """The accuracy that is measured."""
        return ValidationAccuracy(self.augmented, self.shuffled, self.accuracy_batch_size)

    def __call__(self, task: Task) -> Selection:
        """Decide with tuning."""
        return self._decide(task, perturbation(self.metric))

    def _decide(self, task: Task, score: Score) -> Selection:
        state = initial_state(task)
        tune: Tune = leave_as_it_is
        if self.tuning_epochs or self.last_tuning_epochs:
            continued = self.alpha_optimizer == "continued"
            tune = tuner(state, self.tuning_epochs, self.last_tuning_epochs, continued)
        state, steps = decide_edges(state, score, ORDERS[self.edge_order], tune)
        state, pruning = prune_edges(state, removal(self.metric), tune)
        return Selection(state.decisions.architecture(), steps, pruning)


class DiscretizationAccuracy(DartsPT):
    """Keep the operation that gives the best validation accuracy when it is alone on its edge, tune, continue.

    Source: Wang et al., section 3.2, where alpha is compared with this reference.
    """

    def __call__(self, task: Task) -> Selection:
        """Decide with tuning."""
        return self._decide(task, discretization(self.metric))


@dataclass(frozen=True)
class ProxySearch:
    """The plugs of the loop for a registered proxy, or for a combination of several.

    Attributes:
        proxies: The proxies.
        combination: Rule that makes one score of theirs; None where there is only one proxy.
        score: Score of the operations of an edge.
        edge_score: Score of the edges into a node.
    """

    proxies: tuple[Proxy, ...]
    combination: Combination | None
    score: Score
    edge_score: EdgeScore

    @classmethod
    def of(cls, name: str, score_by: Callable[[SupernetMetric], Score]) -> "ProxySearch":
        """The plugs for a registered name.

        Args:
            name: Name of a proxy or a combination.
            score_by: `perturbation` or `discretization`, which makes a score of a proxy.
        """
        combination: Combination | None = None
        if name in registry.names("combinations"):
            combination = registry.load("combinations", name)
        proxies = tuple(registry.load("proxies", proxy) for proxy in (combination.proxies if combination else (name,)))
        scores = tuple(score_by(proxy_metric(proxy)) for proxy in proxies)
        edge_scores = tuple(removal(proxy_metric(proxy)) for proxy in proxies)
        if combination is None:
            return cls(proxies, None, scores[0], edge_scores[0])
        return cls(proxies, combination, JointScore(scores, combination), ranked_removals(edge_scores, combination))

    def rank(self, sums: Sequence[Sequence[float]]) -> list[float]:
        """One score per network, larger is better.

        Args:
            sums: Sums of the proxies over the validation batches, `[networks, proxies]`.
        """
        if self.combination is None:
            return [score for (score,) in sums]
        combined: list[float] = self.combination.combine(np.array(sums)).tolist()
        return combined


class ZeroCostPT(Settings):
    """Zero-Cost-PT: perturbation with a proxy on the untrained supernet; of several candidates, the proxy's best.

    The candidates share the supernet's initial parameters and differ in alpha's random start, edge order and batches.
    The proxy may be a combination of several; then the operations of all open edges are ranked together, and so are the
    proposals.

    Source: Xiang et al., Zero-Cost Operation Scoring, arXiv 2106.06799, algorithm 1 (N = 10, V = 100).
    """

    needs: ClassVar[Needs] = INITIAL_SUPERNET
    proxy: ProxyName = "nwot"
    edge_order: OrderName = "random"
    candidates: int = Field(default=10, ge=1, description="N, the number of proposals.")
    validation_batches: int = Field(default=100, ge=1, description="V, the number of batches per distinct candidate.")
    batch_size: int = Field(default=256, ge=2, description="Images per batch.")
    augmented: bool = Field(default=True, description="Whether batches are cropped and mirrored as in training.")

    @property
    def components(self) -> tuple[tuple[str, str], ...]:
        """The proxy, or the combination and its proxies."""
        if self.proxy not in registry.names("combinations"):
            return (("proxies", self.proxy),)
        combination: Combination = registry.load("combinations", self.proxy)
        return ("combinations", self.proxy), *(("proxies", proxy) for proxy in combination.proxies)

    def __call__(self, task: Task) -> Selection:
        """Propose N candidates, validate the distinct ones on V batches, select the best."""
        search = ProxySearch.of(self.proxy, self._score_by)
        proposals = [self._propose(task, search, candidate) for candidate in range(self.candidates)]
        distinct = list(dict.fromkeys(proposal.architecture for proposal in proposals))
        validated = self._validate(task, search, distinct)
        finite = {a: score for a, score in validated.items() if score is not None and math.isfinite(score)}
        return replace(
            proposals[0],
            architecture=max(finite, key=finite.__getitem__) if finite else distinct[0],
            candidates=tuple((proposal.architecture, validated[proposal.architecture]) for proposal in proposals),
        )

    def _score_by(self, metric: SupernetMetric) -> Score:
        return perturbation(metric)

    def _propose(self, task: Task, search: ProxySearch, candidate: int) -> Selection:
        """Propose one architecture: one pass of the loop with its own initial alpha, edge order and batches."""
        state = initial_state(task, candidate)
        if candidate > 0 or task.alpha is None:
            state = replace(state, alpha=random_alpha(state.decisions, task.torch_generator("alpha", candidate)))
        batches = self._batches(task, "proxy batches", candidate)
        state, steps = decide_edges(state, search.score, ORDERS[self.edge_order], batches=batches)
        state, pruning = prune_edges(state, search.edge_score, batches=batches)
        return Selection(state.decisions.architecture(), steps, pruning)

    def _validate(
        self, task: Task, search: ProxySearch, architectures: Sequence[Architecture]
    ) -> dict[Architecture, float | None]:
        """By architecture, its score over V batches; None where there is only one, which needs no validation."""
        if len(architectures) == 1:
            return {architectures[0]: None}
        with task.costs.phase("validation"):
            sums = [[self._sum(task, each, proxy) for proxy in search.proxies] for each in architectures]
            return dict(zip(architectures, search.rank(sums), strict=True))

    def _sum(self, task: Task, architecture: Architecture, proxy: Proxy) -> float:
        """Sum of the proxy of the stand-alone network over V batches, the same for every candidate."""
        network = task.space.network(
            architecture,
            task.images.train_split.images.shape[1],
            task.classes,
            seed_for(task.space.name, task.seed, "validated network"),
        )
        batches = self._batches(task, "validation batches")
        task.costs.evaluations += self.validation_batches
        return sum(proxy(network, next(batches)) for _ in range(self.validation_batches))

    def _batches(self, task: Task, *purpose: object) -> Iterator[LabelledImages]:
        batches = ShuffledBatches(task.images.train_split, self.batch_size, task.torch_generator(*purpose))
        if not self.augmented:
            return batches
        generator = task.torch_generator(*purpose, "augmentation")
        return (task.images.augment(batch, generator) for batch in batches)


class ZeroCostDisc(ZeroCostPT):
    """Zero-Cost-Disc: the proxy of the supernet with only the operation on its edge, largest first.

    Source: Xiang et al., section 4 (disc-zc in the published logs).
    """

    def _score_by(self, metric: SupernetMetric) -> Score:
        return discretization(metric)


class TENAS(ZeroCostPT):
    """TE-NAS style: keep the operation that the conditioning and the linear regions need most, over all edges.

    One proposal, the edge with the highest rank sum first, scores computed again after every decision. TE-NAS itself
    prunes the least important operation of every edge in each round; the published Zero-Cost-PT code compares with this
    form.

    Source: Chen et al., TE-NAS, ICLR 2021, section 4; the variant `tenas` of the published Zero-Cost-PT code, which
    however decides among the operations of the first open edge only.
    """

    proxy: ProxyName = "te_nas"
    edge_order: OrderName = "global-op-iter"
    candidates: int = Field(default=1, ge=1, description="N, the number of proposals.")


class Random(Settings):
    """Every operation of every edge equally likely: the baseline."""

    is_random: ClassVar[bool] = True

    def __call__(self, task: Task) -> Selection:
        """Decide by random scores."""
        return select_edgewise(task, random_score, "fixed", random_edge_score)


class BestAccuracy(Settings):
    """Oracle: the operation that the table's best architecture has, given the decided edges; the upper bound.

    It reads validation accuracies only. Source: Xiang et al., section 3. Their code takes the maximum over single
    trainings, which favours architectures that were trained more often: `of = "runs"`.
    """

    oracle: ClassVar[bool] = True

    edge_order: OrderName = "random"
    of: Literal["means", "runs"] = Field(
        default="means", description="the best mean over the trainings of an architecture, or the best single training"
    )

    # It depends on a setting, hence a property where the other selectors have a constant.
    @property
    def single_trainings(self) -> bool:  # type: ignore[override]
        """Whether the best single training counts."""
        return self.of == "runs"

    def __call__(self, task: Task) -> Selection:
        """Decide by the table."""
        score = best_accuracy_of_runs if self.of == "runs" else best_accuracy
        return select_edgewise(task, score, self.edge_order, no_edge_score)


class AverageAccuracy(Settings):
    """Oracle: the operation whose architectures are the best on average in the table, given the decided edges.

    It reads validation accuracies only. Source: Xiang et al., section 3.
    """

    oracle: ClassVar[bool] = True

    edge_order: OrderName = "random"

    def __call__(self, task: Task) -> Selection:
        """Decide by the table."""
        return select_edgewise(task, average_accuracy, self.edge_order, no_edge_score)


class ByScore(Settings):
    """Keep the operation with the best registered score, so that a new method needs no more than its score.

    In spaces with edge pruning, every node keeps the edges with the best-scored operations.
    """

    score: ScoreName
    edge_order: OrderName = "fixed"

    @property
    def components(self) -> tuple[tuple[str, str], ...]:
        """The score."""
        return (("scores", self.score),)

    @property
    def registered(self) -> RegisteredScore:
        """The score with what it needs."""
        registered: RegisteredScore = registry.load("scores", self.score)
        return registered

    # These depend on the name of the score, hence properties where the other selectors have constants.
    @property
    def needs(self) -> Needs:  # type: ignore[override]
        """The needs of the score."""
        return self.registered.needs

    @property
    def oracle(self) -> bool:  # type: ignore[override]
        """Whether the score reads the validation accuracies of the table."""
        return self.registered.oracle

    @property
    def single_trainings(self) -> bool:  # type: ignore[override]
        """Whether the score reads the validation accuracies of single trainings."""
        return self.registered.single_trainings

    @property
    def is_random(self) -> bool:  # type: ignore[override]
        """As declared by the score."""
        return self.registered.is_random

    def __call__(self, task: Task) -> Selection:
        """Decide by the score, without tuning."""
        return select_edgewise(task, self.registered, self.edge_order, best_operation(self.registered))
