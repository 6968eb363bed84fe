"""Records survive: numbers come back as they were, a killed or failing write costs nothing that was finished."""

import errno
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opselect.bench.runs.records import (
    Code,
    Cost,
    Record,
    Result,
    StepRecord,
    TableReference,
    TrialDescription,
    read_records,
)
from opselect.bench.storage.checksums import checksummed_line
from opselect.bench.storage.store import FORMAT_VERSION, InvalidRecords, open_for_append

TABLE = TableReference(name="digits201", dataset="digits", epochs=10, valid_epochs=10, also=(), fingerprint="f1e2d3c4")
TRIAL = TrialDescription(
    space="digits201",
    images="digits",
    images_hash="abc123",
    selector="zero-cost-pt",
    settings={"proxy": "nwot", "candidates": 10},
    seed=0,
    training={"epochs": 60},
    table=TABLE,
    observe=True,
    device="cpu",
    software={"opselect": "0.1.0", "torch": "2.5.1"},
)


def record(seed: int = 0, score: float = 0.5, **changes: Any) -> Record:
    """A finished trial whose scores contain the given one."""
    trial = TRIAL.model_copy(update={"seed": seed})
    step = StepRecord(
        edge=3, operation=1, tied=0, scores={3: [0.25, score], 5: [score, -1.5]}, truth={"best-acc": {3: [score, 80.0]}}
    )
    result = Result(
        architecture="|none~0|",
        valid_accuracy=80.25,
        test_accuracy=81.125,
        test_accuracies=[81.0, 81.25],
        other_test_accuracies={"letters": 70.5},
        regret=3.5,
        percentile=90.0,
        candidates=[("|none~0|", score), ("|skip_connect~0|", None)],
        steps=[step],
    )
    content: dict[str, Any] = {
        "version": FORMAT_VERSION,
        "experiment": "digits201",
        "label": "zero-cost-pt (nwot)",
        "trial": trial,
        "key": trial.key,
        "status": "done",
        "reason": None,
        "result": result,
        "cost": Cost(
            seconds={"scoring": 1.5}, search_seconds=1.5, evaluations=30, peak_memory_megabytes=300.5, device="cpu"
        ),
        "environment": {"cores": 2, "commit": None},
    }
    return Record(**content | changes)


