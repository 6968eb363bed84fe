"""Where files lie, and how they are written: completely or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, which takes the place of `path` at the end of the block.

    Where the block fails, what was there before is left as it was. The folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
