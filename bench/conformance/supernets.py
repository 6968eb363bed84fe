"""The checks of supernet trainings: each trains a tiny supernet for one epoch."""

from dataclasses import dataclass

import torch

from opselect.bench.conformance.check import expect, leaving_random_state, same
from opselect.bench.conformance.tasks import SPACE, small_task
from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.settings import SupernetTraining
from opselect.selectors.supernets.training import train_supernet
from opselect.selectors.task import INITIAL_SUPERNET
from opselect.spaces.seeds import torch_generator


@dataclass(frozen=True)
class SupernetFixture:
    """A supernet training, and what its checks share.

    Attributes:
        training: The training with one epoch of small batches.
    """

    training: SupernetTraining

    def train(self) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Train a supernet for one epoch, always from the same initial state.

        Returns:
            Alpha `[edges, operations]`, and the parameters and buffers of the supernet.
        """
        supernet = self.training.prepare(SPACE.supernet(1, 10, seed=0))
        learnt = train_supernet(
            supernet,
            Decisions.none_yet(SPACE.edges),
            small_task(INITIAL_SUPERNET).images,
            self.training,
            torch_generator("conformance", "alpha"),
            torch_generator("conformance", "batches"),
        )
        return learnt.alpha, list(supernet.state_dict().values())


def the_same_supernet_for_a_seed(fixture: SupernetFixture) -> None:
    """Trained twice from the same random streams, a supernet and its alpha are the same to the last bit."""
    with leaving_random_state("training a supernet"):
        first, second = fixture.train(), fixture.train()
    expect(
        same(first, second),
        "two trainings from the same streams gave different numbers; draw from the generator of the moment only",
    )


def alpha_of_every_operation(fixture: SupernetFixture) -> None:
    """Alpha has a finite value for every operation of every edge, and is read as weights of the same shape."""
    alpha, _ = fixture.train()
    decisions = Decisions.none_yet(SPACE.edges)
    shape = (len(SPACE.edges), max(len(edge.operations) for edge in SPACE.edges))
    expect(alpha.shape == shape, f"alpha has the shape {tuple(alpha.shape)}, expected {shape}")
    expect(bool(torch.isfinite(alpha).all()), "alpha is not finite after an epoch")
    weights = fixture.training.weights(alpha, decisions)
    expect(weights.shape == shape, f"weights() has the shape {tuple(weights.shape)}, expected {shape}")


SUPERNET_CHECKS = (the_same_supernet_for_a_seed, alpha_of_every_operation)
