"""SWAP-Score: how many different activation patterns the units of a network have on one batch."""

import numpy as np
from jaxtyping import UInt8
from torch import Tensor, nn

from opselect.selectors.proxies.activations import is_relu, measured
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.spaces.images import LabelledImages


def swap(network: nn.Module, batch: LabelledImages) -> float:
    """Number of distinct sample-wise activation patterns of the ReLUs; larger is better.

    The pattern of a unit has one bit per image of the batch: whether the unit is active for it. The score is the number
    of different patterns of the units of all computed ReLUs, at most 2^images. Train mode, so that batch norm uses the
    statistics of the batch; no labels, no gradients; the parameters of the network are used unchanged.

    This is the plain score. The regularised one multiplies it by exp(-(parameters - mu)^2 / sigma) with mu and sigma
    chosen for a model size. Differs from the published code, which averages over 32 networks with weights drawn from
    N(0, 1) and leaves out ReLUs after linear layers.

    Raises:
        UnscorableNetwork: No ReLU was reached.

    Source: Peng et al., SWAP-NAS: Sample-Wise Activation Patterns for Ultra-fast NAS, ICLR 2024, section 3.
    """
    packed = measured(network, batch.images, is_relu, lambda _, received, __: _packed_patterns(received))
    if not packed:
        raise UnscorableNetwork("swap: the network has no ReLU that is computed")
    return float(len({pattern.tobytes() for patterns in packed for pattern in patterns}))


def _packed_patterns(received: Tensor) -> UInt8[np.ndarray, "units bytes"]:
    on = (received.flatten(1) > 0).cpu().numpy()
    return np.ascontiguousarray(np.packbits(on, axis=0).T)
