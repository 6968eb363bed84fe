"""How files that somebody else may have written are opened: never more of them than such a file has."""

import io
import tomllib
from pathlib import Path
from typing import Any

LARGEST_TEXT = 2**20
"""Bytes of a file that people write: an experiment, published numbers, a genotype."""


MOST_DOTS = 2000
"""In a line of TOML. Python's parser takes time by the square of the parts of a dotted name."""


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
