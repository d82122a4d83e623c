"""People who are no templates: the template's head bent at random, T1-weighted and as a run's mean."""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import (
    binary_closing,
    binary_dilation,
    binary_fill_holes,
    gaussian_filter,
    map_coordinates,
)

from imaging.native.structural import Structural
from imaging.native.through_t1w import brain_at
from imaging.native.tissues import template_tissues
from tests.imaging.native.heads import BRIGHTNESS, GRID, GRID_SHAPE, OBLIQUE, RUN_FRAMES, write_run

# Grey matter, white matter, fluid, in a T1-weighted image.
T1_BRIGHTNESS = (0.62, 1.0, 0.25)
# Signal is lost above the nose and the ears: where (template mm), and over which distance.
LOST = (((0.0, 44.0, -16.0), 14.0), ((46.0, -22.0, -26.0), 12.0), ((-46.0, -22.0, -26.0), 12.0))
BENT_MM, BENDS_MM = 3.0, 18.0


@dataclass(frozen=True, eq=False)
class Person:
    """A head of one's own.

    Attributes
    ----------
    shares : (3, X, Y, Z) float32
        Tissues on the grid of the template's, bent.
    bend_mm : (3, X, Y, Z) float32
        What each of its places is of the template, less that place.
    to_image : (4, 4) float64
        That space -> mm of the T1-weighted image: size and pose of the head.
    """

    shares: np.ndarray
    bend_mm: np.ndarray
    to_image: np.ndarray

    def structural(self, *, step_mm: float = 1.5, seed: int = 1) -> Structural:
        """Draw the whole head, skull and scalp about the brain, as a T1-weighted image."""
        tissues = template_tissues()
        image = np.tensordot(T1_BRIGHTNESS, self.shares, axes=1)
        brain = self.shares.sum(axis=0) > 0.5
        skull, scalp = (binary_dilation(brain, iterations=n) for n in (3, 6))
        image = np.where(scalp & ~skull, 0.8, image)
        shape = (130, 150, 130)
        affine = np.diag([step_mm, step_mm, step_mm, 1.0])
        affine[:3, 3] = [-98.0, -130.0, -95.0]
        to_grid = np.linalg.inv(tissues.affine) @ np.linalg.inv(self.to_image) @ affine
        values = _sampled(gaussian_filter(image, 0.5), to_grid, shape)
        noise = np.random.default_rng(seed).normal(0, 0.02, shape)
        return Structural(values=(900 * np.abs(values + noise)).astype(np.float32), affine=affine)

    def run_mean(
        self,
        *,
        beside: np.ndarray,
        seed: int,
        brightness: tuple[float, float, float] = BRIGHTNESS,
        lost: float = 0.9,
    ) -> np.ndarray:
        """Draw the mean frame of a run; ``beside`` takes the image's mm to the scanner's."""
        tissues = template_tissues()
        image = gaussian_filter(np.tensordot(brightness, self.shares, axes=1), 0.8)
        places = _places_mm()
        for middle, width in LOST:
            away = ((places - np.array(middle)[:, None, None, None]) ** 2).sum(axis=0)
            image = image * (1 - lost * np.exp(-away / width**2))
        to_grid = np.linalg.inv(tissues.affine) @ np.linalg.inv(beside @ self.to_image) @ GRID
        values = _sampled(image, to_grid, GRID_SHAPE)
        return _measured(values, seed=seed)

    def distance_mm(self, pose: np.ndarray, *, beside: np.ndarray) -> float:
        """Return how far a pose puts the places of the brain from where they are, root mean square."""
        inside = self.shares.sum(axis=0) > 0.5
        places = _places_mm()[:, inside]
        of_template = places + self.bend_mm[:, inside]
        true = beside @ self.to_image
        off = (pose[:3, :3] @ of_template + pose[:3, 3:]) - (true[:3, :3] @ places + true[:3, 3:])
        return float(np.sqrt((off**2).sum(axis=0).mean()))


def draw_person(*, seed: int) -> Person:
    """Bend the template's head smoothly by some millimetres, and give it another size."""
    generator = np.random.default_rng(seed)
    tissues = template_tissues()
    step_mm = float(tissues.affine[0, 0])
    shape = tissues.shares.shape[1:]
    bend = np.stack([gaussian_filter(generator.normal(size=shape), BENDS_MM / 2 / step_mm) for _ in range(3)])
    bend *= BENT_MM / np.sqrt((bend**2).sum(axis=0).mean())
    grid = np.indices(shape) + bend / step_mm
    shares = np.stack([map_coordinates(share, grid, order=1) for share in tissues.shares])
    size = np.eye(4)
    size[:3, :3] = np.diag(generator.uniform(0.93, 1.08, 3))
    return Person(shares=shares, bend_mm=bend, to_image=OBLIQUE @ size)


