"""Hostile and broken inputs: valid documents, changed in their bytes or in what they say."""

import copy
import io
import json
import pickle
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import tomli_w
import torch
from hypothesis import strategies as st

from . import seeds
from .targets import Hostile, Target


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


DEPTH = 300
DEEP = nested(DEPTH)
MOST_LEVELS = 12
"""How deep edits go."""


def laughing(depth: int) -> Any:
    """A few tuples that are two to the power of `depth` tuples to whoever walks through them."""
    found: Any = ()
    for _ in range(depth):
        found = (found, found)
    return found


PLAIN: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 99, 2**31, 2**63, -(2**63) - 1, 2**64, 10**400, 0.0, -0.0, 1.5, -1e308, 1e999, -1e999,
    float("nan"), "", " ", "x", "nan", "random", "digits", "nasbench201", "cifar10", "\x00", "a\nb", "\x1b[2J",
    "\u202eabc",
    "\u200b", "é", "漢", "😀", "x" * 5000, "../../etc/passwd", "{{ 7*7 }}", "<script>", "%s%n", "=1+1", "9" * 5000,
    [], [[]], {}, {"": ""}, [1, 1], [None], ["a", 1], {"a": {"a": {}}}, {"x\ny": 1}, [[0] * 20] * 20,
)  # fmt: skip
"""What any value of a document may be replaced by."""

ARRAYS: tuple[Any, ...] = (
    np.zeros(0), np.zeros((0, 3, 8, 8), np.uint8), np.zeros((6, 3, 8, 8)), np.full((6, 3, 8, 8), np.nan),
    np.zeros((6, 8, 8), np.float16), np.zeros((6, 3, 8, 8), np.longdouble), np.zeros((6, 3, 8, 8), bool),
    np.zeros((6, 3, 8, 8), complex), np.array("text"), np.array(5), np.array([0, 1, 2, 0, 1, 2], np.uint64) + 2**63,
    np.array([0, 1, 2, 0, 1, 2], np.int8), np.array([-1] * 6), np.array(["a"] * 6), np.array([b"a"] * 6),
    np.zeros(6, "V0"),
    np.array([(1, 2.0)] * 6, "i4,f8"), np.zeros(6, "M8[s]"), np.zeros((6, 3, 1, 1), np.uint8), np.zeros((1,) * 30,
    np.uint8),
    np.zeros((6, 8, 8, 3), ">f4"), np.zeros((6, 3, 8, 8), np.uint8, order="F"), np.array([None] * 6),
    np.array([Hostile()], object),
)  # fmt: skip

TENSORS: tuple[Any, ...] = (
    torch.zeros(0), torch.zeros(()), torch.zeros(2, dtype=torch.int64), torch.zeros(2).expand(10**6, 2),
    torch.full((2,), torch.nan), torch.zeros(2, dtype=torch.complex64), torch.zeros(2, dtype=torch.bool),
    torch.zeros(1, device="meta"), torch.zeros(5056, dtype=torch.uint8), torch.nn.Parameter(torch.zeros(2)),
)  # fmt: skip

PICKLED: tuple[Any, ...] = (
    *PLAIN,
    Hostile(),
    laughing(60),
    (1,) * 7,
    {1, 2},
    frozenset({1}),
    b"bytes",
    bytearray(b"x"),
    *ARRAYS[:6],
)

EDIT = st.tuples(st.integers(0, 8), st.integers(0, 2**20 - 1), st.integers(0, 2**10), st.integers(0, 2**10))
TREE_EDIT = st.tuples(st.integers(0, 3), st.integers(0, 2**12), st.integers(0, 2**12))


def with_changed_bytes(content: bytes, edits: list[tuple[int, int, int, int]], tokens: tuple[bytes, ...]) -> bytes:
    """The content after some edits.

    Args:
        content: valid.
        edits: kind, place in millionths of the length, length, and number of a token.
        tokens: that mean something to the reader.
    """
    for kind, place, length, number in edits:
        at = place * len(content) >> 20
        token = tokens[number % len(tokens)] if tokens else bytes([number % 256])
        match kind:
            case 0:
                content = (
                    content[:at] + bytes([content[at] ^ 1 << number % 8]) + content[at + 1 :] if content else token
                )
            case 1:
                content = content[:at] + bytes([number % 256]) + content[at + 1 :]
            case 2:
                content = content[:at]
            case 3:
                content = content[:at] + content[at + length :]
            case 4:
                content = content[:at] + token + content[at:]
            case 5:
                content = content[:at] + token + content[at + len(token) :]
            case 6:
                content = content[:at] + content[at : at + length] * 2 + content[at + length :]
            case 7:
                content = content[:at] + token * length + content[at:]
            case _:
                content = content[at:] + content[:at]
    return content


