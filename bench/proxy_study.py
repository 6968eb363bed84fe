"""How well zero-cost proxies rank stand-alone networks: scoring them, and the records of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import BaseModel
from torch import nn

from opselect.bench.experiment.ingredients import load_proxy_ingredients
from opselect.bench.runtime.parallel import in_parallel
from opselect.bench.storage.provenance import software
from opselect.bench.storage.store import FORMAT_VERSION, InvalidRecords, Value, content_key, open_for_append, read_lines
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.selectors.task import SearchImages, ShuffledBatches
from opselect.spaces import registry
from opselect.spaces.errors import UserError
from opselect.spaces.images import LabelledImages, TooFewImages, content_hash
from opselect.spaces.seeds import numpy_generator, seed_for, torch_generator
from opselect.spaces.space import Architecture, SearchSpace

FILE_NAME = "scores.jsonl"
COMMAND = "opselect proxies"


class UnfitTable(UserError, ValueError):
    """A table of accuracies of other architectures than those that are scored."""


class StudyDescription(BaseModel, frozen=True, extra="forbid"):
    """Everything that determines the score of a proxy.

    Attributes:
        space: Registered name of the search space.
        images: Registered name, or path of an `.npz` file.
        batch_size: Number of images in the one batch that all networks are scored on.
        seed: Seed of the batch and of the networks' parameters.
        images_hash: Hash of the dataset that the batch is taken from.
        software: Versions of opselect and torch.
    """

    space: str
    images: str
    batch_size: int
    seed: int
    images_hash: str
    software: dict[str, str]

    @property
    def key(self) -> str:
        """The content address: 16 hexadecimal digits."""
        return content_key(self.model_dump(mode="json", exclude={"images"}))


class ScoreRecord(Value):
    """The scores of one architecture by some proxies.

    Attributes:
        version: Version of the format.
        study: Key of the study's description.
        architecture: Representative of its class, in the space's notation.
        scores: Scores by proxy, larger is better; NaN or infinite where a score is undefined.
        seconds: Wall time by proxy.
        reasons: Reasons by proxy, where a score is undefined.
    """

    version: int
    study: str
    architecture: str
    scores: dict[str, float]
    seconds: dict[str, float]
    reasons: dict[str, str]


@dataclass(frozen=True)
class Scoring:
    """One network to be scored.

    Attributes:
        study: What determines the scores.
        architecture: The network's architecture in the space's notation.
        proxies: Names of the proxies whose scores are missing.
    """

    study: StudyDescription
    architecture: str
    proxies: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """The scores of a sample of architectures.

    Attributes:
        study: What determines the scores.
        architectures: The sample, in the space's notation.
        classes: Number of classes of equal architectures in the sample.
        values: Scores by proxy, one per architecture; NaN or infinite where a score is undefined.
        seconds: Mean wall time of scoring one network, by proxy.
        failures: Number of classes without a score, by proxy and reason.
    """

    study: StudyDescription
    architectures: tuple[str, ...]
    classes: int
    values: Mapping[str, np.ndarray]
    seconds: Mapping[str, float]
    failures: Mapping[tuple[str, str], int]


def describe(space: str, images: str, batch_size: int, seed: int) -> StudyDescription:
    """Describe a study; the images are loaded and hashed for it.

    Args:
        space: Registered name of the search space.
        images: Registered name, or path of an `.npz` file.
        batch_size: Number of images that the networks are scored on.
        seed: Seed of the batch and of the networks' parameters.
    """
    data = load_proxy_ingredients(space, images).images
    return StudyDescription(
        space=space,
        images=images,
        batch_size=batch_size,
        seed=seed,
        images_hash=content_hash(data.train)[:16],
        software=software(),
    )


def sample_architectures(space: SearchSpace, count: int | None, seed: int) -> list[str]:
    """Draw different architectures, each equally likely, in random order.

    A larger sample begins with the smaller one, so a study can be widened later, and one that was stopped half-way has
    scored no particular kind of architecture.

    Args:
        space: A finite space.
        count: Size of the sample; None, or more than there are, for all architectures.
        seed: Seed of the order.

    Returns:
        The architectures in the space's notation.
    """
    every = [space.format(architecture) for architecture in space.enumerate()]
    order = numpy_generator("proxy study", space.name, seed).permutation(len(every))
    return [every[number] for number in order[:count].tolist()]


def score_architectures(
    study: StudyDescription,
    count: int | None,
    proxies: Sequence[str],
    folder: Path,
    workers: int,
    progress: Callable[[str, int, int], None],
) -> Scores:
    """Score a sample of architectures, each class of equal ones once; what the folder holds is not scored again.

    Args:
        study: What determines the scores.
        count: Number of architectures; None for all.
        proxies: Registered names of the proxies.
        folder: Folder of the records; created where it does not exist.
        workers: Number of processes, each with one torch thread.
        progress: Called with "architectures", the number of scored classes, and the number of all.

    Raises:
        InvalidRecords: The folder holds something else, or another run is writing to it.
        NotWritten: The disk is full, for example; finished results remain.
    """
    space = load_proxy_ingredients(study.space, study.images).space
    architectures = sample_architectures(space, count, study.seed)
    classes = {text: space.format(space.canonical(space.parse(text))) for text in architectures}
    distinct = list(dict.fromkeys(classes.values()))
    with open_for_append(folder / FILE_NAME) as store:
        known = _read(folder / FILE_NAME, study)
        missing = [
            Scoring(study, text, tuple(name for name in proxies if name not in known.get(text, {})))
            for text in distinct
        ]
        waiting = [scoring for scoring in missing if scoring.proxies]
        store.complete(
            in_parallel(_score, waiting, workers),
            len(distinct) - len(waiting),
            lambda count: progress("architectures", count, len(distinct)),
        )
    return _collected(study, classes, _read(folder / FILE_NAME, study), proxies)


@dataclass(frozen=True)
class _Entry:
    score: float
    seconds: float
    reason: str | None


def _read(path: Path, study: StudyDescription) -> dict[str, dict[str, _Entry]]:
    """Read what the study has recorded, by architecture and proxy.

    Raises:
        InvalidRecords: The file holds records of something else.
    """
    recorded: dict[str, dict[str, _Entry]] = {}
    for record in read_lines(path, ScoreRecord, COMMAND):
        if record.study != study.key:
            raise InvalidRecords(
                f"{path}: holds scores of another study (other space, images, batch size, seed or versions); "
                "use a new folder"
            )
        if record.seconds.keys() != record.scores.keys():
            raise InvalidRecords(f"{path}: scores without their seconds; expected records written by '{COMMAND}'")
        entries = recorded.setdefault(record.architecture, {})
        for name, score in record.scores.items():
            entries[name] = _Entry(score, record.seconds[name], record.reasons.get(name))
    return recorded


def _score(scoring: Scoring) -> ScoreRecord:
    study = scoring.study
    architecture = load_proxy_ingredients(study.space, study.images).space.parse(scoring.architecture)
    network = network_of(study.space, architecture, study.images, study.seed)
    batch = draw_batch(study.space, study.images, study.batch_size, study.seed)
    scores, seconds, reasons = {}, {}, {}
    for name in scoring.proxies:
        started = time.perf_counter()
        try:
            scores[name] = registry.load("proxies", name)(network, batch)
        except UnscorableNetwork as error:
            scores[name], reasons[name] = float("nan"), str(error)
        seconds[name] = time.perf_counter() - started
        if name not in reasons and not np.isfinite(scores[name]):
            reasons[name] = f"the score is {scores[name]}"
    return ScoreRecord(
        version=FORMAT_VERSION,
        study=study.key,
        architecture=scoring.architecture,
        scores=scores,
        seconds=seconds,
        reasons=reasons,
    )


def network_of(space_name: str, architecture: Architecture, images: str, seed: int) -> nn.Module:
    """The stand-alone network of an architecture at initialisation, as a study scores it.

    Args:
        space_name: Registered name of the search space.
        architecture: The architecture.
        images: Registered name, or path of an `.npz` file.
        seed: Seed of the study.
    """
    space, data, _ = load_proxy_ingredients(space_name, images)
    return space.network(architecture, data.channels, data.classes, seed_for(space.name, seed, "proxy study"))


@cache
def draw_batch(space: str, images: str, batch_size: int, seed: int) -> LabelledImages:
    """The batch on which a study scores all networks, from the train split.

    Args:
        space: Registered name of the search space.
        images: Registered name, or path of an `.npz` file.
        batch_size: Number of images.
        seed: Seed of the study.

    Raises:
        TooFewImages: The train split has fewer images, or a batch of none was requested.
    """
    train_split = SearchImages.halves(load_proxy_ingredients(space, images).images).train_split
    if not 1 <= batch_size <= len(train_split):
        raise TooFewImages(
            f"batch_size {batch_size}, but a half of the training images of {images!r} has {len(train_split)}; choose "
            "from 1 to that"
        )
    return next(ShuffledBatches(train_split, batch_size, torch_generator("proxy study", seed)))


def _collected(
    study: StudyDescription,
    classes: Mapping[str, str],
    known: Mapping[str, Mapping[str, _Entry]],
    proxies: Sequence[str],
) -> Scores:
    distinct = set(classes.values())
    failures: dict[tuple[str, str], int] = {}
    for text in sorted(distinct):
        for name in proxies:
            reason = known[text][name].reason
            if reason is not None:
                failures[name, reason] = failures.get((name, reason), 0) + 1
    return Scores(
        study=study,
        architectures=tuple(classes),
        classes=len(distinct),
        values={name: np.array([known[text][name].score for text in classes.values()]) for name in proxies},
        seconds={name: float(np.mean([known[text][name].seconds for text in distinct])) for name in proxies},
        failures=failures,
    )
