"""The checks of tables and images: one small function each, whose first line says what is checked."""

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from opselect.bench.conformance.check import NotApplicable, expect, leaving_random_state
from opselect.spaces import registry
from opselect.spaces.images import ImageData, LabelledImages, content_hash
from opselect.spaces.seeds import numpy_generator
from opselect.spaces.table import InvalidTable, Table, check_rows, read

MOST_DRAWN = 2000
"""Largest number of architectures that are compared with their canonical forms."""


@dataclass(frozen=True)
class TableFixture:
    """A table, and how to load it again.

    Attributes:
        table: Table to check.
        load: Loads it again from the same source.
    """

    table: Table
    load: Callable[[], Table]


def accuracies_are_percentages(fixture: TableFixture) -> None:
    """Every accuracy stands once and is a percentage."""
    table = fixture.table
    expect(table.rows.num_rows > 0, "it has no rows; give it at least one accuracy")
    try:
        check_rows(table.rows, "the table")
    except InvalidTable as error:
        expect(False, str(error))


def validation_and_test(fixture: TableFixture) -> None:
    """Some dataset has validation accuracies, which selections may read, and test accuracies, which reports read."""
    splits: dict[str, set[str]] = {}
    for dataset, split, _ in fixture.table.columns:
        splits.setdefault(dataset, set()).add(split)
    expect(
        any({"valid", "test"} <= known for known in splits.values()),
        f"its datasets have the splits { {name: sorted(known) for name, known in splits.items()} }; one must have both "
        "'valid' and 'test'",
    )


def rows_belong_to_the_space(fixture: TableFixture) -> None:
    """Every architecture of the table is one of its space, in the text that the space's `format` gives."""
    table = fixture.table
    known = registry.names("spaces")
    expect(
        table.space.name in known, f"its space {table.space.name!r} is not registered; declare it in opselect.spaces"
    )
    texts = set(table.rows["architecture"].combine_chunks().unique().to_pylist())
    unknown = sorted(texts - set(table.architectures))
    expect(
        not unknown,
        f"{len(unknown)} of its {len(texts)} architectures are none of the space, for example "
        f"{unknown[0] if unknown else ''!r}; write them by the space's format",
    )


