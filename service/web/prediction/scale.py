"""Where things lie on the drawings of a result, in percent of their width and height."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Frames that the network reads at once (DESIGN section 5).
WINDOW_FRAMES = 20

# The charts leave room above and below: values lie between these heights, in percent from the top.
CHART_TOP, CHART_BOTTOM = 10.0, 90.0
# Beyond this the figures 0 and 1 of a DVARS chart would be written over each other.
_ONE_IS_LEGIBLE_BELOW = 6.0
# Up to this the largest change lies so near to 1 that its figure would be written over that one.
_LARGEST_IS_LEGIBLE_FROM = 1.5


@dataclass(frozen=True)
class Scale:
    """A probability between 0 and 100 on a line, with what it takes to read it.

    Attributes
    ----------
    point, low, high : float
        The probability and its interval.
    threshold : float
        Above it the probability speaks for ADHD.
    """

    point: float
    low: float
    high: float
    threshold: float


def probability_scale(result: dict[str, Any]) -> Scale:
    """Lay a result out on its scale."""
    interval = result["interval"]
    values = (result["adhd_probability"], interval["low"], interval["high"], result["threshold"])
    return Scale(*(_on_line(100 * float(value)) for value in values))


@dataclass(frozen=True)
class Band:
    """The probabilities that name no single class under conformal sets, 0 to 100.

    Attributes
    ----------
    low, high : float
    rules_out_both : bool
        Inside it neither class is in the set; otherwise both are.
    error_rate : float or None
        How often the true class may be ruled out, 0 to 1, by the card; None where it does not say.
    """

    low: float
    high: float
    rules_out_both: bool
    error_rate: float | None = None


def uncertain_band(result: dict[str, Any], card: Mapping[str, Any] | None) -> Band | None:
    """Read the band off the card of the model that answered; None where its interval decides."""
    quantiles = (card or {}).get("conformal_quantiles")
    if result.get("decision_rule") != "conformal" or not quantiles:
        return None
    # A class is in the set where one minus its probability is at most its quantile (docs/model-card.md).
    adhd_from, control_to = 100 * (1 - float(quantiles["adhd"])), 100 * float(quantiles["control"])
    low, high = sorted((adhd_from, control_to))
    level = quantiles.get("level")
    return Band(
        _on_line(low),
        _on_line(high),
        rules_out_both=control_to < adhd_from,
        error_rate=None if level is None else round(1 - float(level), 4),
    )


@dataclass(frozen=True)
class Stretch:
    """A window of the run, with its own probability.

    Attributes
    ----------
    across : float
        Its middle along the run, 0 to 100.
    height : float
        Its probability on the chart, in percent from the top.
    begins, ends : str
        In minutes and seconds of the run.
    probability : float
        0 to 1.
    """

    across: float
    height: float
    begins: str
    ends: str
    probability: float


def stretches(result: dict[str, Any]) -> list[Stretch]:
    """Lay the windows out along the run, from its begin at the left to its end at the right.

    Windows are counted in frames of the network's own repetition time, which a reader has not seen: they are
    shown as times. As much of the run lies before the first window as after the last one.
    """
    starts = [int(window["start_frame"]) for window in result["windows"]]
    n_frames = min(starts) + max(starts) + WINDOW_FRAMES
    frame_s = float(result["quality"]["duration_s"]) / n_frames
    return [
        Stretch(
            across=_on_line(100 * (start + WINDOW_FRAMES / 2) / n_frames),
            height=height(float(window["probability"])),
            begins=clock(start * frame_s),
            ends=clock((start + WINDOW_FRAMES) * frame_s),
            probability=float(window["probability"]),
        )
        for start, window in zip(starts, result["windows"], strict=True)
    ]


@dataclass(frozen=True)
class Mark:
    """A figure beside or below a chart: where it stands and what it says."""

    at: float
    text: str


def height(share: float) -> float:
    """Return where a share of the chart's range lies, in percent from the top."""
    return round(CHART_BOTTOM - (CHART_BOTTOM - CHART_TOP) * share, 2)


def time_marks(duration_s: float) -> list[Mark]:
    """Write the time below a chart: at its begin, its middle and its end."""
    return [Mark(at, clock(duration_s * at / 100)) for at in (0.0, 50.0, 100.0)]


@dataclass(frozen=True)
class Trace:
    """A line through the changes from frame to frame.

    Attributes
    ----------
    points : str
        Of a polyline in a box of 1000 by 100.
    marks : list of Mark
        The figures of its axis.
    """

    points: str
    marks: list[Mark]


def dvars_trace(values: list[float]) -> Trace | None:
    """Draw DVARS from zero to just above the largest, with 1, the ordinary change, always in view."""
    if len(values) < 2:
        return None
    largest = max(values)
    top = 1.08 * max(largest, 1.0)
    step = 1000 / (len(values) - 1)
    points = " ".join(
        f"{index * step:.1f},{100 - 100 * value / top:.1f}" for index, value in enumerate(values)
    )
    marks = [Mark(height(0), "0")]
    if top < _ONE_IS_LEGIBLE_BELOW:
        marks.append(Mark(height(1 / top), "1"))
    if largest >= _LARGEST_IS_LEGIBLE_FROM:
        marks.append(Mark(height(largest / top), f"{largest:.1f}"))
    return Trace(points, marks)


def signal_trace(values: list[float]) -> Trace:
    """Draw a signal around zero, as far up as down, with at least one unit either way in view."""
    largest = max(1.0, *(abs(value) for value in values))
    step = 1000 / max(len(values) - 1, 1)
    points = " ".join(
        f"{index * step:.1f},{50 - 50 * value / largest:.1f}" for index, value in enumerate(values)
    )
    marks = [Mark(height(0.5 + 0.5 * share), text) for share, text in _around_zero(largest)]
    return Trace(points, marks)


def _around_zero(largest: float) -> list[tuple[float, str]]:
    figure = f"{largest:.1f}".removesuffix(".0")
    return [(1.0, figure), (0.0, "0"), (-1.0, f"\u2212{figure}")]


def clock(seconds: float) -> str:
    """Write a time of the run: 95 s is ``1:35``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _on_line(value: float) -> float:
    return round(min(max(value, 0.0), 100.0), 2)
