import json
from dataclasses import dataclass, replace
from functools import cache

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from imaging.template import template_brain
from imaging.template_space import (
    MAX_DISPLACEMENT_MM,
    MIN_COVERAGE,
    MIN_FIT,
    NotInTemplateSpaceError,
    decide_template_space,
)

AXES = pytest.mark.parametrize("axis", [0, 1, 2], ids="xyz")
BOTH_WAYS = pytest.mark.parametrize("sign", [-1, 1], ids=["back", "forth"])


@dataclass(frozen=True)
class Maps:
    mean: np.ndarray
    sd: np.ndarray
    affine: np.ndarray

    def moved(self, motion):
        return replace(self, affine=motion @ self.affine)

    def mirrored(self, axis):
        return replace(self, mean=np.flip(self.mean, axis), sd=np.flip(self.sd, axis))


def maps_of(series, affine):
    return Maps(
        series.mean(-1, dtype=np.float64).astype(np.float32),
        series.std(-1, dtype=np.float64).astype(np.float32),
        affine.astype(np.float64),
    )


def decide(maps):
    return decide_template_space(mean=maps.mean, temporal_sd=maps.sd, affine=maps.affine)


def codes(maps):
    return {warning.code for warning in decide(maps).warnings}


def shift(axis, by_mm):
    motion = np.eye(4)
    motion[axis, 3] = by_mm
    return motion


def turn(axis, degrees):
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * np.eye(3)[axis]).as_matrix()
    return motion


@cache
def filtered_scan(seed=0):
    """Smooth noise inside the template's brain with zero mean over time, as a band-passed scan is."""
    template, rng = template_brain(), np.random.default_rng(seed)
    noise = rng.standard_normal((*template.mask.shape, 24)).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, (0.6, 0.6, 0.6, 1.5)) * template.mask[..., None]
    noise = ndimage.gaussian_filter(noise, (0.6, 0.6, 0.6, 0))
    return maps_of(noise - noise.mean(-1, keepdims=True), template.affine)


def unfiltered_scan():
    """A mean image with white matter darker than grey, a bright skin, and noise everywhere."""
    template, rng = template_brain(), np.random.default_rng(1)
    shell = ndimage.binary_dilation(template.mask, iterations=4) & ~ndimage.binary_dilation(
        template.mask, iterations=2
    )
    mean = 600 * template.mask + 300 * template.grey_matter + 150 * shell + 60
    mean = ndimage.gaussian_filter(mean.astype(np.float32), 0.8)
    mean += rng.normal(0, 15, mean.shape).astype(np.float32)
    return Maps(mean, np.full(mean.shape, 12, np.float32), template.affine)


SIMULATED = pytest.mark.parametrize("scan", [filtered_scan, unfiltered_scan], ids=["filtered", "unfiltered"])


@SIMULATED
def test_a_brain_on_the_template_is_accepted_without_doubts_of_its_fit(scan):
    decision = decide(scan())

    assert decision.space == "template"
    assert decision.scores["displacement_mm"] < 5
    assert decision.scores["fit"] > 0.95
    assert "template_fit_poor" not in {warning.code for warning in decision.warnings}


@SIMULATED
@AXES
@BOTH_WAYS
@pytest.mark.parametrize(
    "motion", [lambda a, s: shift(a, 25 * s), lambda a, s: turn(a, 30 * s)], ids=["shift", "turn"]
)
def test_a_displaced_brain_is_refused_with_its_displacement(scan, axis, sign, motion):
    moved = scan().moved(motion(axis, sign))

    with pytest.raises(NotInTemplateSpaceError) as refusal:
        decide(moved)

    assert refusal.value.code == "not_in_template_space"
    assert refusal.value.displacement_mm > MAX_DISPLACEMENT_MM + 5


@given(
    direction=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1),
    by_mm=st.floats(0, 40),
)
@settings(max_examples=40, deadline=None)
def test_any_shift_is_measured_in_millimetres(direction, by_mm):
    motion = np.eye(4)
    motion[:3, 3] = by_mm * np.array(direction) / np.linalg.norm(direction)

    try:
        found = decide(filtered_scan().moved(motion)).scores["displacement_mm"]
    except NotInTemplateSpaceError as refusal:
        found = refusal.displacement_mm

    assert found == pytest.approx(by_mm, abs=3)


@given(
    axis=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1),
    degrees=st.floats(20, 35),
)
@settings(max_examples=30, deadline=None)
def test_any_turn_beyond_twenty_degrees_is_refused(axis, degrees):
    motion = np.eye(4)
    unit = np.array(axis) / np.linalg.norm(axis)
    motion[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * unit).as_matrix()

    with pytest.raises(NotInTemplateSpaceError):
        decide(filtered_scan().moved(motion))


