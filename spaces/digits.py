"""The images of digits201: scikit-learn's handwritten digits, moved about and made noisy, rebuilt from one seed.

The plain 8x8 digits are too easy to tell good cells apart (trained cells saturate near 97 %), so every digit is placed
at a random position of an empty 12x12 canvas under Gaussian noise, as much of it as lets two seeds of one cell agree on
its rank (`results/digits201/README.md` has the trials that decided it). Nothing is downloaded and nothing is shipped:
scikit-learn carries the digits, and the result is checked against a hash.
"""

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits

from opselect.spaces.images import ImageData, LabelledImages, content_hash

CANVAS = 12
NOISE = 0.4
TRAINING_DIGITS = 1000
PLACEMENTS = 8
"""How often each validation and test digit is placed, each time elsewhere and with other noise."""
SEED = 201
HASHED_EPOCHS = 10
HASH = "55d86800c5762a00ce959863b2b245be9c4ffc66054eb4fb6ce6f8c1c4346031"


def _place(digits: np.ndarray, generator: np.random.Generator) -> torch.Tensor:
    """Put 8x8 digits (`[count, 8, 8]`, values 0..1) on noisy canvases, `[count, 1, 12, 12]`."""
    count, size = len(digits), digits.shape[1]
    canvases = NOISE * generator.standard_normal((count, 1, CANVAS, CANVAS), dtype=np.float32)
    corners = generator.integers(0, CANVAS - size + 1, size=(count, 2))
    for canvas, digit, (row, column) in zip(canvases, digits, corners, strict=True):
        canvas[0, row : row + size, column : column + size] += digit
    return torch.from_numpy(canvases)


@cache
def _source() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """scikit-learn's digits: pictures `[1797, 8, 8]` from 0 to 1, labels, and the order that splits them."""
    bunch = load_digits()
    order = np.random.default_rng(SEED).permutation(len(bunch.target))
    return (bunch.images / bunch.images.max()).astype(np.float32), bunch.target.astype(np.int64), order


def _placed(chosen: np.ndarray, *purpose: int) -> LabelledImages:
    pictures, labels, _ = _source()
    images = _place(pictures[chosen], np.random.default_rng([SEED, *purpose]))
    return LabelledImages(images, torch.from_numpy(labels[chosen]))


@cache
def training_images(epoch: int) -> LabelledImages:
    """The 1,000 training digits as an epoch of a table training sees them: placed anew, with new noise.

    Epoch 0 is the training set of `digits`. Fresh placements are what augmentation is elsewhere.
    """
    return _placed(_source()[2][:TRAINING_DIGITS], 0, epoch)


@cache
def digits() -> ImageData:
    """1,000 training images from 1,000 digits; 3,184 validation and 3,192 test images from the 797 others.

    Raises:
        RuntimeError: scikit-learn's digits or NumPy's random stream are not the ones the accuracies were made with.
    """
    order = _source()[2]
    middle = TRAINING_DIGITS + (len(order) - TRAINING_DIGITS) // 2
    valid = _placed(np.repeat(order[TRAINING_DIGITS:middle], PLACEMENTS), 1)
    test = _placed(np.repeat(order[middle:], PLACEMENTS), 2)
    found = content_hash(*(training_images(epoch) for epoch in range(HASHED_EPOCHS)), valid, test)
    if found != HASH:
        raise RuntimeError(
            f"digits: the rebuilt images have hash {found}, expected {HASH}; the shipped accuracies belong to the "
            "expected images, so install a scikit-learn and NumPy that still produce them"
        )
    return ImageData("digits", 10, training_images(0), valid, test)
