"""Building a complete tabular benchmark: every distinct cell of digits201, trained with every seed.

The three trainings of a cell run side by side, as the groups of one network's convolutions: the arithmetic of each is
its own (`stack_networks`), but the kernels are launched once. That is what makes the table affordable on a laptop.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import BaseModel, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional

from opselect.bench.runtime.parallel import in_parallel
from opselect.bench.storage.checksums import verified_line
from opselect.bench.storage.code_digest import code_digest
from opselect.bench.storage.store import open_store
from opselect.spaces.cell_graph import EdgeOperations, walk
from opselect.spaces.digits import HASH, digits, training_images
from opselect.spaces.errors import UserError, in_one_line
from opselect.spaces.images import ImageData, LabelledImages
from opselect.spaces.inspection import multiply_adds, parameter_count
from opselect.spaces.nasbench201.network import Cell, CellNetwork, stack_networks
from opselect.spaces.nasbench201.operations import AveragePooling, ReLUConvBN
from opselect.spaces.nasbench201.space import SIZE, NASBench201Space, digits201
from opselect.spaces.seeds import seed_for, torch_generator
from opselect.spaces.space import Architecture
from opselect.spaces.table import COLUMNS, Table


@dataclass(frozen=True)
class TrainingProtocol:
    """How one stand-alone network is trained. The defaults are digits201's.

    Attributes:
        epochs: Number of passes over the training images.
        batch_size: Number of images per step; the last batch of an epoch may be smaller.
        learning_rate: Learning rate of the first step; it falls to 0 along a half cosine, step by step.
        momentum: Momentum of SGD in Nesterov's form.
        weight_decay: Weight decay of every parameter.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4


@dataclass(frozen=True)
class Outcome:
    """The outcome of one training.

    Attributes:
        seed: Seed of initial parameters and batch order.
        valid_accuracy: Validation accuracy after the last epoch, percent.
        test_accuracy: Test accuracy after the last epoch, percent.
        seconds: Wall time of the joint training divided by the number of stacked models.
    """

    seed: int
    valid_accuracy: float
    test_accuracy: float
    seconds: float


@dataclass(frozen=True)
class TableData:
    """The images of a table. The functions are importable by name, so that every worker process makes its own.

    Attributes:
        images: The dataset, whose validation and test images the accuracies are measured on.
        training_images: Training images of an epoch; those of epoch 0 are the dataset's own.
    """

    images: Callable[[], ImageData]
    training_images: Callable[[int], LabelledImages]


def train_cell(
    space: NASBench201Space,
    architecture: Architecture,
    data: TableData,
    protocol: TrainingProtocol,
    seeds: Sequence[int],
) -> list[Outcome]:
    """Train one architecture with several seeds side by side; on paper, a seed's outcome depends on that seed alone.

    In floating point its neighbours change the order of sums, and ten epochs amplify that to a few tenths of a percent.
    So an outcome is determined by architecture, protocol and the tuple of seeds, in a process with one thread.

    Returns:
        One outcome per seed, in the given order.

    Raises:
        ValueError: The data have no validation split.
    """
    images, classes = data.images(), data.images().classes
    if images.valid is None:
        raise ValueError(f"{images.name} has no validation split, which a table needs")
    started = time.perf_counter()
    text = space.format(architecture)
    networks = [space.network(architecture, images.channels, classes, seed_for("cell", text, seed)) for seed in seeds]
    network = share_inputs(stack_networks(networks)).to(memory_format=torch.channels_last)
    generators = [torch_generator("batches", text, seed) for seed in seeds]
    _train(network, data.training_images, classes, protocol, generators)
    network.eval()
    valid = _accuracies(network, images.valid, classes)
    test = _accuracies(network, images.test, classes)
    seconds = (time.perf_counter() - started) / len(seeds)
    return [Outcome(seed, v, t, seconds) for seed, v, t in zip(seeds, valid, test, strict=True)]


