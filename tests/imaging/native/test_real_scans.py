"""Scans that people measured: whole brains come into template space, the rest is refused for what it is.

The thresholds are those that ``docs/native-quality.md`` states; its table is made of the same scans.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import cycle
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import scipy.signal
from scipy.fft import dct, idct
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from imaging import BoldScan, ScanError, open_scan
from imaging.dimensions import NotFourDimensionalError
from imaging.native.acceptance import (
    AlternatingSignalError,
    require_no_alternation,
    require_raw,
)
from imaging.native.known import Known
from imaging.native.levels import frame_levels
from imaging.native.normalise import normalise
from imaging.native.nuisance import regress_nuisance
from imaging.native.overlap import on_template
from imaging.native.registration import (
    LEAST_COVERAGE,
    LEAST_EXPLAINED,
    LEAST_OUTLINE_FIT,
    LEAST_OVERLAP,
    BrainCutOffError,
    HeadTurnedError,
    RegistrationFailedError,
    register,
)
from imaging.native.sources import take_in
from imaging.native.structural import read_structural
from imaging.native.through_t1w import T1wNotUsedError, find_head, find_way, register_through
from imaging.native.tissues import template_tissues
from imaging.template import template_brain
from tests.imaging.native.heads import GRID, distance_mm, moved
from tests.imaging.native.people import run_mean_of_head
from tests.imaging.native.storage import mirrored, permuted
from tests.thorough import first

pytestmark = pytest.mark.real_data

DS205 = "bold/ds205_sub-03_bold_53x53x27x40_TR2.2.nii.gz"
DS003 = "bold/nipype_ds003_sub-01_16x16x9x20.nii.gz"
SIEMENS = "bold/Siemens_epi_human_86x86x39x2.nii.gz"
GE = "bold/GE_epi_human_64x64x15x10.nii.gz"
NIPY = "bold/nipy_functional_17x21x3x20.nii.gz"
NITIME = "bold/nitime_fmri1_10x10x18x40.nii.gz"
CT = "wrong_modality/CT_head_175x248x58.nii.gz"
T1 = "wrong_modality/T1w_defaced_104x150x133.nii.gz"
T1_CROP = "wrong_modality/T1w_crop_33x41x25.nii"
ASL = "wrong_modality/ASL_pcasl_52x68x20x10.nii.gz"
PHANTOM = "wrong_modality/EPI_phantom_GE_64x64x8x8.nii.gz"
PHILIPS = "dicom/philips_epi_24vols_dicom.zip"
ATHENA = "athena_like/sfnwmrda9990002_session_1_rest_1.nii.gz"

MARK = np.array([35.0, -20.0, 30.0, 1.0])
"""In the right hemisphere of the template, mm."""


def samples(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(path)
    return np.asarray(image.dataobj, dtype=np.float32), image.affine


def mean_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    values, affine = samples(path)
    return (values.mean(axis=3) if values.ndim == 4 else values), affine


def tilted(affine: np.ndarray) -> np.ndarray:
    """Lay the head otherwise in the scanner."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [18, -10, 12], degrees=True).as_matrix()
    pose[:3, 3] = [12.0, -25.0, 18.0]
    return pose @ affine


def from_corner(affine: np.ndarray) -> np.ndarray:
    """Forget where the scanner's middle is, as some converters do."""
    cornered = affine.copy()
    cornered[:3, 3] = 0
    return cornered


VARIANTS = {
    "as it is": lambda volume, affine: (volume, affine),
    "tilted": lambda volume, affine: (volume, tilted(affine)),
    "origin in a corner": lambda volume, affine: (volume, from_corner(affine)),
    "mirrored": lambda volume, affine: mirrored(volume, affine, 0),
    "upside down": lambda volume, affine: mirrored(volume, affine, 1, 2),
    "permuted": lambda volume, affine: permuted(volume, affine, (2, 0, 1)),
    "permuted, mirrored, tilted": lambda volume, affine: mirrored(
        *permuted(volume, tilted(affine), (1, 2, 0)), 0, 2
    ),
}

