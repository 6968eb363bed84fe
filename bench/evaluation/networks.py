"""Training selected networks from scratch over several seeds, as the DARTS papers report it for a genotype."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from opselect.bench.evaluation.training import train_network
from opselect.bench.experiment.file import NetworkChoice
from opselect.bench.experiment.network_training import NetworkTraining
from opselect.bench.runtime.forecast import epochs_file, write_epochs
from opselect.bench.runtime.parallel import Workers, in_parallel
from opselect.bench.storage.provenance import environment, reason_of, software
from opselect.bench.storage.store import FORMAT_VERSION, Value, content_key, open_for_append, read_lines
from opselect.bench.storage.torch_files import Identity
from opselect.spaces import registry
from opselect.spaces.darts.genotypes import Genotype, library, parse_genotype
from opselect.spaces.darts.network import DARTSNetwork
from opselect.spaces.darts.space import DARTSSpace
from opselect.spaces.errors import UserError
from opselect.spaces.files import NotWritten, check_writable, read_text
from opselect.spaces.image_sources import load_images
from opselect.spaces.images import ImageData, content_hash
from opselect.spaces.inspection import multiply_adds
from opselect.spaces.seeds import seed_for
from opselect.spaces.space import Architecture, SearchSpace

FILE_NAME = "trainings.jsonl"
COMMAND = "opselect train"


class NotTrainable(UserError, ValueError):
    """A genotype, space or setting that no network can be trained from; the message names the expected one."""


class NetworkDescription(Value):
    """Everything that determines the training of one network.

    Attributes:
        space: Registered name of the search space.
        genotype: The genotype in the field's text.
        images: Registered name, or path of an `.npz` file.
        images_hash: Hash of the images and labels that are used.
        training_images: Number of images used for training, the first ones; null for all.
        channels: Channels of the edges in the first cell.
        cells: Number of cells.
        stem: Stem for images of CIFAR's size, or of ImageNet's.
        training: All settings of the training.
        seed: Seed of parameters, batches and augmentation.
        device: Device of the training.
        software: Versions of opselect and torch.
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
        return content_key(self.model_dump(mode="json", exclude={"images"}))


class TrainingResult(Value):
    """The outcome of a training.

    Attributes:
        parameters: Number of parameters without the auxiliary classifier, as papers count.
        multiply_adds: Multiply-adds for one image, without the auxiliary classifier.
        test_accuracies: Test accuracy in percent per epoch; records of earlier versions have null for epochs before a
            kill.
        last: Test accuracy after the last epoch, percent.
        best: Largest test accuracy after any epoch, percent; what the papers report.
        seconds: Wall time of training and testing.
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
        version: Version of the format of records.
        network: What was trained, and how.
        key: Content address of `network`.
        reason: Reason of the failure; null where the training finished.
        result: Outcome of the training; null where it failed.
        environment: Machine and versions.
    """

    version: int
    network: NetworkDescription
    key: str
    reason: str | None
    result: TrainingResult | None
    environment: dict[str, Any]


@dataclass(frozen=True)
class NetworkJob:
    """One training.

    Attributes:
        network: What is trained, and how.
        folder: Folder of the records and checkpoints.
    """

    network: NetworkDescription
    folder: Path


