"""How files that somebody else may have written are opened: never more of them than such a file has."""

import io
from pathlib import Path

LARGEST_TEXT = 2**20
"""Bytes of a file that people write: an experiment, published numbers, a genotype."""


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
