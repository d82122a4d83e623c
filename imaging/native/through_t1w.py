"""A person's own T1-weighted image between an echo-planar run and the template: two transforms made one.

The brain is looked for in it rigidly, with the size that the run has shown, cut out, and fitted to the
template by twelve numbers. What is cut out is divided into tissues, with the template's as what is expected
(Ashburner and Friston, NeuroImage 2005, 26:839). Those tissues, of this person, are laid over the run's mean
frame by six numbers, by ``contrast.py`` as the template's are.

A T1-weighted image may be another person's, cropped, or no head at all. It counts where its tissues explain
the run clearly better than the template's do in the very same place: as one's own folds do, and another's
do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter

from imaging.errors import ScanError
from imaging.native.contrast import (
    LOWEST_MM,
    Contrast,
    least_squares,
    near_brain,
    polynomials,
    tissue_model,
)
from imaging.native.overlap import TissueMask, TissueVolume, brain_overlap, largest_piece, on_template
from imaging.native.registration import (
    LEAST_EXPLAINED,
    LEAST_OVERLAP,
    SMOOTHING_MM,
    Registration,
    coverage_of,
    register_from,
    template_model,
)
from imaging.native.starts import starts
from imaging.native.structural import Structural
from imaging.native.tissues import Tissues, template_tissues
from imaging.shapes import Affine, Volume
from imaging.template_fit import CENTRE_MM, brain_map

# Standard deviations of the smoothing, and every how many of the points, while the head is looked for.
_ROUGH_MM, _THIN = 6.0, 5

# Of the template's brain: what lies so deep is brain in a rough pose too; what lies so far is not.
_INSIDE_MM, _NEAR_MM = 16.0, 16.0
# Bridges thinner than twice this, to the eyes, the scalp and the neck, are cut.
_BRIDGE_MM = 5.0

# How far an affine transform leaves tissues from where the template has them.
_EXPECTED_MM = 2.5
_ROUNDS = 4
# Every so many of the voxels tell how bright a tissue is where.
_SPARSE = 4

# Coarse to fine, of the run beside the person's tissues.
_RUN_MM = (4.0, 2.0)
# Points nearer to the surface are left out.
_SURFACE_MM = 5.0
# Of the median misfit: where signal is lost in the run.
_DOUBTED_BEYOND = 4.5

MOST_LEFT = 0.93
"""Of what the template's tissues leave unexplained. One's own left 0.71 to 0.85 of it in
simulated pairs, another person's 0.97 and more (``benchmarks/native_registration.py``)."""
OVERLAP_LOST = 0.03
"""Dice coefficient, of the template and the run, that it may cost at most."""


class T1wNotUsedError(Exception):
    """A T1-weighted image that a run is not laid over by. Its words say what was found instead."""


@dataclass(frozen=True, eq=False)
class Way:
    """From the template to a run by way of an image.

    Attributes
    ----------
    head : (4, 4) float64
        Template mm -> mm of the image.
    beside : (4, 4) float64
        Millimetres of the image -> of the run, rigid.
    left : float
        Of what the template's tissues leave unexplained of the run, the share that those of the image leave.
    own : Tissues
        Of the person, on the grid of the template's.
    """

    head: Affine
    beside: Affine
    left: float
    own: Tissues


def register_through(
    mean: Volume, affine: Affine, *, direct: Registration, structural: Structural
) -> tuple[Registration, Tissues]:
    """Lay the template over a scan by way of a T1-weighted image of the same head.

    Parameters
    ----------
    mean : (X, Y, Z) float32
        The mean of the scan's frames.
    affine : (4, 4) float64
        Voxel indices -> RAS+ mm of the scanner.
    direct : Registration
        Of the same scan, without the image.
    structural : Structural

    Returns
    -------
    Registration
        ``through`` "t1w".
    Tissues
        Of the person, in the template's space.

    Raises
    ------
    T1wNotUsedError
        If the image shows no brain, or not that of the scan, or the template lies worse than without it.
    """
    way = find_way(mean, affine, direct=direct, structural=structural)
    return judge_way(mean, affine, way, direct=direct), way.own


