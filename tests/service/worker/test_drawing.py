"""Mosaics of a scan: every place is drawn where it is, however the scan's grid lies in the world."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from service.worker.drawing import COLUMNS, LEVELS_MM, MOST_PIXELS, ROWS, Drawn, draw_mosaic

ZOOM_MM = 3.0
SHAPE = (64, 76, 60)
LEVEL_MM = 24.0
# Marks of one axial plane, one 72 mm before and one 60 mm left of the first, and one above it; in mm.
BEHIND, BEFORE, BESIDE = (30.0, -42.0, LEVEL_MM), (30.0, 30.0, LEVEL_MM), (-30.0, -42.0, LEVEL_MM)
ABOVE = (30.0, -42.0, 60.0)


def grid(*, tilts_deg: tuple[float, float, float]) -> np.ndarray:
    """An affine around the world's middle, turned about x, y and z."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", tilts_deg, degrees=True).as_matrix() * ZOOM_MM
    affine[:3, 3] = (0, -15, 12) - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return affine


def marked(affine: np.ndarray, *marks: tuple[float, float, float]) -> np.ndarray:
    """A volume that is dark but for a small bright ball about each mark."""
    voxels = np.indices(SHAPE).reshape(3, -1)
    places = affine[:3, :3] @ voxels + affine[:3, 3:]
    balls = [np.exp(-((places - np.array(mark)[:, None]) ** 2).sum(axis=0) / (2 * 4.0**2)) for mark in marks]
    return np.sum(balls, axis=0).reshape(SHAPE).astype(np.float32)


def tiles(drawn: Drawn) -> np.ndarray:
    """The slices of a mosaic from below to above, rows from the front to the back."""
    picture = np.asarray(Image.open(BytesIO(drawn.png))).astype(float)
    high, wide = picture.shape[0] // ROWS, picture.shape[1] // COLUMNS
    return picture.reshape(ROWS, high, COLUMNS, wide).swapaxes(1, 2).reshape(ROWS * COLUMNS, high, wide)


def middle(slice_: np.ndarray) -> np.ndarray:
    """Where a slice's brightness is centred, in pixels: to the right, and down."""
    down, right = np.indices(slice_.shape)
    return np.array([(right * slice_).sum(), (down * slice_).sum()]) / slice_.sum()


TILTS = pytest.mark.parametrize(
    "tilts_deg", [(0, 0, 0), (0, 0, 20), (25, 0, 0), (0, -15, 0), (20, -10, 25)], ids=str
)


@TILTS
def test_a_place_is_drawn_on_its_level(tilts_deg: tuple[float, float, float]) -> None:
    affine = grid(tilts_deg=tilts_deg)
    for mark in (BEHIND, ABOVE):
        brightness = tiles(draw_mosaic(marked(affine, mark), affine, low=0, high=1)).sum(axis=(1, 2))
        assert LEVELS_MM[brightness.argmax()] == pytest.approx(mark[2], abs=3)
        assert (brightness * LEVELS_MM).sum() / brightness.sum() == pytest.approx(mark[2], abs=1.5)


@TILTS
def test_a_level_is_drawn_upright_and_true_to_scale(tilts_deg: tuple[float, float, float]) -> None:
    affine = grid(tilts_deg=tilts_deg)
    at = int(np.abs(LEVELS_MM - LEVEL_MM).argmin())
    behind, before, beside = (
        middle(tiles(draw_mosaic(marked(affine, mark), affine, low=0, high=1))[at])
        for mark in (BEHIND, BEFORE, BESIDE)
    )
    # Pixels go down, the world to the front. A tilted grid must not lean what it shows.
    forward, leftward = behind - before, behind - beside
    assert forward[1] > 20
    assert abs(forward[0]) < 0.03 * forward[1]
    assert abs(leftward[1]) < 0.03 * leftward[0]
    assert forward[1] / leftward[0] == pytest.approx(72 / 60, rel=0.03)


def test_a_scan_that_lies_straight_shows_its_own_voxels() -> None:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = (-96, -132, -70)
    volume = np.random.default_rng(5).uniform(size=(49, 58, 47)).astype(np.float32)
    drawn = tiles(draw_mosaic(volume, affine, low=0, high=1))
    times = drawn.shape[2] // 49
    for at in (0, 7, 20):
        own = volume[:, :, round((LEVELS_MM[at] + 70) / 4)]
        np.testing.assert_array_equal(drawn[at][::times, ::times], np.rint(own.T[::-1] * 255))


def test_an_affine_that_no_scanner_gives_asks_for_no_more_than_a_large_picture() -> None:
    affine = np.array(
        [[1e-3, 1e6, 0.0, 0.0], [0.0, 1e6, 1e6, 0.0], [0.0, 1.0, 1e-3, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    drawn = draw_mosaic(np.ones((5, 6, 7), np.float32), affine, low=0, high=1)
    assert drawn.width <= (MOST_PIXELS + 2) * COLUMNS
    assert drawn.height <= (MOST_PIXELS + 2) * ROWS
