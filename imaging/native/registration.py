"""Where a scan's brain lies beside the template's: twelve numbers.

The outlines are brought together first (``imaging/template_fit.py``: seven numbers, found from far away;
where that leads nowhere, from other ``starts.py``).
Then the whole contrast is used: what the scan shows at each place of the template is explained by the tissue
there, each tissue with a brightness of its own that varies slowly through the head, as a receiving coil makes
it. A T1-weighted template says nothing about how bright a tissue is in an echo-planar image; its tissues do
not have to. The affine transform and the brightness are found together by Gauss-Newton, from a coarse to a
fine smoothing (the idea of an image as a sum over tissues and a bias is Ashburner and Friston's unified
segmentation, NeuroImage 2005, 26:839; here the tissue maps are fixed and the fit is least squares).
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np

from imaging.errors import ScanError
from imaging.native.contrast import LOWEST_MM, Contrast, TissueModel, near_brain, tissue_model
from imaging.native.overlap import brain_overlap
from imaging.native.starts import far_apart, starts, turn_deg, turned_over
from imaging.native.tissues import template_tissues
from imaging.shapes import Affine, Volume
from imaging.template_fit import BrainMap, Pose, brain_map, fit_template

# Standard deviations of the smoothing, coarse to fine.
SMOOTHING_MM = (6.0, 3.0)
LEAST_OUTLINE_FIT = 0.80
LEAST_COVERAGE = 0.75
LEAST_EXPLAINED = 0.5
LEAST_OVERLAP = 0.80
"""Dice coefficient: whole brains at hand reach 0.89 to 0.95, a whole head with its skull 0.74."""
GOOD_OVERLAP = 0.88
"""With more, no other start is tried."""
LEAST_SPAN_MM = 60.0
"""Of the slices, in every direction: fewer hold less than what is required of even a small child's brain."""

MOST_TURNED_DEG = 60.0
"""No coil lets a head turn farther."""

# Every so many of the points tell which of two poses is the better one.
_THIN = 5


Through = Literal["template", "t1w"]


class RegistrationFailedError(ScanError):
    """The scan shows nothing that the template's brain could be laid over.

    Attributes
    ----------
    outline_fit : float
        Correlation of the outlines in the best pose.
    explained : float
        Share of the scan's contrast that the template's tissues explain there; 0 where the outlines
        settled it.
    overlap : float
        Dice coefficient of the two brains; 0 where the outlines settled it.
    """

    code: ClassVar[str] = "registration_failed"

    def __init__(self, *, outline_fit: float, explained: float, overlap: float) -> None:
        self.outline_fit = outline_fit
        self.explained = explained
        self.overlap = overlap
        super().__init__(
            f"expected a whole brain that the MNI152 template can be laid over: outlines that correlate by "
            f"{LEAST_OUTLINE_FIT:.2f}, {LEAST_EXPLAINED:.0%} of the contrast explained by its tissues, an "
            f"overlap (Dice) of {LEAST_OVERLAP:.2f}; found {outline_fit:.2f}, {explained:.0%} and "
            f"{overlap:.2f}"
        )


