"""The inputs of a selector, the state of its search, and its result."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from opselect.selectors.costs import Costs
from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.darts import DARTS
from opselect.selectors.supernets.settings import SupernetTraining
from opselect.spaces.augmentation import augment
from opselect.spaces.images import ImageData, LabelledImages
from opselect.spaces.seeds import numpy_generator, torch_generator
from opselect.spaces.space import Architecture, SearchSpace, Weights

Role: TypeAlias = Literal["selector", "random", "oracle"]
"""Selectors compete; random choices, and oracles, which read the table, are what they are compared with."""


@dataclass(frozen=True)
class Needs:
    """What a selector or a score needs of the supernet before it starts.

    Attributes:
        supernet: Whether it needs a supernet at all.
        trained: Whether the supernet must be trained; otherwise it is at initialisation.
        learnt_alpha: Whether alpha must have been learnt, because it is what is read.
        open_edges: Whether edges must be left to decide.

    Example:
        >>> from opselect.selectors.supernets.fixed_alpha import FixedAlpha
        >>> Needs(supernet=True, trained=True, learnt_alpha=True).unmet_by(FixedAlpha())
        'it reads alpha, which this training does not learn'
    """

    supernet: bool = False
    trained: bool = False
    learnt_alpha: bool = False
    open_edges: bool = False

    def unmet_by(self, training: SupernetTraining) -> str:
        """Why a selector with these needs makes no sense after a supernet training; empty where it does."""
        if self.learnt_alpha and not training.has_learnt_alpha:
            return "it reads alpha, which this training does not learn"
        if self.open_edges and not training.leaves_edges_open:
            return "it decides edges, and this training leaves none open"
        return ""


NO_SUPERNET = Needs()
INITIAL_SUPERNET = Needs(supernet=True)
TRAINED_SUPERNET = Needs(supernet=True, trained=True, open_edges=True)
LEARNT_ALPHA = Needs(supernet=True, trained=True, learnt_alpha=True)


@dataclass(frozen=True)
class SearchImages:
    """The two halves of the training images, as DARTS uses them; nothing else is visible to a search.

    Attributes:
        train_split: Images that the supernet's parameters are trained on and that zero-cost batches are drawn from.
        val_split: Images that alpha is trained on and that validation accuracy is measured on.
        crop_padding: Padding for random crops in training, in pixels; 0 for no crops.
        flip: Whether training mirrors images at random.
        black: Value of the padding per channel; None for zeros.
    """

    train_split: LabelledImages
    val_split: LabelledImages
    crop_padding: int = 0
    flip: bool = False
    black: tuple[float, ...] | None = None

    @classmethod
    def halves(cls, data: ImageData, device: str = "cpu") -> "SearchImages":
        """Split the training images into their first and their second half, not shuffled, as in the published code.

        Args:
            data: Images of the experiment.
            device: Device that both halves are moved to.

        Example:
            >>> from opselect.spaces.digits import digits
            >>> images = SearchImages.halves(digits())
            >>> len(digits().train) == len(images.train_split) + len(images.val_split)
            True
        """
        train, middle = data.train.to(device), len(data.train) // 2
        return cls(train[:middle], train[middle:], data.crop_padding, data.flip, data.black)

    def augment(self, batch: LabelledImages, generator: torch.Generator) -> LabelledImages:
        """A batch as the search sees it: cropped and mirrored at random, with draws from the generator."""
        images = augment(batch.images, self.crop_padding, self.flip, generator, self.black)
        return LabelledImages(images, batch.labels)


class ShuffledBatches:
    """Full batches without end: one shuffle of the images after the other, without the last short batch of a shuffle.

    Args:
        images: Images that batches are drawn from.
        batch_size: Number of images per batch.
        generator: Random stream of the shuffles.

    Attributes:
        waiting: Numbers of the images of this shuffle that have not been in a batch; with the state of the generator
            it determines all batches to come.

    Raises:
        ValueError: There are fewer images than one batch needs.
    """

    def __init__(self, images: LabelledImages, batch_size: int, generator: torch.Generator) -> None:
        if len(images) < batch_size:
            raise ValueError(f"a batch of {batch_size} images was asked for, but there are only {len(images)}")
        self._images, self._batch_size, self._generator = images, batch_size, generator
        self.waiting = torch.empty(0, dtype=torch.int64)

    def __iter__(self) -> "ShuffledBatches":
        """The batches themselves."""
        return self

    def __next__(self) -> LabelledImages:
        """The next batch."""
        if len(self.waiting) < self._batch_size:
            self.waiting = torch.randperm(len(self._images), generator=self._generator)
        chosen, self.waiting = self.waiting[: self._batch_size], self.waiting[self._batch_size :]
        return self._images[chosen]


@dataclass(frozen=True)
class Task:
    """One selection problem: all that a selector may read.

    Attributes:
        space: Search space.
        images: The two halves of the training images.
        classes: Number of classes.
        seed: Seed of the trial; every stream of random numbers is derived from it and from its purpose, so that all
            selectors with one seed see the same edge orders and batches.
        supernet: Supernet in the state that the selector needs; no other trial has this one. None where it needs none.
        alpha: Architecture parameters, `[edges, operations]`; None where no supernet training has learnt them.
        alpha_optimizer: State of alpha's Adam at the end of the supernet training; None where there is none.
        valid_accuracies: Validation accuracy of every architecture in the order of `space.enumerate()`, percent; only
            the oracles use it. There is no test accuracy here.
        best_valid_accuracies: The same of the best training of every architecture; None where single trainings are
            not known.
        training: Training of the supernet, which defines how alpha is read and what tuning does.
        costs: Costs of the trial; the selector adds its own.
        record_all_scores: Whether to score every open edge at every step for the report, not just the edge to decide.

    Example:
        >>> from opselect.spaces.digits import digits
        >>> from opselect.spaces.nasbench201.space import digits201
        >>> task = Task(digits201, SearchImages.halves(digits()), classes=10, seed=0)
        >>> first, again = (task.numpy_generator("edge order").integers(100) for _ in range(2))
        >>> bool(first == again)
        True
    """

    space: SearchSpace
    images: SearchImages
    classes: int
    seed: int
    supernet: nn.Module | None = None
    alpha: Float[Tensor, "edges operations"] | None = None
    alpha_optimizer: dict[str, Any] | None = None
    valid_accuracies: np.ndarray | None = None
    best_valid_accuracies: np.ndarray | None = None
    training: SupernetTraining = field(default_factory=DARTS)
    costs: Costs = field(default_factory=Costs)
    record_all_scores: bool = False

    def numpy_generator(self, *purpose: object) -> np.random.Generator:
        """A stream that depends on the space, the trial's seed and the purpose."""
        return numpy_generator(self.space.name, self.seed, *purpose)

    def torch_generator(self, *purpose: object) -> torch.Generator:
        """A stream that depends on the space, the trial's seed and the purpose."""
        return torch_generator(self.space.name, self.seed, *purpose)


