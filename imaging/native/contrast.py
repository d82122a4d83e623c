"""An image explained by the tissues at each place, each of a brightness that varies slowly; and how they lie.

What an image shows at a point is a sum over tissues, each times a polynomial of place: a tissue may be bright
in one kind of image and dark in another, and a receiving coil sees what is near. The transform and the
brightness are found together by Gauss-Newton.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from imaging.native.tissues import Tissues
from imaging.shapes import Affine, Volume
from imaging.template_fit import CENTRE_MM

MOST_STEPS = 30
CONVERGED_MM = 0.02

# Around the brain: where it ends tells most of where it is.
MARGIN_MM = 8.0
# Scans seldom reach what lies below, and what they show there is neck.
LOWEST_MM = -44.0
SPACING = 2
"""Of the points that are compared, in voxels of the tissue maps."""

# Lengths are in these units where brightness is a polynomial of place.
_FAR_MM = 60.0

# Of the points that are compared, around the brain too.
LEAST_WEIGHT = 0.3

# Rounds in which points are doubted before each step.
_DOUBTS = 3

Freedom = Literal["rigid", "affine"]


@dataclass(frozen=True, eq=False)
class TissueModel:
    """Smoothed tissues at the points that are compared.

    Attributes
    ----------
    points_mm, arms : (P, 3) float64
        Places in the space of the head that it is of, and the same from the middle of the brain.
    centre_mm : (3,) float64
        That middle.
    slopes : (P, 3, 3) float64
        Of each tissue (last) along each axis, a millimetre.
    bias : (P, 10) float64
        Polynomials of place up to the second degree.
    basis : (P, 30) float64
        Each tissue times each of these.
    """

    points_mm: Float64[np.ndarray, "P 3"]
    arms: Float64[np.ndarray, "P 3"]
    centre_mm: Float64[np.ndarray, " 3"]
    slopes: Float64[np.ndarray, "P 3 3"]
    bias: Float64[np.ndarray, "P 10"]
    basis: Float64[np.ndarray, "P 30"]

    def columns(self, brightness: Float64[np.ndarray, " 30"], freedom: Freedom) -> Float64[np.ndarray, "P F"]:
        """Return how the explained image changes with three shifts, and with a turn or with the matrix."""
        of_tissue = self.bias @ brightness.reshape(3, -1).T
        slope = np.einsum("pak,pk->pa", self.slopes, of_tissue)
        if freedom == "rigid":
            return np.hstack([slope, np.cross(self.arms, slope)])
        return np.hstack([slope, *(slope[:, axis, None] * self.arms for axis in range(3))])


class Contrast:
    """An image, smoothed, beside tissues that are smoothed alike.

    Parameters
    ----------
    image : (X, Y, Z) float32
    affine : (4, 4) float64
        Its voxel indices -> RAS+ mm.
    model : TissueModel
    sigma_mm : float
        Of the smoothing; the model's own.
    doubted_beyond : float, optional
        Points that are explained worse than so many times the median misfit count less: the signal may be
        lost there.
    """

    def __init__(
        self,
        image: Volume,
        affine: Affine,
        model: TissueModel,
        *,
        sigma_mm: float,
        doubted_beyond: float | None = None,
    ) -> None:
        zooms_mm = np.linalg.norm(affine[:3, :3], axis=0)
        self.image = gaussian_filter(image, sigma_mm / zooms_mm)
        self.to_voxels = np.linalg.inv(affine)
        self.last = np.array(image.shape) - 1
        self.model = model
        self.doubted_beyond = doubted_beyond

    def fit(self, pose: Affine, *, freedom: Freedom = "affine") -> tuple[Affine, float]:
        """Return the transform from which no step leads farther, and the share that is explained there.

        Parameters
        ----------
        pose : (4, 4) float64
            Model's millimetres -> image's millimetres, to begin with.
        freedom : {"affine", "rigid"}
            What may change of it.
        """
        model, explained = self.model, 0.0
        n_free = 6 if freedom == "rigid" else 12
        for _ in range(MOST_STEPS):
            values, weight = self._look(pose)
            if weight.mean() < LEAST_WEIGHT:
                # Led astray, out of what the image shows.
                return pose, 0.0
            brightness, residual, weight = self._explain(values, weight)
            explained = _share(residual, values, weight)
            columns = np.hstack([model.columns(brightness, freedom), model.basis])
            step = least_squares(columns, residual, weight)[:n_free]
            pose = pose @ np.linalg.inv(_as_transform(step, model.centre_mm))
            if np.abs(step[:3]).max() < CONVERGED_MM and np.abs(step[3:]).max() < CONVERGED_MM / 100:
                break
        return pose, explained

    def explained(self, pose: Affine) -> float:
        """Return the share of the image's variance that the tissues explain in a pose."""
        values, weight = self._look(pose)
        if weight.mean() < LEAST_WEIGHT:
            return 0.0
        _, residual, weight = self._explain(values, weight)
        return _share(residual, values, weight)

    def _explain(
        self, values: Float64[np.ndarray, " P"], weight: Float64[np.ndarray, " P"]
    ) -> tuple[Float64[np.ndarray, " 30"], Float64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
        """Return the tissues' brightness, what it leaves, and what each point counts for in the end."""
        basis, counted = self.model.basis, weight
        brightness = least_squares(basis, values, counted)
        residual = values - basis @ brightness
        if self.doubted_beyond is not None:
            for _ in range(_DOUBTS):
                limit = self.doubted_beyond * np.median(np.abs(residual[weight > 0.5]))
                counted = weight / (1 + (residual / max(limit, 1e-30)) ** 2) ** 2
                brightness = least_squares(basis, values, counted)
                residual = values - basis @ brightness
        return brightness, residual, counted

    def _look(self, pose: Affine) -> tuple[Float64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
        """Return what the image shows at the points, and their weight: none outside its field of view."""
        to_image = self.to_voxels @ pose
        voxels = self.model.points_mm @ to_image[:3, :3].T + to_image[:3, 3]
        weight = np.clip(np.minimum(voxels, self.last - voxels), 0, 1).prod(axis=1)
        values = map_coordinates(self.image, voxels.T, order=1, mode="nearest", output=np.float64)
        return values, weight


def tissue_model(
    tissues: Tissues,
    *,
    sigma_mm: float,
    where: Bool[np.ndarray, "X Y Z"],
    thin: int = 1,
    to_head: Affine | None = None,
) -> TissueModel:
    """Smooth tissues and choose the points that are compared.

    Parameters
    ----------
    tissues : Tissues
    sigma_mm : float
    where : (X, Y, Z) bool
        On their grid: where points may lie.
    thin : int
        Every so many of the points.
    to_head : (4, 4) float64, optional
        Millimetres of the tissues -> of the head that the model is in the space of; the same if not given.
    """
    step_mm = float(tissues.affine[0, 0])
    chosen = np.argwhere(where[::SPACING, ::SPACING, ::SPACING]) * SPACING
    points_mm = chosen @ tissues.affine[:3, :3].T + tissues.affine[:3, 3]
    high = points_mm[:, 2] > LOWEST_MM
    chosen, points_mm = chosen[high][::thin], points_mm[high][::thin]
    smooth = [gaussian_filter(share, sigma_mm / step_mm) for share in tissues.shares]
    at = tuple(chosen.T)
    values = np.stack([share[at] for share in smooth], axis=-1).astype(np.float64)
    slopes = np.empty((len(values), 3, 3))
    for number, share in enumerate(smooth):
        for axis, slope in enumerate(np.gradient(share, step_mm)):
            slopes[:, axis, number] = slope[at]
    centre_mm = CENTRE_MM
    if to_head is not None:
        points_mm = points_mm @ to_head[:3, :3].T + to_head[:3, 3]
        centre_mm = to_head[:3, :3] @ centre_mm + to_head[:3, 3]
        slopes = np.einsum("ba,pbk->pak", np.linalg.inv(to_head[:3, :3]), slopes)
    arms = points_mm - centre_mm
    bias = polynomials(arms)
    return TissueModel(
        points_mm=points_mm,
        arms=arms,
        centre_mm=centre_mm,
        slopes=slopes,
        bias=bias,
        basis=(values[:, :, None] * bias[:, None, :]).reshape(len(values), -1),
    )


def near_brain(tissues: Tissues) -> Bool[np.ndarray, "X Y Z"]:
    """Return the brain and a margin around it, on the tissues' grid."""
    step_mm = float(tissues.affine[0, 0])
    near: Bool[np.ndarray, "X Y Z"] = binary_dilation(
        tissues.shares.sum(axis=0) > 0.5, iterations=round(MARGIN_MM / step_mm)
    )
    return near


def polynomials(arms_mm: Float64[np.ndarray, "P 3"]) -> Float64[np.ndarray, "P 10"]:
    """Return the polynomials of place up to the second degree."""
    x, y, z = (arms_mm / _FAR_MM).T
    return np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=-1)


def least_squares(
    columns: Float64[np.ndarray, "P K"], values: Float64[np.ndarray, " P"], weight: Float64[np.ndarray, " P"]
) -> Float64[np.ndarray, " K"]:
    """Return the weights of some columns that explain some values best."""
    weighted = columns.T * weight
    normal = weighted @ columns
    # A tissue that is nowhere in view has no brightness to be found.
    size = np.diag(normal)
    normal += np.diag(1e-7 * size + 1e-12 * size.max())
    solution: Float64[np.ndarray, " K"] = np.linalg.solve(normal, weighted @ values)
    return solution


def _share(
    residual: Float64[np.ndarray, " P"], values: Float64[np.ndarray, " P"], weight: Float64[np.ndarray, " P"]
) -> float:
    return 1 - _spread(residual, weight) / max(_spread(values, weight), 1e-30)


def _spread(values: Float64[np.ndarray, " P"], weight: Float64[np.ndarray, " P"]) -> float:
    mean = weight @ values / max(weight.sum(), 1e-30)
    return float(weight @ (values - mean) ** 2)


def _as_transform(step: Float64[np.ndarray, " F"], centre_mm: Float64[np.ndarray, " 3"]) -> Affine:
    """Turn three shifts (mm), then a rotation vector or a change of the matrix, into a transform."""
    turn = step[3:]
    matrix = np.eye(4)
    if len(turn) == 3:
        matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    else:
        matrix[:3, :3] += turn.reshape(3, 3)
    matrix[:3, 3] = step[:3] + centre_mm - matrix[:3, :3] @ centre_mm
    return matrix
