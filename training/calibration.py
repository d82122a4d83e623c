"""One number that makes probabilities mean what they say."""

import numpy as np
from jaxtyping import Float64, Int
from scipy.optimize import minimize_scalar

_LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)


def fit_temperature(logits: Float64[np.ndarray, " S"], labels: Int[np.ndarray, " S"]) -> float:
    """Find the temperature under which held-out diagnoses are likeliest (Guo et al. 2017, arXiv:1706.04599).

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
    signed = np.where(labels == 1, logits, -logits)

    def negative_log_likelihood(log_temperature: float) -> float:
        return float(np.logaddexp(0.0, -signed * np.exp(-log_temperature)).mean())

    found = minimize_scalar(negative_log_likelihood, bounds=_LOG_TEMPERATURE_BOUNDS, method="bounded")
    return float(np.exp(found.x))
