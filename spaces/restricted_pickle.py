"""Pickles of other projects, read without running anything that they ask for.

A pickle is a program: it names functions and says what to call them with. Here it may name a few things only, and what
it gets for NumPy's are stand-ins which take exactly what NumPy itself writes down.
"""

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np

Names: TypeAlias = Mapping[tuple[str, str], Any]
"""What a pickle may refer to: `(module, name)` and the object that it gets."""

MOST_NESTED = 1000
"""A tuple that holds tuples may have so many elements in all, each counted as often as it occurs."""


@runtime_checkable
class Stream(Protocol):
    """What a pickle is read from."""

    def read(self, size: int, /) -> bytes:
        """So many bytes, fewer at the end."""

    def readline(self) -> bytes:
        """The rest of a line."""


class LimitedStream:
    """The beginning of a stream, which may unpack to any length.

    Args:
        stream: at its start.
        most: bytes that may be read.
    """

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._most = self._left = most

    def read(self, size: int, /) -> bytes:
        """So many bytes.

        Raises:
            UnpicklingError: that goes beyond the limit.
        """
        return self._counted(self._stream.read(min(size, self._left + 1)))

    def readline(self) -> bytes:
        """The rest of a line.

        Raises:
            UnpicklingError: that goes beyond the limit.
        """
        return self._counted(self._stream.readline(self._left + 1))

    def _counted(self, read: bytes) -> bytes:
        self._left -= len(read)
        if self._left < 0:
            raise pickle.UnpicklingError(f"it unpacks to more than {self._most:,} bytes")
        return read


class NumberType:
    """Stands for `numpy.dtype`: a kind of number. A real one is shared by the whole process, and could be altered.

    Raises:
        UnpicklingError: it is a type of something else than numbers.
    """

    def __init__(self, code: str, align: object = False, copy: object = False) -> None:
        if not isinstance(code, str) or not re.fullmatch("[biuf][1248]", code):
            raise pickle.UnpicklingError("it holds an array of something else than numbers")
        self._code = code
        self._order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the order of bytes, which NumPy writes down after the type."""
        match state:
            case (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_):
                self._order = order
            case _:
                raise pickle.UnpicklingError("it holds an array of something else than numbers")

    @property
    def plain(self) -> np.dtype[Any]:
        """The type itself."""
        return np.dtype(self._order + self._code)


class _Array(np.ndarray):
    """An array that takes from a pickle nothing but numbers, and as many of them as its shape says."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        match state:
            case (int(), tuple() as shape, NumberType() as kind, fortran, str() | bytes() as content):
                super().__setstate__(cast(Any, (1, shape, kind.plain, bool(fortran), _as_bytes(content))))
            case _:
                raise pickle.UnpicklingError("it holds something that NumPy does not write")


def _as_bytes(content: str | bytes) -> bytes:
    # Python 2 wrote bytes as text, of which each character is a byte in latin1.
    return content.encode("latin1") if isinstance(content, str) else content


def _encoded(text: str, encoding: str) -> bytes:
    """Stands for `_codecs.encode`: how old protocols write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("it encodes something else than bytes")
    return _as_bytes(text)


def _scalar(kind: NumberType, content: str | bytes) -> Any:
    """Stands for the function that makes NumPy's numbers."""
    data = _as_bytes(content)
    if len(data) != kind.plain.itemsize:
        raise pickle.UnpicklingError(f"it holds a number of {len(data)} bytes, expected {kind.plain.itemsize}")
    return np.frombuffer(data, kind.plain)[0]


def _empty_array(kind: object, shape: object, code: object) -> np.ndarray:
    """Stands for the function that makes an empty array, which is filled afterwards."""
    if shape != (0,):
        raise pickle.UnpicklingError("it asks for an array without its content")
    return np.ndarray.__new__(_Array, (0,), np.uint8)


HARMLESS: Names = {
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): NumberType,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encoded,
}
"""What published benchmark files refer to: sets, ordered dictionaries and NumPy's numbers."""

ARRAYS: Names = {
    ("numpy", "dtype"): NumberType,
    ("numpy", "ndarray"): None,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("_codecs", "encode"): _encoded,
}
"""All that the pickle of a NumPy array refers to."""


class RestrictedUnpickler(pickle._Unpickler):
    """The standard library's unpickler in Python, which knows the given names only and tells of dictionaries.

    The fast one in C cannot be watched while it reads, and reserves as much memory as a pickle asks for.

    Args:
        stream: at the beginning of a pickle.
        names: what the pickle may refer to.
        filled: told of every dictionary that has just got several items; it may change the dictionary.
        most_steps: how many instructions the pickle may have, each of which can make an object; None for any number,
            where the file itself is as large as what comes of it.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    memo: dict[int, Any]
    stack: list[Any]

    def __init__(
        self,
        stream: Stream,
        names: Names = HARMLESS,
        filled: Callable[[dict[Any, Any]], None] | None = None,
        most_steps: int | None = None,
    ) -> None:
        super().__init__(cast(Any, stream), encoding="latin1")
        self._names = names
        self._filled = filled
        self._nested: dict[int, tuple[tuple[Any, ...], int]] = {}
        if most_steps is not None:
            vars(self)["dispatch"] = _Counting(self.dispatch, most_steps)

    def find_class(self, module: str, name: str) -> Any:
        """One of the given names; nothing is imported.

        Raises:
            UnpicklingError: it is any other.
        """
        try:
            return self._names[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no published file needs; nothing of it was run"
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

    def _load_build(self) -> None:
        # What several files share must not be changed by one of them.
        if callable(self.stack[-2]):
            raise pickle.UnpicklingError("it changes a function or a class")
        pickle._Unpickler.dispatch[pickle.BUILD[0]](cast(Any, self))

    def _refuse(self) -> None:
        raise pickle.UnpicklingError("it holds something that no published file needs")

    def _bounded(self) -> None:
        """Refuse a tuple of tuples of tuples that is short in the file and endless for whoever hashes or prints it."""
        made = self.stack[-1]
        parts = [part for part in made if type(part) is tuple]
        if not parts:
            return
        size = len(made) + sum(self._nested[id(part)][1] if id(part) in self._nested else len(part) for part in parts)
        if size > MOST_NESTED:
            raise pickle.UnpicklingError("its tuples are nested too deeply")
        # The tuple is kept so that no other one gets its number.
        self._nested[id(made)] = made, size

    dispatch[pickle.SETITEMS[0]] = _load_setitems
    dispatch[pickle.BUILD[0]] = _load_build
    # Memory by a number in the file, dictionary keys of any size, and extensions that are registered elsewhere.
    for _code in (pickle.BYTEARRAY8, pickle.FROZENSET, pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_code[0]] = _refuse
    for _code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):

        def _tuple(self: Any, _make: Callable[[Any], None] = pickle._Unpickler.dispatch[_code[0]]) -> None:
            _make(self)
            self._bounded()

        dispatch[_code[0]] = _tuple


class _Counting(dict[int, Callable[[Any], None]]):
    """Instructions by number, so many of which may be looked up."""

    def __init__(self, instructions: Mapping[int, Callable[[Any], None]], most: int) -> None:
        super().__init__(instructions)
        self._left = self._most = most

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self._left -= 1
        if self._left < 0:
            raise pickle.UnpicklingError(f"it has more than {self._most:,} instructions")
        return super().__getitem__(code)
