"""Which frames at the start of a run are left out, and why."""

import numpy as np
import pytest

from imaging.native.steady import DROPPED_FRAMES, Start, count_unsteady, find_start

FEWEST = 20


def levels(
    n_frames: int = 150, *, tr_s: float = 2.0, extra: float = 0.0, noise: float = 0.0005
) -> np.ndarray:
    """Draw a head's mean: recovering with a T1 of 1.3 s, a slow drift, and breathing."""
    generator = np.random.default_rng(1)
    times_s = np.arange(n_frames) * tr_s
    recovery = extra * np.exp(-times_s / 1.3)
    return 800 * (1 + recovery + 0.00002 * times_s + generator.normal(0, noise, n_frames))


def start(found: np.ndarray, *, tr_s: float = 2.0, discarded_before: int = 0) -> Start:
    return find_start(found, tr_s=tr_s, discarded_before=discarded_before, fewest_kept=FEWEST)


@pytest.mark.parametrize(
    ("tr_s", "extra", "count"),
    # 0.6 exp(-t / 1.3) falls below 1 % at 5.3 s.
    [(2.0, 0.6, 3), (0.72, 0.6, 8), (3.0, 0.6, 2), (2.0, 0.0, 0)],
)
def test_bright_frames_at_the_start_are_counted(tr_s, extra, count):
    assert count_unsteady(levels(tr_s=tr_s, extra=extra), tr_s=tr_s) == count


def test_a_bright_frame_later_on_is_none_of_them():
    bright = levels()
    bright[6] *= 1.3
    assert count_unsteady(bright, tr_s=2.0) == 0


def test_what_stays_bright_too_long_for_a_magnetisation_is_none_of_them():
    drifting = levels() * np.linspace(1.3, 1, 150)
    assert count_unsteady(drifting, tr_s=2.0) == 0


def test_a_run_without_noise_is_steady():
    assert count_unsteady(np.full(60, 800.0), tr_s=2.0) == 0


def test_the_athena_rule_drops_four():
    found = start(levels())

    assert (found.dropped, found.unsteady) == (DROPPED_FRAMES, 0)
    assert "Athena" in found.reason


def test_more_unsteady_frames_than_four_are_dropped():
    found = start(levels(tr_s=0.72, extra=0.6), tr_s=0.72)

    assert found.dropped == 8
    assert "unsteady in the first 8" in found.reason


def test_frames_that_the_scanner_left_out_count_towards_the_four_but_bright_ones_go_all_the_same():
    steady = start(levels(), discarded_before=3)
    bright = start(levels(extra=0.6), discarded_before=3)

    assert (steady.dropped, bright.dropped) == (1, 3)
    assert "the scanner had left out 3" in steady.reason
    assert start(levels(), discarded_before=9).dropped == 0


def test_a_short_run_keeps_what_is_needed():
    found = start(levels(22, extra=0.6))

    assert found.dropped == 2
    assert "too short" in found.reason
    assert start(levels(FEWEST)).dropped == 0


def test_is_plain_json():
    assert start(levels()).to_json() == {
        "dropped": 4,
        "by_rule": 4,
        "unsteady": 0,
        "discarded_before": 0,
        "reason": "the first 4 of every run, as the Athena pipeline does",
    }