@dataclass(frozen=True)
class SearchState:
    """The state of a search: all that a score may read.

    Attributes:
        task: The selection problem.
        decisions: Decisions made so far.
        alpha: Present architecture parameters, `[edges, operations]`.
        batch: Images of this step, for proxies; all operations scored in one step see the same ones.
        candidate: Number of the proposed candidate that is being decided, from 0.
    """

    task: Task
    decisions: Decisions
    alpha: Tensor
    batch: LabelledImages | None = None
    candidate: int = 0

    @property
    def weights(self) -> Weights:
        """Weights `[edges, operations]`: as the training reads alpha on open edges, one-hot on decided ones."""
        return self.task.training.weights(self.alpha, self.decisions).detach()

    def decide(self, edge: int, operation: int) -> "SearchState":
        """The state with one more edge decided.

        Args:
            edge: Number of an open edge.
            operation: Number of the operation that it keeps.

        Raises:
            ValueError: The edge is decided already.
        """
        return replace(self, decisions=self.decisions.decide(edge, operation))


Score: TypeAlias = Callable[[SearchState, int], Tensor]
"""`(state, edge number) -> one score per operation`, `[operations of the edge]`; larger is better."""


@dataclass(frozen=True)
class RegisteredScore:
    """A score with its needs, as registered in the group `opselect.scores`.

    Attributes:
        score: The score itself.
        needs: What it needs of the supernet.
        oracle: Whether it reads the validation accuracies of the table.
        single_trainings: Whether it reads those of single trainings, so that a table of means does not do.
        is_random: Whether it is a random choice, which others are compared with.

    Example:
        >>> first_wins = RegisteredScore(lambda state, edge: torch.tensor([1.0, 0.0]), Needs())
        >>> first_wins.needs.supernet, first_wins.oracle
        (False, False)
    """

    score: Score
    needs: Needs
    oracle: bool = False
    single_trainings: bool = False
    is_random: bool = False

    def __call__(self, state: SearchState, edge: int) -> Tensor:
        """One score per operation of the edge, `[operations of the edge]`; larger is better."""
        return self.score(state, edge)


@dataclass(frozen=True)
class Step:
    """One decision.

    Attributes:
        edge: Number of the decided edge.
        operation: Number of the chosen operation.
        scores: By edge number, the scores of its operations before the decision, larger is better. The decided edge is
            always there; the other open edges are there if the order or the task's `record_all_scores` scored them.
        tied: Number of other operations with the winning score; the first one is chosen.
    """

    edge: int
    operation: int
    scores: dict[int, tuple[float, ...]]
    tied: int = 0


EdgeScore: TypeAlias = Callable[[SearchState, tuple[int, ...]], dict[int, float]]
"""`(state, numbers of the edges into one node) -> one score per edge, by its number`; larger is better."""


@dataclass(frozen=True)
class PruningStep:
    """The edges into one node that were dropped.

    Attributes:
        cell: Type of the cell.
        node: Number of the node.
        dropped: Edge numbers, in the order in which the edges were dropped.
        scores: Before each drop, the scores of the remaining edges by edge number; larger is better.
    """

    cell: str
    node: int
    dropped: tuple[int, ...]
    scores: tuple[dict[int, float], ...]


@dataclass(frozen=True)
class Selection:
    """The result of a selector.

    Attributes:
        architecture: The selected architecture.
        steps: Decisions about operations, in their order.
        pruning: Decisions about edges, in their order; empty in spaces without edge pruning.
        candidates: Every proposed architecture in order of proposal, with its validation score, None where it was the
            only distinct one; empty for methods that do not propose several.

    Example:
        >>> step = Step(edge=0, operation=1, scores={0: (0.25, 0.75)})
        >>> Selection(Architecture(("skip_connect",)), steps=(step,)).steps[0].tied
        0
    """

    architecture: Architecture
    steps: tuple[Step, ...]
    pruning: tuple[PruningStep, ...] = ()
    candidates: tuple[tuple[Architecture, float | None], ...] = ()


@runtime_checkable
class Selector(Protocol):
    """A selection method: settings as fields, the selection as a call."""

    @property
    def needs(self) -> Needs:
        """What the method needs of the supernet."""
        ...

    def __call__(self, task: Task) -> Selection:
        """Decide every edge of the task's space."""
        ...
