"""Runs that are no raw BOLD frames, each refused for what it is."""

import numpy as np
import pytest

from imaging.native.acceptance import (
    AlternatingSignalError,
    SignalFilteredError,
    require_no_alternation,
    require_raw,
)
from imaging.native.levels import frame_levels
from imaging.variation import AllZeroError, ConstantInTimeError, FramesRepeatedError
from tests.imaging.native.heads import GRID_SHAPE, head

N_FRAMES = 30


@pytest.fixture(scope="module")
def run() -> np.ndarray:
    generator = np.random.default_rng(3)
    still = head()
    return (still[..., None] + generator.normal(0, 8, (*GRID_SHAPE, N_FRAMES))).astype(np.float32)


def test_raw_frames_pass(run):
    require_raw(run)
    require_no_alternation(frame_levels(run))


def test_nothing_is_refused(run):
    with pytest.raises(AllZeroError):
        require_raw(np.zeros_like(run))


def test_one_frame_repeated_is_refused(run):
    with pytest.raises(ConstantInTimeError):
        require_raw(np.repeat(run[..., :1], N_FRAMES, axis=3))


def test_some_frames_repeated_are_refused(run):
    repeated = run.copy()
    repeated[..., 10:15] = run[..., 9:10]

    with pytest.raises(FramesRepeatedError) as refusal:
        require_raw(repeated)
    assert (refusal.value.found, refusal.value.of) == (5, N_FRAMES)


def test_a_filtered_scan_is_refused(run):
    with pytest.raises(SignalFilteredError) as refusal:
        require_raw(run - run.mean(axis=3, keepdims=True))
    assert refusal.value.mean_to_deviation < 1


@pytest.mark.parametrize("sign", [1, -1], ids=["control first", "label first"])
def test_control_and_label_images_in_turns_are_refused(run, sign):
    labelled = run * (1 - 0.006 * (np.arange(N_FRAMES) % 2 == (sign > 0)))

    with pytest.raises(AlternatingSignalError) as refusal:
        require_no_alternation(frame_levels(labelled.astype(np.float32)))
    assert refusal.value.alternation == pytest.approx(0.006, rel=0.05)
    assert refusal.value.steadiness == 1


def breathing(rate_hz: float, *, size: float, tr_s: float = 2.0, n_frames: int = 120) -> np.ndarray:
    generator = np.random.default_rng(6)
    # Nobody breathes like a clock: a few per cents from breath to breath.
    phase = np.cumsum(2 * np.pi * rate_hz * tr_s * (1 + generator.normal(0, 0.05, n_frames)))
    return 800 * (1 + size * np.sin(phase) + generator.normal(0, 0.001, n_frames))


@pytest.mark.parametrize("rate_hz", [0.2, 0.25, 0.3])
def test_breathing_near_half_the_frame_rate_is_no_labelling(rate_hz):
    require_no_alternation(breathing(rate_hz, size=0.01))


def test_noise_is_taken_for_labelling_less_than_once_in_a_thousand_short_runs():
    generator = np.random.default_rng(7)
    refused = 0
    for _ in range(2000):
        try:
            require_no_alternation(800 * (1 + generator.normal(0, 0.01, 20)))
        except AlternatingSignalError:
            refused += 1
    assert refused < 2
