"""The official files of NAS-Bench-201: `NAS-Bench-201-v1_0-e61699.pth` and `NAS-Bench-201-v1_1-096897.pth`.

Both are torch files of nested dictionaries, in which every architecture has some ten thousand entries (every epoch of
every training). Loaded as a whole they need over 10 GB. Here they are read as a stream: as soon as an architecture is
complete, its last accuracies become rows of the table and the rest is released.
"""

import hashlib
import pickle
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

from opselect.bench.tables.importers.results import rows_of
from opselect.bench.tables.importers.rows import Progress, Rows
from opselect.spaces.errors import MissingData, in_one_line
from opselect.spaces.restricted_pickle import NumberType, RestrictedUnpickler
from opselect.spaces.table import InvalidTable, Table

EXPECTED = "expected NAS-Bench-201-v1_1-096897.pth or NAS-Bench-201-v1_0-e61699.pth"
KEYS = {"meta_archs", "arch2infos", "evaluated_indexes"}
BUDGETS = {"less", "full"}
# The numbers at the start of torch's format before version 1.6, each a separate pickle.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001


class _ForgottenObject(Exception):
    """The file refers to an object of an earlier architecture, which is released already."""


def read_official(path: Path, progress: Progress) -> Table:
    """Import an official file in little memory, whatever its size.

    Args:
        path: Path of the `.pth` file, in torch's format from before or after version 1.6.
        progress: Called with the percentage of the file that is read, and 100.

    Raises:
        MissingData: The file cannot be read.
        InvalidTable: The file is damaged or holds something else.
    """
    try:
        try:
            rows, content = _read(path, progress, forget=True)
        except _ForgottenObject:
            rows, content = _read(path, progress, forget=False)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except InvalidTable:
        raise
    except OSError as error:
        raise MissingData(f"{path}: cannot be read ({error.strerror or error}); {EXPECTED}") from error
    except Exception as error:  # a damaged file can fail in any way
        raise InvalidTable(f"{path}: {in_one_line(error)}; {EXPECTED}") from error
    names = content["meta_archs"]
    notes = {"sha256": digest, "architectures": f"{len(content['arch2infos'])} evaluated of {len(names)} listed"}
    return rows.table(path, "official file of NAS-Bench-201", notes)


def _read(path: Path, progress: Progress, forget: bool) -> tuple[Rows, dict[str, Any]]:
    """Read a file once.

    Args:
        path: Path of the file.
        progress: Called with the percentage of the file that is read, and 100.
        forget: Whether the objects of an architecture are released when it is complete.

    Returns:
        The rows, and the outermost dictionary of the file, in which the architectures are empty.
    """
    rows = Rows()
    shared: dict[int, Any] = {}

    def filled(value: dict[Any, Any]) -> None:
        if len(value) != len(BUDGETS) or value.keys() != BUDGETS:
            return
        rows.add(rows_of(value, str(path)), str(path))
        value.clear()
        progress(100 * stream.tell() // size, 100)
        if forget:
            # The memo holds all objects that were read, in case the file refers to them again.
            shared.update((n, v) for n, v in unpickler.memo.items() if n not in shared and _is_shared(v))
            unpickler.memo.clear()
            unpickler.memo.update(shared)

    with _object_stream(path) as (stream, size):
        unpickler = RestrictedUnpickler(stream, filled=filled)
        try:
            content = unpickler.load()
        except pickle.UnpicklingError as error:
            if forget and "Memo value not found" in str(error):
                raise _ForgottenObject from error
            raise
    if not isinstance(content, dict) or not all(isinstance(content.get(key), Collection) for key in KEYS):
        raise InvalidTable(f"{path}: a torch file without {', '.join(sorted(KEYS))}; {EXPECTED}")
    return rows, content


def _is_shared(value: object) -> bool:
    """Whether several architectures may refer to a value: names of attributes, functions, number types.

    Names of single epochs, such as "x-valid@11", are not shared: there are millions, each used by one training.
    """
    if isinstance(value, str):
        return "@" not in value
    return callable(value) or isinstance(value, NumberType)


@contextmanager
def _object_stream(path: Path) -> Iterator[tuple[BufferedIOBase, int]]:
    """Open the pickle in a torch file; yields a stream and its length in bytes."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            file.seek(0)
            start = [RestrictedUnpickler(file).load() for _ in range(3)]
            if start[:2] != [MAGIC_NUMBER, PROTOCOL_VERSION]:
                raise InvalidTable(f"{path}: no torch file; {EXPECTED}")
            yield file, path.stat().st_size
            return
        with zipfile.ZipFile(file) as archive:
            members = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            # torch does not compress, and a compressed file can unpack to any length.
            if not members or archive.getinfo(members[0]).compress_type != zipfile.ZIP_STORED:
                raise InvalidTable(f"{path}: no torch file; {EXPECTED}")
            with archive.open(members[0]) as member:
                yield cast(BufferedIOBase, member), archive.getinfo(members[0]).file_size
