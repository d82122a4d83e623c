"""Where things lie on the drawings of a result, in percent of their width."""

from dataclasses import dataclass
from typing import Any

# Frames that the network reads at once (DESIGN section 5).
WINDOW_FRAMES = 20


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


@dataclass(frozen=True)
class Dot:
    """A window's probability.

    Attributes
    ----------
    across : float
        Its middle along the scan, 0 to 100.
    share : float
        The probability, 0 to 1.
    """

    across: float
    share: float


def window_dots(windows: list[dict[str, Any]]) -> list[Dot]:
    """Lay the windows out from the first one's start at the left to the last one's end at the right."""
    end = max(int(window["start_frame"]) for window in windows) + WINDOW_FRAMES
    return [
        Dot(
            across=_on_line(100 * (int(window["start_frame"]) + WINDOW_FRAMES / 2) / end),
            share=float(window["probability"]),
        )
        for window in windows
    ]


def trace_points(values: list[float]) -> str:
    """Return a polyline through values, in a box of 1000 by 100, from zero to just above the largest."""
    if len(values) < 2:
        return ""
    top = 1.08 * max(*values, 1.0)
    step = 1000 / (len(values) - 1)
    heights = (100 - 100 * value / top for value in values)
    return " ".join(f"{index * step:.1f},{height:.1f}" for index, height in enumerate(heights))


def _on_line(value: float) -> float:
    return round(min(max(value, 0.0), 100.0), 2)
