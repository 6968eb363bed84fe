"""SDARTS-ADV: the network's weights are trained under the worst weights of the operations nearby."""

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from opselect.selectors.supernets.sdarts_rs import noise_radius, smoothed
from opselect.selectors.supernets.settings import SupernetTraining, TrainingStep
from opselect.spaces.inspection import mode
from opselect.spaces.space import Weights

LOWEST_WEIGHT = 1e-8
"""In place of zero, since an operation with weight zero is not computed and would have no gradient to come back by."""


class SDARTSADV(SupernetTraining):
    """Steps of the network's weights see the worst weights of operations within a distance of alpha's softmax.

    The largest change of a weight grows as the noise of `sdarts-rs`, with the setting `smoothing`. The worst weights
    are searched by projected gradient ascent on the batch of the step, from a random start, in evaluation mode, as in
    the published code; rows stay positive and sum to 1. If their loss is smaller than that of the softmax, the softmax
    stays.

    Source: Chen and Hsieh, Stabilizing DARTS via Perturbation-based Regularization, ICML 2020, SDARTS-ADV, and its
    published code (7 steps of 2/7 of the distance).
    """

    attack_steps: int = Field(default=7, ge=1, le=1000, description="Steps of gradient ascent.")

    def losses(self, supernet: nn.Module, step: TrainingStep) -> Iterator[Tensor]:
        """The losses, under the worst weights in steps of the network's weights."""
        if step.moment.step == "weights":
            step = step._replace(sub_graphs=[self.worst(supernet, step, weights) for weights in step.sub_graphs])
        yield from super().losses(supernet, step)

    def worst(self, supernet: nn.Module, step: TrainingStep, weights: Weights) -> Weights:
        """Weights `[edges, operations]` near the given ones with a larger loss; only rows of mixed edges differ."""
        decisions, batch = step.decisions, step.batch
        radius = noise_radius(self.smoothing, step.moment)
        mixed = decisions.candidates(weights)
        mixed[[row for row in range(len(mixed)) if row not in decisions.mixed_edges]] = False

        def loss(candidate: Weights) -> Tensor:
            return functional.cross_entropy(supernet(batch.images, candidate), batch.labels)

        def projected(candidate: Weights) -> Weights:
            positive = candidate.clamp(LOWEST_WEIGHT, 1).masked_fill(~mixed, 0)
            return torch.where(mixed, positive / positive.sum(dim=1, keepdim=True).clamp_min(LOWEST_WEIGHT), weights)

        with mode(supernet, training=False):
            found = projected(smoothed(weights, decisions, radius, step.moment.generator))
            for _ in range(self.attack_steps):
                found.requires_grad_()
                (gradient,) = torch.autograd.grad(loss(found), [found], materialize_grads=True)
                moved = found.detach() + 2 * radius / self.attack_steps * gradient.sign()
                found = projected(moved.clamp(weights - radius, weights + radius))
            with torch.no_grad():
                return weights if loss(weights) > loss(found) else found
