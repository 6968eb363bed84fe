"""Training of selected networks: it learns, it resumes bit for bit, and it says what is wrong."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch

from opselect.bench.evaluation import training
from opselect.bench.evaluation.training import (
    InvalidCheckpoint,
    Progress,
    TrainingFailed,
    accuracy_on,
    train_network,
)
from opselect.bench.experiment.network_training import NetworkTraining
from opselect.bench.storage.code_digest import code_digest
from opselect.bench.storage.torch_files import Identity
from opselect.spaces.darts.genotypes import library
from opselect.spaces.darts.network import DARTSNetwork
from opselect.spaces.darts.space import darts, darts_s2
from opselect.spaces.images import ImageData, LabelledImages
from opselect.spaces.space import Architecture

SKIPS_AND_CONVOLUTIONS = Architecture(
    tuple(edge.operations[edge.source % 2] if edge.source < 2 else "none" for edge in darts_s2.edges)
)


def images(count: int, size: int = 8) -> LabelledImages:
    """Images whose class is the brightest channel."""
    generator = torch.Generator().manual_seed(count)
    labels = torch.arange(count) % 3
    found = torch.randn(count, 3, size, size, generator=generator)
    found[torch.arange(count), labels] += 2
    return LabelledImages(found, labels)


DATA = ImageData("bright", 3, images(48), None, images(30))
BRIGHT = Identity("b", "a network on bright images")
SHORT = NetworkTraining(epochs=4, batch_size=16, learning_rate=0.1, cutout=2, crop_padding=1, auxiliary_weight=0)


def network(seed: int = 0) -> DARTSNetwork:
    return darts_s2.resized(channels=4, cells=3).network(SKIPS_AND_CONVOLUTIONS, 3, 3, seed)


class Killed(Exception):
    pass


def test_training_learns(tmp_path: Path) -> None:
    subject, heard = network(), list[Progress]()
    before = accuracy_on(subject, DATA.test)
    longer = SHORT.model_copy(update={"epochs": 10})
    last = train_network(subject, DATA, longer, 0, tmp_path / "checkpoint.pt", BRIGHT, heard.append)
    assert [each.epoch for each in heard] == list(range(1, 11))
    assert last == heard[-1]
    assert last.test_accuracy > max(before, 80)
    assert last.loss < heard[0].loss
    assert last.best_test_accuracy == max(each.test_accuracy for each in heard)
    assert accuracy_on(subject, DATA.test) == last.test_accuracy


@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_training_continues_bit_for_bit(tmp_path: Path, after: int) -> None:
    whole, killed = network(), network()
    expected = train_network(whole, DATA, SHORT, 0, tmp_path / "whole.pt", BRIGHT)

    def kill(progress: Progress) -> None:
        if progress.epoch == after:
            raise Killed

    with pytest.raises(Killed):
        train_network(killed, DATA, SHORT, 0, tmp_path / "killed.pt", BRIGHT, kill)
    resumed, epochs = network(seed=5), list[int]()
    got = train_network(
        resumed, DATA, SHORT, 0, tmp_path / "killed.pt", BRIGHT, lambda progress: epochs.append(progress.epoch)
    )
    assert epochs == list(range(after + 1, 5))
    # The whole curve, also the epochs before the kill.
    assert (got.loss, got.test_accuracies) == (expected.loss, expected.test_accuracies)
    assert len(got.test_accuracies) == 4
    state = resumed.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.state_dict().items())


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first = train_network(network(), DATA, SHORT, 0, tmp_path / "c.pt", BRIGHT)
    again = train_network(network(), DATA, SHORT, 0, tmp_path / "c.pt", BRIGHT, lambda _: pytest.fail("trained"))
    assert again == first


@pytest.mark.parametrize("module", [training.__name__, NetworkTraining.__module__])
def test_a_checkpoint_of_other_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    train_network(network(), DATA, SHORT, 0, tmp_path / "c.pt", BRIGHT)
    monkeypatch.setattr(training, "code_digest", lambda *names: code_digest(*names) + "other" * (module in names))
    with pytest.raises(InvalidCheckpoint, match=r"c\.pt: a checkpoint of torch \S+, code \w+, expected torch"):
        train_network(network(), DATA, SHORT, 0, tmp_path / "c.pt", BRIGHT)


def test_seeds_and_settings_lead_to_different_trainings(tmp_path: Path) -> None:
    changes = [{}, {"drop_path": 0.0}, {"cutout": 0}, {"flip": False}, {"crop_padding": 0}, {"weight_decay": 0.1}]
    losses = {
        train_network(network(), DATA, SHORT.model_copy(update=change), 0, tmp_path / f"{number}.pt", BRIGHT).loss
        for number, change in enumerate(changes)
    }
    losses.add(train_network(network(), DATA, SHORT, 1, tmp_path / "seed.pt", BRIGHT).loss)
    assert len(losses) == len(changes) + 1


def test_crops_are_padded_with_black_unless_the_recipe_says_zero(tmp_path: Path) -> None:
    def loss(data: ImageData, fill: Literal["black", "zero"]) -> float:
        training = SHORT.model_copy(update={"epochs": 1, "cutout": 0, "crop_fill": fill})
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            return train_network(network(), data, training, 0, Path(folder, "c.pt"), BRIGHT).loss

    dark = replace(DATA, black=(-9.0,) * DATA.channels)
    assert loss(dark, "black") != loss(dark, "zero") == loss(DATA, "black")


def test_the_auxiliary_classifier_takes_part_in_the_loss(tmp_path: Path) -> None:
    space = darts.resized(channels=4, cells=3)
    architecture = darts.architecture(library()["DARTS_V2"].genotype)
    data = ImageData("bright", 3, images(8, size=32), None, images(6, size=32))
    losses = []
    for weight in (0.0, 1.0):
        training = NetworkTraining(epochs=1, batch_size=8, auxiliary_weight=weight)
        subject = space.evaluation_network(architecture, 3, 3, 0, "cifar", auxiliary=True)
        assert subject.auxiliary is not None
        before = [value.clone() for value in subject.auxiliary.parameters()]
        losses.append(train_network(subject, data, training, 0, tmp_path / f"{weight}.pt", BRIGHT).loss)
        changed = any(
            not torch.equal(old, new) for old, new in zip(before, subject.auxiliary.parameters(), strict=True)
        )
        assert changed == (weight > 0)
    assert losses[1] > losses[0]


@pytest.mark.parametrize(
    ("identity", "change", "seed"),
    [(Identity("d", "a network on dark images"), {}, 0), (BRIGHT, {"momentum": 0.8}, 0), (BRIGHT, {}, 1)],
)
def test_a_checkpoint_of_something_else_is_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, identity: Identity, change: dict[str, float], seed: int
) -> None:
    settings = SHORT.model_copy(update=change)
    expected = train_network(network(), DATA, settings, seed, tmp_path / "own.pt", identity)
    path = tmp_path / "checkpoint.pt"
    train_network(network(), DATA, SHORT, 0, path, BRIGHT)
    got = train_network(network(), DATA, settings, seed, path, identity)
    assert (got.loss, got.test_accuracies) == (expected.loss, expected.test_accuracies)
    (message,) = caplog.messages
    assert message.startswith(f"{path}: it is of the unfinished training of a network on bright images, seed 0 (")
    assert f", expected the unfinished training of {identity.words}, seed {seed} (" in message
    assert message.endswith("); the training begins again")


def test_a_checkpoint_is_a_file_that_torch_reads(tmp_path: Path) -> None:
    last = train_network(network(), DATA, SHORT, 0, tmp_path / "checkpoint.pt", BRIGHT)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["epoch"] == last.epoch


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingFailed, match=r"epoch \d: the training loss is nan; a smaller learning_rate than 1e\+30"
    ):
        train_network(network(), DATA, SHORT.model_copy(update={"learning_rate": 1e30}), 0, tmp_path / "c.pt", BRIGHT)


def test_too_large_a_batch_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    subject = network()
    monkeypatch.setattr(subject, "with_auxiliary", full)
    with pytest.raises(
        TrainingFailed, match="a batch of 16 images does not fit into the memory of cpu; take a smaller"
    ):
        train_network(subject, DATA, SHORT, 0, tmp_path / "c.pt", BRIGHT)
