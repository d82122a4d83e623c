"""A figure with the 95 % interval that its people leave open: drawn, counted, or put together from two.

Drawing the same people again (`training.evidence.bootstrap`) cannot show a mistake that none of them was.
Where everybody of a class is called alike, or every pair stands in the right order, all draws are the same,
and their interval would have no width. The counted intervals are for that.
"""

from dataclasses import dataclass
from math import hypot, log1p
from typing import Self

import numpy as np

from training.evidence.proportions import LEVEL, Proportion
from training.evidence.shapes import Figures


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval: of the bootstrap over subjects, or what its maker says."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, drawn: Figures) -> Self:
        """Set a figure beside what it came to in the draws."""
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(value=float(value), low=float(low), high=float(high))

    def to_json(self) -> dict[str, float]:
        """Give the three numbers, rounded to four places."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


@dataclass(frozen=True)
class Difference(Estimate):
    """What two AUCs differ by.

    Attributes
    ----------
    is_drawn : bool
        Whether the interval is of the same draws of people for both; else it is put together from theirs.
    """

    is_drawn: bool = True


def counted_share(hits: int, n: int) -> Estimate:
    """Give the share of `hits` among `n` of at least one, with Wilson's interval."""
    share = Proportion.of(hits, n)
    return Estimate(value=share.value, low=share.low, high=share.high)


def mean_of_shares(first: Estimate, second: Estimate) -> Estimate:
    """Average two shares of different people, with the interval that theirs leave open (Newcombe 1998)."""
    value = (first.value + second.value) / 2
    below = hypot(first.value - first.low, second.value - second.low) / 2
    above = hypot(first.high - first.value, second.high - second.value) / 2
    return Estimate(value=value, low=value - below, high=value + above)


def area_estimate(value: float, drawn: Figures, *, n_separate_pairs: int) -> Estimate:
    """Give an AUC with its interval; a perfect one, or its contrary, with Wilson's.

    The variance of an AUC A is at most A (1 - A) / min(cases, controls) (van Dantzig 1951; Birnbaum and Klose
    1957), that of a share of so many pairs without anybody in common: Wilson's interval for them is cautious.

    Parameters
    ----------
    value : float
    drawn : (B,) float64
    n_separate_pairs : int
        Pairs of a case and a control that can be made without anybody in two.

    Returns
    -------
    Estimate
    """
    if value in {0.0, 1.0}:
        return counted_share(round(value) * n_separate_pairs, n_separate_pairs)
    return Estimate.of(value, drawn)


def precision_estimate(value: float, drawn: Figures, *, n_cases: int, n_controls: int) -> Estimate:
    """Give an average precision with its interval; a perfect one with what unseen controls would leave of it.

    None of the controls stands among the cases; as many as Wilson's limit might. The least favourable place
    for them is above every case: the precision at sensitivity u is then u / (u + a), where a is their number
    for each case, and its mean 1 - a log(1 + 1/a).

    Parameters
    ----------
    value : float
    drawn : (B,) float64
    n_cases, n_controls : int

    Returns
    -------
    Estimate
    """
    if value < 1.0:
        return Estimate.of(value, drawn)
    above = counted_share(0, n_controls).high * n_controls / n_cases
    return Estimate(value=1.0, low=1 - above * log1p(1 / above), high=1.0)


def difference_of_areas(first: Estimate, second: Estimate) -> Difference:
    """Subtract two AUCs, with the interval that theirs leave open (Newcombe 1998, method 10).

    That both are about the same people is left out, which as a rule makes the interval wider than it need be.
    """
    value = first.value - second.value
    below = hypot(first.value - first.low, second.high - second.value)
    above = hypot(first.high - first.value, second.value - second.low)
    return Difference(value=value, low=value - below, high=value + above, is_drawn=False)