@pytest.mark.parametrize("axis", [1, 2], ids="yz")
def test_a_brain_back_to_front_or_upside_down_is_refused(axis):
    with pytest.raises(NotInTemplateSpaceError) as refusal:
        decide(filtered_scan().mirrored(axis))

    assert refusal.value.flip_gain > 0


@pytest.mark.parametrize("swapped", [(0, 1), (0, 2), (1, 2)])
def test_a_brain_with_two_axes_swapped_is_refused(swapped):
    motion = np.eye(4)
    motion[list(swapped)] = motion[list(reversed(swapped))]

    with pytest.raises(NotInTemplateSpaceError):
        decide(filtered_scan().moved(motion))


@given(st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
@settings(max_examples=15, deadline=None)
def test_the_order_in_which_axes_are_stored_does_not_matter(order, flipped):
    scan = filtered_scan()
    orientation = np.column_stack([order, np.where(flipped, -1, 1)])
    back = nibabel.orientations.inv_ornt_aff(orientation, scan.mean.shape)

    def stored(values):
        return np.ascontiguousarray(nibabel.orientations.apply_orientation(values, orientation))

    other = decide(Maps(stored(scan.mean), stored(scan.sd), scan.affine @ back))

    expected = decide(scan).scores
    for name in ("fit", "displacement_mm", "coverage", "left_right_evidence"):
        assert other.scores[name] == pytest.approx(expected[name], abs=0.02), name


def test_a_ten_millimetre_shift_passes_with_a_warning():
    moved = filtered_scan().moved(shift(1, 10))

    decision = decide(moved)

    (poor,) = [warning for warning in decision.warnings if warning.code == "template_fit_poor"]
    assert "expected" in poor.message
    assert "found 9" in poor.message or "found 10" in poor.message


def test_missing_cerebellum_is_normal():
    scan = filtered_scan()
    low = np.zeros_like(scan.sd)
    low[:, :, 10:] = scan.sd[:, :, 10:]  # nothing below -30 mm

    decision = decide(replace(scan, sd=low))

    assert decision.scores["displacement_mm"] < 3


@pytest.mark.parametrize(("kept", "accepted"), [(0.45, False), (0.6, True)])
def test_half_of_the_template_must_be_covered(kept, accepted):
    """A slab through the right place: what it shows fits, and only its coverage can refuse it."""
    scan, template = filtered_scan(), template_brain()
    voxels = template.mask.sum(axis=(0, 1)).cumsum()
    bottom = int(np.searchsorted(voxels, (1 - kept) * voxels[-1]))
    slab = np.zeros_like(scan.sd)
    slab[:, :, bottom:] = scan.sd[:, :, bottom:]
    cut = replace(scan, sd=slab)

    if accepted:
        assert 0.5 <= decide(cut).scores["coverage"] < 0.7
        return
    with pytest.raises(NotInTemplateSpaceError, match="% covered") as refusal:
        decide(cut)
    assert 0.35 < refusal.value.coverage < MIN_COVERAGE
    assert refusal.value.fit > MIN_FIT


def test_the_size_of_the_numbers_does_not_matter():
    scan = unfiltered_scan()
    larger = replace(scan, mean=scan.mean * 1e4, sd=scan.sd * 1e4)

    assert decide(larger).scores == pytest.approx(decide(scan).scores, abs=1e-3)


@pytest.mark.parametrize(
    "mean",
    [
        np.zeros((20, 20, 20), np.float32),
        np.full((20, 20, 20), np.nan, np.float32),
        np.full((20, 20, 20), 7, np.float32),
        np.ones((1, 1, 1), np.float32),
    ],
    ids=["zero", "nan", "constant", "one voxel"],
)
def test_what_shows_no_brain_is_refused(mean):
    affine = nibabel.affines.from_matvec(np.diag([8.0, 8, 8]), (-80, -100, -60))

    with pytest.raises(NotInTemplateSpaceError):
        decide(Maps(mean, np.zeros_like(mean), affine))


def test_a_refusal_says_what_was_expected_and_found_in_plain_json():
    with pytest.raises(NotInTemplateSpaceError) as refusal:
        decide(filtered_scan().moved(shift(0, 25)))

    assert "expected" in str(refusal.value)
    assert "found a brain 25 mm away" in str(refusal.value)
    details = json.loads(json.dumps(refusal.value.details()))
    assert details["displacement_mm"] == pytest.approx(25, abs=2)
    assert details["coverage"] < 0.9


def test_sides_that_look_alike_are_said_to_rest_on_the_header():
    template = template_brain()
    symmetric = (0.2 + template.grey_matter) * template.mask

    decision = decide(Maps(np.zeros_like(symmetric), symmetric, template.affine))

    assert {warning.code for warning in decision.warnings} == {"left_right_unverified"}
    assert decision.scores["left_right_evidence"] == 0, "rounding was read as asymmetry"


@pytest.fixture(scope="module")
def athena(shared_data):
    image = nibabel.load(next((shared_data / "athena_like").glob("*.nii.gz")))
    return np.asarray(image.dataobj, dtype=np.float32), image.affine


@pytest.mark.real_data
def test_the_athena_like_scan_is_accepted_without_a_warning(athena):
    decision = decide(maps_of(*athena))

    assert decision.warnings == ()
    assert decision.scores["displacement_mm"] < 3


@pytest.mark.real_data
@pytest.mark.parametrize("half", [slice(0, 41), slice(41, 82)], ids=["first", "second"])
def test_half_of_its_frames_are_enough_either_way_round(athena, half):
    series, affine = athena
    maps = maps_of(series[..., half], affine)

    assert codes(maps) == set()
    assert codes(maps.mirrored(0)) == {"left_right_suspect"}


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("shape", "zooms", "origin"),
    [((61, 73, 61), (3, 3, 3), (-90, -126, -72)), ((91, 109, 91), (-2, 2, 2), (90, -126, -72))],
    ids=["3 mm", "2 mm"],
)
def test_a_regridded_copy_passes_and_its_mirror_image_is_suspect(athena, shape, zooms, origin):
    series, affine = athena
    target = nibabel.affines.from_matvec(np.diag(zooms), origin).astype(float)
    to_voxel = np.linalg.inv(affine) @ target
    frames = [
        ndimage.affine_transform(series[..., t], to_voxel[:3, :3], to_voxel[:3, 3], shape, order=1)
        for t in range(0, series.shape[-1], 2)
    ]
    maps = maps_of(np.stack(frames, axis=-1), target)

    assert codes(maps) == set()
    # These grids are symmetric about x = 0, so flipping the array mirrors the head in place.
    assert codes(maps.mirrored(0)) == {"left_right_suspect"}


