"""One pass gives what numpy gives on the whole array, and refuses scans without usable signal."""

import numpy as np
import pytest

from imaging import BoldScan, open_scan
from imaging.cube_map import CubeMap, cube_map
from imaging.reading import BrainSignal, NonfiniteValuesError, read_signal
from imaging.sample_type import BadScalingError
from imaging.variation import AllZeroError, ConstantInTimeError, FramesRepeatedError

SHAPE = (12, 14, 11)
AFFINE = np.array([[-14, 0, 0, 80], [0, 14, 0, -110], [0, 0, 14, -64], [0, 0, 0, 1.0]])


def unwatched(done: float) -> None:
    """Nobody is watching."""


def the_map() -> CubeMap:
    return cube_map(shape=SHAPE, affine=AFFINE, grid_size=34)


def read(bold: np.ndarray, tr_s: float = 2.0) -> BrainSignal:
    scan = BoldScan.from_array(bold, affine=AFFINE, tr_s=tr_s)
    return read_signal(scan, the_map(), progress=unwatched)


@pytest.fixture
def bold() -> np.ndarray:
    return np.random.default_rng(0).normal(1000, 20, (*SHAPE, 70)).astype(np.float32)


def test_mean_and_deviation_are_numpys(bold):
    found = read(bold)
    exact = bold.astype(np.float64)
    np.testing.assert_allclose(found.mean, exact.mean(axis=3), rtol=1e-6)
    np.testing.assert_allclose(found.temporal_sd, exact.std(axis=3), rtol=1e-4)


def test_the_signal_is_the_maps_up_to_a_constant_a_voxel(bold):
    found = read(bold).series
    to_cube = the_map()
    whole = to_cube.weights @ bold.reshape(-1, 70, order="F")[to_cube.used].astype(np.float64)
    expected = whole / np.maximum(to_cube.coverage, 1e-9)[:, None]
    np.testing.assert_allclose(
        found - found.mean(axis=1, keepdims=True), expected - expected.mean(axis=1, keepdims=True), atol=2e-3
    )


@pytest.mark.parametrize(("dtype", "offset"), [("f8", 1e9), ("i4", 2_000_000_000), ("i8", 10**15)])
def test_a_large_offset_costs_no_precision(dtype, offset):
    signal = np.random.default_rng(1).integers(-50, 50, (*SHAPE, 40))
    found = read((signal + offset).astype(dtype))
    np.testing.assert_allclose(found.temporal_sd, signal.std(axis=3), rtol=1e-3)
    near_zero = read(signal.astype("f4"))
    np.testing.assert_allclose(np.diff(found.series), np.diff(near_zero.series), atol=1e-3)


def test_an_outlying_first_frame_costs_no_precision(bold):
    bold[..., 0] *= 100
    found = read(bold)
    np.testing.assert_allclose(found.temporal_sd, bold.astype(np.float64).std(axis=3), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.5, 200), (-3, 0)])
