"""RestNet's own network over learned regions: a perceptron reads each frame, and its answers are averaged.

A frame is the regions' activity at one moment. Which regions are high or low together in it is what a case
and a control differ in; when it comes has no say, so that a scan may have any length, and a short piece of
it says the same with more noise. That noise is what the network is trained against: every epoch cuts other
pieces. The form is that of Popov et al. 2024 (doi:10.1016/j.neuroimage.2024.120909); theirs is narrower,
has less dropout, and reads whole scans.
"""

from torch import nn

from model.published.sizes import at_least
from model.shapes import Logits, RegionSeries

HIDDEN, DROPOUT = 640, 0.7


class FramePerceptron(nn.Module):
    """One hidden layer for each frame, averaged over frames.

    Parameters
    ----------
    n_regions, n_hidden : int
        At least 1.
    dropout : float
        Of the hidden units, in training.

    Raises
    ------
    ValueError
        If there is no region or no unit.
    """

    def __init__(self, *, n_regions: int, n_hidden: int = HIDDEN, dropout: float = DROPOUT) -> None:
        super().__init__()
        at_least(1, n_regions=n_regions, n_hidden=n_hidden)
        self.hidden = nn.Sequential(
            nn.Linear(n_regions, n_hidden), nn.LayerNorm(n_hidden), nn.ReLU(), nn.Dropout(dropout)
        )
        self.readout = nn.Linear(n_hidden, 1)

    def forward(self, series: RegionSeries) -> Logits:
        """Give one logit for each scan's series, (W, T, R) -> (W,)."""
        return self.readout(self.hidden(series)).mean(dim=(1, 2))  # type: ignore[no-any-return]
