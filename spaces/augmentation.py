"""Random transformations of training images that keep their class."""

from collections.abc import Sequence

import torch
from torch import Tensor


def augment(
    images: Tensor, crop_padding: int, flip: bool, generator: torch.Generator, padding: Sequence[float] | None = None
) -> Tensor:
    """Mirror images at random and crop them at random positions of the padded image.

    Every image has its own draws.

    Args:
        images: Images `[batch, channels, height, width]`.
        crop_padding: Padding in pixels on every side, 0 for no crops.
        flip: Whether half of the images, on average, are mirrored left to right.
        generator: Random generator on the CPU.
        padding: Value of the padding per channel; zeros without it, which is the mean of normalised images.

    Returns:
        Images of the same shape.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> augment(torch.ones(2, 3, 8, 8), crop_padding=2, flip=True, generator=generator).shape
        torch.Size([2, 3, 8, 8])
    """
    if flip:
        mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if crop_padding:
        height, width = images.shape[2:]
        edge = crop_padding
        value = torch.zeros(images.shape[1]) if padding is None else torch.tensor(padding)
        size = len(images), images.shape[1], height + 2 * edge, width + 2 * edge
        padded = value.to(images)[:, None, None].expand(size).clone()
        padded[:, :, edge : edge + height, edge : edge + width] = images
        rows, columns = torch.randint(0, 2 * crop_padding + 1, (2, len(images)), generator=generator)
        images = torch.stack(
            [
                image[:, row : row + height, column : column + width]
                for image, row, column in zip(padded, rows.tolist(), columns.tolist(), strict=True)
            ]
        )
    return images


def cutout(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Cover every image with a square of zeros around a random pixel; the image's borders cut the square off.

    Args:
        images: Images `[batch, channels, height, width]`, normalised so that zero is the mean.
        side: Side length of the square in pixels, 0 for no square.
        generator: Random generator on the CPU.

    Returns:
        Images of the same shape.

    Source: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> int((cutout(torch.ones(1, 1, 8, 8), side=2, generator=generator) == 0).sum())
        4
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
