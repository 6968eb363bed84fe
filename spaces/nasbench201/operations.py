"""The candidate operations of the NAS-Bench-201 cell and the fixed parts of its skeletons, each layer once.

Every convolution takes `members`: the number of independent networks that live side by side in one module, as the
groups of its convolutions. One member is the ordinary network; several are a way to train many tiny networks at the
price of fewer kernel launches (see `opselect.bench.tables.digits201`).
"""

from torch import Tensor, nn
from torch.nn import functional

POOLING_WINDOW = 3


class ReLUConvBN(nn.Module):
    """ReLU, convolution without bias that keeps the spatial size (or halves it), batch normalisation.

    Source: NAS-Bench-201 (Dong and Yang, ICLR 2020), section 3.1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        affine: bool = True,
        members: int = 1,
    ) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.convolution = nn.Conv2d(
            in_channels * members,
            out_channels * members,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=members,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(out_channels * members, affine=affine)

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

    Source: the published search code; the shortcut is a 2x2 average pooling and a 1x1 convolution without norm.
    """

    def __init__(self, in_channels: int, out_channels: int, members: int = 1) -> None:
        super().__init__()
        self.first = ReLUConvBN(in_channels, out_channels, 3, stride=2, members=members)
        self.second = ReLUConvBN(out_channels, out_channels, 3, members=members)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(in_channels * members, out_channels * members, 1, groups=members, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """`[batch, in, height, width]` to `[batch, out, height / 2, width / 2]`."""
        out: Tensor = self.shortcut(images) + self.second(self.first(images))
        return out


class PlainDownSampling(nn.Sequential):
    """2x2 average pooling, 1x1 convolution, batch normalisation: the block adds nothing that a cell could lean on."""

    def __init__(self, in_channels: int, out_channels: int, members: int = 1) -> None:
        super().__init__(
            nn.AvgPool2d(2),
            nn.Conv2d(in_channels * members, out_channels * members, 1, groups=members, bias=False),
            nn.BatchNorm2d(out_channels * members),
        )


def cell_operation(name: str, channels: int, affine: bool, members: int = 1) -> nn.Module | None:
    """The module of a NAS-Bench-201 operation; `none` has no module, since it is never computed.

    Raises:
        KeyError: the name is none of the five.
    """
    match name:
        case "none":
            return None
        case "skip_connect":
            return nn.Identity()
        case "nor_conv_1x1":
            return ReLUConvBN(channels, channels, 1, affine=affine, members=members)
        case "nor_conv_3x3":
            return ReLUConvBN(channels, channels, 3, affine=affine, members=members)
        case "avg_pool_3x3":
            return AveragePooling()
    raise KeyError(name)