SOME_VARIANTS = ("as it is", "tilted", "upside down", "permuted, mirrored, tilted")


@pytest.mark.parametrize("variant", first(3, VARIANTS))
def test_a_whole_brain_is_registered_however_it_lies_and_is_stored(shared_data, variant):
    volume, affine = VARIANTS[variant](*mean_of(shared_data / DS205))

    found = register(volume, affine)

    assert found.outline_fit > 0.95
    assert found.explained > 0.85
    assert found.overlap > 0.93
    assert found.coverage > 0.88


@pytest.fixture(scope="module")
def philips(shared_data, tmp_path_factory) -> Path:
    """Return the DICOM series as a file."""
    return take_in(shared_data / PHILIPS, tmp_path_factory.mktemp("philips")).path


def test_a_head_that_came_as_dicom_is_registered(philips):
    found = register(*mean_of(philips))

    assert found.outline_fit > 0.94
    assert found.explained > 0.82
    assert found.overlap > 0.92
    assert found.coverage > 0.92


@pytest.fixture(scope="module")
def at_rest(shared_data, philips) -> Callable[[str], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the mean of a scan by name, its affine, and the template's pose over it."""

    @cache
    def registered(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        volume, affine = mean_of(philips if name == PHILIPS else shared_data / name)
        return volume, affine, register(volume, affine).affine

    return registered


@pytest.mark.parametrize("variant", first(2, reversed(SOME_VARIANTS)))
@pytest.mark.parametrize(
    ("name", "least"),
    # Of the outline's fit, the contrast explained, the overlap, the coverage.
    [(PHILIPS, (0.94, 0.80, 0.92, 0.90)), (SIEMENS, (0.93, 0.78, 0.92, 0.86))],
    ids=["Philips", "Siemens"],
)
def test_other_scanners_heads_are_registered_and_keep_their_sides(at_rest, name, least, variant):
    plain, affine, pose = at_rest(name)
    marked = ball(plain, affine, at_mm=(pose @ MARK)[:3])
    # On the side that the header says is the person's.
    assert (pose @ MARK)[0] > (affine @ [*((np.array(plain.shape) - 1) / 2), 1])[0]

    volume, turned = VARIANTS[variant](marked, affine)
    found = register(volume, turned)

    reached = (found.outline_fit, found.explained, found.overlap, found.coverage)
    assert all(value > lowest for value, lowest in zip(reached, least, strict=True)), reached
    right, left = beside(volume, turned, found.affine)
    assert right > 2 * left


@pytest.mark.parametrize("variant", first(1, ("permuted, mirrored, tilted", *SOME_VARIANTS[:-1])))
def test_the_coarsest_head_is_registered(at_rest, variant):
    """Of 12.5 x 12.5 x 16 mm: too coarse for a mark."""
    plain, affine, pose = at_rest(DS003)
    volume, turned = VARIANTS[variant](plain, affine)

    found = register(volume, turned)

    assert found.outline_fit > LEAST_OUTLINE_FIT + 0.1
    assert found.explained > LEAST_EXPLAINED + 0.3
    assert found.overlap > LEAST_OVERLAP + 0.07
    assert found.coverage > LEAST_COVERAGE + 0.1
    # As over the scan as it is: a point of the template lies where it lay.
    to_voxels, as_it_was = np.linalg.inv(affine) @ pose @ MARK, np.linalg.inv(turned) @ found.affine @ MARK
    values = [
        map_coordinates(image, place[:3, None], order=1)[0]
        for image, place in ((plain, to_voxels), (volume, as_it_was))
    ]
    assert values[1] == pytest.approx(values[0], rel=0.1)


def ball(volume: np.ndarray, affine: np.ndarray, *, at_mm: np.ndarray) -> np.ndarray:
    """Make a ball of 10 mm brighter."""
    grid = np.indices(volume.shape).reshape(3, -1)
    places = affine[:3, :3] @ grid + affine[:3, 3:]
    away = np.linalg.norm(places - at_mm[:, None], axis=0).reshape(volume.shape)
    return np.where(away < 10, 2.5 * volume, volume).astype(np.float32)


def beside(volume: np.ndarray, affine: np.ndarray, pose: np.ndarray) -> tuple[float, float]:
    """Return how bright a head is at the mark, and at its mirror image."""
    values, _ = on_template(volume, affine=affine, pose=pose)
    to_voxels = np.linalg.inv(template_tissues().affine)
    places = (to_voxels @ (MARK * [way, 1, 1, 1]) for way in (1, -1))
    right, left = (values[tuple(np.rint(place[:3]).astype(int))] for place in places)
    return float(right), float(left)


@pytest.mark.parametrize(("variant", "side"), first(4, zip(VARIANTS, cycle([-1, 1]), strict=False)))
def test_a_mark_in_a_real_head_stays_on_its_side(at_rest, variant, side):
    plain, affine, pose = at_rest(DS205)
    place = np.linalg.inv(affine) @ pose @ (MARK * [side, 1, 1, 1])
    marked = plain.copy()
    x, y, z = np.rint(place[:3]).astype(int)
    # Two voxels to each direction, on the side that the header says is the person's.
    scanner_x_mm = (affine @ [x, y, z, 1])[0]
    assert np.sign(scanner_x_mm - (affine @ [(plain.shape[0] - 1) / 2, y, z, 1])[0]) == side
    marked[x - 2 : x + 3, y - 2 : y + 3, z - 2 : z + 3] *= 2.5

    volume, turned = VARIANTS[variant](marked, affine)
    values, _ = on_template(volume, affine=turned, pose=register(volume, turned).affine)

    tissues = template_tissues()
    at = {
        way: tuple(np.rint(np.linalg.inv(tissues.affine) @ (MARK * [way, 1, 1, 1])).astype(int)[:3])
        for way in (-1, 1)
    }
    assert values[at[side]] > 1.7 * values[at[-side]]


# What `restnet preprocess` and the service say to each file of two folders, as docs/errors.md has the codes.
ENDS = {
    DS205: "accepted",
    # Its header says nothing of where it lies.
    DS003: "no_orientation",
    SIEMENS: "too_few_frames",
    GE: "too_few_frames",
    NIPY: "brain_cut_off",
    # More bytes than its header says.
    NITIME: "data_too_long",
    # Of one volume, and without a time between frames that a run would have.
    CT: "missing_repetition_time",
    T1_CROP: "missing_repetition_time",
    T1: "not_four_dimensional",
    ASL: "too_few_frames",
    PHANTOM: "too_few_frames",
    ATHENA: "signal_filtered",
}


@pytest.mark.parametrize("name", ENDS)
def test_a_file_that_is_handed_over_ends_as_it_is_documented(shared_data, tmp_path, name):
    if ENDS[name] == "accepted":
        normalise(open_scan(take_in(shared_data / name, tmp_path).path))
        return
    with pytest.raises(ScanError, match=r"expected .* found ") as refusal:
        normalise(open_scan(take_in(shared_data / name, tmp_path).path))

    assert refusal.value.code == ENDS[name]
    assert f"| `{ENDS[name]}` |" in (Path(__file__).parents[3] / "docs" / "errors.md").read_text()


def test_no_file_of_these_folders_is_left_out(shared_data):
    folders = ("bold", "wrong_modality", "athena_like")
    assert {
        path.relative_to(shared_data).as_posix()
        for name in folders
        for path in (shared_data / name).iterdir()
    } == set(ENDS)


@pytest.mark.parametrize(
    ("name", "refusal"),
    [(CT, NotFourDimensionalError), (T1, NotFourDimensionalError), (T1_CROP, NotFourDimensionalError)],
)
def test_one_volume_is_no_run(shared_data, name, refusal):
    with pytest.raises(refusal):
        normalise(open_scan(shared_data / name))


def test_five_slices_are_refused_for_what_they_span(shared_data):
    frames, affine = samples(shared_data / DS205)

    with pytest.raises(BrainCutOffError, match="found 20 mm"):
        normalise(BoldScan.from_array(np.asfortranarray(frames[:, :, 10:15]), affine=affine, tr_s=2.2))


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        (CT, RegistrationFailedError),
        (T1, RegistrationFailedError),
        (T1_CROP, BrainCutOffError),
        (PHANTOM, BrainCutOffError),
        (GE, BrainCutOffError),
        (NIPY, BrainCutOffError),
        (NITIME, BrainCutOffError),
    ],
)
def test_its_volume_alone_would_not_be_laid_over_the_template_either(shared_data, name, refusal):
    """Whatever a file's number of frames says: somebody may stack what is refused above."""
    with pytest.raises(refusal):
        register(*mean_of(shared_data / name))


