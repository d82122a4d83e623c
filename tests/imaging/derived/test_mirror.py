"""On toy brains whose halves are made to be alike, and against numpy's correlation."""

import numpy as np
import pytest

from imaging import brain_cube
from imaging.derived.mirror import mirrored_connectivity


def noise(n_voxels, n_frames=60, *, seed=0):
    return np.random.default_rng(seed).standard_normal((n_voxels, n_frames)).astype(np.float32)


def correlations(volume, mask):
    """Fisher's z of each voxel and its image, one by one; both in view and different voxels."""
    size = len(mask)
    found = []
    for x, y, z in np.argwhere(mask):
        image = (size - 1 - x, y, z)
        if not mask[image] or image == (x, y, z):
            found.append(0.0)
        else:
            found.append(np.arctanh(np.corrcoef(volume[x, y, z], volume[image])[0, 1]))
    return np.array(found)


@pytest.mark.parametrize("size", [6, 7])
def test_z_is_that_of_numpys_correlation_and_the_same_on_both_sides(size):
    mask = np.random.default_rng(1).random((size, size, size)) < 0.7
    volume = noise(size**3, seed=2).reshape(size, size, size, 60)
    volume += 0.7 * volume[::-1].copy()
    found = mirrored_connectivity(volume[mask], mask=mask)
    np.testing.assert_allclose(found, correlations(volume, mask), atol=2e-6)
    inside = np.zeros(mask.shape, dtype=np.float32)
    inside[mask] = found
    np.testing.assert_array_equal(inside, inside[::-1])
    assert (np.abs(found) > 0.1).mean() > 0.3


def test_a_mirrored_brain_has_the_largest_z_and_an_opposite_one_the_smallest():
    mask = np.ones((4, 4, 4), dtype=bool)
    half = noise(32).reshape(2, 4, 4, 60)
    for sign in (1, -1):
        series = np.concatenate([half, sign * half[::-1]]).reshape(64, 60)
        found = mirrored_connectivity(series, mask=mask)
        assert found == pytest.approx(np.full(64, sign * np.arctanh(0.999999)), abs=1e-4)


def test_the_middle_of_an_odd_cube_and_what_has_no_image_are_zero():
    mask = np.ones((5, 5, 5), dtype=bool)
    mask[4, 0, 0] = False
    found = np.zeros(mask.shape)
    found[mask] = mirrored_connectivity(noise(124), mask=mask)
    assert (found[2] == 0).all()
    assert found[0, 0, 0] == 0
    assert (found[0].ravel()[1:] != 0).all()


def test_a_silent_voxel_and_its_image_are_zero():
    mask = np.ones((4, 1, 1), dtype=bool)
    mask = np.pad(mask, ((0, 0), (0, 3), (0, 3)))
    series = noise(4)
    series[0] = 3
    found = mirrored_connectivity(series, mask=mask)
    assert found[[0, 3]].tolist() == [0, 0]
    assert (found[1:3] != 0).all()


@pytest.mark.parametrize("size", [8, 33, 34])
def test_the_cube_is_symmetric_about_the_templates_own_plane(size):
    """What the images stand on: no brain voxel lacks one, and x and -x are images of each other."""
    cube = brain_cube(size)
    np.testing.assert_array_equal(cube.mask, cube.mask[::-1])
    x = cube.affine[0, 0] * np.arange(size) + cube.affine[0, 3]
    np.testing.assert_allclose(x, -x[::-1], atol=1e-9)
