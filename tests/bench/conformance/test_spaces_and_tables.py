"""The promises of spaces, tables and images: ours keep them, and bad ones are caught by the right check."""

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from opselect.bench.conformance import spaces as promises
from opselect.bench.conformance.check import CheckFailed, NotApplicable, leaving_random_state
from opselect.bench.conformance.spaces import ImagesFixture, SpaceFixture, TableFixture
from opselect.spaces import registry
from opselect.spaces.digits import digits
from opselect.spaces.nasbench201.space import NASBench201Space, digits201
from opselect.spaces.space import Architecture, Edge
from opselect.spaces.table import Table, load


@pytest.mark.parametrize("promise", promises.SPACE_CHECKS, ids=lambda each: each.__name__)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("digits201", "darts-s2") else [pytest.mark.slow])
        for name in registry.names("spaces")
    ],
)
def test_our_spaces_keep_the_promises(name: str, promise: Callable[[SpaceFixture], None]) -> None:
    try:
        promise(SpaceFixture(registry.load("spaces", name), name))
    except NotApplicable as reason:
        assert name.startswith("darts"), reason


@cache
def shipped() -> Table:
    return load("digits201")


@pytest.mark.parametrize("promise", promises.TABLE_CHECKS, ids=lambda each: each.__name__)
def test_our_table_keeps_the_promises(promise: Callable[[TableFixture], None]) -> None:
    promise(TableFixture(shipped(), shipped))


@pytest.mark.parametrize("promise", promises.IMAGES_CHECKS, ids=lambda each: each.__name__)
def test_our_images_keep_the_promises(promise: Callable[[ImagesFixture], None]) -> None:
    promise(ImagesFixture(digits(), digits))


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
    ("space", "promise", "sentence"),
    [
        (Garbled, promises.text_and_back, "is not the architecture that was formatted"),
        (Lenient, promises.bad_text_is_refused, r"parse\(''\) gave .*; raise InvalidArchitecture"),
        (Careless, promises.bad_text_is_refused, "raised IndexError.*; raise InvalidArchitecture"),
        (Drawing, promises.samples_are_architectures, "draw from the given generator alone"),
        (Biased, promises.samples_are_architectures, "some operations never came"),
        (Backwards, promises.enumeration_in_order, "oracles read the table as an array"),
        (TooCanonical, promises.canonical_is_the_same_function, "compute different functions"),
        (Unseeded, promises.networks_by_seed, "two seeds gave the same supernet"),
        (Global, promises.networks_by_seed, "building a supernet used the global random state of torch"),
        (Detached, promises.logits_of_images, "no gradient reaches the weights"),
        (Overwriting, promises.supernet_is_a_pure_function, "changed the weights that it was given"),
        (Everything, promises.zero_weights_cost_nothing, "skip operations"),
        (OtherNetwork, promises.supernet_contains_the_networks, "gives other logits than the network"),
        (Bad, promises.resized_is_the_same_space, "4 and 8 channels gave"),
    ],
)
def test_a_bad_space_is_caught_by_the_right_check(
    space: type[Bad], promise: Callable[[SpaceFixture], None], sentence: str
) -> None:
    with pytest.raises(CheckFailed, match=sentence):
        promise(SpaceFixture(space()))


def test_a_space_under_another_name_and_edges_that_go_back_are_caught() -> None:
    with pytest.raises(CheckFailed, match="registered as 'mine' and calls itself 'digits201'"):
        promises.well_formed_edges(SpaceFixture(digits201, "mine"))
    backwards = replace(digits201, edges=(Edge("cell", 1, 0, ("none",)),))
    with pytest.raises(CheckFailed, match="does not go to a later node"):
        promises.well_formed_edges(SpaceFixture(backwards))


def with_column(table: Table, name: str, values: Any) -> Table:
    place = table.rows.schema.get_field_index(name)
    return replace(table, rows=table.rows.set_column(place, name, values))


def test_accuracies_beyond_percent_are_caught() -> None:
    table = shipped()
    wrong = with_column(table, "accuracy", pa.array(np.full(table.rows.num_rows, 101, np.float32)))
    with pytest.raises(CheckFailed, match="expected percentages"):
        promises.accuracies_are_percentages(TableFixture(wrong, shipped))


def test_a_table_that_is_made_anew_each_time_is_caught() -> None:
    table = shipped()
    noise = np.random.default_rng().uniform(0, 100, table.rows.num_rows).astype(np.float32)
    with pytest.raises(CheckFailed, match="loading it again gave other accuracies"):
        promises.fingerprint_of_the_accuracies(
            TableFixture(table, lambda: with_column(table, "accuracy", pa.array(noise)))
        )


def test_accuracies_in_another_order_than_the_architectures_are_caught() -> None:
    table = shipped()
    shuffled = np.random.default_rng(0).permutation(table.rows["accuracy"].to_numpy())
    fixture = TableFixture(with_column(table, "accuracy", pa.array(shuffled, pa.float32())), shipped)
    with pytest.raises(CheckFailed, match="architectures and accuracies are not in the same order"):
        promises.equal_architectures_agree(fixture)


def test_a_table_without_test_accuracies_is_caught() -> None:
    rows = shipped().rows
    valid = rows.filter(pa.compute.equal(rows["split"].cast(pa.string()), "valid"))
    with pytest.raises(CheckFailed, match="one must have both"):
        promises.validation_and_test(TableFixture(replace(shipped(), rows=valid), shipped))


def images_like(**changes: Any) -> ImagesFixture:
    return ImagesFixture(replace(digits(), **changes), digits)


def test_bad_images_are_caught_by_the_right_checks() -> None:
    data = digits()
    with pytest.raises(CheckFailed, match="images are in train and in test"):
        promises.splits_share_no_image(images_like(test=data.train))
    with pytest.raises(CheckFailed, match="expected 0 to 4"):
        promises.finite_images_with_classes(images_like(classes=5))
    with pytest.raises(CheckFailed, match="show 10 of 12 classes"):
        promises.finite_images_with_classes(images_like(classes=12))
    with pytest.raises(CheckFailed, match="loading them again gave other images"):
        promises.same_images_again(images_like(train=data.train[:500]))


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("torch", lambda: torch.rand(1)),
        ("numpy", lambda: np.random.rand()),  # noqa: NPY002 - that is the point
        ("random", lambda: random.random()),
    ],
)
def test_a_used_global_random_state_is_named(
    name: str, draw: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where types are not checked at run time, which uses Python's own stream.
    monkeypatch.delitem(sys.modules, "beartype", raising=False)
    with (
        pytest.raises(CheckFailed, match=f"a test used the global random state of {name};"),
        leaving_random_state("a test"),
    ):
        draw()
