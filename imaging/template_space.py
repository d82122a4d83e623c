"""Whether a scan lies in template space, decided from its brain and not from its header or its shape.

The template is fitted to the scan (``template_fit.py``). In template space the best fit is where the scan
already is; elsewhere it is some centimetres or degrees away, upside down, or nowhere. The measured margins of
every threshold here stand in ``docs/template-space.md``; ``benchmarks/template_space_margins.py`` makes them.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from imaging.errors import ScanError
from imaging.findings import ScanWarning
from imaging.left_right import left_right_evidence
from imaging.shapes import Affine, Volume
from imaging.template_fit import (
    SHORT_SEARCH,
    brain_map,
    correlation_as_given,
    coverage,
    fit_template,
    mirrored,
)

MIN_COVERAGE = 0.5
MIN_FIT = 0.80
GOOD_FIT = 0.88
MAX_DISPLACEMENT_MM = 15.0
GOOD_DISPLACEMENT_MM = 6.5
MAX_FLIP_GAIN = 0.0
GOOD_FLIP_GAIN = -0.02
CLEAR_SIDE = 0.06  # of left_right_evidence, either way

FLIPS = ((1,), (2,), (1, 2))  # back to front, upside down, both; left-right leaves the template unchanged


@dataclass(frozen=True)
class TemplateSpaceDecision:
    """A scan accepted as lying in template space.

    Attributes
    ----------
    space : str
        Always ``"template"``; other scans are refused.
    scores : dict of str to float
        What was measured; the same names as in :class:`NotInTemplateSpaceError`.
    warnings : tuple of ScanWarning
        ``template_fit_poor`` where the scan passed by a small margin only; ``left_right_suspect`` where its
        asymmetry points the wrong way; ``left_right_unverified`` where it points no way clearly.
    """

    space: str
    scores: dict[str, float]
    warnings: tuple[ScanWarning, ...]


class NotInTemplateSpaceError(ScanError):
    """The scan's brain is not where the template's brain is.

    Attributes
    ----------
    coverage : float
        Share of the template's brain where the scan has signal.
    fit : float
        Correlation of the two outlines in the best pose.
    displacement_mm : float
        Root mean square distance between the template's brain and its best pose in the scan.
    flip_gain : float
        How much better (above 0) the template fits when turned back to front or upside down.
    """

    code: ClassVar[str] = "not_in_template_space"

    def __init__(self, *, coverage: float, fit: float, displacement_mm: float, flip_gain: float) -> None:
        self.coverage = coverage
        self.fit = fit
        self.displacement_mm = displacement_mm
        self.flip_gain = flip_gain
        super().__init__(
            f"expected a scan in MNI152 template space: {MIN_COVERAGE:.0%} of the template's brain covered, "
            f"outlines that correlate by {MIN_FIT:.2f}, within {MAX_DISPLACEMENT_MM:.0f} mm, not mirrored; "
            f"found {self._found()}. Scans in native space need spatial normalisation first."
        )

    def _found(self) -> str:
        if self.coverage < MIN_COVERAGE:
            return f"{self.coverage:.0%} covered"
        if self.fit < MIN_FIT:
            return f"outlines that correlate by {self.fit:.2f} at best"
        if self.flip_gain > MAX_FLIP_GAIN:
            return "a brain that fits better back to front or upside down"
        return f"a brain {self.displacement_mm:.0f} mm away"


def decide_template_space(*, mean: Volume, temporal_sd: Volume, affine: Affine) -> TemplateSpaceDecision:
    """Accept a scan in template space, or refuse it.

    Parameters
    ----------
    mean, temporal_sd : (X, Y, Z) float32
        Each voxel's mean and standard deviation over time, scanner units, on the scan's own grid in any
        orientation. A band-passed scan has no anatomy in its mean; then the standard deviation is looked at.
    affine : (4, 4) float64
        Voxel indices -> RAS+ millimetres.

    Returns
    -------
    TemplateSpaceDecision

    Raises
    ------
    NotInTemplateSpaceError
        If the brain covers too little of the template, has another shape, or lies elsewhere.
    """
    anatomy = _anatomy(mean, temporal_sd)
    brain = brain_map(anatomy, affine)
    covered = 0.0 if brain is None else coverage(brain)
    if brain is None or covered < MIN_COVERAGE / 2:
        # Too little to fit anything to; what the fit would say about a crop means nothing.
        raise NotInTemplateSpaceError(coverage=covered, fit=0.0, displacement_mm=0.0, flip_gain=0.0)

    pose = fit_template(brain)
    flipped = (
        fit_template(brain, start=mirrored(pose.affine, axes=axes), search=SHORT_SEARCH) for axes in FLIPS
    )
    flip_gain = max(other.correlation for other in flipped) - pose.correlation
    displacement_mm = pose.displacement_mm
    if (
        covered < MIN_COVERAGE
        or pose.correlation < MIN_FIT
        or displacement_mm > MAX_DISPLACEMENT_MM
        or flip_gain > MAX_FLIP_GAIN
    ):
        raise NotInTemplateSpaceError(
            coverage=covered, fit=pose.correlation, displacement_mm=displacement_mm, flip_gain=flip_gain
        )
    scores = {
        "coverage": covered,
        "fit": pose.correlation,
        "fit_as_given": correlation_as_given(brain),
        "displacement_mm": displacement_mm,
        "scale": pose.scale,
        "flip_gain": flip_gain,
        "left_right_evidence": left_right_evidence(anatomy, affine, pose.affine),
    }
    warnings = (*_doubts_of_fit(scores), *_doubts_of_side(scores["left_right_evidence"]))
    return TemplateSpaceDecision("template", scores, warnings)


def _anatomy(mean: Volume, temporal_sd: Volume) -> Volume:
    varies = temporal_sd > 0
    if varies.any() and np.median(np.abs(mean[varies]) / temporal_sd[varies]) < 1:
        return temporal_sd
    return mean


def _doubts_of_fit(scores: dict[str, float]) -> list[ScanWarning]:
    poor = (
        scores["fit"] < GOOD_FIT
        or scores["displacement_mm"] > GOOD_DISPLACEMENT_MM
        or scores["flip_gain"] > GOOD_FLIP_GAIN
    )
    if not poor:
        return []
    return [
        ScanWarning(
            "template_fit_poor",
            f"expected a brain within {GOOD_DISPLACEMENT_MM} mm of the MNI152 template, its outline "
            f"correlating by {GOOD_FIT} or more; found {scores['displacement_mm']:.1f} mm and "
            f"{scores['fit']:.2f}. Accepted, but check the spatial normalisation.",
        )
    ]


def _doubts_of_side(evidence: float) -> list[ScanWarning]:
    if evidence < -CLEAR_SIDE:
        return [
            ScanWarning(
                "left_right_suspect",
                f"expected the average brain's asymmetry, found its mirror image (evidence {evidence:+.2f}): "
                "left and right may be swapped. Check the file's orientation against the scanner's.",
            )
        ]
    if evidence <= CLEAR_SIDE:
        return [
            ScanWarning(
                "left_right_unverified",
                f"expected an asymmetry that tells the sides apart, found none that is clear (evidence "
                f"{evidence:+.2f}): left and right rest on the file's header alone.",
            )
        ]
    return []