class SharedInputCell(nn.Module):
    """The function of a canonical `Cell` with one operation per edge, in fewer kernels for training.

    The plain cell rectifies a node once for every convolution that leaves it, because the proxies count those ReLUs;
    here every node is rectified and pooled once. Sums are made in place where no other value refers to their tensor.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.routes = cell.routes
        self.operations = nn.ModuleList(
            next(iter(edge.operations.values()), nn.Module()) for edge in cell.edges if isinstance(edge, EdgeOperations)
        )

    def forward(self, images: Tensor, weights: None, computed: object) -> Tensor:
        """Feature maps `[batch, channels, height, width]` in and out; the two other arguments are not used."""
        rectified: dict[int, Tensor] = {}
        pooled: dict[int, Tensor] = {}
        owned: set[int] = set()  # nodes whose tensor nothing but the node itself refers to

        def add_edge(number: int, value: Tensor, total: Tensor | None) -> Tensor | None:
            source, target = self.routes[number]
            match operation := self.operations[number]:
                case ReLUConvBN():
                    if source not in rectified:
                        rectified[source] = functional.relu(value)
                    term, is_fresh = operation.norm(operation.convolution(rectified[source])), True
                case AveragePooling():
                    if source not in pooled:
                        pooled[source] = operation(value)
                    term, is_fresh = pooled[source], False
                case nn.Identity():
                    term, is_fresh = value, False
                case _:
                    return total
            if total is None:
                if is_fresh:
                    owned.add(target)
                return term
            if target in owned:
                return total.add_(term)
            owned.add(target)
            return term.add_(total) if is_fresh else term + total

        return walk(self.routes, [images], images, add_edge)[-1]


def share_inputs(network: CellNetwork) -> CellNetwork:
    """Replace the cells of a network with one operation per edge by `SharedInputCell`s of the same parameters."""
    for position, block in enumerate(network.body):
        if isinstance(block, Cell):
            network.body[position] = SharedInputCell(block)
    return network


def _train(
    network: CellNetwork,
    training_images: Callable[[int], LabelledImages],
    classes: int,
    protocol: TrainingProtocol,
    generators: Sequence[torch.Generator],
) -> None:
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=protocol.learning_rate,
        momentum=protocol.momentum,
        weight_decay=protocol.weight_decay,
        nesterov=True,
        fused=True,
    )
    total_steps = protocol.epochs * math.ceil(len(training_images(0)) / protocol.batch_size)
    step = 0
    for epoch in range(protocol.epochs):
        images = training_images(epoch)
        orders = torch.stack([torch.randperm(len(images), generator=generator) for generator in generators])
        for chosen in torch.split(orders, protocol.batch_size, dim=1):
            for group in optimizer.param_groups:
                group["lr"] = protocol.learning_rate * 0.5 * (1 + math.cos(math.pi * step / total_steps))
            logits = network(_side_by_side(images.images, chosen)).unflatten(1, (len(generators), classes))
            # The sum over models of their mean losses: each model's gradient is that of its own loss alone.
            loss = (
                functional.cross_entropy(logits.flatten(0, 1), images.labels[chosen].T.flatten(), reduction="sum")
                / chosen.shape[1]
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1


def _side_by_side(images: Tensor, chosen: Tensor) -> Tensor:
    """The images `chosen[m]` of every model m, along the channels: `[batch, models * channels, height, width]`."""
    picked = images[chosen].transpose(0, 1).flatten(1, 2)
    return picked.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _accuracies(network: CellNetwork, images: LabelledImages, classes: int, batch_size: int = 256) -> list[float]:
    """Percent of correctly classified images, one number per model."""
    correct = torch.zeros(network.models)
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        batch = part.images.repeat(1, network.models, 1, 1).contiguous(memory_format=torch.channels_last)
        logits = network(batch).unflatten(1, (network.models, classes))
        correct += (logits.argmax(2) == part.labels[:, None]).sum(0)
    return [100 * float(number) / len(images) for number in correct]


class ForeignCheckpoint(UserError, ValueError):
    """A checkpoint of trained cells that was made by another protocol, space or set of seeds."""


@dataclass(frozen=True)
class TableRecipe:
    """Everything that determines a table: the same recipe gives the same accuracies on the same kind of machine.

    Attributes:
        space: Registered name of the space, whose canonical architectures are trained.
        data_hash: `content_hash` of the images of all epochs, validation and test.
        protocol: How each network is trained.
        seeds: Seeds of the trainings of each architecture.
    """

    space: str
    data_hash: str
    protocol: TrainingProtocol
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class CellTraining:
    """One unit of work, with everything that a worker process needs.

    Attributes:
        space: Space of the recipe.
        index: Number of the canonical architecture.
        data: The images.
        recipe: How it is trained.
    """

    space: NASBench201Space
    index: int
    data: TableData
    recipe: TableRecipe


def _train_cell(job: CellTraining) -> dict[str, Any]:
    """Train an architecture with every seed of its recipe; the fields of its line in the checkpoint."""
    recipe = job.recipe
    outcomes = train_cell(job.space, job.space.at(job.index), job.data, recipe.protocol, recipe.seeds)
    return {"index": job.index, "outcomes": [asdict(outcome) for outcome in outcomes]}


def training_order(space: NASBench201Space) -> list[int]:
    """Numbers of the canonical architectures, in the order in which random architectures first need them.

    So the beginning of a table is a fair sample of all architectures, large classes included.
    """
    drawn = space.representatives[np.random.default_rng(0).permutation(len(space.representatives))]
    return list(dict.fromkeys(drawn.tolist()))


def build(
    space: NASBench201Space,
    data: TableData,
    recipe: TableRecipe,
    checkpoint: Path,
    indices: Sequence[int],
    workers: int,
    progress: Callable[[int], None],
) -> None:
    """Train the given architectures, appending each finished one to the checkpoint; those already there are skipped.

    Args:
        space: Space of the recipe.
        data: The images.
        recipe: What the checkpoint must have been made with.
        checkpoint: A JSON-lines file, created with its folder where it does not exist.
        indices: Numbers of canonical architectures, in the order of training.
        workers: Number of worker processes.
        progress: Called with the number of architectures in the checkpoint, at once and after every further one.

    Raises:
        ForeignCheckpoint: The checkpoint belongs to another recipe, or to other versions or code.
        InUse: Another build is writing to it.
        NotWritten: It cannot be written.
    """
    with open_store(checkpoint) as store:
        content = store.content()
        if not content.strip() or _is_cut_off_header(content):
            store.truncate(0)
            store.append(_header(recipe) | {"made by": _made_by()})
        done = read_checkpoint(checkpoint, recipe)
        store.end_last_line()
        jobs = [CellTraining(space, index, data, recipe) for index in indices if index not in done]
        store.complete(in_parallel(_train_cell, jobs, workers), len(done), progress)


def _header(recipe: TableRecipe) -> dict[str, object]:
    return {"format": "opselect trained cells", "version": 1, "recipe": json.loads(json.dumps(asdict(recipe)))}


def _made_by() -> dict[str, str]:
    """Versions and code, which determine the accuracies together with the recipe."""
    return {
        "opselect": version("opselect"),
        "torch": torch.__version__,
        "code": code_digest("opselect.bench.tables.digits201"),
    }


def _is_cut_off_header(content: bytes) -> bool:
    """Whether a build was killed while it wrote its first line."""
    begins_like_one = content.startswith(b'{"format": "opselect trained cells"')
    return begins_like_one and b"\n" not in content and _parsed(content) is None


def read_checkpoint(checkpoint: Path, recipe: TableRecipe) -> dict[int, list[Outcome]]:
    """Read the trained architectures of a checkpoint; a line that is damaged or that a kill cut off is left out.

    Args:
        checkpoint: The file.
        recipe: What it must have been made with.

    Returns:
        Outcomes by number of the architecture, one per seed.

    Raises:
        ForeignCheckpoint: It belongs to another recipe, to other versions or code, or is no checkpoint at all.
    """
    header, *lines = map(_parsed, checkpoint.read_bytes().split(b"\n"))
    made_by = (header or {}).pop("made by", None)  # the oldest checkpoints do not say
    if header != _header(recipe):
        raise ForeignCheckpoint(
            f"{checkpoint}: made by another recipe than {_header(recipe)['recipe']}; "
            "move it away to start anew, or build with the recipe that it was made by"
        )
    if made_by not in (None, _made_by()):
        raise ForeignCheckpoint(
            f"{checkpoint}: made with other versions or code ({made_by}) than are here ({_made_by()}); "
            "move it away to start anew, or build with those"
        )
    done = {}
    for entry in lines:
        if entry is not None and entry.keys() == {"index", "outcomes"}:
            try:
                cell = _TrainedCell.model_validate(entry)
            except ValidationError as error:
                raise ForeignCheckpoint(
                    f"{checkpoint}: holds a line that is no trained cell ({in_one_line(error)}); move it away"
                ) from None
            done[cell.index] = [Outcome(**outcome.model_dump()) for outcome in cell.outcomes]
    return done


class _OutcomeLine(BaseModel, strict=True, extra="forbid", allow_inf_nan=False):
    """An `Outcome` in a line of a checkpoint."""

    seed: int
    valid_accuracy: float = Field(ge=0, le=100)
    test_accuracy: float = Field(ge=0, le=100)
    seconds: float = Field(ge=0)


class _TrainedCell(BaseModel, strict=True, extra="forbid"):
    """A line of a checkpoint."""

    index: int = Field(ge=0, lt=SIZE)
    outcomes: list[_OutcomeLine]


def _parsed(line: bytes) -> dict[str, Any] | None:
    text, intact = verified_line(line)
    if intact is False:
        return None
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def assemble(space: NASBench201Space, data: ImageData, recipe: TableRecipe, trained: dict[int, list[Outcome]]) -> Table:
    """Make the table of all architectures from the trainings of the canonical ones; a class shares its accuracies.

    Parameters and multiply-adds are those of the architecture itself, dead branches included, as in NAS-Bench-201.

    Args:
        space: Space of the recipe.
        data: The images that the accuracies are measured on.
        recipe: How the architectures were trained.
        trained: Outcomes by number of the canonical architecture, one per seed.

    Raises:
        KeyError: A canonical architecture was not trained.
    """
    sizes = _sizes(space, data)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS.names}
    for index, architecture in enumerate(space.enumerate()):
        text = space.format(architecture)
        parameters, products = (int(count) for count in sizes[index])
        for outcome in trained[int(space.representatives[index])]:
            for split, accuracy in (("valid", outcome.valid_accuracy), ("test", outcome.test_accuracy)):
                row = (text, data.name, split, recipe.protocol.epochs, outcome.seed, accuracy, outcome.seconds)
                for name, value in zip(COLUMNS.names, (*row, parameters, products), strict=True):
                    columns[name].append(value)
    arrays = [pa.array(columns[field.name], field.type) for field in COLUMNS]
    provenance = asdict(recipe) | {
        "images": f"train {len(data.train)}, valid {len(data.valid or ())}, test {len(data.test)}",
        "trained": f"{len(trained)} distinct cells of {len(space.representatives)}, the seeds of each side by side; "
        "equal cells share one training and its seconds",
        "software": {name: version(name) for name in ("opselect", "torch", "numpy", "scikit-learn")},
        "command": f"opselect table build {recipe.space}",
    }
    return Table(space, pa.Table.from_arrays(arrays, schema=COLUMNS), provenance)


def _sizes(space: NASBench201Space, data: ImageData) -> np.ndarray:
    """Parameters and multiply-adds of all architectures, `[architectures, 2]`.

    Both are sums over the edges, so the cells with one operation on one edge and none elsewhere determine them all.
    """
    image = data.train.images[:1]

    def count(architecture: Architecture) -> np.ndarray:
        network = space.network(architecture, data.channels, data.classes, seed=0)
        return np.array([parameter_count(network, image), multiply_adds(network, image)])

    empty = ("none",) * len(space.edges)
    base = count(Architecture(empty))
    added = [
        {name: count(Architecture((*empty[:number], name, *empty[number + 1 :]))) - base for name in edge.operations}
        for number, edge in enumerate(space.edges)
    ]
    return np.array(
        [
            base + sum(costs[name] for costs, name in zip(added, architecture.operations, strict=True))
            for architecture in space.enumerate()
        ]
    )


def build_digits201(checkpoint: Path, limit: int, workers: int, progress: Callable[[int, int], None]) -> Table | None:
    """Train the cells of digits201 that the checkpoint lacks, and make the table when all are trained.

    Args:
        checkpoint: File of finished trainings.
        limit: Largest number of cells to train in all.
        workers: Number of worker processes.
        progress: Called with the number of trained cells and the number of cells to train.

    Returns:
        The table, or None where the limit left cells untrained.

    Raises:
        ForeignCheckpoint: The checkpoint belongs to another recipe.
    """
    recipe = TableRecipe(digits201.name, HASH, TrainingProtocol(), seeds=(0, 1, 2))
    order = training_order(digits201)
    wanted = order[:limit]
    data = TableData(digits, training_images)
    build(digits201, data, recipe, checkpoint, wanted, workers, lambda done: progress(done, len(wanted)))
    trained = read_checkpoint(checkpoint, recipe)
    return assemble(digits201, digits(), recipe, trained) if len(trained) == len(order) else None
