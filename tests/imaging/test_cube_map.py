import weakref

import numpy as np

from imaging import brain_cube
from imaging.cube_map import cube_map
from imaging.sampling import sampling_map
from imaging.template import template_brain


def test_the_athena_grid_covers_the_whole_template(grids):
    shape, affine = grids["athena"]
    found = cube_map(shape=shape, affine=affine, grid_size=34)
    assert found.coverage.min() > 0.999
    assert found.weights.shape == (brain_cube(34).mask.sum(), len(found.used))


def test_source_voxels_inside_the_brain_are_known(grids):
    shape, affine = grids["athena"]
    found = cube_map(shape=shape, affine=affine, grid_size=34)
    template = template_brain()
    # Athena's lattice is the template's, with x reversed.
    to_template = np.linalg.inv(template.affine) @ affine
    expected = template.mask[::-1] if to_template[0, 0] < 0 else template.mask
    np.testing.assert_array_equal(found.in_brain.reshape(shape, order="F"), expected)


def test_equal_grids_share_a_map(grids):
    shape, affine = grids["3mm"]
    assert cube_map(shape=shape, affine=affine, grid_size=34) is cube_map(
        shape=shape, affine=affine.copy(), grid_size=34
    )


def test_voxels_left_out_weigh_nothing_and_their_neighbours_make_up_for_them(grids):
    shape, affine = grids["athena"]
    whole = cube_map(shape=shape, affine=affine, grid_size=34)
    rng = np.random.default_rng(0)
    dropped = rng.random(np.prod(shape)) < 0.2
    part = whole.without(dropped)
    ramp = np.where(dropped, np.nan, 7.0).astype(np.float32)
    means = (part.weights @ ramp[part.used]) * part.to_mean
    np.testing.assert_allclose(means, 7, rtol=1e-5)
    assert abs(part.coverage.mean() - 0.8) < 0.01
    nothing = whole.without(np.ones_like(dropped))
    assert not nothing.coverage.any()
    assert not nothing.to_mean.any()


def test_a_map_too_large_to_be_kept_is_let_go():
    affine = np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = [-64, -82, -54]
    again = [weakref.ref(cube_map(shape=(128, 128, 128), affine=affine, grid_size=34)) for _ in range(2)]
    assert [reference() for reference in again] == [None, None]


def test_the_map_is_the_sampling_map_of_the_brain_less_what_it_never_uses(grids):
    shape, affine = grids["3mm"]
    found = cube_map(shape=shape, affine=affine, grid_size=34)
    cube = brain_cube(34)
    whole = sampling_map(
        target_voxels=cube.brain_voxels, target_affine=cube.affine, shape=shape, affine=affine
    ).weights
    np.testing.assert_array_equal(found.used, np.unique(whole.indices))
    assert (found.weights != whole[:, found.used]).nnz == 0
