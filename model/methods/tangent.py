"""Connectivity in the tangent space of covariances (Varoquaux et al. 2010, doi:10.1007/978-3-642-15705-9_25).

Covariances do not form a flat space: their entries depend on each other. Seen from a reference in their
midst, the geometric mean of the people trained on, the logarithm of a whitened covariance is flat.
`training.classical.tangent` finds the reference.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from scipy.linalg import eigh
from sklearn.covariance import ledoit_wolf

Matrix = Float64[np.ndarray, "R R"]

Matrices = Float64[np.ndarray, "S R R"]

TangentFeatures = Float64[np.ndarray, "S F"]
"""``F`` is ``R (R + 1) / 2``: the lower triangle, row by row."""

_CONSTANT = 1e-6  # beside the largest region's deviation: a region without signal
_SMALLEST = 1e-12  # of an eigenvalue beside the largest: below it is rounding


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
            features[place] = logarithm(between(self.whitening, covariance))[rows, columns] * scale
        return features


def shrunk_covariance(series: Float[np.ndarray, "T R"]) -> Matrix:
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


def between(outer: Matrix, inner: Matrix) -> Matrix:
    """Multiply a symmetric matrix from both sides, and keep it symmetric."""
    product = outer @ inner @ outer
    return np.asarray((product + product.T) / 2)


def logarithm(matrix: Matrix) -> Matrix:
    """Take the logarithm of a positive definite matrix."""
    values, vectors = decompose(matrix)
    return np.asarray(vectors * np.log(values) @ vectors.T)


def decompose(matrix: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues that are safely positive, and eigenvectors."""
    # Twice as fast as the default driver, for 223 regions.
    values, vectors = eigh(matrix, driver="evd", check_finite=False)
    return np.maximum(values, _SMALLEST * values[-1]), vectors
