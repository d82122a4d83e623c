"""Where things lie on the drawn scale of a probability, in percent of its width."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scale:
    """A probability between 0 and 100 on a line, with what it takes to read it.

    Attributes
    ----------
    point, low, high : float
        The probability and its interval.
    threshold : float
        Above it the probability speaks for ADHD.
    band_low, band_high : float
        A probability within these, with an interval as wide as this one, would hold the threshold: uncertain.
    """

    point: float
    low: float
    high: float
    threshold: float
    band_low: float
    band_high: float


def probability_scale(result: dict[str, Any]) -> Scale:
    """Lay a result out on its scale."""
    point = 100 * float(result["adhd_probability"])
    low, high = 100 * float(result["interval"]["low"]), 100 * float(result["interval"]["high"])
    threshold = 100 * float(result["threshold"])
    return Scale(
        point=_on_line(point),
        low=_on_line(low),
        high=_on_line(high),
        threshold=_on_line(threshold),
        # low <= threshold <= high, solved for the point while its distances to low and high stay.
        band_low=_on_line(threshold - max(high - point, 0)),
        band_high=_on_line(threshold + max(point - low, 0)),
    )


def _on_line(value: float) -> float:
    return round(min(max(value, 0.0), 100.0), 2)