def _places_mm() -> np.ndarray:
    tissues = template_tissues()
    grid = np.indices(tissues.shares.shape[1:])
    return np.tensordot(tissues.affine[:3, :3], grid, axes=1) + tissues.affine[:3, 3, None, None, None]


def _measured(values: np.ndarray, *, seed: int) -> np.ndarray:
    """Add a coil that is nearer to the back of the head, and noise."""
    scanner = np.tensordot(GRID[:3, :3], np.indices(GRID_SHAPE), axes=1) + GRID[:3, 3, None, None, None]
    coil = 1 - 0.003 * scanner[1] + 0.001 * scanner[0]
    noise = np.random.default_rng(seed).normal(0, 0.003, GRID_SHAPE)
    return (800 * np.abs(values * coil + noise)).astype(np.float32)


def _sampled(image: np.ndarray, to_grid: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    grid = np.indices(shape, dtype=np.float64).reshape(3, -1)
    return map_coordinates(image, to_grid[:3, :3] @ grid + to_grid[:3, 3:], order=1).reshape(shape)


def write_subject(folder: Path, *, mark: bytes = b"") -> tuple[Path, Path]:
    """Write a short run of a person and the T1-weighted image that shows it the way, as BIDS has them.

    Parameters
    ----------
    folder : Path
        ``sub-<label>``.
    mark : bytes
        A text in the header of the image.

    Returns
    -------
    Path, Path
        The run, and the image.
    """
    person = draw_person(seed=3)
    structural, mean = person.structural(), person.run_mean(beside=np.eye(4), seed=5)
    t1w = folder / "anat" / f"{folder.name}_T1w.nii.gz"
    t1w.parent.mkdir(parents=True)
    image = nib.Nifti1Image(structural.values.astype(np.int16), structural.affine)
    image.header["descrip"] = mark
    image.to_filename(t1w)
    generator = np.random.default_rng(4)
    frames = [mean + generator.normal(0, 8, mean.shape) for _ in range(RUN_FRAMES)]
    run = folder / "func" / f"{folder.name}_task-rest_bold.nii.gz"
    return write_run(run, np.stack(frames, axis=-1)), t1w


def run_mean_of_head(
    structural: Structural, *, pose: np.ndarray, beside: np.ndarray, seed: int, lost: float = 0.9
) -> np.ndarray:
    """Draw the mean frame of a run of a measured head, on ``GRID``.

    What is dark in the image is bright in the run, as fluid is beside grey and white matter; skull and scalp
    are faint, signal is lost above the nose and the ears.

    Parameters
    ----------
    structural : Structural
    pose : (4, 4) float64
        Template mm -> mm of the image: where its brain is cut out, and where signal is lost.
    beside : (4, 4) float64
        Millimetres of the image -> of the scanner.
    lost : float
        Share of the signal that is lost where most is.
    """
    brain = binary_closing(brain_at(structural, pose) > 0, iterations=4)
    brain = binary_fill_holes(binary_dilation(brain)).astype(np.float32)
    tissues = template_tissues()
    values = structural.values
    grid = np.indices(values.shape, dtype=np.float64).reshape(3, -1)
    of_template = np.linalg.inv(pose) @ structural.affine
    places = of_template[:3, :3] @ grid + of_template[:3, 3:]
    to_grid = np.linalg.inv(tissues.affine)
    inside = map_coordinates(brain, to_grid[:3, :3] @ places + to_grid[:3, 3:], order=1) > 0.5
    inside = inside.reshape(values.shape)
    shown = values / np.percentile(values[inside], 90)
    image = np.where(inside, 1.25 - 0.6 * np.clip(shown, 0, 1.2), 0.12 * np.clip(shown, 0, 1.5))
    for middle, width in LOST:
        away = ((places - np.array(middle)[:, None]) ** 2).sum(axis=0).reshape(values.shape)
        image = image * (1 - lost * np.exp(-away / width**2))
    zooms = [np.linalg.norm(one[:3, :3], axis=0) for one in (GRID, structural.affine)]
    image = gaussian_filter(image, 0.45 * zooms[0] / zooms[1])
    frame = _sampled(image, np.linalg.inv(structural.affine) @ np.linalg.inv(beside) @ GRID, GRID_SHAPE)
    return _measured(frame, seed=seed)
