"""Residual blocks: two 3x3x3 convolutions beside a shortcut."""

from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut, which is projected where the shape changes.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the first convolution and of the projection.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(out_channels)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(out_channels)
        self.relu = nn.ReLU()
        self.projection: nn.Conv3d | None = None
        self.projection_norm: nn.BatchNorm3d | None = None
        if stride != 1 or in_channels != out_channels:
            self.projection = nn.Conv3d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.projection_norm = nn.BatchNorm3d(out_channels)

    def forward(self, x: Float[Tensor, "N C x x x"]) -> Float[Tensor, "N K y y y"]:
        """Add what the convolutions found to the (projected) input."""
        residual = self.relu(self.norm1(self.conv1(x)))
        residual = self.norm2(self.conv2(residual))
        shortcut = x
        if self.projection is not None and self.projection_norm is not None:
            shortcut = self.projection_norm(self.projection(x))
        return self.relu(residual + shortcut)  # type: ignore[no-any-return]


class PreActivationBlock(nn.Module):
    """The same with normalisation and ReLU before each convolution (He et al. 2016, Identity Mappings).

    The shortcut stays free of both, so that a signal can pass every block unchanged; the encoder normalises
    once more after the last block.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the first convolution and of the projection.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm3d(in_channels)
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(out_channels)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.relu = nn.ReLU()
        self.projection: nn.Conv3d | None = None
        if stride != 1 or in_channels != out_channels:
            self.projection = nn.Conv3d(in_channels, out_channels, 1, stride=stride, bias=False)

    def forward(self, x: Float[Tensor, "N C x x x"]) -> Float[Tensor, "N K y y y"]:
        """Add what the convolutions found to the input, or to its activated projection."""
        activated = self.relu(self.norm1(x))
        residual = self.conv2(self.relu(self.norm2(self.conv1(activated))))
        shortcut = x if self.projection is None else self.projection(activated)
        return residual + shortcut  # type: ignore[no-any-return]