def find_way(mean: Volume, affine: Affine, *, direct: Registration, structural: Structural) -> Way:
    """Find both transforms, whatever they are worth; parameters as of :func:`register_through`.

    Raises
    ------
    T1wNotUsedError
        If the image shows no brain.
    """
    if not np.ptp(structural.values) > 0:
        raise T1wNotUsedError("expected a head, found the same value everywhere")
    try:
        values, head = find_head(structural, direct)
        own = own_tissues(values)
        centre_mm = head[:3, :3] @ CENTRE_MM + head[:3, 3]
        start = _rigid_part(direct.affine @ np.linalg.inv(head), centre_mm)
        beside = _lay_over_run(mean, affine, own, head=head, start=start)
        left = _left_beside_template(mean, affine, own, pose=beside @ head)
    except ScanError as refusal:
        raise T1wNotUsedError(f"in the image itself: {refusal}") from refusal
    except np.linalg.LinAlgError as error:
        raise T1wNotUsedError("expected a head, found nothing that a brain could be laid over") from error
    return Way(head=head, beside=beside, left=left, own=own)


def judge_way(mean: Volume, affine: Affine, way: Way, *, direct: Registration) -> Registration:
    """Measure how the template lies over a scan by way of an image, and refuse what is no help.

    Raises
    ------
    T1wNotUsedError
        If the image is not of the same head, or the template lies worse than without it.
    """
    if not way.left <= MOST_LEFT:
        raise T1wNotUsedError(
            f"expected its tissues to leave at most {MOST_LEFT:.0%} of what the template's leave unexplained "
            f"of the run, found {way.left:.0%}: as of another head"
        )
    pose, sigma_mm = way.beside @ way.head, SMOOTHING_MM[-1]
    explained = Contrast(mean, affine, template_model(sigma_mm, 1), sigma_mm=sigma_mm).explained(pose)
    overlap = brain_overlap(mean, affine=affine, pose=pose, lowest_mm=LOWEST_MM)
    least = max(LEAST_OVERLAP, direct.overlap - OVERLAP_LOST)
    if explained < LEAST_EXPLAINED or overlap < least:
        raise T1wNotUsedError(
            f"expected the template to lie over the run by way of it with {LEAST_EXPLAINED:.0%} of the "
            f"contrast explained and an overlap (Dice) of {least:.2f}, found {explained:.0%} and "
            f"{overlap:.2f}"
        )
    return Registration(
        affine=pose,
        outline_fit=direct.outline_fit,
        explained=explained,
        coverage=coverage_of(mean, affine, pose),
        overlap=overlap,
        through="t1w",
    )


def find_head(structural: Structural, direct: Registration) -> tuple[TissueVolume, Affine]:
    """Cut the brain out of an image, and lay the template over it.

    Returns
    -------
    (99, 117, 95) float32
        The brain alone, on the grid of the template's tissues laid over it.
    (4, 4) float64
        Template mm -> mm of the image.
    """
    rough = _rough_pose(structural, direct)
    found = register_from(brain_at(structural, rough), template_tissues().affine, start=np.eye(4))
    pose = rough @ found.affine
    return brain_at(structural, pose), pose


def _rough_pose(structural: Structural, direct: Registration) -> Affine:
    model = template_model(_ROUGH_MM, _THIN)
    contrast = Contrast(structural.values, structural.affine, model, sigma_mm=_ROUGH_MM)
    fits = [contrast.fit(start, freedom="rigid") for start in _starts(structural, direct)]
    return max(fits, key=lambda fit: fit[1])[0]


def _starts(structural: Structural, direct: Registration) -> Iterator[Affine]:
    """Yield where the head may lie: where it lay in the run, or where a head is, of the run's size."""
    yield direct.affine
    outline = brain_map(structural.values, structural.affine)
    if outline is None:
        return
    _, size, axes = np.linalg.svd(direct.affine[:3, :3])
    stretch = np.eye(4)
    stretch[:3, :3] = axes.T @ np.diag(size) @ axes
    stretch[:3, 3] = CENTRE_MM - stretch[:3, :3] @ CENTRE_MM
    for start in starts(outline):
        yield start @ stretch


def brain_at(structural: Structural, pose: Affine) -> TissueVolume:
    """Return what is bright near the template's brain, in one piece, cut off from scalp and neck."""
    values, seen = on_template(structural.values, affine=structural.affine, pose=pose)
    expected = template_tissues().shares.sum(axis=0) > 0.5
    inside = seen & (_deep(expected) > _INSIDE_MM)
    if not inside.any():
        raise T1wNotUsedError("expected a head where the run's is, or in its middle, found none")
    bright = seen & (_deep(~expected) <= _NEAR_MM) & (values > 0.5 * np.median(values[inside]))
    core = largest_piece(_deep(bright) > _BRIDGE_MM)
    brain = binary_fill_holes(bright & (_deep(~core) <= _BRIDGE_MM))
    return np.where(brain, values, np.float32(0))


