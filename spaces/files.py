"""Where files lie and how they are opened and written.

Of a file that another person may have written, never more is read than such a file has. A file is written completely
or not at all, by one process at a time.
"""

import contextlib
import errno
import fcntl
import io
import logging
import os
import secrets
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opselect.spaces.errors import UserError

log = logging.getLogger(__name__)

PARTIAL = ".opselect-{}.partial"
"""What a file is called while it is written."""

LARGEST_TEXT = 2**20
"""Bytes of a file that people write: an experiment, published numbers, a genotype."""

MOST_DOTS = 2000
"""In a line of TOML. Python's parser takes time by the square of the parts of a dotted name."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BROKEN = {errno.EIO}


class NotWritten(UserError, OSError):
    """A file or folder that cannot be written, because the disk is full or it is read-only for example."""


class InUse(UserError, BlockingIOError):
    """A file that another process is writing to."""


def data_root() -> Path:
    """The one folder in which datasets and imported tables are looked for; it need not exist.

    It is $OPSELECT_DATA where that is set, otherwise $XDG_CACHE_HOME/opselect/data, otherwise ~/.cache/opselect/data.
    """
    chosen = os.environ.get("OPSELECT_DATA")
    if chosen:
        return Path(chosen).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification has relative paths ignored.
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "opselect" / "data"


def imported_table(name: str) -> Path:
    """Where the imported table of this name lies."""
    return data_root() / "tables" / f"{name}.parquet"


def imported_tables() -> set[str]:
    """The names of all imported tables."""
    return {path.stem for path in imported_table("*").parent.glob("[!.]*.parquet")}


def read_toml(text: str) -> dict[str, Any]:
    """What a text in TOML says.

    Raises:
        ValueError: it is no TOML, nested too deeply, or has a line with very many dots.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS:
            raise ValueError(f"line {number} has more than {MOST_DOTS:,} dots")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_file(path: Path) -> bool:
    """Whether there is such a file; a path that no file can have is that of none."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, for example
        return False


def read_text(path: Path) -> str:
    """The text of a small file in UTF-8.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such text, is larger than 1 MiB, or no file can have this path.
    """
    with path.open("rb") as stream:
        content = stream.read(LARGEST_TEXT + 1)
    if len(content) > LARGEST_TEXT:
        raise ValueError(f"a file of more than {LARGEST_TEXT:,} bytes")
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8").read()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell what goes wrong while a file is written in one sentence.

    Raises:
        NotWritten: in place of any `OSError` of the block.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        what = error.strerror or str(error)
        if error.errno in _FULL:
            advice = "what was finished is kept; free some space, and the same command goes on from there"
        elif error.errno in _BROKEN:
            advice = "what was finished is kept; the same command goes on from there"
        else:
            advice = "expected a place that can be written; choose another one, or change its permissions"
        raise NotWritten(f"{path}: {what}; {advice}") from error


def check_writable(folder: Path) -> None:
    """Make a folder and try to write there, before hours of work whose results shall go into it.

    Raises:
        NotWritten: that cannot be done.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def lock_exclusively(descriptor: int, path: Path) -> None:
    """Lock an open file until it is closed, or this process ends, however that comes about.

    Where the file system has no locks, the log says so, and nothing is locked.

    Raises:
        InUse: another process has locked it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUse(f"{path}: another run is writing to it; wait for it, or choose another folder") from None
    except OSError as error:
        log.warning(
            "%s: its file system has no locks (%s); see to it that no two runs write to one folder",
            path,
            error.strerror,
        )


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, which takes the place of `path` at the end of the block, and is on the disk.

    Where the block fails, what was there before is left as it was. The folder is made if it is missing. What killed
    processes have left half-written in the folder is removed.

    Raises:
        NotWritten: the disk is full, or the folder is read-only for example.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        temporary, descriptor = _locked_place(path.parent)
        try:
            yield temporary
            os.fsync(descriptor)
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(descriptor)


def _locked_place(folder: Path) -> tuple[Path, int]:
    """A new file, which is locked as long as its writer lives."""
    while True:
        place = folder / PARTIAL.format(secrets.token_hex(4))
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):  # no locks here: then nobody removes leftovers either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Another process may have taken it for a leftover before it was locked.
        if place.exists():
            return place, descriptor
        os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    for place in folder.glob(PARTIAL.format("*")):
        # Who cannot open or lock it has no business with it: it is being written, was removed by another process just
        # now, or belongs to somebody else.
        with contextlib.suppress(OSError):
            descriptor = os.open(place, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                place.unlink()
            finally:
                os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """See to it that a new name is on the disk, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
