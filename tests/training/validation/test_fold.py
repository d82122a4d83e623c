import errno
import platform
import shutil
from dataclasses import replace
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from tests.training.validation.tiny_cohorts import QUICK, tiny_store
from training.cohort.store.cohort_store import CohortStore
from training.evidence.calibration import fit_scaling
from training.evidence.conformal import fit_quantiles
from training.evidence.thresholds import choose_threshold
from training.fitting.precision import choose_precision
from training.fitting.settings import TrainingSettings
from training.fitting.state import STATE_FILE
from training.methods import fold_model
from training.run_files import RunFolderError, read_rows
from training.runs import (
    EPOCHS_FILE,
    INNER_PREDICTIONS_FILE,
    OUTCOME_FILE,
    PREDICTIONS_FILE,
    RUN_FILE,
    SUBJECTS_FILE,
    EpochRecord,
    InnerPrediction,
    Prediction,
    RunSubject,
    fold_folder,
    read_outcome,
    read_run,
)
from training.validation.cross_validation import plan_run
from training.validation.fold import WEIGHTS_FILE, split_fold, train_fold
from training.validation.fold_lock import LOCK_FILE, FoldInProgressError
from training.validation.run_folder import RunDiffersError, RunNotSavedError, is_finished

PAPER = QUICK.model_copy(update={"protocol": "paper"})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    return tiny_store(tmp_path_factory.mktemp("cohorts") / "cohort").folder


@pytest.fixture(scope="module")
def planned(cohort, tmp_path_factory):
    """A run begun under each protocol, with no fold trained."""
    store = CohortStore.open(cohort)
    folder = tmp_path_factory.mktemp("planned")
    for settings in (QUICK, PAPER):
        plan_run(store, store.subjects, settings=settings, out=folder / settings.protocol, device="cpu")
    return folder


@pytest.fixture(scope="module")
def trained(planned, cohort, tmp_path_factory) -> Path:
    """The nested run with its fold 0 trained."""
    run = shutil.copytree(planned / "nested", tmp_path_factory.mktemp("trained") / "run")
    train_fold(run, 0, cohort=cohort, device="cpu")
    return run


@pytest.fixture
def run(planned, tmp_path) -> Path:
    return shutil.copytree(planned / "nested", tmp_path / "run")


def labels_of(run, rows):
    label = {subject.subject_id: subject.label for subject in read_rows(run, SUBJECTS_FILE, RunSubject)}
    return np.array([label[row.subject_id] for row in rows])


def test_a_fold_reports_its_own_subjects_and_parts_the_others(trained):
    subjects = read_rows(trained, SUBJECTS_FILE, RunSubject)
    outcome = read_outcome(trained, 0)
    predictions = read_rows(fold_folder(trained, 0), PREDICTIONS_FILE, Prediction)
    inner = read_rows(fold_folder(trained, 0), INNER_PREDICTIONS_FILE, InnerPrediction)
    assert [row.subject_id for row in predictions] == [one.subject_id for one in subjects if one.fold == 0]
    assert not {row.subject_id for row in inner} & {row.subject_id for row in predictions}
    counted = [sum(row.part == part for row in inner) for part in ("stopping", "calibration")]
    assert (outcome.n_stopping, outcome.n_calibration) == tuple(counted) == (2, 2)
    assert (outcome.n_training, outcome.n_test) == (4, 8)
    epochs = read_rows(fold_folder(trained, 0), EPOCHS_FILE, EpochRecord)
    assert [epoch.epoch for epoch in epochs] == list(range(1, outcome.epochs_run + 1)) == [1, 2]
    lowest = min(epochs, key=lambda epoch: epoch.stopping_loss)
    assert outcome.best_epoch == lowest.epoch


def test_where_nobody_shall_be_watched_everybody_but_the_calibration_part_is_trained_on(trained):
    subjects = read_rows(trained, SUBJECTS_FILE, RunSubject)
    settings = TrainingSettings.model_validate(read_run(trained).settings)
    inner = split_fold(subjects, 0, settings=settings.model_copy(update={"inner_stopping": 0.0}))
    assert (len(inner.training), len(inner.stopping), len(inner.calibration)) == (6, 0, 2)


