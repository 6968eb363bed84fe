"""What a supernet looks like after every epoch of its training: how it collapses, if it does.

Measuring changes nothing: it is done in evaluation mode, on the same images every time, and draws no random numbers.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from opselect.selectors.decisions import Decisions
from opselect.selectors.task import SearchImages
from opselect.spaces.inspection import mode
from opselect.spaces.space import Weights

MEASURED_IMAGES = 512
"""Number of images of the search-validation split that are measured on, the first ones: a small part of an epoch."""


class EpochTrace(NamedTuple):
    """The state of a training after an epoch.

    Attributes:
        weights: Weights as which the training reads alpha, `[edges, operations]`.
        loss: Cross entropy under these weights on the first images of the search-validation split.
        accuracy: Percent of these images that are classified correctly.
    """

    weights: Tensor
    loss: float
    accuracy: float

    def shares(self, decisions: Decisions) -> dict[str, float]:
        """By operation, the mean of its weight over the edges that offer it."""
        columns: dict[str, list[float]] = {}
        for edge, row in zip(decisions.edges, self.weights.tolist(), strict=True):
            for name, weight in zip(edge.operations, row, strict=False):
                columns.setdefault(name, []).append(weight)
        return {name: sum(weights) / len(weights) for name, weights in columns.items()}

    def strongest(self, decisions: Decisions, left_out: Iterable[str] = ()) -> tuple[str, ...]:
        """Per edge, the operation with the largest weight.

        Args:
            decisions: Decisions whose edges are those of the weights.
            left_out: Names of operations that do not count: `none`, in spaces with edge pruning.
        """
        names = []
        for edge, row in zip(decisions.edges, self.weights.tolist(), strict=True):
            by_name = {name: weight for name, weight in zip(edge.operations, row, strict=False) if name not in left_out}
            names.append(max(by_name, key=by_name.__getitem__))
        return tuple(names)


@torch.no_grad()
def measure_epoch(supernet: nn.Module, weights: Weights, images: SearchImages, batch_size: int) -> EpochTrace:
    """The state of a supernet after an epoch; the supernet is left exactly as it was.

    Args:
        supernet: Supernet in training.
        weights: Weights as which the training reads alpha, `[edges, operations]`.
        images: Images of the search.
        batch_size: Images per pass.
    """
    measured = images.val_split[:MEASURED_IMAGES]
    with mode(supernet, training=False):
        logits = torch.cat([supernet(part, weights) for part in torch.split(measured.images, batch_size)])
    accuracy = 100 * (logits.argmax(dim=1) == measured.labels).double().mean()
    return EpochTrace(weights.clone(), float(functional.cross_entropy(logits, measured.labels)), float(accuracy))


def plain_history(history: Iterable[EpochTrace]) -> list[dict[str, Any]]:
    """A history as tensors and plain values, which a file of tensors can hold."""
    return [trace._asdict() for trace in history]


def read_history(content: Iterable[Mapping[str, Any]]) -> list[EpochTrace]:
    """The history that `plain_history` made plain."""
    return [EpochTrace(**trace) for trace in content]
