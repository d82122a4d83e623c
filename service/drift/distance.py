"""How far a scan's embedding lies from those of a reference, in units of their own spread."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from sklearn.covariance import LedoitWolf

# Parts in which the reference is measured against the rest of itself.
PARTS = 40


@dataclass(frozen=True, eq=False)
class Cloud:
    """Mean and spread of a reference's embeddings.

    Attributes
    ----------
    mean : (D,) float64
    covariance : (D, D) float64
        Shrunk towards a sphere (Ledoit and Wolf 2004): a few dozen people are few for 16 dimensions.
    """

    mean: Float[np.ndarray, " D"]
    covariance: Float[np.ndarray, "D D"]

    def distances(self, embeddings: Float[np.ndarray, "N D"]) -> Float[np.ndarray, " N"]:
        """Return Mahalanobis's distance of each."""
        apart = embeddings - self.mean
        solved = np.linalg.solve(self.covariance, apart.T).T
        found: Float[np.ndarray, " N"] = np.sqrt(np.maximum((apart * solved).sum(axis=1), 0.0))
        return found


def fit_cloud(embeddings: Float[np.ndarray, "N D"]) -> Cloud:
    """Fit mean and shrunk covariance; a feature that never varies gets a little spread of the others'."""
    fitted = LedoitWolf().fit(embeddings)
    spread = float(np.trace(fitted.covariance_)) / len(fitted.covariance_)
    floor = max(1e-9 * spread, 1e-12)
    return Cloud(fitted.location_, fitted.covariance_ + floor * np.eye(len(fitted.covariance_)))


def own_distances(embeddings: Float[np.ndarray, "N D"]) -> Float[np.ndarray, " N"]:
    """Return the reference's own distances, each from a cloud that was fitted without it.

    From the cloud that it helped to fit every scan seems nearer than a new one of the same population would.
    """
    found = np.empty(len(embeddings))
    for part in range(min(PARTS, len(embeddings))):
        held = np.arange(len(embeddings)) % PARTS == part
        found[held] = fit_cloud(embeddings[~held]).distances(embeddings[held])
    return found
