"""A selector: alpha and the loss vote together, by the ranks that they give to the operations of an edge."""

from typing import ClassVar

import torch
from pydantic import Field
from scipy.stats import rankdata
from torch import Tensor

from opselect.selectors.methods import OrderName, Settings, select_edgewise
from opselect.selectors.pruning import best_operation
from opselect.selectors.scores import alpha_strength
from opselect.selectors.task import TRAINED_SUPERNET, Needs, SearchState, Selection, Task
from opselect_template.score import LOSS_PERTURBATION


class RankVote(Settings):
    """Keep the operation with the best weighted sum of two ranks: alpha's, and that of the loss without it."""

    needs: ClassVar[Needs] = TRAINED_SUPERNET

    edge_order: OrderName = "random"
    alpha_share: float = Field(default=0.5, ge=0, le=1, description="weight of alpha's ranks; the loss has the rest")

    def __call__(self, task: Task) -> Selection:
        """Decide every edge; the loop, its costs and its trace are opselect's."""
        return select_edgewise(task, self.score, self.edge_order, best_operation(self.score))

    def score(self, state: SearchState, edge: int) -> Tensor:
        """One score an operation, larger is better; equal operations share a rank."""
        by_alpha, by_loss = (rankdata(score(state, edge).numpy()) for score in (alpha_strength, LOSS_PERTURBATION))
        return torch.from_numpy(self.alpha_share * by_alpha + (1 - self.alpha_share) * by_loss)
