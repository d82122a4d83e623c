"""The template over heads that lie in the scanner as they were put there."""

import numpy as np
import pytest

from imaging.native.registration import BrainCutOffError, HeadTurnedError, RegistrationFailedError, register
from imaging.native.starts import far_apart
from tests.imaging.native.heads import GRID, GRID_SHAPE, OBLIQUE, distance_mm, head, moved
from tests.thorough import first

SMALL = OBLIQUE @ np.diag([0.9, 1.05, 0.95, 1.0])


@pytest.mark.parametrize("to_scan", [np.eye(4), OBLIQUE, SMALL], ids=["in place", "oblique", "smaller"])
def test_a_head_is_found_where_it_lies(to_scan):
    found = register(head(to_scan=to_scan), GRID)

    assert distance_mm(to_scan, found.affine) < 1.5
    assert found.explained > 0.9
    assert found.outline_fit > 0.9
    assert found.overlap > 0.95


def test_the_contrast_tells_more_than_the_outline():
    mean = head(to_scan=SMALL)

    found = register(mean, GRID)

    from imaging.template_fit import brain_map, fit_template

    outline = brain_map(mean, GRID)
    assert outline is not None
    assert distance_mm(SMALL, found.affine) < 0.5 * distance_mm(SMALL, fit_template(outline).affine)


def test_a_scan_without_the_lowest_slices_is_found_too():
    whole = head()
    cut_affine = GRID.copy()
    cut_affine[:3, 3] += 8 * GRID[:3, 2]

    found = register(whole[:, :, 8:], cut_affine)

    assert distance_mm(OBLIQUE, found.affine) < 3
    assert found.coverage < register(whole, GRID).coverage


@pytest.mark.parametrize(
    "mean",
    [
        np.zeros(GRID_SHAPE, np.float32),
        np.random.default_rng(0).random(GRID_SHAPE).astype(np.float32),
    ],
    ids=["nothing", "noise"],
)
def test_what_is_no_brain_is_refused(mean):
    with pytest.raises(RegistrationFailedError, match="expected a whole brain"):
        register(mean, GRID)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        (np.s_[:, :, 14:19], "found 19 mm"),
        (np.s_[:32], "of the template's in view"),
        (np.s_[:, 20:45], "view"),
    ],
    ids=["five slices", "half a brain", "part of a brain"],
)
def test_a_brain_that_is_cut_off_is_refused_for_that(part, found):
    with pytest.raises(BrainCutOffError, match=found):
        register(head()[part], GRID)


@pytest.mark.parametrize(
    "away",
    [
        moved((0, 0, 0), (110, 130, 70)),
        moved((0, 0, 0), (0, 0, -80)),
        moved((35, 0, 0), (0, 0, 0)),
        moved((-35, 10, 0), (60, -60, 40)),
    ],
    ids=["origin in a corner", "far below", "chin up", "chin down and away"],
)
def test_a_head_is_found_wherever_the_scanner_has_its_origin(away):
    found = register(head(), away @ GRID)

    assert distance_mm(away @ OBLIQUE, found.affine) < 2
    assert found.overlap > 0.95


LIES = {
    "front and back": (head()[:, ::-1], GRID),
    "top and bottom": (head()[:, :, ::-1], GRID),
    "both": (head()[:, ::-1, ::-1], GRID),
    "the first two axes": (head().transpose(1, 0, 2), GRID),
}


@pytest.mark.parametrize("lie", first(1, LIES))
def test_a_header_that_exchanges_more_than_the_sides_is_found_out(lie):
    volume, affine = LIES[lie]

    with pytest.raises(HeadTurnedError) as refusal:
        register(np.ascontiguousarray(volume), affine)
    assert refusal.value.turned_deg > 80


def test_poses_are_near_or_far():
    assert not far_apart(OBLIQUE, OBLIQUE)
    assert not far_apart(OBLIQUE, moved((1, 0, 0), (2, 0, 0)) @ OBLIQUE)
    assert far_apart(OBLIQUE, moved((0, 0, 0), (0, 8, 0)) @ OBLIQUE)
    assert far_apart(OBLIQUE, moved((0, 20, 0), (0, 0, 0)) @ OBLIQUE)
