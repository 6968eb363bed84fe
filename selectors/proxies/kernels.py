"""The arithmetic of NASWOT's kernel: on how many ReLUs two images agree, summed over the ReLUs of one pass."""

from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor


class Kernels:
    """The sum of the kernels of all ReLUs of one pass, per variant of the network.

    Args:
        batch: Number of images per variant. A ReLU that receives no more than these sees the same for all variants.

    Attributes:
        total: `[variants, batch, batch]` in double precision, with one matrix where the variants do not differ; None
            before the first ReLU.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.total: Tensor | None = None

    def add(self, features: Tensor, times: Sequence[int] = (1,), further_units: Sequence[int] = (0,)) -> None:
        """Add the kernel of what a ReLU receives.

        Args:
            features: `[variants * batch, ...]`, or `[batch, ...]` of all variants.
            times: How often it counts, one number per variant or one for all.
            further_units: On how many further units all images agree, one number per variant or one for all.
        """
        kernel = agreement(features, self.batch).to(torch.float64)
        # Without waiting for the device, which a plain copy to it does.
        factors, constants = (
            torch.tensor(each, dtype=kernel.dtype)[:, None, None].to(kernel.device, non_blocking=True)
            for each in (times, further_units)
        )
        # Integers, which doubles hold exactly: the order of the ReLUs does not matter.
        kernel = torch.addcmul(constants, factors, kernel)
        self.total = kernel if self.total is None else self.total + kernel


def agreement(features: Tensor, batch: int) -> Float[Tensor, "variants batch batch"]:
    """The number of units that are above zero in both images or in neither, for all pairs of images of a variant.

    With codes c_i in {0, 1} and c_i . c_j units above zero in both images, the number is units - c_i . c_i - c_j . c_j
    + 2 c_i . c_j: one product, and exact, since it holds integers only.

    Args:
        features: Input of a ReLU, `[variants * batch, ...]`.
        batch: Number of images per variant.

    Example:
        Two images, three units; they agree on the first one only.

        >>> agreement(torch.tensor([[1.0, -1.0, 2.0], [3.0, 1.0, -2.0]]), 2).tolist()
        [[[3.0, 1.0], [1.0, 3.0]]]
    """
    if features.ndim == 4 and features.is_contiguous(memory_format=torch.channels_last):
        # The order of the units does not matter, so they are read in the order in which they lie in memory.
        features = features.permute(0, 2, 3, 1)
    codes = (features.flatten(1) > 0).view(-1, batch, features[0].numel())
    if codes.device.type == "cpu" and _multiplies_bytes_fast():
        variants = codes.view(torch.int8).unbind()
        both = torch.stack([torch._int_mm(variant, variant.T) for variant in variants]).to(torch.float32)
    else:
        both = codes.to(torch.float32) @ codes.to(torch.float32).mT
    above = both.diagonal(dim1=1, dim2=2)
    return codes.shape[2] + 2 * both - above[:, :, None] - above[:, None, :]


@cache
def _multiplies_bytes_fast() -> bool:
    """Whether the processor has instructions for products of bytes; without them torch has a slow loop for these."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
    return hasattr(torch, "_int_mm") and bool(capabilities.get("avx512_vnni"))


def log_determinants(kernels: Float[Tensor, "variants batch batch"]) -> list[float]:
    """The score log |det K| of every kernel K; of all at once, so that a device is waited for once."""
    return torch.linalg.slogdet(kernels).logabsdet.tolist()
