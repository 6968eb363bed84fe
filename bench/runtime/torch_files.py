"""Files of tensors and plain values that `torch.save` has written, opened so that a hostile one does no harm."""

import io
import pickletools
import re
import zipfile
from typing import Any, BinaryIO, cast

import torch

# All that the state of a module, an optimizer and a schedule refers to.
_STATE_NAME = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch [A-Za-z0-9]+Storage"
)
_FORBIDDEN_STEPS = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "BYTEARRAY8"}


MOST_VALUES = 1_000_000
"""In the state of a network, an optimizer and a schedule; each counts as often as it occurs."""


def read_torch_file(content: bytes) -> Any:
    """What `torch.save` has written of tensors and plain values.

    torch's own safe mode runs nothing, but a file of a hundred bytes can make it reserve any amount of memory.

    Raises:
        Exception: of any kind, since damaged bytes can mean anything.
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
        with archive.open(objects[0]) as member:
            for step, argument, _ in pickletools.genops(cast(BinaryIO, member)):
                named = step.name == "GLOBAL" and not _STATE_NAME.fullmatch(cast(str, argument))
                if named or step.name in _FORBIDDEN_STEPS:
                    raise ValueError(f"it asks for {argument}, which no tensor needs")


def _values_in(state: Any, counted: dict[int, int]) -> int:
    """How many values there are in all. Thirty tuples that hold their predecessor twice are a thousand million.

    Raises:
        RecursionError: it holds itself, or is nested deeply.
    """
    match state:
        case dict():
            parts = [*state.keys(), *state.values()]
        case tuple() | list() | set() | frozenset():
            parts = list(state)
        case _:
            return 1
    if id(state) not in counted:
        counted[id(state)] = 1 + sum(_values_in(part, counted) for part in parts)
    return counted[id(state)]
