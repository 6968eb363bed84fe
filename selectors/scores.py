"""Scores of operations: each is a few lines, and a larger score is a better operation.

Perturbation and discretization turn a metric of the supernet under given weights into a score. With its validation
accuracy they are those of DARTS-PT and disc-acc, with a proxy those of Zero-Cost-PT and Zero-Cost-Disc.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from opselect.selectors.decisions import Decisions, only, without
from opselect.selectors.proxies.interface import Combination, Proxy, score_many
from opselect.selectors.task import LEARNT_ALPHA, NO_SUPERNET, TRAINED_SUPERNET, RegisteredScore, Score, SearchState
from opselect.spaces.images import LabelledImages
from opselect.spaces.seeds import numpy_generator
from opselect.spaces.space import NONE, Weights

SupernetMetric: TypeAlias = Callable[[SearchState, Sequence[Weights]], list[float]]
"""`(state, several weight matrices) -> the metric of the supernet under each of them`, larger is better."""

Summary: TypeAlias = Literal["best-acc", "avg-acc"]
"""What becomes of the accuracies of all architectures with an operation: the largest, or the mean."""


class MissingIngredient(ValueError):
    """A score needs something that its task does not hold."""


def alpha_strength(state: SearchState, edge: int) -> Tensor:
    """The softmax of alpha (DARTS, Liu et al. 2019, section 2.2).

    In spaces with edge pruning, `none` is no choice and has minus infinity (section 2.4).

    Args:
        state: State of the search.
        edge: Number of an open edge.

    Returns:
        One score per operation, `[operations of the edge]`.
    """
    strength = state.weights[edge, : _operations(state, edge)]
    names = state.decisions.edges[edge].operations
    if state.task.space.inputs_per_node is not None and NONE in names:
        strength = strength.clone()
        strength[names.index(NONE)] = -torch.inf
    return strength


def perturbation(metric: SupernetMetric) -> Score:
    """Minus the metric of the supernet without the operation: the best operation is the one that is missed most.

    Args:
        metric: Metric of the supernet, of which larger values are better.

    Returns:
        The score, which evaluates the metric once per operation of an edge.

    Sources: Wang et al. (arXiv 2108.04392), section 4; Xiang et al. (arXiv 2106.06799), section 4.

    Example:
        With the weight of the third operation as metric, the third operation is the one that is missed:

        >>> from opselect.selectors.methods import initial_state
        >>> from opselect.selectors.task import SearchImages, Task
        >>> from opselect.spaces.digits import digits
        >>> from opselect.spaces.nasbench201.space import digits201
        >>> state = initial_state(Task(digits201, SearchImages.halves(digits()), classes=10, seed=0))
        >>> score = perturbation(lambda state, matrices: [float(weights[0, 2]) for weights in matrices])
        >>> int(score(state, 0).argmax())
        2
    """

    def score(state: SearchState, edge: int) -> Tensor:
        removed = [without(state.weights, edge, operation) for operation in range(_operations(state, edge))]
        return -torch.tensor(metric(state, removed), dtype=torch.float64)

    return score


def discretization(metric: SupernetMetric) -> Score:
    """The metric of the supernet with only the operation on its edge.

    Args:
        metric: Metric of the supernet, of which larger values are better.

    Returns:
        The score, which evaluates the metric once per operation of an edge.

    Sources: Wang et al. (arXiv 2108.04392), section 3.2; `disc-zc` in the published code of Xiang et al.
    """

    def score(state: SearchState, edge: int) -> Tensor:
        alone = [only(state.weights, edge, operation) for operation in range(_operations(state, edge))]
        return torch.tensor(metric(state, alone), dtype=torch.float64)

    return score


@dataclass(frozen=True)
class ValidationAccuracy:
    """Percent of the search-validation split that the supernet classifies correctly under each weight matrix.

    Batch norm uses the statistics of each batch, as in the published code of DARTS-PT: the running ones belong to the
    unperturbed supernet. The text of the paper is silent on the images, so they are those of that code: augmented as in
    training, in shuffled batches of 64. Unlike there, measuring does not change the running statistics, batches differ
    by at most one image in size, and all that one step compares is measured on the same batches: chance then makes no
    difference between operations.

    Attributes:
        augmented: Whether images are cropped and mirrored as in training.
        shuffled: Whether every step has an order of its own; otherwise images keep theirs.
        batch_size: Target number of images per batch; batches are made equally large.
    """

    augmented: bool = True
    shuffled: bool = True
    batch_size: int = 64

    def __call__(self, state: SearchState, weights: Sequence[Weights]) -> list[float]:
        """One accuracy for each of the weights."""
        return accuracies(_supernet(state), weights, self.batches(state))

    def batches(self, state: SearchState) -> Iterator[LabelledImages]:
        """The batches of one step."""
        decisions, images = state.decisions, state.task.images
        # Not which edges are decided, but how many: another numbering of the edges then gives the same images.
        step = state.candidate, len(decisions.chosen) - len(decisions.open_edges), len(decisions.dropped)
        generator = state.task.torch_generator("validation accuracy", *step)
        count = len(images.val_split)
        order = torch.randperm(count, generator=generator) if self.shuffled else torch.arange(count)
        for chosen in order.tensor_split(max(1, round(count / self.batch_size))):
            batch = images.val_split[chosen]
            yield images.augment(batch, generator) if self.augmented else batch


validation_accuracy = ValidationAccuracy()


@torch.no_grad()
def accuracies(supernet: nn.Module, weights: Sequence[Weights], batches: Iterable[LabelledImages]) -> list[float]:
    """Percent of correctly classified images under each of several weight matrices, in one pass over the batches.

    Batch norm uses the statistics of each batch; the supernet is left exactly as it was.

    Args:
        supernet: From images `[batch, channels, height, width]` and weights to logits `[batch, classes]`.
        weights: Weight matrices, each `[edges, operations]`.
        batches: Images on the device of the supernet.

    Returns:
        One accuracy per weight matrix, percent.
    """
    buffers = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    was_training = supernet.training
    supernet.train()
    correct: list[list[Tensor]] = [[] for _ in weights]
    total = 0
    for batch in batches:
        total += len(batch)
        for number, matrix in enumerate(weights):
            logits = functional_call(supernet, buffers, (batch.images, matrix))
            correct[number].append((logits.argmax(1) == batch.labels).sum())
    supernet.train(was_training)
    return [100 * int(torch.stack(counts).sum()) / total for counts in correct]


def proxy_metric(proxy: Proxy) -> SupernetMetric:
    """The proxy of the supernet under each of several weight matrices, on the batch of the step.

    Args:
        proxy: Zero-cost proxy, `(network, batch) -> float`; larger is better.

    Returns:
        The metric. It raises `MissingIngredient` for a state without a batch and for a task without a supernet.
    """

    def metric(state: SearchState, weights: Sequence[Weights]) -> list[float]:
        if state.batch is None:
            raise MissingIngredient("a proxy needs a batch of images, and this state has none")
        return score_many(proxy, _supernet(state), weights, state.batch)

    return metric


@dataclass(frozen=True)
class JointScore:
    """Several scores as one, by their ranks among the operations of all open edges.

    So the score of one edge costs those of all open edges; `score_edges` computes them once for all edges that it
    returns.

    Attributes:
        scores: One score for each of the combination's proxies.
        combination: Rule that makes one score of them.
    """

    scores: tuple[Score, ...]
    combination: Combination

    def of_open_edges(self, state: SearchState) -> dict[int, Tensor]:
        """By number of every open edge, one score per operation, `[operations of the edge]`."""
        edges = state.decisions.open_edges
        columns = [torch.cat([score(state, edge) for edge in edges]) for score in self.scores]
        combined = torch.from_numpy(self.combination.combine(torch.stack(columns, dim=1).numpy()))
        by_edge = torch.split(combined, [_operations(state, edge) for edge in edges])
        return dict(zip(edges, by_edge, strict=True))

    def __call__(self, state: SearchState, edge: int) -> Tensor:
        """One score per operation of the edge."""
        return self.of_open_edges(state)[edge]


def score_edges(score: Score, state: SearchState, edges: Iterable[int]) -> dict[int, Tensor]:
    """Scores of the operations of some open edges.

    Args:
        score: Score to evaluate.
        state: State of the search.
        edges: Numbers of open edges.

    Returns:
        By edge number, one score per operation, `[operations of the edge]`.
    """
    if isinstance(score, JointScore):
        of_all = score.of_open_edges(state)
        return {edge: of_all[edge] for edge in edges}
    return {edge: score(state, edge) for edge in edges}


def random_score(state: SearchState, edge: int) -> Tensor:
    """Random numbers that depend on the trial's seed, the edge and the decisions: the baseline of every comparison."""
    generator = numpy_generator("random score", state.task.space.name, state.task.seed, edge, state.decisions.chosen)
    return torch.from_numpy(generator.random(_operations(state, edge)))


