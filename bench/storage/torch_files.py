"""Files of tensors and plain values: read so that a hostile file does no harm, and cached with what they are of.

A cached file lies under a name that says what it is of, but a file can be copied over another one, and its checksum is
right wherever it lies. So the file itself names what it is of, and its reader names what is expected.
"""

import contextlib
import io
import logging
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import torch

from opselect.bench.storage.checksums import read_checksummed, write_checksummed

log = logging.getLogger(__name__)

# The only names that the state of a module, an optimizer or a schedule refers to.
_STATE_NAME = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch [A-Za-z0-9]+Storage"
)
_FORBIDDEN_STEPS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "BYTEARRAY8"}


MOST_VALUES = 1_000_000
"""Limit of values in a file; a value counts as often as it occurs."""


def read_torch_file(content: bytes) -> Any:
    """Read tensors and plain values that `torch.save` has written.

    torch's own safe mode runs no code of the file, but a file of a hundred bytes can make it reserve any amount of
    memory. Therefore the instructions of the pickle are checked first, and the values are counted afterwards.

    Args:
        content: Bytes of the file.

    Raises:
        Exception: Of any class, since a damaged file can fail in any way.

    Example:
        >>> file = io.BytesIO()
        >>> torch.save({"weights": torch.tensor([0.5, 1.5]), "epoch": 3}, file)
        >>> read_torch_file(file.getvalue())
        {'weights': tensor([0.5000, 1.5000]), 'epoch': 3}
    """
    _check_state(content)
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if _values_in(state, {}) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values")
    return state


class Identity(NamedTuple):
    """What a cached file is of.

    Attributes:
        key: Hash of everything that determines the content.
        words: The same in words, for messages.
    """

    key: str
    words: str


def write_cached(path: Path, identity: Identity, content: Mapping[str, Any]) -> None:
    """Write a file with its identity and a checksum, completely or not at all.

    Args:
        path: Path of the file.
        identity: What the content is of.
        content: Tensors and plain values by name.

    Raises:
        NotWritten: The disk is full or the folder is read-only, for example.
    """
    buffer = io.BytesIO()
    torch.save({**content, "identity": tuple(identity)}, buffer)
    write_checksummed(path, buffer.getvalue())


def read_cached(path: Path, expected: Identity, names: set[str], remedy: str) -> dict[str, Any] | None:
    """The content of a file that `write_cached` has written.

    Args:
        path: Path of the file.
        expected: What the content must be of.
        names: Names of its values.
        remedy: What happens instead where the file is not believed, for the warning.

    Returns:
        Values by name; None where there is no file, and, with a warning in the log, where it is damaged, of something
        else, or of a version that did not write identities.
    """
    if not path.exists():
        return None
    saved: Any = None
    with contextlib.suppress(Exception):  # a foreign file can raise anything
        saved = read_torch_file(read_checksummed(path) or b"")
    values = saved if isinstance(saved, dict) else {}
    match values.pop("identity", None):
        case (expected.key, str()) if values.keys() == names:
            return values
        case (str(key), str(words)) if key != expected.key:
            problem = f"it is of {words} ({key}), expected {expected.words} ({expected.key})"
        case None if values.keys() == names:
            problem = f"it does not say what it is of, expected {expected.words} ({expected.key})"
        case _:
            problem = "damaged"
    log.warning("%s: %s; %s", path, problem, remedy)
    return None


def _check_state(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        packed = [info.filename for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED]
        objects = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if packed or len(objects) != 1:
            raise ValueError("no file that torch.save has written")
        with archive.open(objects[0]) as stream:
            for step, argument, _ in pickletools.genops(cast(BinaryIO, stream)):
                named = step.name == "GLOBAL" and not _STATE_NAME.fullmatch(cast(str, argument))
                if named or step.name in _FORBIDDEN_STEPS:
                    raise ValueError(f"it asks for {argument}, which no tensor needs")


def _values_in(state: Any, counted: dict[int, int]) -> int:
    """Number of values at all levels. Thirty tuples that hold their predecessor twice have a thousand million.

    Args:
        state: Value to count.
        counted: Counts by id of containers that were counted before; every container is visited once.

    Raises:
        RecursionError: A container holds itself or is nested deeply.
    """
    match state:
        case dict():
            elements = [*state.keys(), *state.values()]
        case tuple() | list() | set() | frozenset():
            elements = list(state)
        case _:
            return 1
    if id(state) not in counted:
        counted[id(state)] = 1 + sum(_values_in(element, counted) for element in elements)
    return counted[id(state)]