def write(path: Path, *records: Record) -> None:
    """Append records as a run does."""
    with open_for_append(path) as appender:
        for each in records:
            appender.append(each)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A records file in a folder that does not exist yet."""
    return tmp_path / "runs" / "mine" / "records.jsonl"


@given(st.floats(allow_nan=False))
def test_every_finite_or_infinite_score_comes_back_to_the_last_bit(score: float) -> None:
    original = record(score=score)
    assert Record.model_validate_json(original.model_dump_json()) == original


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1 / 3])
def test_scores_that_json_has_no_numbers_for_come_back_from_the_file(path: Path, score: float) -> None:
    write(path, record(score=score))
    (found,) = read_records(path)
    assert found.result is not None
    ((_, validated), _) = found.result.candidates
    (step,) = found.result.steps
    for value in (step.scores[3][1], step.scores[5][0], step.truth["best-acc"][3][0], validated):
        assert isinstance(value, float)
        assert (math.isnan(value) and math.isnan(score)) or value == score
        assert math.copysign(1, value) == math.copysign(1, score) or math.isnan(score)


def test_a_line_is_strict_json_even_where_scores_are_not_numbers(path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    write(path, record(score=math.nan), record(seed=1, score=-math.inf))
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        json.loads(line, parse_constant=refuse)


def test_records_come_back_in_order_of_last_appearance_and_the_last_of_a_key_counts(path: Path) -> None:
    failed = record(seed=1, status="failed", reason="ValueError: no", result=None, cost=None)
    write(path, record(seed=2), failed, record(seed=0))
    write(path, record(seed=1, score=0.75))
    assert read_records(path) == [record(seed=2), record(seed=0), record(seed=1, score=0.75)]
    assert len(path.read_bytes().splitlines()) == 4


CHANGES: dict[str, Any] = {
    "space": "nasbench201",
    "images": "cifar10",
    "images_hash": "abc124",
    "selector": "zero-cost-disc",
    "settings": {"proxy": "nwot", "candidates": 11},
    "seed": 1,
    "training": {"epochs": 61},
    "table": TABLE.model_copy(update={"fingerprint": "f1e2d3c5"}),
    "observe": False,
    "device": "cuda",
    "software": {"opselect": "0.1.0", "torch": "2.5.2"},
    "training_images": 2000,
    "supernet": "sdarts-rs",
    "code": Code(digest="0123456789abcdef", packages={}),
    "augmentation": {"crop_padding": 4, "flip": True, "crop_fill": "black"},
    "order_seed": 0,
    "initialization": "reference",
}


def test_the_key_depends_on_every_field_that_determines_the_outcome() -> None:
    assert set(CHANGES) == set(TrialDescription.model_fields)
    keys = [TRIAL.model_copy(update={field: value}).key for field, value in CHANGES.items()]
    keys += [TRIAL.model_copy(update={"training": None}).key, TRIAL.model_copy(update={"table": None}).key]
    for field, value in {"name": "other", "dataset": "cifar10", "epochs": 12}.items():
        keys.append(TRIAL.model_copy(update={"table": TABLE.model_copy(update={field: value})}).key)
    assert TRIAL.key not in keys
    assert len(set(keys)) == len(keys)


def test_the_key_is_the_hash_of_the_description_in_sorted_json() -> None:
    # Another way to write it would make every kept record useless.
    text = (
        '{"device": "cpu", "images": "digits", "images_hash": "abc123", "observe": true, "seed": 0, '
        '"selector": "zero-cost-pt", '
        '"settings": {"candidates": 10, "proxy": "nwot"}, "software": {"opselect": "0.1.0", "torch": "2.5.1"}, '
        '"space": "digits201", "table": {"also": [], "dataset": "digits", "epochs": 10, '
        '"fingerprint": "f1e2d3c4", "name": "digits201", "valid_epochs": 10}, "training": {"epochs": 60}}'
    )
    assert TRIAL.key == hashlib.sha256(text.encode()).hexdigest()[:16]
    reordered = TRIAL.model_copy(update={"settings": {"candidates": 10, "proxy": "nwot"}})
    assert reordered.key == TRIAL.key


def test_label_experiment_and_environment_are_not_part_of_the_key(path: Path) -> None:
    renamed = record(label="another", experiment="another", environment={"cores": 64})
    write(path, record(), renamed)
    assert read_records(path) == [renamed]


@pytest.mark.parametrize("lost", [1, 2, 40, -1])
def test_a_half_written_last_line_is_passed_over_and_cut_off_by_the_next_writer(path: Path, lost: int) -> None:
    write(path, record(seed=0), record(seed=1))
    content = path.read_bytes()
    start_of_last = content.index(b"\n") + 1
    path.write_bytes(content[:-lost] if lost > 0 else content[: start_of_last + 1])
    assert read_records(path) == [record(seed=0)]
    write(path, record(seed=2))
    assert read_records(path) == [record(seed=0), record(seed=2)]
    assert path.read_bytes().startswith(content[:start_of_last] + b'{"version":')


def test_a_whole_file_is_left_as_it_is_by_a_writer_that_writes_nothing(path: Path) -> None:
    write(path, record(seed=0), record(seed=1))
    content = path.read_bytes()
    write(path)
    assert path.read_bytes() == content


def test_an_empty_file_holds_no_records_and_a_missing_one_is_missing(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_records(path)
    write(path)
    assert path.read_bytes() == b""
    assert read_records(path) == []


def altered(field: str, value: object) -> bytes:
    """The line of a record with one field changed."""
    return json.dumps(json.loads(record().model_dump_json()) | {field: value}).encode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", "not JSON; expected a record written by 'opselect run'"),
        (b'{"version":1,"experi', "not JSON"),
        (b"architecture,accuracy", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"PAR1" + bytes(range(256)).replace(b"\n", b""), "not JSON"),
        (b"[1, 2]", "record format version None, expected 1; use a new folder"),
        (b'"text"', "record format version None, expected 1"),
        (b"{}", "record format version None, expected 1"),
        (altered("version", 0), "record format version 0, expected 1"),
        (altered("version", 2), "record format version 2, expected 1"),
        (altered("version", "1"), "record format version '1', expected 1"),
        (altered("status", "finished"), "'status': Input should be 'done' or 'failed'; expected a record written by"),
        (altered("result", {"architecture": 3}), "'result.architecture': Input should be a valid string; expected a"),
        (altered("surprise", 1), "'surprise': Extra inputs are not permitted; expected a record"),
        (b'{"version":1}', "'experiment': Field required; expected a record"),
    ],
)
def test_a_line_that_is_no_record_is_named_by_its_number(path: Path, line: bytes, expected: str) -> None:
    first, second = (record(seed=seed).model_dump_json().encode() for seed in range(2))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\n".join([first, line, second, b""]))
    with pytest.raises(InvalidRecords) as caught:
        read_records(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2: ")
    assert expected in message
    assert message.isprintable()


@pytest.mark.parametrize("line", [b"", b'{"version":1,"experi', b"\0" * 100, b"{}", altered("status", "finished")])
def test_among_lines_with_checksums_what_is_no_record_is_damage_and_passed_over(
    path: Path, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    write(path, record(seed=0), record(seed=1))
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, line, second, b""]))
    assert read_records(path) == [record(seed=0), record(seed=1)]
    assert caplog.messages == [f"{path}: damaged and passed over: line 2; 'opselect run' does again what is missing"]


def test_a_writer_that_dies_anywhere_costs_no_record_that_was_there_and_the_next_one_goes_on(
    tmp_path: Path, crashes: Callable[[Callable[[], object]], Iterator[int]]
) -> None:
    original = tmp_path / "original.jsonl"
    write(original, record(seed=0))
    path = tmp_path / "mine" / "records.jsonl"

    def start_over() -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(original.read_bytes())

    lengths = []
    start_over()
    for _ in crashes(lambda: write(path, record(seed=1), record(seed=2))):
        found = read_records(path)
        assert found == [record(seed=seed) for seed in range(len(found))]
        lengths.append(len(found))
        write(path, *(record(seed=seed) for seed in range(len(found), 3)))
        assert read_records(path) == [record(seed=seed) for seed in range(3)]
        assert len(path.read_bytes().splitlines()) == 3
        start_over()
    # Both in the middle of lines and between them.
    assert lengths == sorted(lengths)
    assert set(lengths) == {1, 2, 3}
    assert len(lengths) >= 5


def test_a_later_format_is_refused_although_its_checksum_is_right(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(checksummed_line(altered("version", 2)) + b"\n")
    with pytest.raises(InvalidRecords, match="line 1: record format version 2, expected 1; use a new folder"):
        read_records(path)


def test_records_without_a_checksum_are_read_beside_those_that_have_one(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(record(seed=0).model_dump_json().encode() + b"\n")
    write(path, record(seed=1))
    assert [b'"checksum"' in line for line in path.read_bytes().splitlines()] == [False, True]
    assert read_records(path) == [record(seed=0), record(seed=1)]


@settings(max_examples=100)
@given(st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_a_flipped_bit_anywhere_is_never_believed_and_costs_at_most_the_records_that_it_is_in(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.jsonl"
    path.unlink(missing_ok=True)
    records = [record(seed=seed) for seed in range(3)]
    write(path, *records)
    content = bytearray(path.read_bytes())
    place = position % len(content)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    found = read_records(path)
    assert all(each in records for each in found)
    assert len(found) >= 1
    # Whoever goes on from there can write, and ends with all of them.
    write(path, *(each for each in records if each not in found))
    assert sorted(each.trial.seed for each in read_records(path)) == [0, 1, 2]


def test_a_second_writer_is_refused_until_the_first_has_finished(path: Path) -> None:
    with open_for_append(path) as first:
        first.append(record(seed=0))
        with (
            pytest.raises(InvalidRecords, match=r"records\.jsonl: another run is writing to it; wait"),
            open_for_append(path),
        ):
            raise AssertionError("two writers at once")
        assert read_records(path) == [record(seed=0)]
        first.append(record(seed=1))
    write(path, record(seed=2))
    assert [each.trial.seed for each in read_records(path)] == [0, 1, 2]


def test_a_refused_writer_does_not_cut_off_what_the_first_is_writing(path: Path) -> None:
    with open_for_append(path):
        path.write_bytes(b'{"version":1,"half')
        with pytest.raises(InvalidRecords, match="another run"), open_for_append(path):
            raise AssertionError("two writers at once")
        assert path.read_bytes() == b'{"version":1,"half'


def test_a_writer_that_died_does_not_lock_the_file(path: Path) -> None:
    with pytest.raises(RuntimeError, match="killed"), open_for_append(path) as appender:
        appender.append(record(seed=0))
        raise RuntimeError("killed")
    write(path, record(seed=1))
    assert len(read_records(path)) == 2


def full_disk_after(room: int) -> Callable[[int, bytes], int]:
    """A `write` that takes so many bytes, possibly in part of what it is given, and then has no space left."""
    really_write = os.write

    def write_to_a_full_disk(descriptor: int, content: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = really_write(descriptor, content[:room])
        room -= written
        return written

    return write_to_a_full_disk


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    write(path, record(seed=0))
    before = path.read_bytes()
    with open_for_append(path) as appender:
        with monkeypatch.context() as full, pytest.raises(OSError, match="No space left on device"):
            full.setattr(os, "write", full_disk_after(room))
            appender.append(record(seed=1))
        assert path.read_bytes() == before
        appender.append(record(seed=2))
    assert read_records(path) == [record(seed=0), record(seed=2)]


def test_a_failing_sync_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write(path, record(seed=0))
    before = path.read_bytes()
    with open_for_append(path) as appender:
        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(OSError, match="Input/output error"):
            appender.append(record(seed=1))
    assert path.read_bytes() == before


def test_a_record_is_whole_when_the_system_takes_a_few_bytes_at_a_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: really_write(descriptor, content[:7]))
    write(path, record(seed=0), record(seed=1))
    monkeypatch.undo()
    assert read_records(path) == [record(seed=0), record(seed=1)]


def test_a_record_is_on_the_disk_when_append_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    really_sync = os.fsync

    def sync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        really_sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    with open_for_append(path) as appender:
        appender.append(record())
        assert synced == [path.stat().st_size]
        assert read_records(path) == [record()]


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
fields = st.sampled_from(sorted(Record.model_fields))
mutated = st.builds(
    lambda changes: json.dumps(json.loads(record().model_dump_json()) | changes).encode(),
    st.dictionaries(fields, scalars, max_size=2),
)
content = st.lists(st.one_of(st.binary(max_size=30), mutated, st.just(record().model_dump_json().encode())), max_size=4)


@settings(max_examples=200)
@given(content, st.booleans())
def test_any_bytes_are_records_or_invalid_ones(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ended: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n" * ended)
    try:
        records = read_records(path)
    except InvalidRecords as error:
        assert str(error).startswith(f"{path}, line ")
        assert "\n" not in str(error)
    else:
        assert len({each.key for each in records}) == len(records)


@settings(max_examples=100)
@given(st.integers(min_value=0), st.binary(min_size=1, max_size=4))
def test_a_file_damaged_anywhere_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, position: int, damage: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.jsonl"
    path.unlink(missing_ok=True)
    whole = b"".join(record(seed=seed).model_dump_json().encode() + b"\n" for seed in range(2))
    place = position % len(whole)
    path.write_bytes(whole[:place] + damage + whole[place + len(damage) :])
    try:
        records = read_records(path)
    except InvalidRecords as error:
        assert "\n" not in str(error)
    else:
        assert len(records) <= 2 + damage.count(b"\n")


def test_a_record_whose_selector_had_its_supernet_training_in_its_name_is_read(path: Path) -> None:
    former = TRIAL.model_copy(update={"selector": "sdarts-rs-pt"})
    line = json.loads(record().model_dump_json())
    line |= {"trial": json.loads(former.model_dump_json(exclude={"supernet"})), "key": former.key}
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(line) + "\n")
    (read,) = read_records(path)
    assert (read.trial.selector, read.trial.supernet) == ("darts-pt", "sdarts-rs")
    assert read.trial.method == "darts-pt on sdarts-rs"
    assert read.key == TRIAL.model_copy(update={"selector": "darts-pt", "supernet": "sdarts-rs"}).key
    path.write_text(json.dumps(line | {"key": "0" * 16}) + "\n")
    with pytest.raises(InvalidRecords, match="is not that of the trial"):
        read_records(path)