def genotype_named(text: str) -> Genotype:
    """The genotype with this name in the library, in the file of this path, or in the text itself.

    Args:
        text: Name, path of a text file, or genotype in any of the field's notations.

    Raises:
        InvalidGenotype: The text, or that of the file, is no genotype.
        NotTrainable: There is no genotype of this name, or the file cannot be read.

    Example:
        >>> genotype_named("DARTS_V2") == library()["DARTS_V2"].genotype
        True
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
    """The architecture of a genotype as in `genotype_named`; in spaces without genotypes, of a text in their notation.

    Args:
        text: Genotype as in `genotype_named`, or architecture in the notation of the space.
        space: Search space of the architecture.

    Raises:
        InvalidGenotype, InvalidArchitecture, NotTrainable: The text is no architecture of the space.
    """
    return space.architecture(genotype_named(text)) if isinstance(space, DARTSSpace) else space.parse(text)


def describe_networks(
    space_name: str,
    genotypes: Sequence[str],
    images: str,
    training_images: int | None,
    choice: NetworkChoice,
    device: str,
) -> list[NetworkDescription]:
    """Describe the trainings of every genotype with every seed; the images are loaded and hashed for it.

    Args:
        space_name: Registered name of the search space.
        genotypes: Genotypes in any of the field's notations; without any, the other arguments are checked.
        images: Registered name, or path of an `.npz` file.
        training_images: Number of images used for training, None for all.
        choice: Sizes, settings and seeds.
        device: Device of the training.

    Returns:
        One description per distinct genotype and seed.

    Raises:
        NotTrainable: The space has no genotypes, there is no such device, or the auxiliary classifier does not fit.
        InvalidArchitecture: A genotype is no architecture of the space.
    """
    space = _space(space_name)
    if device == "cuda" and not torch.cuda.is_available():
        raise NotTrainable("device 'cuda', but torch finds no GPU here; take the cpu or another machine")
    data = load_images(images).limited(training_images)
    _check_image_size(data, choice)
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


def _check_image_size(data: ImageData, choice: NetworkChoice) -> None:
    sides = data.train.images.shape[2:]
    if any(side % 4 for side in sides):
        raise NotTrainable(f"images of {min(sides)} pixels, expected a multiple of 4: two cells halve the size")
    if choice.auxiliary_weight and min(sides) < 32:
        raise NotTrainable(
            f"images of {min(sides)} pixels are too small for the auxiliary classifier, which wants 32; "
            "set auxiliary_weight = 0"
        )


def train_all(
    networks: Sequence[NetworkDescription],
    folder: Path,
    workers: Workers,
    progress: Callable[[str, int, int], None],
    finished: Callable[[float | None], None] = lambda seconds: None,
    all_threads: bool = False,
) -> list[TrainingRecord]:
    """Train every network that the folder's records do not hold yet, each from its checkpoint.

    A training that fails becomes a record with its reason, and the next call tries it again. While one runs, the number
    of its finished epochs is in a file beside its checkpoint, `epochs_file`.

    Args:
        networks: What to train.
        folder: Folder of records and checkpoints.
        workers: Processes of this machine, or a cluster.
        progress: Called with "networks", the number of finished trainings and their total number.
        finished: Called with the seconds of every training before the progress; with None where it failed.
        all_threads: Whether a single worker of this machine computes with as many threads as torch likes.

    Returns:
        One record per network, in the given order.

    Raises:
        InvalidRecords: The folder's records cannot be read, or another run is writing them.
        NotWritten: The disk is full, or the folder cannot be written; finished results remain.
        UnusableCluster: The cluster cannot be reached or is lost, or lacks something that this machine has.
    """
    wanted = {network.key: network for network in networks}
    with open_for_append(folder / FILE_NAME) as store:
        done = {record.key: record for record in read_trainings(folder) if record.result and record.key in wanted}
        jobs = [NetworkJob(network, folder.absolute()) for key, network in wanted.items() if key not in done]
        if jobs:
            check_writable(checkpoints(folder))
        trained = store.complete(
            (train(job) for job in jobs)
            if all_threads and workers == 1
            else in_parallel(train, jobs, workers, lambda job, reason: _record(job, None, reason)),
            len(done),
            lambda count: progress("networks", count, len(wanted)),
            lambda record: finished(record.result.seconds if record.result else None),
        )
        done |= {record.key: record for record in trained}
    return [done[key] for key in wanted]


def checkpoints(folder: Path) -> Path:
    """Folder of the checkpoints of a folder's trainings."""
    return folder / "checkpoints"


def read_trainings(folder: Path) -> list[TrainingRecord]:
    """Read all trainings of a folder, a later one replacing an earlier one of the same key; none if there is no file.

    Raises:
        InvalidRecords: A line is no record, or is one of another format version.
    """
    path = folder / FILE_NAME
    records = read_lines(path, TrainingRecord, COMMAND) if path.is_file() else []
    return list({record.key: record for record in records}.values())


def train(job: NetworkJob) -> TrainingRecord:
    """Train one network, from its checkpoint where there is one; any error in it becomes the record's reason.

    Args:
        job: What to train, and in which folder.

    Raises:
        NotWritten: The checkpoint cannot be written.
    """
    result, reason = None, None
    try:
        result = _train(job)
    except NotWritten:
        raise  # a record could not be written either
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


def _train(job: NetworkJob) -> TrainingResult:
    description = job.network
    training = NetworkTraining.model_validate(description.training)
    space = _space(description.space).resized(description.channels, description.cells)
    data = load_images(description.images).limited(description.training_images)
    architecture = space.parse(description.genotype)
    seed = seed_for(description.space, description.seed, "trained network")

    def build(auxiliary: bool) -> DARTSNetwork:
        return space.evaluation_network(
            architecture, data.channels, data.classes, seed, description.stem, auxiliary=auxiliary
        )

    checkpoint = checkpoints(job.folder) / f"{description.key}.pt"
    without_auxiliary = build(auxiliary=False)
    final = train_network(
        build(auxiliary=training.auxiliary_weight > 0),
        data,
        training,
        description.seed,
        checkpoint,
        Identity(
            description.key,
            f"{description.genotype} of {description.space}, {description.channels} channels, "
            f"{description.cells} cells, on {description.images}",
        ),
        lambda progress: write_epochs(epochs_file(checkpoint), progress.epoch, progress.seconds),
        description.device,
    )
    epochs_file(checkpoint).unlink(missing_ok=True)
    return TrainingResult(
        parameters=sum(parameter.numel() for parameter in without_auxiliary.parameters()),
        multiply_adds=multiply_adds(without_auxiliary, data.train.images[:1]),
        test_accuracies=list(final.test_accuracies),
        last=final.test_accuracy,
        best=final.best_test_accuracy,
        seconds=final.seconds,
    )


def _space(name: str) -> DARTSSpace:
    space = registry.load("spaces", name)
    if not isinstance(space, DARTSSpace):
        with_genotypes = [known for known in registry.names("spaces") if known.startswith("darts")]
        raise NotTrainable(f"the space {name!r} has no genotypes, expected one of {', '.join(with_genotypes)}")
    return space
