"""A reconstruction of the TimeDistributed 3D CNN with LSTM that the comparison table ascribes to Hong.

What we know of it is second-hand; we have not found the publication itself: a TimeDistributed convolution
with 64 filters of 3^3, a pool of 2^3, a flatten, an LSTM of 10 units, dropout of .3, Adam at 1e-4.

Our reading: the convolution is padded by 1 and followed by a ReLU, the pool takes the maximum, the LSTM's
last state goes through the dropout to one logit, and the LSTM starts as Keras starts it. 64 x 17^3 = 314,432
features a frame enter the LSTM, which therefore has 12,577,760 of the network's 12,579,563 parameters. Adam
moves every weight alike: at 1e-4 its first step takes nine of ten gates into saturation (measured on
frames of unit variance).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.recurrent_start import start_as_keras
from model.shapes import Features, Frames, Logits, WindowBatch

FILTERS = 64
POOLED_EDGE = 17
LSTM_UNITS = 10


class HongTimeDistributed(nn.Module):
    """One convolution of every frame and a small LSTM over all its positions; a reconstruction.

    Parameters
    ----------
    dropout : float
        Share of the LSTM's last state that training drops.
    """

    def __init__(self, *, dropout: float = 0.3) -> None:
        super().__init__()
        self.convolve = nn.Conv3d(1, FILTERS, 3, padding=1)
        self.pool = nn.MaxPool3d(2)
        self.relu = nn.ReLU()
        self.lstm = nn.LSTM(FILTERS * POOLED_EDGE**3, LSTM_UNITS, batch_first=True)
        start_as_keras(self.lstm)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(LSTM_UNITS, 1)

    def describe(self, frames: Frames) -> Features:
        """Convolve, pool and lay out single frames, (N, 1, 34, 34, 34) -> (N, 314432)."""
        # The larger of two values stays the larger after a ReLU: pooling first gives the same, sooner.
        return self.relu(self.pool(self.convolve(frames))).flatten(1)  # type: ignore[no-any-return]

    def forward(self, windows: WindowBatch) -> Logits:
        """Give one logit for each window of frames, (W, F, 34, 34, 34) -> (W,)."""
        states, _ = self.lstm(torch.stack([self._step(frames) for frames in windows.unbind(1)], dim=1))
        return self.head(self.dropout(states[:, -1])).squeeze(1)  # type: ignore[no-any-return]

    def _step(self, frames: Float[Tensor, "W G G G"]) -> Features:
        # The unpooled maps of a batch of 32 windows would be 6 GiB; each step's are computed again instead.
        return checkpoint(  # type: ignore[no-any-return]
            self.describe, frames.unsqueeze(1), use_reentrant=False, preserve_rng_state=False
        )
