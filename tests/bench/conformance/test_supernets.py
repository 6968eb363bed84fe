"""Deliberately bad supernet trainings are caught by the right check."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.run import CheckFailed, checks
from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.settings import Moment, SupernetTraining
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


@pytest.mark.parametrize(
    ("training", "check", "sentence"),
    [
        (GlobalNoise, "the same supernet for a seed", "training a supernet used the global random state of torch"),
        (Unseeded, "the same supernet for a seed", "draw from the generator of the moment only"),
        (UnseededAlpha, "the same supernet for a seed", "draw from the generator of the moment only"),
        (UnseededSupernet, "the same supernet for a seed", "draw from the generator of the moment only"),
        (TooWide, "alpha of every operation", r"alpha has the shape \(6, 6\), expected \(6, 5\)"),
        (Infinite, "alpha of every operation", "alpha is not finite after an epoch"),
        (ReadsTooLittle, "alpha of every operation", r"weights\(\) has the shape \(6, 4\), expected \(6, 5\)"),
    ],
)
def test_a_bad_training_is_caught_by_the_right_check(
    training: type[SupernetTraining], check: str, sentence: str, registered: Callable[[str, object], str]
) -> None:
    found = {each.name: each for each in checks("supernets", registered("supernets", training))}
    with pytest.raises(CheckFailed, match=f"^supernet training 'bad': {check}: .*{sentence}"):
        found.pop(check).run()
    for other in found.values():
        other.run()


def test_a_training_that_is_none_is_refused(registered: Callable[[str, object], str]) -> None:
    with pytest.raises(CheckFailed, match="expected a SupernetTraining"):
        checks("supernets", registered("supernets", dict))