class BrainCutOffError(ScanError):
    """A brain, or a box that could hold one, of which too much is out of view."""

    code: ClassVar[str] = "brain_cut_off"

    def __init__(self, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected a whole brain: {expected}, found {found}")


class HeadTurnedError(ScanError):
    """A head that does not lie as the header says: its front, its top or its sides are exchanged.

    Where it is turned, left and right may be exchanged as well: the template is symmetric and cannot tell.

    Attributes
    ----------
    turned_deg : float
        Between where the header has the head and where it is found.
    """

    code: ClassVar[str] = "head_turned"

    def __init__(self, *, turned_deg: float) -> None:
        self.turned_deg = turned_deg
        super().__init__(
            f"expected a head that is turned by at most {MOST_TURNED_DEG:g} degrees against what the header "
            f"says of the axes, found {turned_deg:.0f} degrees: the header, or the position that was entered "
            f"at the scanner, is wrong"
        )


@dataclass(frozen=True, eq=False)
class Registration:
    """How the template lies over a scan.

    Attributes
    ----------
    affine : (4, 4) float64
        Template millimetres -> scan millimetres, RAS+ both.
    outline_fit : float
        Correlation of the outlines in the pose that it began with.
    explained : float
        Share of the variance of the scan's contrast, in and around the brain, that the tissues explain.
    coverage : float
        Share of the template's brain that lies within the scan's field of view.
    overlap : float
        Dice coefficient of the template's brain and the scan's, within it.
    through : {"template", "t1w"}
        What the scan was laid over: the template itself, or a T1-weighted image that was laid over it.
    t1w_not_used : str
        Why a T1-weighted image that was given did not show the way; empty where it did, or none was given.
    """

    affine: Affine
    outline_fit: float
    explained: float
    coverage: float
    overlap: float
    through: Through = "template"
    t1w_not_used: str = ""

    @property
    def t1w_was_tried(self) -> bool:
        """Whether there was a T1-weighted image, used or not."""
        return self.through == "t1w" or bool(self.t1w_not_used)

    @property
    def goodness(self) -> float:
        """What two poses are compared by: explained contrast, where brain lies over brain."""
        return self.explained * self.overlap


def register(mean: Volume, affine: Affine) -> Registration:
    """Lay the template over a scan.

    Parameters
    ----------
    mean : (X, Y, Z) float32
        The mean of the scan's frames, the head at rest in them.
    affine : (4, 4) float64
        Voxel indices -> RAS+ millimetres of the scanner.

    Returns
    -------
    Registration

    Raises
    ------
    BrainCutOffError
        If too little of the brain is in view.
    RegistrationFailedError
        If there is no brain in it, or nothing fits.
    HeadTurnedError
        If it fits, but not the way round that the header says.
    """
    _require_span(mean, affine)
    outline = brain_map(mean, affine)
    if outline is None:
        raise RegistrationFailedError(outline_fit=0.0, explained=0.0, overlap=0.0)
    best = _found_from(mean, affine, outline)
    # Most that is wrong with a header turns a brain over, and a brain that lies over itself back to front
    # overlaps well.
    for start in turned_over(best.affine):
        with suppress(BrainCutOffError, RegistrationFailedError):
            pose = fit_template(outline, start=start)
            other = _refined(mean, affine, pose, thin=_THIN, least_explained=0.9 * best.explained)
            if other.goodness > best.goodness:
                best = _refined(mean, affine, Pose(other.affine, other.outline_fit))
    turned = turn_deg(best.affine)
    if turned > MOST_TURNED_DEG:
        raise HeadTurnedError(turned_deg=turned)
    return best


def register_from(mean: Volume, affine: Affine, *, start: Affine) -> Registration:
    """Lay the template over a brain from one pose, which is near; otherwise as :func:`register`."""
    outline = brain_map(mean, affine)
    if outline is None:
        raise RegistrationFailedError(outline_fit=0.0, explained=0.0, overlap=0.0)
    return _refined(mean, affine, fit_template(outline, start=start))


def _found_from(mean: Volume, affine: Affine, outline: BrainMap) -> Registration:
    """Return the best of what is found from each start."""
    found: list[Registration] = []
    refused: list[tuple[float, ScanError]] = []
    tried: list[Affine] = []
    for start in starts(outline):
        pose = fit_template(outline, start=start)
        if not all(far_apart(pose.affine, other) for other in tried):
            continue
        tried.append(pose.affine)
        try:
            found.append(_refined(mean, affine, pose))
        except (BrainCutOffError, RegistrationFailedError) as refusal:
            refused.append((pose.correlation, refusal))
            continue
        if found[-1].overlap >= GOOD_OVERLAP:
            break
    if not found:
        # What came nearest says most of why.
        raise max(refused, key=lambda pair: pair[0])[1]
    return max(found, key=lambda registration: registration.overlap)


def _refined(
    mean: Volume,
    affine: Affine,
    start: Pose,
    *,
    thin: int = 1,
    least_explained: float = LEAST_EXPLAINED,
) -> Registration:
    """Go on from the outlines' pose by the contrast; raise where either leads nowhere."""
    if start.correlation < LEAST_OUTLINE_FIT:
        raise RegistrationFailedError(outline_fit=start.correlation, explained=0.0, overlap=0.0)
    _require_coverage(coverage_of(mean, affine, start.affine))
    pose, explained = start.affine, 0.0
    for sigma_mm in SMOOTHING_MM:
        model = template_model(sigma_mm, thin)
        pose, explained = Contrast(mean, affine, model, sigma_mm=sigma_mm).fit(pose)
    coverage = coverage_of(mean, affine, pose)
    if explained < least_explained:
        raise RegistrationFailedError(outline_fit=start.correlation, explained=explained, overlap=0.0)
    overlap = brain_overlap(mean, affine=affine, pose=pose, lowest_mm=LOWEST_MM)
    if overlap < LEAST_OVERLAP:
        raise RegistrationFailedError(outline_fit=start.correlation, explained=explained, overlap=overlap)
    _require_coverage(coverage)
    return Registration(
        affine=pose,
        outline_fit=start.correlation,
        explained=explained,
        coverage=coverage,
        overlap=overlap,
    )


def _require_span(mean: Volume, affine: Affine) -> None:
    span_mm = float((np.linalg.norm(affine[:3, :3], axis=0) * mean.shape).min())
    if span_mm < LEAST_SPAN_MM:
        raise BrainCutOffError(
            expected=f"slices that span at least {LEAST_SPAN_MM:g} mm in every direction",
            found=f"{span_mm:.0f} mm",
        )


def _require_coverage(coverage: float) -> None:
    if coverage < LEAST_COVERAGE:
        raise BrainCutOffError(
            expected=f"at least {LEAST_COVERAGE:.0%} of the template's in view", found=f"{coverage:.1%}"
        )


@lru_cache(maxsize=4)
def template_model(sigma_mm: float, thin: int) -> TissueModel:
    """Return the template's tissues, smoothed, at every so many of the points that are compared."""
    tissues = template_tissues()
    return tissue_model(tissues, sigma_mm=sigma_mm, where=near_brain(tissues), thin=thin)


def coverage_of(mean: Volume, affine: Affine, pose: Affine) -> float:
    """Return the share of the template's brain that lies inside a scan's grid."""
    tissues = template_tissues()
    brain = np.argwhere(tissues.shares[:, ::2, ::2, ::2].sum(axis=0) > 0.5) * 2
    to_scan = np.linalg.inv(affine) @ pose @ tissues.affine
    voxels = brain @ to_scan[:3, :3].T + to_scan[:3, 3]
    return float(((voxels >= -0.5) & (voxels <= np.array(mean.shape) - 0.5)).all(axis=1).mean())
