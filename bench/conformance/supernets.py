"""The checks of supernet trainings: each trains a tiny supernet for an epoch or two, or looks at one step."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from opselect.bench.conformance.check import NotApplicable, expect, leaving_random_state, same
from opselect.bench.conformance.tasks import SPACE, small_task
from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.settings import Moment, SupernetTraining, TrainingStep, uniform_alpha
from opselect.selectors.supernets.training import train_supernet
from opselect.selectors.task import INITIAL_SUPERNET
from opselect.spaces.cell_graph import EdgeOperations
from opselect.spaces.seeds import torch_generator

NOTHING_DECIDED = Decisions.none_yet(SPACE.edges)
PARTLY_DECIDED = NOTHING_DECIDED.decide(0, 3).decide(2, 0).drop(4)
STEPS: tuple[Literal["alpha", "weights"], ...] = ("alpha", "weights")


class LastState:
    """A checkpoint in memory: the state that was saved last, as the bytes of a file."""

    def __init__(self) -> None:
        self.content = b""

    def load(self) -> dict[str, Any] | None:
        """The state, read as tensors and plain values only; None where none was saved."""
        return torch.load(io.BytesIO(self.content), weights_only=True) if self.content else None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.content = buffer.getvalue()


@dataclass(frozen=True)
class SupernetFixture:
    """A supernet training, and what its checks share.

    Attributes:
        training: The training with one epoch of small batches.
    """

    training: SupernetTraining

    def supernet(self) -> nn.Module:
        """The supernet before training, the same on every call."""
        return self.training.prepare(SPACE.supernet(1, 10, seed=0))

    def train(self, epochs: int = 1, checkpoint: LastState | None = None) -> tuple[Tensor, list[Tensor]]:
        """Train a supernet, always from the same initial state.

        Args:
            epochs: Number of epochs.
            checkpoint: Saved state, from which the training goes on where there is one.

        Returns:
            Alpha `[edges, operations]`, and the parameters and buffers of the supernet.
        """
        supernet = self.supernet()
        learnt = train_supernet(
            supernet,
            NOTHING_DECIDED,
            small_task(INITIAL_SUPERNET).images,
            self.training.model_copy(update={"epochs": epochs}),
            torch_generator("conformance", "alpha"),
            torch_generator("conformance", "batches"),
            checkpoint,
        )
        return learnt.alpha, list(supernet.state_dict().values())

    def alpha(self) -> Tensor:
        """Alpha that differs clearly between operations, as a leaf of the graph of gradients."""
        alpha = self.training.initial_alpha(NOTHING_DECIDED, torch_generator("conformance", "alpha"))
        return (alpha + torch.arange(float(alpha.numel())).reshape(alpha.shape).sin() / 10).requires_grad_()

    def losses(
        self, supernet: nn.Module, alpha: Tensor, decisions: Decisions, step: Literal["alpha", "weights"]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The sub-graphs of one step in the middle of a training, each with its loss, the first with the penalty."""
        training = self.training.model_copy(update={"epochs": 2})
        moment = Moment(1, 2, step, torch_generator("conformance", "step", step))
        used = alpha if step == "alpha" else alpha.detach()
        sub_graphs = training.sub_graphs(used, decisions, moment)
        batch = small_task(INITIAL_SUPERNET).images.val_split[: training.batch_size]
        losses = training.losses(supernet, TrainingStep(batch, sub_graphs, used, decisions, moment))
        for number, (weights, loss) in enumerate(zip(sub_graphs, losses, strict=True)):
            penalty = training.penalty(used, decisions, moment) if number == 0 else None
            yield weights, loss if penalty is None else loss + penalty


def the_same_supernet_for_a_seed(fixture: SupernetFixture) -> None:
    """Trained twice from the same random streams, a supernet and its alpha are the same to the last bit."""
    with leaving_random_state("training a supernet"):
        first, second = fixture.train(), fixture.train()
    expect(
        same(first, second),
        "two trainings from the same streams gave different numbers; draw from the generator of the moment only",
    )


