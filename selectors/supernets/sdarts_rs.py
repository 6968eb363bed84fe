"""SDARTS-RS: random smoothing of the weights of the operations."""

import torch
from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.settings import Moment, SupernetTraining
from opselect.spaces.space import Weights

FIRST_SMOOTHING = 0.03
"""Largest absolute value of the noise in the first epoch."""


class SDARTSRS(SupernetTraining):
    """Alpha is learnt while the network's weights see uniform noise around its softmax.

    The noise grows linearly with the epochs from 0.03 to `smoothing`, and stays at `smoothing` during tuning, as in
    the published code.

    Source: Chen and Hsieh, Stabilizing DARTS via Perturbation-based Regularization, ICML 2020, SDARTS-RS.
    """

    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        """The softmax `[edges, operations]`, with noise in the steps that train the network's weights."""
        weights = self.weights(alpha, decisions)
        if moment.step == "alpha":
            return weights
        return smoothed(weights.detach(), decisions, noise_radius(self.smoothing, moment), moment.generator)


def noise_radius(smoothing: float, moment: Moment) -> float:
    """Largest change of a weight: it grows linearly from 0.03 to `smoothing`, and stays there in tuning."""
    if moment.epoch == moment.epochs:
        return smoothing
    return FIRST_SMOOTHING + (smoothing - FIRST_SMOOTHING) * moment.epoch / moment.epochs


def smoothed(weights: Weights, decisions: Decisions, noise: float, generator: torch.Generator) -> Weights:
    """Weights with uniform noise in [-noise, noise] on every operation of the open edges, clipped to [0, 1].

    Args:
        weights: The weight matrix without noise, which is left as it is.
        decisions: Rows of decided and dropped edges get no noise.
        noise: Largest absolute value of the noise.
        generator: Random stream on the CPU.

    Returns:
        A new weight matrix of the same shape; its rows need not sum to 1.
    """
    noises = torch.empty(weights.shape).uniform_(-noise, noise, generator=generator)
    noisy = weights.clone()
    for edge in decisions.mixed_edges:
        operations = len(decisions.edges[edge].operations)
        noisy[edge, :operations] = (weights[edge, :operations] + noises[edge, :operations]).clamp(0, 1)
    return noisy
