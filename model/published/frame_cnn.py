"""A small 3D CNN of single frames, shared by the systems whose own is not described layer by layer.

Ours: three times a convolution of 3^3, batch normalisation, ReLU and a maximum over 2^3, with 16, 32 and 64
filters. It leaves 4^3 positions of 64 maps::

    frame (1, 34, 34, 34) -> (16, 17, 17, 17) -> (32, 8, 8, 8) -> (64, 4, 4, 4)
"""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from model.shapes import Frames

FILTERS = (16, 32, 64)
LAST_EDGE = 4
N_FEATURES = FILTERS[-1] * LAST_EDGE**3


class FrameCNN(nn.Module):
    """Three convolutions, each pooled: 64 maps of 4^3 positions for every frame."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(*(_stage(n_in, n_out) for n_in, n_out in pairwise((1, *FILTERS))))

    def forward(self, frames: Frames) -> Float[Tensor, "N 64 4 4 4"]:
        """Describe single frames, (N, 1, 34, 34, 34) -> (N, 64, 4, 4, 4)."""
        return self.stages(frames)  # type: ignore[no-any-return]


def _stage(n_in: int, n_out: int) -> nn.Sequential:
    # The larger of two values stays the larger after a ReLU: pooling first gives the same, sooner.
    return nn.Sequential(
        nn.Conv3d(n_in, n_out, 3, padding=1, bias=False),
        nn.BatchNorm3d(n_out),
        nn.MaxPool3d(2),
        nn.ReLU(),
    )
