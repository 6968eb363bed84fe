"""Deliberately bad proxies and combinations are caught by the right check."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance.proxies import CombinationFixture, names_registered_proxies
from opselect.bench.conformance.run import CheckFailed, checks
from opselect.selectors.proxies.interface import Combination
from opselect.selectors.proxies.nwot import NASWOT, nwot
from opselect.spaces.images import LabelledImages


def global_noise(network: nn.Module, batch: LabelledImages) -> float:
    return float(torch.rand(1))


def sticky_mode(network: nn.Module, batch: LabelledImages) -> float:
    network.train(not network.training)
    return 1.0


def moved_statistics(network: nn.Module, batch: LabelledImages) -> float:
    """Batch norms in training mode take the statistics of what they see."""
    was_training = network.training
    network.train()
    with torch.no_grad():
        network(batch.images)
    network.train(was_training)
    return 1.0


def first_image(network: nn.Module, batch: LabelledImages) -> float:
    return float(batch.images[0].sum())


def tensor_answer(network: nn.Module, batch: LabelledImages) -> Any:
    return torch.tensor(1.0)


def minus_nwot(network: nn.Module, batch: LabelledImages) -> float:
    return -nwot(network, batch)


class HastyTogether(NASWOT):
    def score_many(self, supernet: nn.Module, weights: Sequence[Tensor], batch: LabelledImages) -> list[float]:
        return super().score_many(supernet, [weights[0]] * len(weights), batch)


@pytest.mark.parametrize(
    ("proxy", "check", "sentence"),
    [
        (global_noise, "global random state untouched", "the global random state of torch"),
        (global_noise, "same answer again", "seed what is drawn"),
        (sticky_mode, "network untouched", "scoring a network changed modes"),
        (moved_statistics, "network untouched", "scoring a network changed parameters or buffers"),
        (first_image, "order of images is irrelevant", "in reverse order changed"),
        (tensor_answer, "answer is a number", "answer with a float"),
        (HastyTogether(), "scores together are those of each", "one of the two ways is wrong"),
        (minus_nwot, "larger is better", "turn the sign, or declare with expected_failure"),
    ],
)
def test_a_bad_proxy_is_caught_by_the_right_check(
    proxy: Callable[..., Any], check: str, sentence: str, registered: Callable[[str, object], str]
) -> None:
    found = {each.name: each for each in checks("proxies", registered("proxies", proxy))}
    with pytest.raises(CheckFailed, match=f"^proxy 'bad': {check}: .*{sentence}"):
        found[check].run()


@pytest.mark.parametrize(
    ("combine", "check"),
    [
        (lambda scores: -scores.sum(axis=1), "better everywhere is better"),
        (lambda scores: scores.sum(axis=1) + np.arange(len(scores)), "permuted members"),
        (lambda scores: np.nan_to_num(scores).sum(axis=1), "undefined members stand aside"),
        (lambda scores: scores, "one score a member"),
    ],
)
def test_a_bad_combination_is_caught_by_the_right_check(
    combine: Callable[[np.ndarray], np.ndarray], check: str, registered: Callable[[str, object], str]
) -> None:
    found = checks("combinations", registered("combinations", Combination(("params", "flops"), combine)))
    with pytest.raises(CheckFailed, match=check):
        next(each for each in found if each.name == check).run()


def test_an_unregistered_proxy_in_a_combination_is_named() -> None:
    combination = Combination(("params", "nwott"), lambda scores: scores.sum(axis=1))
    with pytest.raises(CheckFailed, match="nwott are not registered"):
        names_registered_proxies(CombinationFixture(combination))