@pytest.mark.parametrize("share", [0.5, 0.65])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", ["first", "last"])
def test_a_part_of_a_brain_is_refused(shared_data, share, axis, end):
    volume, affine = mean_of(shared_data / DS205)
    kept = round(share * volume.shape[axis])
    part = [slice(None)] * 3
    part[axis] = slice(0, kept) if end == "first" else slice(-kept, None)
    moved = affine.copy()
    if end == "last":
        moved[:3, 3] += affine[:3, axis] * (volume.shape[axis] - kept)

    with pytest.raises(BrainCutOffError):
        register(np.ascontiguousarray(volume[tuple(part)]), moved)


@pytest.mark.parametrize(
    ("name", "axes"),
    first(2, [(DS205, (1,)), (SIEMENS, (2,)), (DS205, (2,)), (DS205, (1, 2)), (DS003, (2,))]),
)
def test_a_real_head_whose_header_lies_is_refused_for_one_reason_or_another(shared_data, name, axes):
    volume, affine = mean_of(shared_data / name)

    with pytest.raises((HeadTurnedError, BrainCutOffError, RegistrationFailedError)):
        register(np.ascontiguousarray(np.flip(volume, axes)), affine)


def test_arterial_spin_labelling_is_refused_for_its_turns_and_no_bold_run_is(shared_data):
    labelled, _ = samples(shared_data / ASL)
    require_raw(labelled)
    with pytest.raises(AlternatingSignalError) as refusal:
        require_no_alternation(frame_levels(labelled))
    assert refusal.value.steadiness == 1
    for name in (DS205, DS003, GE, NIPY, NITIME, PHANTOM):
        require_no_alternation(frame_levels(samples(shared_data / name)[0]))


