"""Checksums of files and lines that are read again: a flipped bit or a lost end is detected, and its work repeated.

A run of weeks leaves thousands of files on disks that fill up, on machines that lose power. A damaged checkpoint may
still load and a damaged record may still be valid JSON, so damage that is not detected becomes a wrong number. Files
therefore end in a checksum, which torch ignores when it reads them, and lines of JSON have one as their last field. It
protects against damage, not against people: anyone who changes a file on purpose can compute its checksum too.
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
    """Write a file with its checksum, completely or not at all.

    Args:
        path: Path of the file.
        content: Content without the checksum.

    Raises:
        NotWritten: The disk is full or the folder is read-only, for example.
    """
    with atomic_write(path) as temporary:
        temporary.write_bytes(content + _file_checksum(content))


def read_checksummed(path: Path) -> bytes | None:
    """The content of a file that `write_checksummed` has written; None if it is damaged or something else.

    Raises:
        OSError: The file cannot be read; it may not exist, for example.
    """
    checksummed = path.read_bytes()
    content = checksummed[:-_FILE_CHECKSUM_LENGTH]
    return content if checksummed == content + _file_checksum(content) else None


def _file_checksum(content: bytes) -> bytes:
    return _FILE_CHECKSUM % hashlib.sha256(content).hexdigest().encode()


def checksummed_line(text: bytes) -> bytes:
    """The text of a JSON object with a last field `checksum`: 16 digits of the SHA-256 of the text without it.

    Example:
        >>> line = checksummed_line(b'{"accuracy":91.5}')
        >>> line
        b'{"accuracy":91.5,"checksum":"0ba1d717e6f2d462"}'
        >>> verified_line(line)
        (b'{"accuracy":91.5}', True)
        >>> verified_line(line.replace(b"91.5", b"91.4"))
        (b'{"accuracy":91.4}', False)
    """
    return text[:-1] + _FIELD + _line_checksum(text) + b'"}'


def append_checksummed(descriptor: int, path: Path, text: bytes) -> None:
    """Append a line with its checksum to an open file; on return the line is on the disk.

    Args:
        descriptor: Descriptor of the file, opened for appending.
        path: Path of the file, for messages.
        text: Text of a JSON object, without checksum.

    Raises:
        NotWritten: The disk is full, for example; the file is as it was before.
    """
    line = checksummed_line(text) + b"\n"
    before = os.fstat(descriptor).st_size
    with writing(path):
        try:
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        except BaseException as error:
            # A line that was written completely before a signal arrived is valid and remains.
            if line or isinstance(error, OSError):
                os.ftruncate(descriptor, before)
            raise


def verified_line(line: bytes) -> tuple[bytes, bool | None]:
    """Check the checksum of a line.

    A line without a checksum is accepted, since old versions wrote none. One damaged byte cannot make a line with a
    checksum look like one without.

    Returns:
        The line without its checksum, and whether the checksum is right; None if the line has none.
    """
    end = line[-_LINE_CHECKSUM_LENGTH:]
    if _LINE_CHECKSUM.fullmatch(end):
        text = line[:-_LINE_CHECKSUM_LENGTH] + b"}"
        return text, checksummed_line(text) == line
    marked = end.startswith(_FIELD) or _END_OF_LINE_CHECKSUM.fullmatch(end[len(_FIELD) :])
    return line, False if marked else None


def _line_checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()
