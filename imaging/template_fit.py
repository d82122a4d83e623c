"""How far a scan's brain lies from the template brain: a small similarity registration at 8 mm.

The story: :func:`brain_map` turns a scan into a soft outline of its brain; :func:`fit_template` moves, turns
and scales the template (seven numbers) until its outline matches best; :attr:`Pose.displacement_mm` says how
far it had to go. For a scan in template space it hardly moves. ``template_space.py`` holds the thresholds.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from imaging.shapes import Affine, Volume
from imaging.smoothing import gaussian_smooth
from imaging.template import template_brain

FloatArray = NDArray[np.float64]

BLOCK_MM = 6.0  # scans are averaged to voxels of about this edge first: the outline needs no more
GRID_STEP = 2  # every second template voxel: 8 mm
CENTRE_MM = np.array([0.0, -18.0, 10.0])  # of the template brain; rotation and scale turn about it
SHAPE_MARGIN = 6  # template voxels (24 mm) around the brain that are compared
TOO_FEW_POINTS = 60

# Of the histogram that tells brain from background.
_BINS = 128

COARSE_SIGMA_MM, FINE_SIGMA_MM = 9.0, 5.0
# Coarse first, so that a brain 50 mm away is still found; (smoothing sigma in mm, stride, most steps).
FULL_SEARCH = ((COARSE_SIGMA_MM, 2, 8), (FINE_SIGMA_MM, 1, 5))
SHORT_SEARCH = ((COARSE_SIGMA_MM, 2, 4), (FINE_SIGMA_MM, 1, 2))


@dataclass(frozen=True)
class BrainMap:
    """A scan's brain as a soft outline on a coarse grid.

    Attributes
    ----------
    outlines : dict of float to (X, Y, Z) float32
        By smoothing sigma in mm; about 1 in the brain, 0 outside it, on voxels of about ``BLOCK_MM``.
    affine : (4, 4) float64
        Coarse voxel indices -> millimetres, as the scan's header has it.
    lowest_mm : float
        Height of the lowest signal. Scans often miss the cerebellum; what lies below is not compared.
    """

    outlines: dict[float, Volume]
    affine: Affine
    lowest_mm: float


@dataclass(frozen=True)
class Pose:
    """Where the template fits a scan best.

    Attributes
    ----------
    affine : (4, 4) float64
        Template millimetres -> scan millimetres; the identity for a scan in template space.
    correlation : float
        Between the two outlines there, -1 to 1.
    """

    affine: Affine
    correlation: float

    @property
    def displacement_mm(self) -> float:
        """Root mean square distance over the template's brain between where it is and where it fits."""
        brain = _brain_points()
        moved = brain @ self.affine[:3, :3].T + self.affine[:3, 3]
        return float(np.sqrt(((moved - brain) ** 2).sum(axis=1).mean()))

    @property
    def scale(self) -> float:
        """Linear size of the scan's brain, the template's = 1."""
        return float(np.cbrt(abs(np.linalg.det(self.affine[:3, :3]))))


def brain_map(values: Volume, affine: Affine) -> BrainMap | None:
    """Outline the brain in a mean image or in a map of temporal standard deviation.

    Parameters
    ----------
    values : (X, Y, Z) float32
        Larger inside the brain than outside; any unit. Values below zero and not finite count as zero.
    affine : (4, 4) float64
        Voxel indices -> millimetres.

    Returns
    -------
    BrainMap or None
        None where nothing stands out from the background.
    """
    coarse, coarse_affine = block_average(
        np.nan_to_num(np.maximum(values, 0), posinf=0), affine, block_mm=BLOCK_MM
    )
    if not (coarse > 0).any():
        return None
    # Vessels and bright fat must not set the scale.
    clipped = np.minimum(coarse, np.percentile(coarse[coarse > 0], 98))
    if np.ptp(clipped) < _BINS * np.spacing(clipped.max()):
        # A header may add so much to every value that float32 does not hold what differs.
        return None
    brain = clipped > _otsu_threshold(clipped)
    if not brain.any():
        return None
    # 0 up to a tenth of the brain's median, 1 from half of it: contrast within the brain does not matter.
    soft = np.clip((coarse / np.median(coarse[brain]) - 0.1) / 0.4, 0, 1).astype(np.float32)
    heights = np.argwhere(soft > 0.5) @ coarse_affine[2, :3] + coarse_affine[2, 3]
    zooms = np.sqrt((coarse_affine[:3, :3] ** 2).sum(axis=0))
    outlines = {
        sigma_mm: gaussian_smooth(soft, sigma_mm / zooms, mode="nearest")
        for sigma_mm in (COARSE_SIGMA_MM, FINE_SIGMA_MM)
    }
    return BrainMap(outlines, coarse_affine, float(np.percentile(heights, 0.5)))


