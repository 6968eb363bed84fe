"""How well zero-cost proxies rank stand-alone networks: scoring them, and the records of it."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from opselect.bench.runs.provenance import software
from opselect.bench.runs.records import FORMAT_VERSION, InvalidRecords, Value, open_for_append, read_lines
from opselect.bench.runtime.parallel import in_parallel
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.selectors.task import SearchImages, ShuffledBatches
from opselect.spaces import registry
from opselect.spaces.image_sources import load_images
from opselect.spaces.images import LabelledImages, content_hash
from opselect.spaces.seeds import numpy_generator, seed_for, torch_generator
from opselect.spaces.space import SearchSpace

FILE_NAME = "scores.jsonl"
COMMAND = "opselect proxies"

load_images_once = cache(load_images)


class StudyDescription(BaseModel, frozen=True, extra="forbid"):
    """Everything that determines the score of a proxy.

    Attributes:
        space: registered name.
        images: registered name, or the path of an `.npz` file.
        batch_size: images of the one batch that all networks are scored on.
        seed: of the batch and of the networks' parameters.
        images_hash: of the batch's dataset.
        software: versions of opselect and torch.
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
        text = json.dumps(self.model_dump(mode="json", exclude={"images"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class ScoreRecord(Value):
    """What some proxies say of one architecture.

    Attributes:
        version: of the format.
        study: the key of the study's description.
        architecture: the representative of its class, in the space's notation.
        scores: by proxy, larger is better; NaN or infinite where it is undefined.
        seconds: by proxy, wall time.
        reasons: by proxy, why it has no score.
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
        study: what determines the scores.
        architecture: in the space's notation.
        proxies: names of those that are missing.
    """

    study: StudyDescription
    architecture: str
    proxies: tuple[str, ...]


@dataclass(frozen=True)
class Scores:
    """The scores of a sample of architectures.

    Attributes:
        study: what determines them.
        architectures: the sample, in the space's notation.
        classes: how many of them differ.
        values: by proxy, one score an architecture; NaN or infinite where it is undefined.
        seconds: by proxy, the mean wall time of scoring one network.
        failures: by proxy and reason, how many classes have no score for it.
    """

    study: StudyDescription
    architectures: tuple[str, ...]
    classes: int
    values: Mapping[str, np.ndarray]
    seconds: Mapping[str, float]
    failures: Mapping[tuple[str, str], int]


def describe(space: str, images: str, batch_size: int, seed: int) -> StudyDescription:
    """The description of a study; the images are loaded and hashed for it."""
    data = load_images_once(images)
    return StudyDescription(
        space=space,
        images=images,
        batch_size=batch_size,
        seed=seed,
        images_hash=content_hash(data.train)[:16],
        software=software(),
    )


def sampled(space: SearchSpace, count: int | None, seed: int) -> list[str]:
    """So many different architectures, each equally likely, in random order; all of them for None.

    A larger sample begins with the smaller one, so a study can be widened later, and one that was stopped half-way has
    scored no particular kind of architecture.
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
    """Score a sample of architectures, each class of equal ones once; what was scored before is kept.

    Args:
        study: what determines the scores.
        count: how many architectures; None for all.
        proxies: registered names.
        folder: of the records; created where it does not exist.
        workers: processes, each with one torch thread.
        progress: told how many classes are scored.

    Raises:
        InvalidRecords: the folder holds something else, or another run is writing to it.
    """
    space: SearchSpace = registry.load("spaces", study.space)
    architectures = sampled(space, count, study.seed)
    classes = {text: space.format(space.canonical(space.parse(text))) for text in architectures}
    distinct = list(dict.fromkeys(classes.values()))
    with open_for_append(folder / FILE_NAME) as appender:
        known = _read(folder / FILE_NAME, study)
        missing = [
            Scoring(study, text, tuple(name for name in proxies if name not in known.get(text, {})))
            for text in distinct
        ]
        waiting = [scoring for scoring in missing if scoring.proxies]
        progress("architectures", len(distinct) - len(waiting), len(distinct))
        for done, record in enumerate(in_parallel(_score, waiting, workers), start=len(distinct) - len(waiting) + 1):
            appender.append(record)
            progress("architectures", done, len(distinct))
    return _collected(study, classes, _read(folder / FILE_NAME, study), proxies)


@dataclass(frozen=True)
class _Entry:
    score: float
    seconds: float
    reason: str | None


def _read(path: Path, study: StudyDescription) -> dict[str, dict[str, _Entry]]:
    """By architecture and proxy, what the study has recorded.

    Raises:
        InvalidRecords: the file holds records of something else.
    """
    found: dict[str, dict[str, _Entry]] = {}
    for record in read_lines(path, ScoreRecord, COMMAND):
        if record.study != study.key:
            raise InvalidRecords(
                f"{path}: holds scores of another study (other space, images, batch size, seed or versions); "
                "use a new folder"
            )
        if record.seconds.keys() != record.scores.keys():
            raise InvalidRecords(f"{path}: scores without their seconds; expected records written by '{COMMAND}'")
        entries = found.setdefault(record.architecture, {})
        for name, score in record.scores.items():
            entries[name] = _Entry(score, record.seconds[name], record.reasons.get(name))
    return found


def _score(scoring: Scoring) -> ScoreRecord:
    study = scoring.study
    space: SearchSpace = registry.load("spaces", study.space)
    data = load_images_once(study.images)
    architecture = space.parse(scoring.architecture)
    network = space.network(architecture, data.channels, data.classes, seed_for(space.name, study.seed, "proxy study"))
    batch = _batch(study)
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


@cache
def _batch_of(images: str, batch_size: int, seed: int) -> LabelledImages:
    half = SearchImages.halves(load_images_once(images)).train_split
    return next(ShuffledBatches(half, batch_size, torch_generator("proxy study", seed)))


def _batch(study: StudyDescription) -> LabelledImages:
    return _batch_of(study.images, study.batch_size, study.seed)


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
