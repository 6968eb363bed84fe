"""A score: how much the validation loss rises without an operation.

It is DARTS-PT's question asked of the loss instead of the accuracy, which cannot tell small differences apart.
"""

import torch
from torch.func import functional_call
from torch.nn import functional

from opselect.selectors.scores import perturbation
from opselect.selectors.task import RegisteredScore, SearchState
from opselect.spaces.space import Weights


@torch.no_grad()
def minus_validation_loss(state: SearchState, weights: Weights) -> float:
    """Minus the cross entropy of the alpha half; larger is better. The supernet is left exactly as it was."""
    supernet, images = state.task.supernet, state.task.images.alpha_half
    assert supernet is not None, "opselect provides what supernet_state asks for"
    # Copies of the buffers take the update that batch norms in training mode make.
    buffers = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    was_training = supernet.training
    supernet.train()
    logits = functional_call(supernet, buffers, (images.images, weights))
    supernet.train(was_training)
    return -float(functional.cross_entropy(logits, images.labels))


LOSS_PERTURBATION = RegisteredScore(perturbation(minus_validation_loss), "trained")
"""In an experiment: `name = "by-score"`, `score = "loss-perturbation"`."""
