"""Every reader of something from outside: how to feed it bytes, what is valid, and how it may say no."""

import functools
import os
import pickle
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from opselect.bench import proxy_study
from opselect.bench.evaluation import networks as network_training
from opselect.bench.evaluation.training import train_network
from opselect.bench.experiment import study
from opselect.bench.experiment.file import SupernetEntry, entry_on, parse
from opselect.bench.experiment.network_training import NetworkTraining
from opselect.bench.published import numbers as published
from opselect.bench.report.page import render_markdown, render_tables, to_html
from opselect.bench.runs import supernets
from opselect.bench.runs.records import FILE_NAME, read_records
from opselect.bench.runs.run import load_run
from opselect.bench.runs.select import parse_setting
from opselect.bench.storage.checksums import read_checksummed, write_checksummed
from opselect.bench.storage.torch_files import Identity
from opselect.bench.tables import digits201 as table_building
from opselect.bench.tables.importers.nasbench201 import import_nasbench201
from opselect.selectors.supernets.darts import DARTS
from opselect.spaces import image_sources, table
from opselect.spaces.darts import genotypes
from opselect.spaces.darts.space import darts_s2
from opselect.spaces.errors import UserError
from opselect.spaces.images import ImageData, LabelledImages
from opselect.spaces.nasbench201.encodings import ENCODINGS
from opselect.spaces.nasbench201.space import nasbench201

from . import seeds

LONGEST_SENTENCE = 2500
"""Characters of a message."""


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: for people.
        read: called with bytes and an empty folder.
        valid: bytes that it reads; the first one is what mutations start from most often.
        place: some of which every message names.
        tokens: pieces that mean something to it.
        weight: its share of a campaign; slow readers have small ones.
    """

    name: str
    read: Callable[[bytes, Path], object]
    valid: Callable[[], tuple[bytes, ...]]
    place: tuple[str, ...]
    tokens: tuple[bytes, ...] = ()
    weight: int = 10


def attempt(target: Target, content: bytes, folder: Path) -> bool:
    """Whether the reader takes the content.

    Raises:
        AssertionError: it refuses it in a way that nobody can understand, or something of the content was run.
        Exception: what a user would see as a traceback.
    """
    try:
        target.read(content, folder)
    except UserError as error:
        message = str(error)
        assert message and message.isprintable(), f"{target.name}: more than a line, or none: {message!r}"
        assert len(message) <= LONGEST_SENTENCE, f"{target.name}: {len(message)} characters: {message}"
        assert any(place in message for place in target.place), f"{target.name}: names no place: {message}"
        return False
    finally:
        assert not CANARY.exists(), f"{target.name}: something in a file was run"
    return True


CANARY = Path(f"/tmp/opselect-canary-{os.getpid()}")


class Hostile:
    """Makes a folder where it is unpickled by the ordinary means."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(CANARY),)


def text_of(content: bytes) -> str:
    """Any bytes as a text; those that are not UTF-8 become halves of surrogate pairs."""
    return content.decode("utf-8", "surrogateescape")


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """A reader of a file with this name."""

    def fed(content: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(content)
        return read(path)

    return fed


def quiet(what: object, *numbers: object) -> None:
    """Progress that nobody watches."""


def setting(content: bytes, _: Path) -> object:
    key, value = parse_setting(text_of(content), "proxy=synflow")
    return entry_on((), {"name": "zero-cost-pt", key: value}, "select")


def encoding(content: bytes, _: Path) -> object:
    values: list[object] = [
        int(part) if part.isdigit() and len(part) < 4 else part for part in text_of(content).split()
    ]
    failed: UserError | None = None
    for each in ENCODINGS.values():
        try:
            each.from_tuple(values)
        except UserError as error:
            failed = error
    if failed is not None:
        raise failed
    return None


def whole_table(path: Path) -> object:
    found = table.load(str(path))
    for dataset, split, epochs in found.columns:
        found.accuracies(dataset, split, epochs, "mean")
    return found.fingerprint, found.contents(), found.provenance


def nats(content: bytes, folder: Path) -> object:
    """A member and, separated by a line, the list; the list's own bytes hardly ever hold that line."""
    member, _, names = content.partition(b"\n--list--\n")
    (folder / "meta.pickle.pbz2").write_bytes(names or seeds.nats_list())
    (folder / "000000.pickle.pbz2").write_bytes(member)
    return import_nasbench201(str(folder), quiet)


def image_batches(content: bytes, folder: Path) -> object:
    own = folder / "ImageNet16"
    own.mkdir(exist_ok=True)
    for name in (image_sources.IMAGENET16_TEST_FILE, *image_sources.IMAGENET16_TRAINING_FILES):
        (own / name).write_bytes(content)
    with mock.patch.dict(os.environ, {"OPSELECT_DATA": str(folder)}):
        return image_sources.imagenet16_120()


def report_of_run(content: bytes, folder: Path) -> object:
    """The tables and pages of a run's records."""
    (folder / FILE_NAME).write_bytes(content)
    (folder / "experiment.toml").write_text(seeds.RUN)
    run = load_run(folder)
    render_tables(run)
    return render_markdown(run).encode(), to_html(run.title, {}, (), {})


@functools.cache
def _small_training() -> tuple[Any, ImageData, NetworkTraining]:
    torch.manual_seed(0)
    images = LabelledImages(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 0, 1]))
    data = ImageData("small", 2, images, None, images)
    training = NetworkTraining(epochs=1, batch_size=4, cutout=0, crop_padding=0, auxiliary_weight=0)
    found = darts_s2.resized(channels=1, cells=3)
    cell = found.parse(seeds_genotype())
    return found.network(cell, 3, 2, 0), data, training