def fit_template(
    brain: BrainMap, *, start: Affine | None = None, search: tuple[tuple[float, int, int], ...] = FULL_SEARCH
) -> Pose:
    """Find the similarity transform that brings the template onto the scan's brain.

    Gauss-Newton on the difference of the outlines up to gain and offset, inverse compositional (Baker and
    Matthews 2004): the template's gradients are computed once a process, a step looks up the scan once.

    Parameters
    ----------
    brain : BrainMap
    start : (4, 4) float64, optional
        Where to begin, template -> scan millimetres; the identity if left out.
    search : tuple of (sigma_mm, stride, steps)
        Smoothing levels, coarse to fine.

    Returns
    -------
    Pose
        The best pose met at the finest level; a correlation of 0 where too little of the template is in view.
    """
    pose = Pose(np.eye(4) if start is None else start, 0.0)
    for sigma_mm, stride, steps in search:
        pose = _descend(_level(sigma_mm, stride), brain, pose.affine, steps)
    return pose


def correlation_as_given(brain: BrainMap) -> float:
    """Correlate the outlines where the scan's own affine puts it, without any move."""
    level = _level(FINE_SIGMA_MM, 1)
    return _descend(level, brain, np.eye(4), 1).correlation


def coverage(brain: BrainMap) -> float:
    """Return the share of the template's brain where the scan, as its affine places it, has signal."""
    values, inside = _look_up(brain, FINE_SIGMA_MM, _brain_points())
    return float((inside & (values > 0.5)).mean())


def mirrored(pose: Affine, *, axes: tuple[int, ...]) -> Affine:
    """Return a pose with the template mirrored along some of its own axes first."""
    mirror = np.eye(4)
    for axis in axes:
        mirror[axis, axis] = -1
        mirror[axis, 3] = 2 * CENTRE_MM[axis]
    return pose @ mirror


