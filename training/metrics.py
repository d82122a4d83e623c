"""Figures of a classifier on subjects that it never saw, each with an interval over subjects."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from scipy.stats import rankdata

N_DRAWS = 2000
LEVEL = 0.95

Labels = Int[np.ndarray, " S"]
Probabilities = Float64[np.ndarray, " S"]
Draws = Float64[np.ndarray, "B n"]
Figures = Float64[np.ndarray, " B"]
Figure = Callable[[Draws, Draws], Figures]


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


def evaluate(
    labels: Labels, probabilities: Probabilities, *, threshold: float, seed: int, n_draws: int = N_DRAWS
) -> Evaluation:
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
    n_draws : int
        Of the bootstrap.

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
    cases, others = probabilities[adhd], probabilities[control]
    drawn_cases = cases[generator.integers(len(cases), size=(n_draws, len(cases)))]
    drawn_others = others[generator.integers(len(others), size=(n_draws, len(others)))]

    def estimate(figure: Figure) -> Estimate:
        drawn = figure(drawn_cases, drawn_others)
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(float(figure(cases[None], others[None])[0]), float(low), float(high))

    def accuracy(cases: Draws, others: Draws) -> Figures:
        right = (cases > threshold).sum(axis=1) + (others <= threshold).sum(axis=1)
        return np.asarray(right / len(labels))

    called = probabilities > threshold
    return Evaluation(
        auc=estimate(area_under_roc),
        accuracy=estimate(accuracy),
        sensitivity=estimate(lambda cases, _: (cases > threshold).mean(axis=1)),
        specificity=estimate(lambda _, others: (others <= threshold).mean(axis=1)),
        brier=estimate(
            lambda cases, others: (((1 - cases) ** 2).sum(axis=1) + (others**2).sum(axis=1)) / len(labels)
        ),
        tp=int((called & (labels == 1)).sum()),
        fn=int((~called & (labels == 1)).sum()),
        fp=int((called & (labels == 0)).sum()),
        tn=int((~called & (labels == 0)).sum()),
    )


def area_under_roc(cases: Draws, others: Draws) -> Figures:
    """Give the share of pairs in which the case stands above the other, ties counting half (Mann-Whitney).

    Parameters
    ----------
    cases, others : (B, n) float64
        Scores of the two classes, a row a draw.

    Returns
    -------
    (B,) float64
    """
    n_cases, n_others = cases.shape[1], others.shape[1]
    ranks = rankdata(np.concatenate([cases, others], axis=1), axis=1)[:, :n_cases]
    return np.asarray((ranks.sum(axis=1) - n_cases * (n_cases + 1) / 2) / (n_cases * n_others))
