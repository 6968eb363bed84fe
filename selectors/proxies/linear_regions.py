"""Linear regions: the number of linear pieces of a ReLU network."""

import numpy as np
import torch
from torch import Tensor, nn

from opselect.selectors.proxies.activations import is_relu, measured
from opselect.selectors.proxies.interface import UnscorableNetwork
from opselect.spaces.images import LabelledImages
from opselect.spaces.seeds import torch_generator

POINTS = 1000
"""Number of images on the circle."""
SIDE = 4
"""Height and width of the images in pixels: the smallest size that can be halved twice."""


def linear_regions(network: nn.Module, batch: LabelledImages) -> float:
    """Number of linear regions that a circle of tiny random images runs through; larger is better.

    The ReLUs of a network divide its inputs into regions, one per activation pattern, in each of which it is linear.
    The inputs here are 1000 points on the circle cos(t) u + sin(t) v of two Gaussian images u and v with the network's
    image channels and 4x4 pixels (fewer where the batch has fewer). A new region begins wherever a unit switches on or
    off between neighbouring points. ReLUs whose units all switch at the same points count once, for example those of
    several operations that read the same node. Train mode; the parameters of the network are used unchanged; labels
    and pixels of the batch are not used.

    Differs from the published code, which counts the distinct patterns of 3 x 1000 crops of 3x3 pixels in a copy of
    one cell with one channel, initialised three times. Such a copy cannot be made of every network, and in a network of
    ordinary width every one of so many inputs has its own pattern: all networks would have the same score. On one
    dimension there are few enough regions to count, and counting switches does not saturate at the number of points.

    Raises:
        UnscorableNetwork: No ReLU was reached.

    Sources: Chen et al., TE-NAS, ICLR 2021, section 3.2; Xiong et al., On the Number of Linear Regions of
    Convolutional Neural Networks, ICML 2020; regions along a line: Hanin and Rolnick, Complexity of Linear Regions in
    Deep Networks, ICML 2019.
    """
    switches = measured(network, circle(batch.images), is_relu, lambda _, received, __: _switches(received))
    if not switches:
        raise UnscorableNetwork("linear_regions: the network has no ReLU that is computed")
    return float(max(1, sum(count for _, count in set(switches))))


def circle(like: Tensor) -> Tensor:
    """The 1000 images of `linear_regions`, `[1000, channels, height, width]`.

    Args:
        like: Images whose channels, device and number type the circle gets; it has at most their height and width.

    Example:
        >>> circle(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([1000, 3, 4, 4])
    """
    height, width = (min(side, SIDE) for side in like.shape[2:])
    first, second = torch.randn(2, like.shape[1], height, width, generator=torch_generator("linear_regions"))
    angles = torch.linspace(0, 2 * torch.pi, POINTS + 1)[:-1, None, None, None]
    return (angles.cos() * first + angles.sin() * second).to(like)


def _switches(received: Tensor) -> tuple[bytes, int]:
    """The switches of the units of a ReLU between neighbouring points, as packed bits, and their number."""
    on = (received.flatten(1) > 0).cpu().numpy()
    switches = on != np.roll(on, 1, axis=0)
    return np.packbits(switches).tobytes(), int(switches.sum())
