"""From the members' logits of a scan's windows to a probability, its interval and a decision. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.special import expit

from model.card import DecisionRule

INTERVAL_LEVEL = 0.9
BOOTSTRAP_DRAWS = 2000

Decision = Literal["adhd", "control", "uncertain"]
DiagnosticClass = Literal["adhd", "control"]


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


def decide(
    probability: float,
    interval: Interval,
    *,
    threshold: float,
    rule: DecisionRule = "interval",
    conformal_quantiles: Mapping[str, float] | None = None,
) -> Decision:
    """Name the class, or say "uncertain", by the card's rule.

    Parameters
    ----------
    probability : float
        Calibrated.
    interval : Interval
        Of the probability.
    threshold : float
        The card's; for the rule "interval".
    rule : "interval" or "conformal"
        "interval": uncertain when the interval holds the threshold. "conformal": uncertain when the
        conformal set is not a single class; the threshold has no say.
    conformal_quantiles : mapping, optional
        The card's; needed for the rule "conformal".

    Returns
    -------
    "adhd", "control" or "uncertain"

    Raises
    ------
    ValueError
        If the rule is "conformal" and there are no quantiles; a valid card always has them.
    """
    if rule == "conformal":
        if conformal_quantiles is None:
            raise ValueError("expected conformal quantiles for the rule 'conformal', found none")
        return conformal_decision(probability, conformal_quantiles)
    if interval.low <= threshold <= interval.high:
        return "uncertain"
    return "adhd" if probability > threshold else "control"


def conformal_set(probability: float, quantiles: Mapping[str, float]) -> frozenset[DiagnosticClass]:
    """Give the classes that the scan is not too strange for.

    Parameters
    ----------
    probability : float
        Calibrated, of ADHD.
    quantiles : mapping
        ``control`` and ``adhd``: the largest 1 - p(class) at which the class is still in the set.

    Returns
    -------
    frozenset of "adhd" and "control"
        Empty, one or both.
    """
    strangeness: dict[DiagnosticClass, float] = {"control": probability, "adhd": 1 - probability}
    return frozenset(name for name, value in strangeness.items() if value <= quantiles[name])


def conformal_decision(probability: float, quantiles: Mapping[str, float]) -> Decision:
    """Name the only class of the conformal set; "uncertain" when it holds both or neither."""
    classes = conformal_set(probability, quantiles)
    return next(iter(classes)) if len(classes) == 1 else "uncertain"
