"""What an experiment or a proxy study names, loaded once per process: its space, its images and its table."""

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import torch

from opselect.bench.experiment.file import Experiment, InvalidExperiment
from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.settings import SupernetTraining, uniform_alpha
from opselect.spaces import registry
from opselect.spaces.errors import in_one_line
from opselect.spaces.image_sources import load_images
from opselect.spaces.images import ImageData, content_hash
from opselect.spaces.space import HasReferenceSupernet, SearchSpace
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
    """Load the space, the images and the table of an experiment; names are looked up only here.

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


def best_of_runs(table: Table, column: tuple[str, str, int]) -> np.ndarray | None:
    """The best single training of every architecture in the order of the space; None where none are known."""
    single = table.accuracies(*column, "each")
    # An architecture without any accuracy stays without one.
    return None if single.shape[1] < 2 else np.fmax.reduce(single, axis=1)


@cache
def images_hash(experiment: Experiment) -> str:
    """A hash of all images and labels that the experiment uses: 16 hexadecimal digits."""
    data = load_ingredients(experiment).images
    splits = [data.train, data.test] if data.valid is None else [data.train, data.valid, data.test]
    return content_hash(*splits)[:16]


def check_ingredients(experiment: Experiment) -> None:
    """Check that all that an experiment names is there and fits together, before anything slow starts.

    Raises:
        InvalidExperiment: There is no such device, or a selector, a training, the images or the table do not fit.
        MissingData, InvalidImages, InvalidTable: Data are absent or damaged.
    """
    if experiment.device == "cuda" and not torch.cuda.is_available():
        raise InvalidExperiment(
            f"{experiment.name}: device 'cuda', but torch finds no GPU here; set device = \"cpu\" or run it on another "
            "machine"
        )
    space = load_ingredients(experiment).space
    if experiment.initialization == "reference" and not (
        isinstance(space, HasReferenceSupernet) and space.has_published_code
    ):
        raise InvalidExperiment(
            f"{experiment.name}: initialization = 'reference', but no published code has supernets of "
            f"{experiment.space}; leave it out"
        )
    _check_images(experiment)
    _check_trainings(experiment)
    _check_table(experiment)


def _check_images(experiment: Experiment) -> None:
    images = load_ingredients(experiment).images
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
    for split, labels in (("training", images.train.labels), ("test", images.test.labels)):
        if (classes := len(set(labels.tolist()))) < 2:
            raise InvalidExperiment(
                f"{experiment.name}: the {len(labels)} {split} images of {experiment.images!r} have {classes} class, "
                "expected at least two, since otherwise every answer is right; choose other images or more of them"
            )
    if images.is_sorted_by_class:
        raise InvalidExperiment(
            f"{experiment.name}: of the {len(images.train)} training images of {experiment.images!r} the first half "
            "has other classes than the second; a search needs all classes in both, so mix the images"
        )
    if any(entry.selector.needs.supernet for entry in experiment.selectors):
        reason = _why_images_do_not_fit(experiment.space, tuple(images.train.images.shape[1:]), images.classes)
        if reason:
            raise InvalidExperiment(
                f"{experiment.name}: the networks of {experiment.space} cannot take the images of "
                f"{experiment.images!r}: {reason}; choose other images or another space"
            )


# A study checks many experiments with the same space and images.
@lru_cache(maxsize=32)
def _why_images_do_not_fit(space_name: str, shape: tuple[int, ...], classes: int) -> str:
    """Why the supernet of a space fails on a batch of two images of a shape; empty where it does not fail."""
    space: SearchSpace = registry.load("spaces", space_name)
    nothing = Decisions.none_yet(space.edges)
    weights = nothing.weights(uniform_alpha(nothing))
    try:
        with torch.no_grad():
            space.supernet(shape[0], classes, 0)(torch.zeros(2, *shape), weights)
    except Exception as error:  # a space of a plug-in raises whatever it likes
        return in_one_line(error)
    return ""


def _check_trainings(experiment: Experiment) -> None:
    for supernet in dict.fromkeys(entry.supernet for entry in experiment.selectors if entry.supernet):
        if reason := _why_not(experiment.space, supernet.training):
            raise InvalidExperiment(
                f"{experiment.name}, [supernet] {supernet.label!r}: it cannot train supernets of {experiment.space}: "
                f"{reason}; change its settings or choose another training"
            )


# The supernets of a study's experiments are of few spaces, and some trainings build one to see whether they fit.
@lru_cache(maxsize=256)
def _why_not(space_name: str, training: SupernetTraining) -> str:
    """Why a training cannot have the supernets of a space in the size that it trains; empty where it can."""
    space: SearchSpace = registry.load("spaces", space_name)
    if (training.channels, training.cells) != (None, None):
        space = space.resized(training.channels, training.cells)
    return training.why_not(space)


def _check_table(experiment: Experiment) -> None:
    space, _, table = load_ingredients(experiment)
    choice = experiment.table
    oracle = next((entry.label for entry in experiment.selectors if entry.settings.oracle), None)
    if table is None or choice is None:
        if oracle:
            raise InvalidExperiment(f"{experiment.name}, {oracle}: an oracle reads a table; add a [table] to the file")
        return
    where = f"{experiment.name}, [table]: {choice.name!r} is a table of {table.space.name}"
    if table.space.edges != space.edges:
        raise InvalidExperiment(f"{where}, which has other edges than {experiment.space}")
    if table.space.name != space.name and not choice.of_other_networks:
        raise InvalidExperiment(
            f"{where}, whose networks are not those of {experiment.space}; set space = {table.space.name!r}, or "
            "of_other_networks = true in [table] if you mean it"
        )
    for column in (*choice.test_columns.values(), *([choice.valid_column] if oracle else [])):
        try:
            accuracies = table.accuracies(*column, "mean")
        except NotInTable as error:
            advice = f"; {oracle} reads validation accuracies, valid_epochs says of which training"
            raise InvalidExperiment(
                f"{experiment.name}, [table]: {error}{advice if column[1] == 'valid' else ''}"
            ) from None
        if np.isnan(accuracies).all():
            raise InvalidExperiment(
                f"{experiment.name}, [table]: {choice.name!r} has no accuracy of any architecture of {space.name} for "
                f"{column[0]}, {column[1]}, {column[2]} epochs; import it again"
            )
    reads_runs = next((entry.label for entry in experiment.selectors if entry.settings.single_trainings), None)
    if reads_runs is not None and best_of_runs(table, choice.valid_column) is None:
        raise InvalidExperiment(
            f"{experiment.name}, {reads_runs}: it reads single trainings, but {choice.name!r} has none of "
            f"{choice.dataset} validation after {choice.valid_column[2]} epochs; choose an oracle of means or another "
            "dataset"
        )
