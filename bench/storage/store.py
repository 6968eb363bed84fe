"""The store: a file of JSON lines with one writer, to which every finished result is appended at once.

Trials, trained networks, proxy scores and the cells of a table take minutes to days, and a run can be killed at any
moment. So a result is on the disk, as a line with a checksum, before anything else happens; a half-written last line is
cut off by the next run, which reads what is there and does only what is missing.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from opselect.bench.storage.checksums import append_checksummed, verified_line
from opselect.spaces.errors import UserError
from opselect.spaces.files import InUse, NotWritten, lock_exclusively, writing

log = logging.getLogger(__name__)

FORMAT_VERSION = 1
BEGINNING = b'{"version":'
"""How every line of a records file starts."""


class InvalidRecords(UserError, ValueError):
    """A records file that is not one, or that another version of the format wrote."""


class Value(BaseModel):
    """A line of a records file, or a part of one: the first field of a line is `version`."""

    # NaN and infinite scores are states of their own; JSON has no numbers for them, so they are written as strings.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


Line = TypeVar("Line", bound=BaseModel)
Result = TypeVar("Result", bound=BaseModel | Mapping[str, Any])


def content_key(content: object) -> str:
    """The content address of JSON values: 16 hexadecimal digits of the SHA-256 of their sorted JSON text.

    Example:
        >>> content_key({"seed": 0, "space": "darts"}) == content_key({"space": "darts", "seed": 0})
        True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def read_lines(path: Path, line_type: type[Line], command: str) -> list[Line]:
    """Read all lines of a records file.

    A last line without its end, which a killed run leaves behind, is passed over. So are damaged lines, where the file
    has lines with a checksum: the log reports their numbers, and the next run repeats what was in them.

    Args:
        path: The file.
        line_type: Type of its lines.
        command: Name of the command that writes such files, for messages.

    Raises:
        InvalidRecords: A line is something else, or of another format version.
        FileNotFoundError: There is no such file.
    """
    complete, _, _ = path.read_bytes().rpartition(b"\n")
    lines = [verified_line(line) for line in complete.split(b"\n")] if complete else []
    has_checksums = any(intact is not None for _, intact in lines)
    parsed, damaged = [], []
    for number, (line, intact) in enumerate(lines, start=1):
        try:
            if intact is False:
                raise InvalidRecords(f"{path}, line {number}: its checksum is not right")
            parsed.append(_parse(line, line_type, f"{path}, line {number}", command))
        except InvalidRecords:
            if intact or not has_checksums:
                raise
            damaged.append(number)
    if damaged:
        log.warning(
            "%s: damaged and passed over: line %s; '%s' does again what is missing",
            path,
            ", ".join(map(str, damaged)),
            command,
        )
    return parsed


def edited_lines(path: Path) -> list[int]:
    """Numbers of the lines without a checksum in a file whose other lines have one, so they were changed by hand.

    A file without any checksum was written by a version that knew none.
    """
    complete, _, _ = path.read_bytes().rpartition(b"\n")
    checked = [verified_line(line)[1] for line in complete.split(b"\n")]
    without = [number for number, intact in enumerate(checked, start=1) if intact is None]
    return without if len(without) < len(checked) else []


def _parse(line: bytes, line_type: type[Line], position: str, command: str) -> Line:
    expected = f"expected a record written by '{command}'"
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidRecords(f"{position}: not JSON; {expected}") from None
    version = parsed.get("version") if isinstance(parsed, dict) else None
    if version != FORMAT_VERSION:
        raise InvalidRecords(
            f"{position}: record format version {version!r}, expected {FORMAT_VERSION}; use a new folder"
        )
    try:
        return line_type.model_validate(parsed)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidRecords(f"{position}: {field!r}: {first['msg']}; {expected}") from None


class Store:
    """An open and locked file of JSON lines; `open_store` makes one.

    Args:
        stream: The file, opened for reading and appending without a buffer.
        path: Its path.
    """

    def __init__(self, stream: io.FileIO, path: Path) -> None:
        self._stream = stream
        self.path = path

    def content(self) -> bytes:
        """The whole file."""
        self._stream.seek(0)
        return self._stream.readall()

    def truncate(self, length: int) -> None:
        """Cut the file off after this many bytes."""
        self._stream.truncate(length)

    def end_last_line(self) -> None:
        """Add the newline that a killed writer left out, so that the next line does not continue the last one.

        Raises:
            NotWritten: The disk is full, for example.
        """
        if not self.content().endswith(b"\n"):
            with writing(self.path):
                self._stream.write(b"\n")

    def append(self, result: BaseModel | Mapping[str, Any]) -> None:
        """Write one result as a durable line with a checksum; when this returns it is on the disk.

        Args:
            result: A record, or the fields of a line.

        Raises:
            NotWritten: The disk is full, for example, and what was there before is untouched; or the file was removed
                or replaced, and nothing that is written to it would be found again.
        """
        if not self._is_in_place():
            raise NotWritten(
                f"{self.path}: removed or replaced while results were written to it; put it back, or start again in a "
                "new folder"
            )
        text = result.model_dump_json() if isinstance(result, BaseModel) else json.dumps(result)
        append_checksummed(self._stream.fileno(), self.path, text.encode())

    def _is_in_place(self) -> bool:
        """Whether the path still leads to the open file."""
        try:
            return os.path.samestat(os.fstat(self._stream.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def complete(
        self,
        results: Iterator[Result],
        present: int,
        progress: Callable[[int], None],
        check: Callable[[Result], None] = lambda _: None,
    ) -> list[Result]:
        """Append the missing results, each as soon as it is computed.

        Args:
            results: What is missing, computed while it is iterated over, as by `in_parallel`.
            present: Number of results that the file had before.
            progress: Called with the number of results in the file, at once and after each further one.
            check: Called with every result before it is written; raises where it must not be.

        Returns:
            The new results, in the order in which they were finished.

        Raises:
            NotWritten: The disk is full, for example; finished results remain.
        """
        progress(present)
        finished = []
        try:
            for result in results:
                check(result)
                self.append(result)
                finished.append(result)
                progress(present + len(finished))
        finally:
            # A traceback would keep the generator alive, and its worker processes with it.
            if isinstance(results, Generator):
                results.close()
        return finished


@contextlib.contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """Open a file of JSON lines for one writer; it is created with its folder where it does not exist.

    Raises:
        InUse: Another process is writing to it.
        NotWritten: It cannot be written.
    """
    with contextlib.ExitStack() as opened:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = opened.enter_context(path.open("a+b", buffering=0))
        lock_exclusively(stream.fileno(), path)
        yield Store(stream, path)


@contextlib.contextmanager
def open_for_append(path: Path) -> Iterator[Store]:
    """Open a records file for one writer; a half-written last line of a killed run is cut off first.

    Raises:
        InvalidRecords: Another run is writing to it, or it ends in something that no run has written.
        NotWritten: It cannot be written.
    """
    with contextlib.ExitStack() as opened:
        try:
            store = opened.enter_context(open_store(path))
        except InUse as error:
            raise InvalidRecords(str(error)) from None
        content = store.content()
        complete = content.rfind(b"\n") + 1
        rest = content[complete:]
        has_checksums = any(verified_line(line)[1] is not None for line in content[:complete].split(b"\n"))
        if not has_checksums and rest[: len(BEGINNING)] != BEGINNING[: len(rest)]:
            raise InvalidRecords(f"{path}: ends in something that is no record; expected a file that a run has written")
        store.truncate(complete)
        yield store
