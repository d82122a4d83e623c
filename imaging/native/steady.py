"""Which frames at the start of a run are left out.

The magnetisation needs some seconds of excitation until each frame begins where the one before it began;
until then frames are brighter. Two rules find these frames, and the longer one holds:

- the Athena pipeline drops four frames of every run, and the networks learn from its scans. Frames that the
  sidecar says were taken and never stored (``NumberOfVolumesDiscardedByScanner``, ``...ByUser``) count
  towards the four: the same seconds have passed. No statement is trusted further than that, because
- the signal itself is asked: frames at the start that are brighter than the steady rest by a robust rule are
  dropped, whatever a sidecar says. A converter cannot make a bright frame steady.

A run that would keep fewer than the fewest frames that are used keeps those: somewhat too bright is better
than refused.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

DROPPED_FRAMES = 4
"""Of every run, by the Athena pipeline."""

# Five times the T1 of grey matter at 3 T (1.3 s by Wansapura et al. 1999, JMRI 9:531, 1.8 s by Stanisz et al.
# 2005, MRM 54:507), after which less than one per cent is missing, and some more for fluid.
LONGEST_S = 12.0

# What is steady is taken from so many frames after those.
_STEADY_FRAMES = 40

# In robust standard deviations: one normal value in two million lies beyond.
_BEYOND = 5.0
# Of the steady level: what breathing and the heart do to a head's mean (0.1 to 0.5 %) is no T1 effect.
_LEAST_SHARE = 0.01

# The median absolute deviation of a normal distribution is 0.6745 of its standard deviation.
_MAD_OF_A_NORMAL = 0.6745


@dataclass(frozen=True)
class Start:
    """What was left out at the start of a run, and why.

    Attributes
    ----------
    dropped : int
        Frames that were left out.
    by_rule : int
        Of the Athena pipeline's four, those that the scanner had not left out itself.
    unsteady : int
        Frames that are brighter than the steady signal.
    discarded_before : int
        Frames that were never stored, as the sidecar says.
    """

    dropped: int
    by_rule: int
    unsteady: int
    discarded_before: int

    def to_json(self) -> dict[str, int | str]:
        """Return plain JSON values, with the reason in words."""
        return {
            "dropped": self.dropped,
            "by_rule": self.by_rule,
            "unsteady": self.unsteady,
            "discarded_before": self.discarded_before,
            "reason": self.reason,
        }

    @property
    def reason(self) -> str:
        """Why so many, in a sentence without its end."""
        wanted = max(self.by_rule, self.unsteady)
        if self.dropped < wanted:
            return f"{wanted} should go, but the run is too short for that"
        if self.unsteady > self.by_rule:
            return f"the signal is unsteady in the first {self.unsteady}"
        if self.by_rule < DROPPED_FRAMES:
            return f"the scanner had left out {self.discarded_before} itself"
        return f"the first {DROPPED_FRAMES} of every run, as the Athena pipeline does"


def find_start(
    levels: Float64[np.ndarray, " T"], *, tr_s: float, discarded_before: int, fewest_kept: int
) -> Start:
    """Say which frames at the start are left out.

    Parameters
    ----------
    levels : (T,) float64
        Mean of each frame over the head.
    tr_s : float
    discarded_before : int
        Frames that were taken and never stored.
    fewest_kept : int
        So many frames are kept in any case.

    Returns
    -------
    Start
    """
    by_rule = max(0, DROPPED_FRAMES - discarded_before)
    unsteady = count_unsteady(levels, tr_s=tr_s)
    return Start(
        dropped=max(0, min(max(by_rule, unsteady), len(levels) - fewest_kept)),
        by_rule=by_rule,
        unsteady=unsteady,
        discarded_before=discarded_before,
    )


def count_unsteady(levels: Float64[np.ndarray, " T"], *, tr_s: float) -> int:
    """Count the frames at the start that are brighter than the steady signal.

    Parameters
    ----------
    levels : (T,) float64
        Mean of each frame over the head.
    tr_s : float

    Returns
    -------
    int
        0 where what is bright at the start is not over after ``LONGEST_S``: that is drift or movement.
    """
    longest = min(int(LONGEST_S / tr_s), len(levels) // 2)
    steady = levels[longest : longest + _STEADY_FRAMES]
    level = float(np.median(steady))
    spread = float(np.median(np.abs(steady - level))) / _MAD_OF_A_NORMAL
    bright = levels[: longest + 1] > level + max(_BEYOND * spread, _LEAST_SHARE * abs(level))
    count = len(bright) if bright.all() else int(bright.argmin())
    return count if count <= longest else 0
