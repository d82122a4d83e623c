"""The residual networks A to D over single frames, and the recurrent reader over their features.

The published text names four networks and two recurrent layers but gives no layer table. This is the
project's reading of it (docs/model-card.md, "Architecture"), a ladder of depth on one plan, for a frame of
34^3 voxels::

    frame (1, 34, 34, 34)
      stem      3x3x3 convolution -> BatchNorm -> ReLU           (w, 34, 34, 34)
      pool      max, 2x2x2                                       (w, 17, 17, 17)
      stage 1   one residual block                               (w, 17, 17, 17)    A ends here
      stage 2   one residual block, stride 2                     (2w, 9, 9, 9)      B
      stage 3   one residual block, stride 2                     (4w, 5, 5, 5)      C
      stage 4   one residual block, stride 2                     (8w, 3, 3, 3)      D
      flatten   every position keeps its own weights             (D,)
    window of F frames
      read      bidirectional LSTM or GRU, 64 units a direction -> mean over time -> dropout -> one logit

The flatten is deliberate: averaging over space would forget *where* in the brain something happens.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from model.shapes import Features, FeatureWindows, Frames, Logits, WindowBatch

NetworkName = Literal["A", "B", "C", "D"]
RnnName = Literal["lstm", "gru"]

GRID_SIZE = 34
RNN_UNITS = 64
DROPOUT = 0.5
RNN_LAYERS: dict[RnnName, type[nn.LSTM | nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}
STAGES: dict[NetworkName, int] = {"A": 1, "B": 2, "C": 3, "D": 4}
STAGE_EDGES = (17, 9, 5, 3)


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


class FrameEncoder(nn.Module):
    """The residual network of one frame: stem, pool, stages, flatten.

    Parameters
    ----------
    n_stages : int
        1 to 4, the depth that tells the networks A to D apart.
    width : int
        Channels of the stem; each later stage doubles them.
    """

    def __init__(self, *, n_stages: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, width, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm3d(width)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool3d(2)
        channels = [width * 2**stage for stage in range(n_stages)]
        self.stages = nn.Sequential(
            ResidualBlock(width, width, stride=1),
            *(ResidualBlock(k, 2 * k, stride=2) for k in channels[:-1]),
        )
        self.n_features = channels[-1] * STAGE_EDGES[n_stages - 1] ** 3

    def forward(self, frames: Frames) -> Features:
        """Turn each frame into its features, frame by frame."""
        # The larger of two values stays the larger after a ReLU: pooling first gives the same, sooner.
        pooled = self.relu(self.pool(self.stem_norm(self.stem(frames))))
        return self.stages(pooled).flatten(1)  # type: ignore[no-any-return]


class RestNetwork(nn.Module):
    """A residual network read over time by a bidirectional recurrent layer.

    The two halves can be used apart. In evaluation mode ``network(windows)`` is exactly ``read`` of the
    windows' features, so overlapping windows may share the work of :meth:`encode`, which is nearly all of
    it.

    Parameters
    ----------
    network : "A", "B", "C" or "D"
    rnn : "lstm" or "gru"
    width : int
        Channels of the stem, at least 1; 16 in the published-size networks.
    """

    def __init__(self, network: NetworkName, rnn: RnnName, *, width: int) -> None:
        super().__init__()
        self.encoder = FrameEncoder(n_stages=STAGES[network], width=width)
        self.rnn = RNN_LAYERS[rnn](self.n_features, RNN_UNITS, batch_first=True, bidirectional=True)
        _initialise(self.rnn)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(2 * RNN_UNITS, 1)

    @property
    def n_features(self) -> int:
        """Features of one frame."""
        return int(self.encoder.n_features)

    def encode(self, frames: Frames) -> Features:
        """Describe single frames.

        Parameters
        ----------
        frames : (N, 1, 34, 34, 34) float
            Dimensionless: demeaned voxels over the scan's in-mask standard deviation.

        Returns
        -------
        (N, D) float
        """
        return self.encoder(frames)  # type: ignore[no-any-return]

    def read(self, features: FeatureWindows) -> Logits:
        """Read windows of frame features in both directions of time.

        Parameters
        ----------
        features : (W, F, D) float

        Returns
        -------
        (W,) float
            One logit a window.
        """
        over_time, _ = self.rnn(features)
        return self.head(self.dropout(over_time.mean(dim=1))).squeeze(1)  # type: ignore[no-any-return]

    def forward(self, windows: WindowBatch) -> Logits:
        """Give one logit for each window of frames, (W, F, 34, 34, 34) -> (W,)."""
        n_windows, n_frames = windows.shape[:2]
        features = self.encode(windows.flatten(0, 1).unsqueeze(1))
        return self.read(features.reshape(n_windows, n_frames, -1))


def _initialise(rnn: nn.LSTM | nn.GRU) -> None:
    """Draw a recurrent layer's first weights for inputs that are far wider than the layer.

    Torch's own start takes its scale from the 64 units alone; thousands of features then drive every gate
    into saturation, where nothing is learnt. This is Keras's start, whose layers the published text names:
    Glorot over inputs and gates, orthogonal recurrence, no bias but 1 on the LSTM's forget gate.
    """
    for name, parameter in rnn.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)
            if isinstance(rnn, nn.LSTM) and name.startswith("bias_ih"):
                # Gates lie in the order input, forget, cell, output.
                nn.init.ones_(parameter[RNN_UNITS : 2 * RNN_UNITS])


def build_network(network: NetworkName, rnn: RnnName, *, width: int = 16) -> RestNetwork:
    """Build one of the eight networks with fresh weights from torch's global generator.

    Parameters
    ----------
    network : "A", "B", "C" or "D"
    rnn : "lstm" or "gru"
    width : int
        Channels of the stem, at least 1.

    Raises
    ------
    ValueError
        If the width is below 1.
    """
    if width < 1:
        raise ValueError(f"expected a width of at least 1, found {width}")
    return RestNetwork(network, rnn, width=width)


def network_a_lstm(*, width: int = 16) -> RestNetwork:
    """One stage read by a Bi-LSTM: 40,295,569 parameters at width 16."""
    return build_network("A", "lstm", width=width)


def network_a_gru(*, width: int = 16) -> RestNetwork:
    """One stage read by a Bi-GRU."""
    return build_network("A", "gru", width=width)


def network_b_lstm(*, width: int = 16) -> RestNetwork:
    """Two stages read by a Bi-LSTM: 12,034,385 parameters at width 16."""
    return build_network("B", "lstm", width=width)


def network_b_gru(*, width: int = 16) -> RestNetwork:
    """Two stages read by a Bi-GRU."""
    return build_network("B", "gru", width=width)


def network_c_lstm(*, width: int = 16) -> RestNetwork:
    """Three stages read by a Bi-LSTM: 4,354,769 parameters at width 16. The published best."""
    return build_network("C", "lstm", width=width)


def network_c_gru(*, width: int = 16) -> RestNetwork:
    """Three stages read by a Bi-GRU."""
    return build_network("C", "gru", width=width)


def network_d_lstm(*, width: int = 16) -> RestNetwork:
    """Four stages read by a Bi-LSTM: 2,700,753 parameters at width 16."""
    return build_network("D", "lstm", width=width)


def network_d_gru(*, width: int = 16) -> RestNetwork:
    """Four stages read by a Bi-GRU."""
    return build_network("D", "gru", width=width)
