"""The checks of spaces: ours pass them, and bad ones are caught by the right check."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance import spaces
from opselect.bench.conformance.check import CheckFailed, NotApplicable
from opselect.bench.conformance.spaces import SpaceFixture
from opselect.spaces import registry
from opselect.spaces.nasbench201.space import NASBench201Space, digits201
from opselect.spaces.space import Architecture, Edge


@pytest.mark.parametrize("check", spaces.SPACE_CHECKS, ids=lambda each: each.__name__)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("digits201", "darts-s2") else [pytest.mark.slow])
        for name in registry.names("spaces")
    ],
)
def test_our_spaces_pass_their_checks(name: str, check: Callable[[SpaceFixture], None]) -> None:
    try:
        check(SpaceFixture(registry.load("spaces", name), name))
    except NotApplicable as reason:
        assert name.startswith("darts"), reason


class Bad(NASBench201Space):
    """A space to be damaged."""

    def __init__(self) -> None:
        super().__init__("digits201", channels=4, cells_per_stage=1, down_sampling="plain")

    def resized(self, channels: int | None, cells: int | None) -> Any:
        return self


class Garbled(Bad):
    def parse(self, text: str) -> Architecture:
        architecture = super().parse(text)
        return Architecture(architecture.operations[::-1])


class Lenient(Bad):
    def parse(self, text: str) -> Architecture:
        return Architecture(("none",) * 6) if not text else super().parse(text)


class Careless(Bad):
    def parse(self, text: str) -> Architecture:
        return (
            super().parse(text)
            if text
            else Architecture(
                (("none",) * 6)[7],
            )
        )  # type: ignore[misc]


class Drawing(Bad):
    def sample(self, generator: np.random.Generator) -> Architecture:
        return super().sample(np.random.default_rng())


class Biased(Bad):
    def sample(self, generator: np.random.Generator) -> Architecture:
        return Architecture(("none",) * 6)


class Backwards(Bad):
    def enumerate(self) -> Iterator[Architecture]:
        return (Architecture(each.operations[::-1]) for each in super().enumerate())


class TooCanonical(Bad):
    def canonical(self, architecture: Architecture) -> Architecture:
        return Architecture(("skip_connect", *architecture.operations[1:]))


class Unseeded(Bad):
    def supernet(self, image_channels: int, classes: int, seed: int) -> Any:
        return super().supernet(image_channels, classes, 0)


class Global(Bad):
    def supernet(self, image_channels: int, classes: int, seed: int) -> Any:
        torch.manual_seed(seed)
        return super().supernet(image_channels, classes, seed)


class Changed(nn.Module):
    """A supernet whose forward is changed."""

    def __init__(self, supernet: nn.Module, forward: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.supernet = supernet
        self.changed = forward

    def forward(self, images: Tensor, weights: Tensor) -> Tensor:
        return self.changed(self.supernet, images, weights)


class WithForward(Bad):
    forward: Callable[[nn.Module, Tensor, Tensor], Tensor]

    def supernet(self, image_channels: int, classes: int, seed: int) -> Any:
        return Changed(super().supernet(image_channels, classes, seed), type(self).forward)


class Detached(WithForward):
    forward = staticmethod(lambda supernet, images, weights: supernet(images, weights.detach()))  # type: ignore[assignment]


class Everything(WithForward):
    forward = staticmethod(lambda supernet, images, weights: supernet(images, weights + 1e-9))  # type: ignore[assignment]


class Overwriting(WithForward):
    forward = staticmethod(lambda supernet, images, weights: supernet(images, weights.detach().mul_(0.5)))  # type: ignore[assignment]


class OtherNetwork(Bad):
    """Its supernet gives twice the logits of its networks."""

    def supernet(self, image_channels: int, classes: int, seed: int) -> Any:
        supernet = super().supernet(image_channels, classes, seed)
        supernet.register_forward_hook(lambda module, arguments, output: 2 * output)
        return supernet


@pytest.mark.parametrize(
    ("space", "check", "sentence"),
    [
        (Garbled, spaces.text_and_back, "is not the architecture that was formatted"),
        (Lenient, spaces.bad_text_is_refused, r"parse\(''\) gave .*; raise InvalidArchitecture"),
        (Careless, spaces.bad_text_is_refused, "raised IndexError.*; raise InvalidArchitecture"),
        (Drawing, spaces.samples_are_architectures, "draw from the given generator alone"),
        (Biased, spaces.samples_are_architectures, "some operations never came"),
        (Backwards, spaces.enumeration_in_order, "oracles read the table as an array"),
        (TooCanonical, spaces.canonical_is_the_same_function, "compute different functions"),
        (Unseeded, spaces.networks_by_seed, "two seeds gave the same supernet"),
        (Global, spaces.networks_by_seed, "building a supernet used the global random state of torch"),
        (Detached, spaces.logits_of_images, "no gradient reaches the weights"),
        (Overwriting, spaces.supernet_is_a_pure_function, "changed the weights that it was given"),
        (Everything, spaces.zero_weights_cost_nothing, "skip operations"),
        (OtherNetwork, spaces.supernet_contains_the_networks, "gives other logits than the network"),
        (Bad, spaces.resized_is_the_same_space, "4 and 8 channels gave"),
    ],
)
def test_a_bad_space_is_caught_by_the_right_check(
    space: type[Bad], check: Callable[[SpaceFixture], None], sentence: str
) -> None:
    with pytest.raises(CheckFailed, match=sentence):
        check(SpaceFixture(space()))


def test_a_space_under_another_name_and_edges_that_go_back_are_caught() -> None:
    with pytest.raises(CheckFailed, match="registered as 'mine' and calls itself 'digits201'"):
        spaces.well_formed_edges(SpaceFixture(digits201, "mine"))
    backwards = replace(digits201, edges=(Edge("cell", 1, 0, ("none",)),))
    with pytest.raises(CheckFailed, match="does not go to a later node"):
        spaces.well_formed_edges(SpaceFixture(backwards))
