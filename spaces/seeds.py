"""Seeds derived by hashing what they are for, so that every random choice has its own reproducible stream."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_for(*purpose: object) -> int:
    """A 63-bit seed that depends on every part of `purpose` and on nothing else.

    Two selectors that ask for the same purpose get the same stream; two purposes get unrelated ones.

    Args:
        purpose: what the randomness is for, for example `"digits201", 3, "supernet weights"`.
    """
    text = "\x1f".join(str(part) for part in purpose)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(*purpose: object) -> "torch.Generator":
    """A CPU generator seeded for `purpose`."""
    import torch

    return torch.Generator().manual_seed(seed_for(*purpose))


def numpy_generator(*purpose: object) -> np.random.Generator:
    """A NumPy generator seeded for `purpose`."""
    return np.random.default_rng(seed_for(*purpose))
