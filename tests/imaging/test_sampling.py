"""The sparse map does what interpolation does, for any grid and orientation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from imaging.sampling import sampling_map

TARGET = np.array([[5.3, 0, 0, -20], [0, 5.3, 0, -30], [0, 0, 5.3, -10], [0, 0, 0, 1.0]])
VOXELS = np.indices((6, 7, 5), dtype=np.float64).reshape(3, -1).T


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        i, j = [a for a in range(3) if a != axis]
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def source_grid(zooms: tuple[float, float, float], angles: tuple[float, float, float]) -> np.ndarray:
    """A 24-voxel cube around the target's centre."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) * zooms
    affine[:3, 3] = [-5, -14, 1] - affine[:3, :3] @ [12, 12, 12]
    return affine


@settings(max_examples=30, deadline=None)
@given(
    zooms=st.tuples(*[st.floats(1.5, 6)] * 3),
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    seed=st.integers(0, 1000),
)
def test_it_averages_trilinear_samples(zooms, angles, seed):
    affine = source_grid(zooms, angles)
    volume = np.random.default_rng(seed).normal(size=(24, 24, 24)).astype(np.float32)
    found = sampling_map(target_voxels=VOXELS, target_affine=TARGET, shape=volume.shape, affine=affine)

    step = np.linalg.inv(affine) @ TARGET
    parts = [int(np.clip(np.ceil(np.abs(step[:3, a]).max() - 1e-6), 2, 6)) for a in range(3)]
    grids = np.meshgrid(*[(np.arange(k) + 0.5) / k - 0.5 for k in parts], indexing="ij")
    offsets = np.stack(grids, axis=-1).reshape(-1, 3)
    points = (VOXELS[:, None] + offsets) @ step[:3, :3].T + step[:3, 3]
    at = points.reshape(-1, 3).T
    shape = (len(VOXELS), len(offsets))
    # Padding by zeros, interpolation by scipy: an independent implementation.
    expected = (
        map_coordinates(np.pad(volume, 1).astype(np.float64), at + 1, order=1).reshape(shape).mean(axis=1)
    )
    share = map_coordinates(np.pad(np.ones(volume.shape), 1), at + 1, order=1).reshape(shape).mean(axis=1)

    np.testing.assert_allclose(found.weights @ volume.ravel(order="F"), expected, atol=2e-5)
    np.testing.assert_allclose(found.coverage, share, atol=1e-5)


def test_a_linear_ramp_is_kept_exactly():
    """Averaging over a voxel that lies inside the grid gives a ramp's value at its centre."""
    affine = source_grid((2.0, 3.0, 4.0), (0.4, -0.2, 0.9))
    mm = affine[:3, :3] @ np.indices((24, 24, 24), dtype=np.float64).reshape(3, -1) + affine[:3, 3:]
    ramp = (mm.T @ [1.0, -2.0, 0.5]).reshape(24, 24, 24)
    found = sampling_map(target_voxels=VOXELS, target_affine=TARGET, shape=(24, 24, 24), affine=affine)
    inside = found.coverage > 0.9999
    assert inside.sum() > 100
    centres = VOXELS @ TARGET[:3, :3].T + TARGET[:3, 3]
    expected = centres @ [1.0, -2.0, 0.5]
    np.testing.assert_allclose((found.weights @ ramp.ravel(order="F"))[inside], expected[inside], atol=1e-3)


def test_a_grid_elsewhere_covers_nothing():
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = 500
    found = sampling_map(target_voxels=VOXELS, target_affine=TARGET, shape=(8, 8, 8), affine=affine)
    assert found.weights.nnz == 0
    assert not found.coverage.any()


@pytest.mark.parametrize("zoom", [1.0, 0.5])
def test_a_fine_grid_does_not_alias(zoom):
    """A checkerboard of single voxels averages out; sampling it at points would not."""
    size = int(60 / zoom)
    affine = np.diag([zoom, zoom, zoom, 1.0])
    affine[:3, 3] = [-25, -35, -15]
    board = (np.indices((size, size, size)).sum(axis=0) % 2).astype(np.float32) * 2 - 1
    found = sampling_map(target_voxels=VOXELS, target_affine=TARGET, shape=board.shape, affine=affine)
    inside = found.coverage > 0.9999
    assert inside.sum() > 100
    assert np.abs((found.weights @ board.ravel(order="F"))[inside]).max() < 0.05
