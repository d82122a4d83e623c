import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging import BoldScan, NetworkInput, PreprocessingSpec, brain_cube, window_starts
from imaging.quality import QualityReport


def prepared(n_frames: int, spec: PreprocessingSpec) -> NetworkInput:
    brain_voxels = int(brain_cube(spec.grid_size).mask.sum())
    series = np.tile(np.arange(1, n_frames + 1, dtype=np.float32), (brain_voxels, 1))
    quality = QualityReport(
        n_frames=n_frames, tr_s=2.0, duration_s=2.0 * n_frames, tsnr=None, mean_intensity=None,
        temporal_sd=1.0, dvars_mean=1.0, dvars_max=1.0, dvars=(1.0,), spikes=0, template_coverage=1.0,
        in_band_power=None, template_space={},
    )  # fmt: skip
    return NetworkInput(series=series, tr_s=2.0, spec=spec, quality=quality)


def test_the_single_window_is_the_middle_one():
    spec = PreprocessingSpec(window_plan="single")
    assert window_starts(172, spec=spec).tolist() == [76]
    assert window_starts(20, spec=spec).tolist() == [0]
    assert window_starts(21, spec=spec).tolist() == [0]


def test_eight_windows_spread_from_the_first_frame_to_the_last():
    starts = window_starts(172, spec=PreprocessingSpec())
    assert starts.tolist() == [0, 22, 43, 65, 87, 109, 130, 152]


@given(n_frames=st.integers(20, 400), n_windows=st.integers(2, 30))
def test_windows_are_inside_evenly_spread_and_never_given_twice(n_frames, n_windows):
    starts = window_starts(n_frames, spec=PreprocessingSpec(n_windows=n_windows))
    assert starts[0] == 0
    assert starts[-1] == n_frames - 20
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert len(starts) == min(n_windows, n_frames - 19)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1


@pytest.mark.parametrize(("n_frames", "count"), [(20, 1), (23, 4), (27, 8), (100, 8)])
def test_windows_are_cut_where_they_start(n_frames, count):
    starts, windows = prepared(n_frames, PreprocessingSpec()).windows()
    mask = brain_cube(34).mask
    assert windows.shape == (count, 20, 34, 34, 34)
    assert windows.dtype == np.float32
    for start, window in zip(starts, windows, strict=True):
        np.testing.assert_array_equal(window, np.arange(start + 1, start + 21)[:, None, None, None] * mask)


def test_a_scan_is_not_its_input():
    assert not hasattr(BoldScan, "windows")
