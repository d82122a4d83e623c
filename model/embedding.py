"""Where a scan lies in what a model sees of it, in few numbers: for comparing populations of scans.

Of networks that is the encoder's features, the mean over frames and members; of other methods
`model.methods.scan_model.ScanModel.features_of`. It is projected by a dense Gaussian matrix, which keeps
distances to within what 16 numbers can (Johnson and Lindenstrauss 1984). The checkpoint's digest is its seed:
every process that loads the same model projects alike, and nothing has to be stored for it.
"""

import numpy as np
from jaxtyping import Float, Float64

DIMENSIONS = 16


class Projection:
    """The projection that belongs to one checkpoint.

    Parameters
    ----------
    checkpoint_sha256 : str
    """

    def __init__(self, checkpoint_sha256: str) -> None:
        self._seed = int(checkpoint_sha256[:16], 16)
        self._matrix: Float[np.ndarray, "D 16"] | None = None

    def of(self, features: Float64[np.ndarray, " D"]) -> tuple[float, ...]:
        """Return 16 numbers for the features of a scan."""
        if self._matrix is None or len(self._matrix) != len(features):
            drawn = np.random.default_rng(self._seed).standard_normal((len(features), DIMENSIONS))
            self._matrix = drawn / np.sqrt(DIMENSIONS)
        return tuple(float(value) for value in features @ self._matrix)
