"""OLES: an operation whose weights no longer learn what generalises is frozen."""

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from opselect.selectors.supernets.changes import ChangedSupernet, why_unchangeable
from opselect.selectors.supernets.settings import SupernetTraining, TrainingStep
from opselect.spaces.cell_graph import EdgeOperations
from opselect.spaces.space import SearchSpace


class WatchedSupernet(ChangedSupernet):
    """A supernet that compares the gradients of every operation with weights; its state is in its buffers.

    Args:
        supernet: The supernet, whose edges stay as they are.
        steps: Number of comparisons between two decisions about an operation.
        threshold: An operation is frozen where the mean cosine of its gradients falls below.

    Raises:
        CannotChange: It has no edges of the class `EdgeOperations`.
    """

    cosines: Tensor
    compared: Tensor
    frozen: Tensor

    def __init__(self, supernet: nn.Module, steps: int, threshold: float) -> None:
        operations: list[nn.Module] = []

        def watch(edge: EdgeOperations) -> EdgeOperations:
            operations.extend(each for each in edge.operations.values() if any(True for _ in each.parameters()))
            return edge

        super().__init__(supernet, watch)
        # In a tuple, since the operations are part of the supernet already.
        self.operations = tuple(operations)
        self.steps, self.threshold = steps, threshold
        self.register_buffer("cosines", torch.zeros(len(operations)))
        self.register_buffer("compared", torch.zeros(len(operations), dtype=torch.long))
        self.register_buffer("frozen", torch.zeros(len(operations), dtype=torch.bool))

    def freeze(self) -> None:
        """Let the frozen operations keep their weights, and only them."""
        for operation, is_frozen in zip(self.operations, self.frozen.tolist(), strict=True):
            operation.requires_grad_(not is_frozen)

    def compare(self, loss: Tensor) -> None:
        """Compare the gradients of a loss with those of the last step of the weights, and decide what to freeze.

        Args:
            loss: Loss on the search-validation split; its graph stays.
        """
        places = [
            place
            for place, operation in enumerate(self.operations)
            if all(weight.requires_grad and weight.grad is not None for weight in operation.parameters())
        ]
        weights = [tuple(self.operations[place].parameters()) for place in places]
        flat = [weight for each in weights for weight in each]
        if not flat:
            return
        # New gradients, whatever the weights still hold: in the published code both are added up.
        gradients = iter(torch.autograd.grad(loss, flat, retain_graph=True, materialize_grads=True))
        cosines = torch.stack(
            [
                functional.cosine_similarity(
                    torch.cat([next(gradients).flatten() for _ in each]),
                    torch.cat([weight.grad.flatten() for weight in each if weight.grad is not None]),
                    dim=0,
                )
                for each in weights
            ]
        )
        chosen = torch.tensor(places)
        self.cosines[chosen] += cosines.detach().to(self.cosines)
        self.compared[chosen] += 1
        due = self.compared == self.steps
        self.frozen |= due & (self.cosines / self.steps < self.threshold)
        self.cosines[due], self.compared[due] = 0, 0


class OLES(SupernetTraining):
    """DARTS that freezes single operations of single cells, by the cosine of their gradients on both splits.

    The gradient on the search-validation split is compared with that of the last step of the weights; when the mean
    over 20 steps falls below 0.4, the operation keeps its weights from then on. The cosine is that of all weights of an
    operation, as in the text; the published code averages cosines along output channels. The first step of an epoch
    has nothing to compare with. The gradient on the search-validation split is that alone; in the published code it
    still holds the gradient of the training step, which raises the cosine.

    Source: Jiang et al., Operation-Level Early Stopping for Robustifying Differentiable NAS, NeurIPS 2023, and its
    published code, train_search.py.
    """

    epochs: int = Field(default=50, ge=1, description="Passes over the train split.")
    threshold: float = Field(default=0.4, ge=-1, le=1, description="Mean cosine below which an operation is frozen.")
    compared_steps: int = Field(default=20, ge=1, description="Steps over which cosines are averaged.")

    def prepare(self, supernet: nn.Module) -> nn.Module:
        """The supernet with the statistics of its operations."""
        return WatchedSupernet(supernet, self.compared_steps, self.threshold)

    def why_not(self, space: SearchSpace) -> str:
        """Why a space cannot have it: its supernet must have operations that can be frozen."""
        return why_unchangeable(space, self.prepare)

    def losses(self, supernet: nn.Module, step: TrainingStep) -> Iterator[Tensor]:
        """The losses; gradients are compared in steps of alpha, and operations frozen in steps of the weights."""
        assert isinstance(supernet, WatchedSupernet)
        supernet.freeze()
        for loss in super().losses(supernet, step):
            if step.moment.step == "alpha":
                supernet.compare(loss)
            yield loss
