"""FairDARTS: operations of an edge do not compete, and are driven to 0 or 1."""

import torch
from pydantic import Field
from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.relaxations import sigmoid
from opselect.selectors.supernets.settings import Moment, SupernetTraining, uniform_alpha
from opselect.selectors.supernets.terms import zero_one
from opselect.spaces.space import Weights


class FairDARTS(SupernetTraining):
    """DARTS with the sigmoid in place of the softmax, and the zero-one loss on it, in steps of alpha.

    Alpha starts at zero. `none`, which the published space does not have, is left out of the zero-one loss and so stays
    at 0.5: an edge on which every operation falls below keeps `none`. The published rule of choosing (all operations
    above 0.85, two per node) is a selector's matter and no part of this.

    Source: Chu et al., Fair DARTS: Eliminating Unfair Advantages in Differentiable Architecture Search, ECCV 2020, and
    its published code (fairdarts/train_search.py; the squared distance is its default).
    """

    epochs: int = Field(default=50, ge=1, description="Passes over the train split.")
    batch_size: int = Field(default=128, ge=2, description="Images per step, for the weights and for alpha.")
    learning_rate: float = Field(default=0.005, gt=0, description="Learning rate of SGD for the weights at the start.")
    alpha_learning_rate: float = Field(default=3e-3, gt=0, description="Learning rate of Adam for alpha.")
    alpha_momentum: float = Field(default=0.9, ge=0, lt=1, description="First decay rate of Adam for alpha.")
    zero_one_weight: float = Field(default=10.0, ge=0, description="Weight of the zero-one loss.")

    @property
    def alpha_betas(self) -> tuple[float, float]:  # type: ignore[override]
        """Decay rates of Adam for alpha."""
        return self.alpha_momentum, super().alpha_betas[1]

    def initial_alpha(self, decisions: Decisions, generator: torch.Generator) -> Tensor:
        """Zeros, `[edges, operations]`: every sigmoid is 0.5."""
        return uniform_alpha(decisions)

    def weights(self, alpha: Tensor, decisions: Decisions) -> Weights:
        """The sigmoid of alpha on open edges, `[edges, operations]`."""
        return sigmoid(alpha, decisions)

    def penalty(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Tensor | None:
        """The zero-one loss in steps of alpha, as long as an edge mixes operations."""
        if moment.step == "weights" or self.zero_one_weight == 0 or not decisions.mixed_edges:
            return None
        return self.zero_one_weight * zero_one(self.weights(alpha, decisions), decisions)
