"""Slices that were taken one after the other, beside the same signal at one time."""

import numpy as np
import pytest

from imaging.native.slice_timing import BadSliceTimesError, align_slices

TR_S, TIMES_S = 2.0, (0.0, 1.0, 0.5, 1.5)


def signal(times_s: np.ndarray) -> np.ndarray:
    return 900 + 0.03 * times_s + 5 * np.sin(2 * np.pi * 0.05 * times_s + 0.3) + 2 * np.cos(0.6 * times_s)


def test_a_shifted_sine_comes_back_in_step():
    starts = np.arange(150) * TR_S
    bold = np.stack([signal(starts + taken) for taken in TIMES_S])[None, None].astype(np.float32)
    apart = np.abs(bold - signal(starts + np.mean(TIMES_S))).max()

    align_slices(bold, slice_times_s=TIMES_S, tr_s=TR_S)

    left = np.abs(bold - signal(starts + np.mean(TIMES_S)))[..., 10:-10].max()
    assert left < 0.01 * apart


def test_slices_at_one_time_stay_as_they_are():
    bold = np.random.default_rng(0).random((3, 3, 4, 30)).astype(np.float32)
    before = bold.copy()

    align_slices(bold, slice_times_s=[0.7] * 4, tr_s=TR_S)

    np.testing.assert_array_equal(bold, before)


@pytest.mark.parametrize(
    ("times", "found"),
    [((0.0, 1.0), "2 times"), ((0.0, 1.0, 2.5, 0.5), "2.5 s"), ((0.0, 1.0, float("nan"), 1.0), "nan s")],
)
def test_times_that_cannot_be_are_refused(times, found):
    with pytest.raises(BadSliceTimesError, match=found):
        align_slices(np.zeros((2, 2, 4, 30), np.float32), slice_times_s=times, tr_s=TR_S)
