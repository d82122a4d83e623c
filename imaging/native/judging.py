"""Which figures of a run are remarked on, and which refuse it.

Every threshold stands here with where it comes from; ``docs/native-quality.md`` has what was measured on real
scans. What refuses a registration stands in ``registration.py``.
"""

from typing import ClassVar

from imaging.errors import ScanError
from imaging.findings import ScanWarning
from imaging.native.framewise import framewise_displacement_mm
from imaging.native.motion import Motion
from imaging.native.quality import DISPLACED_MM, OUTLYING_SHARE, NativeQuality
from imaging.native.registration import GOOD_OVERLAP

MEAN_DISPLACEMENT_WARNED_MM = 0.5
"""Of a frame, the limit of Power et al. 2012 (NeuroImage 59:2142); here the mean reaches it."""

MEAN_DISPLACEMENT_REFUSED_MM = 1.0
"""Studies of connectivity leave out runs whose mean displacement is above 0.55 mm as Jenkinson measures it
(the lenient limit of Parkes et al. 2018, NeuroImage 171:415); Power's measure was 1.7 and 2.0 times that in
two runs at hand."""

DISPLACED_SHARE_WARNED = 0.2
"""Of the frames (the share in the stringent limit of Parkes et al. 2018, there beyond 0.25 mm as Jenkinson
measures it)."""

FEWEST_STILL_FRAMES = 20
"""One window of the network."""

STANDING_OUT_WARNED = 0.15
"""Of the frames, by DVARS or outlying voxels: our own."""

TSNR_WARNED = 20.0
"""Median over the brain, our own: echo-planar runs at 3 T have several times that."""

DEGREES_OF_FREEDOM_WARNED = 20.0
"""Left in the band, our own: between time courses that have nothing to do with each other, one correlation in
twenty is above 0.44 then (two-sided, Student's t with 18 degrees). Five minutes keep some 33 to 37."""

COVERAGE_WARNED = 0.85
OVERLAP_WARNED = GOOD_OVERLAP
SIMILARITY_WARNED = 0.7
"""Our own: below what the whole brains at hand reach, above what is refused."""


class TooMuchMotionError(ScanError):
    """The head moved so much that what is left after cleaning says more of the movement than of the brain.

    Attributes
    ----------
    mean_displacement_mm : float
        Framewise displacement.
    still_frames, n_frames : int
        Frames that moved at most ``DISPLACED_MM``, of those that are used.
    """

    code: ClassVar[str] = "too_much_motion"

    def __init__(self, *, mean_displacement_mm: float, still_frames: int, n_frames: int) -> None:
        self.mean_displacement_mm = mean_displacement_mm
        self.still_frames = still_frames
        self.n_frames = n_frames
        super().__init__(
            f"expected a head that moves at most {MEAN_DISPLACEMENT_REFUSED_MM:g} mm between frames on "
            f"average and at least {FEWEST_STILL_FRAMES} frames with at most {DISPLACED_MM:g} mm, found "
            f"{mean_displacement_mm:.2f} mm and {still_frames} of {n_frames} frames"
        )


def require_still(motion: Motion) -> None:
    """Refuse a head that moved too much.

    Raises
    ------
    TooMuchMotionError
    """
    moved = framewise_displacement_mm(motion)
    mean = float(moved.mean())
    still = 1 + int((moved <= DISPLACED_MM).sum())
    if mean > MEAN_DISPLACEMENT_REFUSED_MM or still < FEWEST_STILL_FRAMES:
        raise TooMuchMotionError(
            mean_displacement_mm=mean, still_frames=still, n_frames=len(motion.rotations)
        )


def remarks(quality: NativeQuality) -> tuple[ScanWarning, ...]:
    """Return what a reader of the result should know."""
    found = (judge(quality) for judge in (_motion, _steadiness, _frames, _freedom, _view, _fit))
    return tuple(remark for remark in found if remark is not None)


def _motion(quality: NativeQuality) -> ScanWarning | None:
    share = quality.shares()["displaced"]
    if quality.mean_displacement_mm <= MEAN_DISPLACEMENT_WARNED_MM and share <= DISPLACED_SHARE_WARNED:
        return None
    return ScanWarning(
        "head_moved",
        f"expected a head that moves at most {MEAN_DISPLACEMENT_WARNED_MM:g} mm between frames on average, "
        f"and more than {DISPLACED_MM:g} mm in at most {DISPLACED_SHARE_WARNED:.0%} of them; found "
        f"{quality.mean_displacement_mm:.2f} mm and {share:.0%}",
    )


def _steadiness(quality: NativeQuality) -> ScanWarning | None:
    if quality.tsnr >= TSNR_WARNED:
        return None
    return ScanWarning(
        "signal_unsteady",
        f"expected a mean of at least {TSNR_WARNED:g} standard deviations in time in half of the brain, "
        f"found {quality.tsnr:.1f}",
    )


def _frames(quality: NativeQuality) -> ScanWarning | None:
    share = quality.shares()["signal"]
    if share <= STANDING_OUT_WARNED:
        return None
    return ScanWarning(
        "frames_stand_out",
        f"expected at most {STANDING_OUT_WARNED:.0%} of the frames to change suddenly or to have more "
        f"than {OUTLYING_SHARE:.0%} outlying voxels, found {share:.0%}",
    )


def _freedom(quality: NativeQuality) -> ScanWarning | None:
    if quality.degrees_of_freedom >= DEGREES_OF_FREEDOM_WARNED:
        return None
    return ScanWarning(
        "few_degrees_of_freedom",
        f"expected at least {DEGREES_OF_FREEDOM_WARNED:g} degrees of freedom in the band after cleaning, "
        f"found {quality.degrees_of_freedom:.1f} of {quality.n_frames} frames",
    )


def _view(quality: NativeQuality) -> ScanWarning | None:
    if quality.coverage >= COVERAGE_WARNED:
        return None
    return ScanWarning(
        "brain_partly_in_view",
        f"expected at least {COVERAGE_WARNED:.0%} of the template's brain in view, "
        f"found {quality.coverage:.0%}",
    )


def _fit(quality: NativeQuality) -> ScanWarning | None:
    if quality.overlap >= OVERLAP_WARNED and quality.similarity >= SIMILARITY_WARNED:
        return None
    return ScanWarning(
        "registration_uncertain",
        f"expected outlines that overlap by {OVERLAP_WARNED:.2f} (Dice) and {SIMILARITY_WARNED:.0%} of "
        f"the contrast explained by the template's tissues, "
        f"found {quality.overlap:.2f} and {quality.similarity:.0%}",
    )
