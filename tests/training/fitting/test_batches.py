from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imaging import brain_cube
from tests.training.fitting.toy_cohort import SPEC, toy_subjects
from training.fitting.batches import FrameBuffer, PlannedWindow, pack, packed_batches, plan_epoch, torch_seed
from training.fitting.settings import TrainingSettings

SUBJECTS = toy_subjects(7, scans=2)
CPU = torch.device("cpu")


def packed(windows, **augmentation):
    generator = np.random.default_rng(5)
    return pack(SUBJECTS, windows, settings=TrainingSettings(**augmentation), generator=generator)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 99), st.integers(1, 9))
def test_an_epoch_is_every_subject_as_often_as_asked_in_windows_that_exist(size, repeats, seed, epoch):
    settings = TrainingSettings(batch_size=size, windows_per_subject=repeats)
    plan = plan_epoch(SUBJECTS, settings=settings, seed=seed, epoch=epoch)
    windows = [window for batch in plan for window in batch]
    assert [len(batch) for batch in plan[:-1]] == [size] * (len(plan) - 1)
    assert sorted(window.subject for window in windows) == sorted(list(range(7)) * repeats)
    for window in windows:
        assert 0 <= window.start <= len(SUBJECTS[window.subject].series[window.scan]) - SPEC.window_frames
    assert plan == plan_epoch(SUBJECTS, settings=settings, seed=seed, epoch=epoch)


def test_epochs_and_seeds_draw_anew_and_reach_every_window():
    settings = TrainingSettings(windows_per_subject=40)
    plans = [plan_epoch(SUBJECTS, settings=settings, seed=s, epoch=e) for s, e in [(0, 1), (0, 2), (1, 1)]]
    assert plans[0] != plans[1] != plans[2] != plans[0]
    drawn = {(w.scan, w.start) for plan in plans for batch in plan for w in batch}
    # Scans of 8 and 9 frames, windows of 3.
    assert drawn == {(0, start) for start in range(6)} | {(1, start) for start in range(7)}


def test_an_epoch_before_the_first_is_refused():
    """Its order would be drawn from the stream that a frozen residual network settles by."""
    assert np.random.default_rng([7, 0]).random() == np.random.default_rng([7, 0, 0]).random()
    with pytest.raises(ValueError, match="expected epochs to count from 1, found 0"):
        plan_epoch(SUBJECTS, settings=TrainingSettings(), seed=7, epoch=0)
    with pytest.raises(ValueError, match="expected epochs to count from 1, found 0"):
        next(packed_batches(SUBJECTS, settings=TrainingSettings(), seed=7, epoch=0, pin=False))


def test_every_seed_epoch_and_batch_draws_its_augmentation_and_dropout_anew():
    """All subjects are one person with one window, so the batches differ in what is drawn alone."""
    alike = toy_subjects(1, frames=SPEC.window_frames) * 2
    settings = TrainingSettings(batch_size=1, noise_sd=0.5)
    drawn = [
        batch.frames
        for seed in (0, 1)
        for epoch in (1, 2)
        for batch in packed_batches(alike, settings=settings, seed=seed, epoch=epoch, pin=False)
    ]
    assert len(drawn) == 8
    assert not any(torch.equal(one, other) for one, other in combinations(drawn, 2))
    seeds = {torch_seed(seed=seed, epoch=epoch) for seed in (0, 1) for epoch in (1, 2)}
    assert len(seeds) == 4


def test_a_batch_is_the_series_frames_in_the_brain_and_zero_outside():
    batch = packed([PlannedWindow(3, 1, 2), PlannedWindow(0, 0, 5)])
    assert batch.labels.tolist() == [1.0, 0.0]
    buffer = FrameBuffer(12, spec=SPEC, device=CPU)
    buffer.unpack(packed([PlannedWindow(1, 0, 0)] * 4).frames.flatten(0, 1))  # leaves its frames behind
    windows = buffer.unpack(batch.frames.flatten(0, 1)).numpy().reshape(2, 3, 34, 34, 34)
    mask = brain_cube(34).mask
    assert np.array_equal(windows[0][:, mask], SUBJECTS[3].series[1][2:5].astype(np.float32))
    assert np.array_equal(windows[1][:, mask], SUBJECTS[0].series[0][5:8].astype(np.float32))
    assert not windows[:, :, ~mask].any()


def test_every_batch_is_unpacked_into_the_same_memory():
    buffer = FrameBuffer(6, spec=SPEC, device=CPU)
    one = buffer.unpack(packed([PlannedWindow(0, 0, 0)] * 2).frames.flatten(0, 1))
    other = buffer.unpack(packed([PlannedWindow(1, 0, 0)]).frames[0])
    assert one.data_ptr() == other.data_ptr()


def test_prefetched_batches_are_the_planned_ones_in_order():
    settings = TrainingSettings(batch_size=3, noise_sd=0.5)
    plan = plan_epoch(SUBJECTS, settings=settings, seed=4, epoch=2)
    batches = list(packed_batches(SUBJECTS, settings=settings, seed=4, epoch=2, pin=False))
    again = list(packed_batches(SUBJECTS, settings=settings, seed=4, epoch=2, pin=False))
    assert len(batches) == len(plan) == 3
    for batch, twin, windows in zip(batches, again, plan, strict=True):
        assert batch.labels.tolist() == [float(SUBJECTS[w.subject].label) for w in windows]
        assert torch.equal(batch.frames, twin.frames)
        plain = packed(windows).frames
        assert not torch.equal(batch.frames, plain)
        assert float((batch.frames.float() - plain.float()).std()) == pytest.approx(0.5, rel=0.02)


def test_one_batch_is_packed_ahead_and_no_more(monkeypatch):
    begun = []

    def noted(subjects, windows, **options):
        begun.append(len(windows))
        return pack(subjects, windows, **options)

    monkeypatch.setattr("training.fitting.batches.pack", noted)
    settings = TrainingSettings(batch_size=1)
    batches = packed_batches(SUBJECTS, settings=settings, seed=0, epoch=1, pin=False)
    for number in range(1, 4):
        next(batches)
        assert len(begun) <= number + 1
    batches.close()


def test_augmentation_does_what_it_is_called():
    windows = [PlannedWindow(i % 7, 0, 0) for i in range(60)]
    plain = packed(windows).frames.float()
    scaled = packed(windows, amplitude_jitter=0.3).frames.float()
    factors = (scaled * plain).sum(dim=(1, 2)) / (plain * plain).sum(dim=(1, 2))
    torch.testing.assert_close(scaled, plain * factors[:, None, None], atol=0.02, rtol=0.002)
    assert 0.7 <= float(factors.min()) < 0.8
    assert 1.2 < float(factors.max()) <= 1.3
    dropped = packed(windows, frame_dropout=0.25).frames
    gone = (dropped == 0).all(dim=2)
    assert 0.15 < float(gone.float().mean()) < 0.35
    assert torch.equal(dropped[~gone], packed(windows).frames[~gone])


def test_the_series_themselves_are_never_changed():
    before = SUBJECTS[0].series[0].copy()
    packed([PlannedWindow(0, 0, 0)], noise_sd=1.0, frame_dropout=0.9, amplitude_jitter=0.5)
    assert np.array_equal(SUBJECTS[0].series[0], before)
