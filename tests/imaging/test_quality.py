import json

import numpy as np
import pytest

from imaging import BoldScan
from imaging.quality import QualityReport, assess_quality, count_spikes, measure_signal, standardised_dvars
from imaging.reading import BrainSignal

RNG = np.random.default_rng(0)


def test_dvars_is_the_root_mean_square_change_in_units_of_what_is_expected():
    """Worked by hand, as in Nichols 2017 (robust variance, lag-1 autocorrelation)."""
    series = RNG.normal(size=(50, 100)).astype(np.float32) * 5
    change = np.sqrt((np.diff(series.astype(float)) ** 2).mean(axis=0))
    variance = ((np.quantile(series, 0.75, axis=1) - np.quantile(series, 0.25, axis=1)) / 1.349) ** 2
    centred = series - series.mean(axis=1, keepdims=True)
    lag = [(row[1:] * row[:-1]).sum() / (row**2).sum() for row in centred]
    expected = np.sqrt((2 * (1 - np.array(lag)) * variance).mean())
    np.testing.assert_allclose(standardised_dvars(series), change / expected, rtol=1e-4)


@pytest.mark.parametrize("smooth", [1, 5])
def test_dvars_is_about_one_where_nothing_happens(smooth):
    noise = RNG.normal(size=(2000, 300))
    kernel = np.ones(smooth) / smooth
    series = np.apply_along_axis(lambda row: np.convolve(row, kernel, "valid"), 1, noise).astype(np.float32)
    assert standardised_dvars(series).mean() == pytest.approx(1, abs=0.1)


def test_dvars_does_not_depend_on_the_scanners_units():
    series = RNG.normal(size=(200, 60)).astype(np.float32)
    np.testing.assert_allclose(standardised_dvars(series * 1000 + 5), standardised_dvars(series), rtol=1e-3)


def test_a_jump_is_a_spike():
    # A generator of its own: tests run in any order, and chance makes a few frames stand out.
    series = np.random.default_rng(0).normal(size=(500, 100)).astype(np.float32)
    quiet = count_spikes(standardised_dvars(series))
    series[:, 40] += 10
    jumped = standardised_dvars(series)
    assert count_spikes(jumped) >= 2
    assert set(np.argsort(jumped)[-2:]) == {39, 40}
    assert quiet <= 3


def test_a_spike_lies_one_and_a_half_interquartile_ranges_above_the_third_quartile():
    """Quartiles 1 and 2 (numpy's, the default): the limit is 3.5."""
    ordinary = [1.0] * 40 + [1.5] * 20 + [2.0] * 40
    assert count_spikes(np.array([*ordinary, 3.4])) == 0
    assert count_spikes(np.array([*ordinary, 3.6])) == 1


def test_measure_signal_some_voxels_is_that_of_a_series_of_them():
    series = RNG.normal(size=(3000, 1500)).astype(np.float32)
    some = RNG.random(3000) < 0.5
    np.testing.assert_allclose(standardised_dvars(series, voxels=some), standardised_dvars(series[some]))


def test_dvars_counts_changes_where_most_frames_are_equal():
    """The interquartile range is zero there, and so would be what is expected."""
    series = np.zeros((50, 40), dtype=np.float32)
    series[:, 20] = RNG.normal(size=50)
    found = standardised_dvars(series)
    assert set(np.flatnonzero(found)) == {19, 20}
    assert np.isfinite(found).all()


def test_nothing_varies():
    assert not standardised_dvars(np.ones((10, 30), dtype=np.float32)).any()
    assert not standardised_dvars(np.ones((0, 30), dtype=np.float32)).any()


def report(*, mean: float, share: float = 1.0) -> QualityReport:
    shape = (6, 6, 6)
    scan = BoldScan.from_array(np.zeros((*shape, 50), "f4"), affine=np.diag([4.0, 4, 4, 1]), tr_s=1.5)
    in_brain = np.zeros(shape, dtype=bool)
    in_brain[2:4] = True
    volume = np.where(in_brain, np.float32(mean), np.float32(0))
    signal = BrainSignal(
        mean=volume,
        temporal_sd=np.where(in_brain, np.float32(20), np.float32(1)),
        in_brain=in_brain,
        series=RNG.normal(size=(40, 50)).astype(np.float32),
        signal_share=np.repeat(
            np.array([1.0, 0.2], dtype=np.float32), [int(40 * share), 40 - int(40 * share)]
        ),
        nonfinite=np.zeros(shape, dtype=bool),
        warnings=(),
    )
    return assess_quality(scan, measure_signal(signal), in_band_power=0.5, template_space={"fit": 0.9})


def test_tsnr_is_the_brains_and_absent_without_a_mean():
    assert report(mean=1000).tsnr == pytest.approx(50)
    assert report(mean=0.01).tsnr is None
    # A negative slope in the header turns the sign of every value, and of no quality.
    assert report(mean=-1000).tsnr == pytest.approx(50)


def test_intensity_is_the_brains_in_the_scans_own_units():
    found = report(mean=1000)
    assert (found.mean_intensity, found.temporal_sd) == (1000, 20)
    assert report(mean=-1000).mean_intensity == -1000


def test_a_mean_about_zero_is_no_intensity_and_its_fluctuation_is_one():
    found = report(mean=0.01)
    assert (found.mean_intensity, found.temporal_sd) == (None, 20)


def test_coverage_is_the_share_that_has_signal():
    assert report(mean=1000, share=0.75).template_coverage == 0.75


def test_the_report_is_plain_json():
    found = report(mean=1000).to_json()
    assert json.loads(json.dumps(found)) == found
    assert (found["n_frames"], found["tr_s"], found["duration_s"]) == (50, 1.5, 75.0)
    assert (found["mean_intensity"], found["temporal_sd"]) == (1000, 20)
    assert found["in_band_power"] == 0.5
    assert found["template_space"] == {"fit": 0.9}
    assert len(found["dvars"]) == 49
    assert found["dvars_max"] == pytest.approx(max(found["dvars"]), abs=1e-4)
