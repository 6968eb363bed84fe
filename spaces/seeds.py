"""Seeds derived by hashing the purpose of a random choice, so that every choice has its own reproducible stream."""

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


def seed_for(*purpose: object) -> int:
    """A seed that depends on every part of `purpose` and on nothing else.

    Equal purposes give the same stream, in whichever selector they occur; different purposes give unrelated streams.

    Args:
        purpose: Parts that name the purpose of the randomness, for example `"digits201", 3, "supernet weights"`; they
            count by their text.

    Returns:
        An integer of 63 bits, not negative.

    Example:
        >>> seed_for("digits201", 3, "supernet weights")
        5475736438972106707
        >>> seed_for("digits201", 4, "supernet weights")
        6330182560426209998
    """
    text = "\x1f".join(str(part) for part in purpose)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(*purpose: object) -> "torch.Generator":
    """A generator of torch on the CPU, seeded for `purpose`; see `seed_for`.

    Example:
        >>> torch_generator("example", 0).initial_seed() == seed_for("example", 0)
        True
    """
    import torch

    return torch.Generator().manual_seed(seed_for(*purpose))


@contextmanager
def global_torch_seed(seed: int) -> "Iterator[None]":
    """While the block runs, torch's global stream starts from a seed; afterwards it is what it was before.

    torch's layers draw their initial parameters from this stream when they are built.

    Example:
        >>> import torch
        >>> with global_torch_seed(0):
        ...     drawn = torch.rand(1)
        >>> torch.equal(drawn, torch.rand(1, generator=torch.Generator().manual_seed(0)))
        True
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def numpy_generator(*purpose: object) -> np.random.Generator:
    """A generator of NumPy, seeded for `purpose`; see `seed_for`.

    Example:
        >>> numpy_generator("example", 0).integers(10, size=4)
        array([7, 2, 0, 1])
    """
    return np.random.default_rng(seed_for(*purpose))