@pytest.mark.real_data
@AXES
@BOTH_WAYS
def test_displaced_copies_of_the_athena_like_scan_are_refused(athena, axis, sign):
    maps = maps_of(*athena)

    for motion in (shift(axis, 25 * sign), turn(axis, 30 * sign)):
        with pytest.raises(NotInTemplateSpaceError) as refusal:
            decide(maps.moved(motion))
        assert refusal.value.displacement_mm > MAX_DISPLACEMENT_MM + 5


@pytest.mark.real_data
def test_mirrored_copies_of_the_athena_like_scan_are_refused_or_suspect(athena):
    maps = maps_of(*athena)

    assert codes(maps.mirrored(0)) == {"left_right_suspect"}
    for axis in (1, 2):
        with pytest.raises(NotInTemplateSpaceError) as refusal:
            decide(maps.mirrored(axis))
        assert refusal.value.flip_gain > 0.03


@pytest.mark.real_data
def test_every_native_scan_is_refused(shared_data):
    files = sorted((shared_data / "bold").glob("*.nii.gz"))
    assert files

    for path in files:
        image = nibabel.load(path)
        maps = maps_of(np.asarray(image.dataobj, dtype=np.float32), image.affine)
        with pytest.raises(NotInTemplateSpaceError):
            decide(maps)


@pytest.mark.real_data
def test_what_is_no_functional_scan_is_refused_where_its_head_lies_elsewhere(shared_data):
    # The ASL series happens to lie 8 mm from the template; its ten frames are what refuses it.
    names = ("CT_head_175x248x58.nii.gz", "T1w_defaced_104x150x133.nii.gz", "T1w_crop_33x41x25.nii")
    for name in names:
        image = nibabel.load(shared_data / "wrong_modality" / name)
        mean = np.asarray(image.dataobj, dtype=np.float32)
        with pytest.raises(NotInTemplateSpaceError):
            decide(Maps(mean, np.zeros_like(mean), image.affine.astype(float)))


@pytest.mark.real_data
def test_painted_abide_scans_are_accepted(shared_data):
    with np.load(shared_data / "abide" / "abide_ho_train.npz", allow_pickle=False) as stored:
        series, lengths, sds, ids = (stored[key] for key in ("ts_q", "length", "roi_sd", "roi_id"))
        scale = float(stored["scale"])
    atlas = nibabel.load(shared_data / "abide" / "ho111_athena_grid.nii.gz")
    labels = np.asarray(atlas.dataobj)
    column = np.zeros(labels.max() + 1, int)
    column[ids] = np.arange(len(ids))
    ends = np.cumsum(lengths)

    for person in range(0, len(ends), 12):
        spread = (
            series[ends[person] - lengths[person] : ends[person]].astype(np.float32).std(0)
            / scale
            * sds[person]
        )
        sd = np.where(labels > 0, spread[column[labels]], 0).astype(np.float32)
        decision = decide(Maps(np.zeros_like(sd), sd, atlas.affine.astype(float)))
        assert decision.scores["displacement_mm"] < MAX_DISPLACEMENT_MM - 5
