"""The checkpoint of a finished run: every fold's model as a member, and a card that says what was measured.

Each member's weights have the offset and temperature of its own fold in them, so the members' logits share a
zero and can be averaged. The card's temperature, threshold and conformal quantiles are fitted to the inner
calibration predictions of all folds together. Each of them is of one fold's model on a subject that it was
not fitted to; the reported folds have no say. A subject can stand there for several folds, so these are fewer
people than rows, and the mean of several models is a little surer than each of them: what the card promises
is, if anything, cautious. The metrics are those of the single models on the people they never saw; nobody is
left on whom the ensemble as a whole could be measured.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.special import expit

from imaging.words import counted
from model.architecture import Architecture
from model.card import ModelCard
from model.checkpoint import save_checkpoint
from model.population import Population
from training.evidence.calibration import fit_temperature
from training.evidence.conformal import CLASSES, conformal_sets, coverage
from training.evidence.footing import calibration_labels, lean_of_networks, scores
from training.evidence.metrics import evaluate
from training.fitting.settings import TrainingSettings
from training.run_files import RunFolderError, read_json, read_rows
from training.runs import (
    CHECKPOINT_FILE,
    INNER_PREDICTIONS_FILE,
    OUTCOME_FILE,
    POPULATION_FILE,
    PREDICTIONS_FILE,
    SUBJECTS_FILE,
    FoldOutcome,
    InnerPrediction,
    Prediction,
    RunRecord,
    RunSubject,
    fold_folder,
    read_outcome,
    read_run,
)
from training.validation.calibrating import DecisionRule, fit_rule
from training.validation.fold import WEIGHTS_FILE
from training.validation.run_folder import saving

_BOOTSTRAP_SEED = 0
_VERSION_LENGTH = 12


def write_ensemble(run: Path) -> ModelCard:
    """Write the checkpoint of a run whose folds are all finished and gathered.

    Parameters
    ----------
    run : Path

    Returns
    -------
    ModelCard
        Of the file written, ``checkpoint.safetensors`` in the run's folder.

    Raises
    ------
    RunFolderError
        If a fold is not finished, or its weights do not read.
    RunNotSavedError
        If the file cannot be written.
    """
    record = read_run(run)
    settings = TrainingSettings.model_validate(record.settings)
    folds = range(len(record.fold_names))
    subjects = read_rows(run, SUBJECTS_FILE, RunSubject)
    outcomes = [read_outcome(run, fold) for fold in folds]
    temperature, rule = _calibrate_on_inner_parts(run, subjects, settings=settings)
    card = ModelCard.model_validate(
        {
            **{name: getattr(settings, name) for name in Architecture.model_fields},
            "name": f"{record.cohort_name[:100]} {settings.system}",
            "version": _version(record),
            "regions": record.regions,
            "members": len(folds),
            "preprocessing": record.preprocessing,
            "threshold": rule.threshold,
            "temperature": temperature,
            "decision_rule": "interval" if rule.conformal_quantiles is None else "conformal",
            "conformal_quantiles": rule.conformal_quantiles,
            "cohort_fingerprint": record.trained_fingerprint,
            "trained_on": _trained_on(record, subjects),
            "population": _population(run),
            "intended_use": "demonstration" if record.simulated else "research",
            "metrics": measure(run, record, subjects, outcomes),
            "code_version": record.code_version,
        }
    )
    members = [_weights(run, fold) for fold in folds]
    with saving(run):
        save_checkpoint(
            run / CHECKPOINT_FILE, members=members, card=card, weights_dtype=settings.weights_dtype
        )
    return card


def _weights(run: Path, fold: int) -> dict[str, torch.Tensor]:
    try:
        return load_file(fold_folder(run, fold) / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        folder = f"folds/{fold}"
        raise RunFolderError(
            name=run.name,
            expected=f"intact weights in {folder}/{WEIGHTS_FILE}",
            found=f"{'none' if isinstance(error, FileNotFoundError) else 'a damaged file'} (remove "
            f"{folder}/{OUTCOME_FILE} and give the same command again: it trains this fold anew)",
        ) from error


def measure(
    run: Path, record: RunRecord, subjects: Sequence[RunSubject], outcomes: Sequence[FoldOutcome]
) -> dict[str, Any]:
    """Measure a run on the reported folds, each subject by the model and the threshold of its fold.

    Parameters
    ----------
    run : Path
        Gathered.
    record : RunRecord
    subjects : sequence of RunSubject
    outcomes : sequence of FoldOutcome
        By fold.

    Returns
    -------
    dict
        JSON values: figures with 95 % intervals over subjects, the confusion table and, where there are
        conformal sets, how often they held the truth.
    """
    predictions = read_rows(run, PREDICTIONS_FILE, Prediction)
    labels = np.array([subject.label for subject in subjects])
    probabilities = np.array([prediction.probability for prediction in predictions])
    thresholds = np.array([outcomes[prediction.fold].threshold for prediction in predictions])
    folds = np.array([prediction.fold for prediction in predictions])
    inner = read_rows(run, INNER_PREDICTIONS_FILE, InnerPrediction)
    label_of = {subject.subject_id: subject.label for subject in subjects}
    lean = lean_of_networks(labels, folds, calibration_labels(label_of, inner), split=record.split)
    evaluation = evaluate(
        labels,
        probabilities,
        threshold=thresholds,
        scores=scores(probabilities, folds, lean),
        seed=_BOOTSTRAP_SEED,
    )
    return {
        "measured_on": _measured_on(record, len(subjects)),
        "split": record.split,
        "protocol": record.settings["protocol"],
        **evaluation.to_json(),
        **_coverage(subjects, predictions, outcomes),
    }


def _coverage(
    subjects: Sequence[RunSubject], predictions: Sequence[Prediction], outcomes: Sequence[FoldOutcome]
) -> dict[str, Any]:
    """Measure the conformal sets; nothing under the protocol "paper", which has none."""
    quantiles = [outcome.conformal_quantiles for outcome in outcomes]
    if any(one is None for one in quantiles):
        return {}
    sets = np.zeros((len(subjects), len(CLASSES)), dtype=np.bool_)
    for fold, of_fold in enumerate(quantiles):
        rows = np.array([prediction.fold == fold for prediction in predictions])
        if of_fold is not None:
            sets[rows] = conformal_sets(
                np.array([one.probability for one in predictions if one.fold == fold]), of_fold
            )
    found = coverage(np.array([subject.label for subject in subjects]), sets)
    levels = {one["level"] for one in quantiles if one is not None}
    return {
        "coverage": found.to_json(level=min(levels)),
        "uncertain_share": round((found.n_empty + found.n_both) / len(subjects), 4),
    }


def _calibrate_on_inner_parts(
    run: Path, subjects: Sequence[RunSubject], *, settings: TrainingSettings
) -> tuple[float, DecisionRule]:
    rows = read_rows(run, INNER_PREDICTIONS_FILE, InnerPrediction)
    label = {subject.subject_id: subject.label for subject in subjects}
    kept = [row for row in rows if row.part == "calibration"]
    if not kept:
        return 1.0, DecisionRule()
    logits = np.array([row.logit for row in kept])
    labels = np.array([label[row.subject_id] for row in kept])
    temperature = fit_temperature(logits, labels)
    return temperature, fit_rule(expit(logits / temperature), labels, settings=settings)


def _trained_on(record: RunRecord, subjects: Sequence[RunSubject]) -> str:
    return f"{_of_the_cohort(record, subjects)}{_added(record)}"


def _added(record: RunRecord) -> str:
    """Say who was added, after the cohort's people."""
    if record.added is None:
        return ""
    n_controls = record.added.n_subjects - record.added.n_cases
    kind = "simulated subject" if record.simulated else "person"
    people = counted(record.added.n_subjects, kind, "people" if kind == "person" else None)
    return (
        f"; and {people} added from {record.added.name}, who are measured nowhere: "
        f"{record.added.n_cases} with {record.condition}, {counted(n_controls, 'control')}"
    )