def test_a_long_run_of_arterial_spin_labelling_is_refused_end_to_end(shared_data):
    labelled, affine = samples(shared_data / ASL)
    generator = np.random.default_rng(0)
    # Ten frames are too few for a run: four times the same, with a noise that no two frames share.
    longer = np.tile(labelled, 4)
    longer += generator.normal(0, 0.01 * labelled.mean(), longer.shape).astype(np.float32)

    with pytest.raises(AlternatingSignalError):
        normalise(BoldScan.from_array(longer, affine=affine, tr_s=2.54))


def test_a_run_comes_through_with_figures_of_which_its_length_alone_is_remarked_on(shared_data):
    found = normalise(open_scan(shared_data / DS205))

    assert [warning.code for warning in found.warnings] == ["few_degrees_of_freedom"]
    # Of 11 cosines.
    assert 2 < found.quality.degrees_of_freedom < 9
    assert found.quality.mean_displacement_mm < 0.15
    assert found.quality.overlap > 0.93
    assert found.quality.tsnr > 40


def in_band(series: np.ndarray, *, tr_s: float) -> np.ndarray:
    """Keep 0.009 to 0.08 Hz of each time course's distance from a line, by these frames alone."""
    cosines = dct(scipy.signal.detrend(series, axis=1), norm="ortho", axis=1)
    frequencies_hz = np.arange(series.shape[1]) / (2 * series.shape[1] * tr_s)
    cosines[:, (frequencies_hz < 0.009) | (frequencies_hz > 0.08)] = 0
    return idct(cosines, norm="ortho", axis=1)


