"""Small inputs that ask for much: memory and seconds of the processor of each, in a process of its own.

`python -m tests.fuzzing.bombs` prints them as JSON: megabytes beyond those of a process that reads nothing, seconds,
and what the reader said.
"""

import bz2
import contextlib
import gzip
import io
import json
import os
import pickle
import resource
import struct
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from opselect.bench.runtime.parallel import use_single_thread
from opselect.spaces.errors import UserError

from . import seeds
from .inputs import laughing, nested
from .targets import CELL_TOKENS, TARGETS

MOST_MEMORY = 10 * 2**30
HUGE = 2**40


def zip_with(name: str, content: bytes, compressed: bool = True) -> bytes:
    """An archive with one more member."""
    stream = io.BytesIO(seeds.packed({k: v for k, v in seeds.image_arrays().items() if f"{k}.npy" != name}))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def header(shape: tuple[int, ...], kind: str = "|u1", content: bytes = b"") -> bytes:
    """An array's file whose header says more than follows."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def declaring(size: int) -> bytes:
    """An archive whose directory says that a member unpacks to `size` bytes."""
    content = zip_with("x_train.npy", header((size,)), compressed=False)
    at = content.rindex(b"PK\x01\x02")
    return content[: at + 24] + struct.pack("<I", min(size, 2**32 - 2)) + content[at + 28 :]


def large_table(rows: int, text: str = "") -> bytes:
    """A table of many equal rows, which Parquet packs into a few bytes."""
    architectures = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [text or seeds.CELLS[0]])
    columns = {
        "architecture": architectures,
        **{name: pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["x"]) for name in ("dataset", "split")},
        **{name: np.zeros(rows, np.int8) for name in ("epochs", "seed", "accuracy", "training_seconds", "parameters")},
        "multiply_adds": np.zeros(rows, np.int8),
    }
    return seeds.table_file(pa.table(columns), b'{"version": 1, "space": "digits201", "provenance": {}}')


def tensor_file(reserved: int) -> bytes:
    """A checkpoint whose pickle calls `bytearray` with a number."""

    class Reserving:
        def __reduce__(self) -> tuple[type[bytearray], tuple[int]]:
            return bytearray, (reserved,)

    return seeds.saved({"key": Reserving()})


MEMO = b"\x80\x02}r\xff\xff\xff\x7f."
RESERVE = b"\x80\x05\x96" + struct.pack("<Q", 4 * 2**30) + b"x."
FRAME = b"\x80\x04\x95" + struct.pack("<Q", 8 * 2**30) + b"}."
SETS = b"\x80\x04(" + b"\x8f" * 3_000_000 + b"t."
ARRAY = b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7fU\x01OtR."

BOMBS: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "zeros in an archive": ("images in an .npz file", lambda: zip_with("x_train.npy", bytes(400 * 2**20))),
    "an array of a terabyte": ("images in an .npz file", lambda: zip_with("x_train.npy", header((HUGE,)))),
    "an array of gigabytes": ("images in an .npz file", lambda: zip_with("y_train.npy", header((2**28,), "<i8"))),
    "an archive that declares gigabytes": ("images in an .npz file", lambda: declaring(2**32 - 2)),
    "memo of a batch": ("batch of ImageNet16", lambda: MEMO),
    "reserved bytes of a batch": ("batch of ImageNet16", lambda: RESERVE),
    "frame of a batch": ("batch of ImageNet16", lambda: FRAME),
    "array of objects in a batch": ("batch of ImageNet16", lambda: ARRAY),
    "lists of lists as labels": (
        "batch of ImageNet16",
        lambda: pickle.dumps({"data": np.zeros((1, 768), np.uint8), "labels": [laughing_list(40)]}, 2),
    ),
    "laughing tuples": ("AnalogNAS-Bench", lambda: pickle.dumps({(1, 2): laughing(60)})),
    "a laughing key": ("AnalogNAS-Bench", lambda: b"\x80\x02}" + pickle.dumps(laughing(60), 2)[2:-1] + b"K\x01s."),
    "laughing architectures": (
        "NATS-Bench member",
        lambda: pickle.dumps({"12": {"arch_str": laughing_list(60), "all_results": laughing_list(60)}}),
    ),
    "memo of an official file": ("official file", lambda: MEMO),
    "reserved bytes of an official file": ("official file", lambda: RESERVE),
    "packed official file": ("official file", lambda: packed_torch(400 * 2**20)),
    "packed zeros of NATS-Bench": (
        "NATS-Bench folder",
        lambda: bz2.compress(b"\x80\x04\x8e" + struct.pack("<Q", 2**30) + bytes(300 * 2**20)),
    ),
    "packed sets of NATS-Bench": ("NATS-Bench folder", lambda: bz2.compress(SETS)),
    "packed line of NATS-Bench": ("NATS-Bench folder", lambda: bz2.compress(b"S'" + b"a" * (300 * 2**20))),
    "a table of many rows": ("table", lambda: large_table(6_000_000)),
    "a table of a long text": ("table", lambda: large_table(2, "x" * (150 * 2**20))),
    "packed zeros of a CSV file": ("packed CSV file", lambda: gzip.compress(bytes(400 * 2**20), 1)),
    "packed lines of a CSV file": ("packed CSV file", lambda: gzip.compress(b"arch\n" + b"a\n" * 20_000_000, 1)),
    "packed columns of a CSV file": ("packed CSV file", lambda: gzip.compress(b"," * 50_000_000 + b"\n", 1)),
    "packed fields of a CSV file": (
        "packed CSV file",
        lambda: gzip.compress(b"arch,cifar10_test_200\n" + b"," * 50_000_000 + b"\n", 1),
    ),
    "laughing tuples of a checkpoint": ("training checkpoint", lambda: seeds.saved({"optimizer": laughing(60)})),
    "laughing tuples of a supernet": ("kept supernet", lambda: seeds.saved({"alpha": laughing(60)})),
    "reserved bytes of a checkpoint": ("training checkpoint", lambda: tensor_file(4 * 2**30)),
    "reserved bytes of a supernet": ("kept supernet", lambda: tensor_file(4 * 2**30)),
    "packed supernet": ("kept supernet", lambda: packed_torch(400 * 2**20)),
    "a large experiment file": ("experiment file", lambda: b"# " + b"x" * (300 * 2**20)),
    "an experiment with many pairs": (
        "experiment file",
        lambda: seeds.STUDY.replace('"mine.npz"', ", ".join(f'"{n}.npz"' for n in range(60_000))).encode(),
    ),
    "many dots in an experiment file": ("experiment file", lambda: b"a" + b".a" * 300_000 + b" = 1"),
    "many brackets in an experiment file": ("experiment file", lambda: b"a = " + b"[" * 500_000),
    "many tables in an experiment file": ("experiment file", lambda: b"[[selector]]\n" * 70_000),
    "many keys in published numbers": ("published numbers", lambda: b"".join(b"a%d = 1\n" % n for n in range(80_000))),
    "a large genotype file": ("genotype file", lambda: b"(" * (100 * 2**20)),
    "a long arch string": ("arch string", lambda: b"".join(CELL_TOKENS) * 100_000),
    "a long genotype": ("genotype", lambda: b"Genotype(normal=" + b"[" * 9_000),
    "a long setting": ("setting of the command line", lambda: b"batch_size=" + b"9" * 2_000_000),
    "digits in records": ("records", lambda: b'{"version":' + b"9" * 2_000_000 + b"}\n"),
    "brackets in records": ("records", lambda: b'{"version":1,"a":' + b"[" * 2_000_000 + b"\n"),
    "deep values in trained cells": ("trained cells", lambda: json.dumps({"index": nested(400)}).encode() * 100),
}
"""By what they are: the reader, and how they are made."""


def laughing_list(depth: int) -> list[object]:
    """A list of lists, each twice."""
    found: list[object] = [0]
    for _ in range(depth):
        found = [found, found]
    return found


def packed_torch(size: int) -> bytes:
    """A torch file whose pickle is compressed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02X" + struct.pack("<I", size) + bytes(size) + b".")
        archive.writestr("archive/version", b"3\n")
    return stream.getvalue()


