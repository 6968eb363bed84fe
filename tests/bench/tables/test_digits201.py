"""Making a table: the fast cell against the plain one, trainings that repeat, builds that go on, what comes of it."""

import copy
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from opselect.bench.tables import digits201 as table_building
from opselect.bench.tables.digits201 import (
    ForeignCheckpoint,
    Outcome,
    SharedInputCell,
    TableData,
    TableRecipe,
    TrainingProtocol,
    assemble,
    build,
    read_checkpoint,
    share_inputs,
    train_cell,
    training_order,
)
from opselect.spaces import digits as digits_source
from opselect.spaces.digits import digits
from opselect.spaces.errors import UserError
from opselect.spaces.images import ImageData, LabelledImages
from opselect.spaces.inspection import multiply_adds, parameter_count
from opselect.spaces.nasbench201.network import CellNetwork
from opselect.spaces.nasbench201.space import SIZE, NASBench201Space, digits201
from opselect.spaces.seeds import seed_for, torch_generator
from opselect.spaces.space import Architecture
from opselect.spaces.table import Table

CLASSES = 10
PROTOCOL = TrainingProtocol(epochs=2, batch_size=32)
RECIPE = TableRecipe("digits201", "some hash", PROTOCOL, seeds=(0, 1, 2))
CHEAP = (0, 1, 3, 4, 16)
"""Canonical architectures by number."""


def tiny_digits() -> ImageData:
    data = digits()
    assert data.valid is not None
    return ImageData("tiny digits", CLASSES, data.train[:64], data.valid[:200], data.test[:200])


def tiny_training_images(epoch: int) -> LabelledImages:
    return digits_source.training_images(epoch)[:64]


DATA = TableData(tiny_digits, tiny_training_images)


def accuracies(outcomes: Sequence[Outcome]) -> list[tuple[int, float, float]]:
    return [(outcome.seed, outcome.valid_accuracy, outcome.test_accuracy) for outcome in outcomes]