def in_step(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return each voxel's correlation in time, of (N, T) and (N, T)."""
    one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
    return (one * other).sum(axis=1) / np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))


def test_a_run_agrees_with_the_same_run_brought_into_template_space_by_others(shared_data, monkeypatch):
    """The other way took out trend and white matter alone: what that is worth is in the document."""
    scan = open_scan(shared_data / DS205)
    known: list[Known] = []
    handed_out = normalise(scan, found=known.append).scan

    def fewer(series, *, motion, white_matter, fluid, tr_s):
        still = replace(motion, rotations=0 * motion.rotations, translations_mm=0 * motion.translations_mm)
        return regress_nuisance(
            series, motion=still, white_matter=white_matter, fluid=np.zeros_like(fluid), tr_s=tr_s
        )

    monkeypatch.setattr("imaging.native.normalise.regress_nuisance", fewer)
    alike = normalise(scan, known=known[-1]).scan
    # Its first axis runs the other way; of its 82 frames 40 are at hand here, and four are dropped.
    theirs = samples(shared_data / ATHENA)[0][::-1, ..., 4:40]
    both = template_brain().mask & (theirs.std(axis=3) > 0) & (values_of(handed_out).std(axis=3) > 0)
    wanted = in_band(theirs[both].astype(float), tr_s=scan.tr_s)

    agreement = in_step(values_of(alike)[both], wanted)
    assert np.median(agreement) > 0.86
    assert np.percentile(agreement, 25) > 0.78
    assert np.percentile(agreement, 5) > 0.55
    # Six movements and the fluid take most of a band that has eleven cosines in 36 frames.
    assert np.median(in_step(values_of(handed_out)[both], wanted)) > 0.55
    # Nothing of that is so between the sides, or some seconds later.
    mirrored_too = both & both[::-1]
    other_side = in_step(values_of(alike)[mirrored_too], in_band(theirs[::-1][mirrored_too], tr_s=scan.tr_s))
    assert np.median(other_side) < 0.6
    later = in_step(values_of(alike)[both][:, 4:], theirs[both][:, :-4])
    assert np.median(later) < 0.1


def values_of(scan: BoldScan) -> np.ndarray:
    return np.concatenate(list(scan.blocks()), axis=3)


def test_a_measured_head_is_found_in_a_run_that_was_drawn_of_it(shared_data):
    structural = read_structural(shared_data / T1)
    _, pose = find_head(structural, register(*mean_of(shared_data / DS205)))
    beside = moved((8, -5, 6), (6, -12, 10))
    mean = run_mean_of_head(structural, pose=pose, beside=beside, seed=1)
    direct = register(mean, GRID)

    way = find_way(mean, GRID, direct=direct, structural=structural)

    assert distance_mm(way.beside @ way.head, beside @ way.head) < 0.5
    assert register_through(mean, GRID, direct=direct, structural=structural)[0].through == "t1w"


@pytest.mark.parametrize(("name", "said"), [(T1, "as of another head"), (T1_CROP, "found"), (CT, "found")])
def test_what_is_not_this_head_shows_no_way(shared_data, name, said):
    mean, affine = mean_of(shared_data / DS205)
    direct = register(mean, affine)

    with pytest.raises(T1wNotUsedError, match=said):
        register_through(mean, affine, direct=direct, structural=read_structural(shared_data / name))
