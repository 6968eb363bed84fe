"""The checks of tables and images: ours pass them, and bad ones are caught by the right check."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from opselect.bench.conformance import tables
from opselect.bench.conformance.check import CheckFailed
from opselect.bench.conformance.tables import ImagesFixture, TableFixture
from opselect.spaces.digits import digits
from opselect.spaces.table import Table, load


@cache
def shipped() -> Table:
    return load("digits201")


@pytest.mark.parametrize("check", tables.TABLE_CHECKS, ids=lambda each: each.__name__)
def test_our_table_passes_its_checks(check: Callable[[TableFixture], None]) -> None:
    check(TableFixture(shipped(), shipped))


@pytest.mark.parametrize("check", tables.IMAGES_CHECKS, ids=lambda each: each.__name__)
def test_our_images_pass_their_checks(check: Callable[[ImagesFixture], None]) -> None:
    check(ImagesFixture(digits(), digits))


def with_column(table: Table, name: str, values: Any) -> Table:
    place = table.rows.schema.get_field_index(name)
    return replace(table, rows=table.rows.set_column(place, name, values))


def test_accuracies_beyond_percent_are_caught() -> None:
    table = shipped()
    wrong = with_column(table, "accuracy", pa.array(np.full(table.rows.num_rows, 101, np.float32)))
    with pytest.raises(CheckFailed, match="expected percentages"):
        tables.accuracies_are_percentages(TableFixture(wrong, shipped))


def test_a_table_that_is_made_anew_each_time_is_caught() -> None:
    table = shipped()
    noise = np.random.default_rng().uniform(0, 100, table.rows.num_rows).astype(np.float32)
    with pytest.raises(CheckFailed, match="loading it again gave other accuracies"):
        tables.fingerprint_of_the_accuracies(
            TableFixture(table, lambda: with_column(table, "accuracy", pa.array(noise)))
        )


def test_accuracies_in_another_order_than_the_architectures_are_caught() -> None:
    table = shipped()
    shuffled = np.random.default_rng(0).permutation(table.rows["accuracy"].to_numpy())
    fixture = TableFixture(with_column(table, "accuracy", pa.array(shuffled, pa.float32())), shipped)
    with pytest.raises(CheckFailed, match="architectures and accuracies are not in the same order"):
        tables.equal_architectures_agree(fixture)


def test_a_table_without_test_accuracies_is_caught() -> None:
    rows = shipped().rows
    valid = rows.filter(pa.compute.equal(rows["split"].cast(pa.string()), "valid"))
    with pytest.raises(CheckFailed, match="one must have both"):
        tables.validation_and_test(TableFixture(replace(shipped(), rows=valid), shipped))


def images_like(**changes: Any) -> ImagesFixture:
    return ImagesFixture(replace(digits(), **changes), digits)


def test_bad_images_are_caught_by_the_right_checks() -> None:
    data = digits()
    with pytest.raises(CheckFailed, match="images are in train and in test"):
        tables.splits_share_no_image(images_like(test=data.train))
    with pytest.raises(CheckFailed, match="expected 0 to 4"):
        tables.finite_images_with_classes(images_like(classes=5))
    with pytest.raises(CheckFailed, match="show 10 of 12 classes"):
        tables.finite_images_with_classes(images_like(classes=12))
    with pytest.raises(CheckFailed, match="loading them again gave other images"):
        tables.same_images_again(images_like(train=data.train[:500]))
