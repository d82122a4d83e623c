"""What the reported fold holds can change nothing but what is reported of it."""

import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.validation.tiny_cohorts import N_FRAMES, N_VOXELS, QUICK, SPEC, series_of, tiny_subjects
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import StoredScan
from training.cohort.store.writing import series_name, write_index, write_series
from training.fitting import batches
from training.fitting.settings import TrainingSettings
from training.run_files import read_rows, write_json, write_rows
from training.runs import (
    EPOCHS_FILE,
    INNER_PREDICTIONS_FILE,
    PREDICTIONS_FILE,
    RUN_FILE,
    SUBJECTS_FILE,
    EpochRecord,
    FoldOutcome,
    Prediction,
    RunSubject,
    fold_folder,
    read_run,
)
from training.validation.cross_validation import plan_run
from training.validation.fold import WEIGHTS_FILE, split_fold, train_fold

REPORTED = 0
VARIANTS = ("filtered", "unfiltered")
WAYS = {
    "nested": {"protocol": "nested"},
    "paper": {"protocol": "paper"},
    "frozen": {"encoder": "frozen", "feature_norm": "batch"},
}


def write_cohort(folder: Path, *, noise_for: frozenset[str] = frozenset()) -> CohortStore:
    """Two runs and both file variants for every second subject; pure noise, and louder, for some."""
    subjects, scans = tiny_subjects(), []
    for number, subject in enumerate(subjects):
        for run in ("1", "2")[: 1 + number % 2]:
            for variant in VARIANTS[: 1 + number % 2]:
                series = series_of(subject, seed=int(run) + 2 * VARIANTS.index(variant))
                if subject.subject_id in noise_for:
                    series = 3 * np.random.default_rng(number).standard_normal((N_FRAMES, N_VOXELS))
                name = series_name(subject_id=subject.subject_id, session="1", run=run, variant=variant)
                digest = write_series(folder, name, series)
                scans.append(stored(subject.subject_id, run=run, variant=variant, name=name, digest=digest))
    write_index(
        folder,
        subjects=subjects,
        scans=scans,
        name="tiny",
        condition="ADHD",
        simulated=True,
        spec=SPEC,
        source={},
        label_rule={},
        report={},
    )
    return CohortStore.open(folder)


