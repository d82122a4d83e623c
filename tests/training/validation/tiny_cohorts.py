"""Cohorts small enough to cross-validate in seconds: noise on the real grid, windows of four frames."""

from pathlib import Path

import numpy as np

from imaging import PreprocessingSpec, brain_cube
from tests.training.cohort.store.made_up_store import write_store
from training.cohort.store.cohort_store import CohortStore
from training.cohort.subjects import Subject
from training.fitting.settings import TrainingSettings

SPEC = PreprocessingSpec(window_frames=4, n_windows=2)
N_VOXELS = int(brain_cube(SPEC.grid_size).mask.sum())
N_FRAMES = 6
SITES = ("KKI", "NYU")

QUICK = TrainingSettings(
    width=1, folds=2, epochs=2, batch_size=4, inner_stopping=0.25, inner_calibration=0.25, learning_rate=1e-3
)


def tiny_subjects(n_subjects: int = 16) -> list[Subject]:
    """Give subjects, every second one a case, the sites in pairs."""
    return [
        Subject(
            subject_id=str(100 + number),
            site=SITES[number // 2 % len(SITES)],
            label=number % 2,
            diagnosis=str(number % 2),
            age_years=8.0 + number,
        )
        for number in range(n_subjects)
    ]


def series_of(subject: Subject, *, seed: int = 0, planted: float = 1.0) -> np.ndarray:
    """Give noise; a case's varies more in the first half of the brain's voxels."""
    generator = np.random.default_rng([seed, int(subject.subject_id)])
    series = generator.standard_normal((N_FRAMES, N_VOXELS), dtype=np.float32)
    series[:, : N_VOXELS // 2] *= 1 + planted * (subject.label or 0)
    return series


def tiny_store(folder: Path, *, n_subjects: int = 16, seed: int = 0, simulated: bool = True) -> CohortStore:
    """Write a tiny cohort and open it; the first subject has two runs."""
    subjects = tiny_subjects(n_subjects)
    series = {subject.subject_id: [series_of(subject, seed=seed)] for subject in subjects}
    series[subjects[0].subject_id].append(series_of(subjects[0], seed=seed + 1))
    return write_store(folder, subjects=subjects, series=series, spec=SPEC, name="tiny", simulated=simulated)
