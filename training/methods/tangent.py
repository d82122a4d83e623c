"""Connectivity in the tangent space of covariances (Varoquaux et al. 2010, doi:10.1007/978-3-642-15705-9_25).

Covariances do not form a flat space: their entries depend on each other. Seen from a reference in their
midst, the geometric mean of the people trained on, the logarithm of a whitened covariance is flat.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from sklearn.covariance import ledoit_wolf

from training.methods.shapes import Matrices, Matrix, RegionSeries, TangentFeatures

_CONSTANT = 1e-6  # beside the largest region's deviation: a region without signal
_SMALLEST = 1e-12  # of an eigenvalue beside the largest: below it is rounding
_TOLERANCE = 1e-7
_MOST_STEPS = 30


@dataclass(frozen=True, eq=False)
class TangentSpace:
    """Where the people trained on have their midst; all that somebody else's features need.

    Attributes
    ----------
    whitening : (R, R) float64
        Inverse square root of the reference.
    """

    whitening: Matrix

    @property
    def n_features(self) -> int:
        """Count what `project` gives of each person."""
        n_regions = len(self.whitening)
        return n_regions * (n_regions + 1) // 2

    def project(self, covariances: Matrices) -> TangentFeatures:
        """Give the logarithm of each whitened covariance.

        Parameters
        ----------
        covariances : (S, R, R) float64
            As `shrunk_covariance` gives them; anybody's.

        Returns
        -------
        (S, F) float64
            The lower triangle row by row, the diagonal over the square root of 2: the inner product of two
            rows is half that of their matrices.
        """
        n_regions = len(self.whitening)
        rows, columns = np.tril_indices(n_regions)
        scale = np.where(rows == columns, np.sqrt(0.5), 1.0)
        features = np.empty((len(covariances), len(rows)))
        for place, covariance in enumerate(covariances):
            features[place] = _logarithm(_between(self.whitening, covariance))[rows, columns] * scale
        return features


def shrunk_covariance(series: RegionSeries) -> Matrix:
    """Estimate how regions vary together: standardised over time, shrunk as Ledoit and Wolf (2004) have it.

    A region without signal (constant, or not finite) varies with nothing, and by itself as much as any other.

    Parameters
    ----------
    series : (T, R) float
        In any unit.

    Returns
    -------
    (R, R) float64
        Ones on the diagonal; positive definite.
    """
    values = np.asarray(series, dtype=np.float64)
    absent = ~np.isfinite(values).all(axis=0)
    values = np.where(absent, 0.0, values)
    values = values - values.mean(axis=0)
    deviation = values.std(axis=0)
    lively = deviation > _CONSTANT * max(float(deviation.max()), np.finfo(np.float64).tiny)
    covariance = np.eye(values.shape[1])
    if lively.any():
        found, _ = ledoit_wolf(values[:, lively] / deviation[lively], assume_centered=True)
        covariance[np.ix_(lively, lively)] = found
    return covariance


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
        values, vectors = _decompose(mean)
        root, whitening = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
        gradient = np.zeros_like(mean)
        for covariance in covariances:
            gradient += _logarithm(_between(whitening, covariance))
        gradient /= len(covariances)
        norm = float(np.linalg.norm(gradient))
        step, least = (step / 2, least) if norm > least else (step, norm)
        values, vectors = eigh(gradient, driver="evd")
        mean = _between(root, vectors * np.exp(step * values) @ vectors.T)
        if norm / gradient.size < tolerance:
            break
    values, vectors = _decompose(mean)
    return TangentSpace(whitening=vectors * values**-0.5 @ vectors.T)


def _between(outer: Matrix, inner: Matrix) -> Matrix:
    product = outer @ inner @ outer
    return np.asarray((product + product.T) / 2)


def _logarithm(matrix: Matrix) -> Matrix:
    values, vectors = _decompose(matrix)
    return np.asarray(vectors * np.log(values) @ vectors.T)


def _decompose(matrix: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues that are safely positive, and eigenvectors."""
    # Twice as fast as the default driver, for 223 regions.
    values, vectors = eigh(matrix, driver="evd", check_finite=False)
    return np.maximum(values, _SMALLEST * values[-1]), vectors
