"""A cohort that every method can read, in half a second an epoch: eight regions, windows of three frames."""

import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from safetensors.torch import save

from imaging import PreprocessingSpec, brain_cube
from imaging.derived.maps import DERIVED_MAPS
from imaging.derived.tissue_maps import TISSUE_MAPS
from model.methods.catalogue import METHODS
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import tiny_subjects
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.writing import write_index, write_maps, write_series, write_tissues
from training.cohort.subjects import Subject
from training.fitting.progress import FitProgress
from training.fitting.settings import TrainingSettings, obeyed_by, read_settings
from training.run_files import write_json
from training.runs import REGIONS_FILE, RUN_FILE, SUBJECTS_FILE, read_run
from training.validation import fold as fold_of_run
from training.validation.fold import train_fold

SPEC = PreprocessingSpec(window_frames=3, n_windows=1)
CUBE = brain_cube(SPEC.grid_size)
N_VOXELS = int(CUBE.mask.sum())
N_FINE_VOXELS = int(brain_cube(2 * SPEC.grid_size).mask.sum())
N_FRAMES = 21  # the least that any method reads is 20
N_PEOPLE = 12
REPORTED = 0
FITTED_FILE = "fitted.safetensors"
QUICK = {
    "width": 1,
    "folds": 2,
    "epochs": 2,
    "batch_size": 3,
    "inner_stopping": 0.25,
    "inner_calibration": 0.25,
    "learning_rate": 1e-3,
}


def octants() -> np.ndarray:
    """Give each voxel its eighth of the brain, 1 to 8; 0 where that is uneven in size."""
    upper = CUBE.brain_voxels >= (np.array(CUBE.mask.shape) // 2)
    return 1 + upper @ np.array([4, 2, 1])


def write_atlas(path: Path) -> Path:
    """Write the eighths as an atlas on the cube's own grid."""
    labels = np.zeros(CUBE.mask.shape, dtype=np.int16)
    labels[CUBE.mask] = octants()
    nib.save(nib.Nifti1Image(labels, CUBE.affine), path)
    return path


def settings_of(method: str, **changes: object) -> TrainingSettings:
    """Ask a method for what is quick, as far as it obeys."""
    return read_settings(overrides={**QUICK, **changes, "method": method}, only=obeyed_by(method))


def series_of(subject: Subject, *, seed: int = 0, n_frames: int = N_FRAMES) -> np.ndarray:
    """Give noise, and in each eighth of the brain a signal of its own; in a case two eighths share theirs."""
    generator = np.random.default_rng([seed, int(subject.subject_id)])
    signals = generator.standard_normal((n_frames, 8))
    if subject.label:
        signals[:, 1] = signals[:, 0]
    noise = generator.standard_normal((n_frames, N_VOXELS), dtype=np.float32)
    return noise + signals[:, octants() - 1]


def maps_of(subject: Subject, *, seed: int = 0) -> np.ndarray:
    """Give maps that are higher in a case's left half."""
    generator = np.random.default_rng([seed, int(subject.subject_id), 1])
    maps = 0.3 + 0.1 * generator.standard_normal((len(DERIVED_MAPS), N_VOXELS), dtype=np.float32)
    maps[:, : N_VOXELS // 2] += 0.05 * (subject.label or 0)
    return maps


def tissues_of(subject: Subject) -> np.ndarray:
    """Give shares of tissues, with more grey matter in a case's left half."""
    generator = np.random.default_rng([int(subject.subject_id), 2])
    tissues = generator.uniform(0, 0.3, (len(TISSUE_MAPS), N_FINE_VOXELS)).astype(np.float32)
    tissues[0, : N_FINE_VOXELS // 2] += 0.1 * (subject.label or 0)
    return tissues


def write_people(
    folder: Path, *, with_maps: bool = True, with_tissues: bool = True, n_frames: int = N_FRAMES
) -> CohortStore:
    """Write the cohort; the first person has two runs, beside one image."""
    people = tiny_subjects(N_PEOPLE)
    seeds = {one.subject_id: (0, 1) if one is people[0] else (0,) for one in people}
    series = {
        one.subject_id: [series_of(one, seed=seed, n_frames=n_frames) for seed in seeds[one.subject_id]]
        for one in people
    }
    maps = {one.subject_id: [maps_of(one, seed=seed) for seed in seeds[one.subject_id]] for one in people}
    tissues = {one.subject_id: [tissues_of(one)] * len(seeds[one.subject_id]) for one in people}
    return write_store(
        folder,
        subjects=people,
        series=series,
        spec=SPEC,
        maps=maps if with_maps else None,
        tissues=tissues if with_tissues else None,
        name="tiny",
    )


def with_other_scans(
    store: CohortStore, folder: Path, *, of: Collection[str], tissues_alone: bool = False
) -> CohortStore:
    """Copy a cohort with all that is kept in it, and give some people other series, maps and tissues."""
    shutil.copytree(store.folder, folder)
    scans = []
    for number, scan in enumerate(store.scans):
        if scan.subject_id in of:
            generator = np.random.default_rng([9, number])
            tissues = generator.uniform(0, 1, (len(TISSUE_MAPS), N_FINE_VOXELS)).astype(np.float32)
            scan = replace(  # noqa: PLW2901
                scan, tissues_sha256=write_tissues(folder, scan.series_file, tissues)
            )
        if scan.subject_id in of and not tissues_alone:
            series = 3 * generator.standard_normal((scan.n_stored_frames, N_VOXELS))
            # Noise alone would be shrunk to no covariance at all, and be alike whatever it is.
            series[:, : N_VOXELS // 2] += generator.standard_normal((scan.n_stored_frames, 1))
            maps = generator.uniform(0.1, 1, (len(DERIVED_MAPS), N_VOXELS)).astype(np.float32)
            digest = write_series(folder, scan.series_file, series)
            scan = replace(  # noqa: PLW2901
                scan,
                series_sha256=digest,
                source_sha256=digest,
                maps_sha256=write_maps(folder, scan.series_file, maps),
            )
        scans.append(scan)
    write_index(
        folder,
        subjects=store.subjects,
        scans=scans,
        name=store.name,
        condition=store.condition,
        simulated=store.simulated,
        spec=store.spec,
        source={},
        label_rule={},
        report={},
    )
    return CohortStore.open(folder)


def begun_again(run: Path, to: Path, *, store: CohortStore) -> Path:
    """Give the same run with the same folds, nothing trained yet, as if it had been begun on a store."""
    to.mkdir()
    for name in (RUN_FILE, SUBJECTS_FILE, REGIONS_FILE):
        if (run / name).exists():
            shutil.copy(run / name, to / name)
    record = read_run(run)
    ids = (subject.subject_id for subject in store.subjects)
    of_store = {
        "cohort_fingerprint": store.fingerprint(store.subjects),
        "maps_fingerprint": store.maps_fingerprint(ids, reads=METHODS[record.method].reads),
    }
    write_json(to / RUN_FILE, record.model_copy(update=of_store))
    return to


def train(
    run: Path, store: CohortStore, *, progress: Callable[[int, FitProgress], None] | None = None
) -> Path:
    """Train the reported fold, and write down its weights as they were fitted, before calibration."""
    fit_model = fold_of_run.fit_model

    def watched(*arguments: object, **options: object) -> object:
        model, result = fit_model(*arguments, **options)
        (run / FITTED_FILE).write_bytes(save(model.weights()))
        return model, result

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fold_of_run, "fit_model", watched)
        train_fold(run, REPORTED, cohort=store.folder, device="cpu", progress=progress)
    return run


def reads_regions(method: str) -> bool:
    return "regions" in METHODS[method].reads
