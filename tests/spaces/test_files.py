"""Files appear completely or not at all, whenever their writer dies; what cannot be written is told in one sentence."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from opselect.bench.storage.checksums import read_checksummed, write_checksummed
from opselect.spaces.files import InUse, NotWritten, atomic_write, check_writable, lock_exclusively
from opselect.spaces.table import digits201

Crashes: TypeAlias = Callable[[Callable[[], object]], Iterator[int]]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_the_old_one_or_the_new_one_wherever_its_writer_dies(tmp_path: Path, crashes: Crashes) -> None:
    path = tmp_path / "cache" / "entry"
    found = []
    for _ in crashes(lambda: write_checksummed(path, b"new" * 1000)):
        found.append(read_checksummed(path) if path.exists() else None)
        assert len(names(path.parent) if path.parent.exists() else []) <= 2
    assert set(found) == {None, b"new" * 1000}
    found.clear()
    for _ in crashes(lambda: write_checksummed(path, b"newer" * 1000)):
        found.append(read_checksummed(path))
    assert set(found) == {b"new" * 1000, b"newer" * 1000}
    assert len(found) > 5
    # Those who died in the middle have left something, and who did not has removed it.
    assert names(path.parent) == ["entry"]


def test_what_others_are_writing_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "one") as one, atomic_write(tmp_path / "two") as two:
        one.write_text("1")
        two.write_text("2")
        (tmp_path / ".opselect-dead.partial").write_text("left behind")
        (tmp_path / ".mine").write_text("kept")
        with atomic_write(tmp_path / "three") as three:
            three.write_text("3")
    assert names(tmp_path) == [".mine", "one", "three", "two"]
    assert (tmp_path / "one").read_text() == "1"


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "one") as beside:
        beside.write_text(f"{1 / 0}")
    assert names(tmp_path) == ["one"]
    assert (tmp_path / "one").read_text() == "old"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (
            errno.ENOSPC,
            "No space left on device; what was finished is kept; free some space, and the same",
        ),
        (errno.EDQUOT, "Disk quota exceeded; what was finished is kept; free some space"),
        (errno.EFBIG, "File too large; what was finished is kept; free some space"),
        (errno.EIO, "Input/output error; what was finished is kept; the same command goes on from there"),
        (errno.EROFS, "Read-only file system; expected a place that can be written; choose another one"),
        (errno.EACCES, "Permission denied; expected a place that can be written; choose another one"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: str
) -> None:
    def failing(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "one").write_text("old")
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(NotWritten) as caught:
        write_checksummed(tmp_path / "one", b"new")
    assert str(caught.value).startswith(f"{tmp_path / 'one'}: {expected}")
    assert names(tmp_path) == ["one"]
    assert (tmp_path / "one").read_text() == "old"


def test_a_folder_that_cannot_be_one_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotWritten, match="expected a place that can be written"):
            check_writable(place)

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    check_writable(tmp_path / "new")
    assert names(tmp_path / "new") == []
    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(NotWritten, match=r"new: Read-only file system; expected a place"):
        check_writable(tmp_path / "new")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(NotWritten, match="Permission denied"):
        check_writable(tmp_path / "locked")


def test_a_table_that_does_not_fit_is_told_as_everything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(NotWritten, match=r"mine\.parquet: No space left on device; what was finished is kept; free"):
        digits201().write(tmp_path / "mine.parquet")
    assert names(tmp_path) == []


def test_only_one_writes_until_it_has_ended(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as first, (tmp_path / "file").open("ab") as second:
        lock_exclusively(first.fileno(), tmp_path / "file")
        with pytest.raises(InUse, match="file: another run is writing to it; wait for it, or choose another folder"):
            lock_exclusively(second.fileno(), tmp_path / "file")
        first.close()
        lock_exclusively(second.fileno(), tmp_path / "file")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_not_called_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with (tmp_path / "file").open("wb") as stream:
        lock_exclusively(stream.fileno(), tmp_path / "file")
    (message,) = caplog.messages
    assert message == (
        f"{tmp_path / 'file'}: its file system has no locks ({os.strerror(number)}); see to it that no two runs write "
        "to one folder"
    )
    write_checksummed(tmp_path / "sealed", b"content")
    assert names(tmp_path) == ["file", "sealed"]
