"""The images of digits201: scikit-learn's handwritten digits, shifted at random and made noisy, rebuilt from one seed.

The plain 8x8 digits are too easy to tell good cells apart (trained cells saturate near 97 %), so every digit is placed
at a random position of an empty 12x12 canvas with Gaussian noise. The noise is as strong as it can be while two
trainings of a cell with different seeds still agree on its rank (`results/digits201/README.md` has the trials that
decided it). Nothing is downloaded: scikit-learn contains the digits, and the result is checked against a hash.
"""

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits

from opselect.spaces.images import ImageData, LabelledImages, content_hash

CANVAS = 12
"""Height and width of an image in pixels."""
NOISE = 0.4
"""Standard deviation of the Gaussian noise; the pixels of a digit lie between 0 and 1."""
TRAINING_DIGITS = 1000
PLACEMENTS = 8
"""Number of images made from each validation and test digit, each with its own position and noise."""
SEED = 201
HASHED_EPOCHS = 10
"""Number of epochs of training images that `HASH` covers: all that the training of the table uses."""
HASH = "55d86800c5762a00ce959863b2b245be9c4ffc66054eb4fb6ce6f8c1c4346031"


def _place(digits: np.ndarray, generator: np.random.Generator) -> torch.Tensor:
    """Put 8x8 digits (`[count, 8, 8]`, values from 0 to 1) on noisy canvases (`[count, 1, 12, 12]`)."""
    count, size = len(digits), digits.shape[1]
    canvases = NOISE * generator.standard_normal((count, 1, CANVAS, CANVAS), dtype=np.float32)
    corners = generator.integers(0, CANVAS - size + 1, size=(count, 2))
    for canvas, digit, (row, column) in zip(canvases, digits, corners, strict=True):
        canvas[0, row : row + size, column : column + size] += digit
    return torch.from_numpy(canvases)


@cache
def _source() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's digits: pictures `[1797, 8, 8]` with values from 0 to 1, labels, and the order for the splits."""
    bunch = load_digits()
    order = np.random.default_rng(SEED).permutation(len(bunch.target))
    return (bunch.images / bunch.images.max()).astype(np.float32), bunch.target.astype(np.int64), order


def _place_and_label(chosen: np.ndarray, *purpose: int) -> LabelledImages:
    """Images of the chosen digits, at positions and under noise that depend on `purpose` and the seed only."""
    pictures, labels, _ = _source()
    images = _place(pictures[chosen], np.random.default_rng([SEED, *purpose]))
    return LabelledImages(images, torch.from_numpy(labels[chosen]))


@cache
def training_images(epoch: int) -> LabelledImages:
    """The 1,000 training digits with the positions and the noise of one training epoch.

    New positions and noise in every epoch serve as data augmentation. Epoch 0 is the training set of `digits`.

    Args:
        epoch: Number of the epoch, counted from 0.

    Returns:
        Images `[1000, 1, 12, 12]` and their labels.

    Example:
        >>> training_images(3).images.shape
        torch.Size([1000, 1, 12, 12])
    """
    return _place_and_label(_source()[2][:TRAINING_DIGITS], 0, epoch)


@cache
def digits() -> ImageData:
    """The dataset of digits201: 1x12x12 images in 10 classes.

    1,000 training images show 1,000 digits; 3,184 validation and 3,192 test images show the 797 other digits.

    Raises:
        RuntimeError: scikit-learn's digits or NumPy's random stream differ from those behind the shipped accuracies.
    """
    order = _source()[2]
    middle = TRAINING_DIGITS + (len(order) - TRAINING_DIGITS) // 2
    valid = _place_and_label(np.repeat(order[TRAINING_DIGITS:middle], PLACEMENTS), 1)
    test = _place_and_label(np.repeat(order[middle:], PLACEMENTS), 2)
    rebuilt_hash = content_hash(*(training_images(epoch) for epoch in range(HASHED_EPOCHS)), valid, test)
    if rebuilt_hash != HASH:
        raise RuntimeError(
            f"digits: the rebuilt images have hash {rebuilt_hash}, expected {HASH}; the shipped accuracies belong to "
            "the expected images, so install a scikit-learn and NumPy that still produce them"
        )
    return ImageData("digits", 10, training_images(0), valid, test)
