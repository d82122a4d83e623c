"""Filtering and resampling against scipy, and against sines whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct, idct
from scipy.signal import detrend

from imaging.temporal import ALREADY_FILTERED_SHARE, ScanTooShortError, filter_in_time
from imaging.variation import ConstantInTimeError

BAND = (0.009, 0.08)


def run(
    series: np.ndarray, *, tr_s: float = 2.0, band=BAND, new_tr_s: float | None = None, minimum: int = 20
):
    return filter_in_time(
        series.astype(np.float32), tr_s=tr_s, band_hz=band, new_tr_s=new_tr_s, minimum_frames=minimum
    )


def middle(n_frames: int, tr_s: float) -> np.ndarray:
    return (np.arange(n_frames) + 0.5) * tr_s


@settings(max_examples=30, deadline=None)
@given(n_frames=st.integers(20, 300), tr_s=st.floats(0.5, 3.0), seed=st.integers(0, 99))
def test_band_pass_agrees_with_scipy(n_frames, tr_s, seed):
    noise = np.random.default_rng(seed).normal(size=(7, n_frames)) * 10 + 1000
    found = run(noise, tr_s=tr_s)
    assert found.band_passed
    coefficients = dct(detrend(noise), norm="ortho")
    frequencies = np.arange(n_frames) / (2 * n_frames * tr_s)
    coefficients[:, (frequencies < BAND[0]) | (frequencies > BAND[1])] = 0
    np.testing.assert_allclose(found.series, idct(coefficients, norm="ortho"), atol=2e-2)


def test_a_sine_in_the_band_stays_and_one_outside_goes():
    times = middle(200, 2.0)
    inside, slow, fast = (np.cos(2 * np.pi * f * times)[None] for f in (0.03, 0.00125, 0.15))
    assert np.abs(run(inside + 5 * fast).series - inside).max() < 0.08
    assert np.abs(run(inside + slow).series - inside).std() < 0.1 * slow.std()
    assert np.abs(run(fast + 0 * inside).series).max() < 0.05


def test_a_line_is_removed():
    line = 1000 + 3.0 * np.arange(100)[None]
    sine = np.cos(2 * np.pi * 0.03 * middle(100, 2.0))[None]
    np.testing.assert_allclose(run(line + sine).series, run(sine).series, atol=5e-3)


@pytest.mark.parametrize(("tr_s", "new_tr_s"), [(1.5, 2.0), (2.5, 2.0), (1.96, 2.0), (0.72, 2.0), (2.0, 1.3)])
def test_a_band_limited_signal_is_the_same_at_any_repetition_time(tr_s, new_tr_s):
    """Cosines of the scan's own length are interpolated exactly, whatever the two frame times."""
    n_frames = 200
    duration_s = n_frames * tr_s

    def signal(times: np.ndarray) -> np.ndarray:
        return sum(np.cos(np.pi * k * times / duration_s + 0.0) / k for k in (8, 13, 20))[None]

    found = run(signal(middle(n_frames, tr_s)), tr_s=tr_s, new_tr_s=new_tr_s, band=(0.005, 0.12))
    expected = signal(middle(int(duration_s / new_tr_s + 1e-6), new_tr_s))
    assert found.tr_s == new_tr_s
    assert found.series.shape == expected.shape
    np.testing.assert_allclose(found.series, expected, atol=2e-3)


def test_two_sites_with_other_repetition_times_see_the_same_sine():
    """Not a cosine of the scan's length: away from the ends, where the mirror image ends, it is the same."""

    def at(tr_s: float) -> np.ndarray:
        n_frames = int(400 / tr_s)
        sine = np.sin(2 * np.pi * 0.0317 * middle(n_frames, tr_s) + 0.7)[None]
        return run(sine, tr_s=tr_s, new_tr_s=2.0).series[:, 20:180]

    assert np.abs(at(1.6) - at(2.5)).max() < 0.05
    assert np.abs(at(2.0) - np.sin(2 * np.pi * 0.0317 * middle(200, 2.0)[20:180] + 0.7)).max() < 0.05


def test_what_the_new_frame_time_cannot_carry_is_dropped_not_folded():
    fast = np.cos(2 * np.pi * 0.4 * middle(800, 0.5))[None]
    found = run(fast, tr_s=0.5, new_tr_s=2.0, band=None)
    assert np.abs(found.series[:, 5:-5]).max() < 0.02


