"""The store: every result is on the disk before the next one is computed, and one writer owns the file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from opselect.bench.storage.checksums import verified_line
from opselect.bench.storage.store import (
    FORMAT_VERSION,
    InvalidRecords,
    content_key,
    open_for_append,
    open_store,
    read_lines,
)
from opselect.spaces.files import InUse


class Number(BaseModel):
    """A line of the files here."""

    version: int = FORMAT_VERSION
    value: int


def ignore(count: int) -> None:
    """No progress."""


def numbers(path: Path) -> list[int]:
    """The values in a file."""
    return [line.value for line in read_lines(path, Number, "some command")]


def test_each_result_is_in_the_file_before_the_next_one_is_computed_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "numbers.jsonl"
    events: list[Any] = []

    def results() -> Iterator[Number]:
        for value in range(3):
            events.append(("computed", value, numbers(path)))
            yield Number(value=value)

    def report(count: int) -> None:
        events.append(("reported", count, numbers(path)))

    with open_for_append(path) as store:
        finished = store.complete(results(), 5, report)
    assert finished == [Number(value=value) for value in range(3)]
    assert events == [
        ("reported", 5, []),
        ("computed", 0, []),
        ("reported", 6, [0]),
        ("computed", 1, [0]),
        ("reported", 7, [0, 1]),
        ("computed", 2, [0, 1]),
        ("reported", 8, [0, 1, 2]),
    ]


def test_where_nothing_is_missing_the_count_is_reported_once_and_nothing_is_written(tmp_path: Path) -> None:
    counts: list[int] = []
    with open_for_append(tmp_path / "numbers.jsonl") as store:
        assert store.complete(iter(list[Number]()), 4, counts.append) == []
    assert counts == [4]
    assert (tmp_path / "numbers.jsonl").read_bytes() == b""


def test_a_result_that_is_refused_is_not_written_and_ends_the_work(tmp_path: Path) -> None:
    path = tmp_path / "numbers.jsonl"
    ended = []

    def results() -> Iterator[Number]:
        try:
            for value in range(5):
                yield Number(value=value)
        finally:
            ended.append(True)

    def check(number: Number) -> None:
        if number.value == 2:
            raise ValueError("not this one")

    running = results()
    with open_for_append(path) as store, pytest.raises(ValueError, match="not this one"):
        store.complete(running, 0, ignore, check)
    # Although a name still holds the generator, it is closed, and so would its worker processes be.
    assert ended == [True]
    assert numbers(path) == [0, 1]


def test_a_failure_while_reporting_keeps_the_result_and_closes_the_work(tmp_path: Path) -> None:
    path = tmp_path / "numbers.jsonl"
    running = (Number(value=value) for value in range(5))

    def interrupt(count: int) -> None:
        if count == 2:
            raise KeyboardInterrupt

    with open_for_append(path) as store, pytest.raises(KeyboardInterrupt):
        store.complete(running, 0, interrupt)
    assert list(running) == []
    assert numbers(path) == [0, 1]


def test_records_and_fields_are_lines_of_json_with_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    with open_store(path) as store:
        store.append(Number(value=1))
        store.append({"index": 1, "values": [0.5]})
        assert store.content() == path.read_bytes()
    lines = [verified_line(line) for line in path.read_bytes().splitlines()]
    assert lines == [(b'{"version":1,"value":1}', True), (b'{"index": 1, "values": [0.5]}', True)]


@pytest.mark.parametrize(("before", "after"), [(b"", b"\n"), (b"line", b"line\n"), (b"line\n", b"line\n")])
def test_a_last_line_is_ended_once(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(before)
    with open_store(path) as store:
        store.end_last_line()
        store.end_last_line()
    assert path.read_bytes() == after


def test_a_second_writer_is_refused_by_either_way_of_opening_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "numbers.jsonl"
    path.write_bytes(b'{"version":1,"half')
    with open_store(path):
        with pytest.raises(InUse, match="another run is writing to it"), open_store(path):
            raise AssertionError("two writers at once")
        with pytest.raises(InvalidRecords, match="another run is writing to it"), open_for_append(path):
            raise AssertionError("two writers at once")
    assert path.read_bytes() == b'{"version":1,"half'
    with open_for_append(path):
        assert path.read_bytes() == b""


def test_the_content_key_is_that_of_sorted_json() -> None:
    # The SHA-256 of '{"a": [1, null], "b": "x"}', as sha256sum prints it.
    assert content_key({"b": "x", "a": [1, None]}) == "2742c95f2d00ab3d"
    assert content_key([1, 2]) != content_key([2, 1])


def test_a_file_of_other_lines_is_refused_by_the_name_of_its_command(tmp_path: Path) -> None:
    path = tmp_path / "numbers.jsonl"
    path.write_text(json.dumps({"version": 1, "value": "many"}) + "\n")
    with pytest.raises(InvalidRecords, match=r"line 1: 'value': .*; expected a record written by 'some command'"):
        numbers(path)
