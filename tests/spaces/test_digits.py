"""The digits of digits201: what the canvases hold, told by taking the noise away again."""

import re
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

from opselect.spaces import digits as source
from opselect.spaces.digits import digits, training_images
from opselect.spaces.images import ImageData, LabelledImages, content_hash


def rebuilt() -> ImageData:
    """The digits, made anew instead of taken from the cache."""
    return digits.__wrapped__()


@pytest.fixture(scope="module")
def noiseless() -> ImageData:
    """The same canvases without their noise: the random stream is the same, its noise multiplied by zero."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "NOISE", 0.0)
        patch.setattr(source, "training_images", training_images.__wrapped__)
        with pytest.raises(RuntimeError) as caught:
            rebuilt()
        found = re.search(r"have hash ([0-9a-f]{64})", str(caught.value))
        assert found is not None
        patch.setattr(source, "HASH", found[1])
        return rebuilt()


def placements(images: LabelledImages) -> list[tuple[int, int, int]]:
    """(number of the digit in scikit-learn's data, row, column) of every noiseless canvas, by exhaustive search."""
    pictures = (load_digits().images / 16).astype(np.float32)
    numbers = {picture.tobytes(): number for number, picture in enumerate(pictures)}
    assert len(numbers) == 1797  # no picture twice
    found = []
    for canvas in images.images[:, 0].numpy() + 0.0:  # -0.0 becomes 0.0
        total = canvas.sum()
        matches = [
            (numbers[key], row, column)
            for row in range(5)
            for column in range(5)
            if (key := (window := canvas[row : row + 8, column : column + 8]).tobytes()) in numbers
            and window.sum() == pytest.approx(total)
        ]
        assert len(matches) == 1
        found += matches
    return found


def test_sizes_and_types() -> None:
    data = digits()
    assert (data.name, data.classes, data.channels) == ("digits", 10, 1)
    assert data.valid is not None
    # 1,000 training digits; of the other 797, 398 and 399, each placed 8 times.
    assert (len(data.train), len(data.valid), len(data.test)) == (1000, 398 * 8, 399 * 8)
    for part in (data.train, data.valid, data.test):
        assert part.images.shape[1:] == (1, 12, 12)
        assert (part.images.dtype, part.labels.dtype) == (torch.float32, torch.int64)
        assert sorted(part.labels.unique().tolist()) == list(range(10))
        assert torch.isfinite(part.images).all()
    assert not data.flip


def test_every_canvas_holds_one_whole_digit_with_its_label(noiseless: ImageData) -> None:
    labels = load_digits().target
    assert noiseless.valid is not None
    for part, noisy in zip(
        (noiseless.train, noiseless.valid, noiseless.test), (digits().train, digits().valid, digits().test), strict=True
    ):
        places = placements(part)
        assert [labels[number] for number, _, _ in places] == part.labels.tolist() == noisy.labels.tolist()
        corners = Counter((row, column) for _, row, column in places)
        # All 25 positions, uniformly: each within 5 standard deviations of its binomial expectation.
        expected = len(places) / 25
        assert len(corners) == 25
        assert all(abs(count - expected) < 5 * (expected * 24 / 25) ** 0.5 for count in corners.values())


def test_no_digit_is_in_two_splits(noiseless: ImageData) -> None:
    assert noiseless.valid is not None
    train, valid, test = (
        Counter(number for number, _, _ in placements(part))
        for part in (noiseless.train, noiseless.valid, noiseless.test)
    )
    assert not (train.keys() & valid.keys() or train.keys() & test.keys() or valid.keys() & test.keys())
    assert train.keys() | valid.keys() | test.keys() == set(range(1797))
    assert set(train.values()) == {1}
    assert set(valid.values()) == set(test.values()) == {8}


def test_the_noise_is_gaussian_of_standard_deviation_a_fifth(noiseless: ImageData) -> None:
    for part, clean in ((digits().train, noiseless.train), (digits().test, noiseless.test)):
        noise = (part.images - clean.images).flatten()
        assert float(noise.mean()) == pytest.approx(0, abs=2e-3)
        assert float(noise.std()) == pytest.approx(0.4, abs=4e-3)
        assert float((noise.abs() < 0.4).float().mean()) == pytest.approx(0.6827, abs=5e-3)
        # Where no digit is, the image is the noise.
        assert float(part.images[clean.images == 0].std()) == pytest.approx(0.4, abs=4e-3)


def test_the_digits_are_rebuilt_bit_by_bit() -> None:
    first, second = digits(), rebuilt()
    assert first.valid is not None
    assert second.valid is not None
    for one, other in ((first.train, second.train), (first.valid, second.valid), (first.test, second.test)):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
    epochs = [training_images.__wrapped__(epoch) for epoch in range(10)]
    assert content_hash(*epochs, second.valid, second.test) == source.HASH


def test_every_epoch_places_the_same_training_digits_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = training_images(0), training_images(1)
    assert torch.equal(first.images, digits().train.images)
    assert torch.equal(first.labels, digits().train.labels)
    assert torch.equal(second.labels, first.labels)
    assert not any(torch.equal(one, other) for one, other in zip(first.images, second.images, strict=True))
    monkeypatch.setattr(source, "NOISE", 0.0)
    start, later = (placements(training_images.__wrapped__(epoch)) for epoch in (0, 1))
    assert [number for number, _, _ in start] == [number for number, _, _ in later]
    moved = sum(one != other for one, other in zip(start, later, strict=True))
    assert moved / 1000 == pytest.approx(24 / 25, abs=0.03)


@pytest.mark.parametrize(("name", "value"), [("NOISE", 0.25), ("SEED", 202), ("PLACEMENTS", 4)])
def test_other_images_than_the_table_was_made_with_are_refused(
    name: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, name, value)
    with pytest.raises(RuntimeError) as caught:
        rebuilt()
    message = str(caught.value)
    hashes = re.findall(r"\b[0-9a-f]{64}\b", message)
    assert len(set(hashes)) == 2
    assert source.HASH in hashes
    assert message.startswith("digits: ")
    assert "\n" not in message


def test_the_hash_depends_on_pixels_labels_and_order() -> None:
    part = digits().test[:20]
    changed = part.images.clone()
    changed[0, 0, 0, 0] += 1e-3
    labels = part.labels.clone()
    labels[0] = (labels[0] + 1) % 10
    variants = [
        content_hash(part),
        content_hash(LabelledImages(changed, part.labels)),
        content_hash(LabelledImages(part.images, labels)),
        content_hash(part[torch.arange(19, -1, -1)]),
    ]
    assert len(set(variants)) == 4
    assert content_hash(digits().test[:20]) == variants[0]
