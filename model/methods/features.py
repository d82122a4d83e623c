"""What linear methods put their weights on: numbers of a whole scan."""

import numpy as np
from jaxtyping import Float32, Float64

_LARGEST_CORRELATION = 0.999
_CONSTANT = 1e-6  # beside the largest region's; a region without signal correlates with nothing


def fisher_z_correlations(series: Float32[np.ndarray, "T R"]) -> Float64[np.ndarray, " F"]:
    """Give the inverse hyperbolic tangent of the Pearson correlation of each pair of columns.

    A column without signal correlates with nothing: 0. Correlations are held within 0.999.

    Parameters
    ----------
    series : (T, R) float32

    Returns
    -------
    (F,) float64
        The pairs of the upper triangle, row by row.
    """
    centred = series.astype(np.float64) - series.mean(axis=0, dtype=np.float64)
    norm = np.sqrt((centred**2).sum(axis=0))
    lively = norm > _CONSTANT * max(float(norm.max()), np.finfo(np.float64).tiny)
    unit = np.divide(centred, norm, out=np.zeros_like(centred), where=lively)
    correlation = (unit.T @ unit)[np.triu_indices(series.shape[1], k=1)]
    return np.asarray(np.arctanh(np.clip(correlation, -_LARGEST_CORRELATION, _LARGEST_CORRELATION)))