def test_share_of_power_in_the_band():
    rng = np.random.default_rng(0)
    white = run(rng.normal(size=(500, 200)))
    # 0.009 to 0.08 of 0 to 0.25 Hz.
    assert white.in_band_power == pytest.approx((0.08 - 0.009) / 0.25, abs=0.02)
    filtered = run(white.series)
    assert filtered.in_band_power > 0.99


def test_a_scan_in_band_already_is_resampled_and_not_filtered_again():
    times = middle(200, 2.0)
    sine = np.cos(2 * np.pi * 0.03 * times)[None]
    outside = 0.3 * np.cos(2 * np.pi * 0.1 * times)[None]
    found = run(sine + outside)
    assert not found.band_passed
    assert found.in_band_power > 0.7
    np.testing.assert_allclose(found.series, sine + outside, atol=0.05)


def test_everything_off_changes_nothing():
    noise = np.random.default_rng(0).normal(size=(5, 50)) + 100
    found = run(noise, band=None, new_tr_s=None)
    np.testing.assert_array_equal(found.series, noise.astype(np.float32))
    assert (found.in_band_power, found.tr_s) == (None, 2.0)


def test_without_a_band_the_trend_survives_resampling():
    line = 1000 + 3.0 * middle(100, 2.5)[None]
    found = run(line, tr_s=2.5, new_tr_s=2.0, band=None)
    np.testing.assert_allclose(found.series, 1000 + 3.0 * middle(125, 2.0)[None], rtol=1e-5)


def test_the_same_frame_time_is_the_identity():
    noise = np.random.default_rng(0).normal(size=(5, 97))
    found = run(noise, band=None, new_tr_s=2.0)
    np.testing.assert_allclose(found.series, noise, atol=1e-4)


def test_too_short_is_said_in_seconds():
    with pytest.raises(ScanTooShortError) as caught:
        run(np.zeros((3, 24)), tr_s=1.5, new_tr_s=2.0)
    assert (caught.value.expected_s, caught.value.found_s) == (40.0, 36.0)
    assert "40 s" in str(caught.value)
    assert run(np.ones((3, 27)), tr_s=1.5, new_tr_s=2.0).series.shape == (3, 20)


def test_a_voxel_without_signal_stays_without():
    found = run(np.zeros((3, 50)))
    assert not found.series.any()
    assert found.in_band_power == 0


@pytest.mark.parametrize("band", [BAND, None])
def test_many_voxels_are_worked_on_in_pieces_that_fit_together(band):
    """More than one piece of rows, and each row as if it were alone."""
    noise = np.random.default_rng(0).normal(size=(3000, 1500)).astype(np.float32)
    found = run(noise, tr_s=0.8, new_tr_s=2.0, band=band)
    for row in (0, 1397, 1398, 2999):
        alone = run(noise[row : row + 1], tr_s=0.8, new_tr_s=2.0, band=band)
        np.testing.assert_allclose(found.series[row], alone.series[0], atol=1e-5)


def test_a_drift_and_nothing_else_is_not_filtered_into_noise():
    slopes = np.random.default_rng(0).normal(size=(200, 1))
    drift = 50 + slopes * np.arange(80)
    with pytest.raises(ConstantInTimeError, match="beyond a straight line"):
        run(drift)
    sine = np.cos(2 * np.pi * 0.03 * middle(80, 2.0))
    # 1e-3 of the drift is a signal; its power is 1e-6.
    assert run(drift + 0.05 * sine).series.std() == pytest.approx(0.05 * np.sqrt(0.5), rel=0.1)


@pytest.mark.parametrize("size", [1e-18, 1e18])
def test_the_share_of_power_holds_at_any_scale(size):
    noise = np.random.default_rng(0).normal(size=(300, 200))
    assert run(noise * size).in_band_power == pytest.approx(run(noise).in_band_power, rel=1e-4)


@pytest.mark.parametrize(("share", "filtered"), [(0.68, True), (0.72, False)])
def test_the_share_that_counts_as_filtered_already(share, filtered):
    """Between unfiltered scans (.51 at most) and filtered ones (.72 at least), as measured."""
    # Whole periods in the DCT's own cosines, so that the shares are exact.
    times = (np.arange(200) + 0.5) / 200
    inside, outside = np.cos(np.pi * 24 * times), np.cos(np.pi * 100 * times)
    found = run((np.sqrt(share) * inside + np.sqrt(1 - share) * outside)[None])
    assert found.in_band_power == pytest.approx(share, abs=1e-3)
    assert found.band_passed is filtered
    assert 0.51 < ALREADY_FILTERED_SHARE < 0.72
