import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from imaging import brain_cube
from imaging.template import template_brain


def test_the_cube_bounds_the_brain_and_keeps_its_proportions():
    cube, template = brain_cube(34), template_brain()
    mm = np.argwhere(template.mask) @ template.affine[:3, :3].T + template.affine[:3, 3]
    low, high = mm.min(axis=0) - 2, mm.max(axis=0) + 2
    assert cube.voxel_mm == pytest.approx((high - low).max() / 34)
    np.testing.assert_allclose(np.diag(cube.affine), [cube.voxel_mm] * 3 + [1])
    corners = cube.affine[:3, 3] - cube.voxel_mm / 2, cube.affine[:3, 3] + cube.voxel_mm * 33.5
    assert (corners[0] <= low + 1e-9).all()
    assert (corners[1] >= high - 1e-9).all()
    np.testing.assert_allclose(sum(corners) / 2, (low + high) / 2, atol=1e-9)


def test_the_mask_is_the_templates():
    cube, template = brain_cube(34), template_brain()
    volume_ml = cube.mask.sum() * cube.voxel_mm**3 / 1000
    assert volume_ml == pytest.approx(template.mask.sum() * 64 / 1000, rel=0.02)
    centres = cube.brain_voxels @ cube.affine[:3, :3].T + cube.affine[:3, 3]
    at = (centres - template.affine[:3, 3]) / np.diag(template.affine)[:3]
    assert map_coordinates(template.mask.astype(float), at.T, order=1).min() > 0.2


def test_it_is_shared_and_cannot_be_changed():
    cube = brain_cube(34)
    assert brain_cube(34) is cube
    with pytest.raises(ValueError, match="read-only"):
        cube.mask[0, 0, 0] = True
