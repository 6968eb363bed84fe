"""The space, the images and the table of an experiment, loaded once per process."""

from functools import cache, lru_cache
from typing import NamedTuple

import torch

from opselect.bench.experiment.file import Experiment, InvalidExperiment
from opselect.spaces.images import ImageData, content_hash
from opselect.spaces.space import SearchSpace
from opselect.spaces.table import NotInTable, Table


class Ingredients(NamedTuple):
    """The space, the images and the table that an experiment names.

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
    """Load the space, the images and the table of an experiment; names are looked up only here.

    Raises:
        MissingData, InvalidImages, InvalidTable: Data are absent or damaged.
    """
    return Ingredients(experiment.load_space(), experiment.load_images(), experiment.load_table())


@cache
def images_hash(experiment: Experiment) -> str:
    """A hash of all images and labels that the experiment uses: 16 hexadecimal digits."""
    data = load_ingredients(experiment).images
    splits = [data.train, data.test] if data.valid is None else [data.train, data.valid, data.test]
    return content_hash(*splits)[:16]


def check_ingredients(experiment: Experiment) -> None:
    """Check that an experiment's data and accuracies are there and fit, before anything slow starts.

    Raises:
        InvalidExperiment: There is no such device, or a selector or the table does not fit.
        MissingData, InvalidImages, InvalidTable: Data are absent or damaged.
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