def _of_the_cohort(record: RunRecord, subjects: Sequence[RunSubject]) -> str:
    n_cases = sum(subject.label for subject in subjects)
    if record.mixed:
        cohort = f"cohort {record.cohort_name}, which mixes simulated scans with others"
        return f"{len(subjects)} subjects of {cohort}"
    if record.simulated:
        return f"{len(subjects)} simulated subjects (cohort {record.cohort_name}); no person's scan"
    return (
        f"{len(subjects)} people of cohort {record.cohort_name}: "
        f"{n_cases} with {record.condition}, {counted(len(subjects) - n_cases, 'control')}"
    )


def _population(run: Path) -> Population | None:
    """Read who the subjects are together; a run of an earlier version does not say."""
    return read_json(run, POPULATION_FILE, Population) if (run / POPULATION_FILE).exists() else None


def _measured_on(record: RunRecord, n_subjects: int) -> str:
    left_out = "fold" if record.split == "stratified" else "site"
    return f"{n_subjects} {record.people}, each by the one model that was trained without their {left_out}"


def _version(record: RunRecord) -> str:
    """Name the run by what it was asked to do: the same again is the same version."""
    text = record.model_dump_json(exclude={"machine"})
    return hashlib.sha256(text.encode()).hexdigest()[:_VERSION_LENGTH]