def test_the_fold_is_calibrated_on_its_inner_calibration_part_alone(trained):
    outcome = read_outcome(trained, 0)
    inner = read_rows(fold_folder(trained, 0), INNER_PREDICTIONS_FILE, InnerPrediction)
    calibration = [row for row in inner if row.part == "calibration"]
    logits, labels = np.array([row.logit for row in calibration]), labels_of(trained, calibration)
    # Offset and temperature are in the weights; without them the logits ask for just these two again.
    found = fit_scaling(outcome.offset + outcome.temperature * logits, labels)
    assert (found.offset, found.temperature) == pytest.approx((outcome.offset, outcome.temperature), rel=1e-2)
    assert outcome.temperature != 1.0
    probabilities = expit(logits)
    assert outcome.threshold == choose_threshold(probabilities, labels, rule="youden")
    assert outcome.conformal_quantiles == fit_quantiles(probabilities, labels, level=0.9)


def test_a_prediction_is_what_the_outcome_makes_of_its_logit(trained):
    outcome = read_outcome(trained, 0)
    for row in read_rows(fold_folder(trained, 0), PREDICTIONS_FILE, Prediction):
        assert row.probability == pytest.approx(expit(row.logit), rel=1e-12)
        assert row.called == ("case" if row.probability > outcome.threshold else "control")
        # Two subjects cannot promise 90 %: every class stays in every set.
        assert row.decision == "uncertain"


def test_under_the_paper_nothing_is_kept_back_and_nothing_calibrated(planned, cohort, tmp_path):
    run = shutil.copytree(planned / "paper", tmp_path / "run")
    outcome = train_fold(run, 1, cohort=cohort, device="cpu")
    assert (outcome.n_training, outcome.n_stopping, outcome.n_calibration, outcome.n_test) == (8, 0, 0, 8)
    assert (outcome.offset, outcome.temperature, outcome.threshold) == (0.0, 1.0, 0.5)
    assert outcome.conformal_quantiles is None
    assert read_rows(fold_folder(run, 1), INNER_PREDICTIONS_FILE, InnerPrediction) == []
    epochs = read_rows(fold_folder(run, 1), EPOCHS_FILE, EpochRecord)
    assert {(epoch.stopping_loss, epoch.stopping_auc) for epoch in epochs} == {(None, None)}
    for row in read_rows(fold_folder(run, 1), PREDICTIONS_FILE, Prediction):
        assert row.probability == pytest.approx(expit(row.logit), rel=1e-12)
        assert row.decision is None


def test_a_finished_fold_is_not_done_again(trained, cohort):
    before = {path: path.stat().st_mtime_ns for path in fold_folder(trained, 0).iterdir()}

    def never(fold, progress):
        raise AssertionError("trained again")

    assert train_fold(trained, 0, cohort=cohort, device="cpu", progress=never) == read_outcome(trained, 0)
    assert {path: path.stat().st_mtime_ns for path in fold_folder(trained, 0).iterdir()} == before
    assert not (fold_folder(trained, 0) / STATE_FILE).exists(), "Adam's moments are of no more use"


