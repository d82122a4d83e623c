"""Where a value lies among those of the training subjects, drawn on a line; in percent of its width."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# Room on either side of the training subjects, as a share of their whole range.
_MARGIN = 0.35
_NEEDED = ("minimum", "p5", "p25", "p50", "p75", "p95", "maximum")


@dataclass(frozen=True)
class Strip:
    """The training subjects' distribution, and the scan's mark.

    Attributes
    ----------
    minimum, p5, p25, p50, p75, p95, maximum : float
        From the left, 0 to 100.
    at : float or None
        The scan's value; None where it is not known.
    beyond : "below", "above" or ""
        Where the value lies off the line; its mark stands at the end then.
    """

    minimum: float
    p5: float
    p25: float
    p50: float
    p75: float
    p95: float
    maximum: float
    at: float | None
    beyond: Literal["below", "above", ""]


def strip(spread: Mapping[str, Any] | None, value: float | None) -> Strip | None:
    """Lay a distribution out; None where too little is known of it."""
    if spread is None or any(spread.get(name) is None for name in _NEEDED):
        return None
    known = [float(spread[name]) for name in _NEEDED]
    # Where all are the same there is no range to take a share of.
    span = (known[-1] - known[0]) or 0.1 * abs(known[0]) or 1.0
    left, width = known[0] - _MARGIN * span, (1 + 2 * _MARGIN) * span
    if known[-1] == known[0]:
        left, width = known[0] - span / 2, span
    at = None if value is None else _place(value, left, width)
    beyond: Literal["below", "above", ""] = ""
    if at is not None and not 0 <= at <= 100:
        beyond, at = ("below", 0.0) if at < 0 else ("above", 100.0)
    minimum, p5, p25, p50, p75, p95, maximum = (_place(one, left, width) for one in known)
    return Strip(minimum, p5, p25, p50, p75, p95, maximum, at, beyond)


def _place(value: float, left: float, width: float) -> float:
    return round(100 * (value - left) / width, 2)
