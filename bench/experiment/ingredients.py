"""What an experiment or a proxy study names, loaded once per process: its space, its images and its table."""

from functools import cache, lru_cache
from typing import NamedTuple

import torch

from opselect.bench.experiment.file import Experiment, InvalidExperiment
from opselect.spaces import registry
from opselect.spaces.image_sources import load_images
from opselect.spaces.images import ImageData, content_hash
from opselect.spaces.space import SearchSpace
from opselect.spaces.table import NotInTable, Table


class Ingredients(NamedTuple):
    """The things that an experiment or a proxy study names.

    Attributes:
        space: The search space.
        images: The dataset, limited to the training images that are used.
        table: The table of accuracies, or None where none is named.
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


@lru_cache(maxsize=2)
def load_proxy_ingredients(space: str, images: str) -> Ingredients:
    """The space and all images of a proxy study, which has no experiment file; the report alone reads its table.

    Args:
        space: Registered name of the search space.
        images: Registered name, or path of an `.npz` file.

    Raises:
        UnknownName: No space has this name.
        MissingData, InvalidImages: Data are absent or damaged.
    """
    return Ingredients(registry.load("spaces", space), load_images(images), None)


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
