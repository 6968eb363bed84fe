"""A supernet training as a plug-in: DARTS with a term that makes the operations of an edge exclude each other.

Put the file into a package and declare the class in the package's `pyproject.toml`:

    [project.entry-points."opselect.supernets"]
    entropy = "my_package.entropy_training:EntropyTraining"

After `pip install --editable .` an experiment file names it as `[[supernet]] name = "entropy"`, and every selector that
needs a trained supernet can be crossed with it. `opselect conformance entropy` checks it.
"""

from pydantic import Field
from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.settings import Moment, SupernetTraining


class EntropyTraining(SupernetTraining):
    """DARTS with the entropy of alpha's softmax as a term, at a weight that grows linearly from 0.

    Source: after Tian et al., Discretization-Aware Architecture Search, arXiv 2007.03154.
    """

    entropy_weight: float = Field(default=1.0, ge=0, description="Weight of the term at the end of the training.")

    def penalty(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Tensor | None:
        """The mean entropy over the edges that still mix operations, in steps of alpha."""
        if moment.step == "weights" or not decisions.mixed_edges:
            return None
        weights = self.weights(alpha, decisions)[list(decisions.mixed_edges)]
        entropy = -(weights * weights.clamp_min(1e-12).log()).sum(dim=1).mean()
        return self.entropy_weight * moment.progress * entropy
