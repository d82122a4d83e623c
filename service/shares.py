"""A share and how sure it is, for whoever counts answers."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

LEVEL = 0.95
"""Of every interval here."""


@dataclass(frozen=True)
class Share:
    """How many of how many, and Wilson's interval for the share; no share of nothing.

    Attributes
    ----------
    value, low, high : float or None
        None where ``of`` is 0.
    """

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None


def share_of(count: int, of: int) -> Share:
    """Return a share with Wilson's interval.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22, 209-212.
    """
    if of == 0:
        return Share(count, of, None, None, None)
    value = count / of
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    middle = value + z * z / (2 * of)
    half = z * sqrt(value * (1 - value) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    # At the ends the interval holds the share itself, which rounding may miss.
    low, high = min((middle - half) / scale, value), max((middle + half) / scale, value)
    return Share(count, of, value, max(low, 0.0), min(high, 1.0))
