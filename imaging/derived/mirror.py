"""VMHC: how alike a voxel and its mirror image in the other half of the brain are (Zuo et al. 2010).

doi:10.1523/JNEUROSCI.2612-10.2010. There, each brain is brought onto a symmetric template first. Here the
mirror image is that of the template's coordinates, x and -x: the plane between the halves of the cube is
x = 0 of the template, and its mask is symmetric. A brain's own asymmetry is left in.
"""

import numpy as np
from jaxtyping import Float64

from imaging.shapes import BrainMap, CubeMask, VoxelSeries
from imaging.temporal import row_pieces

# Of equal series; Fisher's z of 1 is infinite. What single precision still tells from 1 is not much more.
_LARGEST_CORRELATION = 1 - 1e-6


def mirrored_connectivity(series: VoxelSeries, *, mask: CubeMask) -> BrainMap:
    """Correlate each voxel's series with that of its mirror image along the first axis.

    Parameters
    ----------
    series : (N, T) float32
        Band-passed, of the mask's voxels in C order.
    mask : (G, G, G) bool
        Its first axis runs from left to right, and its middle is the plane between the halves.

    Returns
    -------
    (N,) float32
        Fisher's z of Pearson's correlation, at most 7.25 (that of 0.999999) either way; the same on both
        sides. 0 where the mirror image lies outside the mask, is the voxel itself (in a cube of an odd
        number of voxels), or one of the two does not vary.
    """
    numbers = np.full(mask.shape, -1, dtype=np.int64)
    numbers[mask] = np.arange(len(series))
    image = numbers[::-1][mask]
    varies = np.ptp(series, axis=1) > 0
    # Of each pair the one that comes first; a voxel that is its own image is in no pair.
    first = np.flatnonzero((image > np.arange(len(series))) & varies & varies[image])
    second = image[first]

    similarity = np.zeros(len(series), dtype=np.float32)
    for some in row_pieces(series):
        one, other = _centred(series[first[some]]), _centred(series[second[some]])
        lengths = np.sqrt(_products(one, one) * _products(other, other))
        correlation = _products(one, other) / lengths
        z = np.arctanh(np.clip(correlation, -_LARGEST_CORRELATION, _LARGEST_CORRELATION))
        similarity[first[some]] = similarity[second[some]] = z
    return similarity


def _centred(series: VoxelSeries) -> VoxelSeries:
    centred: VoxelSeries = series - series.mean(axis=1, keepdims=True)
    return centred


def _products(one: VoxelSeries, other: VoxelSeries) -> Float64[np.ndarray, " N"]:
    products: Float64[np.ndarray, " N"] = np.einsum("vt,vt->v", one, other, dtype=np.float64)
    return products
