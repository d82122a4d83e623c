"""From the members' logits of a scan's windows to a probability, its interval and a decision. No torch."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.special import expit

INTERVAL_LEVEL = 0.9
BOOTSTRAP_DRAWS = 2000

Decision = Literal["adhd", "control", "uncertain"]


@dataclass(frozen=True)
class Interval:
    """The central share `level` of the bootstrap distribution of the calibrated probability."""

    level: float
    low: float
    high: float


def calibrated_probability(
    logits: Float64[np.ndarray, "..."], *, temperature: float
) -> Float64[np.ndarray, "..."]:
    """Turn (mean) logits into calibrated probabilities of ADHD, element by element."""
    return np.asarray(expit(logits / temperature))


def bootstrap_interval(
    member_logits: Float64[np.ndarray, "M W"],
    *,
    temperature: float,
    seed: int,
    level: float = INTERVAL_LEVEL,
    n_draws: int = BOOTSTRAP_DRAWS,
) -> Interval:
    """Say how far the probability moves when members and windows are drawn anew.

    Each draw takes members with replacement and one set of windows with replacement for all of them: members
    read the same windows, so what a window is like moves them together. Windows drawn for each member
    on its own would average that away and make the interval too narrow. The interval covers the choice of
    windows and of training runs; it says nothing about scans unlike the training cohort. One member with one
    window leaves nothing to draw: the interval is then a point.

    Parameters
    ----------
    member_logits : (M, W) float64
        One logit a member and window.
    temperature : float
        Above 0.
    seed : int
        Not negative; the same seed gives the same interval.
    level : float
        Between 0 and 1.
    n_draws : int

    Returns
    -------
    Interval
        Always holds the point estimate.
    """
    n_members, n_windows = member_logits.shape
    generator = np.random.default_rng(seed)
    members = generator.integers(n_members, size=(n_draws, n_members, 1))
    windows = generator.integers(n_windows, size=(n_draws, 1, n_windows))
    drawn = calibrated_probability(member_logits[members, windows].mean(axis=(1, 2)), temperature=temperature)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    point = float(calibrated_probability(member_logits.mean(keepdims=True), temperature=temperature).item())
    return Interval(level=level, low=min(float(low), point), high=max(float(high), point))


def decide(probability: float, interval: Interval, *, threshold: float) -> Decision:
    """Name the class, or "uncertain" when the interval holds the threshold (the card's rule "interval")."""
    if interval.low <= threshold <= interval.high:
        return "uncertain"
    return "adhd" if probability > threshold else "control"
