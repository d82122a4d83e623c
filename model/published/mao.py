"""The 4-D CNN of Mao et al. (2019): a 3D CNN of each frame, and three ways to join frames over time.

Mao, Su, Xu, Wang, Huang, Yue, Sun, Xiong: Spatio-temporal deep learning method for ADHD fMRI classification.
Information Sciences (2019), doi:10.1016/j.ins.2019.05.043.

Stated in the publication (its abstract): series of 3-D frames, cut into short pieces at a fixed stride to
have more of them; several models of space and time, namely feature pooling, LSTM and spatio-temporal
convolution.

Our reading: every size. The frames' CNN is `model.published.frame_cnn`; feature pooling takes the maximum
over time of 128 features a frame; the LSTM has 64 units and its last state is classified; the spatio-temporal
convolution joins three frames and 3^3 positions by 32 filters, a 3x3x3x3 kernel, before the maximum over
time. Dropout of one half before the last layer, one logit.
"""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, cat, nn

from model.published.frame_cnn import FILTERS, LAST_EDGE, N_FEATURES, FrameCNN
from model.published.sizes import enough_time
from model.recurrent_start import start_as_keras
from model.shapes import Logits, WindowBatch

Fusion = Literal["pooling", "lstm", "convolution"]
FrameMaps = Float[Tensor, "W F 64 4 4 4"]
"""What the frames' CNN says of windows of frames."""
Fused = Float[Tensor, "W E"]
"""What a fusion says of each window."""

DENSE_UNITS = 128
LSTM_UNITS = 64
FUSED_FILTERS = 32
# Frames that one kernel of the spatio-temporal convolution joins.
KERNEL_FRAMES = 3


class Mao4DCNN(nn.Module):
    """A 3D CNN of each frame and one of three fusions over time.

    Parameters
    ----------
    fusion : "pooling", "lstm" or "convolution"
    dropout : float
        Share of the fused features that training drops.

    Attributes
    ----------
    min_frames : int
        Shortest window: 3 frames for the spatio-temporal convolution, else 1.

    Raises
    ------
    ValueError
        If the fusion is another.
    """

    def __init__(self, *, fusion: Fusion = "pooling", dropout: float = 0.5) -> None:
        super().__init__()
        if fusion not in get_args(Fusion):
            raise ValueError(f"expected a fusion among {', '.join(get_args(Fusion))}, found {fusion!r}")
        self.frame_cnn = FrameCNN()
        self.fusion = _FUSIONS[fusion]()
        self.min_frames = KERNEL_FRAMES if fusion == "convolution" else 1
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.fusion.n_features, 1)

    def forward(self, windows: WindowBatch) -> Logits:
        """Give one logit for each window of frames, (W, F, 34, 34, 34) -> (W,).

        Raises
        ------
        TooFewTimePointsError
            If the windows are shorter than ``min_frames``.
        """
        enough_time(network="Mao4DCNN", expected=self.min_frames, found=windows.shape[1])
        maps = self.frame_cnn(windows.flatten(0, 1).unsqueeze(1))
        fused = self.fusion(maps.unflatten(0, windows.shape[:2]))
        return self.head(self.dropout(fused)).squeeze(1)  # type: ignore[no-any-return]


class PoolingFusion(nn.Module):
    """The largest value over time of each feature, wherever in the window it lies."""

    n_features = DENSE_UNITS

    def __init__(self) -> None:
        super().__init__()
        self.describe = nn.Linear(N_FEATURES, DENSE_UNITS)
        self.relu = nn.ReLU()

    def forward(self, maps: FrameMaps) -> Fused:
        """Describe each frame, then take the maximum over frames."""
        return self.relu(self.describe(maps.flatten(2))).amax(dim=1)  # type: ignore[no-any-return]


class LstmFusion(nn.Module):
    """The frames' features read in the order of time; the last state speaks for the window."""

    n_features = LSTM_UNITS

    def __init__(self) -> None:
        super().__init__()
        self.describe = nn.Linear(N_FEATURES, DENSE_UNITS)
        self.relu = nn.ReLU()
        self.lstm = nn.LSTM(DENSE_UNITS, LSTM_UNITS, batch_first=True)
        start_as_keras(self.lstm)

    def forward(self, maps: FrameMaps) -> Fused:
        """Describe each frame, then read them."""
        states, _ = self.lstm(self.relu(self.describe(maps.flatten(2))))
        return states[:, -1]  # type: ignore[no-any-return]


class ConvolutionFusion(nn.Module):
    """A convolution over time and space at once."""

    n_features = DENSE_UNITS

    def __init__(self) -> None:
        super().__init__()
        self.convolve = nn.Conv3d(KERNEL_FRAMES * FILTERS[-1], FUSED_FILTERS, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(FUSED_FILTERS)
        self.relu = nn.ReLU()
        self.describe = nn.Linear(FUSED_FILTERS * LAST_EDGE**3, DENSE_UNITS)

    def forward(self, maps: FrameMaps) -> Fused:
        """Join neighbouring frames, take the maximum over time, and describe what is left."""
        # Torch has no convolution in four dimensions. Neighbours in time, side by side as channels of one in
        # three, are multiplied and added up in just the same way.
        n_places = maps.shape[1] - KERNEL_FRAMES + 1
        side_by_side = cat([maps[:, k : k + n_places] for k in range(KERNEL_FRAMES)], dim=2)
        joined = self.relu(self.norm(self.convolve(side_by_side.flatten(0, 1))))
        over_time = joined.unflatten(0, (maps.shape[0], n_places)).amax(dim=1)
        return self.relu(self.describe(over_time.flatten(1)))  # type: ignore[no-any-return]


_FUSIONS: dict[Fusion, type[PoolingFusion | LstmFusion | ConvolutionFusion]] = {
    "pooling": PoolingFusion,
    "lstm": LstmFusion,
    "convolution": ConvolutionFusion,
}
