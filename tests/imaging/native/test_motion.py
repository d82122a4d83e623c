"""Poses of frames, against movements that other code made."""

import numpy as np
import pytest

from imaging.native.framewise import framewise_displacement_mm
from imaging.native.motion import Motion, estimate_motion
from tests.imaging.native.heads import GRID, OBLIQUE, distance_mm, head, moved

MOVEMENTS = [
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ((0.1, -0.2, 0.05), (0.1, 0.0, -0.15)),
    ((1.0, 0.5, -0.8), (-0.6, 1.2, 0.4)),
    ((-3.0, 2.0, 4.0), (3.0, -4.0, 2.0)),
    ((0.3, 0.0, 0.0), (0.0, 0.3, 0.0)),
]


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """A head that moved, seen anew in each frame, with a scanner's noise."""
    generator = np.random.default_rng(5)
    drawn = [head(to_scan=moved(*movement) @ OBLIQUE) for movement in MOVEMENTS]
    return [frame + generator.normal(0, 12, frame.shape).astype(np.float32) for frame in drawn]


def test_known_movements_are_recovered_within_a_tenth_of_a_millimetre_and_degree(frames):
    found = estimate_motion(frames, reference=frames[0], affine=GRID)

    for movement, transform in zip(MOVEMENTS, found.transforms(), strict=True):
        true = moved(*movement)
        assert distance_mm(true @ OBLIQUE, transform @ OBLIQUE) < 0.1
        turned = np.linalg.inv(true[:3, :3]) @ transform[:3, :3]
        assert np.rad2deg(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))) < 0.1


def test_a_frame_that_grew_brighter_has_not_moved(frames):
    found = estimate_motion([1.1 * frames[0]], reference=frames[0], affine=GRID)

    assert distance_mm(np.eye(4), found.transforms()[0]) < 0.02


def test_the_same_in_any_orientation_of_the_stored_axes(frames):
    turned = [np.ascontiguousarray(frame.transpose(2, 0, 1)[::-1]) for frame in frames]
    permuted = np.column_stack([-GRID[:, 2], GRID[:, 0], GRID[:, 1], GRID[:, 3]])
    permuted[:, 3] += GRID[:, 2] * (frames[0].shape[2] - 1)

    found = estimate_motion(turned, reference=turned[0], affine=permuted)

    straight = estimate_motion(frames, reference=frames[0], affine=GRID)
    for one, other in zip(found.transforms(), straight.transforms(), strict=True):
        # Other points are looked at: the order of the voxels chooses them.
        assert distance_mm(one, other) < 0.1


def test_progress_is_told_and_may_stop_the_work(frames):
    told: list[int] = []
    estimate_motion(frames[:2], reference=frames[0], affine=GRID, progress=told.append)
    assert told == [1, 2]

    def stop(done: int) -> None:
        raise InterruptedError(done)

    with pytest.raises(InterruptedError):
        estimate_motion(frames, reference=frames[0], affine=GRID, progress=stop)


def test_framewise_displacement_adds_up_shifts_and_arcs():
    motion = Motion(
        rotations=np.array([[0, 0, 0], [0.01, 0, 0], [0.01, -0.02, 0]]),
        translations_mm=np.array([[0, 0, 0], [0.5, -0.25, 0], [0.5, 0, 0]]),
        centre_mm=np.zeros(3),
    )

    # 0.5 + 0.25 + 50 * 0.01, then 0.25 + 50 * 0.02
    assert framewise_displacement_mm(motion) == pytest.approx([1.25, 1.25])
