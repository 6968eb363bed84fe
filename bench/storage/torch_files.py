"""Files of tensors and plain values that `torch.save` has written, read so that a hostile file does no harm."""

import io
import pickletools
import re
import zipfile
from typing import Any, BinaryIO, cast

import torch

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
