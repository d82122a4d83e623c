"""A run of a head that lies askew and moves, with activity that is known, brought into template space."""

import json

import numpy as np
import pytest

from imaging import BoldScan, PreprocessingSpec
from imaging import preprocess as to_network_input
from imaging.native.normalise import STAGES, Normalised, normalise
from imaging.native.steady import DROPPED_FRAMES
from imaging.template import template_brain
from tests.imaging.native.heads import GRID, GRID_SHAPE, OBLIQUE, distance_mm, head, moved

N_FRAMES, TR_S = 44, 2.0
ACTIVE_MM, RADIUS_MM = np.array([-40.0, -20.0, 30.0]), 14.0


def course(times_s: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * 0.03 * times_s) + np.cos(2 * np.pi * 0.055 * times_s)


@pytest.fixture(scope="module")
def run() -> np.ndarray:
    generator = np.random.default_rng(8)
    times_s = np.arange(N_FRAMES) * TR_S
    # A slow nod, and a jerk in the middle.
    nods = 0.8 * np.sin(times_s / 30) + 1.5 * (times_s > 50)
    bold = np.empty((*GRID_SHAPE, N_FRAMES), dtype=np.float32)
    grid = np.indices(GRID_SHAPE, dtype=np.float64).reshape(3, -1)
    for number in range(N_FRAMES):
        pose = moved((nods[number], 0.2 * nods[number], 0), (0, 0.5 * nods[number], 0.3 * nods[number]))
        image = head(to_scan=pose @ OBLIQUE)
        to_template = np.linalg.inv(pose @ OBLIQUE) @ GRID
        places = (to_template[:3, :3] @ grid + to_template[:3, 3:]).T
        active = (np.linalg.norm(places - ACTIVE_MM, axis=1) < RADIUS_MM).reshape(GRID_SHAPE)
        image[active] *= 1 + 0.02 * course(times_s[number])
        # The first frames are brighter, before the magnetisation is steady.
        image *= 1 + 0.5 * np.exp(-number)
        bold[..., number] = image + generator.normal(0, 4, GRID_SHAPE)
    return bold


@pytest.fixture(scope="module")
def found(run: np.ndarray) -> Normalised:
    return normalise(BoldScan.from_array(run, affine=GRID, tr_s=TR_S))


def frames_of(found: Normalised) -> np.ndarray:
    return np.concatenate(list(found.scan.blocks()), axis=3)


def correlations(found: Normalised, place_mm: np.ndarray) -> np.ndarray:
    """Correlate each voxel near a place of the template with the activity."""
    template = template_brain()
    voxels = np.argwhere(template.mask)
    near = np.linalg.norm(voxels @ template.affine[:3, :3].T + template.affine[:3, 3] - place_mm, axis=1) < 7
    wanted = course((np.arange(N_FRAMES) * TR_S)[DROPPED_FRAMES:])
    return np.array([np.corrcoef(frames_of(found)[tuple(voxel)], wanted)[0, 1] for voxel in voxels[near]])


def test_activity_lies_where_it_is_in_the_template_and_on_its_own_side(found):
    assert np.median(correlations(found, ACTIVE_MM)) > 0.7
    assert abs(np.median(correlations(found, ACTIVE_MM * [-1, 1, 1]))) < 0.4


def test_the_head_is_followed_and_the_template_laid_over_it(found):
    assert distance_mm(OBLIQUE, found.motion.transforms()[0] @ found.registration.affine) < 2.5
    displacement_mm = np.array(found.quality.displacement_mm)
    assert displacement_mm.argmax() == 26 - DROPPED_FRAMES - 1
    assert displacement_mm.max() > 1.5 > 10 * np.median(displacement_mm) / 2


def test_the_network_takes_it_as_a_scan_in_template_space(found):
    given = to_network_input(found.scan, PreprocessingSpec())

    assert given.quality.template_space["displacement_mm"] < 5
    assert given.quality.in_band_power > 0.7
    assert found.scan.shape == (49, 58, 47, N_FRAMES - DROPPED_FRAMES)


def test_what_was_done_is_said(found):
    assert found.provenance["dropped_frames"]["dropped"] == DROPPED_FRAMES
    assert found.provenance["quality"] == json.loads(json.dumps(found.quality.to_json()))
    assert [warning["code"] for warning in found.provenance["warnings"]] == [
        warning.code for warning in found.warnings
    ]
    assert found.provenance["slice_times_s"] is None
    np.testing.assert_array_equal(found.provenance["registration"]["transform"], found.registration.affine)


def test_stages_are_told_in_their_order_and_work_stops_when_told(run):
    told: list[str] = []

    def tell(stage: str, fraction: float) -> None:
        assert 0 <= fraction <= 1
        told.append(stage)
        if stage == "resampling":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        normalise(BoldScan.from_array(run, affine=GRID, tr_s=TR_S), progress=tell)
    assert list(dict.fromkeys(told)) == list(STAGES[: STAGES.index("resampling") + 1])


def test_storage_with_axes_permuted_and_mirrored_gives_the_same(run, found):
    stored = np.ascontiguousarray(run.transpose(1, 0, 2, 3)[::-1])
    affine = np.column_stack([-GRID[:, 1], GRID[:, 0], GRID[:, 2], GRID[:, 3]])
    affine[:3, 3] += GRID[:3, 1] * (GRID_SHAPE[1] - 1)

    other = normalise(BoldScan.from_array(stored, affine=affine, tr_s=TR_S))

    inside = template_brain().mask
    # The noise of single voxels, which a shift by a fraction of a millimetre changes, is most of it.
    one, two = frames_of(found)[inside].ravel(), frames_of(other)[inside].ravel()
    assert np.corrcoef(one, two)[0, 1] > 0.85
