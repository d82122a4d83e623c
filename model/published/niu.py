"""A reconstruction of the 3D-CNN beside a GRU that the paper's comparison table ascribes to Niu.

We know one sentence of it, quoted by the paper that RestNet follows: a 3D CNN reads space and a GRU reads
time, side by side. We have not found the publication itself.

Ours is everything else. Space: `model.published.frame_cnn` describes each frame by 64 features, which are
averaged over the window, so that the order of frames is left to the other half. Time: each frame, averaged to
8^3 cells, is a step of a GRU with 64 units, whose last state is taken. Both are joined; dropout of one half,
one logit.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.published.frame_cnn import N_FEATURES, FrameCNN
from model.recurrent_start import start_as_keras
from model.shapes import Logits, WindowBatch

SPACE_UNITS = 64
GRU_UNITS = 64
CELLS = 8


class Niu3DCNNGRU(nn.Module):
    """A 3D CNN on space and a GRU on time, side by side; a reconstruction.

    Parameters
    ----------
    dropout : float
        Share of the joined features that training drops.
    """

    def __init__(self, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.frame_cnn = FrameCNN()
        self.describe = nn.Linear(N_FEATURES, SPACE_UNITS)
        self.relu = nn.ReLU()
        # 34 is no multiple of 8: neighbouring cells share some voxels, and none is left out.
        self.coarsen = nn.AdaptiveAvgPool3d(CELLS)
        self.gru = nn.GRU(CELLS**3, GRU_UNITS, batch_first=True)
        start_as_keras(self.gru)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(SPACE_UNITS + GRU_UNITS, 1)

    def of_space(self, windows: WindowBatch) -> Float[Tensor, "W 64"]:
        """Describe windows by their frames, whatever their order."""
        maps = self.frame_cnn(windows.flatten(0, 1).unsqueeze(1))
        return self.relu(self.describe(maps.flatten(1))).unflatten(0, windows.shape[:2]).mean(dim=1)  # type: ignore[no-any-return]

    def of_time(self, windows: WindowBatch) -> Float[Tensor, "W 64"]:
        """Describe windows by how their cells go on in time."""
        states, _ = self.gru(self.coarsen(windows).flatten(2))
        return states[:, -1]  # type: ignore[no-any-return]

    def forward(self, windows: WindowBatch) -> Logits:
        """Give one logit for each window of frames, (W, F, 34, 34, 34) -> (W,)."""
        joined = torch.cat([self.of_space(windows), self.of_time(windows)], dim=1)
        return self.head(self.dropout(joined)).squeeze(1)  # type: ignore[no-any-return]
