"""What an experiment names, loaded once per process: its space, its images and its table."""

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import torch

from opselect.bench.experiment.file import Experiment, InvalidExperiment
from opselect.spaces.images import ImageData, content_hash
from opselect.spaces.space import HasReferenceSupernet, SearchSpace
from opselect.spaces.table import NotInTable, Table


class Ingredients(NamedTuple):
    """The things that an experiment names.

    Attributes:
        space: The search space.
        images: The dataset, limited to the training images that are used.
        table: The table of accuracies, or None where the experiment has none.
    """

    space: SearchSpace
    images: ImageData
    table: Table | None


# A study has many experiments, and images are large: only those of the last two stay in memory.
@lru_cache(maxsize=2)
def load_ingredients(experiment: Experiment) -> Ingredients:
    """The space, the images and the table of an experiment; names are looked up here and nowhere else.

    Raises:
        MissingData, InvalidImages, InvalidTable: Data are absent or damaged.
    """
    return Ingredients(experiment.load_space(), experiment.load_images(), experiment.load_table())


def best_of_runs(table: Table, column: tuple[str, str, int]) -> np.ndarray | None:
    """The best single training of every architecture in the order of the space; None where none are known."""
    single = table.accuracies(*column, "each")
    # An architecture without any accuracy stays without one.
    return None if single.shape[1] < 2 else np.fmax.reduce(single, axis=1)


@cache
def images_hash(experiment: Experiment) -> str:
    """A hash of all images and labels that the experiment names."""
    data = load_ingredients(experiment).images
    splits = [data.train, data.test] if data.valid is None else [data.train, data.valid, data.test]
    return content_hash(*splits)[:16]


def check_ingredients(experiment: Experiment) -> None:
    """Check that the data and the accuracies that an experiment names are there, before anything slow starts.

    Raises:
        InvalidExperiment: a selector or the table does not fit.
        MissingData, InvalidImages, InvalidTable: data are absent or damaged.
    """
    if experiment.device == "cuda" and not torch.cuda.is_available():
        raise InvalidExperiment(
            f"{experiment.name}: device 'cuda', but torch finds no GPU here; set device = \"cpu\" or run it on another "
            "machine"
        )
    space, images, table = load_ingredients(experiment)
    if experiment.initialization == "reference" and not (
        isinstance(space, HasReferenceSupernet) and space.has_published_code
    ):
        raise InvalidExperiment(
            f"{experiment.name}: initialization = 'reference', but no published code has supernets of "
            f"{experiment.space}; leave it out"
        )
    if images.is_sorted_by_class:
        raise InvalidExperiment(
            f"{experiment.name}: of the {len(images.train)} training images of {experiment.images!r} the first half "
            "has other classes than the second; a search needs all classes in both, so mix the images"
        )
    half = len(images.train) // 2
    sizes = {
        entry.label: size for entry in experiment.selectors if (size := getattr(entry.settings, "batch_size", None))
    }
    if trained := [entry.supernet.training.batch_size for entry in experiment.selectors if entry.supernet]:
        sizes["[supernet]"] = max(trained)
    for where, size in sizes.items():
        if size > half:
            raise InvalidExperiment(
                f"{experiment.name}, {where}: batch_size {size}, but a half of the training images of "
                f"{experiment.images!r} has only {half}; choose at most that"
            )
    choice = experiment.table
    if table is None or choice is None:
        if oracle := next((e.label for e in experiment.selectors if e.settings.oracle), None):
            raise InvalidExperiment(f"{experiment.name}, {oracle}: an oracle reads a table; add a [table] to the file")
        return
    if table.space.edges != space.edges:
        raise InvalidExperiment(
            f"{experiment.name}, [table]: {choice.name!r} is a table of {table.space.name}, "
            f"which has other edges than {experiment.space}"
        )
    for column in (choice.valid_column, *choice.test_columns.values()):
        try:
            table.accuracies(*column, "mean")
        except NotInTable as error:
            raise InvalidExperiment(f"{experiment.name}, [table]: {error}") from None
    reads_runs = next(
        (entry.label for entry in experiment.selectors if getattr(entry.settings, "of", "") == "runs"), None
    )
    if reads_runs is not None and best_of_runs(table, choice.valid_column) is None:
        raise InvalidExperiment(
            f"{experiment.name}, {reads_runs}: of = 'runs', but {choice.name!r} has no single trainings of "
            f"{choice.dataset} validation after {choice.valid_column[2]} epochs; choose of = 'means' or another dataset"
        )