def test_a_state_that_a_kill_left_beside_the_outcome_goes(trained, cohort, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    state = fold_folder(run, 0) / STATE_FILE
    state.write_bytes(b"Adam's moments")
    assert train_fold(run, 0, cohort=cohort, device="cpu") == read_outcome(trained, 0)
    assert not state.exists()


def test_torchs_generator_is_left_to_others(run, cohort):
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    train_fold(run, 0, cohort=cohort, device="cpu")
    assert torch.equal(torch.rand(1), expected)


def test_the_outcome_says_what_the_fold_was_really_trained_with(trained):
    outcome = read_outcome(trained, 0)
    asked = read_run(trained).settings["precision"]
    assert (asked, outcome.precision) == ("auto", choose_precision("auto", device=torch.device("cpu")))
    assert (outcome.device, outcome.device_name) == ("cpu", platform.machine())
    assert (outcome.threads, outcome.torch_version) == (torch.get_num_threads(), torch.__version__)


def test_a_frozen_encoder_was_not_trained_in_the_precision_that_was_asked_for(cohort, tmp_path):
    store = CohortStore.open(cohort)
    asked = {"encoder": "frozen", "feature_norm": "batch", "precision": "bfloat16", "epochs": 1}
    settings = QUICK.model_copy(update=asked)
    plan_run(store, store.subjects, settings=settings, out=tmp_path / "run", device="cpu")
    assert train_fold(tmp_path / "run", 0, cohort=cohort, device="cpu").precision == "float32"
    assert "precision" not in read_run(tmp_path / "run").machine


def test_what_is_not_known_of_a_training_is_not_made_up(run, cohort, trained, monkeypatch):
    """A training that an earlier version finished, which did not keep its machine."""
    fitted = fold_model.fit

    def finished_before(*arguments, **options):
        return replace(fitted(*arguments, **options), machine=None)

    monkeypatch.setattr(fold_model, "fit", finished_before)
    outcome = train_fold(run, 0, cohort=cohort, device="cpu")
    assert (outcome.device, outcome.threads, outcome.torch_version) == ("cpu", None, None)
    assert outcome.precision == read_outcome(trained, 0).precision


class Stopped(Exception):  # noqa: N818 - not an error
    """As if the process had been killed here."""


def test_a_fold_that_was_stopped_goes_on_elsewhere_and_ends_the_same(run, cohort, trained, tmp_path):
    def stop(fold, progress):
        assert fold == 0
        if progress.epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train_fold(run, 0, cohort=cohort, device="cpu", progress=stop)
    assert not is_finished(run, 0)
    moved, cohort_there = tmp_path / "another" / "machine", tmp_path / "its cohort"
    shutil.copytree(run, moved)
    shutil.copytree(cohort, cohort_there)
    train_fold(moved, 0, cohort=cohort_there, device="cpu")
    for name in (WEIGHTS_FILE, PREDICTIONS_FILE, INNER_PREDICTIONS_FILE):
        assert (fold_folder(moved, 0) / name).read_bytes() == (fold_folder(trained, 0) / name).read_bytes()


def test_two_processes_cannot_be_at_one_fold(run, cohort):
    fold_folder(run, 0).mkdir(parents=True)
    with (fold_folder(run, 0) / LOCK_FILE).open("a") as file:
        flock(file, LOCK_EX | LOCK_NB)
        with pytest.raises(FoldInProgressError, match="fold 0"):
            train_fold(run, 0, cohort=cohort, device="cpu", lock_patience_s=0.3)
    assert not is_finished(run, 0)


def test_other_data_under_the_same_names_are_refused(run, tmp_path):
    other = tiny_store(tmp_path / "other", seed=9)
    with pytest.raises(RunDiffersError, match="cohort_fingerprint"):
        train_fold(run, 0, cohort=other.folder, device="cpu")
    assert not (fold_folder(run, 0) / OUTCOME_FILE).exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path, cohort):
    with pytest.raises(RunFolderError, match=RUN_FILE):
        train_fold(tmp_path, 0, cohort=cohort, device="cpu")


@pytest.mark.parametrize(
    "writer", ["training.validation.fold.replace_file", "training.fitting.events.EpochLog.write"]
)
def test_a_full_disk_is_told_and_the_fold_goes_on_later(writer, run, cohort, trained, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(writer, full)
        with pytest.raises(RunNotSavedError, match="No space left on device"):
            train_fold(run, 0, cohort=cohort, device="cpu")
    assert not is_finished(run, 0)
    train_fold(run, 0, cohort=cohort, device="cpu")
    written = (fold_folder(run, 0) / PREDICTIONS_FILE).read_bytes()
    assert written == (fold_folder(trained, 0) / PREDICTIONS_FILE).read_bytes()
