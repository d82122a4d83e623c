"""Against smoothing written out with scipy's kernel, and trilinear sums by hand."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from imaging import brain_cube
from imaging.derived.tissue_maps import TISSUE_MAPS, standardise_tissue, tissue_maps
from imaging.native.tissues import NAMES, template_tissues

AFFINE = np.array([[-8.0, 0, 0, 84], [0, 8, 0, -120], [0, 0, 8, -76], [0, 0, 0, 1]])
SHAPE = (22, 28, 20)


def interpolated(volume, place):
    """Weigh the eight voxels about a place; outside there is nothing."""
    total, low = 0.0, np.floor(place).astype(int)
    for corner in np.ndindex(2, 2, 2):
        voxel = low + corner
        if ((voxel >= 0) & (voxel < volume.shape)).all():
            total += float(volume[tuple(voxel)] * np.prod(1 - np.abs(place - voxel)))
    return total


def test_a_voxel_holds_what_is_of_a_tissue_thereabouts():
    shares = np.random.default_rng(1).uniform(0, 1, (3, *SHAPE)).astype(np.float32)
    cube = brain_cube(8)
    # Six millimetres at half of the height.
    sigma = 6 / 2.3548200450309493 / 8
    smooth = [gaussian_filter(share.astype(np.float64), sigma, mode="constant") for share in shares]

    found = tissue_maps(shares, affine=AFFINE, grid_size=4)

    assert (found.shape, found.dtype) == ((3, cube.mask.sum()), np.float32)
    for number, voxel in enumerate(np.argwhere(cube.mask)):
        mm = cube.affine @ [*voxel, 1]
        place = (np.linalg.inv(AFFINE) @ mm)[:3]
        expected = [interpolated(share, place) for share in smooth]
        np.testing.assert_allclose(found[:, number], expected, atol=1e-5)


def test_the_templates_own_tissues_are_all_of_its_brain():
    tissues = template_tissues()

    found = tissue_maps(tissues.shares, affine=tissues.affine, grid_size=34)

    assert TISSUE_MAPS == NAMES
    total = found.sum(axis=0)
    assert 0 <= found.min() < found.max() <= 1.0001
    assert np.median(total) > 0.999
    # At the rim a part of what is thereabouts is no brain.
    assert total.min() > 0.2
    places = brain_cube(68).affine[:3, :3] @ np.argwhere(brain_cube(68).mask).T
    places = places + brain_cube(68).affine[:3, 3:]
    centrum_semiovale = np.linalg.norm(places - np.array([[26.0], [-20.0], [34.0]]), axis=0) < 5
    caudate_head = np.linalg.norm(places - np.array([[12.0], [14.0], [8.0]]), axis=0) < 4
    assert found[:, centrum_semiovale].mean(axis=1).argmax() == TISSUE_MAPS.index("white_matter")
    assert found[:, caudate_head].mean(axis=1).argmax() == TISSUE_MAPS.index("grey_matter")


def test_nothing_of_a_tissue_is_less_than_its_mean():
    values = np.array([0.0, 0.0, 0.5, 1.0], dtype=np.float32)

    found = standardise_tissue(values)

    np.testing.assert_allclose(found, (values - 0.375) / np.sqrt(0.171875), rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("level", [0.0, 0.4])
def test_a_tissue_that_is_the_same_everywhere_says_nothing(level):
    assert not standardise_tissue(np.full(5, level, dtype=np.float32)).any()
