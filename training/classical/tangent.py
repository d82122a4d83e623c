"""The reference that tangent-space connectivity is seen from: the geometric mean of the people trained on."""

import numpy as np
from scipy.linalg import eigh

from model.methods.tangent import Matrices, TangentSpace, between, decompose, logarithm

_TOLERANCE = 1e-7
_MOST_STEPS = 30


def fit_tangent_space(
    covariances: Matrices, *, tolerance: float = _TOLERANCE, most_steps: int = _MOST_STEPS
) -> TangentSpace:
    """Find the geometric mean of the people trained on, along geodesics (Fletcher and Joshi 2007).

    Parameters
    ----------
    covariances : (S, R, R) float64
        Positive definite; of the people trained on and of nobody else.
    tolerance : float
        Of the gradient's norm, over the number of entries.
    most_steps : int
        Any point in their midst serves as a reference: where steps run out, the last is taken.
    """
    mean = covariances.mean(axis=0)
    step, least = 1.0, np.inf
    for _ in range(most_steps):
        values, vectors = decompose(mean)
        root, whitening = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
        gradient = np.zeros_like(mean)
        for covariance in covariances:
            gradient += logarithm(between(whitening, covariance))
        gradient /= len(covariances)
        norm = float(np.linalg.norm(gradient))
        step, least = (step / 2, least) if norm > least else (step, norm)
        values, vectors = eigh(gradient, driver="evd")
        mean = between(root, vectors * np.exp(step * values) @ vectors.T)
        if norm / gradient.size < tolerance:
            break
    values, vectors = decompose(mean)
    return TangentSpace(whitening=vectors * values**-0.5 @ vectors.T)
