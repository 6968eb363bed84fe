"""The tasks on which selectors and scores are checked: tiny, permuted, and with planted best operations."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from opselect.bench.conformance.check import CheckFailed
from opselect.selectors.supernets.darts import DARTS
from opselect.selectors.task import Needs, SearchImages, Task
from opselect.spaces.digits import digits
from opselect.spaces.images import ImageData, LabelledImages
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.seeds import numpy_generator, torch_generator
from opselect.spaces.space import Architecture, Edge, SearchSpace, Weights
from opselect.spaces.table import Table

IMAGES_PER_HALF = 32
SPACE = digits201.resized(channels=4, cells=None)
TRAINING = DARTS(epochs=1, batch_size=16)


def small_task(needs: Needs, seed: int = 5, record_all_scores: bool = False) -> Task:
    """A task on digits201 with few images; its supernet is the same for every seed, and its accuracies are random.

    As in a trial, the task has what the selector needs: no supernet, an untrained one, or a supernet with alpha. The
    supernet is not trained; instead, its alpha differs clearly between operations.

    Args:
        needs: Needs of the selector or score.
        seed: Seed of the task's random streams.
        record_all_scores: Whether every open edge is scored at every step.

    Returns:
        The task, with a new supernet on every call.
    """
    train = digits().train
    count = IMAGES_PER_HALF
    return Task(
        space=SPACE,
        images=SearchImages(train[:count], train[count : 2 * count]),
        classes=10,
        seed=seed,
        supernet=SPACE.supernet(1, 10, seed=0) if needs.supernet else None,
        alpha=torch.arange(30.0).reshape(6, 5).sin() if needs.trained else None,
        valid_accuracies=numpy_generator("conformance", "accuracies").uniform(10, 90, 5**6),
        best_valid_accuracies=numpy_generator("conformance", "best accuracies").uniform(10, 90, 5**6),
        training=TRAINING,
        record_all_scores=record_all_scores,
    )


@dataclass(frozen=True)
class Permutation:
    """Another order of a space's edges and of the operations on them.

    Attributes:
        edges: Old number of every edge, by its new number.
        operations: Old numbers of the operations of every edge, by its new number.
    """

    edges: tuple[int, ...]
    operations: tuple[tuple[int, ...], ...]

    @classmethod
    def of_operations(cls, space: SearchSpace) -> "Permutation":
        """Permutation that leaves the edges in place and gives each of them another order of operations."""
        return cls(
            tuple(range(len(space.edges))),
            tuple(_elsewhere(len(edge.operations), number) for number, edge in enumerate(space.edges)),
        )

    @classmethod
    def of_edges(cls, space: SearchSpace) -> "Permutation":
        """Permutation that renumbers the edges and leaves the order of their operations."""
        edges = _elsewhere(len(space.edges), 0)
        return cls(edges, tuple(tuple(range(len(space.edges[edge].operations))) for edge in edges))

    def task(self, task: Task) -> Task:
        """The same task with edges and operations in the other order, as are supernet, alpha and accuracies."""
        space = PermutedSpace(task.space, self)
        alpha = task.alpha
        if alpha is not None:
            rows = [alpha[old, list(order)] for old, order in zip(self.edges, self.operations, strict=True)]
            alpha = torch.stack(rows)
        return replace(
            task,
            space=space,
            supernet=task.supernet and PermutedSupernet(task.supernet, self),
            alpha=alpha,
            valid_accuracies=self._accuracies(task.space, task.valid_accuracies),
            best_valid_accuracies=self._accuracies(task.space, task.best_valid_accuracies),
        )

    def _accuracies(self, space: SearchSpace, accuracies: np.ndarray | None) -> np.ndarray | None:
        if accuracies is None:
            return None
        grid = accuracies.reshape([len(edge.operations) for edge in space.edges]).transpose(self.edges)
        for axis, order in enumerate(self.operations):
            grid = np.take(grid, order, axis)
        return grid.ravel()

    def back(self, scores: dict[int, tuple[float, ...]]) -> dict[int, tuple[float, ...]]:
        """Scores of a permuted task, with edges and operations in their original order."""
        return {
            self.edges[edge]: tuple(values[place] for place in np.argsort(self.operations[edge]))
            for edge, values in scores.items()
        }


def _elsewhere(count: int, which: int) -> tuple[int, ...]:
    """The numbers from 0 to `count` - 1, shifted cyclically by a distance that depends on `which`."""
    order = np.roll(np.arange(count), 1 + which % max(1, count - 1))
    return tuple(int(number) for number in order)


class PermutedSupernet(nn.Module):
    """A supernet that takes its weights in another order.

    Args:
        supernet: Supernet with the original order.
        permutation: Order of the weights that this one takes.
    """

    def __init__(self, supernet: nn.Module, permutation: Permutation) -> None:
        super().__init__()
        self.supernet = supernet
        old = np.argsort(permutation.edges)
        self.rows = [[int(edge)] for edge in old]
        self.columns = [np.argsort(permutation.operations[edge]).tolist() for edge in old]

    def forward(self, images: Tensor, weights: Weights) -> Tensor:
        """Logits `[batch, classes]`."""
        logits: Tensor = self.supernet(images, weights[self.rows, self.columns])
        return logits


@dataclass(frozen=True)
class PermutedSpace:
    """A space with its edges and operations in another order; all edges have equally many operations.

    Attributes:
        base: Space with the original order.
        permutation: Order of edges and operations in this one.
    """

    base: SearchSpace
    permutation: Permutation

    @property
    def name(self) -> str:
        """Name of the original space, so that random streams are the same."""
        return self.base.name

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Edges in the other order."""
        return tuple(
            replace(self.base.edges[old], operations=tuple(self.base.edges[old].operations[place] for place in order))
            for old, order in zip(self.permutation.edges, self.permutation.operations, strict=True)
        )

    @property
    def inputs_per_node(self) -> int | None:
        """Number of input edges per node of the original space."""
        return self.base.inputs_per_node

    def back(self, architecture: Architecture) -> Architecture:
        """Convert an architecture of this space to the original one."""
        return Architecture(tuple(architecture.operations[place] for place in np.argsort(self.permutation.edges)))

    def _forth(self, architecture: Architecture) -> Architecture:
        return Architecture(tuple(architecture.operations[old] for old in self.permutation.edges))

    def parse(self, text: str) -> Architecture:
        """Parse the text of the original space."""
        return self._forth(self.base.parse(text))

    def format(self, architecture: Architecture) -> str:
        """Write the text of the original space."""
        return self.base.format(self.back(architecture))

    def sample(self, generator: np.random.Generator) -> Architecture:
        """Draw the architecture that the original space draws."""
        return self._forth(self.base.sample(generator))

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures, the last edge of this order fastest."""
        return map(Architecture, itertools.product(*(edge.operations for edge in self.edges)))

    def canonical(self, architecture: Architecture) -> Architecture:
        """Canonical form in the original space."""
        return self._forth(self.base.canonical(self.back(architecture)))

    def resized(self, channels: int | None, cells: int | None) -> "PermutedSpace":
        """The same permutation of the resized space."""
        return replace(self, base=self.base.resized(channels, cells))

    def supernet(self, image_channels: int, classes: int, seed: int) -> nn.Module:
        """Supernet of the original space, which takes its weights in the other order."""
        return PermutedSupernet(self.base.supernet(image_channels, classes, seed), self.permutation)

    def network(self, architecture: Architecture, image_channels: int, classes: int, seed: int) -> nn.Module:
        """Network of the original space."""
        return self.base.network(self.back(architecture), image_channels, classes, seed)


PLANTED_CLASSES = 10
PLANTED_IMAGES = 200
PLANTED_NOISE = 3.0


class PlantedSupernet(nn.Module):
    """A supernet in which one operation per edge predicts the class of an image, and the others predict wrong ones.

    Args:
        best: Number of the correct operation, by edge.
    """

    def __init__(self, best: Sequence[int]) -> None:
        super().__init__()
        self.best = tuple(best)
        self.readout = nn.Parameter(torch.eye(PLANTED_CLASSES))

    def forward(self, images: Tensor, weights: Weights) -> Tensor:
        """Logits `[batch, classes]` of the images of `planted_task`."""
        signal, logits = images[:, 0, 0] @ self.readout, PLANTED_NOISE * images[:, 0, 1]
        for edge, best in enumerate(self.best):
            for operation in range(weights.shape[1]):
                logits = logits + weights[edge, operation] * signal.roll((operation - best) % weights.shape[1], dims=1)
        return logits


def planted_task(needs: Needs, best: Sequence[int]) -> Task:
    """A task in which supernet, alpha and accuracies agree on the best operation of every edge.

    The first row of an image encodes its class, the second is noise that makes the supernet err now and then.

    Args:
        needs: Needs of the selector or score.
        best: Number of the best operation, by edge.

    Returns:
        The task, with a new supernet on every call.
    """
    task = small_task(needs, seed=1)

    def images(split: str) -> LabelledImages:
        labels = torch.arange(PLANTED_IMAGES) % PLANTED_CLASSES
        rows = torch.randn(
            PLANTED_IMAGES, 1, PLANTED_CLASSES, PLANTED_CLASSES, generator=torch_generator("planted", split)
        )
        rows[:, 0, 0] = torch.eye(PLANTED_CLASSES)[labels]
        return LabelledImages(rows, labels)

    digits_of = np.stack(np.unravel_index(np.arange(5**6), [5] * 6), axis=1)
    alpha = torch.arange(30.0).reshape(6, 5).sin() / 10
    alpha[torch.arange(6), list(best)] += 3
    accuracies = 30 + 8.0 * (digits_of == np.array(best)).sum(axis=1)
    return replace(
        task,
        images=SearchImages(images("weights"), images("alpha")),
        supernet=None if task.supernet is None else PlantedSupernet(best),
        alpha=None if task.alpha is None else alpha,
        valid_accuracies=accuracies,
        best_valid_accuracies=accuracies,
    )


@contextmanager
def sealed() -> Iterator[list[str]]:
    """While the block runs, tables of accuracies and datasets cannot be read.

    A task holds all that a selector may read, so it has no reason to open either.

    Yields:
        A list to which every attempt is added, for example `"a dataset.test"`.
    """
    reads: list[str] = []

    def refusing(what: str) -> object:
        def refuse(self: object, name: str) -> object:
            if name.startswith("__"):
                return object.__getattribute__(self, name)
            reads.append(f"{what}.{name}")
            raise CheckFailed(f"{what}.{name} was read; a selection may read its task and nothing else")

        return refuse

    kinds = {Table: "a table of accuracies", ImageData: "a dataset"}
    for kind, what in kinds.items():
        setattr(kind, "__getattribute__", refusing(what))  # noqa: B010 - mypy forbids to assign it
    try:
        yield reads
    finally:
        for kind in kinds:
            delattr(kind, "__getattribute__")