def own_tissues(values: TissueVolume) -> Tissues:
    """Divide a brain into tissues by how bright it is and by where the template has them.

    Parameters
    ----------
    values : (99, 117, 95) float32
        T1-weighted, on the grid of the template's tissues; 0 outside the brain.
    """
    template = template_tissues()
    step_mm = float(template.affine[0, 0])
    zone = near_brain(template)
    expected = np.stack(
        [gaussian_filter(share, _EXPECTED_MM / step_mm)[zone] for share in template.shares]
    ).astype(np.float64)
    outside = np.maximum(1 - expected.sum(axis=0), 0)
    shown = values[zone].astype(np.float64)
    places_mm = np.argwhere(zone) @ template.affine[:3, :3].T + template.affine[:3, 3]
    bias = polynomials(places_mm - CENTRE_MM)
    # Outside the brain anything is as likely as anything else.
    anything = outside / max(float(np.ptp(shown)), 1e-30)
    share = expected
    for _ in range(_ROUNDS):
        likely = np.stack([_likely(shown, bias, weight) for weight in share]) * expected
        share = likely / np.maximum(likely.sum(axis=0) + anything, 1e-30)
    shares = np.zeros_like(template.shares)
    shares[:, zone] = share
    return Tissues(shares=shares, affine=template.affine)


def _likely(shown: np.ndarray, bias: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the density of each value under a tissue whose brightness varies slowly."""
    some = slice(None, None, _SPARSE)
    off = shown - bias @ least_squares(bias[some], shown[some], weight[some])
    least = 1e-12 * float(np.ptp(shown)) ** 2 + 1e-30
    variance = least + float(weight @ off**2) / max(float(weight.sum()), 1e-30)
    density: np.ndarray = np.exp(-0.5 * off**2 / variance) / np.sqrt(2 * np.pi * variance)
    return density


def _lay_over_run(mean: Volume, affine: Affine, own: Tissues, *, head: Affine, start: Affine) -> Affine:
    """Return where the head of an image lies in a run: mm of the image -> mm of the run, rigid.

    The surface is left out: what a run shows there, vessels, fluid and lost signal, no tissue map has.

    Parameters
    ----------
    mean : (X, Y, Z) float32
    affine : (4, 4) float64
        Its voxel indices -> RAS+ mm.
    own : Tissues
        Of the person, on the grid of the template's.
    head : (4, 4) float64
        Template mm -> mm of the image.
    start : (4, 4) float64
        Where to begin.
    """
    pose, deep = start, _deep_in(own)
    for sigma_mm in _RUN_MM:
        model = tissue_model(own, sigma_mm=sigma_mm, where=deep, to_head=head)
        contrast = Contrast(mean, affine, model, sigma_mm=sigma_mm, doubted_beyond=_DOUBTED_BEYOND)
        pose, _ = contrast.fit(pose, freedom="rigid")
    return pose


def _left_beside_template(mean: Volume, affine: Affine, own: Tissues, *, pose: Affine) -> float:
    """Return the share of what the template's tissues leave unexplained that a head's own leave too."""
    deep, sigma_mm = _deep_in(own), _RUN_MM[-1]
    left = []
    for tissues in (own, template_tissues()):
        model = tissue_model(tissues, sigma_mm=sigma_mm, where=deep)
        left.append(1 - Contrast(mean, affine, model, sigma_mm=sigma_mm).explained(pose))
    return left[0] / max(left[1], 1e-30)


def _deep_in(own: Tissues) -> TissueMask:
    deep: TissueMask = _deep(own.shares.sum(axis=0) > 0.5) > _SURFACE_MM
    if not deep.any():
        raise T1wNotUsedError("expected a brain, found none")
    return deep


def _deep(mask: TissueMask) -> TissueVolume:
    """Return how far each voxel lies from what is not of a mask, mm."""
    step_mm = float(template_tissues().affine[0, 0])
    return np.asarray(distance_transform_edt(mask, sampling=step_mm), dtype=np.float32)


def _rigid_part(transform: Affine, centre_mm: np.ndarray) -> Affine:
    """Return the rigid transform that is nearest to one about a point."""
    left, _, right = np.linalg.svd(transform[:3, :3])
    rigid = np.eye(4)
    rigid[:3, :3] = left @ right
    rigid[:3, 3] = transform[:3, :3] @ centre_mm + transform[:3, 3] - rigid[:3, :3] @ centre_mm
    return rigid
