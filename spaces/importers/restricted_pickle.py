"""Pickles of other projects, read without running anything that they ask for."""

import codecs
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from io import BufferedIOBase
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np

Names: TypeAlias = Mapping[tuple[str, str], Any]
"""What a pickle may refer to: `(module, name)` and the object that it gets."""

_SCALAR = np.float64(0).__reduce__()[0]

HARMLESS: Names = {
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("_codecs", "encode"): codecs.encode,
}
"""What published benchmark files refer to: sets, ordered dictionaries and NumPy numbers, whose bytes old
protocols encode."""


class RestrictedUnpickler(pickle._Unpickler):
    """The standard library's unpickler in Python, which knows the given names only and tells of dictionaries.

    The fast one in C cannot be watched while it reads, and reserves as much memory as a pickle asks for.

    Args:
        stream: at the beginning of a pickle.
        names: what the pickle may refer to.
        filled: told of every dictionary that has just got several items; it may change the dictionary.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    memo: dict[int, Any]
    stack: list[Any]

    def __init__(
        self, stream: BufferedIOBase, names: Names = HARMLESS, filled: Callable[[dict[Any, Any]], None] | None = None
    ) -> None:
        super().__init__(stream, encoding="latin1")
        self._names = names
        self._filled = filled

    def find_class(self, module: str, name: str) -> Any:
        """One of the given names; nothing is imported.

        Raises:
            UnpicklingError: it is any other.
        """
        try:
            return self._names[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no table of accuracies needs; nothing of it was run"
            ) from None

    def persistent_load(self, identifier: object) -> Any:
        """Refuse the tensors of a torch file.

        Raises:
            UnpicklingError: always.
        """
        raise pickle.UnpicklingError("it holds tensors, which no table of accuracies needs")

    def _load_setitems(self) -> None:
        pickle._Unpickler.dispatch[pickle.SETITEMS[0]](cast(Any, self))
        if self._filled is not None:
            self._filled(self.stack[-1])

    dispatch[pickle.SETITEMS[0]] = _load_setitems
