"""A score: how much the validation loss rises without an operation.

It is the score of DARTS-PT with the loss in place of the accuracy, which does not show small differences.
"""

from collections.abc import Sequence

import torch
from torch.func import functional_call
from torch.nn import functional

from opselect.selectors.scores import perturbation
from opselect.selectors.task import TRAINED_SUPERNET, RegisteredScore, SearchState
from opselect.spaces.space import Weights


@torch.no_grad()
def minus_validation_losses(state: SearchState, weights: Sequence[Weights]) -> list[float]:
    """Minus the cross entropy on the search-validation split under each weight matrix; larger is better.

    The supernet is left exactly as it was.
    """
    supernet, images = state.task.supernet, state.task.images.val_split
    assert supernet is not None, "opselect provides what the score needs"
    # Copies of the buffers take the update that batch norms in training mode make.
    buffers = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    was_training = supernet.training
    supernet.train()
    losses = [
        functional.cross_entropy(functional_call(supernet, buffers, (images.images, each)), images.labels)
        for each in weights
    ]
    supernet.train(was_training)
    return [-float(loss) for loss in losses]


OPSELECT_TEMPLATE_SCORE = RegisteredScore(perturbation(minus_validation_losses), TRAINED_SUPERNET)
"""In an experiment: `name = "by-score"`, `score = "opselect-template"`."""
