"""Images from files: what is read, what is refused, and that nothing in a file is ever run."""

import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from torchvision import datasets  # type: ignore[import-untyped]

from opselect.spaces import image_sources, registry
from opselect.spaces.errors import MissingData
from opselect.spaces.image_sources import (
    InvalidImages,
    cifar10,
    cifar100,
    data_root,
    imagenet16_120,
    load_images,
    npz,
    svhn,
)
from opselect.spaces.images import ImageData

REAL_IMAGES = Path(__file__).parents[3] / "shared" / "data" / "cifar10_subset.npz"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root, so that no test sees the user's own files."""
    monkeypatch.setenv("OPSELECT_DATA", str(tmp_path))
    return tmp_path


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def arrays(**changes: Any) -> dict[str, Any]:
    """A small valid dataset: six training and three test images of three classes; None removes an array."""
    valid: dict[str, Any] = {
        "x_train": pixels(6, 3, 8, 8),
        "y_train": np.array([0, 1, 2, 0, 1, 2]),
        "x_test": pixels(3, 3, 8, 8, seed=1),
        "y_test": np.array([2, 1, 0]),
    }
    return {name: value for name, value in (valid | changes).items() if value is not None}


def archive(folder: Path, **changes: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **arrays(**changes))
    return path


def refusal(path: Path) -> str:
    """The message of a file that must be refused: one sentence that begins with the file."""
    with pytest.raises(InvalidImages) as caught:
        npz(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


# The data root


def test_data_root_is_the_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSELECT_DATA", "~/images")
    assert data_root() == Path.home() / "images"


def test_data_root_is_otherwise_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPSELECT_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_root() == tmp_path / "opselect" / "data"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/paths/are/ignored")
    assert data_root() == Path.home() / ".cache" / "opselect" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_root() == Path.home() / ".cache" / "opselect" / "data"


# Names and paths


def test_names_lead_to_registered_datasets_and_paths_to_archives(tmp_path: Path) -> None:
    assert load_images("digits").classes == 10
    assert load_images(str(archive(tmp_path))).name == "mine"


def test_an_unknown_name_offers_the_nearest_one_and_a_path() -> None:
    with pytest.raises(registry.UnknownName, match=r"'cifra10'; did you mean 'cifar10'\?.*path of an \.npz file"):
        load_images("cifra10")


@pytest.mark.parametrize(
    ("name", "source"),
    [("cifar10", cifar10), ("cifar100", cifar100), ("svhn", svhn), ("imagenet16-120", imagenet16_120)],
)
def test_a_registered_source_that_is_absent_says_where_and_how_to_get_it(
    name: str, source: Callable[[], ImageData], root: Path
) -> None:
    assert registry.load("images", name) is source
    with pytest.raises(MissingData) as caught:
        load_images(name)
    message = str(caught.value)
    assert message.startswith(name)
    assert str(root) in message
    assert "download=True" in message or "https://image-net.org" in message
    assert "\n" not in message


def test_an_archive_is_found_beside_or_in_the_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, root = tmp_path / "here", tmp_path / "root"
    for folder, count in ((here, 3), (root, 4)):
        folder.mkdir()
        images, labels = np.zeros((count, 4, 4), np.uint8), np.zeros(count, np.int64)
        np.savez(folder / "own.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    monkeypatch.chdir(here)
    monkeypatch.setenv("OPSELECT_DATA", str(root))
    assert len(load_images("own.npz").train) == 3
    (here / "own.npz").unlink()
    assert len(load_images("own.npz").train) == 4
    assert len(load_images(str(root / "own.npz")).train) == 4
    (root / "own.npz").unlink()
    with pytest.raises(MissingData, match=r"^own\.npz: cannot be read"):
        load_images("own.npz")


def test_a_data_root_that_is_a_file_is_missing_data(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "file").write_bytes(b"")
    monkeypatch.setenv("OPSELECT_DATA", str(root / "file"))
    for source in (cifar10, svhn, imagenet16_120):
        with pytest.raises(MissingData, match="file"):
            source()


# CIFAR and SVHN: files of the official form, whose hashes torchvision is told to expect


def official_pickle(path: Path, content: dict[str, Any]) -> list[str]:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return [path.name, hashlib.md5(path.read_bytes()).hexdigest()]


@pytest.mark.parametrize(
    ("source", "dataset", "labels_key", "meta_key", "classes"),
    [
        (cifar10, datasets.CIFAR10, "labels", "label_names", 10),
        (cifar100, datasets.CIFAR100, "fine_labels", "fine_label_names", 100),
    ],
)
def test_cifar_is_read_from_torchvisions_files(
    source: Callable[[], ImageData],
    dataset: Any,
    labels_key: str,
    meta_key: str,
    classes: int,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = root / dataset.base_folder
    images = pixels(2, 5, 3, 32, 32)
    content = [{"data": part.reshape(5, -1), labels_key: [0, 3, 1, 2, 9]} for part in images]
    monkeypatch.setattr(dataset, "train_list", [official_pickle(folder / "first", content[0])])
    monkeypatch.setattr(dataset, "test_list", [official_pickle(folder / "second", content[1])])
    meta_name, meta_hash = official_pickle(folder / "meta", {meta_key: []})
    monkeypatch.setattr(dataset, "meta", {"filename": meta_name, "key": meta_key, "md5": meta_hash})

    found = source()
    assert (found.classes, found.crop_padding, found.flip, found.valid) == (classes, 4, True, None)
    for part, expected in ((found.train, images[0]), (found.test, images[1])):
        assert part.images.dtype == torch.float32
        assert part.images.shape == (5, 3, 32, 32)
        assert part.labels.tolist() == [0, 3, 1, 2, 9]
        assert part.labels.dtype == torch.int64
        # Undoing an affine map needs no constants: red pixels must correlate perfectly with the file's red pixels.
        for channel in range(3):
            assert np.corrcoef(part.images[:, channel].flatten(), expected[:, channel].ravel())[0, 1] > 0.999999

    with (folder / "first").open("ab") as stream:
        stream.write(b"damage")
    with pytest.raises(MissingData, match="not whole"):
        source()


def test_cifar10_is_normalised_with_the_constants_of_the_field(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Grey:
        data = np.full((1, 32, 32, 3), 128, dtype=np.uint8)
        targets = (7,)

    monkeypatch.setattr(datasets, "CIFAR10", lambda **_: Grey)
    values = cifar10().train.images[0, :, 0, 0].tolist()
    # REFERENCE.md 1.2: (128 / 255 - mean) / std.
    assert values == pytest.approx([0.0428, 0.0812, 0.2120], abs=2e-4)
    assert cifar10().black == pytest.approx([-1.9892, -1.9803, -1.7071], abs=2e-4)


def test_cifar100_is_normalised_with_the_constants_of_the_published_code(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Grey:
        data = np.full((1, 32, 32, 3), 128, dtype=np.uint8)
        targets = (7,)

    monkeypatch.setattr(datasets, "CIFAR100", lambda **_: Grey)
    values = cifar100().train.images[0, :, 0, 0].double().numpy()
    expected = (128 / 255 - np.array([0.5071, 0.4865, 0.4409])) / np.array([0.2673, 0.2564, 0.2762])
    assert values == pytest.approx(expected, abs=1e-6)


def test_svhn_is_read_from_torchvisions_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {}
    images = {"train": pixels(4, 32, 32, 3), "test": pixels(2, 32, 32, 3, seed=1)}
    for split, part in images.items():
        path = root / f"{split}_32x32.mat"
        savemat(
            path, {"X": part.transpose(1, 2, 3, 0), "y": np.array([[10], [9], [1], [2]][: len(part)], dtype=np.uint8)}
        )
        known[split] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", known)

    found = svhn()
    assert (found.classes, found.crop_padding, found.flip, found.valid) == (10, 4, True, None)
    assert found.black == pytest.approx([-0.4377 / 0.1980, -0.4438 / 0.2010, -0.4728 / 0.1970])
    assert found.train.labels.tolist() == [0, 9, 1, 2]  # the file's class 10 is the digit 0
    assert found.train.images.shape == (4, 3, 32, 32)
    red = images["train"][..., 0] / 255
    np.testing.assert_allclose(found.train.images[:, 0], (red - 0.4377) / 0.1980, atol=1e-5)


# ImageNet16-120


def imagenet_batch(path: Path, labels: list[int], protocol: int = 2) -> np.ndarray:
    images = pixels(len(labels), 3 * 16 * 16, seed=len(path.name) + labels[0])
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps({"data": images, "labels": labels, "mean": images.mean(0)}, protocol))
    return images


@pytest.fixture
def imagenet(root: Path) -> Path:
    folder = root / "ImageNet16"
    for name in image_sources.IMAGENET16_TRAINING_FILES:
        imagenet_batch(folder / name, [120, 121, 1])
    imagenet_batch(folder / "val_data", [1000, 5])
    return folder


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_first_120_classes_are_kept_and_counted_from_0(imagenet: Path, protocol: int) -> None:
    test = imagenet_batch(imagenet / "val_data", [1000, 5, 120], protocol)
    found = imagenet16_120()
    assert (found.name, found.classes, found.crop_padding, found.flip) == ("imagenet16-120", 120, 2, True)
    assert found.train.labels.tolist() == [119, 0] * 10
    assert found.train.images.shape == (20, 3, 16, 16)
    assert found.test.labels.tolist() == [4, 119]
    blue = test[1:].reshape(2, 3, 16, 16)[:, 2]
    np.testing.assert_allclose(found.test.images[:, 2], (blue - 104.01) / 65.09, atol=1e-5)
    assert found.test.images.dtype == torch.float32


def test_batches_that_python_2_wrote_are_read(imagenet: Path) -> None:
    images = pixels(1, 768)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"  # an empty array,
        b"(I1\n(I1\nI768\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"  # its shape and dtype,
        b"I00\nT" + images.nbytes.to_bytes(4, "little") + images.tobytes() + b"tb"  # and its bytes as a Python 2 string
    )
    (imagenet / "val_data").write_bytes(b"(dS'data'\n" + array + b"sS'labels'\n(lI7\nas.")
    found = imagenet16_120()
    assert found.test.labels.tolist() == [6]
    red = images.reshape(3, 16, 16)[0]
    np.testing.assert_allclose(found.test.images[0, 0], (red - 122.68) / 63.22, atol=1e-5)


def test_a_missing_batch_is_named(imagenet: Path) -> None:
    (imagenet / "train_data_batch_7").unlink()
    with pytest.raises(MissingData, match=r"train_data_batch_7 cannot be read .*image-net\.org"):
        imagenet16_120()
    (imagenet / "train_data_batch_7").mkdir()
    with pytest.raises(MissingData, match="Is a directory"):
        imagenet16_120()


class Hostile:
    """Unpickled by the ordinary means, this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_batch_is_refused_and_not_run(imagenet: Path, tmp_path: Path, wrapped: bool, protocol: int) -> None:
    trace = tmp_path / "was_run"
    content = {"data": pixels(1, 768), "labels": [1], "extra": Hostile(trace)} if wrapped else Hostile(trace)
    attack = pickle.dumps(content, protocol)
    (imagenet / "val_data").write_bytes(attack)
    message = r"val_data: it asks for posix\.mkdir, which no published file needs"
    with pytest.raises(InvalidImages, match=message) as caught:
        imagenet16_120()
    assert "\n" not in str(caught.value)
    assert not trace.exists()
    pickle.loads(attack)
    assert trace.exists()  # so the file was really hostile


@pytest.mark.parametrize(
    "name",
    ["builtins::eval", "os::system", "numpy::load", "numpy::ndarray.__class__", "numpy._core.multiarray::scalar"],
)
def test_only_parts_of_arrays_can_be_asked_for(imagenet: Path, name: str) -> None:
    module, _, function = name.partition("::")
    # Protocol 4 looks up dotted names inside a module, the usual way around a list of allowed modules.
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, function))
    (imagenet / "val_data").write_bytes(b"\x80\x04" + texts + b"\x93.")
    with pytest.raises(InvalidImages, match=r"it asks for \S+, which no published file needs"):
        imagenet16_120()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"labels": [1]}, "val_data: 'data'; expected a batch"),
        ([1, 2], "expected a batch of ImageNet16"),
        ({"data": [1], "labels": [1]}, "'data' is a list, expected uint8 of shape"),
        ({"data": np.zeros((1, 768)), "labels": [1]}, "'data' is float64 of shape"),
        ({"data": pixels(1, 3072), "labels": [1]}, r"'data' is uint8 of shape \(1, 3072\), expected .* \(count, 768\)"),
        (
            {"data": pixels(2, 768), "labels": [1]},
            r"'labels' is int64 of shape \(1,\), expected integers of shape \(2,\)",
        ),
        ({"data": pixels(1, 768), "labels": ["a"]}, "'labels' is no list of numbers"),
        ({"data": pixels(1, 768), "labels": [[1], [1, 2]]}, "expected a batch of ImageNet16"),
        ({"data": pixels(2, 768), "labels": [0, 999]}, "'labels' go from 0 to 999, expected 1 to 1000"),
        ({"data": pixels(1, 768), "labels": [500]}, "no image of the classes 1 to 120"),
    ],
)
def test_a_batch_of_something_else_is_refused(imagenet: Path, content: object, complaint: str) -> None:
    (imagenet / "val_data").write_bytes(pickle.dumps(content))
    with pytest.raises(InvalidImages, match=complaint):
        imagenet16_120()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_damaged_batch_is_an_invalid_one(imagenet: Path, data: st.DataObject) -> None:
    whole = pickle.dumps({"data": pixels(1, 768), "labels": [1]}, 2)
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))] + data.draw(st.binary(max_size=20)))
    (imagenet / "val_data").write_bytes(damaged)
    try:
        imagenet16_120()
    except InvalidImages as error:
        assert "\n" not in str(error)


# Archives


def test_uint8_images_are_normalised_by_their_own_training_statistics(tmp_path: Path) -> None:
    found = npz(archive(tmp_path), crop_padding=4, flip=True)
    assert (found.name, found.classes, found.crop_padding, found.flip, found.valid) == ("mine", 3, 4, True, None)
    assert found.train.images.dtype == torch.float32
    assert found.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    scaled = arrays()["x_train"] / 255
    mean, std = scaled.mean((0, 2, 3), keepdims=True), scaled.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(found.train.images, (scaled - mean) / std, atol=1e-5)
    np.testing.assert_allclose(found.test.images, (arrays()["x_test"] / 255 - mean) / std, atol=1e-5)


def test_statistics_do_not_depend_on_how_many_images_are_counted_at_once() -> None:
    images = pixels(2500, 2, 3, 3)
    mean, std = image_sources._channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean((0, 2, 3)))
    np.testing.assert_allclose(std, (images / 255).std((0, 2, 3)))


def test_a_constant_channel_stays_finite(tmp_path: Path) -> None:
    images = pixels(6, 3, 8, 8)
    images[:, 1] = 77
    found = npz(archive(tmp_path, x_train=images))
    assert found.train.images[:, 1].abs().max() < 1e-6
    assert found.test.images.isfinite().all()


def test_floating_point_images_are_taken_as_they_are(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(6, 3, 8, 8)).astype(">f8")  # not this machine's byte order
    found = npz(archive(tmp_path, x_train=images, x_test=images[:3].astype(np.float16)))
    np.testing.assert_array_equal(found.train.images, images.astype(np.float32))
    assert found.test.images.dtype == torch.float32


def test_channel_last_images_are_turned_where_nothing_else_is_plausible(tmp_path: Path) -> None:
    first = npz(archive(tmp_path))
    last = npz(archive(tmp_path, **{name: arrays()[name].transpose(0, 2, 3, 1) for name in ("x_train", "x_test")}))
    assert torch.equal(first.train.images, last.train.images)
    assert torch.equal(first.test.images, last.test.images)


@pytest.mark.parametrize("shape", [(3, 8, 4), (3, 4, 4), (16, 8, 8), (6, 4, 3), (1, 1, 1)])
def test_ambiguous_shapes_are_channel_first(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    found = npz(archive(tmp_path, x_train=pixels(6, *shape), x_test=pixels(3, *shape)))
    assert found.train.images.shape == (6, *shape)


def test_images_without_a_channel_axis_have_one_channel(tmp_path: Path) -> None:
    found = npz(archive(tmp_path, x_train=pixels(6, 5, 7), x_test=pixels(3, 5, 7)))
    assert found.channels == 1
    assert found.test.images.shape == (3, 1, 5, 7)


def test_a_validation_set_is_kept_apart(tmp_path: Path) -> None:
    found = npz(archive(tmp_path, x_valid=pixels(2, 3, 8, 8, seed=2), y_valid=np.array([1, 1], dtype=np.uint8)))
    assert found.valid is not None
    assert found.valid.labels.tolist() == [1, 1]
    assert found.valid.labels.dtype == torch.int64
    assert not torch.equal(found.valid.images, found.test.images[:2])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"y_test": None, "more": np.zeros(1)}, "y_test missing; there is more, x_test, x_train, y_train"),
        ({"x_valid": pixels(2, 3, 8, 8)}, "y_valid missing; there is"),
        ({"y_valid": np.zeros(2, int)}, "x_valid missing; there is"),
        ({"x_train": np.array([None] * 6)}, "Object arrays cannot be loaded"),
        ({"y_train": np.array([{}] * 6)}, "Object arrays cannot be loaded"),
        (
            {"x_train": np.zeros((6, 3, 8, 8), int)},
            "x_train is int64 of shape (6, 3, 8, 8), expected uint8 or floating",
        ),
        ({"x_train": np.zeros((6, 3, 8, 8), complex)}, "x_train is complex128"),
        ({"x_train": pixels(6, 64)}, "x_train is uint8 of shape (6, 64), expected at least one image"),
        ({"x_train": pixels(6, 1, 3, 8, 8)}, "x_train is uint8 of shape (6, 1, 3, 8, 8)"),
        ({"x_train": pixels(0, 3, 8, 8), "y_train": np.zeros(0, int)}, "x_train is uint8 of shape (0, 3, 8, 8)"),
        ({"x_test": pixels(0, 3, 8, 8), "y_test": np.zeros(0, int)}, "x_test is uint8 of shape (0, 3, 8, 8)"),
        ({"x_train": pixels(6, 3, 0, 8)}, "x_train is uint8 of shape (6, 3, 0, 8)"),
        ({"x_test": pixels(3, 3, 9, 8)}, "x_test is uint8 of shape (3, 3, 9, 8), expected images like x_train"),
        ({"x_test": pixels(3, 3, 8, 8) / 255}, "x_test is float64 of shape (3, 3, 8, 8), expected images like x_train"),
        ({"y_train": np.arange(5)}, "y_train is int64 of shape (5,), expected integers of shape (6,), one an image"),
        ({"y_train": np.zeros((6, 1), int)}, "y_train is int64 of shape (6, 1)"),
        ({"y_train": np.array([0.0, 1, 2, 0, 1, 2])}, "y_train is float64"),
        ({"y_train": np.array(["0", "1", "2", "0", "1", "2"])}, "y_train is <U1"),
        ({"y_train": np.array([1, 2, 3, 1, 2, 3])}, "y_train holds 3 different label(s) from 1 to 3"),
        ({"y_train": np.array([-1, 0, 1, 0, 1, 0])}, "y_train holds 3 different label(s) from -1 to 1"),
        ({"y_train": np.array([0, 2, 0, 2, 0, 2])}, "y_train holds 2 different label(s) from 0 to 2"),
        ({"y_train": np.array([0, 1, 2, 0, 1, 2**64 - 1], dtype=np.uint64)}, f"from 0 to {2**64 - 1}"),
        ({"y_test": np.array([0, 1, 3])}, "y_test holds labels from 0 to 3, expected 0 to 2 as in y_train"),
        ({"y_test": np.array([0, 1, -1])}, "y_test holds labels from -1 to 1"),
    ],
)
def test_arrays_that_are_not_a_dataset_are_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    assert complaint in refusal(archive(tmp_path, **changes))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    images = np.zeros((3, 3, 8, 8))
    images[1, 2, 3, 4] = value
    path = archive(tmp_path, x_train=np.zeros((6, 3, 8, 8)), x_test=images)
    assert "x_test holds 1 value(s) that are not finite" in refusal(path)


def test_a_path_without_a_readable_file_is_missing_data(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    for name, reason in (("absent.npz", "No such file"), ("folder.npz", "Is a directory"), ("\0.npz", "null byte")):
        with pytest.raises(MissingData, match=f"cannot be read .*{reason}.*expected an .npz archive with x_train"):
            load_images(str(tmp_path / name))


def test_files_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(b"")
    assert "not readable as arrays" in refusal(path)
    path.write_bytes(b"x_train,y_train\n1,2\n")
    assert "not readable as arrays" in refusal(path)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    assert "holds a single array" in refusal(path)
    with zipfile.ZipFile(path, "w"):
        pass
    assert "x_train, y_train, x_test, y_test missing; there is nothing" in refusal(path)
    with zipfile.ZipFile(path, "w") as zipped:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            zipped.writestr(name, b"plain text")
    assert "x_train is no array, expected an .npz archive" in refusal(path)


def test_a_pickle_in_place_of_an_archive_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "was_run"
    path = tmp_path / "hostile.npz"
    path.write_bytes(pickle.dumps(Hostile(trace)))
    refusal(path)
    np.savez(path, **arrays(y_test=np.array([Hostile(trace)] * 3)))
    refusal(path)
    assert not trace.exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data(), st.booleans())
def test_a_damaged_archive_never_fails_in_another_way(tmp_path: Path, data: st.DataObject, compressed: bool) -> None:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays())
    whole = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.npz"
    path.write_bytes(whole[: data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))])
    try:
        npz(path)
    except InvalidImages as error:
        assert "\n" not in str(error)


@pytest.mark.skipif(not REAL_IMAGES.exists(), reason=f"{REAL_IMAGES} is not on this machine")
def test_real_cifar10_images_have_the_statistics_of_the_field() -> None:
    found = npz(REAL_IMAGES, crop_padding=4, flip=True)
    assert (found.name, found.classes, found.channels) == ("cifar10_subset", 10, 3)
    assert (len(found.train), len(found.test)) == (4660, 846)
    assert found.train.images.mean((0, 2, 3)).abs().max() < 1e-4
    assert found.train.images.std((0, 2, 3)) == pytest.approx([1, 1, 1], abs=1e-3)
    # A tenth of the real training set: its own statistics are within sampling error of REFERENCE.md 1.2.
    with np.load(REAL_IMAGES, allow_pickle=False) as real:
        mean, std = image_sources._channel_statistics(real["x_train"])
    assert mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)
    assert std == pytest.approx([0.2470, 0.2435, 0.2616], abs=0.01)


def sorted_archive(folder: Path, order: np.ndarray) -> Path:
    """60 images of three classes, in some order; the brightness of an image is its number."""
    folder.mkdir()
    images = np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None, None], (60, 8, 8))
    return archive(
        folder,
        x_train=images[order],
        y_train=np.repeat(np.arange(3), 20)[order],
        x_test=images[:3],
        y_test=np.arange(3),
    )


def test_images_that_are_sorted_by_class_are_shuffled_with_a_stated_seed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sorted_by_class, mixed = np.arange(60), np.random.default_rng(0).permutation(60)
    plain = npz(sorted_archive(tmp_path / "mixed", mixed))
    assert plain.order_seed is None
    assert not caplog.records
    found, again = (npz(sorted_archive(tmp_path / name, sorted_by_class)) for name in ("sorted", "again"))
    assert found.order_seed == 0
    assert "its training images are sorted by class; they are shuffled with seed 0" in caplog.text
    assert torch.equal(found.train.images, again.train.images)
    assert not found.is_sorted_by_class
    assert set(found.train.labels[:30].tolist()) == set(found.train.labels[30:].tolist()) == {0, 1, 2}
    # Every image keeps its class.
    by_brightness = found.train.images[:, 0, 0, 0].argsort()
    assert torch.equal(found.train.labels[by_brightness], torch.arange(3).repeat_interleave(20))
