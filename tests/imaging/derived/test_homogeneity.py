"""Against scipy's Friedman test, whose statistic is Kendall's W times raters times degrees of freedom."""

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from imaging import brain_cube
from imaging.derived.homogeneity import regional_homogeneity


def concordance(rows):
    """Kendall's W with its correction for ties; each row of (m, T) is a rater of T frames."""
    statistic = friedmanchisquare(*rows.astype(np.float64).T).statistic
    return statistic / (len(rows) * (rows.shape[1] - 1))


def by_voxel(series, mask):
    """Look up each voxel's neighbours one by one."""
    row_of = {tuple(place): row for row, place in enumerate(np.argwhere(mask))}
    found = []
    for x, y, z in row_of:
        around = [(x + i, y + j, z + k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
        rows = [series[row_of[place]] for place in around if place in row_of]
        varying = np.array([row for row in rows if len(set(row)) > 1])
        silent = len(set(series[row_of[x, y, z]])) == 1
        found.append(0 if silent or len(varying) < 2 else concordance(varying))
    return np.array(found)


def smooth_noise(mask, n_frames, *, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((int(mask.sum()), n_frames)) + rng.standard_normal(n_frames)).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def blob():
    mask = np.random.default_rng(5).random((6, 6, 6)) < 0.7
    mask[0] = False
    mask[0, 0, 0] = mask[5, 5, 5] = True
    mask[:2, :2, :2] = [[[True, False], [False, False]], [[False, False], [False, False]]]
    return mask


def test_w_is_that_of_scipy_voxel_by_voxel(blob):
    series = smooth_noise(blob, 40)
    np.testing.assert_allclose(regional_homogeneity(series, mask=blob), by_voxel(series, blob), rtol=1e-6)


def test_ties_are_corrected_for(blob):
    series = np.rint(smooth_noise(blob, 40, seed=1)).astype(np.float32)
    assert all(len(set(row)) < 12 for row in series), "every series has ties"
    np.testing.assert_allclose(regional_homogeneity(series, mask=blob), by_voxel(series, blob), rtol=1e-6)


def test_voxels_without_signal_take_no_part(blob):
    series = smooth_noise(blob, 30, seed=2)
    series[::3] = 0
    series[1] = 5
    found = regional_homogeneity(series, mask=blob)
    np.testing.assert_allclose(found, by_voxel(series, blob), rtol=1e-6)
    assert (found[::3] == 0).all()
    assert found[1] == 0
    assert not regional_homogeneity(np.zeros_like(series), mask=blob).any()


def test_a_voxel_alone_has_nobody_to_agree_with(blob):
    assert regional_homogeneity(smooth_noise(blob, 30), mask=blob)[0] == 0


def test_agreement_is_one_and_opposites_are_nothing():
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[1:3, 1, 1] = mask[1:3, 3, 3] = True
    course = np.random.default_rng(3).standard_normal(50).astype(np.float32)
    series = np.stack([course, course, 3 * course, -course])  # in C order: (1,1,1) (1,3,3) (2,1,1) (2,3,3)
    assert regional_homogeneity(series, mask=mask) == pytest.approx([1, 0, 1, 0], abs=1e-7)


def test_the_rim_of_the_cube_has_the_neighbours_that_are_told_of():
    """Each voxel's neighbours counted by a convolution: two thirds have all 27, none fewer than 10."""
    from scipy.ndimage import convolve

    mask = brain_cube(34).mask
    counts = convolve(mask.astype(int), np.ones((3, 3, 3), dtype=int), mode="constant")[mask]
    assert counts.min() == 10
    assert (counts == 27).mean() == pytest.approx(2 / 3, abs=0.02)
    # Series of chance alone: 1 / m.
    noise = np.random.default_rng(4).standard_normal((len(counts), 60)).astype(np.float32)
    found = regional_homogeneity(noise, mask=mask)
    for m in (14, 20, 27):
        assert found[counts == m].mean() == pytest.approx(1 / m, rel=0.05)
