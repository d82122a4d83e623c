"""The losses of a fold by epoch, as lines in a small box."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.api.training_payloads import EpochResponse

WIDTH, HEIGHT = 300.0, 60.0
# A line that touches the edge of its box is cut in half there.
_MARGIN = 3.0


@dataclass(frozen=True)
class LossChart:
    """Where the lines lie, in a box of `WIDTH` by `HEIGHT`.

    Attributes
    ----------
    training, watched : str
        Points of a polyline; ``watched`` is empty where nothing is.
    first, last : int
        Epochs at its ends.
    low, high : float
        Losses at its edges.
    """

    training: str
    watched: str
    first: int
    last: int
    low: float
    high: float


def loss_chart(epochs: Sequence[EpochResponse]) -> LossChart | None:
    """Draw the losses of some epochs in a row; None where there are too few for a line."""
    if len(epochs) < 2:
        return None
    watched = [epoch.stopping_loss for epoch in epochs if epoch.stopping_loss is not None]
    values = [epoch.training_loss for epoch in epochs] + watched
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    step = WIDTH / (len(epochs) - 1)

    def line(losses: Sequence[float | None]) -> str:
        points = (
            f"{index * step:.1f},{_down((loss - low) / spread):.1f}"
            for index, loss in enumerate(losses)
            if loss is not None
        )
        return " ".join(points)

    return LossChart(
        training=line([epoch.training_loss for epoch in epochs]),
        watched=line([epoch.stopping_loss for epoch in epochs]) if watched else "",
        first=epochs[0].epoch,
        last=epochs[-1].epoch,
        low=low,
        high=high,
    )


def _down(share: float) -> float:
    return HEIGHT - _MARGIN - (HEIGHT - 2 * _MARGIN) * share
