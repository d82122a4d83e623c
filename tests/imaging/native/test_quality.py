"""Figures of a run, each against its definition written out anew; which are remarked on, and which refuse."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import median_abs_deviation, norm

from imaging.native.judging import TooMuchMotionError, remarks, require_still
from imaging.native.motion import Motion
from imaging.native.outliers import outlier_shares
from imaging.native.overlap import brain_overlap
from imaging.native.quality import NativeQuality, assess
from imaging.native.registration import LOWEST_MM, Registration
from imaging.native.steady import Start
from tests.imaging.native.heads import GRID, OBLIQUE, head, moved

N_FRAMES, TR_S = 60, 2.0
REGISTRATION = Registration(affine=np.eye(4), outline_fit=0.97, explained=0.9, coverage=0.95, overlap=0.95)
START = Start(dropped=4, by_rule=4, unsteady=2, discarded_before=0)


def still(**changes: np.ndarray) -> Motion:
    given = {"translations_mm": np.zeros((N_FRAMES, 3)), "rotations": np.zeros((N_FRAMES, 3)), **changes}
    return Motion(centre_mm=np.zeros(3), **given)


def drawn_series() -> np.ndarray:
    return np.random.default_rng(2).normal(1000, 10, (500, N_FRAMES)).astype(np.float32)


def assessed(series: np.ndarray, motion: Motion) -> NativeQuality:
    after = series - series.mean(axis=1, keepdims=True)
    varies = np.ones(len(series), dtype=bool)
    return assess(
        before=series,
        after=after,
        varies=varies,
        motion=motion,
        registration=REGISTRATION,
        start=START,
        tr_s=TR_S,
        degrees_of_freedom=35.0,
    )


def test_a_quiet_run_is_not_remarked_on():
    found = assessed(drawn_series(), still())

    assert remarks(found) == ()
    assert found.tsnr == pytest.approx(100, rel=0.05)
    assert np.mean(found.dvars_before) == pytest.approx(1, abs=0.05)
    assert found.shares()["displaced"] == 0
    assert found.still_frames == N_FRAMES


def test_a_jerk_stands_out_in_its_frame_by_each_of_the_three():
    series, translations = drawn_series(), np.zeros((N_FRAMES, 3))
    series[:100, 30] += 200
    translations[30, 0] = 0.6

    found = assessed(series, still(translations_mm=translations))

    # To the frame and back again.
    assert np.flatnonzero(np.array(found.displacement_mm) > 0.5).tolist() == [29, 30]
    assert found.shares()["displaced"] == pytest.approx(2 / N_FRAMES)
    assert set(np.argsort(found.dvars_before)[-2:]) == {29, 30}
    assert np.flatnonzero(np.array(found.outlier_shares) > 0.05).tolist() == [30]
    assert found.shares()["any"] >= 2 / N_FRAMES


def test_outliers_are_those_of_the_definition_of_3dtoutcount():
    generator = np.random.default_rng(4)
    series = (generator.standard_t(3, (300, N_FRAMES)) + np.linspace(0, 5, N_FRAMES)).astype(np.float32)

    found = outlier_shares(series)

    times = np.arange(N_FRAMES)
    rest = series - np.stack([np.polyval(np.polyfit(times, row, 1), times) for row in series])
    limit = norm.isf(0.001 / N_FRAMES) * np.sqrt(np.pi / 2) * median_abs_deviation(rest, axis=1)
    away = np.abs(rest - np.median(rest, axis=1, keepdims=True))
    np.testing.assert_allclose(found, (away > limit[:, None]).mean(axis=0))
    assert found.max() > 0


def test_voxels_that_never_vary_have_no_outliers():
    np.testing.assert_array_equal(outlier_shares(np.full((5, 30), 7, np.float32)), np.zeros(30))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"displacement_mm": (0.6,) * (N_FRAMES - 1)}, "head_moved"),
        ({"displacement_mm": (0.51, 0.0, 0.0) * 19 + (0.0, 0.0)}, "head_moved"),
        ({"tsnr": 12.0}, "signal_unsteady"),
        ({"outlier_shares": (0.06, *(0.0,) * 4) * 12}, "frames_stand_out"),
        ({"degrees_of_freedom": 19.9}, "few_degrees_of_freedom"),
        ({"coverage": 0.8}, "brain_partly_in_view"),
        ({"overlap": 0.85}, "registration_uncertain"),
        ({"similarity": 0.6}, "registration_uncertain"),
    ],
)
def test_what_is_worse_than_usual_is_remarked_on(changes, code):
    (remark,) = remarks(replace(assessed(drawn_series(), still()), **changes))

    assert remark.code == code
    assert "expected" in remark.message
    assert "found" in remark.message


@pytest.mark.parametrize(
    ("step_mm", "moves", "still_frames"),
    [(1.2, 59, 1), (0.55, 50, 10), (9.0, 7, 53)],
    ids=["mean", "few", "jerks"],
)
def test_a_head_that_moved_too_much_is_refused(step_mm, moves, still_frames):
    translations = np.zeros((N_FRAMES, 3))
    translations[1 : 1 + moves, 1] = step_mm * np.arange(1, moves + 1)
    translations[1 + moves :, 1] = step_mm * moves

    with pytest.raises(TooMuchMotionError, match=f"{still_frames} of 60 frames") as refusal:
        require_still(still(translations_mm=translations))
    assert refusal.value.still_frames == still_frames


def test_a_head_that_nods_within_the_limits_is_not():
    translations = np.zeros((N_FRAMES, 3))
    translations[::2, 2] = 0.45
    require_still(still(translations_mm=translations))


def test_the_overlap_falls_as_the_template_slides_off():
    mean = head()

    overlaps = [
        brain_overlap(mean, affine=GRID, pose=moved((0, 0, 0), (0, away, 0)) @ OBLIQUE, lowest_mm=LOWEST_MM)
        for away in (0, 8, 16, 40)
    ]

    assert overlaps[0] > 0.97
    assert overlaps == sorted(overlaps, reverse=True)
    assert overlaps[-1] < 0.8


def test_figures_are_plain_json():
    found = assessed(drawn_series(), still()).to_json()

    assert json.loads(json.dumps(found)) == found
    assert len(found["dvars_before"]) == len(found["displacement_mm"]) == N_FRAMES - 1
    assert found["start"]["dropped"] == 4
