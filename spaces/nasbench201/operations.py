"""The candidate operations of the NAS-Bench-201 cell and the fixed parts of its skeletons, each layer once.

Every convolution takes `models`: the number of independent networks that are stacked in one module, as the groups of
its convolutions. One model is the ordinary network; several are a way to train many tiny networks with fewer kernel
launches (see `opselect.bench.tables.digits201`).
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

POOLING_WINDOW = 3


class ReLUConvBN(nn.Module):
    """ReLU, convolution without bias that keeps the spatial size (or halves it), batch normalisation.

    Attributes:
        is_relu_block: Read by `nwot_reference`, which counts such blocks as the published code does.

    Source: NAS-Bench-201 (Dong and Yang, ICLR 2020), section 3.1.
    """

    is_relu_block: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        affine: bool = True,
        models: int = 1,
    ) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.convolution = nn.Conv2d(
            in_channels * models,
            out_channels * models,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=models,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(out_channels * models, affine=affine)

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps `[batch, channels, height, width]` in, the same (halved with stride 2) out."""
        out: Tensor = self.norm(self.convolution(self.relu(images)))
        return out


class AveragePooling(nn.Module):
    """3x3 average over the pixels inside the image (padding is not counted), stride 1, without normalisation."""

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps `[batch, channels, height, width]` in and out."""
        return functional.avg_pool2d(images, POOLING_WINDOW, stride=1, padding=1, count_include_pad=False)


class ResidualDownSampling(nn.Module):
    """NAS-Bench-201's block between stages: two ReLU-conv-BN with a shortcut, halving the size.

    The shortcut is a 2x2 average pooling and a 1x1 convolution without norm.

    Source: the published search code of NAS-Bench-201.
    """

    def __init__(self, in_channels: int, out_channels: int, models: int = 1) -> None:
        super().__init__()
        self.first = ReLUConvBN(in_channels, out_channels, 3, stride=2, models=models)
        self.second = ReLUConvBN(out_channels, out_channels, 3, models=models)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(in_channels * models, out_channels * models, 1, groups=models, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """`[batch, in, height, width]` to `[batch, out, height / 2, width / 2]`."""
        out: Tensor = self.shortcut(images) + self.second(self.first(images))
        return out


class PlainDownSampling(nn.Sequential):
    """2x2 average pooling, 1x1 convolution, batch normalisation: no ReLU and no shortcut of its own."""

    def __init__(self, in_channels: int, out_channels: int, models: int = 1) -> None:
        super().__init__(
            nn.AvgPool2d(2),
            nn.Conv2d(in_channels * models, out_channels * models, 1, groups=models, bias=False),
            nn.BatchNorm2d(out_channels * models),
        )


def cell_operation(name: str, channels: int, affine: bool, models: int = 1) -> nn.Module | None:
    """The module of a NAS-Bench-201 operation; `none` has no module, since it is never computed.

    Args:
        name: Name of the operation.
        channels: Number of channels in and out.
        affine: Whether the batch norm is learnt.
        models: Number of stacked networks.

    Raises:
        KeyError: The name is none of the five.
    """
    match name:
        case "none":
            return None
        case "skip_connect":
            return nn.Identity()
        case "nor_conv_1x1":
            return ReLUConvBN(channels, channels, 1, affine=affine, models=models)
        case "nor_conv_3x3":
            return ReLUConvBN(channels, channels, 3, affine=affine, models=models)
        case "avg_pool_3x3":
            return AveragePooling()
    raise KeyError(name)
