"""Supernet training without learning of the architecture parameters."""

from typing import ClassVar

import torch
from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.settings import Moment, SupernetTraining, uniform_alpha


class FixedAlpha(SupernetTraining):
    """Alpha is uniform and frozen, in training and in tuning; only the weights of the network are trained.

    Source: Wang et al., Rethinking Architecture Selection in Differentiable NAS, ICLR 2021, section 4.3.
    """

    has_learnt_alpha: ClassVar[bool] = False

    def initial_alpha(self, decisions: Decisions, generator: torch.Generator) -> Tensor:
        """Zeros, `[edges, operations]`, which give every operation of an edge the same weight."""
        return uniform_alpha(decisions)

    def learns_alpha(self, moment: Moment) -> bool:
        """Never."""
        return False