def test_scale_and_type_make_no_difference(dtype, slope, intercept, write_nifti):
    stored = np.random.default_rng(2).integers(0, 200, (*SHAPE, 25))
    path = write_nifti(stored.astype(dtype), affine=AFFINE, scl_slope=slope, scl_inter=intercept)
    found = read_signal(open_scan(path), the_map(), progress=unwatched)
    expected = read((stored * slope + intercept).astype("f8"))
    for name in ("mean", "temporal_sd", "signal_share"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(np.diff(found.series), np.diff(expected.series), atol=1e-3)


def test_progress_goes_to_one_and_may_stop_the_work(bold):
    scan = BoldScan.from_array(bold, affine=AFFINE, tr_s=2.0)
    seen: list[float] = []
    read_signal(scan, the_map(), progress=seen.append)
    assert seen == sorted(seen)
    assert len(seen) == 3
    assert seen[-1] == 1.0

    class StoppedError(Exception):
        pass

    def stop(done: float) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        read_signal(scan, the_map(), progress=stop)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("frame", [0, 33, 69])
def test_a_single_value_that_is_no_number_is_found(value, frame, bold):
    bold[6, 7, 5, frame] = value
    found = read(bold)
    assert np.argwhere(found.nonfinite).tolist() == [[6, 7, 5]]
    assert np.isfinite(found.series).all()


def test_nothing_but_nan(bold):
    with pytest.raises(NonfiniteValuesError) as caught:
        read(np.full_like(bold, np.nan))
    assert caught.value.n_voxels == np.prod(SHAPE)


@pytest.mark.parametrize("frames", [slice(None), slice(60, 61)])
def test_a_broken_background_weighs_nothing(frames, bold):
    outside = ~the_map().in_brain.reshape(SHAPE, order="F")
    broken = bold.copy()
    broken[outside, frames] = np.nan
    found = read(broken)
    (warning,) = found.warnings
    assert warning.code == "nonfinite_background"
    np.testing.assert_array_equal(found.nonfinite, outside)
    assert not found.mean[outside].any()
    assert np.isfinite(found.series).all()
    # What is left of each cube voxel is what the map without those voxels gives.
    kept = the_map().without(outside.ravel(order="F"))
    sums = kept.weights @ bold.reshape(-1, 70, order="F")[kept.used]
    expected = sums * kept.to_mean[:, None]
    np.testing.assert_allclose(np.diff(found.series), np.diff(expected), atol=5e-3)


def test_nothing_but_zero(bold):
    with pytest.raises(AllZeroError):
        read(np.zeros_like(bold))


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_one_volume_repeated(dtype, bold):
    repeated = np.repeat(bold[..., :1], 70, axis=3).astype(dtype)
    with pytest.raises(ConstantInTimeError):
        read(repeated)


def test_share_of_signal_counts_only_what_varies(bold):
    assert read(bold).signal_share.max() == pytest.approx(1, abs=1e-5)
    bold[:6] = 7
    half = read(bold).signal_share
    assert 0.3 < (half > 0.5).mean() < 0.7


@pytest.mark.parametrize(("dtype", "size"), [("f4", 1e-25), ("f4", 1e-14), ("f8", 1e-300), ("f4", 1e14)])
def test_values_of_an_absurd_size_are_a_matter_of_scale(dtype, size, bold):
    with pytest.raises(BadScalingError):
        read(((bold.astype("f8") - 1000) * size).astype(dtype))


@pytest.mark.parametrize("size", [1e-8, 1e10])
def test_unusual_units_are_none_of_our_business(size, bold):
    found = read(bold * np.float32(size))
    np.testing.assert_allclose(found.temporal_sd, bold.std(axis=3, dtype="f8") * size, rtol=1e-3)


def with_frames(bold: np.ndarray, how: str, count: int) -> np.ndarray:
    changed = bold.copy()
    if how == "frozen":
        changed[..., 30 : 31 + count] = changed[..., 30:31]
    elif how == "empty tail":
        # One of the empty frames follows one that is not, and counts too.
        changed[..., 70 - count :] = 0
    else:
        changed[..., 5 : 5 + 2 * count : 2] = 0
    return changed


@pytest.mark.parametrize("how", ["frozen", "empty tail", "every other frame empty"])
@pytest.mark.parametrize("dtype", ["f4", "i2", "i4"])
def test_frames_that_are_copies_or_empty_are_counted(how, dtype, bold):
    with pytest.raises(FramesRepeatedError) as caught:
        read(with_frames(bold, how, 8).astype(dtype))
    assert (caught.value.found, caught.value.of) == (8, 70)
    assert "8 of 70" in str(caught.value)
    read(with_frames(bold, how, 7).astype(dtype))


def test_one_frame_that_differs_is_no_time_series(bold):
    repeated = np.repeat(bold[..., :1], 40, axis=3)
    repeated[..., 20] += 1
    with pytest.raises(FramesRepeatedError):
        read(repeated)


def test_frames_that_differ_in_one_voxel_are_no_copies(bold):
    almost = np.repeat(bold[..., :1], 70, axis=3)
    middle = the_map().used[len(the_map().used) // 2]
    almost[np.unravel_index(middle, SHAPE, order="F")] += np.arange(70)
    read(almost)


def test_a_brain_out_of_view_is_left_to_the_question_where_it_is(bold):
    used = np.zeros(np.prod(SHAPE), dtype=bool)
    used[the_map().used] = True
    still = np.where(used.reshape(SHAPE, order="F")[..., None], np.float32(5), bold)
    assert not read(still).series.any()
