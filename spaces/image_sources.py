"""Datasets that opselect does not ship: CIFAR, SVHN and ImageNet16-120 from the data root, and a user's `.npz` files.

The data root is the folder in the environment variable OPSELECT_DATA, otherwise `opselect/data` in the user's cache.
Nothing is downloaded: the error about a missing dataset says how to get it.
"""

import logging
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

from opselect.spaces import registry
from opselect.spaces.errors import MissingData, UserError, in_one_line, shortened
from opselect.spaces.files import data_root, is_file
from opselect.spaces.images import ImageData, LabelledImages
from opselect.spaces.restricted_pickle import ARRAYS, RestrictedUnpickler
from opselect.spaces.seeds import torch_generator

log = logging.getLogger(__name__)

SVHN_STATISTICS = (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)
IMAGENET16_CLASSES = 120
IMAGENET16_SIZE = 16
IMAGENET16_STATISTICS = (122.68 / 255, 116.66 / 255, 104.01 / 255), (63.22 / 255, 61.26 / 255, 65.09 / 255)
IMAGENET16_TRAINING_FILES = tuple(f"train_data_batch_{number}" for number in range(1, 11))
IMAGENET16_TEST_FILE = "val_data"
IMAGENET16_MOST_STEPS = 1_000_000
"""Limit of pickle instructions per file. Each label takes one or two; the largest file has 130,000 labels."""
ORDER_SEED = 0
"""Seed with which training images that are sorted by class are shuffled."""
LARGEST_RATIO = 50
"""Limit of an archive's unpacked size over its size on disk; images rarely reach ten."""
LARGEST_SMALL_ARCHIVE = 32 * 2**20
"""Unpacked size in bytes that is accepted whatever the ratio."""
LARGEST_CHANNEL_AXIS = 4
"""A last axis of up to this length is read as channels (grey, grey and alpha, RGB, RGBA) where nothing else fits."""


class InvalidImages(UserError, ValueError):
    """A file exists but does not hold images in the expected form; the message says what it holds."""


def load_images(name_or_path: str) -> ImageData:
    """Load a registered dataset by its name, or a file whose path ends in `.npz`.

    A relative path is looked up in the working directory, then in the data root.

    Raises:
        UnknownName: No dataset has this name.
        MissingData: The dataset or the file is missing or cannot be read.
        InvalidImages: The file does not hold images in the expected form.

    Example:
        >>> load_images("digits").train.images.shape
        torch.Size([1000, 1, 12, 12])
    """
    if name_or_path.lower().endswith(".npz"):
        in_working_directory, in_root = Path(name_or_path), data_root() / name_or_path
        return npz(in_root if is_file(in_root) and not is_file(in_working_directory) else in_working_directory)
    try:
        source: Callable[[], ImageData] = registry.load("images", name_or_path)
    except registry.UnknownName as error:
        raise registry.UnknownName(f"{error}; the path of an .npz file is possible too") from None
    return source()


def cifar10() -> ImageData:
    """CIFAR-10: 50,000 training and 10,000 test images, 3x32x32, 10 classes.

    Normalised with the means and standard deviations of the DARTS code.

    Raises:
        MissingData: The dataset is not in the data root.
    """
    mean = (0.49139968, 0.48215827, 0.44653124)
    std = (0.24703233, 0.24348505, 0.26158768)
    return _cifar("cifar10", "CIFAR10", 10, mean, std)


def cifar100() -> ImageData:
    """CIFAR-100: 50,000 training and 10,000 test images, 3x32x32, 100 classes.

    Normalised with the means and standard deviations of the DARTS-PT code.

    Raises:
        MissingData: The dataset is not in the data root.
    """
    return _cifar("cifar100", "CIFAR100", 100, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))


def svhn() -> ImageData:
    """Street View House Numbers: 73,257 training and 26,032 test images, 3x32x32, 10 classes; no "extra" images.

    Normalised with the means and standard deviations of the DARTS-PT code. Training mirrors digits, as there.

    Raises:
        MissingData: The dataset is not in the data root.
    """
    splits = []
    for split in ("train", "test"):
        dataset = _torchvision("svhn", "SVHN", split=split)
        splits.append(LabelledImages(_normalise(dataset.data, *SVHN_STATISTICS), torch.from_numpy(dataset.labels)))
    train, test = splits
    black = _black(*SVHN_STATISTICS)
    return ImageData("svhn", 10, train, None, test, crop_padding=4, flip=True, black=black)


