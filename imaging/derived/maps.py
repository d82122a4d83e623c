"""All maps of a scan, in one order."""

import numpy as np

from imaging.derived.amplitude import slow_signal
from imaging.derived.homogeneity import regional_homogeneity
from imaging.derived.mirror import mirrored_connectivity
from imaging.shapes import BrainMap, BrainMaps, CubeMask, VoxelSeries

DERIVED_MAPS = ("alff", "falff", "falff_sd", "reho", "vmhc")
"""The rows of what :func:`derive_maps` returns; a new map goes to the end."""


def derive_maps(series: VoxelSeries, *, tr_s: float, mask: CubeMask) -> BrainMaps:
    """Compute every map of a scan, as it is: nothing is scaled to the brain's mean or deviation.

    Parameters
    ----------
    series : (N, T) float32
        The mask's voxels in C order, not filtered in time, frames ``tr_s`` apart; in any unit, up to a
        constant a voxel.
    tr_s : float
        The scan's own.
    mask : (G, G, G) bool
        Of `imaging.brain_cube`.

    Returns
    -------
    (M, N) float32
        A row for each of ``DERIVED_MAPS``: the first in the unit of the series, the others without one.
        Always finite; 0 where there is nothing to measure, as in a voxel without signal.
    """
    slow = slow_signal(series, tr_s=tr_s)
    maps = {
        "alff": slow.alff,
        "falff": slow.falff,
        "falff_sd": slow.falff_sd,
        "reho": regional_homogeneity(slow.band_passed, mask=mask),
        "vmhc": mirrored_connectivity(slow.band_passed, mask=mask),
    }
    return np.stack([maps[name] for name in DERIVED_MAPS])


def standardise_map(values: BrainMap) -> BrainMap:
    """Give a map's z-scores over the brain, so that scans of different scales can be compared.

    Parameters
    ----------
    values : (N,) float32
        One row of :func:`derive_maps`. Exactly 0 means that nothing was measured there.

    Returns
    -------
    (N,) float32
        Population SD; zeros stay, and count towards neither mean nor deviation. All 0 where the rest is
        all the same.
    """
    measured = values != 0
    scores = np.zeros_like(values)
    if measured.any():
        known = values[measured].astype(np.float64)
        if np.ptp(known) > 0:
            scores[measured] = (known - known.mean()) / known.std()
    return scores