def measured(read: Callable[[], object]) -> tuple[float, float, str]:
    """Megabytes, seconds and the answer of a reader, in a copy of this process."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        started = time.process_time()
        try:
            read()
            said = "taken"
        except UserError as error:
            said = f"refused: {error}"
        except BaseException as error:
            said = f"broken: {type(error).__name__}: {error}"
        os.write(sending, json.dumps([time.process_time() - started, said[:500]]).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as stream:
        content = stream.read()
    _, _, usage = os.wait4(child, 0)
    seconds, said = json.loads(content) if content else (0.0, "broken: killed")
    return usage.ru_maxrss / 1024, seconds, said


def main() -> None:
    """Print what every bomb costs."""
    use_single_thread()
    made = {name: (TARGETS[reader], make) for name, (reader, make) in BOMBS.items()}
    with tempfile.TemporaryDirectory() as parent:
        # What readers import when they are first used is no memory of theirs.
        for number, target in enumerate({target.name: target for target, _ in made.values()}.values()):
            folder = Path(parent) / f"warm-{number}"
            folder.mkdir()
            with contextlib.suppress(UserError):
                target.read(target.valid()[0], folder)
        found = {}
        for number, (name, (target, make)) in enumerate(made.items()):
            folder = Path(parent) / str(number)
            folder.mkdir()
            path = folder / "content"
            # Made in a copy of the process too, whose memory is gone with it.
            _, _, said = measured(lambda path=path, make=make: path.write_bytes(make()))
            assert said == "taken", f"{name}: {said}"
            content = path.read_bytes()
            base, _, _ = measured(lambda: None)
            peak, seconds, said = measured(lambda t=target, c=content, f=folder: t.read(c, f))
            found[name] = {"megabytes": peak - base, "seconds": seconds, "said": said, "bytes": len(content)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
