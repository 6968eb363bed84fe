"""Pickles of other projects, read without running any code that they name.

Several benchmarks publish their accuracies as pickles only, and a pickle is a program: it names functions and the
arguments to call them with, so opening a file from the internet can do anything that its author likes. Even a pickle
that calls nothing harmful can fill the memory: a hundred bytes can describe an array of any size, or nested tuples of
a thousand million elements.

So a pickle may name only what published files need. Python's own types stand for themselves; NumPy's functions are
replaced by stand-ins that accept exactly what NumPy itself writes. The instructions are executed by the standard
library's unpickler in Python, not by the one in C, since only the former can refuse and count single instructions.
"""

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np

Names: TypeAlias = Mapping[tuple[str, str], Any]
"""What a pickle may refer to: the object that it gets for `(module, name)`."""

MOST_NESTED = 1000
"""Limit of elements, at all levels together, of a tuple that holds tuples; repeated elements count every time."""


@runtime_checkable
class Stream(Protocol):
    """The methods of a file that an unpickler uses."""

    def read(self, size: int, /) -> bytes:
        """Read `size` bytes, fewer at the end."""

    def readline(self) -> bytes:
        """Read the rest of a line."""


class LimitedStream:
    """A stream with a limit of bytes, since a small compressed file can unpack to any length.

    Args:
        stream: File at the start of its content.
        most: Number of bytes that may be read.
    """

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._most = self._left = most

    def read(self, size: int, /) -> bytes:
        """Read `size` bytes, fewer at the end.

        Raises:
            UnpicklingError: The limit is exceeded.
        """
        return self._counted(self._stream.read(min(size, self._left + 1)))

    def readline(self) -> bytes:
        """Read the rest of a line.

        Raises:
            UnpicklingError: The limit is exceeded.
        """
        return self._counted(self._stream.readline(self._left + 1))

    def _counted(self, read: bytes) -> bytes:
        self._left -= len(read)
        if self._left < 0:
            raise pickle.UnpicklingError(f"it unpacks to more than {self._most:,} bytes")
        return read


class NumberType:
    """Stands for `numpy.dtype`, a type of numbers. The whole process shares the real ones, which a pickle could alter.

    Raises:
        UnpicklingError: The type is not one of numbers.
    """

    def __init__(self, code: str, align: object = False, copy: object = False) -> None:
        if not isinstance(code, str) or not re.fullmatch("[biuf][1248]", code):
            raise pickle.UnpicklingError("it holds an array of something else than numbers")
        self._code = code
        self._order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Set the byte order, which NumPy writes after the type."""
        match state:
            case (int(), "<" | ">" | "|" | "=" as order, None, None, None, *_):
                self._order = order
            case _:
                raise pickle.UnpicklingError("it holds an array of something else than numbers")

    @property
    def plain(self) -> np.dtype[Any]:
        """The NumPy type."""
        return np.dtype(self._order + self._code)


class _Array(np.ndarray):
    """An array that accepts only numbers from a pickle, and exactly as many as its shape has."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        match state:
            case (int(), tuple() as shape, NumberType() as kind, fortran, str() | bytes() as content):
                super().__setstate__(cast(Any, (1, shape, kind.plain, bool(fortran), _as_bytes(content))))
            case _:
                raise pickle.UnpicklingError("it holds something that NumPy does not write")


def _as_bytes(content: str | bytes) -> bytes:
    # Python 2 wrote bytes as text in latin1, one character per byte.
    return content.encode("latin1") if isinstance(content, str) else content


def _encoded(text: str, encoding: str) -> bytes:
    """Stands for `_codecs.encode`, by which old protocols write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("it encodes something else than bytes")
    return _as_bytes(text)


def _scalar(kind: NumberType, content: str | bytes) -> Any:
    """Stands for NumPy's `scalar`, the function that makes single numbers."""
    data = _as_bytes(content)
    if len(data) != kind.plain.itemsize:
        raise pickle.UnpicklingError(f"it holds a number of {len(data)} bytes, expected {kind.plain.itemsize}")
    return np.frombuffer(data, kind.plain)[0]


