"""Beta-DARTS: the differences between the operations of an edge decay."""

from pydantic import Field
from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.settings import Moment, SupernetTraining
from opselect.selectors.supernets.terms import beta_decay


class BetaDARTS(SupernetTraining):
    """DARTS with a term on alpha whose gradient is alpha's softmax, at a weight that grows linearly from 0.

    The published code multiplies the term by half of the epoch's number, over 100 epochs; here the weight grows to the
    same 50 over any number of epochs. As there, alpha's own weight decay stays, and `none` counts as an operation.

    Source: Ye et al., beta-DARTS: Beta-Decay Regularization for Differentiable Architecture Search, CVPR 2022, and its
    published code, optimizers/darts/architect.py.
    """

    beta_weight: float = Field(default=50.0, ge=0, description="Weight of the term at the end of the training.")

    def penalty(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Tensor | None:
        """The term in steps of alpha, as long as an edge mixes operations."""
        weight = self.beta_weight * moment.progress
        if moment.step == "weights" or weight == 0 or not decisions.mixed_edges:
            return None
        return weight * beta_decay(alpha, decisions)
