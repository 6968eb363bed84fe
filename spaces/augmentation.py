"""Random changes of training images that keep their class."""

import torch
from torch import Tensor
from torch.nn import functional


def augment(images: Tensor, crop_padding: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Random crops of zero-padded images and random mirroring, every image on its own; `[batch, channels, h, w]`."""
    if flip:
        mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if crop_padding:
        height, width = images.shape[2:]
        padded = functional.pad(images, [crop_padding] * 4)
        rows, columns = torch.randint(0, 2 * crop_padding + 1, (2, len(images)), generator=generator)
        images = torch.stack(
            [
                image[:, row : row + height, column : column + width]
                for image, row, column in zip(padded, rows.tolist(), columns.tolist(), strict=True)
            ]
        )
    return images


def cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square of zeros around a random pixel of every image, cut off at the borders; `[batch, channels, h, w]`.

    Args:
        images: normalised, so that zero is the mean.
        side: of the square, in pixels; 0 for none.
        generator: on the CPU.

    Source: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.
    """
    if not side:
        return images
    hidden = []
    for size in images.shape[2:]:
        centre = torch.randint(size, (len(images), 1), generator=generator)
        offset = torch.arange(size) - centre + side // 2
        hidden.append((offset >= 0) & (offset < side))
    rows, columns = hidden
    square = (rows[:, None, :, None] & columns[:, None, None, :]).to(images.device)
    return images.masked_fill(square, 0)
