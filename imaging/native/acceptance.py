"""Whether a run is what it has to be before any work is done on it: raw frames of a BOLD measurement."""

from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from imaging.errors import ScanError
from imaging.native.levels import head_of
from imaging.shapes import Bold
from imaging.variation import AllZeroError, ConstantInTimeError, require_frames_differ

# Evenly through the run, and evenly through the head: enough for a median.
_FRAMES = 24
_VOXELS = 4000

LEAST_ALTERNATION = 0.002
"""Of the head's mean, between frames of odd and even number: a pCASL run at hand alternates by 0.7 %."""

STEADY_ALTERNATION = 0.95
"""Of the pairs of frames whose second one is brighter, or whose first one is. Breathing at exactly half the
frame rate alternates too, but keeps its step for no whole run."""

LEAST_MEAN_TO_DEVIATION = 3.0
"""Of the brightest twentieth of the voxels: 20 and more in a raw run, under 1 in a filtered one."""
_BRIGHT = 95

# Fewer pairs agree by chance: one set of 8 in 128.
_FEWEST_PAIRS = 4

# Of the alternation to its standard error.
_CLEAR = 8.0


class SignalFilteredError(ScanError):
    """A scan without the brightness of its voxels: what a band-pass leaves.

    Attributes
    ----------
    mean_to_deviation : float
        Of the voxels' means in time to their standard deviations: one voxel in twenty has more.
    """

    code: ClassVar[str] = "signal_filtered"

    def __init__(self, *, mean_to_deviation: float) -> None:
        self.mean_to_deviation = mean_to_deviation
        super().__init__(
            f"expected frames as the scanner wrote them, whose bright voxels' mean is many times their "
            f"standard deviation in time, found {mean_to_deviation:.2g} times: this scan was filtered already"
        )


class AlternatingSignalError(ScanError):
    """Frames that are brighter and darker in turns: control and label images of arterial spin labelling.

    Attributes
    ----------
    alternation : float
        Between frames of odd and even number, as a share of the head's mean.
    steadiness : float
        Share of the pairs of frames that differ in the same direction.
    """

    code: ClassVar[str] = "alternating_signal"

    def __init__(self, *, alternation: float, steadiness: float) -> None:
        self.alternation = alternation
        self.steadiness = steadiness
        super().__init__(
            f"expected a BOLD run, found a head that is brighter and darker by {alternation:.2%} in turns, "
            f"in {steadiness:.0%} of the pairs of frames, as control and label images of arterial spin "
            f"labelling are"
        )


def require_raw(bold: Bold) -> None:
    """Refuse what nothing can be found in: no signal, copies of one frame, a filtered scan.

    Parameters
    ----------
    bold : (X, Y, Z, T) float32
        Scanner units.

    Raises
    ------
    AllZeroError
    ConstantInTimeError
    FramesRepeatedError
    SignalFilteredError
    """
    chosen = np.unique(np.linspace(0, bold.shape[3] - 1, _FRAMES).astype(int))
    some = bold[..., chosen]
    if not some.any():
        raise AllZeroError
    if (some == some[..., :1]).all():
        raise ConstantInTimeError(where="anywhere")
    mean, deviation = some.mean(axis=3), some.std(axis=3)
    varies = deviation > 0
    # Of the brightest: most of what is in view may be air.
    ratio = float(np.percentile(np.abs(mean[varies]) / deviation[varies], _BRIGHT))
    if ratio < LEAST_MEAN_TO_DEVIATION:
        raise SignalFilteredError(mean_to_deviation=ratio)
    voxels = np.argwhere(head_of(mean) & (deviation > 0))
    voxels = voxels[:: max(1, len(voxels) // _VOXELS)]
    series = np.ascontiguousarray(bold[tuple(voxels.T)])
    require_frames_differ(series, empty=np.zeros(len(series), dtype=np.float32))


def require_no_alternation(levels: Float64[np.ndarray, " T"]) -> None:
    """Refuse frames that are brighter and darker in turns from the first to the last.

    Parameters
    ----------
    levels : (T,) float64
        Mean of each frame over the head, without the frames that are not steady.

    Raises
    ------
    AlternatingSignalError
    """
    n_pairs = len(levels) // 2
    if n_pairs < _FEWEST_PAIRS:
        return
    pairs = levels[: 2 * n_pairs].reshape(n_pairs, 2)
    change = (pairs[:, 1] - pairs[:, 0]) / pairs.mean()
    alternation = float(abs(np.median(change)))
    steadiness = float(max((change > 0).mean(), (change < 0).mean()))
    clear = abs(change.mean()) > _CLEAR * change.std(ddof=1) / np.sqrt(n_pairs)
    if alternation > LEAST_ALTERNATION and steadiness >= STEADY_ALTERNATION and clear:
        raise AlternatingSignalError(alternation=alternation, steadiness=steadiness)
