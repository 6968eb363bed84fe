"""Deliberately bad supernet trainings are caught by the right check."""

import math
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import CheckFailed, checks
from opselect.bench.conformance.tasks import IMAGES_PER_HALF
from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.changes import ChangedSupernet
from opselect.selectors.supernets.settings import Moment, SupernetTraining
from opselect.spaces.cell_graph import EdgeOperations
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.seeds import torch_generator
from opselect.spaces.space import Weights


class GlobalNoise(SupernetTraining):
    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        return super().relax(alpha, decisions, moment) + 0.01 * torch.rand(())


class Unseeded(SupernetTraining):
    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        return super().relax(alpha, decisions, moment) * np.random.default_rng().random()


class UnseededAlpha(SupernetTraining):
    """Alpha differs and is never used, so the parameters are the same."""

    def initial_alpha(self, decisions: Decisions, generator: torch.Generator) -> Tensor:
        return super().initial_alpha(decisions, generator) + np.random.default_rng().random()

    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        return super().relax(0 * alpha, decisions, moment)


class UnseededSupernet(SupernetTraining):
    """Alpha is the same, since it never learns."""

    def learns_alpha(self, moment: Moment) -> bool:
        return False

    def prepare(self, supernet: nn.Module) -> nn.Module:
        with torch.no_grad():
            next(supernet.parameters()).mul_(np.random.default_rng().random())
        return supernet


class TooWide(SupernetTraining):
    def initial_alpha(self, decisions: Decisions, generator: torch.Generator) -> Tensor:
        return torch.zeros(len(decisions.edges), 6)

    def weights(self, alpha: Tensor, decisions: Decisions) -> Weights:
        return super().weights(alpha[:, :5], decisions)


class Infinite(SupernetTraining):
    """Alpha is read nowhere, so the supernet itself is trained as it should be."""

    def initial_alpha(self, decisions: Decisions, generator: torch.Generator) -> Tensor:
        return super().initial_alpha(decisions, generator) + float("inf")

    def learns_alpha(self, moment: Moment) -> bool:
        return False

    def weights(self, alpha: Tensor, decisions: Decisions) -> Weights:
        return super().weights(torch.zeros_like(alpha), decisions)


class ReadsTooLittle(SupernetTraining):
    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        return decisions.weights(alpha)

    def weights(self, alpha: Tensor, decisions: Decisions) -> Weights:
        return super().weights(alpha, decisions)[:, 1:]


class Forgetful(SupernetTraining):
    """The supernet counts its passes in a plain number, which no checkpoint has."""

    class Counting(nn.Module):
        def __init__(self, supernet: nn.Module) -> None:
            super().__init__()
            self.supernet, self.passes = supernet, 0

        def forward(self, images: Tensor, weights: Weights) -> Tensor:
            self.passes += 1
            logits: Tensor = self.supernet(images, weights) * (1 + self.passes)
            return logits

    def prepare(self, supernet: nn.Module) -> nn.Module:
        return self.Counting(supernet)


class Detached(SupernetTraining):
    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        return super().relax(alpha.detach(), decisions, moment)


class Undecided(SupernetTraining):
    """It relaxes decided edges too."""

    def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
        return torch.softmax(alpha, dim=1)


class UndecidedTerm(SupernetTraining):
    """Its term holds decided edges too."""

    def penalty(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Tensor:
        return alpha.square().sum()


class Wasteful(SupernetTraining):
    """Its supernet computes everything, whatever the weights are."""

    class Computing(nn.Module):
        def __init__(self, edge: EdgeOperations) -> None:
            super().__init__()
            self.edge = edge

        def forward(self, value: Tensor, weights: Tensor, computed: list[bool]) -> Tensor | None:
            total: Tensor | None = self.edge(value, weights, [True] * len(computed))
            return total if any(computed) else None

    def prepare(self, supernet: nn.Module) -> nn.Module:
        return ChangedSupernet(supernet, self.Computing)


SEED = "the same supernet for a seed"
KILLED = "a killed training goes on to the same numbers"
ALPHA = "alpha of every operation"
LEARNS = "alpha learns from the images"
DECIDED = "decided edges are left alone"
ZERO = "operations with weight zero are not computed"


@pytest.mark.parametrize(
    ("training", "check", "sentence", "also"),
    [
        (GlobalNoise, SEED, "training a supernet used the global random state of torch", {KILLED, DECIDED}),
        (Unseeded, SEED, "draw from the generator of the moment only", {KILLED, DECIDED}),
        (UnseededAlpha, SEED, "draw from the generator of the moment only", {LEARNS}),
        (UnseededSupernet, SEED, "draw from the generator of the moment only", set()),
        (Forgetful, KILLED, "went on after its first epoch ended with other numbers", set()),
        (TooWide, ALPHA, r"alpha has the shape \(6, 6\), expected \(6, 5\)", set()),
        (Infinite, ALPHA, "alpha is not finite after an epoch", {LEARNS}),
        (ReadsTooLittle, ALPHA, r"weights\(\) has the shape \(6, 4\), expected \(6, 5\)", {DECIDED}),
        (Detached, LEARNS, "the losses of a step of alpha do not depend on alpha", set()),
        (Undecided, DECIDED, "a step of alpha changed the row of a decided or dropped edge", set()),
        (UndecidedTerm, DECIDED, "alpha of a decided or dropped edge has a gradient", set()),
        (Wasteful, ZERO, "an operation with weight zero was computed", set()),
    ],
)
def test_a_bad_training_is_caught_by_the_right_check(
    training: type[SupernetTraining],
    check: str,
    sentence: str,
    also: set[str],
    registered: Callable[[str, object], str],
) -> None:
    one_step_per_epoch = {"batch_size": IMAGES_PER_HALF}
    found = {each.name: each for each in checks("supernets", registered("supernets", training), one_step_per_epoch)}
    with pytest.raises(CheckFailed, match=f"^supernet training 'bad': {check}: .*{sentence}"):
        found.pop(check).run()
    for name, other in found.items():
        if name in also:
            with pytest.raises(CheckFailed):
                other.run()
        else:
            other.run()


def test_a_training_that_is_none_is_refused(registered: Callable[[str, object], str]) -> None:
    with pytest.raises(CheckFailed, match="expected a SupernetTraining"):
        checks("supernets", registered("supernets", dict))


def test_the_example_of_a_training_is_one_short_file_that_passes_the_checks(
    registered: Callable[[str, object], str],
) -> None:
    path = Path(__file__).parents[3] / "examples" / "entropy_training.py"
    assert len(path.read_text().splitlines()) < 60
    training = runpy.run_path(str(path))["EntropyTraining"]
    for check in checks("supernets", registered("supernets", training), {"batch_size": IMAGES_PER_HALF}):
        check.run()
    alpha = torch.zeros(6, 5, requires_grad=True)
    moment = Moment(1, 2, "alpha", torch_generator("moment"))
    penalty = training().penalty(alpha, Decisions.none_yet(digits201.edges), moment)
    assert float(penalty.detach()) == pytest.approx(0.5 * math.log(5))
