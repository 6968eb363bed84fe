"""Training the supernet: weights and architecture parameters in turn, and the tuning between DARTS-PT's decisions."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.settings import SupernetTraining
from opselect.selectors.task import SearchImages, SearchState, SupernetState, shuffled_batches
from opselect.spaces.augmentation import augment
from opselect.spaces.images import LabelledImages
from opselect.spaces.space import Weights

ALPHA_BETAS = (0.5, 0.999)
ALPHA_SPREAD = 1e-3
FIRST_SMOOTHING = 0.03

AlphaTraining: TypeAlias = Literal["learnt", "fixed", "smoothed"]
"""What becomes of alpha: learnt; uniform and frozen; learnt, while the weights see noise around it (SDARTS-RS)."""

ALPHA_TRAINING: dict[SupernetState, AlphaTraining] = {
    "trained": "learnt",
    "trained with fixed alpha": "fixed",
    "trained with random smoothing": "smoothed",
}
"""The states of a supernet that need training, and what becomes of alpha in it."""


def initial_alpha(decisions: Decisions, generator: torch.Generator) -> Tensor:
    """Architecture parameters at the start, normal with standard deviation 1e-3, `[edges, operations]`."""
    operations = max(len(edge.operations) for edge in decisions.edges)
    return ALPHA_SPREAD * torch.randn(len(decisions.edges), operations, generator=generator)


def uniform_alpha(decisions: Decisions) -> Tensor:
    """Architecture parameters that give every operation of an edge the same weight.

    The published code's fixed variant freezes the random start instead, which differs from this by about 0.1 %.
    """
    return torch.zeros(len(decisions.edges), max(len(edge.operations) for edge in decisions.edges))


class SupernetTrainer:
    """Trains one supernet in place; keeps the optimizers' state between calls.

    Args:
        supernet: its parameters are changed.
        alpha: where alpha starts; the given tensor is not changed.
        images: the two halves.
        training: the settings.
        alpha_training: what becomes of alpha; where it is fixed, it stays as given and costs nothing.
        learning_rate: of the weights' SGD at the start.
        generator: of batches and augmentation.
    """

    def __init__(
        self,
        supernet: nn.Module,
        alpha: Tensor,
        images: SearchImages,
        training: SupernetTraining,
        alpha_training: AlphaTraining,
        learning_rate: float,
        generator: torch.Generator,
    ) -> None:
        self.supernet = supernet
        self.learn_alpha = alpha_training != "fixed"
        self.alpha = alpha.clone().requires_grad_(self.learn_alpha)
        self.training = training
        self.noise = training.smoothing if alpha_training == "smoothed" else 0.0
        self.images = images
        self.generator = generator
        self.weight_batches = shuffled_batches(images.train_split, training.batch_size, generator)
        self.alpha_batches = shuffled_batches(images.val_split, training.batch_size, generator)
        self.sgd = SGD(
            supernet.parameters(), learning_rate, momentum=training.momentum, weight_decay=training.weight_decay
        )
        self.adam = Adam(
            [self.alpha], training.alpha_learning_rate, betas=ALPHA_BETAS, weight_decay=training.alpha_weight_decay
        )

    def train_epochs(self, decisions: Decisions, epochs: int) -> None:
        """Train for some epochs with the given decisions; the rows of decided edges get no gradient."""
        self.supernet.train()
        steps = len(self.images.train_split) // self.training.batch_size
        for _ in range(epochs):
            for _ in range(steps):
                if self.learn_alpha:
                    self._alpha_step(decisions)
                self._weights_step(decisions)

    def _loss(self, batch: LabelledImages, weights: Tensor) -> Tensor:
        images = augment(batch.images, self.images.crop_padding, self.images.flip, self.generator)
        return functional.cross_entropy(self.supernet(images, weights), batch.labels)

    def _alpha_step(self, decisions: Decisions) -> None:
        loss = self._loss(next(self.alpha_batches), decisions.weights(self.alpha))
        # Asking for this gradient alone spares the weights' gradients, which the published code computes and discards.
        (self.alpha.grad,) = torch.autograd.grad(loss, [self.alpha])
        self.adam.step()

    def _weights_step(self, decisions: Decisions) -> None:
        self.sgd.zero_grad()
        weights = decisions.weights(self.alpha).detach()
        if self.noise:
            weights = smoothed(weights, decisions, self.noise, self.generator)
        self._loss(next(self.weight_batches), weights).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.supernet.parameters(), self.training.gradient_clip)
        self.sgd.step()


def smoothed(weights: Weights, decisions: Decisions, noise: float, generator: torch.Generator) -> Weights:
    """Weights with uniform noise in [-noise, noise] on every operation of the open edges, clipped to [0, 1].

    Source: Chen and Hsieh, Stabilizing DARTS via Perturbation-based Regularization, ICML 2020, SDARTS-RS.
    """
    drawn = torch.empty(weights.shape).uniform_(-noise, noise, generator=generator)
    changed = weights.clone()
    for edge in set(decisions.open_edges) - decisions.dropped:
        real = len(decisions.edges[edge].operations)
        changed[edge, :real] = (weights[edge, :real] + drawn[edge, :real]).clamp(0, 1)
    return changed


def train_supernet(
    supernet: nn.Module,
    decisions: Decisions,
    images: SearchImages,
    training: SupernetTraining,
    alpha_training: AlphaTraining,
    alpha_generator: torch.Generator,
    batch_generator: torch.Generator,
) -> Tensor:
    """Train an initialised supernet by DARTS's first-order alternation, in place.

    Args:
        supernet: at initialisation; trained when this returns.
        decisions: with all edges open.
        images: the two halves.
        training: the settings.
        alpha_training: what becomes of alpha; fixed is uniform and frozen (DARTS-PT, section 4.3), and the noise of
            smoothed grows linearly with the epochs, as in the published code of SDARTS-RS.
        alpha_generator: of alpha's start.
        batch_generator: of batches and augmentation.

    Returns:
        The trained (or uniform) alpha, `[edges, operations]`.

    Source: Liu et al., DARTS, ICLR 2019, algorithm 1 with xi = 0.
    """
    alpha = uniform_alpha(decisions) if alpha_training == "fixed" else initial_alpha(decisions, alpha_generator)
    trainer = SupernetTrainer(
        supernet, alpha, images, training, alpha_training, training.learning_rate, batch_generator
    )
    schedule = CosineAnnealingLR(trainer.sgd, training.epochs, training.final_learning_rate)
    for epoch in range(training.epochs):
        if alpha_training == "smoothed":
            trainer.noise = FIRST_SMOOTHING + (training.smoothing - FIRST_SMOOTHING) * epoch / training.epochs
        trainer.train_epochs(decisions, 1)
        schedule.step()
    return trainer.alpha.detach()


def tuner(state: SearchState, epochs: int, alpha_training: AlphaTraining) -> Callable[[SearchState], SearchState]:
    """The `Tune` of DARTS-PT: some epochs at a small constant learning rate after each decision (section 4.2).

    The noise of a smoothed training stays as large as it was in the end.
    """
    assert state.task.supernet is not None
    trainer = SupernetTrainer(
        state.task.supernet,
        state.alpha,
        state.task.images,
        state.task.training,
        alpha_training,
        state.task.training.tuning_learning_rate,
        state.task.torch_generator("tuning batches"),
    )

    def tune(current: SearchState) -> SearchState:
        trainer.train_epochs(current.decisions, epochs)
        return replace(current, alpha=trainer.alpha.detach().clone())

    return tune
