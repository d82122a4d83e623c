"""Which features tell two groups apart, one by one."""

import numpy as np
from jaxtyping import Float64, Int64

from training.classical.shapes import Features, Labels


def two_sample_t(features: Features, labels: Labels) -> Float64[np.ndarray, " F"]:
    """Give Student's t of cases against controls, with pooled variance; 0 where nobody differs.

    Parameters
    ----------
    features : (S, F) float
    labels : (S,) int
        Of both classes; one of each differ for certain.
    """
    groups = [features[labels == label].astype(np.float64) for label in (0, 1)]
    controls, cases = (group.mean(axis=0) for group in groups)
    squares = sum(((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in groups)
    n_controls, n_cases = map(len, groups)
    error = np.sqrt(squares / max(n_controls + n_cases - 2, 1) * (1 / n_controls + 1 / n_cases))
    rounding = 1e-9 * np.maximum(np.abs(controls), np.abs(cases))
    difference = np.where(np.abs(cases - controls) > rounding, cases - controls, 0.0)
    # Groups without variance that differ are told apart for certain.
    sure = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    return np.asarray(np.divide(difference, error, out=sure, where=error > rounding))


def strongest(statistic: Float64[np.ndarray, " F"], n_kept: int | None) -> Int64[np.ndarray, " K"]:
    """Return the places of the largest by size, in ascending order; the first of equals.

    Parameters
    ----------
    statistic : (F,) float64
    n_kept : int or None
        None, and more than there are, for all.
    """
    order = np.argsort(-np.abs(statistic), kind="stable")
    return np.sort(order[:n_kept])