def seeds_genotype() -> str:
    """A genotype of S2."""
    pairs = [("skip_connect", 0), ("sep_conv_3x3", 1)] * 4
    return genotypes.format_genotype(genotypes.Genotype(tuple(pairs), (2, 3, 4, 5), tuple(pairs), (2, 3, 4, 5)))


def training_checkpoint(content: bytes, folder: Path) -> object:
    network, data, training = _small_training()
    write_checksummed(folder / "training.pt", content)
    return train_network(network, data, training, 0, folder / "training.pt", Identity("small", "a small network"))


@functools.cache
def checkpoint_file() -> bytes:
    """The checkpoint of a finished training."""
    import tempfile

    network, data, training = _small_training()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.pt"
        train_network(network, data, training, 0, path, Identity("small", "a small network"))
        content = read_checksummed(path)
        assert content is not None
        return content


class _CachedSupernet(supernets.SupernetJob):
    @property
    def path(self) -> Path:
        return self.folder / "supernet.pt"


def cached_supernet(content: bytes, folder: Path) -> object:
    write_checksummed(folder / "supernet.pt", content)
    return supernets.cached_supernet(
        _CachedSupernet(_experiment(), SupernetEntry(name="darts", training=DARTS()), 0, folder)
    )


@functools.cache
def _experiment() -> Any:
    return parse(seeds.RUN, "run")


JSON_TOKENS = (
    b'"',
    b":",
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"NaN",
    b"1e999",
    b"-",
    b'"version":1',
    b"\\ud800",
    b"\n",
)
TOML_TOKENS = (
    b"[",
    b"]",
    b"[[",
    b"]]",
    b"=",
    b"'''",
    b'"""',
    b"\\u0000",
    b"nan",
    b"inf",
    b"0x",
    b".",
    b"#",
    b"{",
    b"\n",
)
PICKLE_TOKENS = (
    b"\x80\x04", b"c", b"\x93", b"R", b"b", b"\x81", b"i", b"o", b"(", b"t", b"\x85", b"\x86", b"\x87", b"}", b"]",
    b"\x8f",
    b"\x96", b"\x8e\xff\xff\xff\xff\x00\x00\x00\x00", b"r\xff\xff\xff\xff", b"2", b"0", b"1", b"\x94", b".", b"u",
    b"s", b"Q",
    b"cos\nsystem\n(S'true'\ntR", b"cbuiltins\neval\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n",
    b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy.core.multiarray\nscalar\n", b"cbuiltins\nset\n",
)  # fmt: skip
CELL_TOKENS = (b"|", b"~", b"+", b"none", b"skip_connect", b"nor_conv_3x3", b"0", b"9" * 50)

TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            "experiment file",
            in_file("mine.toml", study.read_study),
            lambda: (seeds.EXPERIMENT.encode(), seeds.STUDY.encode(), seeds.RUN.encode()),
            ("mine.toml",),
            (*TOML_TOKENS, b"space", b"seeds", b"name", b"nasbench201", b"label", b"supernet", b"0xffffffffffffffffff"),
            50,
        ),
        Target(
            "published numbers",
            in_file("numbers.toml", published.read),
            lambda: (seeds.PUBLISHED.encode(),),
            ("numbers.toml",),
            (*TOML_TOKENS, b"[[group]]", b"settings", b"tolerance", b"measure"),
            50,
        ),
        Target(
            "arch string",
            lambda content, _: nasbench201.parse(text_of(content)),
            lambda: tuple(cell.encode() for cell in seeds.CELLS),
            ("arch string",),
            CELL_TOKENS,
            200,
        ),
        Target("tuple of another project", encoding, lambda: (b"0 1 2 3 4 0",), ("tuple",), (b" ", b"none", b"4"), 50),
        Target(
            "genotype",
            lambda content, _: genotypes.parse_genotype(text_of(content)),
            lambda: tuple(text.encode() for text in seeds.GENOTYPES),
            ("genotype",),
            (
                b"(",
                b")",
                b"[",
                b"]",
                b"range(",
                b"'sep_conv_3x3'",
                b"Genotype",
                b"=",
                b"2",
                b"\\N{",
                b"f'",
                b"lambda:",
                b"**",
            ),
            100,
        ),
        Target(
            "genotype file",
            in_file("found.txt", lambda path: network_training.genotype_named(str(path))),
            lambda: tuple(text.encode() for text in seeds.GENOTYPES),
            ("genotype", "found.txt"),
            (b"(", b"[", b"\xff", b"\x00"),
            40,
        ),
        Target(
            "genotype by name",
            lambda content, _: network_training.genotype_named(text_of(content)),
            lambda: (b"DARTS_V2", b"found.txt"),
            ("genotype", "cannot be read"),
            (b"/", b"..", b"\x00", b"~", b"DARTS"),
            30,
        ),
        Target(
            "setting of the command line",
            setting,
            lambda: tuple(text.encode() for text in seeds.SETTINGS),
            ("select", "--set"),
            (b"=", b"nan", b"1e999", b"9" * 5000, b"proxy", b"label", b"name", b"True"),
            60,
        ),
        Target(
            "records",
            in_file(FILE_NAME, read_records),
            lambda: (seeds.records(),),
            (FILE_NAME,),
            (*JSON_TOKENS, b'"scores"', b'"settings"', b'"trial"'),
            50,
        ),
        Target(
            "report of records",
            report_of_run,
            lambda: (seeds.records(),),
            (FILE_NAME,),
            (*JSON_TOKENS, b'"edge":99'),
            4,
        ),
        Target(
            "trainings",
            in_file(network_training.FILE_NAME, lambda path: network_training.read_trainings(path.parent)),
            lambda: (seeds.trainings(),),
            (network_training.FILE_NAME,),
            JSON_TOKENS,
            50,
        ),
        Target(
            "scores",
            in_file(proxy_study.FILE_NAME, lambda path: proxy_study._read(path, seeds.STUDIED)),
            lambda: (seeds.scores(),),
            (proxy_study.FILE_NAME,),
            (*JSON_TOKENS, b'"seconds":{}'),
            50,
        ),
        Target(
            "trained cells",
            in_file("cells.jsonl", lambda path: table_building.read_checkpoint(path, seeds.RECIPE)),
            lambda: (seeds.trained_cells(),),
            ("cells.jsonl",),
            (*JSON_TOKENS, b'"index":[]', b'"outcomes":[]'),
            60,
        ),
        Target(
            "table",
            in_file("mine.parquet", whole_table),
            lambda: (seeds.table_file(),),
            ("mine.parquet",),
            (b"PAR1", b"\x15\xfe\xff\xff\xff\x0f", b"\xff\xff\xff\x7f", b"\x00" * 4),
            10,
        ),
        Target(
            "table by name",
            lambda content, _: table.load(text_of(content)),
            lambda: (b"nasbench20", b"mine.parquet"),
            ("table",),
            (b"/", b"..", b"\x00", b".parquet", b"*"),
            10,
        ),
        Target(
            "CSV file",
            in_file("mine.csv", lambda path: import_nasbench201(str(path), quiet)),
            lambda: (
                b"arch,index,cifar10_test_200\n" + b"".join(f"{cell},1,90.5\n".encode() for cell in seeds.CELLS),
                b"arch,cifar10_test_200_run0\n",
            ),
            ("mine.csv",),
            (b",", b'"', b"\n", b"\r", b"arch", b"cifar10_test_200_run1", b"nan", b"1e999", b"\x00", b"\xff"),
            6,
        ),
        Target(
            "packed CSV file",
            in_file("mine.csv.gz", lambda path: import_nasbench201(str(path), quiet)),
            lambda: (seeds.gzip.compress(b"arch,index,cifar10_test_200\n" + f"{seeds.CELLS[0]},1,90.5\n".encode()),),
            ("mine.csv.gz",),
            (b"\x1f\x8b", b"\x00"),
            6,
        ),
        Target(
            "official file",
            in_file("official.pth", lambda path: import_nasbench201(str(path), quiet)),
            lambda: (
                seeds.saved(seeds.official_content(2), zipped=False),
                seeds.saved(seeds.official_content(1)),
                seeds.saved(Hostile()),
                seeds.saved({"a": Hostile()}, zipped=False),
            ),
            ("official.pth",),
            PICKLE_TOKENS,
            12,
        ),
        Target(
            "NATS-Bench folder",
            nats,
            lambda: (
                seeds.nats_member(),
                seeds.bz2.compress(pickle.dumps(Hostile())),
                seeds.nats_member() + b"\n--list--\n" + seeds.bz2.compress(pickle.dumps({"meta_archs": Hostile()})),
            ),
            ("meta.pickle.pbz2", "000000.pickle.pbz2", "/"),
            (b"BZh9", b"1AY&SY"),
            8,
        ),
        Target(
            "NATS-Bench member",
            lambda content, folder: nats(seeds.bz2.compress(content, 1), folder),
            lambda: (seeds.bz2.decompress(seeds.nats_member()), pickle.dumps(Hostile())),
            ("meta.pickle.pbz2", "000000.pickle.pbz2", "/"),
            PICKLE_TOKENS,
            10,
        ),
        Target(
            "AnalogNAS-Bench",
            in_file("data.anb", lambda path: import_nasbench201(str(path), quiet)),
            lambda: (analog_file(), pickle.dumps({(0, 1, 2, 3, 4, 0): Hostile()})),
            ("data.anb",),
            (*PICKLE_TOKENS, b"canalognasbench.data\nArchitecture\n"),
            40,
        ),
        Target(
            "images in an .npz file",
            in_file("mine.npz", lambda path: image_sources.load_images(str(path))),
            lambda: (
                seeds.packed(seeds.image_arrays()),
                seeds.packed(seeds.image_arrays(), compressed=True),
                seeds.packed(seeds.image_arrays(x_train=seeds.np.array([Hostile()], dtype=object))),
            ),
            ("mine.npz",),
            (
                b"PK\x03\x04",
                b"PK\x01\x02",
                b"PK\x05\x06",
                b"'shape': (9" + b"9" * 15,
                b"|O",
                b"<f8",
                b"|V0",
                b"<U9",
                b"L,",
            ),
            40,
        ),
        Target(
            "images by name",
            lambda content, _: image_sources.load_images(text_of(content)),
            lambda: (b"cifar", b"mine.npz"),
            ("images", ".npz", "imagenet16", "cifar", "svhn"),
            (b"/", b"..", b"\x00", b".npz", b"~"),
            10,
        ),
        Target(
            "batch of ImageNet16",
            image_batches,
            lambda: (
                *(seeds.image_batch(protocol) for protocol in (0, 2, 4)),
                pickle.dumps({"data": Hostile(), "labels": [1]}, 2),
                pickle.dumps(Hostile(), 0),
            ),
            ("val_data", "train_data_batch"),
            PICKLE_TOKENS,
            25,
        ),
        Target(
            "training checkpoint",
            training_checkpoint,
            lambda: (checkpoint_file(), seeds.saved(Hostile()), seeds.saved({"key": 1})),
            ("training.pt", "epoch "),
            (*PICKLE_TOKENS, b"PK\x03\x04", b"PK\x01\x02", b"FloatStorage", b"OrderedDict"),
            3,
        ),
        Target(
            "kept supernet",
            cached_supernet,
            lambda: (
                seeds.saved(
                    {
                        "supernet": {"a": torch.zeros(2)},
                        "alpha": torch.zeros(2, 3),
                        "optimizer": {},
                        "seconds": 1.5,
                        "identity": ("supernet.pt", "a supernet"),
                    }
                ),
                seeds.saved([1]),
                seeds.saved(Hostile()),
            ),
            ("supernet.pt",),
            (*PICKLE_TOKENS, b"PK\x03\x04", b"FloatStorage"),
            8,
        ),
    )
}


@functools.cache
def analog_file() -> bytes:
    """Two measured cells as the package writes them, without the package."""
    from opselect.bench.tables.importers.analog import DATASETS, PACKAGE

    types = {name: type(name, (), {"__module__": f"{PACKAGE}.data"}) for name in ("Architecture", "DriftMeasurement")}
    import sys
    from types import ModuleType

    module = ModuleType(f"{PACKAGE}.data")
    vars(module).update(types)
    content = {}
    for number in (0, 1):
        measured = types["Architecture"]()
        for name in DATASETS:
            value = 50.5
            if "drift" in name:
                drift = types["DriftMeasurement"]()
                vars(drift).update(value=value, std=0.5)
                vars(measured)[name] = drift
            else:
                vars(measured)[name] = value
        content[number, 1, 2, 3, 4, 0] = measured
    with mock.patch.dict(sys.modules, {PACKAGE: ModuleType(PACKAGE), f"{PACKAGE}.data": module}):
        return pickle.dumps(content)


def shown(content: bytes) -> str:
    """An input as a finding quotes it."""
    return reprlib.repr(content)
