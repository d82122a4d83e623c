"""How the head moved: each frame's rigid pose beside a reference frame.

Gauss-Newton on the sum of squared differences, in its inverse compositional form (Baker and Matthews 2004,
IJCV 56:221): the small step is taken on the side of the reference, whose gradients never change, so that a
step costs one look at the frame and a product with six columns. Samples are taken as the coefficients of
a cubic B-spline without being filtered first: that smooths frame and reference alike, by a standard deviation
of 0.58 voxels, and gives gradients that are exact for what is compared.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from imaging.native.levels import head_of
from imaging.shapes import Affine, Volume

# More of them make a pose no more exact than the head's own deformation between frames is large.
POINTS = 12_000

# A step that moves the farthest of the points by less than this is the last.
CONVERGED_MM = 0.002
MOST_STEPS = 30

# Of the head's points inside a frame; with fewer its pose means little.
LEAST_SEEN = 0.5

# Beyond this a frame is looked for again from farther away: smoothed, from a coarser set of points.
FAR_MM = 1.5
COARSE_VOXELS = 2.0


@dataclass(frozen=True, eq=False)
class Motion:
    """The pose of each frame.

    Attributes
    ----------
    rotations : (T, 3) float64
        Rotation vectors, radians, about ``centre_mm`` and the axes of RAS+ space.
    translations_mm : (T, 3) float64
    centre_mm : (3,) float64
        The middle of the reference's head, RAS+ mm.
    """

    rotations: Float64[np.ndarray, "T 3"]
    translations_mm: Float64[np.ndarray, "T 3"]
    centre_mm: Float64[np.ndarray, " 3"]

    def transforms(self) -> Float64[np.ndarray, "T 4 4"]:
        """Return what takes a point of the reference to the same tissue in each frame, RAS+ mm."""
        return np.stack(
            [
                _about(self.centre_mm, rotation, translation)
                for rotation, translation in zip(self.rotations, self.translations_mm, strict=True)
            ]
        )

    def displacement_mm(self, points_mm: Float64[np.ndarray, "P 3"]) -> Float64[np.ndarray, " T"]:
        """Return the root mean square distance that each frame moved some points."""
        moved = np.einsum("tij,pj->tpi", self.transforms()[:, :3, :3], points_mm)
        moved += self.transforms()[:, None, :3, 3]
        distances: Float64[np.ndarray, " T"] = np.sqrt(((moved - points_mm) ** 2).sum(-1).mean(-1))
        return distances


def estimate_motion(
    frames: Iterable[Volume],
    *,
    reference: Volume,
    affine: Affine,
    progress: Callable[[int], None] | None = None,
) -> Motion:
    """Find the rigid pose of each frame.

    Parameters
    ----------
    frames : iterable of (X, Y, Z) float32
    reference : (X, Y, Z) float32
        The frame, or mean of frames, that the others are brought to.
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm, of all of them.
    progress : callable, optional
        Called with the number of frames that are done; may raise to stop the work.

    Returns
    -------
    Motion
    """
    head = head_of(reference)
    fine = _Level(reference, affine, head, n_points=POINTS, smoothing_voxels=0.0)
    coarse = _Level(
        reference,
        affine,
        head,
        n_points=POINTS // 4,
        smoothing_voxels=COARSE_VOXELS,
        centre_mm=fine.centre_mm,
    )
    pose = np.eye(4)
    poses = []
    for number, frame in enumerate(frames, start=1):
        # The head is mostly where it was; where it is not, the narrow look would end in a wrong valley.
        found = fine.fit(frame, start=pose)
        if found is None or fine.distance_mm(found, pose) > FAR_MM:
            rough = coarse.fit(gaussian_filter(frame, COARSE_VOXELS), start=pose)
            again = fine.fit(frame, start=pose if rough is None else rough)
            found = _better(fine, frame, (found, again))
        pose = pose if found is None else found
        poses.append(pose)
        if progress is not None:
            progress(number)
    return _as_motion(np.stack(poses), centre_mm=fine.centre_mm)


class _Level:
    """A reference, seen at some points, and how it changes as it is moved.

    Parameters
    ----------
    smoothing_voxels : float
        Standard deviation, beyond what the cubic B-spline does.
    centre_mm : (3,) float64, optional
        What rotations are about; the middle of the points if not given.
    """

    def __init__(
        self,
        reference: Volume,
        affine: Affine,
        head: Bool[np.ndarray, "X Y Z"],
        *,
        n_points: int,
        smoothing_voxels: float,
        centre_mm: Float64[np.ndarray, " 3"] | None = None,
    ) -> None:
        smooth = gaussian_filter(reference, smoothing_voxels) if smoothing_voxels else reference
        voxels = np.argwhere(head)
        # Evenly through the head, and the same ones every time.
        voxels = voxels[:: max(1, -(-len(voxels) // n_points))].astype(np.float64)
        self.shape = np.array(reference.shape)
        self.points_mm = voxels @ affine[:3, :3].T + affine[:3, 3]
        self.centre_mm = self.points_mm.mean(axis=0) if centre_mm is None else centre_mm
        self.to_voxels = np.linalg.inv(affine)
        self.values = _at(smooth, voxels)
        gradient = np.stack([_slope(smooth, voxels, axis) for axis in range(3)], axis=-1)
        gradient_mm = gradient @ self.to_voxels[:3, :3]
        arms = self.points_mm - self.centre_mm
        self.columns = np.column_stack([np.cross(arms, gradient_mm), gradient_mm, self.values])

    def fit(self, frame: Volume, *, start: Affine) -> Affine | None:
        """Return the pose from which no step leads farther down; None where none is found."""
        pose = start
        for _ in range(MOST_STEPS):
            residual, weight = self._residual(frame, pose)
            if weight.mean() < LEAST_SEEN:
                return None
            weighted = self.columns.T * weight
            step = np.linalg.lstsq(weighted @ self.columns, weighted @ residual, rcond=None)[0]
            pose = pose @ np.linalg.inv(_about(self.centre_mm, step[:3], step[3:6]))
            farthest = np.linalg.norm(step[3:6]) + np.linalg.norm(step[:3]) * 100.0
            if farthest < CONVERGED_MM:
                return pose
        return None

    def misfit(self, frame: Volume, pose: Affine) -> float:
        """Return the root mean square difference that is left, the frame's own brightness aside."""
        residual, weight = self._residual(frame, pose)
        weighted = weight * self.values
        residual -= self.values * (weighted @ residual) / (weighted @ self.values)
        return float(np.sqrt(weight @ residual**2 / weight.sum()))

    def distance_mm(self, one: Affine, other: Affine) -> float:
        """Return how far apart two poses put the points, root mean square."""
        change = one - other
        moved = self.points_mm @ change[:3, :3].T + change[:3, 3]
        return float(np.sqrt((moved**2).sum(axis=1).mean()))

    def _residual(
        self, frame: Volume, pose: Affine
    ) -> tuple[Float64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
        """Return what differs at each point, and its weight: from 0 at the frame's edge to 1 a voxel within.

        Points that came and went at once would keep the steps from ending.
        """
        to_frame = self.to_voxels @ pose
        voxels = self.points_mm @ to_frame[:3, :3].T + to_frame[:3, 3]
        weight = np.clip(np.minimum(voxels, self.shape - 1 - voxels), 0, 1).prod(axis=1)
        return _at(frame, voxels) - self.values, weight


def _better(level: _Level, frame: Volume, poses: tuple[Affine | None, ...]) -> Affine | None:
    found = [pose for pose in poses if pose is not None]
    return min(found, key=lambda pose: level.misfit(frame, pose), default=None)


def _at(volume: Volume, voxels: Float64[np.ndarray, "P 3"]) -> Float64[np.ndarray, " P"]:
    values: Float64[np.ndarray, " P"] = map_coordinates(
        volume, voxels.T, order=3, prefilter=False, mode="nearest", output=np.float64
    )
    return values


def _slope(volume: Volume, voxels: Float64[np.ndarray, "P 3"], axis: int) -> Float64[np.ndarray, " P"]:
    """Return the derivative along a voxel axis; a cubic's own central difference is near enough at 0.1."""
    ahead = np.zeros(3)
    ahead[axis] = 0.1
    slope: Float64[np.ndarray, " P"] = (_at(volume, voxels + ahead) - _at(volume, voxels - ahead)) / 0.2
    return slope


def _about(
    centre_mm: Float64[np.ndarray, " 3"],
    rotation: Float64[np.ndarray, " 3"],
    translation_mm: Float64[np.ndarray, " 3"],
) -> Affine:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rotation).as_matrix()
    matrix[:3, 3] = centre_mm - matrix[:3, :3] @ centre_mm + translation_mm
    return matrix


def _as_motion(poses: Float64[np.ndarray, "T 4 4"], *, centre_mm: Float64[np.ndarray, " 3"]) -> Motion:
    rotations = Rotation.from_matrix(poses[:, :3, :3]).as_rotvec()
    translations = poses[:, :3, 3] + poses[:, :3, :3] @ centre_mm - centre_mm
    return Motion(rotations=rotations, translations_mm=translations, centre_mm=centre_mm)