def imagenet16_120() -> ImageData:
    """ImageNet16-120: the first 120 classes of ImageNet at 3x16x16, 151,700 training images and 6,000 test images.

    The batch files lie in `ImageNet16/` of the data root. They are pickles, read without running any code in them: a
    file that refers to anything but arrays is refused. The test images are all validation images of ImageNet.
    NAS-Bench-201 divides them into a validation and a test set by a file of its own, so `valid` is None here.
    Normalisation and crops are those of NAS-Bench-201's training code.

    Source of the images: Chrabaszcz et al., A Downsampled Variant of ImageNet, 2017 (arXiv 1707.08819).

    Raises:
        MissingData: A batch file is missing or cannot be read.
        InvalidImages: A batch file holds something else.
    """
    folder = data_root() / "ImageNet16"
    # The small file comes first, so that a missing download is reported at once.
    test = _imagenet16_images([folder / IMAGENET16_TEST_FILE])
    train = _imagenet16_images([folder / name for name in IMAGENET16_TRAINING_FILES])
    black = _black(*IMAGENET16_STATISTICS)
    return ImageData("imagenet16-120", IMAGENET16_CLASSES, train, None, test, crop_padding=2, flip=True, black=black)


def npz(path: str | Path, crop_padding: int = 0, flip: bool = False) -> ImageData:
    """A dataset in one NumPy archive; its name is the file's name without the ending.

    The archive holds `x_train`, `y_train`, `x_test`, `y_test`, and with a validation set also `x_valid`, `y_valid`.

    Images are `[count, channels, height, width]`, or `[count, height, width]` with one channel, or channel-last where
    that is the only plausible reading: up to four channels after a larger height and width. uint8 images are scaled to
    0..1 and normalised by the mean and the standard deviation of every channel of the training images; floating-point
    images are used unchanged. Labels are integers from 0, and every class has a training image.

    Training images that are sorted by class are shuffled with a fixed seed, since a search takes the first half of them
    for one purpose and the second half for another; a warning says so, and `order_seed` of the dataset is that seed.

    Args:
        path: Path of the archive; object arrays (pickles) are refused.
        crop_padding: Padding in pixels on every side for random crops in training, 0 for no crops.
        flip: Whether training mirrors images at random.

    Raises:
        MissingData: The file is missing or cannot be read.
        InvalidImages: The file is no archive or its arrays are not as described.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "tiny.npz"
        ...     images, labels = np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1])
        ...     np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
        ...     tiny = npz(path)
        >>> tiny.name, tiny.classes, tuple(tiny.train.images.shape)
        ('tiny', 2, (2, 3, 8, 8))
    """
    path = Path(path)
    arrays = _npz_arrays(path)
    for name in ("x_train", "x_valid", "x_test"):
        if name in arrays:
            _check_images(path, name, arrays[name], arrays["x_train"])
            _check_labels(path, name.replace("x", "y"), arrays[name.replace("x", "y")], len(arrays[name]))
    classes = _count_classes(path, arrays)
    shape = arrays["x_train"].shape
    channels_last = len(shape) == 4 and shape[3] <= LARGEST_CHANNEL_AXIS < min(shape[1:3])
    statistics: tuple[list[float], list[float]] | None = None
    if arrays["x_train"].dtype == np.uint8:
        statistics = _channel_statistics(_channels_first(arrays["x_train"], channels_last))

    def split(name: str) -> LabelledImages:
        images = _channels_first(arrays.pop(f"x_{name}"), channels_last)
        labels = torch.from_numpy(arrays.pop(f"y_{name}").astype(np.int64))
        if statistics is not None:
            return LabelledImages(_normalise(images, *statistics), labels)
        with np.errstate(over="ignore", invalid="ignore"):
            floats = np.ascontiguousarray(images, dtype=np.float32)
        if not np.isfinite(floats).all():
            raise InvalidImages(
                f"{path}: x_{name} holds {np.sum(~np.isfinite(floats))} value(s) that are not finite in float32, "
                "expected none"
            )
        return LabelledImages(torch.from_numpy(floats), labels)

    valid = split("valid") if "x_valid" in arrays else None
    black = _black(*statistics) if statistics is not None else None
    data = ImageData(path.stem, classes, split("train"), valid, split("test"), crop_padding, flip, black)
    if not data.is_sorted_by_class:
        return data
    log.warning("%s: its training images are sorted by class; they are shuffled with seed %d", path, ORDER_SEED)
    order = torch_generator("npz", "order of the training images", ORDER_SEED)
    return replace(data, train=data.train[torch.randperm(len(data.train), generator=order)], order_seed=ORDER_SEED)


