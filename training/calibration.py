"""One number that makes probabilities mean what they say."""

import numpy as np
from jaxtyping import Float64, Int
from scipy.optimize import minimize_scalar

_LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)


def fit_temperature(logits: Float64[np.ndarray, " S"], labels: Int[np.ndarray, " S"]) -> float:
    """Find the temperature under which held-out diagnoses are likeliest (Guo et al. 2017, arXiv:1706.04599).

    Diagnoses count as Platt's smoothed targets, (n + 1) / (n + 2) for a class of n subjects and 1 less that:
    on a few subjects that the logits tell apart without a mistake, hard targets have no best temperature and
    would claim certainty without end (Platt 1999, "Probabilistic outputs for support vector machines").

    Parameters
    ----------
    logits : (S,) float64
        Mean logits of subjects that were not trained on.
    labels : (S,) int
        0 control, 1 ADHD.

    Returns
    -------
    float
        Between exp(-3) and exp(3); logits are divided by it.
    """
    n_adhd, n_control = int((labels == 1).sum()), int((labels == 0).sum())
    target = np.where(labels == 1, (n_adhd + 1) / (n_adhd + 2), 1 / (n_control + 2))

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float((np.logaddexp(0.0, scaled) - target * scaled).mean())

    found = minimize_scalar(negative_log_likelihood, bounds=_LOG_TEMPERATURE_BOUNDS, method="bounded")
    return float(np.exp(found.x))
