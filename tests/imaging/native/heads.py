"""Echo-planar images of the template's own brain, lying in a scanner at will."""

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from imaging.native.tissues import template_tissues

# Grey matter, white matter and fluid, as bright as beside each other in an echo-planar image.
BRIGHTNESS = (0.85, 0.7, 1.1)

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [12, -4, 3], degrees=True).as_matrix()
OBLIQUE[:3, 3] = [3.0, 25.0, -14.0]

GRID_SHAPE = (64, 64, 36)
GRID = np.array([[-3.4, 0, 0, 108.0], [0, 3.4, 0, -102.0], [0, 0, 3.8, -72.0], [0, 0, 0, 1.0]])

RUN_FRAMES, RUN_TR_S = 26, 2.5


def head(
    *,
    to_scan: np.ndarray = OBLIQUE,
    shape: tuple[int, int, int] = GRID_SHAPE,
    affine: np.ndarray = GRID,
    marked: bool = False,
) -> np.ndarray:
    """Draw a head.

    Parameters
    ----------
    to_scan : (4, 4) float64
        Template mm -> scanner mm.
    marked : bool
        Whether the right hemisphere bears a bright ball.

    Returns
    -------
    (X, Y, Z) float32
    """
    tissues = template_tissues()
    image = np.tensordot(BRIGHTNESS, tissues.shares, axes=1)
    if marked:
        places = np.indices(image.shape).reshape(3, -1).T @ tissues.affine[:3, :3].T + tissues.affine[:3, 3]
        near = np.linalg.norm(places - [35, -20, 30], axis=1) < 10
        image += 1.5 * near.reshape(image.shape)
    image = gaussian_filter(image, 0.8)
    grid = np.indices(shape, dtype=np.float64).reshape(3, -1)
    to_tissues = np.linalg.inv(tissues.affine) @ np.linalg.inv(to_scan) @ affine
    values = map_coordinates(image, to_tissues[:3, :3] @ grid + to_tissues[:3, 3:], order=1)
    scanner_mm = affine[:3, :3] @ grid + affine[:3, 3:]
    # A coil that is nearer to the back of the head.
    coil = 1 - 0.003 * scanner_mm[1] + 0.001 * scanner_mm[0]
    return (800 * values * coil).astype(np.float32).reshape(shape)


def still_run(*, seed: int) -> np.ndarray:
    """Draw a short run of a still head, (X, Y, Z, RUN_FRAMES)."""
    generator = np.random.default_rng(seed)
    still = head()
    return np.stack([still + generator.normal(0, 8, still.shape) for _ in range(RUN_FRAMES)], axis=-1)


def moved(rotation_deg: tuple[float, float, float], translation_mm: tuple[float, float, float]) -> np.ndarray:
    """Return a movement of a head in the scanner, about the scanner's middle."""
    movement = np.eye(4)
    movement[:3, :3] = Rotation.from_rotvec(np.deg2rad(rotation_deg)).as_matrix()
    movement[:3, 3] = translation_mm
    return movement


def distance_mm(one: np.ndarray, other: np.ndarray) -> float:
    """Return how far apart two transforms put the template's brain, root mean square."""
    tissues = template_tissues()
    brain = np.argwhere(tissues.shares[:, ::4, ::4, ::4].sum(axis=0) > 0.5) * 4
    points = brain @ tissues.affine[:3, :3].T + tissues.affine[:3, 3]
    change = one - other
    return float(np.sqrt(((points @ change[:3, :3].T + change[:3, 3]) ** 2).sum(axis=1).mean()))


def short_run(*, n_frames: int = 30, tr_s: float = 2.5, to_scan: np.ndarray = OBLIQUE) -> np.ndarray:
    """Draw a run of a head that nods a little and whose brain fluctuates slowly.

    Returns
    -------
    (X, Y, Z, n_frames) float32
    """
    generator = np.random.default_rng(5)
    bold = np.empty((*GRID_SHAPE, n_frames), dtype=np.float32)
    for number in range(n_frames):
        nod = moved((0.4 * np.sin(number / 5), 0, 0), (0, 0, 0.2 * np.sin(number / 7)))
        slow = 1 + 0.01 * np.sin(2 * np.pi * 0.03 * number * tr_s)
        bold[..., number] = slow * head(to_scan=nod @ to_scan) + generator.normal(0, 4, GRID_SHAPE)
    return bold


def write_run(path: Path, bold: np.ndarray, *, tr_s: float = RUN_TR_S, mark: bytes = b"") -> Path:
    """Write a run as a scanner's converter does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.rint(bold).astype(np.int16), GRID)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = tr_s
    image.header["descrip"] = mark
    image.to_filename(path)
    return path