def _normalise(
    images: UInt8[np.ndarray, "count channels height width"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "count channels height width"]:
    """Scale pixels to 0..1 and standardise every channel; one float32 copy, changed in place to save memory."""
    floats = torch.from_numpy(np.ascontiguousarray(images)).to(torch.float32)
    per_channel = (1, -1, 1, 1)
    return floats.div_(255).sub_(torch.tensor(mean).view(per_channel)).div_(torch.tensor(std).view(per_channel))


def _black(mean: Sequence[float], std: Sequence[float]) -> tuple[float, ...]:
    """The value of a black pixel per channel after `_normalise`."""
    pixel = np.zeros((1, len(mean), 1, 1), dtype=np.uint8)
    return tuple(_normalise(pixel, mean, std).flatten().tolist())


def _torchvision(name: str, dataset_class: str, **split: str | bool) -> Any:
    """One split of a torchvision dataset, with uint8 `data`; torchvision checks the files against known hashes."""
    from torchvision import datasets

    root = data_root()
    try:
        return getattr(datasets, dataset_class)(root=root, download=False, **split)
    except (RuntimeError, OSError) as error:  # torchvision raises RuntimeError where a file is missing or damaged
        reason = f" ({error.strerror})" if isinstance(error, OSError) else ""
        choice = ", ".join(f"{key}={value!r}" for key, value in split.items())
        raise MissingData(
            f"{name}: its files are not in {root}, or not whole{reason}; get them with: python -c "
            f'"from torchvision.datasets import {dataset_class} as D; D({str(root)!r}, {choice}, download=True)"'
        ) from error


def _cifar(name: str, dataset_class: str, classes: int, mean: Sequence[float], std: Sequence[float]) -> ImageData:
    splits = []
    for is_train in (True, False):
        dataset = _torchvision(name, dataset_class, train=is_train)
        images = _normalise(dataset.data.transpose(0, 3, 1, 2), mean, std)
        splits.append(LabelledImages(images, torch.tensor(dataset.targets)))
    train, test = splits
    return ImageData(name, classes, train, None, test, crop_padding=4, flip=True, black=_black(mean, std))


def _imagenet16_batch(file: Path) -> tuple[UInt8[np.ndarray, "count 768"], Integer[np.ndarray, " count"]]:
    """Flat images of one batch file, and their classes from 1 to 1,000."""
    try:
        stream = file.open("rb")
    except OSError as error:
        raise MissingData(
            f"imagenet16-120: {file} cannot be read ({error.strerror}); get Imagenet16_train.zip and "
            f"Imagenet16_val.zip from https://image-net.org/download-images and unpack both into {file.parent}"
        ) from error
    with stream:
        try:
            batch = RestrictedUnpickler(stream, ARRAYS, most_steps=IMAGENET16_MOST_STEPS).load()
            images, labels = batch["data"], _flat(batch["labels"])
        except Exception as error:  # a damaged pickle can fail in any way
            raise InvalidImages(
                f"{file}: {in_one_line(error)}; expected a batch of ImageNet16, the pickle of a dictionary with "
                "'data' and 'labels'; nothing of the file was run"
            ) from error
    size = 3 * IMAGENET16_SIZE**2
    if (
        not isinstance(images, np.ndarray)
        or images.ndim != 2
        or images.dtype != np.uint8
        or images.shape[1:] != (size,)
    ):
        raise InvalidImages(f"{file}: 'data' is {_summary(images)}, expected uint8 of shape (count, {size})")
    _check_labels(file, "'labels'", labels, len(images))
    if len(labels) and (labels.min() < 1 or labels.max() > 1000):
        raise InvalidImages(f"{file}: 'labels' go from {labels.min()} to {labels.max()}, expected 1 to 1000")
    return images, labels


def _flat(labels: object) -> np.ndarray:
    """The labels as an array, from an array or a list of numbers."""
    # NumPy would expand nested lists, which a short pickle can make enormous.
    if isinstance(labels, list) and not all(isinstance(label, int | np.integer) for label in labels):
        raise ValueError("'labels' is no list of numbers")
    return np.asarray(labels)


def _imagenet16_images(files: Sequence[Path]) -> LabelledImages:
    """The images of the first 120 classes in these batch files, classes counted from 0."""
    images, labels = [], []
    for file in files:
        batch_images, batch_labels = _imagenet16_batch(file)
        in_subset = batch_labels <= IMAGENET16_CLASSES
        images.append(batch_images[in_subset])
        labels.append(batch_labels[in_subset].astype(np.int64) - 1)
    joined = np.concatenate(images).reshape(-1, 3, IMAGENET16_SIZE, IMAGENET16_SIZE)
    if not len(joined):
        raise InvalidImages(f"{files[0]}: no image of the classes 1 to {IMAGENET16_CLASSES}, expected some")
    return LabelledImages(_normalise(joined, *IMAGENET16_STATISTICS), torch.from_numpy(np.concatenate(labels)))


def _npz_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a dataset's archive by name; only their presence is checked."""
    required = ["x_train", "y_train", "x_test", "y_test"]
    expected = f"expected an .npz archive with {', '.join(required)}"
    try:
        stream = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: an impossible path, with a null character for example
        reason = error.strerror if isinstance(error, OSError) else in_one_line(error)
        raise MissingData(f"{path}: cannot be read ({reason}), {expected}") from error
    with stream:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy warns of headers written under Python 2
                archive = np.load(stream, allow_pickle=False)
            names = archive.files if isinstance(archive, np.lib.npyio.NpzFile) else None
            if names is not None:
                wanted = required + [name for name in ("x_valid", "y_valid") if name in names]
                _check_unpacked_size(archive.zip, path.stat().st_size)
                arrays = {name: archive[name] for name in wanted if name in names}
        except Exception as error:  # a damaged archive can fail in any way
            raise InvalidImages(f"{path}: not readable as arrays ({in_one_line(error)}), {expected}") from error
    if names is None:
        raise InvalidImages(f"{path}: holds a single array, {expected}")
    if ("x_valid" in arrays) != ("y_valid" in arrays):
        required += ["x_valid", "y_valid"]
    missing = [name for name in required if name not in arrays]
    if missing:
        present = ", ".join(sorted(names)) if names else "nothing"
        raise InvalidImages(f"{path}: {', '.join(missing)} missing; there is {shortened(present)}")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy returns the bytes of an archive member that is no array
            raise InvalidImages(f"{path}: {name} is no array, {expected}")
    return arrays


def _check_unpacked_size(archive: zipfile.ZipFile, packed: int) -> None:
    """Refuse an archive that unpacks to far more than images do.

    The declared sizes are enough to check: NumPy reads no more of a member than the archive declares.
    """
    declared = sum(info.file_size for info in archive.infolist())
    if declared > max(LARGEST_SMALL_ARCHIVE, LARGEST_RATIO * packed):
        raise ValueError(f"{packed:,} bytes unpack to {declared:,}, which no images do")


def _check_images(path: Path, name: str, images: np.ndarray, like: np.ndarray) -> None:
    """Check type and shape of one split; `like` are the training images, whose shape and type all splits share."""
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InvalidImages(f"{path}: {name} is {_summary(images)}, expected uint8 or floating-point images")
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise InvalidImages(
            f"{path}: {name} is {_summary(images)}, expected at least one image as (count, channels, height, width), "
            "(count, height, width, channels) or (count, height, width)"
        )
    if images.shape[1:] != like.shape[1:] or (images.dtype == np.uint8) != (like.dtype == np.uint8):
        raise InvalidImages(f"{path}: {name} is {_summary(images)}, expected images like x_train, {_summary(like)}")


def _check_labels(path: Path, name: str, labels: np.ndarray, count: int) -> None:
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise InvalidImages(
            f"{path}: {name} is {_summary(labels)}, expected integers of shape ({count},), one an image"
        )


def _count_classes(path: Path, arrays: dict[str, np.ndarray]) -> int:
    """The number of classes; refuses training labels with a gap and other labels that training does not have."""
    present = np.unique(arrays["y_train"])
    if present[0] != 0 or present[-1] != len(present) - 1:
        raise InvalidImages(
            f"{path}: y_train holds {len(present)} different label(s) from {present[0]} to {present[-1]}, expected "
            "integers from 0 without a gap"
        )
    for name in ("y_valid", "y_test"):
        if name in arrays and (arrays[name].min() < 0 or arrays[name].max() >= len(present)):
            raise InvalidImages(
                f"{path}: {name} holds labels from {arrays[name].min()} to {arrays[name].max()}, expected 0 to "
                f"{len(present) - 1} as in y_train"
            )
    return len(present)


def _channels_first(images: np.ndarray, channels_last: bool) -> np.ndarray:
    """A view `[count, channels, height, width]` of images in any accepted layout."""
    if images.ndim == 3:
        return images[:, np.newaxis]
    return images.transpose(0, 3, 1, 2) if channels_last else images


def _channel_statistics(images: UInt8[np.ndarray, "count channels height width"]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of every channel with pixels scaled to 0..1.

    Pixel values are counted first, which is exact and needs no floating-point copy of the images.
    """
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, dtype=np.int64)
        for start in range(0, len(images), 1024):
            counts += np.bincount(images[start : start + 1024, channel].ravel(), minlength=256)
        mean = np.average(values, weights=counts)
        means.append(float(mean))
        # A constant channel has no scale: divided by 1 it is (almost) zero, divided by its deviation it is noise.
        is_constant = np.count_nonzero(counts) == 1
        deviations.append(1.0 if is_constant else float(np.sqrt(np.average((values - mean) ** 2, weights=counts))))
    return means, deviations


def _summary(value: object) -> str:
    if isinstance(value, np.ndarray):
        return shortened(f"{value.dtype} of shape {value.shape}")
    return f"a {type(value).__name__}"
