"""Training a selected network by the protocol of the DARTS papers, with checkpoints that continue bit for bit."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from opselect.bench.experiment.network_training import NetworkTraining
from opselect.bench.runtime.parallel import is_out_of_memory
from opselect.bench.storage.code_digest import code_digest
from opselect.bench.storage.store import content_key
from opselect.bench.storage.torch_files import Identity, read_cached, write_cached
from opselect.spaces.augmentation import augment, cutout
from opselect.spaces.darts.network import DARTSNetwork, DropPath
from opselect.spaces.errors import UserError
from opselect.spaces.images import ImageData, LabelledImages
from opselect.spaces.inspection import mode
from opselect.spaces.seeds import torch_generator

TEST_BATCH = 256
"""Images per batch when accuracy is measured."""


class InvalidCheckpoint(UserError, ValueError):
    """A checkpoint of this training that it cannot continue from; the message says why."""


class TrainingFailed(UserError, RuntimeError):
    """A training that cannot continue; its finished epochs are in the checkpoint."""


FORMER_RECIPE: Mapping[str, object] = {"crop_fill": "zero"}
"""Settings by which networks were trained whose records are older than these settings."""


@dataclass(frozen=True)
class Progress:
    """The progress of a training.

    Attributes:
        epoch: Number of finished epochs.
        loss: Mean training loss of the last epoch, the auxiliary loss included.
        test_accuracies: Test accuracy after every finished epoch, percent, over all processes.
        seconds: Wall time of training and testing so far, over all processes.
    """

    epoch: int
    loss: float
    test_accuracies: tuple[float, ...]
    seconds: float

    @property
    def test_accuracy(self) -> float:
        """Test accuracy after the last epoch, percent; NaN before the first one is finished."""
        return self.test_accuracies[-1] if self.test_accuracies else math.nan

    @property
    def best_test_accuracy(self) -> float:
        """Largest test accuracy of all epochs so far, percent; what the papers report."""
        return max(self.test_accuracies, default=-math.inf)


def train_network(
    network: DARTSNetwork,
    data: ImageData,
    training: NetworkTraining,
    seed: int,
    checkpoint: Path,
    identity: Identity,
    after_epoch: Callable[[Progress], None] = lambda _: None,
    device: str = "cpu",
) -> Progress:
    """Train a network to the end, from its checkpoint where there is one.

    On the CPU, a training that was killed and continued gives the same numbers as one that was not. On a GPU the
    forward pass is in bfloat16 (autocast), and sums may be taken in another order.

    Args:
        network: Network at initialisation, with an auxiliary classifier if its loss has a weight; trained in place.
        data: Images; the network is trained on all training images, and tested on the test images after every epoch.
        training: Settings of the training.
        seed: Seed of batches and augmentation.
        checkpoint: File that is written after every epoch. Where it is damaged or of another training, the training
            starts again, with a warning.
        identity: The network: genotype, sizes, images.
        after_epoch: Called with the progress after every epoch.
        device: Device of the training.

    Returns:
        The progress after the last epoch.

    Raises:
        InvalidCheckpoint: The checkpoint was written with another version of torch or other code.
        NotWritten: The checkpoint cannot be written.
        TrainingFailed: The loss is no longer finite, or the memory does not hold a batch.
    """
    identity = _identity(identity, training, seed)
    network.to(device).to(memory_format=torch.channels_last)
    optimizer = SGD(
        network.parameters(), training.learning_rate, momentum=training.momentum, weight_decay=training.weight_decay
    )
    schedule = CosineAnnealingLR(optimizer, training.epochs)
    generator = torch_generator("network training", seed)
    train, test = data.train.to(device), data.test.to(device)
    padding = data.black if training.crop_fill == "black" else None
    progress = Progress(epoch=0, loss=math.nan, test_accuracies=(), seconds=0.0)
    if (saved := _read(checkpoint, identity)) is not None:
        try:
            network.load_state_dict(saved["network"])
            optimizer.load_state_dict(saved["optimizer"])
            schedule.load_state_dict(saved["schedule"])
            generator.set_state(saved["generator"])
            progress = _progress(saved["progress"])
        except Exception as error:  # a tensor may have any shape, a number any type
            raise _damaged(checkpoint) from error
    while progress.epoch < training.epochs:
        started = time.perf_counter()
        loss = _train_epoch(network, train, training, progress.epoch, optimizer, generator, device, padding)
        schedule.step()
        accuracy = accuracy_on(network, test)
        progress = Progress(
            epoch=progress.epoch + 1,
            loss=loss,
            test_accuracies=(*progress.test_accuracies, accuracy),
            seconds=progress.seconds + time.perf_counter() - started,
        )
        content = {
            "code": _code(),
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "generator": generator.get_state(),
            "progress": asdict(progress),
        }
        write_cached(checkpoint, identity, content)
        after_epoch(progress)
    return progress


@torch.no_grad()
def accuracy_on(network: nn.Module, images: LabelledImages) -> float:
    """Percent of correctly classified images, in evaluation mode.

    Args:
        network: From images `[batch, channels, height, width]` to logits `[batch, classes]`; its mode is restored.
        images: Images on the device of the network.

    Returns:
        Accuracy in percent.
    """
    correct = torch.zeros((), dtype=torch.int64, device=images.labels.device)
    with mode(network, training=False):
        for chosen in torch.split(torch.arange(len(images)), TEST_BATCH):
            batch = images[chosen]
            correct += (network(batch.images).argmax(1) == batch.labels).sum()
    return 100 * int(correct) / len(images)


def _train_epoch(
    network: DARTSNetwork,
    images: LabelledImages,
    training: NetworkTraining,
    epoch: int,
    optimizer: SGD,
    generator: torch.Generator,
    device: str,
    padding: tuple[float, ...] | None,
) -> float:
    network.train()
    probability = training.drop_path * epoch / training.epochs
    drop = DropPath(probability, generator) if probability else None
    losses = []
    for chosen in torch.split(torch.randperm(len(images), generator=generator), training.batch_size):
        # Batch normalization needs the statistics of more than one image.
        if len(chosen) == 1:
            continue
        batch = images[chosen]
        augmented = augment(batch.images, training.crop_padding, training.flip, generator, padding)
        augmented = cutout(augmented, training.cutout, generator)
        optimizer.zero_grad()
        try:
            with torch.autocast(device, torch.bfloat16) if device == "cuda" else nullcontext():
                loss = _loss(network, augmented, batch.labels, training, drop)
            loss.backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingFailed(
                f"epoch {epoch + 1}: a batch of {training.batch_size} images does not fit into the memory of {device}; "
                "take a smaller batch_size, fewer channels or fewer cells"
            ) from error
        nn.utils.clip_grad_norm_(network.parameters(), training.gradient_clip)
        optimizer.step()
        losses.append(loss.detach())
    mean = float(torch.stack(losses).mean())
    if not math.isfinite(mean):
        raise TrainingFailed(
            f"epoch {epoch + 1}: the training loss is {mean}; a smaller learning_rate than {training.learning_rate:g} "
            "may help"
        )
    return mean


def _loss(
    network: DARTSNetwork, images: Tensor, labels: Tensor, training: NetworkTraining, drop: DropPath | None
) -> Tensor:
    logits, auxiliary = network.with_auxiliary(images, drop)
    loss = functional.cross_entropy(logits, labels)
    if auxiliary is not None and training.auxiliary_weight:
        loss = loss + training.auxiliary_weight * functional.cross_entropy(auxiliary, labels)
    return loss


def _identity(network: Identity, training: NetworkTraining, seed: int) -> Identity:
    key = content_key([network.key, training.model_dump(mode="json"), seed])
    return Identity(key, f"the unfinished training of {network.words}, seed {seed}")


def _code() -> str:
    """Version of torch and digest of the code that determine the numbers of a training."""
    digest = code_digest("opselect.bench.evaluation.training", "opselect.bench.experiment.network_training")
    return f"torch {torch.__version__}, code {digest}"


def _read(path: Path, identity: Identity) -> dict[str, Any] | None:
    """The content of a checkpoint; None where there is none, and, with a warning, where the file is not believed."""
    names = {"code", "network", "optimizer", "schedule", "generator", "progress"}
    saved = read_cached(path, identity, names, "the training begins again")
    # It may hold weeks of work, so it is not thrown away because the code has changed.
    if saved is not None and saved["code"] != _code():
        raise InvalidCheckpoint(
            f"{path}: a checkpoint of {str(saved['code'])[:100]}, expected {_code()}; go on with what wrote it, choose "
            "another folder, or remove it to start again"
        )
    return saved


def _progress(saved: dict[str, Any]) -> Progress:
    """The progress in a checkpoint.

    Raises:
        ValueError: Its values are not what a training writes.
    """
    progress = Progress(**{**saved, "test_accuracies": tuple(saved["test_accuracies"])})
    numbers = (progress.loss, *progress.test_accuracies, progress.seconds)
    is_complete = type(progress.epoch) is int and progress.epoch == len(progress.test_accuracies)
    if not is_complete or not all(isinstance(n, float) for n in numbers):
        raise ValueError(f"progress {saved}")
    return progress


def _damaged(path: Path) -> InvalidCheckpoint:
    return InvalidCheckpoint(
        f"{path}: damaged or no checkpoint; expected a file written by 'opselect train', remove it to start anew"
    )
