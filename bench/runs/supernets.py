"""Trained supernets of an experiment: each is trained once, checkpointed after every epoch, and cached in a file."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from opselect.bench.experiment.file import Experiment, SupernetEntry
from opselect.bench.experiment.ingredients import images_hash, load_ingredients
from opselect.bench.runtime.forecast import epochs_file, write_epochs
from opselect.bench.storage.code_digest import code_digest
from opselect.bench.storage.provenance import reason_of, software
from opselect.bench.storage.torch_files import Identity, read_cached, write_cached
from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.training import LearntAlpha, train_supernet
from opselect.selectors.task import SearchImages
from opselect.spaces.files import NotWritten
from opselect.spaces.seeds import seed_for, torch_generator
from opselect.spaces.space import HasReferenceSupernet, SearchSpace

_TRAINING = tuple(f"opselect.bench.runs.supernets:{name}" for name in ("_train_from", "initial_supernet"))
"""The functions of this module that determine a trained supernet."""


@dataclass(frozen=True)
class SupernetJob:
    """The training of one supernet, shared by all trials of a seed that need it.

    Attributes:
        experiment: Experiment that names the space and the images.
        supernet: The training, with its settings.
        seed: Seed of initial parameters, batches and initial alpha.
        folder: Folder of trained supernets.
    """

    experiment: Experiment
    supernet: SupernetEntry
    seed: int
    folder: Path

    @property
    def path(self) -> Path:
        """Path of the trained supernet, named by a hash of everything that determines it, the code included."""
        space, data, _ = load_ingredients(self.experiment)
        determinants = (
            self.experiment.space,
            images_hash(self.experiment),
            self.supernet.training.model_dump_json(),
            self.seed,
            self.supernet.name,
            self.experiment.device,
            data.augmentation,
            self.experiment.initialization,
            *software().items(),
            code_digest(
                "opselect.selectors.supernets.training",
                type(self.supernet.training).__module__,
                type(space).__module__,
                *_TRAINING,
            ),
        )
        return self.folder / f"{seed_for(*determinants):016x}.pt"

    @property
    def identity(self) -> Identity:
        """What the trained supernet is of."""
        return self._identity(self.path, "trained supernet")

    @property
    def checkpoint(self) -> "CheckpointFile":
        """The file with the state of an unfinished training."""
        path = self.path.with_suffix(".checkpoint")
        return CheckpointFile(path, self._identity(path, "unfinished training"))

    def _identity(self, path: Path, kind: str) -> Identity:
        experiment = self.experiment
        words = f"the {kind} {self.supernet.name!r}, seed {self.seed}, of {experiment.space} on {experiment.images}"
        return Identity(path.name, words)

    def initial_supernet(self) -> tuple[nn.Module, torch.Tensor | None]:
        """The supernet before training, with the size and the changes that the training defines, and its initial alpha.

        Returns:
            The supernet, and the initial alpha `[edges, operations]` where the published code draws it with the
            supernet; else None, and the training draws its own.
        """
        training, space = self.supernet.training, load_ingredients(self.experiment).space
        if (training.channels, training.cells) != (None, None):
            space = space.resized(training.channels, training.cells)
        supernet, alpha = initial_supernet(self.experiment, space, self.seed)
        return training.prepare(supernet), alpha


@dataclass
class CheckpointFile:
    """The state of an unfinished training, in a file with a checksum.

    Attributes:
        path: Path of the file.
        identity: What it is of.
        seconds: Wall time of the training so far, over all its processes.
    """

    path: Path
    identity: Identity
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._last = time.perf_counter()

    def load(self) -> dict[str, Any] | None:
        """The last saved state; None where there is none, and, with a warning, where the file is not believed."""
        saved = read_cached(self.path, self.identity, {"training", "seconds"}, "this training begins again")
        if saved is None:
            return None
        self.seconds = saved["seconds"]
        training: dict[str, Any] = saved["training"]
        return training

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state."""
        self.measure()
        write_cached(self.path, self.identity, {"training": state, "seconds": self.seconds})

    def measure(self) -> float:
        """Add the time since the last call to the seconds, and return them."""
        now = time.perf_counter()
        self.seconds, self._last = self.seconds + now - self._last, now
        return self.seconds


class _CountedCheckpoints(CheckpointFile):
    """A checkpoint after which the number of finished epochs is written, for the display of progress."""

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state, then the number."""
        super().save(state)
        write_epochs(epochs_file(self.path), state["epochs"], self.seconds)


def train(job: SupernetJob) -> str | None:
    """Train a supernet and cache it; a killed training continues from its checkpoint.

    The number of finished epochs is in a file while it is trained, `epochs_file`.

    Args:
        job: The training.

    Returns:
        None, or the reason of the failure.

    Raises:
        NotWritten: It cannot be cached, because the disk is full for example.
    """
    try:
        checkpoint = _CountedCheckpoints(job.checkpoint.path, job.checkpoint.identity)
        supernet, learnt = _train_from(job, checkpoint)
        state = supernet.cpu().state_dict()  # waits for the device, so that the time is the whole time
        content = {"supernet": state, **learnt._asdict(), "seconds": checkpoint.measure()}
        write_cached(job.path, job.identity, content)
        checkpoint.path.unlink(missing_ok=True)
        epochs_file(checkpoint.path).unlink(missing_ok=True)
    except NotWritten:
        raise  # no trial could be recorded either
    except Exception as error:
        return f"supernet training failed: {reason_of(error)}"
    return None


def _train_from(job: SupernetJob, checkpoint: CheckpointFile) -> tuple[nn.Module, LearntAlpha]:
    space, data, _ = load_ingredients(job.experiment)
    supernet, alpha = job.initial_supernet()
    learnt = train_supernet(
        supernet,
        Decisions.none_yet(space.edges),
        SearchImages.halves(data, job.experiment.device),
        job.supernet.training,
        torch_generator(space.name, job.seed, "supernet alpha"),
        torch_generator(space.name, job.seed, "supernet batches"),
        checkpoint,
        alpha,
    )
    return supernet, learnt


def cached_supernet(job: SupernetJob) -> dict[str, Any] | None:
    """The cached supernet of a job; None where there is none, and, with a warning, where the file is not believed.

    Returns:
        State of the network under `supernet`, `alpha` `[edges, operations]`, the state of its optimizer under
        `optimizer`, and the wall time under `seconds`.
    """
    names = {"supernet", "alpha", "optimizer", "seconds"}
    return read_cached(job.path, job.identity, names, "this supernet is trained again")


def initial_supernet(experiment: Experiment, space: SearchSpace, seed: int) -> tuple[nn.Module, torch.Tensor | None]:
    """The supernet at initialisation, on the experiment's device, and the alpha that belongs to its initial weights.

    Args:
        experiment: Experiment that names the images, the device and whose initial weights are used.
        space: Search space, which may have another size than the experiment's.
        seed: Seed of the trial, which determines the initial parameters.

    Returns:
        The supernet, and the initial alpha of the published code where its weights are used, else None.
    """
    data, alpha = load_ingredients(experiment).images, None
    if experiment.initialization == "reference":
        assert isinstance(space, HasReferenceSupernet)
        supernet, alpha = space.reference_supernet(data.channels, data.classes, seed)
    else:
        supernet = space.supernet(data.channels, data.classes, seed_for(space.name, seed, "supernet parameters"))
    # All layers keep this memory layout; on the CPU that makes training a third faster.
    return supernet.to(experiment.device).to(memory_format=torch.channels_last), alpha
