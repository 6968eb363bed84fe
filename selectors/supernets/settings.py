"""The base class of supernet trainings: settings, and the plugs of the one trainer.

Wang et al. (arXiv 2108.04392) ask whether the selection or the training of the supernet is at fault. So a training is
no part of a selector: experiments cross their trainings with all selectors that can use them.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from opselect.selectors.decisions import Decisions
from opselect.spaces.images import LabelledImages
from opselect.spaces.space import SearchSpace, Weights

ALPHA_SPREAD = 1e-3
"""Standard deviation of alpha before the first step."""

LOWEST_TEMPERATURE = 1e-3
"""Of samplers: at lower ones gradients are no numbers in single precision, and draws do not depend on it."""


class Moment(NamedTuple):
    """The moment of a training at which a plug is called.

    Attributes:
        epoch: Number of the epoch, from 0. Tuning comes after the last epoch: there it equals `epochs`.
        epochs: Number of epochs of the whole training.
        step: Which parameters this step trains, alpha or the weights of the network.
        generator: Random stream of the training; draw from no other.
    """

    epoch: int
    epochs: int
    step: Literal["alpha", "weights"]
    generator: torch.Generator

    @property
    def progress(self) -> float:
        """Share of the training that lies behind: 0 in the first epoch, 1 in tuning. Schedules follow it."""
        return self.epoch / self.epochs


class TrainingStep(NamedTuple):
    """All that the losses of one step depend on, apart from the supernet.

    Attributes:
        batch: Images of the step.
        sub_graphs: Weight matrices `[edges, operations]` of the step.
        alpha: Architecture parameters, `[edges, operations]`; detached in steps of the network's weights.
        decisions: Decisions made so far.
        moment: Epoch and step of the training, and its random stream.
    """

    batch: LabelledImages
    sub_graphs: Sequence[Weights]
    alpha: Tensor
    decisions: Decisions
    moment: Moment


class SupernetTraining(BaseModel):
    """Settings and plugs of first-order DARTS; other trainings are small subclasses.

    The defaults are those of the papers (DARTS, first order; the values of both published codes). One epoch passes once
    over the train split, in full batches; the published code draws every batch independently instead, and counts as
    many batches as one epoch.

    A subclass overrides the plugs that its method changes, and may add settings of its own as fields:

    * `weights`, as which alpha is read in the end, and `initial_alpha`, with which it starts;
    * `relax`, the weight matrix of one step, or `sub_graphs`, several of them;
    * `penalty`, a term on alpha, or `losses`, all that a step minimises;
    * `prepare`, a change of the supernet, and `why_not`, which spaces the training cannot have;
    * `learns_alpha`, the schedule.

    Attributes:
        alpha_betas: Decay rates of Adam for alpha.
        has_learnt_alpha: Whether alpha has been learnt when the training is over, so that it can be selected by.
        leaves_edges_open: Whether edges are left to decide when the training is over.

    Source: Liu et al., DARTS, ICLR 2019, algorithm 1 with xi = 0.

    Example:
        >>> class Frozen(SupernetTraining):
        ...     has_learnt_alpha = False
        >>> Frozen(epochs=5).epochs, Frozen.has_learnt_alpha
        (5, False)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    alpha_betas: ClassVar[tuple[float, float]] = (0.5, 0.999)
    has_learnt_alpha: ClassVar[bool] = True
    leaves_edges_open: ClassVar[bool] = True

    channels: int | None = Field(
        default=None, ge=1, le=4096, description="Channels of the first stage; null for those of the space."
    )
    cells: int | None = Field(default=None, ge=1, le=1000, description="Cells per stage; null for those of the space.")
    epochs: int = Field(default=100, ge=1, description="Passes over the train split.")
    batch_size: int = Field(default=64, ge=2, description="Images per step, for the weights and for alpha.")
    learning_rate: float = Field(default=0.025, gt=0, description="Learning rate of SGD for the weights at the start.")
    final_learning_rate: float = Field(
        default=0.001, ge=0, description="Learning rate of SGD after the last epoch, at the end of a half cosine."
    )
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=3e-4, ge=0)
    gradient_clip: float = Field(default=5.0, gt=0, description="Largest norm of the gradient of the weights.")
    alpha_learning_rate: float = Field(default=3e-4, gt=0, description="Learning rate of Adam for alpha.")
    alpha_weight_decay: float = Field(default=1e-3, ge=0)
    # Only SDARTS-RS reads it, but the records of all trainings have it, and their keys depend on it.
    smoothing: float = Field(
        default=0.3, gt=0, lt=1, description="For SDARTS-RS: largest noise on the weight of an operation, at the end."
    )
    tuning_learning_rate: float = Field(
        default=0.0025, gt=0, description="Constant learning rate of SGD in the tuning between decisions."
    )

    def initial_alpha(self, decisions: Decisions, generator: torch.Generator) -> Tensor:
        """Alpha before the first step, `[edges, operations]`: normal with standard deviation 1e-3.

        Args:
            decisions: Decisions with all edges open.
            generator: Random stream of the initial alpha.
        """
        return random_alpha(decisions, generator)

    def weights(self, alpha: Tensor, decisions: Decisions) -> Weights:
        """Weights `[edges, operations]` as which alpha is read: its softmax on open edges, one-hot on decided ones.

        Args:
            alpha: Architecture parameters, `[edges, operations]`.
            decisions: Decisions made so far.
        """
        return decisions.weights(alpha)

    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        """Weights `[edges, operations]` of the supernet in one step; alpha learns by the gradient through them.

        Args:
            alpha: Architecture parameters, `[edges, operations]`; detached in steps of the network's weights.
            decisions: Decisions made so far.
            moment: Epoch and step of the training, and its random stream.
        """
        return self.weights(alpha, decisions)

    def sub_graphs(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Sequence[Weights]:
        """The weight matrices of one step, one per sub-graph that it trains: that of `relax` alone.

        Each has a graph of gradients of its own, since they are back-propagated one after the other.

        Args:
            alpha: Architecture parameters, `[edges, operations]`; detached in steps of the network's weights.
            decisions: Decisions made so far.
            moment: Epoch and step of the training, and its random stream.
        """
        return (self.relax(alpha, decisions, moment),)

    def losses(self, supernet: nn.Module, step: TrainingStep) -> Iterator[Tensor]:
        """Scalars whose sum a step minimises: the mean cross entropy over the sub-graphs, without `penalty`.

        Each is back-propagated before the next one is computed, so memory holds the activations of one sub-graph.

        Args:
            supernet: The supernet that `prepare` returned, in train mode.
            step: Images, weight matrices, alpha, decisions and moment of the step.
        """
        for weights in step.sub_graphs:
            logits = supernet(step.batch.images, weights)
            yield functional.cross_entropy(logits, step.batch.labels) / len(step.sub_graphs)

    def penalty(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Tensor | None:
        """A scalar that is added to the losses of a step, or None.

        Args:
            alpha: Architecture parameters, `[edges, operations]`; detached in steps of the network's weights.
            decisions: Decisions made so far.
            moment: Epoch and step of the training, and its random stream.
        """
        return None

    def prepare(self, supernet: nn.Module) -> nn.Module:
        """The supernet that is trained and selected from: the given one, or a module around it that changes it."""
        return supernet

    def why_not(self, space: SearchSpace) -> str:
        """Why this training cannot have the supernets of a space, as part of a sentence; empty where it can."""
        return ""

    def learns_alpha(self, moment: Moment) -> bool:
        """Whether alpha takes steps in this epoch; otherwise the trainer leaves them out and saves their time."""
        return True


def random_alpha(decisions: Decisions, generator: torch.Generator) -> Tensor:
    """Architecture parameters `[edges, operations]`, normal with standard deviation 1e-3.

    Args:
        decisions: Decisions whose edges are those of alpha.
        generator: Random stream.
    """
    return ALPHA_SPREAD * torch.randn(uniform_alpha(decisions).shape, generator=generator)


def uniform_alpha(decisions: Decisions) -> Tensor:
    """Architecture parameters `[edges, operations]` that give every operation of an edge the same weight.

    The published code's fixed variant freezes the random start instead, which differs from this by about 0.1 %.

    Args:
        decisions: Decisions whose edges are those of alpha.
    """
    return torch.zeros(len(decisions.edges), max(len(edge.operations) for edge in decisions.edges))
