"""The residual network of one frame, and the four ways to turn its last maps into features."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import init

from model.architecture import BlockName, NetworkName, SpaceReading
from model.blocks import PreActivationBlock, ResidualBlock
from model.shapes import Features, Frames

STAGES: dict[NetworkName, int] = {"A": 1, "B": 2, "C": 3, "D": 4}
STAGE_EDGES = (17, 9, 5, 3)


class FrameEncoder(nn.Module):
    """The residual network of one frame: stem, pool, stages, and a reading of space.

    Parameters
    ----------
    n_stages : int
        1 to 4, the depth that tells the networks A to D apart.
    width : int
        Channels of the stem; each later stage doubles them.
    space : "flatten", "average", "bottleneck" or "readout"
    bottleneck_channels : int
        Read where ``space`` is "bottleneck".
    blocks : "post_activation" or "pre_activation"
    """

    def __init__(
        self,
        *,
        n_stages: int,
        width: int,
        space: SpaceReading = "flatten",
        bottleneck_channels: int = 8,
        blocks: BlockName = "post_activation",
    ) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, width, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm3d(width)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool3d(2)
        channels = [width * 2**stage for stage in range(n_stages)]
        block = ResidualBlock if blocks == "post_activation" else PreActivationBlock
        self.stages = nn.Sequential(
            block(width, width, stride=1), *(block(k, 2 * k, stride=2) for k in channels[:-1])
        )
        self.last_norm = nn.BatchNorm3d(channels[-1]) if blocks == "pre_activation" else None
        self.reading = _reading(
            space, channels=channels[-1], edge=STAGE_EDGES[n_stages - 1], bottleneck=bottleneck_channels
        )
        self.n_features = self.reading.n_features

    def forward(self, frames: Frames) -> Features:
        """Turn each frame into its features, frame by frame."""
        # The larger of two values stays the larger after a ReLU: pooling first gives the same, sooner.
        return self.after_stem(self.relu(self.pool(self.stem_norm(self.stem(frames)))))

    def after_stem(self, pooled: Float[Tensor, "N C x x x"]) -> Features:
        """Go on from the stem's pooled maps, which training may compute in another way."""
        maps = self.stages(pooled)
        if self.last_norm is not None:
            maps = self.relu(self.last_norm(maps))
        return self.reading(maps)  # type: ignore[no-any-return]


class Flatten(nn.Module):
    """Keep every position of every channel: what happens *where* stays known."""

    def __init__(self, *, channels: int, edge: int) -> None:
        super().__init__()
        self.n_features = channels * edge**3

    def forward(self, maps: Float[Tensor, "N C x x x"]) -> Features:
        """Lay the maps out, channel by channel."""
        return maps.flatten(1)


class Average(nn.Module):
    """Average each channel over space: what happens, but not where."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.n_features = channels

    def forward(self, maps: Float[Tensor, "N C x x x"]) -> Features:
        """Average over positions."""
        return maps.mean(dim=(2, 3, 4))


class Bottleneck(nn.Module):
    """Mix the channels of each position into fewer, then keep every position."""

    def __init__(self, *, channels: int, edge: int, to_channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv3d(channels, to_channels, 1, bias=False)
        self.norm = nn.BatchNorm3d(to_channels)
        self.relu = nn.ReLU()
        self.n_features = to_channels * edge**3

    def forward(self, maps: Float[Tensor, "N C x x x"]) -> Features:
        """Convolve 1x1x1, normalise, and lay the maps out."""
        return self.relu(self.norm(self.mix(maps))).flatten(1)  # type: ignore[no-any-return]


class SpatialReadout(nn.Module):
    """Weigh the positions of each channel by a learned map of its own, and add them up."""

    def __init__(self, *, channels: int, edge: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(Tensor(channels, edge, edge, edge))
        # A sum of unit-variance positions then starts with unit variance.
        init.normal_(self.weight, std=edge**-1.5)
        self.n_features = channels

    def forward(self, maps: Float[Tensor, "N C x x x"]) -> Features:
        """Give the weighted sum of each channel."""
        return (maps * self.weight).sum(dim=(2, 3, 4))


Reading = Flatten | Average | Bottleneck | SpatialReadout


def _reading(space: SpaceReading, *, channels: int, edge: int, bottleneck: int) -> Reading:
    if space == "average":
        return Average(channels=channels)
    if space == "bottleneck":
        return Bottleneck(channels=channels, edge=edge, to_channels=bottleneck)
    if space == "readout":
        return SpatialReadout(channels=channels, edge=edge)
    return Flatten(channels=channels, edge=edge)
