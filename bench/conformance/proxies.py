"""The checks of proxies and of their combinations: one small function each, whose first line says what is checked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from opselect.bench.conformance.check import (
    NotApplicable,
    changed,
    expect,
    expect_no_random_state,
    leaving_random_state,
    random_states,
    same,
)
from opselect.selectors.decisions import without_edge
from opselect.selectors.proxies.interface import BatchedProxy, Combination, Proxy, UnscorableNetwork, Weighted
from opselect.spaces import registry
from opselect.spaces import table as tables
from opselect.spaces.digits import digits
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201


def snapshot(network: nn.Module, batch: LabelledImages | None = None) -> dict[str, object]:
    """Copies of all state of a network and of its images that a score might change.

    Args:
        network: Network to be scored.
        batch: Images that it is scored on; None leaves them out.

    Returns:
        Copies by name, as messages call them.
    """
    return {
        "parameters or buffers": [tensor.clone() for tensor in network.state_dict().values()],
        "gradients": [None if parameter.grad is None else parameter.grad.clone() for parameter in network.parameters()],
        "requires_grad": [parameter.requires_grad for parameter in network.parameters()],
        "modes": [module.training for module in network.modules()],
        "hooks": [
            len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
            for module in network.modules()
        ],
        "images or labels": [] if batch is None else [batch.images.clone(), batch.labels.clone()],
    }


def expect_unchanged(what: str, names: Sequence[str]) -> None:
    """Raise `CheckFailed` if something of a network or its images has changed.

    Args:
        what: Beginning of the sentence, for example `"scoring a network"`.
        names: What has changed, by the names of a snapshot.
    """
    expect(
        not names,
        f"{what} changed {' and '.join(names)}; work on copies (torch.func.functional_call takes them), and "
        "undo modes and hooks",
    )


# --- proxies


@dataclass(frozen=True)
class Scored:
    """One network that was scored.

    Attributes:
        what: The network, as messages call it.
        score: Score of the network.
        again: Score of the same network and images, computed again.
        reordered: Score for the images in reverse order.
        changed: What scoring has changed of the network and the images, though it must not.
        random_used: Libraries whose global random states scoring has changed.
    """

    what: str
    # Any value: a check below observes whether it is a float.
    score: Any
    again: Any
    reordered: Any
    changed: list[str]
    random_used: list[str]


@dataclass(frozen=True)
class ProxyFixture:
    """A proxy and the networks and images that it scores.

    Attributes:
        proxy: Proxy to check.
        network: Stand-alone network.
        supernet: Supernet of any space.
        weights: Weights for the supernet; at least one operation has weight zero.
        batch: A few images.
    """

    proxy: Proxy
    network: nn.Module
    supernet: nn.Module
    weights: Tensor
    batch: LabelledImages

    @cached_property
    def scored(self) -> list[Scored]:
        """Scores of both networks, each in evaluation and in training mode."""
        scored = []
        reversed_batch = self.batch[torch.arange(len(self.batch) - 1, -1, -1)]
        for what, subject in (("a network", self.network), ("a supernet", Weighted(self.supernet, self.weights))):
            for training in (False, True):
                subject.train(training)
                before, random_before = snapshot(subject, self.batch), random_states()
                score = self.proxy(subject, self.batch)
                changes = changed(before, snapshot(subject, self.batch)), changed(random_before, random_states())
                again, reordered = self.proxy(subject, self.batch), self.proxy(subject, reversed_batch)
                scored.append(Scored(what, score, again, reordered, *changes))
        return scored


def network_untouched(fixture: ProxyFixture) -> None:
    """Parameters, buffers, gradients, modes, hooks and images are afterwards what they were before."""
    for network in fixture.scored:
        expect_unchanged(f"scoring {network.what}", network.changed)


def global_random_state_untouched(fixture: ProxyFixture) -> None:
    """The global random states of torch, NumPy and Python are afterwards what they were before."""
    for network in fixture.scored:
        expect_no_random_state(f"scoring {network.what}", network.random_used)


def answer_is_a_number(fixture: ProxyFixture) -> None:
    """A proxy answers with a Python float, infinite or NaN where it is undefined."""
    for network in fixture.scored:
        expect(
            isinstance(network.score, float), f"the score of {network.what} is {network.score!r}; answer with a float"
        )


def same_answer_again(fixture: ProxyFixture) -> None:
    """The same network and images have the same score when asked again."""
    for network in fixture.scored:
        expect(
            np.array_equal(network.score, network.again, equal_nan=True),
            f"the score of {network.what} was {network.score!r}, then {network.again!r}; "
            "seed what is drawn with a constant",
        )


def order_of_images_is_irrelevant(fixture: ProxyFixture) -> None:
    """The images of a batch in another order give the same score, but for rounding."""
    for network in fixture.scored:
        expect(
            bool(np.isclose(network.reordered, network.score, rtol=1e-3, equal_nan=True)),
            f"the images of {network.what} in reverse order changed {network.score} to {network.reordered}; "
            "treat all alike",
        )


def scores_together_are_those_of_each(fixture: ProxyFixture) -> None:
    """A proxy that scores several weights together gives each the score that it has alone, and leaves the supernet."""
    if not isinstance(fixture.proxy, BatchedProxy):
        raise NotApplicable("it scores one network at a time")
    several = [fixture.weights, fixture.weights / 2, without_edge(fixture.weights, 1)]
    before = snapshot(fixture.supernet, fixture.batch)
    with leaving_random_state("scoring several weights together"):
        together = fixture.proxy.score_many(fixture.supernet, several, fixture.batch)
    after = snapshot(fixture.supernet, fixture.batch)
    expect_unchanged("scoring several weights together", changed(before, after))
    alone = [fixture.proxy(Weighted(fixture.supernet, weights), fixture.batch) for weights in several]
    expect(
        len(together) == len(alone) and bool(np.allclose(together, alone, rtol=1e-4, equal_nan=True)),
        f"together three weights have the scores {together}, alone {alone}; one of the two ways is wrong",
    )


PROXY_CHECKS: tuple[Callable[[ProxyFixture], None], ...] = (
    answer_is_a_number,
    network_untouched,
    global_random_state_untouched,
    same_answer_again,
    order_of_images_is_irrelevant,
    scores_together_are_those_of_each,
)

EXTREME_CELLS = 10
CLEAR_SHARE = 0.81
"""Share of the pairs of a good and a bad cell that ten cells of each exceed by chance with probability 1 %."""


def larger_is_better(fixture: ProxyFixture) -> None:
    """The best cells of the digits201 table do not score below its worst ones: larger is better."""
    accuracies, places = np.unique(
        tables.load("digits201").accuracies("digits", "valid", 10, "mean"), return_index=True
    )

    def scores(chosen: np.ndarray) -> list[float]:
        finite = []
        for seed, place in enumerate(chosen):
            try:
                network = digits201.network(digits201.at(int(place)), 1, 10, seed)
                score = float(fixture.proxy(network, digits().train[:32]))
            except UnscorableNetwork:
                continue
            if np.isfinite(score):
                finite.append(score)
        return finite

    worst, best = scores(places[:EXTREME_CELLS]), scores(places[-EXTREME_CELLS:])
    if not worst or not best:
        raise NotApplicable("it scores none of the worst or none of the best cells")
    share = float(np.mean([(good > bad) + 0.5 * (good == bad) for good in best for bad in worst]))
    expect(
        share > 1 - CLEAR_SHARE,
        f"a cell with about {accuracies[-1]:.0f} % accuracy beats one with {accuracies[EXTREME_CELLS]:.0f} % in only "
        f"{share:.0%} of the pairs; turn the sign, or declare with expected_failure why it is right as it is",
    )
    if share < CLEAR_SHARE:
        raise NotApplicable(f"it does not tell the best from the worst cells: {share:.0%} of the pairs, chance is 50 %")


# --- combinations


@dataclass(frozen=True)
class CombinationFixture:
    """A combination and made-up scores.

    Attributes:
        combination: Combination to check.
    """

    combination: Combination

    @property
    def scores(self) -> np.ndarray:
        """Random scores `[networks, proxies]` of eight networks, all of them different."""
        return np.random.default_rng(1).normal(size=(8, len(self.combination.proxies)))


def names_registered_proxies(fixture: CombinationFixture) -> None:
    """Its proxies are registered, and each counts once."""
    names = fixture.combination.proxies
    unknown = sorted(set(names) - set(registry.names("proxies")))
    expect(not unknown, f"its proxies {', '.join(unknown)} are not registered; declare them in opselect.proxies")
    expect(len(set(names)) == len(names) > 0, f"its proxies are {names}; name each one once")


def one_score_a_member(fixture: CombinationFixture) -> None:
    """It answers with one number a member, the same again, and leaves the scores that it was given alone."""
    given = fixture.scores
    with leaving_random_state("combining"):
        first, again = (fixture.combination.combine(given) for _ in range(2))
    expect(first.shape == (len(given),), f"{given.shape} scores gave {first.shape} ones; give one a member")
    expect(bool(np.isfinite(first).all()), f"finite scores gave {first.tolist()}")
    expect(same(first, again), "the same scores were combined to other ones the second time")
    expect(same(given, fixture.scores), "it changed the scores that it was given; work on a copy")


def permuted_members(fixture: CombinationFixture) -> None:
    """Members in another order have the same scores in that order."""
    order = np.arange(8)[::-1]
    combined = fixture.combination.combine(fixture.scores)
    permuted = fixture.combination.combine(fixture.scores[order])
    expect(np.allclose(permuted, combined[order]), "the order of the members changes their scores; go by the values")


def better_everywhere_is_better(fixture: CombinationFixture) -> None:
    """A member that is better than another by every proxy has the larger score."""
    scores = fixture.scores
    scores[0], scores[1] = scores.min(axis=0) - 1, scores.max(axis=0) + 1
    combined = fixture.combination.combine(scores)
    expect(
        combined[0] == combined.min() and combined[1] == combined.max() and combined[0] < combined[1],
        f"the member that is worst by every proxy has {combined[0]:.3g} and the one that is best {combined[1]:.3g} of "
        f"{combined.min():.3g} to {combined.max():.3g}; larger is better",
    )


def undefined_members_stand_aside(fixture: CombinationFixture) -> None:
    """A member with a NaN or infinite score gets NaN, and the others have the scores that they have without it."""
    scores = fixture.scores
    alone = fixture.combination.combine(scores[:-1])
    for strange in (np.nan, np.inf, -np.inf):
        scores[-1, 0] = strange
        combined = fixture.combination.combine(scores)
        expect(bool(np.isnan(combined[-1])), f"a member with a score of {strange} got {combined[-1]}, expected NaN")
        expect(
            np.allclose(combined[:-1], alone),
            f"a member with a score of {strange} changed the others' scores; leave it out of the ranks",
        )


COMBINATION_CHECKS: tuple[Callable[[CombinationFixture], None], ...] = (
    names_registered_proxies,
    one_score_a_member,
    permuted_members,
    better_everywhere_is_better,
    undefined_members_stand_aside,
)
