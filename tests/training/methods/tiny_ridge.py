"""A ridge on connectivity, cross-validated on a few made-up people, prepared as for the demonstration."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imaging import PreprocessingSpec
from model import demonstration_checkpoint
from model.card import read_card
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import N_VOXELS, QUICK, tiny_subjects
from training.cohort.store.cohort_store import CohortStore
from training.runs import CHECKPOINT_FILE
from training.validation.cross_validation import train_run


@dataclass(frozen=True)
class TinyRidge:
    """The people, the run's folder and the checkpoint in it."""

    store: CohortStore
    run: Path
    checkpoint: Path


def train_tiny_ridge(folder: Path) -> TinyRidge:
    """Train it; in a case's brain one half moves with the other."""
    spec = PreprocessingSpec.from_json(dict(read_card(demonstration_checkpoint()).preprocessing))
    subjects, series = tiny_subjects(24), {}
    for subject in subjects:
        generator = np.random.default_rng(int(subject.subject_id))
        noise = generator.standard_normal((2 * spec.window_frames, N_VOXELS), dtype=np.float32)
        shared = generator.standard_normal((2 * spec.window_frames, 1), dtype=np.float32)
        series[subject.subject_id] = [noise + 0.2 * (subject.label or 0) * shared]
    store = write_store(folder / "cohort", subjects=subjects, series=series, spec=spec, name="tiny")
    settings = QUICK.model_copy(update={"method": "ridge-connectivity"})
    run = train_run(store, subjects, settings=settings, out=folder / "run", device="cpu")
    return TinyRidge(store, run, run / CHECKPOINT_FILE)
