"""Labelled images as plain tensors, the data of every search and every training."""

import hashlib
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from opselect.spaces.errors import UserError

SURELY_SORTED = 1e-6
"""Probability under a random order below which training images count as sorted by class."""


class TooFewImages(UserError, ValueError):
    """More training images were requested than the dataset has."""


@dataclass(frozen=True)
class LabelledImages:
    """Images with their classes.

    Attributes:
        images: Normalised images in float32.
        labels: Class of every image, counted from 0.

    Example:
        >>> batch = LabelledImages(torch.zeros(4, 3, 8, 8), torch.tensor([0, 1, 1, 0]))
        >>> len(batch), batch[:3].images.shape
        (4, torch.Size([3, 3, 8, 8]))
        >>> batch[torch.tensor([2, 0])].labels
        tensor([1, 0])
    """

    images: Float[Tensor, "count channels height width"]
    labels: Int[Tensor, " count"]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)

    def __getitem__(self, chosen: Tensor | slice) -> "LabelledImages":
        """Select images by a slice or a tensor of indices."""
        return LabelledImages(self.images[chosen], self.labels[chosen])

    def to(self, device: str) -> "LabelledImages":
        """The same images on a device, for example `"cuda"`."""
        return LabelledImages(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class ImageData:
    """A dataset with its splits.

    Attributes:
        name: Registered name of the dataset.
        classes: Number of classes.
        train: Images for training supernets and networks; a search divides them into a train split and a
            search-validation split.
        valid: Images for choosing between trained networks; None where the dataset defines no such split.
        test: Images on which accuracies are reported; no selector ever sees them.
        crop_padding: Padding in pixels on every side for random crops in training, 0 for no crops.
        flip: Whether training mirrors images at random.
        black: Value of a black pixel per channel, with which random crops are padded; None for padding with zeros.
        order_seed: Seed with which the training images were shuffled; None where they have the order of their source.

    Example:
        >>> images = LabelledImages(torch.zeros(4, 3, 8, 8), torch.tensor([0, 1, 1, 0]))
        >>> data = ImageData("example", 2, train=images, valid=None, test=images)
        >>> data.channels, len(data.limited(2).train)
        (3, 2)
    """

    name: str
    classes: int
    train: LabelledImages
    valid: LabelledImages | None
    test: LabelledImages
    crop_padding: int = 0
    flip: bool = False
    black: tuple[float, ...] | None = None
    order_seed: int | None = None

    @property
    def augmentation(self) -> dict[str, int | bool | str] | None:
        """What training changes at random, by name; None where it changes nothing."""
        if not self.crop_padding:
            return {"crop_padding": 0, "flip": True} if self.flip else None
        fill = "zero" if self.black is None else "black"
        return {"crop_padding": self.crop_padding, "flip": self.flip, "crop_fill": fill}

    @property
    def channels(self) -> int:
        """Number of channels of every image."""
        return self.train.images.shape[1]

    @property
    def is_sorted_by_class(self) -> bool:
        """Whether the two halves of the training images hold other classes than a random order could give.

        A search trains on the first half and validates on the second, so an order by class makes it worthless. The
        probability that a random order divides the classes so unevenly is below 1e-6, by a chi-squared test.
        """
        # Imported here, since reading tables should not load scipy.
        from scipy.stats import chi2_contingency

        middle = len(self.train) // 2
        halves = [self.train.labels[:middle], self.train.labels[middle:]]
        counts = torch.stack([torch.bincount(half, minlength=self.classes) for half in halves])
        present = counts[:, counts.sum(0) > 0].numpy()
        return middle > 0 and float(chi2_contingency(present, correction=False).pvalue) < SURELY_SORTED

    def limited(self, training_images: int | None) -> "ImageData":
        """The same dataset with the first `training_images` training images only.

        Args:
            training_images: Number of training images; None for all of them.

        Raises:
            TooFewImages: The dataset has fewer training images.
        """
        if training_images is not None and training_images > len(self.train):
            raise TooFewImages(
                f"training_images = {training_images}, but {self.name!r} has only {len(self.train)}; "
                "choose at most that, or leave it out"
            )
        return replace(self, train=self.train[:training_images])


def content_hash(*parts: LabelledImages) -> str:
    """SHA-256 of the bytes of images and labels, which shows whether two machines have the same data.

    Args:
        parts: Sets of images, in an order that matters.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for labelled in parts:
        digest.update(labelled.images.contiguous().numpy().tobytes())
        digest.update(labelled.labels.to(torch.int64).numpy().tobytes())
    return digest.hexdigest()
