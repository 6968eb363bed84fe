"""Training selected networks from nothing, over seeds: what the DARTS papers report of a genotype."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from opselect.bench.evaluation.training import NetworkTraining, Progress, train_network
from opselect.bench.experiment.file import NetworkChoice
from opselect.bench.runs.provenance import environment, reason_of, software
from opselect.bench.runs.records import FORMAT_VERSION, Value, open_for_append, read_lines
from opselect.bench.runtime.parallel import Workers, in_parallel
from opselect.spaces import registry
from opselect.spaces.darts.genotypes import Genotype, library, parse_genotype
from opselect.spaces.darts.space import DARTSSpace
from opselect.spaces.errors import UserError
from opselect.spaces.files import NotWritten, check_writable, read_text
from opselect.spaces.image_sources import load_images
from opselect.spaces.images import content_hash
from opselect.spaces.inspection import multiply_adds
from opselect.spaces.seeds import seed_for
from opselect.spaces.space import Architecture, SearchSpace

FILE_NAME = "trainings.jsonl"
COMMAND = "opselect train"


class NotTrainable(UserError, ValueError):
    """A genotype, space or setting that no network can be trained from; the message says what was expected."""


class NetworkDescription(Value):
    """Everything that determines a training.

    Attributes:
        space: registered name.
        genotype: in the field's text.
        images: registered name, or the path of an `.npz` file.
        images_hash: of the images and labels that are used.
        training_images: how many of the images are used for training, the first ones; null for all.
        channels: of the edges in the first cell.
        cells: in all.
        stem: for images of CIFAR's size, or of ImageNet's.
        training: all settings.
        seed: of parameters, batches and augmentation.
        device: where it is trained.
        software: versions of opselect and torch.
    """

    space: str
    genotype: str
    images: str
    images_hash: str
    training_images: int | None
    channels: int
    cells: int
    stem: Literal["cifar", "imagenet"]
    training: dict[str, Any]
    seed: int
    device: str
    software: dict[str, str]

    @property
    def key(self) -> str:
        """The content address: 16 hexadecimal digits."""
        text = json.dumps(self.model_dump(mode="json", exclude={"images"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class TrainingResult(Value):
    """What came out of a training.

    Attributes:
        parameters: without the auxiliary classifier, as papers count.
        multiply_adds: for one image, without the auxiliary classifier.
        test_accuracies: percent, after every epoch that this process has trained; earlier ones are null.
        last: test accuracy after the last epoch, percent.
        best: the largest after any epoch, percent; what the papers report.
        seconds: of training and testing.
    """

    parameters: int
    multiply_adds: int
    test_accuracies: list[float | None]
    last: float
    best: float
    seconds: float


class TrainingRecord(Value):
    """One finished or failed training.

    Attributes:
        version: of the format of records.
        network: what was trained, and how.
        key: its content address.
        reason: why it failed, null where it did not.
        result: null where it failed.
        environment: machine and versions.
    """

    version: int
    network: NetworkDescription
    key: str
    reason: str | None
    result: TrainingResult | None
    environment: dict[str, Any]


@dataclass(frozen=True)
class NetworkJob:
    """One training: what, and in which folder its checkpoint lies."""

    network: NetworkDescription
    folder: Path


def genotype_named(text: str) -> Genotype:
    """The genotype with a name of the library, the one in a file, or the one that the text itself is.

    Raises:
        InvalidGenotype: it is none of these.
        NotTrainable: the file cannot be read.
    """
    if text in library():
        return library()[text].genotype
    if text.isidentifier():
        raise NotTrainable(f"no genotype named {text!r}{registry.did_you_mean(text, tuple(library()))}")
    path = Path(text)
    if "(" not in text and "{" not in text:
        try:
            text = read_text(path)
        except (OSError, ValueError) as error:
            raise NotTrainable(
                f"{path}: cannot be read ({error}), expected a genotype, its name, or a text file with it"
            ) from None
    return parse_genotype(text)


def architecture_named(text: str, space: SearchSpace) -> Architecture:
    """An architecture of a space, where it has genotypes named as `genotype_named` does, else in its own notation.

    Raises:
        InvalidGenotype, InvalidArchitecture, NotTrainable: it is none of the space.
    """
    return space.architecture(genotype_named(text)) if isinstance(space, DARTSSpace) else space.parse(text)


def describe(
    space_name: str,
    genotypes: Sequence[str],
    images: str,
    training_images: int | None,
    choice: NetworkChoice,
    device: str,
) -> list[NetworkDescription]:
    """What is to be trained: every genotype with every seed of the choice. The images are loaded and hashed for it.

    Args:
        space_name: registered name.
        genotypes: in any of the field's notations; none, to check the rest.
        images: registered name, or the path of an `.npz` file.
        training_images: how many of them, None for all.
        choice: sizes, settings and seeds.
        device: where to train.

    Raises:
        NotTrainable: the space has no genotypes, there is no such device, or the auxiliary classifier does not fit.
        InvalidArchitecture: a genotype is none of the space.
    """
    space = _space(space_name)
    if device == "cuda" and not torch.cuda.is_available():
        raise NotTrainable("device 'cuda', but torch finds no GPU here; take the cpu or another machine")
    data = load_images(images).limited(training_images)
    sides = data.train.images.shape[2:]
    if any(side % 4 for side in sides):
        raise NotTrainable(f"images of {min(sides)} pixels, expected a multiple of 4: two cells halve the size")
    if choice.auxiliary_weight and min(sides) < 32:
        raise NotTrainable(
            f"images of {min(sides)} pixels are too small for the auxiliary classifier, which wants 32; "
            "set auxiliary_weight = 0"
        )
    images_hash = content_hash(data.train, data.test)[:16]
    return [
        NetworkDescription(
            space=space_name,
            genotype=genotype,
            images=images,
            images_hash=images_hash,
            training_images=training_images,
            channels=choice.channels,
            cells=choice.cells,
            stem=choice.stem,
            training=choice.training.model_dump(mode="json"),
            seed=seed,
            device=device,
            software=software(),
        )
        for genotype in dict.fromkeys(space.format(space.parse(text)) for text in genotypes)
        for seed in choice.seeds
    ]


def train_all(
    networks: Sequence[NetworkDescription],
    folder: Path,
    workers: Workers,
    progress: Callable[[str, int, int], None],
    after_epoch: Callable[[NetworkDescription, Progress], None] | None = None,
) -> list[TrainingRecord]:
    """Train what the folder's records do not hold yet, each from its checkpoint; the records in the given order.

    A training that fails becomes a record with its reason, and the next call tries it again.

    Args:
        networks: what to train.
        folder: of records and checkpoints.
        workers: processes of this machine, or a cluster.
        progress: told about every finished training.
        after_epoch: told after every epoch, where there is one worker.

    Raises:
        InvalidRecords: the folder's records cannot be read, or another run is writing them.
        NotWritten: the disk is full, or the folder cannot be written; what was finished is kept.
        UnusableCluster: the cluster cannot be reached or is lost, or has not what this machine has.
    """
    path = folder / FILE_NAME
    wanted = {network.key: network for network in networks}
    with open_for_append(path) as appender:
        done = {record.key: record for record in trained(folder) if record.result and record.key in wanted}
        jobs = [NetworkJob(network, folder.absolute()) for key, network in wanted.items() if key not in done]
        if jobs:
            check_writable(checkpoints(folder))
        progress("networks", len(done), len(wanted))
        records: Iterator[TrainingRecord]
        if workers == 1 and after_epoch is not None:
            records = (train(job, after_epoch) for job in jobs)
        else:
            records = in_parallel(train, jobs, workers, lambda job, reason: _record(job, None, reason))
        for record in records:
            appender.append(record)
            done[record.key] = record
            progress("networks", len(done), len(wanted))
    return [done[key] for key in wanted]


def checkpoints(folder: Path) -> Path:
    """Where the checkpoints of a folder's trainings lie."""
    return folder / "checkpoints"


