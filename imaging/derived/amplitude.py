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
from jaxtyping import Complex64, Float32, Float64
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
    in_band = (frequencies_hz >= band_hz[0] - _SAME_HZ) & (frequencies_hz <= band_hz[1] + _SAME_HZ)
    in_band[0] = False  # the mean is no fluctuation

    alff, falff, falff_sd = np.zeros((3, n_voxels), dtype=np.float32)
    band_passed = np.zeros_like(series)
    for rows in row_pieces(series) if in_band.any() else ():
        rest = without_line(series[rows])[0]
        spectrum: Complex64[np.ndarray, "N K"] = fft.rfft(rest, axis=1)
        amplitude = np.abs(spectrum) * np.float32(2 / n_frames)
        spectrum[:, ~in_band] = 0
        slow = fft.irfft(spectrum, n=n_frames, axis=1)

        slow_power = _power(slow)
        some = slow_power > _ROUNDING_SHARE * _power(series[rows])
        slow[~some] = 0
        band_passed[rows] = slow
        alff[rows] = np.where(some, amplitude[:, in_band].mean(axis=1), 0)
        for share, part, whole in (
            (falff, amplitude[:, in_band].sum(axis=1), amplitude[:, 1:].sum(axis=1)),
            (falff_sd, np.sqrt(slow_power), np.sqrt(_power(rest))),
        ):
            np.divide(part, whole, out=share[rows], where=some, casting="same_kind")
    return SlowSignal(alff=alff, falff=falff, falff_sd=falff_sd, band_passed=band_passed)


def _power(values: Float32[np.ndarray, "N T"]) -> Float64[np.ndarray, " N"]:
    power: Float64[np.ndarray, " N"] = np.einsum("vt,vt->v", values, values, dtype=np.float64)
    return power
