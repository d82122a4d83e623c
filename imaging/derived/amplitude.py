"""How strongly the signal fluctuates slowly: ALFF, and its share of all fluctuation (fALFF) in two readings.

Zang et al. 2007 (doi:10.1016/j.braindev.2006.07.002) for ALFF, Zou et al. 2008
(doi:10.1016/j.jneumeth.2008.04.012) for fALFF. The Athena pipeline and C-PAC call another figure fALFF: the
standard deviation of the band-passed signal divided by that of the signal before. By Parseval it is a root of
a share of power, where Zou's is a share of amplitudes.

The spectrum is that of the discrete Fourier transform of the detrended signal at the scan's own repetition
time, without a taper or padding.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex64, Float32
from scipy import fft

from imaging.shapes import BrainMap, VoxelSeries
from imaging.temporal import row_pieces, without_line

SLOW_BAND_HZ = (0.01, 0.08)

# k / (T TR) and the band's ends are rounded differently.
_SAME_HZ = 1e-9

# Of the signal's power before its mean and its line were taken out, in single precision; less is rounding.
_ROUNDING_SHARE = 1e-10


@dataclass(frozen=True, eq=False)
class SlowSignal:
    """What a band holds of each voxel's signal.

    Attributes
    ----------
    alff : (N,) float32
        Mean amplitude of the band's sinusoids, in the signal's own unit.
    falff : (N,) float32
        Sum of these amplitudes divided by that over all frequencies up to the Nyquist limit; 0 to 1.
    falff_sd : (N,) float32
        Standard deviation of the band-passed signal divided by that of the detrended one; 0 to 1.
    band_passed : (N, T) float32
        Of mean zero, in the signal's unit. Exactly 0 in every frame where the band holds nothing but
        rounding; the maps are 0 there too.
    """

    alff: BrainMap
    falff: BrainMap
    falff_sd: BrainMap
    band_passed: VoxelSeries


def slow_signal(
    series: VoxelSeries, *, tr_s: float, band_hz: tuple[float, float] = SLOW_BAND_HZ
) -> SlowSignal:
    """Measure what lies in a band, both ends included, after a straight line was taken out.

    Parameters
    ----------
    series : (N, T) float32
        Not filtered in time, frames ``tr_s`` apart; in any unit, up to a constant a voxel. A signal that was
        band-passed before has little beside the band, and both kinds of fALFF are near 1 everywhere.
    tr_s : float
    band_hz : (low, high)

    Returns
    -------
    SlowSignal
        Zeros throughout where the scan is too short or too slow for a single frequency of the band.
    """
    n_voxels, n_frames = series.shape
    frequencies_hz = np.arange(n_frames // 2 + 1) / (n_frames * tr_s)
    low, high = np.searchsorted(frequencies_hz, [band_hz[0] - _SAME_HZ, band_hz[1] + _SAME_HZ])
    in_band = slice(max(1, int(low)), int(high))  # the mean is no fluctuation

    alff, falff, falff_sd = np.zeros((3, n_voxels), dtype=np.float32)
    band_passed = np.zeros_like(series)
    found = SlowSignal(alff=alff, falff=falff, falff_sd=falff_sd, band_passed=band_passed)
    if in_band.start >= in_band.stop:
        return found
    power_of = _power_of_amplitudes(n_frames)
    for rows in row_pieces(series):
        spectrum: Complex64[np.ndarray, "N K"] = fft.rfft(without_line(series[rows])[0], axis=1)
        amplitude = np.abs(spectrum) * np.float32(2 / n_frames)
        amplitude[:, 0] = 0
        power = amplitude**2 @ power_of
        slow_power = amplitude[:, in_band] ** 2 @ power_of[in_band]
        some = slow_power > _ROUNDING_SHARE * np.einsum("vt,vt->v", series[rows], series[rows])

        slow_sum = amplitude[:, in_band].sum(axis=1)
        np.divide(slow_sum, in_band.stop - in_band.start, out=alff[rows], where=some)
        np.divide(slow_sum, amplitude.sum(axis=1), out=falff[rows], where=some)
        np.divide(np.sqrt(slow_power), np.sqrt(power), out=falff_sd[rows], where=some)
        spectrum[:, : in_band.start] = spectrum[:, in_band.stop :] = 0
        spectrum[~some] = 0
        band_passed[rows] = fft.irfft(spectrum, n=n_frames, axis=1)
    return found


def _power_of_amplitudes(n_frames: int) -> Float32[np.ndarray, " K"]:
    """Return the sum of squares of a sinusoid of amplitude 1, by its number of periods (Parseval)."""
    power_of = np.full(n_frames // 2 + 1, n_frames / 2, dtype=np.float32)
    if n_frames % 2 == 0:
        # Twice as large as it is, the amplitude of the highest one: it has no partner of negative frequency.
        power_of[-1] = n_frames / 4
    return power_of