def with_changed_values(tree: Any, edits: list[tuple[int, int, int]], hostile: tuple[Any, ...]) -> Any:
    """A document, of which some values are replaced, removed or added."""
    for kind, place, number in edits:
        places = list(_places(tree))
        if not places:
            return hostile[number % len(hostile)]
        holder, key = places[place % len(places)]
        value = hostile[number % len(hostile)]
        # Else a later edit would change what all inputs share.
        value = nested(DEPTH) if value is DEEP else copy.deepcopy(value) if isinstance(value, dict | list) else value
        if kind == 1:
            del holder[key]
        elif kind == 2 and isinstance(holder, dict):
            holder[("name", "index", "on", "x\ny", "seconds", 3, "label")[number % 7]] = value
        elif kind == 2:
            holder.insert(key, value)
        elif kind == 3 and isinstance(holder, dict) and isinstance(value, str):
            holder[value] = holder.pop(key)
        else:
            holder[key] = value
    return tree


def _places(tree: Any, depth: int = 0) -> Any:
    if isinstance(tree, dict | list) and depth < MOST_LEVELS:
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from _places(tree[key], depth + 1)


def json_lines(content: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    lines = [json.loads(line) for line in content.splitlines()]
    changed = with_changed_values(lines, edits, (*PLAIN, DEEP))
    return "".join(f"{json.dumps(line)}\n" for line in (changed if isinstance(changed, list) else [changed])).encode()


def toml(content: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    usable = tuple(value for value in PLAIN if value is not None and value != [None])
    tree = with_changed_values(tomllib.loads(content.decode()), edits, (*usable, DEEP))
    try:
        return tomli_w.dumps(tree).encode("utf-8", "surrogatepass") if isinstance(tree, dict) else b"\x00"
    except (ValueError, TypeError, AttributeError):  # a number that cannot be printed, a key that is none
        return b"space = 0x" + b"f" * 5000


def pickled(content: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    try:
        tree = pickle.loads(content) if b"mkdir" not in content and b"analog" not in content else {}
    except Exception:
        tree = {}
    return pickle.dumps(with_changed_values(tree, edits, PICKLED), edits[0][2] % 5 if edits else 2)


def torch_file(content: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    try:
        tree = torch.load(io.BytesIO(content), weights_only=True)
    except Exception:
        tree = seeds.official_content(1)
    changed = with_changed_values(tree, edits, (*TENSORS, *PICKLED))
    return seeds.saved(changed, zipped=not edits or edits[0][0] != 3)


def archive(content: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    """Images, some of their arrays exchanged or left out."""
    arrays = seeds.image_arrays(x_valid=np.zeros((2, 3, 8, 8), np.uint8), y_valid=np.array([0, 1]))
    names = list(arrays)
    for kind, place, number in edits:
        arrays[names[place % len(names)]] = ARRAYS[number % len(ARRAYS)]
        if kind == 0:
            del arrays[names[place % len(names)]]
    return seeds.packed(arrays, compressed=len(edits) == 2)


COLUMN_VALUES: tuple[Any, ...] = (
    pa.array([None] * 2), pa.array([True, False]), pa.array([-1.0, 101.0]), pa.array([float("nan"), float("inf")]),
    pa.array(["", "a\nb"]), pa.array(["../../x", "\u202e"]), pa.array([2**62, -1]), pa.array([b"\xff", b""]),
    pa.array([[1], []]), pa.array([{"a": 1}, None]), pa.array([0, 1], pa.timestamp("s")),
    pa.DictionaryArray.from_arrays([0, 1], ["same", "same"]), pa.DictionaryArray.from_arrays([0, None], ["one"]),
    pa.array(["valid", "test"]), pa.array([10, 10], pa.int16()), pa.array(["x" * 10**5, "y"]), pa.array([0, 0],
    pa.uint8()),
)  # fmt: skip


def metadata(version: str, space: str, provenance: str) -> bytes:
    """What a table says of itself; arguments are JSON."""
    return f'{{"version": {version}, "space": {space}, "provenance": {provenance}}}'.encode()


METADATA: tuple[bytes, ...] = (
    *(b"", b"{}", b"[]", b"null", b"\xff", b"[" * 3000, b'{"version": 1}', metadata("9" * 5000, "1", "1")),
    *(metadata(version, '"digits201"', "{}") for version in ("1", "true", "1e999", "[]", '"x"')),
    *(metadata("1", space, "{}") for space in ("[]", '{"a": 1}', '"darts"', '"a\\nb"', "null")),
    *(metadata("1", '"digits201"', provenance) for provenance in ("[]", '{"a": "\\ud800"}', "null", '{"a": NaN}')),
)


def parquet(content: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    """A table of two rows, some of its columns and its metadata exchanged."""
    columns: dict[str, Any] = {
        "architecture": pa.array(seeds.CELLS[:2]), "dataset": pa.array(["digits"] * 2), "split": pa.array(["test"] * 2),
        "epochs": pa.array([10, 10]), "seed": pa.array([0, 1]), "accuracy": pa.array([50.0, 60.0]),
        "training_seconds": pa.array([1.0, None]), "parameters": pa.array([1, 2]), "multiply_adds": pa.array([1, None]),
    }  # fmt: skip
    said = METADATA[8]
    names = list(columns)
    for kind, place, number in edits:
        if kind == 0:
            said = METADATA[number % len(METADATA)]
        elif kind == 1:
            columns.pop(names[place % len(names)], None)
        else:
            columns[names[place % len(names)]] = COLUMN_VALUES[number % len(COLUMN_VALUES)]
    return seeds.table_file(pa.table(columns), said) if columns else b"PAR1PAR1"


STRUCTURED: Mapping[str, Callable[[bytes, list[tuple[int, int, int]]], bytes]] = {
    "experiment file": toml,
    "published numbers": toml,
    "records": json_lines,
    "report of records": json_lines,
    "trainings": json_lines,
    "scores": json_lines,
    "trained cells": json_lines,
    "table": parquet,
    "official file": torch_file,
    "NATS-Bench member": pickled,
    "AnalogNAS-Bench": pickled,
    "images in an .npz file": archive,
    "batch of ImageNet16": pickled,
    "training checkpoint": torch_file,
    "kept supernet": torch_file,
}
"""How the values of a document are changed, by the name of its reader."""


def contents(target: Target) -> st.SearchStrategy[bytes]:
    """Inputs of a reader; most of them are almost valid."""
    # Made here, since a strategy must not make anything at random, which checks of types do.
    return _contents(target, target.valid())


@st.composite
def _contents(draw: st.DrawFn, target: Target, valid: tuple[bytes, ...]) -> bytes:
    content = valid[draw(st.integers(0, len(valid) - 1))]
    kinds = draw(st.integers(0, 9))
    change = STRUCTURED.get(target.name)
    if kinds == 0:
        return draw(st.binary(max_size=200))
    if change is not None and kinds <= 6:
        content = change(content, draw(st.lists(TREE_EDIT, min_size=1, max_size=3)))
        if kinds <= 4:
            return content
    if kinds == 9 and zipfile.is_zipfile(io.BytesIO(content)):
        content = with_changed_member(content, draw(st.lists(EDIT, min_size=1, max_size=3)), target.tokens)
        return content
    return with_changed_bytes(content, draw(st.lists(EDIT, min_size=1, max_size=4)), target.tokens)


def with_changed_member(content: bytes, edits: list[tuple[int, int, int, int]], tokens: tuple[bytes, ...]) -> bytes:
    """A zip archive of which one member is changed and its checksum fits again."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        members = old.infolist()
        chosen = edits[0][3] % len(members)
        for number, member in enumerate(members):
            data = old.read(member)
            new.writestr(member.filename, with_changed_bytes(data, edits, tokens) if number == chosen else data)
    return stream.getvalue()
