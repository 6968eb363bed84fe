"""Crops, mirroring and cutout change every image on its own."""

import pytest
import torch

from opselect.spaces.augmentation import augment, cutout
from opselect.spaces.seeds import torch_generator


def test_augmentation_crops_and_mirrors_whole_images() -> None:
    image = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
    images = image.repeat(200, 1, 1, 1)
    assert torch.equal(augment(images, 0, False, torch_generator("a")), images)
    mirrored = augment(images, 0, True, torch_generator("a"))
    is_mirrored = torch.tensor([torch.equal(each, image[0].flip(2)) for each in mirrored])
    assert 60 < int(is_mirrored.sum()) < 140
    assert all(torch.equal(each, image[0]) for each in mirrored[~is_mirrored])
    padded = torch.nn.functional.pad(image[0, 0], [1] * 4)
    windows = {tuple(padded[r : r + 4, c : c + 4].flatten().tolist()) for r in range(3) for c in range(3)}
    cropped = {tuple(each.flatten().tolist()) for each in augment(images, 1, False, torch_generator("a"))}
    assert cropped == windows


def test_crops_are_padded_with_a_value_per_channel() -> None:
    images = torch.full((300, 2, 4, 4), 0.1)
    padded = augment(images, 1, False, torch_generator("a"), padding=(-2.0, -3.0))
    zeros = augment(images, 1, False, torch_generator("a"))
    for channel, value in enumerate((-2.0, -3.0)):
        assert padded[:, channel].unique().tolist() == pytest.approx([value, 0.1])
        assert torch.equal(padded[:, channel] == value, zeros[:, channel] == 0)


@pytest.mark.parametrize(("side", "most"), [(2, 4), (3, 9)])
def test_cutout_hides_one_square_of_every_image(side: int, most: int) -> None:
    images = torch.ones(300, 2, 5, 6)
    out = cutout(images, side, torch_generator("cutout"))
    hidden = (out == 0)[:, 0]
    assert torch.equal(hidden, (out == 0)[:, 1])
    sizes = hidden.sum((1, 2))
    # A square at a border is cut off, but its centre is inside.
    assert sizes.max() == most
    assert sizes.min() >= 1
    assert len(sizes.unique()) > 1
    for each in hidden:
        rows, columns = torch.where(each)
        assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
    # Every pixel is hidden in some image, and none in all.
    assert hidden.float().mean(0).min() > 0
    assert hidden.float().mean(0).max() < 1


def test_a_cutout_of_nothing_changes_nothing() -> None:
    images = torch.ones(2, 1, 3, 3)
    assert cutout(images, 0, torch_generator("cutout")) is images
