"""How much grey matter, white matter and fluid a head has where, on a grid twice as fine as the frames'.

The tissues are those that a T1-weighted image was divided into on its way to the template
(``imaging/native/through_t1w.py``): laid over it by twelve numbers, not warped. They are densities, the share
of a place that is of a tissue, and not multiplied by how much the head was stretched to get there.
"""

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import map_coordinates

from imaging.cube import brain_cube
from imaging.shapes import Affine, BrainMap, TissueMaps
from imaging.smoothing import gaussian_smooth

TISSUE_MAPS = ("grey_matter", "white_matter", "fluid")
"""The rows of what :func:`tissue_maps` returns."""

FINER = 2
"""Voxels of the maps along an edge of one of the frames' cube."""

SMOOTHING_FWHM_MM = 6.0
"""As a run is smoothed. Twelve numbers leave tissues a standard deviation of 2.5 mm from where the template
has them, which is this Gaussian: a voxel then says how much of a tissue is thereabouts. Nothing is left that
is finer than the maps' voxels of 2.65 mm could hold."""


def tissue_maps(shares: Float32[np.ndarray, "3 X Y Z"], *, affine: Affine, grid_size: int) -> TissueMaps:
    """Smooth shares of tissues, and read them at the voxels of the brain.

    Parameters
    ----------
    shares : (3, X, Y, Z) float32
        In the order of ``TISSUE_MAPS``, 0 to 1; outside the array there is none.
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm of the template; voxels are cubes.
    grid_size : int
        Of the frames' cube.

    Returns
    -------
    (3, K) float32
        The voxels of ``brain_cube(FINER * grid_size).mask`` in C order.
    """
    cube = brain_cube(FINER * grid_size)
    to_shares = np.linalg.inv(affine) @ cube.affine
    places = to_shares[:3, :3] @ cube.brain_voxels.T + to_shares[:3, 3:]
    step_mm = np.linalg.norm(affine[:3, :3], axis=0)
    sigma = SMOOTHING_FWHM_MM / np.sqrt(8 * np.log(2)) / step_mm
    smooth = [gaussian_smooth(share, sigma, mode="constant") for share in shares]
    return np.stack([map_coordinates(share, places, order=1, output=np.float32) for share in smooth])


def standardise_tissue(values: BrainMap) -> BrainMap:
    """Give a tissue's z-scores over the brain of one person.

    Unlike in a map of a signal (`imaging.derived.maps.standardise_map`), 0 was measured: there is none of it.

    Parameters
    ----------
    values : (K,) float32
        One row of :func:`tissue_maps`.

    Returns
    -------
    (K,) float32
        Population SD; all 0 where the values are all the same.
    """
    known = values.astype(np.float64)
    if not np.ptp(known) > 0:
        return np.zeros_like(values)
    return np.asarray((known - known.mean()) / known.std(), dtype=np.float32)