def accuracies_in_order(fixture: TableFixture) -> None:
    """Accuracies come in the order of the space's `enumerate`, and a query of one architecture agrees."""
    table = fixture.table
    column = table.columns[0]
    accuracies = table.accuracies(*column, "mean")
    expect(
        len(accuracies) == len(table.architectures),
        f"it gives {len(accuracies)} accuracies for {len(table.architectures)} architectures of its space",
    )
    known = np.flatnonzero(~np.isnan(accuracies))
    for number in known[:: max(1, len(known) // 20)]:
        architecture = table.space.parse(table.architectures[number])
        expect(
            table.accuracy(architecture, *column, "mean") == accuracies[number],
            f"the accuracy of {table.architectures[number]} is not the one at its place, {number}",
        )


def fingerprint_of_the_accuracies(fixture: TableFixture) -> None:
    """The fingerprint is the same when the table is loaded again or its rows are shuffled, and another for others."""
    table = fixture.table
    expect(
        fixture.load().fingerprint == table.fingerprint,
        "loading it again gave other accuracies; make it from fixed data or from a fixed seed",
    )
    order = np.random.default_rng(0).permutation(table.rows.num_rows)
    shuffled = replace(table, rows=table.rows.take(pa.array(order)).unify_dictionaries())
    expect(shuffled.fingerprint == table.fingerprint, "the fingerprint depends on the order of the rows")
    accuracies = table.rows["accuracy"].combine_chunks().to_numpy(zero_copy_only=False).copy()
    known = int(np.flatnonzero(~np.isnan(accuracies))[0])
    accuracies[known] = accuracies[known] + 1 if accuracies[known] < 50 else accuracies[known] - 1
    place = table.rows.schema.get_field_index("accuracy")
    changed = replace(table, rows=table.rows.set_column(place, "accuracy", pa.array(accuracies)))
    expect(changed.fingerprint != table.fingerprint, "another accuracy leaves the fingerprint as it is")


def equal_architectures_agree(fixture: TableFixture) -> None:
    """Architectures with one canonical form have one accuracy, or, if trained apart, far closer ones than strangers."""
    table = fixture.table
    accuracies = table.accuracies(*table.columns[0], "mean")
    architectures = list(table.space.enumerate())
    generator = numpy_generator("conformance", "equal architectures")
    places = generator.permutation(np.flatnonzero(~np.isnan(accuracies)))[:MOST_DRAWN]
    twins = [
        (place, twin)
        for place in places
        if (twin := table.positions[table.space.format(table.space.canonical(architectures[place]))]) != place
        and not np.isnan(accuracies[twin])
    ]
    if len(twins) < 20:
        raise NotApplicable(f"only {len(twins)} pairs of equal architectures have accuracies")
    one, other = np.array(twins).T
    apart = np.abs(accuracies[one] - accuracies[other])
    any_two = np.abs(accuracies[one] - accuracies[generator.permutation(other)])
    expect(
        np.median(apart) < np.median(any_two) / 2 or not apart.any(),
        f"equal architectures differ by {np.median(apart):.2f} points, any two by {np.median(any_two):.2f}; probably "
        "architectures and accuracies are not in the same order",
    )


def written_and_read(fixture: TableFixture) -> None:
    """A table that is written to a file and read again is the same table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        fixture.table.write(path)
        again = read(path)
    expect(again.fingerprint == fixture.table.fingerprint, "its file holds other accuracies than the table")
    expect(
        again.provenance == fixture.table.provenance,
        "its provenance does not survive a file; use text, numbers, lists, and dictionaries with text as keys",
    )


TABLE_CHECKS: tuple[Callable[[TableFixture], None], ...] = (
    accuracies_are_percentages,
    validation_and_test,
    rows_belong_to_the_space,
    accuracies_in_order,
    fingerprint_of_the_accuracies,
    equal_architectures_agree,
    written_and_read,
)


@dataclass(frozen=True)
class ImagesFixture:
    """Images, and how to load them again.

    Attributes:
        data: Images to check.
        load: Loads them again from the same source.
    """

    data: ImageData
    load: Callable[[], ImageData]

    @cached_property
    def splits(self) -> dict[str, LabelledImages]:
        """Splits by name; without validation images where there are none."""
        splits = {"train": self.data.train, "valid": self.data.valid, "test": self.data.test}
        return {name: split for name, split in splits.items() if split is not None}


def same_images_again(fixture: ImagesFixture) -> None:
    """Loading the images twice gives the same bytes, and uses no global random state."""
    with leaving_random_state("loading them"):
        again = fixture.load()
    hashes = [
        content_hash(*(split for split in (data.train, data.valid, data.test) if split is not None))
        for data in (fixture.data, again)
    ]
    expect(hashes[0] == hashes[1], "loading them again gave other images; seed every random choice with a constant")


def finite_images_with_classes(fixture: ImagesFixture) -> None:
    """All splits have images of one shape, finite and in single precision, with labels from 0 to the last class."""
    shape, classes = fixture.data.train.images.shape[1:], fixture.data.classes
    for name, split in fixture.splits.items():
        expect(split.images.dtype == torch.float32, f"{name} images are {split.images.dtype}, expected torch.float32")
        expect(bool(split.images.isfinite().all()), f"{name} images have values that are not finite")
        expect(split.images.shape[1:] == shape, f"{name} images have shape {split.images.shape[1:]}, train {shape}")
        low, high = int(split.labels.min()), int(split.labels.max())
        expect(low >= 0 and high < classes, f"{name} labels go from {low} to {high}, expected 0 to {classes - 1}")
    present = len(set(fixture.data.train.labels.tolist()))
    expect(classes == present, f"training images show {present} of {classes} classes; set 'classes' to what is there")


def splits_share_no_image(fixture: ImagesFixture) -> None:
    """No test image is a training or a validation image, and no validation image a training image."""
    bytes_of = {
        name: {image.numpy().tobytes() for image in split.images.contiguous()} for name, split in fixture.splits.items()
    }
    for one, other in itertools.combinations(bytes_of, 2):
        common = len(bytes_of[one] & bytes_of[other])
        expect(not common, f"{common} images are in {one} and in {other}; accuracies on {other} would mean nothing")


IMAGES_CHECKS: tuple[Callable[[ImagesFixture], None], ...] = (
    same_images_again,
    finite_images_with_classes,
    splits_share_no_image,
)