def block_average(values: Volume, affine: Affine, *, block_mm: float) -> tuple[NDArray[np.float32], Affine]:
    """Average whole blocks of voxels, as large as fit into ``block_mm`` along each axis.

    Returns
    -------
    (x, y, z) float32
        Incomplete blocks at the far ends are left out.
    (4, 4) float64
        Coarse voxel indices -> the same millimetres.
    """
    zooms = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    whole = np.maximum(1, np.floor(block_mm / zooms + 1e-6)).astype(int)
    block = np.minimum(whole, values.shape)
    x, y, z = (size // edge for size, edge in zip(values.shape, block, strict=True))
    cut = values[: x * block[0], : y * block[1], : z * block[2]]
    average = cut.reshape(x, block[0], y, block[1], z, block[2]).mean(axis=(1, 3, 5), dtype=np.float32)
    coarse = affine.copy()
    coarse[:3, :3] = affine[:3, :3] * block
    coarse[:3, 3] = affine[:3, :3] @ ((block - 1) / 2) + affine[:3, 3]
    return average, coarse


def under_tentorium(points: FloatArray) -> NDArray[np.bool_]:
    """Tell which points (N, 3), in template millimetres, lie at the cerebellum, the brain stem or below them.

    One scan shows them, the next cuts them off: they are not compared.
    """
    y, z = points[:, 1], points[:, 2]
    return np.asarray(((y < -16) & (z < -8 + 0.12 * (y + 40))) | (z < -44))


def _otsu_threshold(values: NDArray[np.float32]) -> float:
    """Split a histogram in two classes of least spread (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=_BINS)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    mass = np.cumsum(counts * middles)
    between = (mass[-1] * below / below[-1] - mass) ** 2 / np.maximum(below * (below[-1] - below), 1)
    return float(middles[np.argmax(between)])


@dataclass(frozen=True)
class _Level:
    """The smoothed template at the points that are compared, and how it changes with the seven numbers."""

    sigma_mm: float
    points: FloatArray
    template: FloatArray
    jacobian: FloatArray


@lru_cache(maxsize=8)
def _level(sigma_mm: float, stride: int) -> _Level:
    template = template_brain()
    step_mm = float(template.affine[0, 0])
    smooth = ndimage.gaussian_filter(template.mask.astype(np.float32), sigma_mm / step_mm)
    slopes = np.stack(list(np.gradient(smooth.astype(np.float64), step_mm)), axis=-1)

    near = ndimage.binary_dilation(template.mask, iterations=SHAPE_MARGIN)
    stride *= GRID_STEP
    chosen = np.argwhere(near[::stride, ::stride, ::stride]) * stride
    points = chosen @ template.affine[:3, :3].T + template.affine[:3, 3]
    keep = ~under_tentorium(points)
    chosen, points = chosen[keep], points[keep]

    at = tuple(chosen.T)
    slope, arm = slopes[at], points - CENTRE_MM
    turns = np.cross(arm, slope)
    size = (slope * arm).sum(axis=1, keepdims=True)
    return _Level(sigma_mm, points, smooth[at].astype(np.float64), np.hstack([slope, turns, size]))


@lru_cache(maxsize=1)
def _brain_points() -> FloatArray:
    template = template_brain()
    return np.asarray(np.argwhere(template.mask)[::7] @ template.affine[:3, :3].T + template.affine[:3, 3])


def _look_up(brain: BrainMap, sigma_mm: float, points: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Read an outline at points (N, 3) in the scan's own millimetres, and tell which of them it shows."""
    outline = brain.outlines[sigma_mm]
    to_voxel = np.linalg.inv(brain.affine)
    voxels = to_voxel[:3, :3] @ points.T + to_voxel[:3, 3:]
    values = np.asarray(ndimage.map_coordinates(outline, voxels, order=1, mode="nearest"), dtype=np.float64)
    last = np.array(outline.shape)[:, None] - 0.5
    return values, np.asarray(((voxels > -0.5) & (voxels < last)).all(axis=0))


@dataclass(frozen=True)
class _Match:
    correlation: float
    step: FloatArray


def _match(level: _Level, values: FloatArray, seen: NDArray[np.bool_]) -> _Match:
    """Compare the outlines where the scan shows them, up to gain and offset, and propose the next step."""
    chosen = np.flatnonzero(seen)
    if len(chosen) < TOO_FEW_POINTS:
        return _Match(0.0, np.zeros(7))
    template, scan, jacobian = (of.take(chosen, axis=0) for of in (level.template, values, level.jacobian))
    template -= template.mean()
    scan -= scan.mean()
    energy = float(scan @ scan)
    if energy <= 1e-9:
        return _Match(0.0, np.zeros(7))
    overlap = float(template @ scan)
    # Means along the long axis as a product: a third of the time of np.mean.
    jacobian -= np.full(len(chosen), 1 / len(chosen)) @ jacobian
    normal = jacobian.T @ jacobian
    normal += 1e-6 * np.diag(np.diag(normal)) + 1e-9 * np.eye(7)
    step = np.linalg.solve(normal, jacobian.T @ (overlap / energy * scan - template))
    limits = np.array([15, 15, 15, 0.25, 0.25, 0.25, 0.1])  # mm, radians, log scale: no leaps
    return _Match(overlap / math.sqrt(energy * float(template @ template)), np.clip(step, -limits, limits))


def _descend(level: _Level, brain: BrainMap, start: Affine, steps: int) -> Pose:
    affine, best = start, Pose(start, -1.0)
    for _ in range(steps):
        placed = level.points @ affine[:3, :3].T + affine[:3, 3]
        values, seen = _look_up(brain, level.sigma_mm, placed)
        match = _match(level, values, seen & (placed[:, 2] > brain.lowest_mm))
        if match.correlation > best.correlation:
            best = Pose(affine, match.correlation)
        elif match.correlation < best.correlation - 0.003:
            break
        if np.abs(match.step[:3]).max() < 0.2 and np.abs(match.step[3:]).max() < 0.003:
            break
        affine = affine @ np.linalg.inv(_similarity(match.step))
    return best


def _similarity(step: FloatArray) -> Affine:
    """Turn three shifts (mm), a rotation vector (radians) and a log scale about the centre into a matrix."""
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_rotvec(step[3:6]).as_matrix() * np.exp(step[6])
    transform[:3, 3] = step[:3] + CENTRE_MM - transform[:3, :3] @ CENTRE_MM
    return transform
