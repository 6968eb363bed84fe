"""`opselect train`: records over seeds, resumed where they stopped, one sentence for what the user can mend."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import torch

from opselect.bench.evaluation import networks as network_training
from opselect.bench.evaluation.networks import NotTrainable, TrainingRecord, genotype_named
from opselect.bench.storage.checksums import read_checksummed, write_checksummed
from opselect.bench.storage.store import read_lines
from opselect.spaces.darts.genotypes import format_genotype, format_genotype_json, library
from opselect.spaces.darts.space import darts

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("in_tiny_world")

SMALL = ("--images", "tiny", "--channels", 4, "--cells", 3, "--set", "epochs=2", "--set", "auxiliary_weight=0")
DARTS_V2 = library()["DARTS_V2"].genotype


def records_of(folder: Path) -> list[TrainingRecord]:
    return read_lines(folder / network_training.FILE_NAME, TrainingRecord, network_training.COMMAND)


def test_every_seed_is_trained_once_and_recorded(opselect: CommandLine, tmp_path: Path) -> None:
    status, out, _ = opselect("train", "DARTS_V2", *SMALL, "--seed", 0, "--output", tmp_path)
    assert status == 0
    (first,) = records_of(tmp_path)
    status, out, _ = opselect("train", "DARTS_V2", *SMALL, "--seed", 0, "--seed", 1, "--output", tmp_path)
    assert status == 0
    again, second = records_of(tmp_path)
    assert again == first
    assert (first.network.seed, second.network.seed) == (0, 1)
    assert first.key == first.network.key
    assert first.network.genotype == darts.format(darts.architecture(DARTS_V2))
    one, two = first.result, second.result
    assert one is not None
    assert two is not None
    assert one.best == max(value for value in one.test_accuracies if value is not None)
    assert one.last == one.test_accuracies[-1]
    small = darts.resized(4, 3).network(darts.architecture(DARTS_V2), 1, 10, 0)
    assert one.parameters == sum(parameter.numel() for parameter in small.parameters())
    assert f"{one.parameters:,} parameters" in out
    assert f"seed 1: test accuracy {two.last:.2f} %, best of all epochs {two.best:.2f} %" in out
    assert f"last: {(one.last + two.last) / 2:.2f} ±" in out


def test_json_holds_the_records(opselect: CommandLine, tmp_path: Path) -> None:
    status, out, _ = opselect("train", "DARTS_V2", *SMALL, "--output", tmp_path, "--json")
    assert status == 0
    assert [TrainingRecord.model_validate(each) for each in json.loads(out)] == records_of(tmp_path)


def test_a_genotype_is_named_written_or_in_a_file(tmp_path: Path) -> None:
    text = format_genotype(DARTS_V2)
    path = tmp_path / "genotype.txt"
    path.write_text(text)
    for given in ("DARTS_V2", text, format_genotype_json(DARTS_V2), str(path)):
        assert genotype_named(given) == DARTS_V2
    with pytest.raises(NotTrainable, match=r"nothing\.txt: cannot be read"):
        genotype_named(str(tmp_path / "nothing.txt"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("DARTS_V3",), "no genotype named 'DARTS_V3'; did you mean 'DARTS_V1'?"),
        (("DARTS_V2", "--space", "digits201"), "the space 'digits201' has no genotypes, expected one of darts, darts-"),
        (("DARTS_V2", "--space", "darts-s2"), "is no operation of this edge in darts-s2"),
        (("DARTS_V2", "--set", "epoch=3"), "unknown setting 'epoch'; did you mean 'epochs'?"),
        (("DARTS_V2", "--set", "epochs"), "--set 'epochs': expected KEY=VALUE, for example epochs=60"),
        (("DARTS_V2", "--set", "auxiliary_weight=1"), "images of 8 pixels are too small for the auxiliary classifier"),
        (("DARTS_V2", "--stem", "mnist"), "no stem named 'mnist'; known are cifar, imagenet"),
        (("Genotype(normal=[",), "genotype text, line 1"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(
    opselect: CommandLine, tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    genotype, *more = arguments
    status, _, error = opselect("train", genotype, *SMALL, *more, "--output", tmp_path / "out")
    assert status == 2
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_other_code_is_refused_and_left_alone(opselect: CommandLine, tmp_path: Path) -> None:
    assert opselect("train", "DARTS_V2", *SMALL, "--output", tmp_path)[0] == 0
    (tmp_path / network_training.FILE_NAME).unlink()
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    content = read_checksummed(checkpoint)
    assert content is not None
    changed = io.BytesIO()
    torch.save(torch.load(io.BytesIO(content)) | {"code": "older"}, changed)
    write_checksummed(checkpoint, changed.getvalue())
    before = checkpoint.read_bytes()
    status, _, error = opselect("train", "DARTS_V2", *SMALL, "--output", tmp_path)
    assert status == 1
    assert "a checkpoint of older, expected torch" in error
    (failed,) = records_of(tmp_path)
    assert failed.result is None
    assert failed.reason is not None
    assert failed.reason in error
    assert checkpoint.read_bytes() == before


def test_a_damaged_checkpoint_is_not_believed_and_the_training_begins_anew(
    opselect: CommandLine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert opselect("train", "DARTS_V2", *SMALL, "--output", tmp_path)[0] == 0
    (whole,) = records_of(tmp_path)
    (tmp_path / network_training.FILE_NAME).unlink()
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    assert opselect("train", "DARTS_V2", *SMALL, "--output", tmp_path)[0] == 0
    assert caplog.messages == [f"{checkpoint}: damaged; the training begins again"]
    (again,) = records_of(tmp_path)
    assert again.result is not None
    assert whole.result is not None
    assert again.result.test_accuracies == whole.result.test_accuracies
