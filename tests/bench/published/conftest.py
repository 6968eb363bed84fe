"""Published numbers as a file holds them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from opselect.bench.published.numbers import Published, read
from tests.bench.published.examples import FILE


@pytest.fixture
def numbers(tmp_path: Path) -> Callable[..., Published]:
    """`numbers(LOGGED)` reads a file with these numbers, each the inside of an inline table."""

    def reading(*entries: str) -> Published:
        path = tmp_path / "numbers.toml"
        path.write_text(FILE.replace("NUMBERS", ",\n    ".join(f"{{ {entry} }}" for entry in entries)))
        return read(path)

    return reading
