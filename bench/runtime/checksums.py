"""Checksums for what is kept and read again: a flipped bit or a lost end is found, and what it was in made anew.

Files end in a seal, which readers of torch's files pass over, and lines of JSON have it as a last field. It guards
against damage, not against people: whoever changes a file on purpose can seal it again.
"""

import hashlib
import os
import re
from pathlib import Path

from opselect.spaces.files import atomic_write, writing

_FILE_CHECKSUM = b"\nsha256 %s\n"
_FILE_CHECKSUM_LENGTH = len(_FILE_CHECKSUM) - 2 + 64

_FIELD = b',"checksum":"'
_LINE_CHECKSUM_LENGTH = len(_FIELD) + 16 + len(b'"}')
_LINE_CHECKSUM = re.compile(rb',"checksum":"[0-9a-f]{16}"\}')
_END_OF_LINE_CHECKSUM = re.compile(rb'[0-9a-f]{16}"\}')


def write_checksummed(path: Path, content: bytes) -> None:
    """Write a file with its seal, completely or not at all.

    Raises:
        NotWritten: the disk is full, or the folder is read-only for example.
    """
    with atomic_write(path) as temporary:
        temporary.write_bytes(content + _file_checksum(content))


def read_checksummed(path: Path) -> bytes | None:
    """The content of a file that `write_checksummed` has written; None where it is anything else, or damaged.

    Raises:
        OSError: it cannot be read, because it is not there for example.
    """
    sealed = path.read_bytes()
    content = sealed[:-_FILE_CHECKSUM_LENGTH]
    return content if sealed == content + _file_checksum(content) else None


def _file_checksum(content: bytes) -> bytes:
    return _FILE_CHECKSUM % hashlib.sha256(content).hexdigest().encode()


def checksummed_line(text: bytes) -> bytes:
    """The text of a JSON object, with a last field `checksum`: the beginning of the SHA-256 of the text without it."""
    return text[:-1] + _FIELD + _line_checksum(text) + b'"}'


def append_checksummed(descriptor: int, path: Path, text: bytes) -> None:
    """Write one line to the end of an open file; when this returns it is on the disk.

    Args:
        descriptor: of the file, opened for appending.
        path: of the file, for messages.
        text: of a JSON object.

    Raises:
        NotWritten: for example because the disk is full; what was there before is untouched.
    """
    line = checksummed_line(text) + b"\n"
    before = os.fstat(descriptor).st_size
    with writing(path):
        try:
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        except BaseException as error:
            # Where only a signal came between, what was written completely stays.
            if line or isinstance(error, OSError):
                os.ftruncate(descriptor, before)
            raise


def verified_line(line: bytes) -> tuple[bytes, bool | None]:
    """A line without its checksum, and whether that is right; None where there is none: old lines have none.

    One damaged byte does not make a line look as if it never had a checksum.
    """
    end = line[-_LINE_CHECKSUM_LENGTH:]
    if _LINE_CHECKSUM.fullmatch(end):
        text = line[:-_LINE_CHECKSUM_LENGTH] + b"}"
        return text, checksummed_line(text) == line
    marked = end.startswith(_FIELD) or _END_OF_LINE_CHECKSUM.fullmatch(end[len(_FIELD) :])
    return line, False if marked else None


def _line_checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()
