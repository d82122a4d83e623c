"""Left stays left: a mark in one hemisphere comes out in that hemisphere, however the scan is stored."""

import numpy as np
import pytest

from imaging.native.motion import Motion
from imaging.native.registration import register
from imaging.native.resampling import resample
from imaging.template import template_brain
from tests.imaging.native.heads import GRID, head
from tests.imaging.native.storage import every_storage
from tests.thorough import first

# As `head` draws it, and its mirror image.
MARK_MM = np.array([35.0, -20.0, 30.0])
STORAGES = every_storage(head(marked=True), GRID)
# Half of them: neighbours in this list differ in one direction.
SOME = [name for number, name in enumerate(STORAGES) if number.bit_count() % 2 == 0]


def brightness(volume: np.ndarray, affine: np.ndarray, place_mm: np.ndarray) -> float:
    """Bring two frames into template space as a run is, and look near a place there."""
    template = template_brain()
    points_mm = np.argwhere(template.mask) @ template.affine[:3, :3].T + template.affine[:3, 3]
    series, _ = resample(
        np.stack([volume, volume], axis=3),
        affine=affine,
        motion=Motion(rotations=np.zeros((2, 3)), translations_mm=np.zeros((2, 3)), centre_mm=np.zeros(3)),
        to_scan=register(volume, affine).affine,
        points_mm=points_mm,
        progress=lambda _: None,
    )
    near = np.linalg.norm(points_mm - place_mm, axis=1) < 7
    return float(np.median(series[near]))


@pytest.mark.parametrize("name", first(6, SOME))
def test_a_mark_on_the_right_comes_out_on_the_right(name):
    volume, affine = STORAGES[name]

    right, left = (brightness(volume, affine, MARK_MM * [side, 1, 1]) for side in (1, -1))

    assert right > 1.7 * left


def test_a_head_whose_header_lies_about_its_sides_comes_out_mirrored():
    volume = np.ascontiguousarray(head(marked=True)[::-1])

    right, left = (brightness(volume, GRID, MARK_MM * [side, 1, 1]) for side in (1, -1))

    assert left > 1.7 * right
