"""Labelled images as plain tensors: what every search and every training reads."""

import hashlib
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from opselect.spaces.errors import UserError


class TooFewImages(UserError, ValueError):
    """More training images were asked for than there are."""


@dataclass(frozen=True)
class LabelledImages:
    """Images with their classes.

    Attributes:
        images: float32, already normalised.
        labels: class numbers from 0.
    """

    images: Float[Tensor, "count channels height width"]
    labels: Int[Tensor, " count"]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)

    def __getitem__(self, chosen: Tensor | slice) -> "LabelledImages":
        """The chosen images, by index tensor or slice."""
        return LabelledImages(self.images[chosen], self.labels[chosen])

    def to(self, device: str) -> "LabelledImages":
        """The same images on a device."""
        return LabelledImages(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class ImageData:
    """A dataset with its splits.

    Attributes:
        name: the registered name.
        classes: number of classes.
        train: what supernets and networks are trained on; a search splits it into two halves.
        valid: held out for choosing between trained networks, or None where the dataset defines no such split.
        test: what accuracies are reported on; no selector ever sees it.
        crop_padding: pixels of zero padding for random crops while training a supernet, 0 for none.
        flip: whether a mirrored image keeps its class, so that training may flip at random.
    """

    name: str
    classes: int
    train: LabelledImages
    valid: LabelledImages | None
    test: LabelledImages
    crop_padding: int = 0
    flip: bool = False

    @property
    def channels(self) -> int:
        """Channels of every image."""
        return self.train.images.shape[1]

    def limited(self, training_images: int | None) -> "ImageData":
        """The same with only so many training images, the first ones; None leaves all.

        Raises:
            TooFewImages: there are not as many.
        """
        if training_images is not None and training_images > len(self.train):
            raise TooFewImages(
                f"training_images = {training_images}, but {self.name!r} has only {len(self.train)}; "
                "choose at most that, or leave it out"
            )
        return replace(self, train=self.train[:training_images])


def content_hash(*parts: LabelledImages) -> str:
    """SHA-256 of the bytes of images and labels, to tell whether two machines hold the same data."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.images.contiguous().numpy().tobytes())
        digest.update(part.labels.to(torch.int64).numpy().tobytes())
    return digest.hexdigest()