def _empty_array(kind: object, shape: object, code: object) -> np.ndarray:
    """Stands for NumPy's `_reconstruct`, the function that makes an empty array, which is filled afterwards."""
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
    """An unpickler that resolves the given names only and reports dictionaries while it reads.

    It is the standard library's unpickler in Python: the fast one in C cannot be observed while it reads, and reserves
    as much memory as a pickle requests.

    Args:
        stream: File at the beginning of a pickle.
        names: Objects that the pickle may refer to.
        filled: Called with every dictionary that has just received several items; it may change the dictionary, for
            example empty it to save memory.
        most_steps: Limit of instructions, each of which can make an object; None for no limit, where the file is as
            large as its content.

    Example:
        >>> import io
        >>> RestrictedUnpickler(io.BytesIO(pickle.dumps({"accuracy": [91.5, 92.0]}))).load()
        {'accuracy': [91.5, 92.0]}
        >>> RestrictedUnpickler(io.BytesIO(pickle.dumps(print))).load()
        Traceback (most recent call last):
            ...
        _pickle.UnpicklingError: it asks for builtins.print, which no published file needs; nothing of it was run
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
        """The object of a given name; nothing is imported.

        Raises:
            UnpicklingError: The name is not one of the given names.
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
            UnpicklingError: Always.
        """
        raise pickle.UnpicklingError("it holds tensors, which no table of accuracies needs")

    def _load_setitems(self) -> None:
        pickle._Unpickler.dispatch[pickle.SETITEMS[0]](cast(Any, self))
        if self._filled is not None:
            self._filled(self.stack[-1])

    def _load_build(self) -> None:
        # Functions and classes are shared by all files of the process, so no file may change one.
        if callable(self.stack[-2]):
            raise pickle.UnpicklingError("it changes a function or a class")
        pickle._Unpickler.dispatch[pickle.BUILD[0]](cast(Any, self))

    def _refuse(self) -> None:
        raise pickle.UnpicklingError("it holds something that no published file needs")

    def _bounded(self) -> None:
        """Refuse nested tuples that are short in the file but would take forever to hash or print.

        A tuple that holds its predecessor twice doubles the number of elements with every level.
        """
        made = self.stack[-1]
        inner = [element for element in made if type(element) is tuple]
        if not inner:
            return
        size = len(made) + sum(self._nested[id(item)][1] if id(item) in self._nested else len(item) for item in inner)
        if size > MOST_NESTED:
            raise pickle.UnpicklingError("its tuples are nested too deeply")
        # A reference to the tuple stays here, so that no later tuple gets the same id.
        self._nested[id(made)] = made, size

    dispatch[pickle.SETITEMS[0]] = _load_setitems
    dispatch[pickle.BUILD[0]] = _load_build
    # Refused: a reservation of memory by a number in the file, hashable sets of any size as dictionary keys, and
    # extensions that some module of the process has registered.
    for _code in (pickle.BYTEARRAY8, pickle.FROZENSET, pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_code[0]] = _refuse
    for _code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):

        def _tuple(self: Any, _make: Callable[[Any], None] = pickle._Unpickler.dispatch[_code[0]]) -> None:
            _make(self)
            self._bounded()

        dispatch[_code[0]] = _tuple


class _Counting(dict[int, Callable[[Any], None]]):
    """Instructions by number, with a limit of look-ups: the unpickler looks one up per step."""

    def __init__(self, instructions: Mapping[int, Callable[[Any], None]], most: int) -> None:
        super().__init__(instructions)
        self._left = self._most = most

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self._left -= 1
        if self._left < 0:
            raise pickle.UnpicklingError(f"it has more than {self._most:,} instructions")
        return super().__getitem__(code)
