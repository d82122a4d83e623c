"""Cohorts of noise whose variance the label decides, and real trainings of the smallest networks on them."""

from dataclasses import replace

import numpy as np

from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import N_FRAMES, N_VOXELS, QUICK, SPEC
from training.challenge.challenge import Origin
from training.validation.cross_validation import train_run

SETTINGS = QUICK.model_copy(
    update={
        "epochs": 12,
        "learning_rate": 3e-3,
        "windows_per_subject": 2,
        "encoder": "frozen",
        "feature_norm": "batch",
    }
)


def series_of(subject):
    """Give noise that in half of the brain varies more in cases: mostly, since people differ too."""
    generator = np.random.default_rng(int(subject.subject_id))
    louder = 1 + 0.5 * subject.label + 0.35 * generator.standard_normal()
    series = generator.standard_normal((N_FRAMES, N_VOXELS), dtype=np.float32)
    series[:, : N_VOXELS // 2] *= louder
    return series


def cohort(folder, *, name, subjects, shuffled=False):
    """Write a cohort; shuffled, the labels that are told are not those that the scans were made by."""
    told = list(subjects)
    if shuffled:
        labels = np.random.default_rng(1).permutation([subject.label for subject in subjects])
        told = [replace(one, label=int(label)) for one, label in zip(subjects, labels, strict=True)]
    series = {subject.subject_id: [series_of(subject)] for subject in subjects}
    return write_store(folder / name, subjects=told, series=series, spec=SPEC, name=name, simulated=True)


def trained(folder, store, name):
    run = train_run(store, store.subjects, settings=SETTINGS, out=folder / name, device="cpu")
    return Origin(run=run, cohort=store.folder)
