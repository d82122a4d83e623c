"""Figures of a classifier on subjects that it never saw, each with an interval over subjects."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from sklearn.metrics import roc_auc_score

N_DRAWS = 2000
LEVEL = 0.95

Labels = Int[np.ndarray, " S"]
Probabilities = Float64[np.ndarray, " S"]


@dataclass(frozen=True)
class Estimate:
    """A figure and the central 95 % of its bootstrap distribution over subjects."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Give the three numbers, rounded to four places."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


@dataclass(frozen=True)
class Evaluation:
    """A classifier's figures, with the confusion table that they stand on.

    Attributes
    ----------
    auc, accuracy, sensitivity, specificity, brier : Estimate
    tp, fn, fp, tn : int
        ADHD is positive; at the threshold.
    """

    auc: Estimate
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    brier: Estimate
    tp: int
    fn: int
    fp: int
    tn: int


def evaluate(labels: Labels, probabilities: Probabilities, *, threshold: float, seed: int) -> Evaluation:
    """Evaluate probabilities of ADHD against the diagnoses.

    Subjects are drawn with replacement within each class, so that every draw has both.

    Parameters
    ----------
    labels : (S,) int
        0 control, 1 ADHD; both present.
    probabilities : (S,) float64
    threshold : float
        Above it a subject is called ADHD.
    seed : int

    Raises
    ------
    ValueError
        If a class is missing.
    """
    adhd, control = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    if not (len(adhd) and len(control)):
        raise ValueError(
            f"expected subjects of both classes, found {len(adhd)} ADHD and {len(control)} control"
        )
    generator = np.random.default_rng(seed)
    draws = [
        np.concatenate([generator.choice(adhd, len(adhd)), generator.choice(control, len(control))])
        for _ in range(N_DRAWS)
    ]

    def estimate(figure: Callable[[Labels, Probabilities], float]) -> Estimate:
        drawn = [figure(labels[draw], probabilities[draw]) for draw in draws]
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(figure(labels, probabilities), float(low), float(high))

    called = probabilities > threshold
    return Evaluation(
        auc=estimate(lambda y, p: float(roc_auc_score(y, p))),
        accuracy=estimate(lambda y, p: float(((p > threshold) == y).mean())),
        sensitivity=estimate(lambda y, p: float((p[y == 1] > threshold).mean())),
        specificity=estimate(lambda y, p: float((p[y == 0] <= threshold).mean())),
        brier=estimate(lambda y, p: float(((p - y) ** 2).mean())),
        tp=int((called & (labels == 1)).sum()),
        fn=int((~called & (labels == 1)).sum()),
        fp=int((called & (labels == 0)).sum()),
        tn=int((~called & (labels == 0)).sum()),
    )