def a_killed_training_goes_on_to_the_same_numbers(fixture: SupernetFixture) -> None:
    """A training that goes on from its checkpoint ends with the numbers of one that was never interrupted."""
    checkpoint = LastState()
    whole = fixture.train(2, checkpoint)
    expect(
        same(whole, fixture.train(2, checkpoint)),
        "a training that went on after its first epoch ended with other numbers; keep what a step depends on in "
        "parameters and buffers of the supernet that prepare() returns, since the checkpoint has those",
    )


def alpha_of_every_operation(fixture: SupernetFixture) -> None:
    """Alpha has a finite value for every operation of every edge, and is read as weights of the same shape."""
    alpha, _ = fixture.train()
    shape = (len(SPACE.edges), max(len(edge.operations) for edge in SPACE.edges))
    expect(alpha.shape == shape, f"alpha has the shape {tuple(alpha.shape)}, expected {shape}")
    expect(bool(torch.isfinite(alpha).all()), "alpha is not finite after an epoch")
    weights = fixture.training.weights(alpha, NOTHING_DECIDED)
    expect(weights.shape == shape, f"weights() has the shape {tuple(weights.shape)}, expected {shape}")


def alpha_learns_from_the_images(fixture: SupernetFixture) -> None:
    """The losses of a step of alpha have a gradient with respect to it, if the training says that it learns alpha."""
    if not fixture.training.has_learnt_alpha:
        raise NotApplicable("it says that it does not learn alpha")
    alpha = fixture.alpha()
    gradients = [
        torch.autograd.grad(loss, [alpha], materialize_grads=True)[0]
        for _, loss in fixture.losses(fixture.supernet().train(), alpha, NOTHING_DECIDED, "alpha")
    ]
    expect(
        any(bool(gradient.any()) for gradient in gradients),
        "the losses of a step of alpha do not depend on alpha; leave it attached in relax() and losses()",
    )


def decided_edges_are_left_alone(fixture: SupernetFixture) -> None:
    """Decided edges have one-hot weights, dropped edges none, in every step, and alpha's rows of both no gradient."""
    alpha, supernet = fixture.alpha(), fixture.supernet().train()
    fixed = [row for row in range(len(SPACE.edges)) if row not in PARTLY_DECIDED.mixed_edges]
    expected = PARTLY_DECIDED.weights(uniform_alpha(NOTHING_DECIDED))[fixed]

    def check(weights: Tensor, where: str) -> None:
        expect(
            torch.equal(weights[fixed], expected),
            f"{where} changed the row of a decided or dropped edge; use Decisions.applied_to on the matrix",
        )

    check(fixture.training.weights(alpha, PARTLY_DECIDED), "weights()")
    for step in STEPS:
        for weights, loss in fixture.losses(supernet, alpha, PARTLY_DECIDED, step):
            check(weights, f"a step of {step}")
            if step == "alpha":
                (gradient,) = torch.autograd.grad(loss, [alpha], materialize_grads=True)
                expect(not gradient[fixed].any(), "alpha of a decided or dropped edge has a gradient")
                expect(bool(torch.isfinite(gradient).all()), "the gradient of alpha is not finite")


def operations_with_weight_zero_are_not_computed(fixture: SupernetFixture) -> None:
    """The supernet does not compute operations with weight zero: what they would give does not matter."""
    supernet = fixture.supernet().train()
    edges = [module for module in supernet.modules() if isinstance(module, EdgeOperations)]
    if not edges:
        raise NotApplicable("its supernet has no EdgeOperations")
    with torch.no_grad():
        for edge in edges:
            for parameter in edge.operations["nor_conv_3x3"].parameters():
                parameter.fill_(math.nan)
        weights = NOTHING_DECIDED.weights(uniform_alpha(NOTHING_DECIDED))
        weights[:, SPACE.edges[0].operations.index("nor_conv_3x3")] = 0
        logits = supernet(small_task(INITIAL_SUPERNET).images.train_split[:4].images, weights)
    expect(bool(torch.isfinite(logits).all()), "an operation with weight zero was computed")


SUPERNET_CHECKS = (
    the_same_supernet_for_a_seed,
    a_killed_training_goes_on_to_the_same_numbers,
    alpha_of_every_operation,
    alpha_learns_from_the_images,
    decided_edges_are_left_alone,
    operations_with_weight_zero_are_not_computed,
)
