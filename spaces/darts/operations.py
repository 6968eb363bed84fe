"""The candidate operations of the DARTS cells, and the parts of its networks that are not decided about.

Source: Liu et al., DARTS, ICLR 2019, section 3.1 and appendix A; the noise operation: Zela et al., Understanding and
Robustifying Differentiable Architecture Search, ICLR 2020 (space S4). Batch norms of a search are not affine.
"""

import torch
from torch import Tensor, nn

from opselect.spaces.nasbench201.operations import POOLING_WINDOW
from opselect.spaces.seeds import torch_generator


class SeparableConvolution(nn.Sequential):
    """ReLU, depthwise, pointwise, norm, and the same again; the first depthwise convolution has the stride."""

    def __init__(self, channels: int, kernel_size: int, stride: int, affine: bool) -> None:
        super().__init__(
            *_depthwise_and_pointwise(channels, kernel_size, stride, 1, affine),
            *_depthwise_and_pointwise(channels, kernel_size, 1, 1, affine),
        )


class DilatedConvolution(nn.Sequential):
    """ReLU, depthwise convolution that sees every second pixel, pointwise convolution, norm."""

    def __init__(self, channels: int, kernel_size: int, stride: int, affine: bool) -> None:
        super().__init__(*_depthwise_and_pointwise(channels, kernel_size, stride, 2, affine))


def _depthwise_and_pointwise(
    channels: int, kernel_size: int, stride: int, dilation: int, affine: bool
) -> tuple[nn.Module, ...]:
    padding = dilation * (kernel_size // 2)
    return (
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel_size, stride, padding, dilation=dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    )


class FactorizedReduction(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2, the second one pixel further, side by side, norm: half the size."""

    def __init__(self, in_channels: int, out_channels: int, affine: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = nn.Conv2d(in_channels, out_channels // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(in_channels, out_channels - out_channels // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, affine=affine)

    def forward(self, images: Tensor) -> Tensor:
        """`[batch, in, height, width]` to `[batch, out, height / 2, width / 2]`; height and width are even."""
        rectified = self.relu(images)
        out: Tensor = self.norm(torch.cat([self.even(rectified), self.odd(rectified[:, :, 1:, 1:])], dim=1))
        return out


class Noise(nn.Module):
    """Standard normal noise of the size of the output, whatever the input; it harms every network that has it.

    Training draws new noise from a stream of the module's own. Evaluation mode sees the same noise every time, so that
    measuring can be repeated; the published code draws from the global stream there too.

    Args:
        stride: of the edge.
        place: tells the modules of one network apart.
    """

    def __init__(self, stride: int, place: int) -> None:
        super().__init__()
        self.stride = stride
        self.place = place
        self.generator = self._start_of_stream()

    def _start_of_stream(self) -> torch.Generator:
        return torch_generator("noise operation", self.place)

    def forward(self, images: Tensor) -> Tensor:
        """`[batch, channels, height, width]` in, the same (halved with stride 2) out."""
        like = images[:, :, :: self.stride, :: self.stride]
        generator = self.generator if self.training else self._start_of_stream()
        return torch.randn(like.shape, generator=generator).to(like)


def darts_operation(name: str, channels: int, stride: int, search: bool, place: int) -> nn.Module | None:
    """The module of an operation; `none` has no module, since it is never computed.

    Args:
        name: one of the field's names.
        channels: in and out.
        stride: 1, or 2 where the edge halves the size.
        search: whether the network is a supernet: its norms are not affine, and pooling has one.
        place: a number that no other operation of the network has, for noise.

    Raises:
        KeyError: the name is none of the known ones.
    """
    affine = not search
    match name:
        case "none":
            return None
        case "skip_connect":
            return nn.Identity() if stride == 1 else FactorizedReduction(channels, channels, affine)
        case "max_pool_3x3":
            return _pooling(nn.MaxPool2d(POOLING_WINDOW, stride, padding=1), channels, search)
        case "avg_pool_3x3":
            pooling = nn.AvgPool2d(POOLING_WINDOW, stride, padding=1, count_include_pad=False)
            return _pooling(pooling, channels, search)
        case "sep_conv_3x3" | "sep_conv_5x5":
            return SeparableConvolution(channels, int(name[-1]), stride, affine)
        case "dil_conv_3x3" | "dil_conv_5x5":
            return DilatedConvolution(channels, int(name[-1]), stride, affine)
        case "noise":
            return Noise(stride, place)
    raise KeyError(name)


def _pooling(pooling: nn.Module, channels: int, search: bool) -> nn.Module:
    return nn.Sequential(pooling, nn.BatchNorm2d(channels, affine=False)) if search else pooling