def outputs_and_gradients(network: CellNetwork, images: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Logits, the gradient at the images, and those of the parameters in the network's order; zero where none is."""
    variable = images.clone().requires_grad_()
    logits = network(variable)
    found = torch.autograd.grad(
        (logits**2).sum(), [variable, *network.parameters()], allow_unused=True, materialize_grads=True
    )
    return logits.detach(), found[0], list(found[1:])


@settings(max_examples=40)
@given(st.integers(0, SIZE - 1), st.booleans())
def test_cells_that_share_inputs_compute_what_plain_cells_compute(number: int, training: bool) -> None:
    architecture = digits201.canonical(digits201.at(number))
    plain = digits201.network(architecture, 1, CLASSES, seed=3).double().train(training)
    fast = share_inputs(copy.deepcopy(plain))
    assert not any(type(block).__name__ == "Cell" for block in fast.body)
    images = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits, at_images, at_parameters = outputs_and_gradients(plain, images)
    fast_logits, fast_at_images, fast_at_parameters = outputs_and_gradients(fast, images)
    torch.testing.assert_close(fast_logits, logits)
    torch.testing.assert_close(fast_at_images, at_images)
    for found, expected in zip(fast_at_parameters, at_parameters, strict=True):
        torch.testing.assert_close(found, expected)
    for found, expected in zip(fast.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_shared_cell_does_not_change_its_input() -> None:
    # The input is skipped to every node, and the sums are made in place.
    operations = ("skip_connect", "skip_connect", "nor_conv_3x3", "skip_connect", "nor_conv_1x1", "skip_connect")
    network = digits201.network(Architecture(operations), 1, CLASSES, seed=0)
    cell = SharedInputCell(network.body[0])
    images = torch.randn(2, 8, 12, 12, generator=torch.Generator().manual_seed(0))
    kept = images.clone()
    cell(images, None, None)
    assert torch.equal(images, kept)


def test_the_protocol_is_the_one_of_digits201() -> None:
    # 10 epochs, batch 64, SGD with Nesterov momentum 0.9, learning rate 0.1 cosine to 0, decay 5e-4.
    assert dataclasses.asdict(TrainingProtocol()) == {
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
    }


def test_the_learning_rate_falls_along_half_a_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []
    settings_seen = []

    class Watched(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            (group,) = self.param_groups
            rates.append(group["lr"])
            settings_seen.append((group["momentum"], group["weight_decay"], group["nesterov"], group["dampening"]))
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "SGD", Watched)
    train_cell(digits201, digits201.at(1), DATA, PROTOCOL, seeds=(0,))
    # 2 epochs of 2 batches: 0.05 * (1 + cos(pi * t / 4)).
    root = math.sqrt(0.5)
    assert rates == pytest.approx([0.1, 0.05 * (1 + root), 0.05, 0.05 * (1 - root)])
    assert set(settings_seen) == {(0.9, 5e-4, True, 0)}


def trained_plainly(architecture: Architecture, seed: int) -> tuple[float, float]:
    """Validation and test accuracy after PROTOCOL, by an ordinary loop over an ordinary network."""
    text = digits201.format(architecture)
    network = digits201.network(architecture, 1, CLASSES, seed_for("cell", text, seed)).train()
    generator = torch_generator("batches", text, seed)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    for epoch in range(2):
        images = tiny_training_images(epoch)
        order = torch.randperm(64, generator=generator)
        for batch in (order[:32], order[32:]):
            optimizer.zero_grad()
            functional.cross_entropy(network(images.images[batch]), images.labels[batch]).backward()
            optimizer.step()
            schedule.step()
    network.eval()
    data = tiny_digits()
    assert data.valid is not None
    with torch.no_grad():
        valid, test = (
            float((network(part.images).argmax(1) == part.labels).float().mean()) * 100
            for part in (data.valid, data.test)
        )
    return valid, test


@pytest.mark.parametrize("text", ["000213", "412030", "331323"])
def test_a_training_is_that_of_an_ordinary_loop_and_of_its_seed_alone(text: str) -> None:
    architecture = digits201.canonical(digits201.at(int(text, base=5)))
    together = train_cell(digits201, architecture, DATA, PROTOCOL, seeds=(0, 1, 2))
    alone = train_cell(digits201, architecture, DATA, PROTOCOL, seeds=(1,))
    pair = train_cell(digits201, architecture, DATA, PROTOCOL, seeds=(2, 1))
    assert [outcome.seed for outcome in pair] == [2, 1]
    # Equal up to rounding, which moves at most a few of 200 images over a boundary.
    plain = pytest.approx(trained_plainly(architecture, 1), abs=1.5)
    for outcome in (together[1], alone[0], pair[1]):
        assert (outcome.valid_accuracy, outcome.test_accuracy) == plain
    assert len({accuracy for _, *pair_of in accuracies(together) for accuracy in pair_of}) > 1


def test_a_training_repeats_exactly_whatever_the_global_random_state_is() -> None:
    architecture = digits201.canonical(digits201.at(int("331323", base=5)))
    torch.manual_seed(1)
    first = train_cell(digits201, architecture, DATA, PROTOCOL, seeds=(0, 1))
    torch.manual_seed(2)
    second = train_cell(digits201, architecture, DATA, PROTOCOL, seeds=(0, 1))
    assert accuracies(first) == accuracies(second)
    assert all(outcome.seconds > 0 for outcome in first)


def test_every_epoch_trains_on_its_own_images() -> None:
    asked = []

    def images_of(epoch: int) -> LabelledImages:
        asked.append(epoch)
        return tiny_training_images(epoch)

    train_cell(digits201, digits201.at(1), TableData(tiny_digits, images_of), PROTOCOL, seeds=(0,))
    assert set(asked) == {0, 1}
    assert asked[-1] == 1


def test_data_without_validation_images_make_no_table() -> None:
    data = TableData(lambda: dataclasses.replace(tiny_digits(), valid=None), tiny_training_images)
    with pytest.raises(ValueError, match="tiny digits has no validation split"):
        train_cell(digits201, digits201.at(1), data, PROTOCOL, seeds=(0,))


# Building with an instant training: what was asked for, in which order, and what is kept.


def invented(index: int, seeds: Sequence[int]) -> list[Outcome]:
    """Outcomes that tell their architecture and seed."""
    return [Outcome(seed, index % 97 + seed / 8, index % 89 + seed / 8, 1.25) for seed in seeds]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace training by invention; the numbers of the architectures that were trained, in order."""
    asked: list[int] = []

    def train(
        space: NASBench201Space,
        architecture: Architecture,
        data: TableData,
        protocol: TrainingProtocol,
        seeds: Sequence[int],
    ) -> list[Outcome]:
        asked.append(space.index(architecture))
        return invented(asked[-1], seeds)

    monkeypatch.setattr(table_building, "train_cell", train)
    return asked


def built(checkpoint: Path, indices: Sequence[int] = CHEAP, recipe: TableRecipe = RECIPE) -> list[int]:
    """Build, and return the counts that are reported."""
    counts: list[int] = []
    build(digits201, DATA, recipe, checkpoint, indices, workers=1, progress=counts.append)
    return counts


def test_a_build_counts_trains_and_keeps(tmp_path: Path, trainings: list[int]) -> None:
    checkpoint = tmp_path / "new folder" / "cells.jsonl"
    assert built(checkpoint) == [0, 1, 2, 3, 4, 5]
    assert trainings == list(CHEAP)
    assert read_checkpoint(checkpoint, RECIPE) == {index: invented(index, (0, 1, 2)) for index in CHEAP}


def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path: Path, trainings: list[int]) -> None:
    checkpoint = tmp_path / "cells.jsonl"
    counts: list[int] = []

    def interrupt(count: int) -> None:
        counts.append(count)
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(digits201, DATA, RECIPE, checkpoint, CHEAP, workers=1, progress=interrupt)
    assert counts == [0, 1, 2]
    kept = list(read_checkpoint(checkpoint, RECIPE))
    assert kept == list(CHEAP[:2])
    trainings.clear()
    assert built(checkpoint) == [2, 3, 4, 5]
    assert trainings == list(CHEAP[2:])
    trainings.clear()
    assert built(checkpoint) == [5]
    assert trainings == []
    assert read_checkpoint(checkpoint, RECIPE) == {index: invented(index, (0, 1, 2)) for index in CHEAP}


def test_a_longer_build_adds_to_a_shorter_one(tmp_path: Path, trainings: list[int]) -> None:
    checkpoint = tmp_path / "cells.jsonl"
    assert built(checkpoint, CHEAP[:2]) == [0, 1, 2]
    assert built(checkpoint, CHEAP[1:]) == [2, 3, 4, 5]
    assert trainings == list(CHEAP)


def test_a_line_that_a_kill_cut_off_is_trained_again(tmp_path: Path, trainings: list[int]) -> None:
    checkpoint = tmp_path / "cells.jsonl"
    built(checkpoint)
    whole = checkpoint.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for kept in (1, len(last) // 2, len(last) - 2):
        checkpoint.write_bytes(whole[: len(whole) - len(last) + kept])
        assert list(read_checkpoint(checkpoint, RECIPE)) == list(CHEAP[:-1])
        trainings.clear()
        assert built(checkpoint) == [4, 5]
        assert trainings == [CHEAP[-1]]
        assert read_checkpoint(checkpoint, RECIPE) == {index: invented(index, (0, 1, 2)) for index in CHEAP}


def test_a_last_line_without_its_newline_counts_and_is_not_run_into(tmp_path: Path, trainings: list[int]) -> None:
    checkpoint = tmp_path / "cells.jsonl"
    built(checkpoint, CHEAP[:2])
    checkpoint.write_bytes(checkpoint.read_bytes().rstrip(b"\n"))
    assert built(checkpoint) == [2, 3, 4, 5]
    assert trainings == list(CHEAP)
    assert list(read_checkpoint(checkpoint, RECIPE)) == list(CHEAP)


def test_an_empty_checkpoint_is_a_new_one(tmp_path: Path, trainings: list[int]) -> None:
    checkpoint = tmp_path / "cells.jsonl"
    checkpoint.write_text("\n")
    assert built(checkpoint, CHEAP[:1]) == [0, 1]
    assert list(read_checkpoint(checkpoint, RECIPE)) == [CHEAP[0]]


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(RECIPE, data_hash="another hash"),
        dataclasses.replace(RECIPE, space="nasbench201"),
        dataclasses.replace(RECIPE, seeds=(0, 1)),
        dataclasses.replace(RECIPE, protocol=dataclasses.replace(PROTOCOL, learning_rate=0.05)),
    ],
    ids=["images", "space", "seeds", "protocol"],
)
def test_a_checkpoint_of_another_recipe_is_left_alone(tmp_path: Path, trainings: list[int], other: TableRecipe) -> None:
    checkpoint = tmp_path / "cells.jsonl"
    built(checkpoint, CHEAP[:1], other)
    before = checkpoint.read_bytes()
    trainings.clear()
    with pytest.raises(ForeignCheckpoint) as caught:
        built(checkpoint)
    message = str(caught.value)
    assert message.startswith(f"{checkpoint}: made by another recipe than ")
    assert "\n" not in message
    assert isinstance(caught.value, UserError)
    assert checkpoint.read_bytes() == before
    assert trainings == []


BEGINNING_OF_OURS = b'{"format": "opselect trained cells"'
"""A file of which a kill has left no more than this is begun anew."""


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(min_size=1),
        st.text(min_size=1).map(str.encode),
        st.recursive(
            st.none() | st.integers() | st.text(), lambda some: st.lists(some) | st.dictionaries(st.text(), some)
        )
        .map(json.dumps)
        .map(str.encode),
    ).filter(lambda content: content.strip() and not content.startswith(BEGINNING_OF_OURS))
)
def test_a_file_that_is_no_checkpoint_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ForeignCheckpoint):
        built(path)
    assert path.read_bytes() == content


def test_a_build_that_dies_anywhere_goes_on_and_keeps_every_line_that_was_whole(
    tmp_path: Path, trainings: list[int], crashes: Callable[[Callable[[], object]], Iterator[int]]
) -> None:
    checkpoint = tmp_path / "cells.jsonl"
    kept = []
    for _ in crashes(lambda: built(checkpoint, CHEAP[:2])):
        trainings.clear()
        *_, count = built(checkpoint, CHEAP[:2])
        assert count == 2
        kept.append(2 - len(trainings))
        assert read_checkpoint(checkpoint, RECIPE) == {index: invented(index, (0, 1, 2)) for index in CHEAP[:2]}
        checkpoint.unlink()
    assert kept == sorted(kept)
    assert set(kept) == {0, 1, 2}


def test_a_damaged_line_is_trained_again_and_a_damaged_head_is_refused(tmp_path: Path, trainings: list[int]) -> None:
    checkpoint = tmp_path / "cells.jsonl"
    built(checkpoint)
    head, first, *others = checkpoint.read_bytes().splitlines(keepends=True)
    # Another accuracy, as a flipped bit makes it.
    damaged = first.replace(b'"valid_accuracy": 0.125', b'"valid_accuracy": 0.925')
    assert damaged != first
    checkpoint.write_bytes(head + damaged + b"".join(others))
    trainings.clear()
    assert built(checkpoint) == [4, 5]
    assert trainings == [CHEAP[0]]
    assert read_checkpoint(checkpoint, RECIPE) == {index: invented(index, (0, 1, 2)) for index in CHEAP}
    checkpoint.write_bytes(head.replace(b"some hash", b"sume hash") + first)
    with pytest.raises(ForeignCheckpoint, match="made by another recipe than"):
        built(checkpoint)


def test_a_checkpoint_of_other_code_is_refused_and_one_that_does_not_say_is_not(
    tmp_path: Path, trainings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "cells.jsonl"
    built(checkpoint, CHEAP[:2])
    _, *lines = checkpoint.read_bytes().splitlines(keepends=True)
    monkeypatch.setattr(table_building, "code_digest", lambda *_: "other code")
    with pytest.raises(ForeignCheckpoint, match=r"made with other versions or code .* than are here .*'other code'"):
        built(checkpoint, CHEAP[:2])
    old_head = {"format": "opselect trained cells", "version": 1, "recipe": dataclasses.asdict(RECIPE)}
    checkpoint.write_bytes(json.dumps(old_head).encode() + b"\n" + b"".join(lines))
    assert built(checkpoint, CHEAP[:3]) == [2, 3]


def test_a_real_training_goes_through_a_checkpoint_unchanged(tmp_path: Path) -> None:
    checkpoint = tmp_path / "cells.jsonl"
    recipe = dataclasses.replace(RECIPE, seeds=(0, 1))
    assert built(checkpoint, (1,), recipe) == [0, 1]
    (found,) = read_checkpoint(checkpoint, recipe).values()
    assert accuracies(found) == accuracies(train_cell(digits201, digits201.at(1), DATA, PROTOCOL, (0, 1)))


def test_the_training_order_is_every_distinct_cell_once() -> None:
    order = training_order(digits201)
    assert len(order) == 5260
    assert set(order) == set(digits201.representatives.tolist())
    assert order == training_order(digits201)
    assert order != sorted(order)


def test_large_classes_come_early_in_the_training_order() -> None:
    # The order of first need by random cells: a class that many cells share is needed early.
    numbers, sizes = np.unique(digits201.representatives, return_counts=True)
    size_of = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
    order = training_order(digits201)
    assert np.mean([size_of[index] for index in order[:500]]) > 2 * np.mean([size_of[index] for index in order[-500:]])


@pytest.fixture(scope="module")
def assembled() -> Table:
    trained = {int(index): invented(int(index), RECIPE.seeds) for index in np.unique(digits201.representatives)}
    return assemble(digits201, tiny_digits(), RECIPE, trained)


def test_an_assembled_table_has_every_architecture_and_the_accuracies_of_its_class(assembled: Table) -> None:
    assert assembled.rows.num_rows == SIZE * 3 * 2
    for split, modulus in (("valid", 97), ("test", 89)):
        found = assembled.accuracies("tiny digits", split, PROTOCOL.epochs, "each")
        expected = (digits201.representatives % modulus)[:, None] + np.arange(3) / 8
        np.testing.assert_array_equal(found, expected)
    assert set(assembled.rows["training_seconds"].to_pylist()) == {1.25}


def test_an_assembled_table_has_the_sizes_of_the_architectures_themselves(assembled: Table) -> None:
    frame = assembled.rows.select(["architecture", "parameters", "multiply_adds"]).to_pandas().drop_duplicates()
    assert len(frame) == SIZE
    sizes = frame.set_index("architecture")
    image = torch.zeros(1, 1, 12, 12)
    generator = np.random.default_rng(0)
    for architecture in [digits201.sample(generator) for _ in range(30)]:
        network = digits201.network(architecture, 1, CLASSES, seed=0)
        found = sizes.loc[digits201.format(architecture)]
        assert found["parameters"] == sum(parameter.numel() for parameter in network.parameters())
        assert found["parameters"] == parameter_count(network, image)
        assert found["multiply_adds"] == multiply_adds(network, image)


def test_an_assembled_table_says_how_it_was_made(assembled: Table) -> None:
    provenance = assembled.provenance
    assert provenance["space"] == "digits201"
    assert provenance["data_hash"] == "some hash"
    assert provenance["protocol"] == dataclasses.asdict(PROTOCOL)
    assert list(provenance["seeds"]) == [0, 1, 2]
    assert provenance["images"] == "train 64, valid 200, test 200"
    assert provenance["trained"].startswith("5260 distinct cells of 15625")
    assert provenance["software"]["torch"] == torch.__version__.partition("+")[0]
    json.dumps(provenance)


def test_a_cell_that_was_not_trained_makes_no_table() -> None:
    with pytest.raises(KeyError):
        assemble(digits201, tiny_digits(), RECIPE, {0: invented(0, RECIPE.seeds)})
