"""NATS-Bench's topology folders, such as `NATS-tss-v1_0-3ffb9-simple`: a bzip2 pickle per architecture, and a list.

The pickles have the structure of the official NAS-Bench-201 files, with the results of newer trainings.
"""

import bz2
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opselect.bench.runtime.parallel import in_parallel
from opselect.bench.tables.importers.results import rows_of
from opselect.bench.tables.importers.rows import Progress, Row, Rows
from opselect.spaces.errors import in_one_line
from opselect.spaces.restricted_pickle import LimitedStream, RestrictedUnpickler
from opselect.spaces.table import InvalidTable, Table

EXTENSION = "pickle.pbz2"
# Limits of one unpacked pickle: several times the size of the published ones, and less than the memory of a laptop.
LARGEST_MEMBER = 32 * 2**20
MOST_STEPS = 600_000
EXPECTED = "expected a folder such as NATS-tss-v1_0-3ffb9-simple"


def read_nats(folder: Path, progress: Progress, workers: int) -> Table:
    """Import a folder of NATS-Bench (topology).

    Args:
        folder: Folder with `meta.pickle.pbz2`, which lists the architectures, and one file per architecture.
        progress: Called with the number of files that are read and their total.
        workers: Number of processes that read files.

    Raises:
        InvalidTable: A file is missing or damaged.
    """
    names = _load(folder / f"meta.{EXTENSION}")
    names = names.get("meta_archs") if isinstance(names, dict) else None
    if not isinstance(names, Iterable) or not names:
        raise InvalidTable(f"{folder}: meta.{EXTENSION} lists no architectures; {EXPECTED}")
    members = [folder / f"{number:06d}.{EXTENSION}" for number, _ in enumerate(names)]
    missing = [member.name for member in members if not member.is_file()]
    if missing:
        raise InvalidTable(
            f"{folder}: {len(missing)} of {len(members)} members are missing, {missing[0]} for example; "
            "unpack the archive again"
        )
    rows = Rows()
    for done, member_rows in enumerate(in_parallel(_read_member, members, workers), start=1):
        rows.add(member_rows, str(folder))
        progress(done, len(members))
    return rows.table(folder, "NATS-Bench (topology)", {"architectures": f"{len(members)} listed"})


def _read_member(member: Path) -> list[Row]:
    return rows_of(_load(member), str(member))


def _load(member: Path) -> Any:
    try:
        with bz2.open(member) as stream:
            return RestrictedUnpickler(LimitedStream(stream, LARGEST_MEMBER), most_steps=MOST_STEPS).load()
    except Exception as error:  # a damaged file can fail in any way
        raise InvalidTable(f"{member}: not readable ({in_one_line(error)}); {EXPECTED}") from error
