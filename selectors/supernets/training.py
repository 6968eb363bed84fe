"""The one trainer of supernets: steps of alpha and of the weights in turn, and the tuning between decisions."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.history import EpochTrace, measure_epoch, plain_history, read_history
from opselect.selectors.supernets.settings import Moment, SupernetTraining, TrainingStep
from opselect.selectors.task import SearchImages, SearchState, ShuffledBatches


@runtime_checkable
class Checkpoint(Protocol):
    """Saved state of a training, written after every epoch, from which a killed training continues."""

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last; None where there is none."""
        ...

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state by this one."""
        ...


class LearntAlpha(NamedTuple):
    """What a training learnt about the operations.

    Attributes:
        alpha: `[edges, operations]`.
        optimizer: State of alpha's Adam, with which tuning goes on.
    """

    alpha: Tensor
    optimizer: dict[str, Any]


class SupernetTrainer:
    """Trainer of one supernet, in place; the state of its optimizers lasts from call to call.

    Args:
        supernet: Network whose parameters are trained.
        alpha: Initial alpha, `[edges, operations]`; the given tensor is not changed.
        images: The train split, for the weights, and the search-validation split, for alpha.
        training: Settings and plugs.
        learning_rate: Learning rate of the SGD of the weights at the start.
        generator: Random stream of batches, augmentation and relaxation.
    """

    def __init__(
        self,
        supernet: nn.Module,
        alpha: Tensor,
        images: SearchImages,
        training: SupernetTraining,
        learning_rate: float,
        generator: torch.Generator,
    ) -> None:
        self.supernet = supernet
        self.alpha = alpha.clone().requires_grad_()
        self.training = training
        self.images = images
        self.generator = generator
        self.weight_batches = ShuffledBatches(images.train_split, training.batch_size, generator)
        self.alpha_batches = ShuffledBatches(images.val_split, training.batch_size, generator)
        self.sgd = SGD(
            supernet.parameters(), learning_rate, momentum=training.momentum, weight_decay=training.weight_decay
        )
        self.adam = Adam(
            [self.alpha],
            training.alpha_learning_rate,
            betas=training.alpha_betas,
            weight_decay=training.alpha_weight_decay,
        )

    def train_epoch(self, decisions: Decisions, epoch: int) -> None:
        """Train for one epoch with the given decisions; the rows of decided edges get no gradient.

        Args:
            decisions: Decisions made so far.
            epoch: Number of the epoch, as in `Moment`.
        """
        self.supernet.train()
        # `OLES` reads the gradients of the step before, which a checkpoint does not have: an epoch starts without.
        self.sgd.zero_grad()
        for_alpha, for_weights = (
            Moment(epoch, self.training.epochs, "alpha", self.generator),
            Moment(epoch, self.training.epochs, "weights", self.generator),
        )
        for _ in range(len(self.images.train_split) // self.training.batch_size):
            if self.training.learns_alpha(for_alpha):
                # These gradients alone: the published code also computes those of the weights, and discards them.
                self.alpha.grad = reduce(
                    add, map(self._gradient, self._losses(self.alpha_batches, decisions, for_alpha))
                )
                self.adam.step()
            self.sgd.zero_grad()
            for loss in self._losses(self.weight_batches, decisions, for_weights):
                loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.supernet.parameters(), self.training.gradient_clip)
            self.sgd.step()

    def _losses(self, batches: ShuffledBatches, decisions: Decisions, moment: Moment) -> Iterator[Tensor]:
        alpha = self.alpha if moment.step == "alpha" else self.alpha.detach()
        sub_graphs = self.training.sub_graphs(alpha, decisions, moment)
        batch = self.images.augment(next(batches), self.generator)
        step = TrainingStep(batch, sub_graphs, alpha, decisions, moment)
        for number, loss in enumerate(self.training.losses(self.supernet, step)):
            penalty = self.training.penalty(alpha, decisions, moment) if number == 0 else None
            yield loss if penalty is None else loss + penalty

    def _gradient(self, loss: Tensor) -> Tensor:
        """The gradient of alpha, zero where a drawn sub-graph leaves nothing to learn by: `none` on every edge."""
        (gradient,) = torch.autograd.grad(loss, [self.alpha], materialize_grads=True)
        return gradient

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        return {
            "supernet": self.supernet.state_dict(),
            "alpha": self.alpha.detach().clone(),
            "sgd": self.sgd.state_dict(),
            "adam": self.adam.state_dict(),
            "generator": self.generator.get_state(),
            "streams": [stream.get_state() for stream in self._streams()],
            "weight batches": self.weight_batches.waiting,
            "alpha batches": self.alpha_batches.waiting,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        self.supernet.load_state_dict(state["supernet"])
        with torch.no_grad():
            self.alpha.copy_(state["alpha"])
        self.sgd.load_state_dict(state["sgd"])
        self.adam.load_state_dict(state["adam"])
        self.generator.set_state(state["generator"])
        for stream, saved in zip(self._streams(), state["streams"], strict=True):
            stream.set_state(saved)
        self.weight_batches.waiting = state["weight batches"]
        self.alpha_batches.waiting = state["alpha batches"]

    def _streams(self) -> list[torch.Generator]:
        """Random streams that modules of the supernet have of their own, as the noise operation does."""
        streams = (getattr(module, "generator", None) for module in self.supernet.modules())
        return [stream for stream in streams if isinstance(stream, torch.Generator)]


def train_supernet(
    supernet: nn.Module,
    decisions: Decisions,
    images: SearchImages,
    training: SupernetTraining,
    alpha_generator: torch.Generator,
    batch_generator: torch.Generator,
    checkpoint: Checkpoint | None = None,
    alpha: Tensor | None = None,
    history: list[EpochTrace] | None = None,
) -> LearntAlpha:
    """Train an initialised supernet in place, and return its alpha.

    Args:
        supernet: Supernet at initialisation; trained when this returns.
        decisions: Decisions with all edges open.
        images: The train split and the search-validation split.
        training: Settings and plugs.
        alpha_generator: Random stream of the initial alpha.
        batch_generator: Random stream of batches, augmentation and relaxation.
        checkpoint: Saved state, replaced after every epoch except the last. A training that finds one continues from
            it, and ends with the same numbers to the last bit.
        alpha: Initial alpha, `[edges, operations]`; None for that of the training, `initial_alpha`.
        history: List that gets the state of the training after every epoch, or None; it is part of the saved state and
            changes no number.

    Returns:
        Alpha, and the state of its optimizer.
    """
    if alpha is None:
        alpha = training.initial_alpha(decisions, alpha_generator)
    trainer = SupernetTrainer(supernet, alpha, images, training, training.learning_rate, batch_generator)
    schedule = CosineAnnealingLR(trainer.sgd, training.epochs, training.final_learning_rate)
    first = 0
    if checkpoint is not None and (saved := checkpoint.load()) is not None:
        trainer.load_state_dict(saved["trainer"])
        schedule.load_state_dict(saved["schedule"])
        first = saved["epochs"]
        if history is not None:
            history[:] = read_history(saved["history"])
    for epoch in range(first, training.epochs):
        trainer.train_epoch(decisions, epoch)
        schedule.step()
        if history is not None:
            weights = training.weights(trainer.alpha.detach(), decisions)
            history.append(measure_epoch(supernet, weights, images, training.batch_size))
        # After the last epoch the caller stores the supernet itself.
        if checkpoint is not None and epoch + 1 < training.epochs:
            state = {"trainer": trainer.state_dict(), "schedule": schedule.state_dict(), "epochs": epoch + 1}
            checkpoint.save(state | {"history": plain_history(history or ())})
    return LearntAlpha(trainer.alpha.detach(), trainer.adam.state_dict())


def tuner(
    state: SearchState, epochs: int, last_epochs: int | None = None, continue_optimizer: bool = True
) -> Callable[[SearchState], SearchState]:
    """The `Tune` of DARTS-PT: some epochs at a small constant learning rate after each decision.

    Args:
        state: State before the first decision; its supernet is tuned in place, by the plugs of its training.
        epochs: Number of epochs between two decisions.
        last_epochs: Number of epochs before the last decision about operations; None for as many.
        continue_optimizer: Whether alpha's Adam goes on with the state that the training of the supernet left, as in
            the published code, where the paper is silent. The SGD of the weights is new, there too.

    Returns:
        A function that tunes the supernet and returns the state with the tuned alpha.

    Source: Wang et al. (arXiv 2108.04392), section 4.2.
    """
    assert state.task.supernet is not None
    training = state.task.training
    trainer = SupernetTrainer(
        state.task.supernet,
        state.alpha,
        state.task.images,
        training,
        training.tuning_learning_rate,
        state.task.torch_generator("tuning batches"),
    )

    if continue_optimizer and state.task.alpha_optimizer is not None:
        # A copy, since an optimizer changes the tensors that it is given in place.
        trainer.adam.load_state_dict(deepcopy(state.task.alpha_optimizer))

    def tune(current: SearchState) -> SearchState:
        decisions = current.decisions
        cells = [decisions.edges[edge].cell for edge in decisions.open_edges]
        is_last = bool(cells) and len(cells) == len(set(cells))
        for _ in range(last_epochs if is_last and last_epochs is not None else epochs):
            trainer.train_epoch(current.decisions, training.epochs)
        return replace(current, alpha=trainer.alpha.detach().clone())

    return tune
