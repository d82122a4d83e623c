"""Where a map is highest, in millimetres, and which published point lies nearest."""

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from io import StringIO

import numpy as np
from scipy.ndimage import maximum_filter

from imaging import brain_cube
from imaging.shapes import Cube

_ASSET = "dosenbach_2010.tsv"
# Of the network's own input grid: two peaks nearer than three of its voxels are one.
_APART_VOXELS = 3


@dataclass(frozen=True)
class Point:
    """One of the 160 published points (Dosenbach et al. 2010, doi:10.1126/science.1194144)."""

    mni_mm: tuple[float, float, float]
    region: str
    network: str


@dataclass(frozen=True)
class Peak:
    """A local extreme of a map.

    Attributes
    ----------
    mni_mm : (x, y, z)
        Of the voxel's centre.
    value : float
        In the map's unit; its sign says which class it speaks for.
    nearest_region, nearest_network : str
        Of the nearest of 160 published points: a landmark, not the name of the place. An atlas it is not, and
        a point far away names nothing.
    distance_mm : float
        To that point.
    """

    mni_mm: tuple[float, float, float]
    value: float
    nearest_region: str
    nearest_network: str
    distance_mm: float


def peaks(cube: Cube, *, n: int = 10) -> tuple[Peak, ...]:
    """Name the places where a map is largest in absolute value, the largest first.

    Parameters
    ----------
    cube : (G, G, G) float32
        Such as ``Explanation.map`` of integrated gradients; Grad-CAM's has hardly any places to tell apart.
    n : int
        At most so many; a map of zeros has none.

    Raises
    ------
    ValueError
        If `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"expected n of at least 1, found {n}")
    size = np.abs(cube)
    summits = np.argwhere((size == maximum_filter(size, size=3)) & (size > 0))
    ordered = summits[np.argsort(-size[tuple(summits.T)], kind="stable")]
    chosen: list[np.ndarray] = []
    for summit in ordered:
        if len(chosen) == n:
            break
        if all(np.linalg.norm(summit - other) >= _APART_VOXELS for other in chosen):
            chosen.append(summit)
    affine = brain_cube(cube.shape[0]).affine
    return tuple(_peak(affine[:3, :3] @ at + affine[:3, 3], float(cube[tuple(at)])) for at in chosen)


@lru_cache(maxsize=1)
def published_points() -> tuple[Point, ...]:
    """Read the points that peaks are named by; see ``model/assets/README.md``."""
    text = (resources.files("model") / "assets" / _ASSET).read_text(encoding="utf-8")
    return tuple(
        Point((float(row["x_mm"]), float(row["y_mm"]), float(row["z_mm"])), row["region"], row["network"])
        for row in csv.DictReader(StringIO(text), delimiter="\t")
    )


def _peak(at_mm: np.ndarray, value: float) -> Peak:
    points = published_points()
    distances = np.linalg.norm(np.array([point.mni_mm for point in points]) - at_mm, axis=1)
    nearest = int(distances.argmin())
    x, y, z = (round(float(c), 1) for c in at_mm)
    return Peak(
        mni_mm=(x, y, z),
        value=value,
        nearest_region=points[nearest].region,
        nearest_network=points[nearest].network,
        distance_mm=round(float(distances[nearest]), 1),
    )
