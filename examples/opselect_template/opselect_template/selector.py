"""A selector: alpha and DARTS-PT's accuracies vote together, by the ranks that they give to the operations."""

from typing import ClassVar

import torch
from pydantic import Field
from scipy.stats import rankdata
from torch import Tensor

from opselect.selectors.methods import OrderName, Settings, select_edgewise
from opselect.selectors.pruning import best_operation
from opselect.selectors.scores import PERTURBATION_ACCURACY, alpha_strength
from opselect.selectors.task import TRAINED_SUPERNET, Needs, SearchState, Selection, Task


class OpselectTemplateSelector(Settings):
    """Keep the operation with the best weighted sum of two ranks: by alpha, and by the accuracy without it."""

    needs: ClassVar[Needs] = TRAINED_SUPERNET

    edge_order: OrderName = "random"
    alpha_share: float = Field(default=0.5, ge=0, le=1, description="Weight of alpha's ranks, from 0 to 1.")

    def __call__(self, task: Task) -> Selection:
        """Decide every edge; the loop, its costs and its trace are opselect's."""
        return select_edgewise(task, self.score, self.edge_order, best_operation(self.score))

    def score(self, state: SearchState, edge: int) -> Tensor:
        """One score per operation, larger is better; equal operations share a rank."""
        scores = alpha_strength(state, edge), PERTURBATION_ACCURACY(state, edge)
        by_alpha, by_accuracy = (rankdata(each.numpy()) for each in scores)
        return torch.from_numpy(self.alpha_share * by_alpha + (1 - self.alpha_share) * by_accuracy)
