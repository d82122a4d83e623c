"""One fold of a run, from the run's folder to its outcome: a function of paths and a number.

In this order: part the other folds, fit (beside whoever is added and stands in no fold), calibrate on what
was not fitted, and only then, once every number is fixed, look at the fold that is reported.
``outcome.json`` is written last; a fold that has one is done.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save
from scipy.special import expit

from imaging.regions import Regions
from model.files import replace_file
from model.methods.catalogue import METHODS
from model.predictor import Device, choose_device
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.views import view_scan
from training.evidence.calibration import Scaling, fit_scaling
from training.fitting.prepared import TrainingSubject
from training.fitting.progress import FitProgress
from training.fitting.settings import TrainingSettings
from training.fitting.state import STATE_FILE
from training.methods.fold_model import fit_model
from training.methods.run_regions import read_regions
from training.run_files import read_rows, write_json, write_rows
from training.runs import (
    INNER_PREDICTIONS_FILE,
    OUTCOME_FILE,
    PREDICTIONS_FILE,
    SUBJECTS_FILE,
    FoldOutcome,
    InnerPart,
    InnerPrediction,
    RunRecord,
    RunSubject,
    fold_folder,
    read_outcome,
    read_run,
)
from training.validation.added import added_to_fold
from training.validation.calibrating import DecisionRule, fit_rule, predict_subjects
from training.validation.fold_lock import LOCK_PATIENCE_S, fold_alone
from training.validation.folds import InnerSplit, split_inner
from training.validation.run_folder import RunDiffersError, is_finished, saving

WEIGHTS_FILE = "weights.safetensors"
_PURPOSES = ("inner parts", "first weights", "training")
_Purpose = Literal["inner parts", "first weights", "training"]

ReportFold = Callable[[int, FitProgress], None]


def train_fold(
    run: Path,
    fold: int,
    *,
    cohort: Path,
    device: Device = "auto",
    lock_patience_s: float = LOCK_PATIENCE_S,
    progress: ReportFold | None = None,
) -> FoldOutcome:
    """Train, calibrate and report one fold, or go on with it, or give its outcome again.

    Parameters
    ----------
    run : Path
        A run's folder, begun: with ``run.json`` and ``subjects.tsv``.
    fold : int
        From 0.
    cohort : Path
        The store that the run was begun on; it may lie elsewhere by now.
    device : "auto", "cpu" or "cuda"
    lock_patience_s : float
        How long to wait for another process that is at this fold.
    progress : callable, optional
        Called as ``progress(fold, FitProgress)`` after every batch; what it raises stops the work.

    Raises
    ------
    RunFolderError
        If the folder is no run.
    RunDiffersError
        If the store does not hold the subjects that the run was begun with.
    AddedPeopleGoneError
        If the run's folder does not hold the people who were added to it.
    FoldInProgressError
        If another process is at this fold.
    InnerPartWithoutClassError
        If the other folds are too few for inner parts.
    TrainingDivergedError, TrainingStateError, TrainingStateNotSavedError
        From the fit.
    """
    record = read_run(run)
    subjects = read_rows(run, SUBJECTS_FILE, RunSubject)
    folder = fold_folder(run, fold)
    with saving(run):
        folder.mkdir(parents=True, exist_ok=True)
    with fold_alone(run, fold, patience_s=lock_patience_s):
        if is_finished(run, fold):
            forget_state(run, fold)  # a kill may have come between the outcome and this
            return read_outcome(run, fold)
        store = _open_store(cohort, run=run, record=record, subjects=subjects)
        settings = TrainingSettings.model_validate(record.settings)
        return _train(
            run,
            fold,
            subjects,
            added=added_to_fold(run, record, fold),
            store=store,
            settings=settings,
            regions=read_regions(run, record),
            device=choose_device(device),
            progress=progress,
        )


def forget_state(run: Path, fold: int) -> None:
    """Take away what a finished fold has no more use for: only its weights are needed.

    Raises
    ------
    RunNotSavedError
        If the folder cannot be written.
    """
    with saving(run):
        (fold_folder(run, fold) / STATE_FILE).unlink(missing_ok=True)


def split_fold(
    subjects: Sequence[RunSubject], fold: int, *, settings: TrainingSettings
) -> InnerSplit[RunSubject]:
    """Part the subjects of the other folds; under the protocol "paper" all of them are trained on.

    Raises
    ------
    InnerPartWithoutClassError
        If they are too few for inner parts.
    """
    others = [subject for subject in subjects if subject.fold != fold]
    if settings.protocol == "paper":
        return InnerSplit(training=tuple(others), stopping=(), calibration=())
    return split_inner(
        others,
        stopping=settings.inner_stopping,
        calibration=settings.inner_calibration,
        seed=_seed(settings, fold, "inner parts"),
    )


def _train(
    run: Path,
    fold: int,
    subjects: Sequence[RunSubject],
    *,
    added: Sequence[TrainingSubject],
    store: CohortStore,
    settings: TrainingSettings,
    regions: Regions | None,
    device: torch.device,
    progress: ReportFold | None,
) -> FoldOutcome:
    folder = fold_folder(run, fold)
    inner = split_fold(subjects, fold, settings=settings)
    with saving(run):
        model, fitted = fit_model(
            settings,
            [*_with_scans(inner.training, store), *added],
            stopping=_with_scans(inner.stopping, store),
            regions=regions,
            folder=folder,
            first_weights_seed=_seed(settings, fold, "first weights"),
            seed=_seed(settings, fold, "training"),
            device=device,
            progress=None if progress is None else partial(progress, fold),
        )
    parts: dict[InnerPart, tuple[RunSubject, ...]]
    parts = {"stopping": inner.stopping, "calibration": inner.calibration}
    inner_logits = {
        part: model.logits(_with_scans(people, store)) for part, people in parts.items() if people
    }
    scaling, rule = Scaling(), DecisionRule()
    if inner.calibration:
        labels = np.array([subject.label for subject in inner.calibration])
        scaling = fit_scaling(inner_logits["calibration"], labels)
        model.build_in(scaling)
        rule = fit_rule(expit(scaling(inner_logits["calibration"])), labels, settings=settings)
    with saving(run):
        replace_file(folder / WEIGHTS_FILE, save(model.weights()))
    inner_rows = [
        InnerPrediction(subject_id=subject.subject_id, fold=fold, part=part, logit=float(logit))
        for part, logits in inner_logits.items()
        for subject, logit in zip(parts[part], scaling(logits), strict=True)
    ]
    # Every number is fixed by now; nothing before this line has seen the reported fold.
    reported = [subject for subject in subjects if subject.fold == fold]
    logits = model.logits(_with_scans(reported, store))
    outcome = FoldOutcome(
        fold=fold,
        n_training=len(inner.training),
        n_stopping=len(inner.stopping),
        n_calibration=len(inner.calibration),
        n_test=len(reported),
        n_added=len(added),
        epochs_run=fitted.epochs_run,
        best_epoch=fitted.best_epoch,
        offset=scaling.offset,
        temperature=scaling.temperature,
        threshold=rule.threshold,
        conformal_quantiles=rule.conformal_quantiles,
        seconds_per_epoch=fitted.seconds_per_epoch,
        peak_memory_bytes=fitted.peak_memory_bytes,
        precision=fitted.precision,
        **({"device": device.type} if fitted.machine is None else asdict(fitted.machine)),
    )
    with saving(run):
        write_rows(folder / INNER_PREDICTIONS_FILE, inner_rows, row_class=InnerPrediction)
        write_rows(folder / PREDICTIONS_FILE, predict_subjects(reported, logits, fold=fold, rule=rule))
        write_json(folder / OUTCOME_FILE, outcome)
    forget_state(run, fold)
    return outcome


def _with_scans(subjects: Sequence[RunSubject], store: CohortStore) -> list[TrainingSubject]:
    """Join subjects with their scans; the label is the run's."""
    people = []
    for subject in subjects:
        scans = store.scans_of(subject.subject_id)
        people.append(
            TrainingSubject(
                subject_id=subject.subject_id,
                site=subject.site,
                label=subject.label,
                series=tuple(store.series(scan) for scan in scans),
                spec=store.spec,
                views=tuple(view_scan(store, scan) for scan in scans),
            )
        )
    return people


def _open_store(cohort: Path, *, run: Path, record: RunRecord, subjects: Sequence[RunSubject]) -> CohortStore:
    store = CohortStore.open(cohort)
    ids = [subject.subject_id for subject in subjects]
    stored = {
        "cohort_fingerprint": store.fingerprint_of(ids),
        "maps_fingerprint": store.maps_fingerprint(ids, reads=METHODS[record.method].reads),
    }
    differences = [
        {"field": field, "expected": found, "found": getattr(record, field)}
        for field, found in stored.items()
        if found != getattr(record, field)
    ]
    if differences:
        raise RunDiffersError(name=run.name, differences=differences)
    return store


def _seed(settings: TrainingSettings, fold: int, purpose: _Purpose) -> int:
    """Derive a seed of its own for each fold and purpose; the network's name has no say in it."""
    sequence = np.random.SeedSequence(settings.seed, spawn_key=(fold, _PURPOSES.index(purpose)))
    return int(sequence.generate_state(1)[0])