def trained(folder: Path) -> list[TrainingRecord]:
    """All trainings of a folder, a later one replacing an earlier one of the same key; none where there is no file.

    Raises:
        InvalidRecords: a line is no record, or is one of another format version.
    """
    path = folder / FILE_NAME
    records = read_lines(path, TrainingRecord, COMMAND) if path.is_file() else []
    return list({record.key: record for record in records}.values())


def train(
    job: NetworkJob, after_epoch: Callable[[NetworkDescription, Progress], None] = lambda *_: None
) -> TrainingRecord:
    """One training, from its checkpoint where there is one; whatever goes wrong in it becomes its reason."""
    result, reason = None, None
    try:
        result = _train(job, after_epoch)
    except NotWritten:
        raise  # this cannot be recorded then either
    except Exception as error:
        reason = reason_of(error)
    return _record(job, result, reason)


def _record(job: NetworkJob, result: TrainingResult | None, reason: str | None) -> TrainingRecord:
    return TrainingRecord(
        version=FORMAT_VERSION,
        network=job.network,
        key=job.network.key,
        reason=reason,
        result=result,
        environment=environment(),
    )


def _train(job: NetworkJob, after_epoch: Callable[[NetworkDescription, Progress], None]) -> TrainingResult:
    what = job.network
    training = NetworkTraining.model_validate(what.training)
    space = _space(what.space).resized(what.channels, what.cells)
    data = load_images(what.images).limited(what.training_images)
    architecture = space.parse(what.genotype)
    seed = seed_for(what.space, what.seed, "trained network")
    accuracies: list[float | None] = [None] * training.epochs

    def heard(progress: Progress) -> None:
        accuracies[progress.epoch - 1] = progress.test_accuracy
        after_epoch(what, progress)

    build = space.evaluation_network
    bare = build(architecture, data.channels, data.classes, seed, what.stem, auxiliary=False)
    with_auxiliary = training.auxiliary_weight > 0
    final = train_network(
        build(architecture, data.channels, data.classes, seed, what.stem, auxiliary=with_auxiliary),
        data,
        training,
        what.seed,
        checkpoints(job.folder) / f"{what.key}.pt",
        f"{what.genotype} of {what.space}, {what.channels} channels, {what.cells} cells, on {what.images}",
        heard,
        what.device,
    )
    return TrainingResult(
        parameters=sum(parameter.numel() for parameter in bare.parameters()),
        multiply_adds=multiply_adds(bare, data.train.images[:1]),
        test_accuracies=accuracies,
        last=final.test_accuracy,
        best=final.best_test_accuracy,
        seconds=final.seconds,
    )


def _space(name: str) -> DARTSSpace:
    space = registry.load("spaces", name)
    if not isinstance(space, DARTSSpace):
        genotyped = [each for each in registry.names("spaces") if each.startswith("darts")]
        raise NotTrainable(f"the space {name!r} has no genotypes, expected one of {', '.join(genotyped)}")
    return space
