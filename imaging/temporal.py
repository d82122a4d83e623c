"""Detrending, band-pass and resampling to a common repetition time, as one linear map over time.

The frames of a scan are samples at the middle of equal steps, so the cosines of the discrete cosine
transform of type II (DCT-II) are a basis for them: number k oscillates at k / (2 * duration) Hz. Dropping
the cosines outside a band filters without phase; evaluating the rest at other times is band-limited
interpolation. At both ends a DCT continues the signal by its mirror image, which is smooth after detrending,
where a Fourier basis would jump from the last frame to the first.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Float64
from scipy.fft import dct

from imaging.errors import ScanError
from imaging.shapes import VoxelSeries
from imaging.variation import ConstantInTimeError

# Measured shares of power within 0.009-0.08 Hz, as defined here: white noise at TR 2 .28, a real unfiltered
# scan .51 (ds000205), the same band-passed .80, ABIDE's series filtered to 0.01-0.1 Hz .72 to .92.
ALREADY_FILTERED_SHARE = 0.7

# Of a line's power in single precision; less than this beside it is rounding.
_ROUNDING_SHARE = 1e-10

# A piece, and what is made of it, stay in a core's own cache.
_PIECE_BYTES = 2**20


class ScanTooShortError(ScanError):
    """Not enough time for one window."""

    code: ClassVar[str] = "scan_too_short"

    def __init__(self, *, expected_s: float, found_s: float) -> None:
        super().__init__(f"expected at least {expected_s:g} s of scan, found {found_s:g} s")
        self.expected_s = expected_s
        self.found_s = found_s


@dataclass(frozen=True)
class FilteredSeries:
    """A scan's signal after the temporal stage.

    Attributes
    ----------
    series : (N, T) float32
        At the new frame times.
    tr_s : float
    in_band_power : float or None
        Share of the detrended input's power inside the pass band; None where no band was asked for.
    band_passed : bool
        False where the input was in band already, or no band was asked for.
    """

    series: VoxelSeries
    tr_s: float
    in_band_power: float | None
    band_passed: bool


def filter_in_time(
    series: VoxelSeries,
    *,
    tr_s: float,
    band_hz: tuple[float, float] | None,
    new_tr_s: float | None,
    minimum_frames: int,
) -> FilteredSeries:
    """Detrend, band-pass and resample every voxel's time course.

    Parameters
    ----------
    series : (N, T) float32
        One row a voxel, frames ``tr_s`` apart.
    tr_s : float
    band_hz : (low, high) or None
        Frequencies to keep; None keeps them all and the linear trend too.
    new_tr_s : float or None
        None keeps the frame times.
    minimum_frames : int
        Fewer than these after resampling are refused.

    Returns
    -------
    FilteredSeries
        New frame m is the signal at (m + 1/2) new TR after the scan's start; a remainder shorter than a frame
        is dropped. Frequencies above the new Nyquist limit are dropped too.

    Raises
    ------
    ScanTooShortError
    ConstantInTimeError
        If every voxel follows a straight line, so that only rounding could be filtered.
    """
    n_frames = series.shape[1]
    step_s = tr_s if new_tr_s is None else new_tr_s
    new_frames = n_frames if new_tr_s is None else int(n_frames * tr_s / new_tr_s + 1e-6)
    if new_frames < minimum_frames:
        raise ScanTooShortError(expected_s=minimum_frames * step_s, found_s=n_frames * tr_s)
    same_times = step_s == tr_s
    if band_hz is None and same_times:
        return FilteredSeries(series=series, tr_s=tr_s, in_band_power=None, band_passed=False)

    frequencies_hz = _frequencies_hz(n_frames, tr_s)
    kept = int((frequencies_hz <= 0.5 / step_s + 1e-9).sum())
    in_band = slice(0, kept) if band_hz is None else _in_band(frequencies_hz, band_hz)

    # Piece by piece: the frames of a long run take hundreds of megabytes, and one more array of that size is
    # enough, with the few coefficients in the band.
    filtered = np.empty((len(series), new_frames), dtype=np.float32)
    pieces = row_pieces(series)
    share = None
    if band_hz is not None:
        # The band has few cosines: a product with them alone is faster than the whole transform.
        onto_band = _cosines(n_frames, n_frames, 1.0, in_band.start, in_band.stop).T
        coefficients = np.empty((len(series), onto_band.shape[1]), dtype=np.float32)
        # All cosines at the old times give back what they were made of: then that is the answer.
        detrended = filtered if same_times else None
        share = _power_share(series, onto_band, coefficients=coefficients, detrended=detrended)
    band_passed = share is not None and share < ALREADY_FILTERED_SHARE

    if band_passed:
        n_usable = max(0, min(in_band.stop, kept) - in_band.start)
        cosines = _cosines(n_frames, new_frames, step_s / tr_s, in_band.start, in_band.start + n_usable)
        for rows in pieces:
            filtered[rows] = coefficients[rows, :n_usable] @ cosines
    elif not same_times:
        cosines = _cosines(n_frames, new_frames, step_s / tr_s, 0, kept)
        times = ((np.arange(new_frames) + 0.5) * (step_s / tr_s) - n_frames / 2).astype(np.float32)
        for rows in pieces:
            rest, line = without_line(series[rows])
            filtered[rows] = dct(rest, type=2, norm="ortho", axis=1)[:, :kept] @ cosines
            if band_hz is None:
                filtered[rows] += line[:, :1] + line[:, 1:] * times
    return FilteredSeries(series=filtered, tr_s=step_s, in_band_power=share, band_passed=band_passed)


def band_cosines(n_frames: int, *, tr_s: float, band_hz: tuple[float, float]) -> Float32[np.ndarray, "K T"]:
    """Return the orthonormal cosines of a band at the times of the frames: what a band-pass keeps."""
    kept = _in_band(_frequencies_hz(n_frames, tr_s), band_hz)
    return _cosines(n_frames, n_frames, 1.0, kept.start, kept.stop)


def _frequencies_hz(n_frames: int, tr_s: float) -> Float64[np.ndarray, " T"]:
    return np.arange(n_frames) / (2 * n_frames * tr_s)


def _in_band(frequencies_hz: Float64[np.ndarray, " T"], band_hz: tuple[float, float]) -> slice:
    low, high = band_hz
    return slice(
        int(np.searchsorted(frequencies_hz, low)), int(np.searchsorted(frequencies_hz, high, "right"))
    )


def row_pieces(series: VoxelSeries) -> list[slice]:
    """Cut the rows of a series into pieces of a few megabytes, to be worked on one after the other."""
    rows = max(1, _PIECE_BYTES // (4 * series.shape[1]))
    return [slice(start, start + rows) for start in range(0, len(series), rows)]


def without_line(series: VoxelSeries) -> tuple[VoxelSeries, Float32[np.ndarray, "N 2"]]:
    """Return what a least-squares line a voxel leaves, and that line (mean, slope a frame)."""
    n_frames = series.shape[1]
    times = np.arange(n_frames, dtype=np.float32) - np.float32((n_frames - 1) / 2)
    mean = series.mean(axis=1)
    rest = series - mean[:, None]
    slope = rest @ times / (times @ times)
    rest -= slope[:, None] * times
    return rest, np.stack([mean, slope], axis=1)


def _power_share(
    series: VoxelSeries,
    onto_band: Float32[np.ndarray, "T K"],
    *,
    coefficients: Float32[np.ndarray, "N K"],
    detrended: VoxelSeries | None,
) -> float:
    """Return which share of the detrended power lies in the band, and fill in what is made on the way."""
    power = power_in_band = drift = 0.0
    for rows in row_pieces(series):
        rest, line = without_line(series[rows])
        coefficients[rows] = rest @ onto_band
        if detrended is not None:
            detrended[rows] = rest
        power += _power(rest)
        power_in_band += _power(coefficients[rows])
        drift += _power_of_lines(line[:, 1], series.shape[1])
    if 0 < power < _ROUNDING_SHARE * drift:
        raise ConstantInTimeError(where="beyond a straight line")
    return power_in_band / power if power > 0 else 0.0


def _power(values: Float32[np.ndarray, "N K"]) -> float:
    return float(np.einsum("vk,vk->", values, values, dtype=np.float64))


def _power_of_lines(slopes: Float32[np.ndarray, " N"], n_frames: int) -> float:
    """Add up the squares of lines with a mean of zero: n (n^2 - 1) / 12 for a slope of 1."""
    return float(np.square(slopes, dtype=np.float64).sum()) * n_frames * (n_frames**2 - 1) / 12


# Few, because they may be large (all of a long run's take 25 MB), and scans of one site come one after the
# other, each with two of them.
@lru_cache(maxsize=4)
def _cosines(
    n_frames: int, new_frames: int, step: float, first: int, last: int
) -> Float32[np.ndarray, "K S"]:
    """Orthonormal DCT-II cosines first to last - 1 at the new frame times, in units of the old frame."""
    times = (np.arange(new_frames) + 0.5) * step
    single = np.empty((last - first, new_frames), dtype=np.float32)
    for row, number in enumerate(range(first, last)):
        size = np.sqrt((2 if number else 1) / n_frames)
        single[row] = np.cos(np.pi * number * times / n_frames) * size
    single.setflags(write=False)
    return single