def best_accuracy(state: SearchState, edge: int) -> Tensor:
    """Largest mean validation accuracy of all architectures with the operation on the edge, given the decided edges."""
    return table_scores(_valid_accuracies(state), state.decisions, edge, "best-acc")


def best_accuracy_of_runs(state: SearchState, edge: int) -> Tensor:
    """Largest validation accuracy of a single training of all architectures with the operation on the edge.

    The published code of Zero-Cost-PT reads best-acc so. It favours architectures that were trained more often.
    """
    accuracies = state.task.best_valid_accuracies
    if accuracies is None:
        raise MissingIngredient("best-acc of runs reads single trainings; name a table that has them")
    return table_scores(accuracies, state.decisions, edge, "best-acc")


def average_accuracy(state: SearchState, edge: int) -> Tensor:
    """Mean validation accuracy of all architectures with the operation on the edge, given the decided edges."""
    return table_scores(_valid_accuracies(state), state.decisions, edge, "avg-acc")


def table_scores(
    accuracies: Float[np.ndarray, " architectures"],
    decisions: Decisions,
    edge: int,
    summary: Summary,
) -> Tensor:
    """Oracle scores of the operations of an edge: a summary of the accuracies of all architectures that have them.

    Args:
        accuracies: Accuracies in the order of the space's `enumerate`, percent; NaN where missing, which is left out.
        decisions: Decisions made so far; only architectures that agree with them count.
        edge: Number of an open edge.
        summary: The largest (`best-acc`) or the mean (`avg-acc`) accuracy of the architectures with an operation.

    Returns:
        One score per operation, `[operations of the edge]`, percent.

    Source: Xiang et al. (arXiv 2106.06799), section 3; here conditioned on the decided edges.

    Example:
        Two edges with two operations each, of which the second one is undecided:

        >>> from opselect.spaces.space import Edge
        >>> edges = tuple(Edge("cell", node, node + 1, ("skip", "conv")) for node in range(2))
        >>> decisions = Decisions.none_yet(edges).decide(0, 1)
        >>> table_scores(np.array([90.0, 91.0, 92.0, 93.0]), decisions, 1, "best-acc").tolist()
        [92.0, 93.0]
    """
    # Enumeration is the product of the edges' operations, so the table is an array with one axis per edge.
    grid = accuracies.reshape([len(space_edge.operations) for space_edge in decisions.edges])
    decided = tuple(slice(None) if chosen is None else slice(chosen, chosen + 1) for chosen in decisions.chosen)
    others = tuple(axis for axis in range(grid.ndim) if axis != edge)
    summarize = np.nanmax if summary == "best-acc" else np.nanmean
    return torch.from_numpy(np.asarray(summarize(grid[decided], axis=others), dtype=np.float64))


