import numpy as np
import pytest
from scipy.stats import zscore

from imaging import BoldScan, PreprocessingSpec, brain_cube, open_scan, prepare_scan, preprocess
from imaging.derived.amplitude import slow_signal
from imaging.derived.homogeneity import regional_homogeneity
from imaging.derived.maps import DERIVED_MAPS, derive_maps, standardise_map
from imaging.derived.mirror import mirrored_connectivity

MASK = brain_cube(8).mask
N_VOXELS = int(MASK.sum())


def noise(n_frames=80, *, seed=0):
    return np.random.default_rng(seed).standard_normal((N_VOXELS, n_frames)).astype(np.float32)


def test_each_map_stands_in_its_row():
    maps = dict(zip(DERIVED_MAPS, derive_maps(noise(), tr_s=2.0, mask=MASK), strict=True))
    slow = slow_signal(noise(), tr_s=2.0)
    np.testing.assert_array_equal(maps["alff"], slow.alff)
    np.testing.assert_array_equal(maps["falff"], slow.falff)
    np.testing.assert_array_equal(maps["falff_sd"], slow.falff_sd)
    np.testing.assert_array_equal(maps["reho"], regional_homogeneity(slow.band_passed, mask=MASK))
    np.testing.assert_array_equal(maps["vmhc"], mirrored_connectivity(slow.band_passed, mask=MASK))
    assert DERIVED_MAPS == ("alff", "falff", "falff_sd", "reho", "vmhc"), "stored maps know no names"


def test_maps_are_finite_whatever_is_empty():
    series = noise()
    series[:50] = 0
    series[50:60] = np.linspace(0, 9, 80)
    for part in (series, np.zeros_like(series), series * np.float32(1e12), series * np.float32(1e-9)):
        maps = derive_maps(part, tr_s=2.0, mask=MASK)
        assert maps.shape == (5, N_VOXELS)
        assert maps.dtype == np.float32
        assert np.isfinite(maps).all()
        assert not maps[:, :60].any()


def test_a_standardised_map_leaves_out_what_was_not_measured():
    values = np.random.default_rng(1).gamma(2, size=500).astype(np.float32)
    values[::7] = 0
    found = standardise_map(values)
    assert (found[::7] == 0).all()
    np.testing.assert_allclose(found[values != 0], zscore(values[values != 0].astype(float)), atol=1e-5)
    assert not standardise_map(np.zeros(9, dtype=np.float32)).any()
    assert not standardise_map(np.full(9, 3, dtype=np.float32)).any()


SPEC = PreprocessingSpec(grid_size=12, window_frames=10)


@pytest.fixture(scope="module")
def unfiltered(athena_bold):
    """The band-limited scan under as much again of white noise, every 2.5 s."""
    white = np.random.default_rng(2).standard_normal(athena_bold.shape, dtype=np.float32)
    return athena_bold + white * (athena_bold.std(axis=3, keepdims=True) > 0)


def test_preprocessing_gives_maps_of_the_signal_before_it_was_filtered(grids, unfiltered):
    scan = BoldScan.from_array(unfiltered, affine=grids["athena"][1], tr_s=2.5)
    seen = []
    found = preprocess(scan, SPEC, maps=True, look=seen.append)
    expected = derive_maps(seen[0].series, tr_s=2.5, mask=brain_cube(12).mask)
    np.testing.assert_array_equal(found.maps, expected)
    without = preprocess(scan, SPEC)
    assert without.maps is None
    np.testing.assert_array_equal(found.series, without.series)
    falff = found.maps[DERIVED_MAPS.index("falff")]
    assert 0.2 < np.median(falff) < 0.9, "much of it lies beside the band"


def test_maps_do_not_depend_on_what_the_network_reads(grids, unfiltered):
    scan = BoldScan.from_array(unfiltered, affine=grids["athena"][1], tr_s=2.5)
    other = PreprocessingSpec(grid_size=12, window_frames=10, band_hz=None, tr_s=None)
    np.testing.assert_array_equal(
        preprocess(scan, SPEC, maps=True).maps, preprocess(scan, other, maps=True).maps
    )


def test_a_file_is_prepared_with_maps_where_they_are_asked_for(simulated_scan):
    found = prepare_scan(simulated_scan, SPEC, maps=True).network_input.maps
    np.testing.assert_array_equal(found, preprocess(open_scan(simulated_scan), SPEC, maps=True).maps)
    assert prepare_scan(simulated_scan, SPEC).network_input.maps is None
