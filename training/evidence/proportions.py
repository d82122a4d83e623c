"""A share of people with the interval that a count of that size leaves open."""

from dataclasses import dataclass

from scipy.stats import binomtest

LEVEL = 0.95


@dataclass(frozen=True)
class Proportion:
    """A counted share and its 95 % interval (Wilson 1927), which stays within 0 and 1 for small counts too.

    Attributes
    ----------
    hits, n : int
    value, low, high : float
    """

    hits: int
    n: int
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, n: int) -> "Proportion":
        """Give the share of `hits` among `n` of at least one."""
        interval = binomtest(hits, n).proportion_ci(confidence_level=LEVEL, method="wilson")
        return cls(hits=hits, n=n, value=hits / n, low=float(interval.low), high=float(interval.high))

    def to_json(self) -> dict[str, float]:
        """Give the numbers, shares rounded to four places."""
        shares = {"value": self.value, "low": self.low, "high": self.high}
        return {**{name: round(share, 4) for name, share in shares.items()}, "hits": self.hits, "n": self.n}
