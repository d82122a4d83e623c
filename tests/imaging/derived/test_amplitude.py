"""Against a Fourier transform written out in double precision, and scipy's and nilearn's own filters."""

import numpy as np
import pytest
from nilearn.signal import clean
from scipy import signal

from imaging.derived.amplitude import SLOW_BAND_HZ, slow_signal


def noise(n_voxels, n_frames, *, seed=0):
    rng = np.random.default_rng(seed)
    drift = rng.standard_normal((n_voxels, 1)) * np.linspace(-3, 5, n_frames)
    return (100 * rng.standard_normal((n_voxels, n_frames)) + drift + 40).astype(np.float32)


def spectrum_by_hand(series, tr_s):
    """Detrended by scipy; each frequency's amplitude by the sums of the definition."""
    rest = signal.detrend(series.astype(np.float64), axis=1)
    n_frames = rest.shape[1]
    numbers = np.arange(1, n_frames // 2 + 1)
    angles = 2 * np.pi * np.outer(np.arange(n_frames), numbers) / n_frames
    cosines, sines = rest @ np.cos(angles), rest @ np.sin(angles)
    return numbers / (n_frames * tr_s), 2 * np.hypot(cosines, sines) / n_frames, rest


LENGTHS = [(74, 2.5), (172, 2.0), (193, 1.5), (257, 1.96)]  # of the sites; 193 and 257 are prime


@pytest.mark.parametrize(("n_frames", "tr_s"), LENGTHS)
def test_alff_and_falff_are_those_of_the_definition(n_frames, tr_s):
    series = noise(30, n_frames)
    hz, amplitude, _ = spectrum_by_hand(series, tr_s)
    inside = (hz > 0.0099999) & (hz < 0.0800001)
    found = slow_signal(series, tr_s=tr_s)
    np.testing.assert_allclose(found.alff, amplitude[:, inside].mean(axis=1), rtol=2e-5)
    expected = amplitude[:, inside].sum(axis=1) / amplitude.sum(axis=1)
    np.testing.assert_allclose(found.falff, expected, rtol=2e-5)


@pytest.mark.parametrize(("n_frames", "tr_s"), LENGTHS)
def test_the_ratio_of_deviations_is_that_of_a_signal_filtered_by_scipy(n_frames, tr_s):
    series = noise(30, n_frames, seed=1)
    rest = signal.detrend(series.astype(np.float64), axis=1)
    spectrum = np.fft.fft(rest, axis=1)
    hz = np.abs(np.fft.fftfreq(n_frames, tr_s))
    spectrum[:, (hz < 0.0099999) | (hz > 0.0800001)] = 0
    passed = np.fft.ifft(spectrum, axis=1).real
    found = slow_signal(series, tr_s=tr_s)
    np.testing.assert_allclose(found.band_passed, passed, atol=2e-4)  # of a signal of 100
    np.testing.assert_allclose(found.falff_sd, passed.std(axis=1) / rest.std(axis=1), rtol=2e-5)


def test_the_ratio_of_deviations_follows_nilearns_filter():
    """Another filter, of Butterworth's, with soft edges and swings at the ends: slow signals in noise."""
    rng = np.random.default_rng(2)
    seconds = np.arange(400) * 2.0
    hz, shifts = rng.uniform(0.02, 0.07, (60, 5, 1)), rng.uniform(0, 2 * np.pi, (60, 5, 1))
    slow = np.cos(2 * np.pi * hz * seconds + shifts).sum(axis=1)
    series = (np.geomspace(0.1, 10, 60)[:, None] * slow + noise(60, 400, seed=2) / 50).astype(np.float32)
    low, high = SLOW_BAND_HZ
    options = {"t_r": 2.0, "detrend": True, "standardize": None}
    whole = clean(series.T.astype(np.float64), filter=False, **options)
    passed = clean(series.T.astype(np.float64), filter="butterworth", low_pass=high, high_pass=low, **options)
    expected = passed.std(axis=0) / whole.std(axis=0)
    found = slow_signal(series, tr_s=2.0).falff_sd
    assert np.ptp(expected) > 0.4
    np.testing.assert_allclose(found, expected, atol=0.08)
    assert np.abs(found - expected).mean() < 0.03


def test_sinusoids_give_their_own_amplitudes():
    """Of 5 in the band and 15 beside it, on two of 200 s's frequencies; even, so that they have no trend."""
    seconds = (np.arange(100) - 49.5) * 2.0
    slow, fast = np.cos(2 * np.pi * 0.05 * seconds), np.cos(2 * np.pi * 0.2 * seconds)
    series = np.stack([5 * slow + 15 * fast, 5 * slow, 15 * fast]).astype(np.float32)
    found = slow_signal(series, tr_s=2.0)
    # 0.01, 0.015, ... 0.08 Hz are 15 frequencies.
    assert found.alff == pytest.approx([5 / 15, 5 / 15, 0], abs=1e-5)
    assert found.falff == pytest.approx([0.25, 1, 0], abs=1e-4)
    assert found.falff_sd == pytest.approx([np.sqrt(25 / 250), 1, 0], abs=1e-5)
    np.testing.assert_allclose(found.band_passed[0], 5 * slow, atol=1e-4)


def test_both_ends_of_the_band_belong_to_it():
    seconds = np.arange(200) * 2.0
    ends = np.stack([np.sin(2 * np.pi * hz * seconds) for hz in (0.01, 0.08, 0.0075, 0.0825)])
    found = slow_signal(ends.astype(np.float32), tr_s=2.0)
    assert (found.falff_sd[:2] > 0.98).all()
    assert (found.falff_sd[2:] < 0.4).all()


def test_the_highest_frequency_counts_once():
    """An even number of frames has one frequency without a partner, here inside the band."""
    series = noise(10, 40, seed=3)
    found = slow_signal(series, tr_s=10.0)  # Nyquist: 0.05 Hz
    hz, amplitude, rest = spectrum_by_hand(series, 10.0)
    assert hz[-1] == pytest.approx(0.05)
    inside = hz > 0.0099
    np.testing.assert_allclose(
        found.falff, amplitude[:, inside].sum(axis=1) / amplitude.sum(axis=1), rtol=2e-5
    )
    power = np.where(hz < 0.0499, amplitude**2 / 2, amplitude**2 / 4)
    assert power.sum(axis=1) == pytest.approx(rest.var(axis=1))
    np.testing.assert_allclose(
        found.falff_sd, np.sqrt(power[:, inside].sum(axis=1) / power.sum(axis=1)), rtol=2e-5
    )


def test_what_does_not_fluctuate_is_exactly_zero():
    lines = np.linspace(0, 1e4, 120, dtype=np.float32)
    series = np.stack([np.zeros_like(lines), np.full_like(lines, 7e5), lines, -lines + 3, noise(1, 120)[0]])
    found = slow_signal(series, tr_s=2.0)
    for values in (found.alff, found.falff, found.falff_sd):
        assert (values[:4] == 0).all()
        assert values[4] > 0
    assert not found.band_passed[:4].any()


def test_a_scan_without_a_frequency_of_the_band_gives_zeros():
    found = slow_signal(noise(3, 30), tr_s=0.4)  # 12 s: the slowest but one sinusoid has 0.083 Hz
    assert not found.alff.any()
    assert not found.falff.any()
    assert not found.falff_sd.any()
    assert not found.band_passed.any()


def test_a_constant_and_the_unit_change_what_they_may():
    series = noise(20, 150, seed=4)
    one, other = slow_signal(series, tr_s=2.0), slow_signal(2 * series + 512, tr_s=2.0)
    np.testing.assert_allclose(other.alff, 2 * one.alff, rtol=1e-4)
    np.testing.assert_allclose(other.falff, one.falff, rtol=1e-4)
    np.testing.assert_allclose(other.falff_sd, one.falff_sd, rtol=1e-4)