# Registered scores: an experiment uses them with `by-score`, exactly like those of a plug-in.
ALPHA = RegisteredScore(alpha_strength, LEARNT_ALPHA)
PERTURBATION_ACCURACY = RegisteredScore(perturbation(validation_accuracy), TRAINED_SUPERNET)
DISCRETIZATION_ACCURACY = RegisteredScore(discretization(validation_accuracy), TRAINED_SUPERNET)
RANDOM = RegisteredScore(random_score, NO_SUPERNET, is_random=True)
BEST_ACCURACY = RegisteredScore(best_accuracy, NO_SUPERNET, oracle=True)
BEST_ACCURACY_OF_RUNS = RegisteredScore(best_accuracy_of_runs, NO_SUPERNET, oracle=True, single_trainings=True)
AVERAGE_ACCURACY = RegisteredScore(average_accuracy, NO_SUPERNET, oracle=True)


def _valid_accuracies(state: SearchState) -> np.ndarray:
    if state.task.valid_accuracies is None:
        raise MissingIngredient("best-acc and avg-acc read validation accuracies; name a table in the experiment file")
    return state.task.valid_accuracies


def _operations(state: SearchState, edge: int) -> int:
    return len(state.decisions.edges[edge].operations)


def _supernet(state: SearchState) -> nn.Module:
    if state.task.supernet is None:
        raise MissingIngredient("this score needs a supernet, and the task has none")
    return state.task.supernet