def stored(subject_id, *, run, variant, name, digest) -> StoredScan:
    return StoredScan(
        subject_id=subject_id,
        session="1",
        run=run,
        variant=variant,
        tr_s=2.0,
        n_frames=N_FRAMES,
        n_stored_frames=N_FRAMES,
        dvars_mean=None,
        spikes=None,
        quality={},
        warnings=(),
        source_name=Path(name).name,
        source_sha256=digest,
        source_stamp=digest,
        series_file=name,
        series_sha256=digest,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> CohortStore:
    return write_cohort(tmp_path_factory.mktemp("cohorts") / "cohort")


@pytest.fixture(scope="module", params=WAYS)
def honest(request, store, tmp_path_factory) -> Path:
    """A run whose reported fold is left as it is, with that fold trained."""
    settings = QUICK.model_copy(update=WAYS[request.param])
    run = tmp_path_factory.mktemp("honest") / "run"
    plan_run(store, store.subjects, settings=settings, out=run, device="cpu")
    train_fold(run, REPORTED, cohort=store.folder, device="cpu")
    return run


def fresh_copy(run: Path, to: Path) -> Path:
    """The same run with the same folds, nothing trained yet."""
    to.mkdir()
    for name in (RUN_FILE, SUBJECTS_FILE):
        shutil.copy(run / name, to / name)
    return to


def blind_results(run: Path) -> dict[str, object]:
    """Everything of the fold that may not know the reported subjects."""
    folder = fold_folder(run, REPORTED)
    epochs = read_rows(folder, EPOCHS_FILE, EpochRecord)
    # Time and memory are the machine's.
    fields = FoldOutcome.model_validate_json((folder / "outcome.json").read_text()).model_dump()
    return {
        "weights": (folder / WEIGHTS_FILE).read_bytes(),
        "inner predictions": (folder / INNER_PREDICTIONS_FILE).read_bytes(),
        "losses": [replace(epoch, seconds=0.0) for epoch in epochs],
        "outcome": {**fields, "seconds_per_epoch": None, "peak_memory_bytes": None},
    }


def reported(run: Path) -> list[Prediction]:
    return read_rows(fold_folder(run, REPORTED), PREDICTIONS_FILE, Prediction)


def test_other_labels_in_the_reported_fold_change_nothing_at_all(honest, store, tmp_path):
    run = fresh_copy(honest, tmp_path / "run")
    subjects = read_rows(run, SUBJECTS_FILE, RunSubject)
    turned = [replace(one, label=1 - one.label) if one.fold == REPORTED else one for one in subjects]
    assert turned != subjects
    write_rows(run / SUBJECTS_FILE, turned)
    train_fold(run, REPORTED, cohort=store.folder, device="cpu")
    assert blind_results(run) == blind_results(honest)
    assert reported(run) == reported(honest), "a prediction does not know the label either"


def test_other_data_in_the_reported_fold_change_only_what_is_said_of_it(honest, tmp_path):
    subjects = read_rows(honest, SUBJECTS_FILE, RunSubject)
    unseen = frozenset(one.subject_id for one in subjects if one.fold == REPORTED)
    noisy = write_cohort(tmp_path / "noisy", noise_for=unseen)
    run = fresh_copy(honest, tmp_path / "run")
    fingerprint = noisy.fingerprint(noisy.subjects)
    assert fingerprint != read_run(run).cohort_fingerprint
    write_json(run / RUN_FILE, read_run(run).model_copy(update={"cohort_fingerprint": fingerprint}))
    train_fold(run, REPORTED, cohort=noisy.folder, device="cpu")
    assert blind_results(run) == blind_results(honest)
    pairs = zip(reported(run), reported(honest), strict=True)
    assert all(one.logit != other.logit for one, other in pairs), "the noise did reach the network"


def test_other_labels_among_the_training_subjects_do_change_the_weights(honest, store, tmp_path):
    """The tests above could not fail if labels were not used at all."""
    run = fresh_copy(honest, tmp_path / "run")
    subjects = read_rows(run, SUBJECTS_FILE, RunSubject)
    turned = [replace(one, label=1 - one.label) if one.fold != REPORTED else one for one in subjects]
    write_rows(run / SUBJECTS_FILE, turned)
    train_fold(run, REPORTED, cohort=store.folder, device="cpu")
    assert blind_results(run)["weights"] != blind_results(honest)["weights"]


def test_every_run_and_variant_of_a_subject_is_in_one_fold_and_one_inner_part(honest, store):
    subjects = read_rows(honest, SUBJECTS_FILE, RunSubject)
    settings = TrainingSettings.model_validate(read_run(honest).settings)
    for fold in range(QUICK.folds):
        inner = split_fold(subjects, fold, settings=settings)
        part_of = {one.subject_id: "reported" for one in subjects if one.fold == fold}
        for part in ("training", "stopping", "calibration"):
            for one in getattr(inner, part):
                assert one.subject_id not in part_of
                part_of[one.subject_id] = part
        assert len(part_of) == len(subjects)
    kinds = defaultdict(set)
    for scan in store.scans:
        kinds[scan.subject_id].add((scan.run, scan.variant))
    assert {len(found) for found in kinds.values()} == {1, 4}, "subjects with several runs and variants"


def test_only_windows_of_the_training_part_are_ever_trained_on(honest, store, tmp_path, monkeypatch):
    """Seen from the loader: the scans it is given are those of the fold's training part, all of them."""
    given = []
    packed = batches.packed_batches

    def watch(training, **arguments):
        given.extend(training)
        return packed(training, **arguments)

    monkeypatch.setattr("training.fitting.fit.packed_batches", watch)
    run = fresh_copy(honest, tmp_path / "run")
    train_fold(run, REPORTED, cohort=store.folder, device="cpu")
    subjects = read_rows(run, SUBJECTS_FILE, RunSubject)
    settings = TrainingSettings.model_validate(read_run(run).settings)
    inner = split_fold(subjects, REPORTED, settings=settings)
    assert {one.subject_id for one in given} == {one.subject_id for one in inner.training}
    for one in given:
        assert len(one.series) == len(store.scans_of(one.subject_id))
