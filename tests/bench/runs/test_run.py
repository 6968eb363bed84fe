"""Which records of a folder a report shows, where some of them are older than a setting."""

from pathlib import Path
from typing import Any

import pytest

from opselect.bench.experiment.file import parse
from opselect.bench.runs.records import Record, TrialDescription
from opselect.bench.runs.run import MixedRecords, load_run
from opselect.bench.storage.store import FORMAT_VERSION, InvalidRecords, open_for_append
from opselect.selectors.methods import FORMER_READINGS

EXPERIMENT = """
name = "mine"
space = "digits201"
images = "digits"
seeds = [0, 1]

[[selector]]
name = "darts-pt"
tuning_epochs = 1
{}
"""


def record(seed: int, settings: dict[str, Any]) -> Record:
    """The record of a trial that failed, which is the shortest one."""
    trial = TrialDescription(
        space="digits201",
        images="digits",
        images_hash="abc123",
        selector="darts-pt",
        settings=settings,
        seed=seed,
        training=None,
        table=None,
        observe=False,
        device="cpu",
        software={},
    )
    return Record(
        version=FORMAT_VERSION,
        experiment="mine",
        label="darts-pt",
        trial=trial,
        key=trial.key,
        status="failed",
        reason="no",
        result=None,
        cost=None,
        environment={},
    )


def new_settings() -> dict[str, Any]:
    return parse(EXPERIMENT.format(""), "mine").selectors[0].settings.model_dump(mode="json")


def old_settings() -> dict[str, Any]:
    return {name: value for name, value in new_settings().items() if name not in FORMER_READINGS}


def folder(path: Path, lines: str, *records: Record) -> Path:
    (path / "experiment.toml").write_text(EXPERIMENT.format(lines))
    with open_for_append(path / "records.jsonl") as store:
        for each in records:
            store.append(each)
    return path


def test_records_from_before_a_setting_are_of_a_file_that_does_not_name_it_or_names_the_former_reading(
    tmp_path: Path,
) -> None:
    assert old_settings() == {"edge_order": "random", "tuning_epochs": 1}
    old = [record(seed, old_settings()) for seed in (0, 1)]
    for number, lines in enumerate(("", "augmented = false", 'alpha_optimizer = "new"\naccuracy_batch_size = 256')):
        (path := tmp_path / str(number)).mkdir()
        assert load_run(folder(path, lines, *old)).seeds == (0, 1)
    for number, lines in enumerate(("augmented = true", "accuracy_batch_size = 64"), start=3):
        (path := tmp_path / str(number)).mkdir()
        with pytest.raises(InvalidRecords, match="no record of any selector"):
            load_run(folder(path, lines, *old))


def test_records_from_before_and_after_a_setting_are_not_mixed(tmp_path: Path) -> None:
    old = [record(seed, old_settings()) for seed in (0, 1)]
    with pytest.raises(MixedRecords, match="'darts-pt': records from before and after a setting was added"):
        load_run(folder(tmp_path, "", *old, record(1, new_settings())))
    new = load_run(folder(tmp_path, "", record(0, new_settings())))
    assert [each.trial.settings for each in new.all] == [new_settings()] * 2
