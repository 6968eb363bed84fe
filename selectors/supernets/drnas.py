"""DrNAS: the weights of an edge are a draw from a Dirichlet distribution, whose concentration is learnt."""

from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.relaxations import dirichlet_mean, dirichlet_sample
from opselect.selectors.supernets.settings import Moment, SupernetTraining
from opselect.spaces.space import Weights


class DrNAS(SupernetTraining):
    """Every step draws the weights of each edge from a Dirichlet distribution with the concentration elu(alpha) + 1.

    Alpha is read as the mean of the distribution. The regulariser of the concentration is alpha's weight decay, as in
    the published code. Without progressive learning: no partial channels, no pruning of operations.

    Source: Chen et al., DrNAS: Dirichlet Neural Architecture Search, ICLR 2021, sections 3.1 and 3.2, and its published
    code, 201-space/train_search.py, whose settings are the defaults.
    """

    def weights(self, alpha: Tensor, decisions: Decisions) -> Weights:
        """Mean weights of the operations on open edges, `[edges, operations]`."""
        return dirichlet_mean(alpha, decisions)

    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        """One draw per open edge, `[edges, operations]`."""
        return dirichlet_sample(alpha, decisions, moment.generator)
