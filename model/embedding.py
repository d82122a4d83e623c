"""Where a scan lies in the encoder's features, in few numbers: for comparing populations of scans.

The mean over frames, windows and members is projected by a dense Gaussian matrix, which keeps distances to
within what 16 numbers can (Johnson and Lindenstrauss 1984). The checkpoint's digest is its seed: every
process that loads the same model projects alike, and nothing has to be stored for it.
"""

import numpy as np
from jaxtyping import Float
from torch import Tensor

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

    def of(self, features: Float[Tensor, "M T D"]) -> tuple[float, ...]:
        """Return 16 numbers for the features of a scan's frames, by member, frame and feature."""
        mean = features.mean(dim=(0, 1)).cpu().double().numpy()
        if self._matrix is None or len(self._matrix) != len(mean):
            drawn = np.random.default_rng(self._seed).standard_normal((len(mean), DIMENSIONS))
            self._matrix = drawn / np.sqrt(DIMENSIONS)
        return tuple(float(value) for value in mean @ self._matrix)
