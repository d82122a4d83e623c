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

The flatten is deliberate: averaging over space would forget *where* in the brain something happens. What
else could be read into the text is a named ablation of `model.architecture`.
"""

import torch
from torch import nn

from model.architecture import Architecture, NetworkName, RnnName
from model.encoder import STAGES, FrameEncoder
from model.recurrent_start import start_as_keras
from model.shapes import Features, FeatureWindows, Frames, Logits, WindowBatch

GRID_SIZE = 34
RNN_UNITS = 64
RNN_LAYERS: dict[RnnName, type[nn.LSTM | nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}
# Keras's own, whose layers the published text names; it also keeps a feature that hardly varies small.
FEATURE_NORM_EPS = 1e-3


class RestNetwork(nn.Module):
    """A residual network read over time by a bidirectional recurrent layer.

    The two halves can be used apart. In evaluation mode ``network(windows)`` is exactly ``read`` of the
    windows' features, so overlapping windows may share the work of :meth:`encode`, which is nearly all of
    it.

    Parameters
    ----------
    architecture : Architecture
        A card or the settings of a training will do: they are architectures too.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.encoder = FrameEncoder(
            n_stages=STAGES[architecture.network],
            width=architecture.width,
            space=architecture.space,
            bottleneck_channels=architecture.bottleneck_channels,
            blocks=architecture.blocks,
        )
        self.feature_norm: nn.BatchNorm1d | None = None
        if architecture.feature_norm == "batch":
            # Without a scale and shift of its own: the recurrent layer's input weights are both.
            self.feature_norm = nn.BatchNorm1d(self.n_features, eps=FEATURE_NORM_EPS, affine=False)
        self.feature_dropout = nn.Dropout(architecture.feature_dropout)
        rnn = RNN_LAYERS[architecture.rnn]
        self.rnn = rnn(self.n_features, RNN_UNITS, batch_first=True, bidirectional=True)
        start_as_keras(self.rnn)
        self.time = architecture.time
        self.dropout = nn.Dropout(architecture.dropout)
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
        if self.feature_norm is not None:
            features = self.feature_norm(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        over_time, _ = self.rnn(self.feature_dropout(features))
        if self.time == "mean":
            state = over_time.mean(dim=1)
        else:
            # Each direction has read the whole window at its own end.
            state = torch.cat([over_time[:, -1, :RNN_UNITS], over_time[:, 0, RNN_UNITS:]], dim=1)
        return self.head(self.dropout(state)).squeeze(1)  # type: ignore[no-any-return]

    def forward(self, windows: WindowBatch) -> Logits:
        """Give one logit for each window of frames, (W, F, 34, 34, 34) -> (W,)."""
        n_windows, n_frames = windows.shape[:2]
        features = self.encode(windows.flatten(0, 1).unsqueeze(1))
        return self.read(features.reshape(n_windows, n_frames, -1))


def build_network(network: NetworkName, rnn: RnnName, *, width: int = 16) -> RestNetwork:
    """Build one of the eight networks as published, with fresh weights from torch's global generator.

    A network with ablations is a ``RestNetwork(architecture)``.

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
    return RestNetwork(Architecture(network=network, rnn=rnn, width=width))


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
