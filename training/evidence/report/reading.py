"""Run folders as evidence is read from them: whole, or refused with what is missing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
from jaxtyping import Bool, Float64, Int

from imaging.words import counted, encodable
from training.errors import CohortError
from training.evidence.footing import calibration_labels, lean_of_baselines, lean_of_networks, scores
from training.evidence.kept_connectivity import find_connectivity
from training.evidence.shapes import Folds, Labels, Probabilities, Scores, Thresholds
from training.run_files import RunFolderError, read_rows
from training.runs import (
    EPOCHS_FILE,
    INNER_PREDICTIONS_FILE,
    OUTCOME_FILE,
    PREDICTIONS_FILE,
    RUN_FILE,
    SUBJECTS_FILE,
    EpochRecord,
    FoldOutcome,
    InnerPrediction,
    Prediction,
    RunRecord,
    RunSubject,
    fold_folder,
    read_outcome,
    read_run,
)

InFold = TypeVar("InFold", Prediction, InnerPrediction)


class RunUnfinishedError(CohortError):
    """A run of which some folds are still to be trained."""

    code: ClassVar[str] = "run_unfinished"

    def __init__(self, *, name: str, missing: list[str], finished: int) -> None:
        self.name = name
        self.missing = missing
        self.finished = finished
        ways = "the same `restnet train` command goes on with them"
        if finished:
            ways += ", and --partial reports what is there"
        super().__init__(
            f"run {name!r}: expected every fold finished, found {finished} finished and "
            f"{', '.join(missing)} missing; {ways}"
        )


@dataclass(frozen=True, eq=False)
class RunData:
    """A run as far as it is finished; subjects and predictions stand in the same order.

    Attributes
    ----------
    name : str
        Of its folder.
    record : RunRecord
    subjects : tuple of RunSubject
        All of them, also those of folds that are not finished: baselines are fitted on the other folds.
    reported : (A,) bool
        Which of them a finished fold speaks of.
    predictions : tuple of Prediction
        Of the reported subjects.
    inner_predictions : tuple of InnerPrediction
        Of the finished folds.
    outcomes : tuple of FoldOutcome
        Of the finished folds.
    epochs : dict
        The finished folds' epochs, by fold.
    missing : tuple of str
        Names of the folds that are not finished.
    connectivity : (A,) float64 or None
        Probabilities of ridge on connectivity, of all subjects; None where the folder keeps none of this run.
    """

    name: str
    record: RunRecord
    subjects: tuple[RunSubject, ...]
    reported: Bool[np.ndarray, " A"]
    predictions: tuple[Prediction, ...]
    inner_predictions: tuple[InnerPrediction, ...]
    outcomes: tuple[FoldOutcome, ...]
    epochs: dict[int, tuple[EpochRecord, ...]]
    missing: tuple[str, ...]
    connectivity: Float64[np.ndarray, " A"] | None

    @property
    def reported_subjects(self) -> tuple[RunSubject, ...]:
        """The subjects of finished folds, in the order of the predictions."""
        return tuple(
            subject for subject, reported in zip(self.subjects, self.reported, strict=True) if reported
        )

    @property
    def labels(self) -> Labels:
        """0 control, 1 case, of the reported subjects."""
        return np.array([subject.label for subject in self.reported_subjects], dtype=np.int64)

    @property
    def probabilities(self) -> Probabilities:
        """Of a case, by the model that never saw the subject."""
        return np.array([prediction.probability for prediction in self.predictions])

    @property
    def thresholds(self) -> Thresholds:
        """Of the subjects' folds."""
        of_fold = {outcome.fold: outcome.threshold for outcome in self.outcomes}
        return np.array([of_fold[prediction.fold] for prediction in self.predictions])

    @property
    def scores(self) -> Scores:
        """What ranks the reported subjects: the networks' answers on a common footing."""
        label_of = {subject.subject_id: subject.label for subject in self.subjects}
        calibrated_on = calibration_labels(label_of, self.inner_predictions)
        lean = lean_of_networks(*self._dealt, calibrated_on, split=self.record.split)
        return scores(self.probabilities, self._folds, lean)

    def scores_of_baseline(self, probabilities: Probabilities) -> Scores:
        """Set a baseline's answers to the reported subjects on a common footing."""
        return scores(probabilities, self._folds, lean_of_baselines(*self._dealt, split=self.record.split))

    @property
    def _dealt(self) -> tuple[Int[np.ndarray, " A"], Int[np.ndarray, " A"]]:
        """Labels and folds of all subjects."""
        labels, folds = np.array([(subject.label, subject.fold) for subject in self.subjects]).T
        return labels, folds

    @property
    def _folds(self) -> Folds:
        return np.array([prediction.fold for prediction in self.predictions])


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Name the run folders meant: each as given, or the runs that lie directly inside it (a grid).

    Raises
    ------
    RunFolderError
        If there is no run in one of them.
    """
    runs: list[Path] = []
    for folder in folders:
        if (folder / RUN_FILE).exists():
            runs.append(folder)
            continue
        inside = sorted(child.parent for child in folder.glob(f"*/{RUN_FILE}"))
        if not inside:
            raise RunFolderError(
                name=folder.name, expected="a folder that `restnet train` wrote", found=_what_is_there(folder)
            )
        runs.extend(inside)
    return list(dict.fromkeys(runs))


def _what_is_there(path: Path) -> str:
    if path.is_dir():
        return f"a folder without {RUN_FILE}"
    return "a file" if path.exists() else "no such folder"


def read_run_data(run: Path, *, partial: bool = False) -> RunData:
    """Read a run's folder.

    Parameters
    ----------
    run : Path
    partial : bool
        Take what is finished of a run that is not.

    Raises
    ------
    RunFolderError
        If the folder holds no readable run, or its tables do not belong together.
    RunUnfinishedError
        If folds are missing and `partial` is off, or none is finished.
    """
    record = read_run(run)
    folds = range(len(record.fold_names))
    finished = [fold for fold in folds if (fold_folder(run, fold) / OUTCOME_FILE).exists()]
    missing = tuple(f"fold {record.fold_names[fold]}" for fold in folds if fold not in finished)
    if not finished or (missing and not partial):
        raise RunUnfinishedError(name=run.name, missing=list(missing), finished=len(finished))
    subjects = _subjects(run, record)
    reported = np.array([subject.fold in finished for subject in subjects])
    outcomes = tuple(_outcome(run, fold, subjects) for fold in finished)
    predictions = _in_order_of_subjects(run, subjects, finished)
    inner_predictions = _inner_predictions(run, subjects, finished)
    if not missing:
        _require_gathered(run, PREDICTIONS_FILE, predictions, Prediction)
        _require_gathered(run, INNER_PREDICTIONS_FILE, inner_predictions, InnerPrediction)
    kept = find_connectivity(run, record, subjects)
    return RunData(
        name=encodable(run.name),
        record=record,
        subjects=subjects,
        reported=reported,
        predictions=predictions,
        inner_predictions=inner_predictions,
        outcomes=outcomes,
        epochs={outcome.fold: _epochs(run, outcome) for outcome in outcomes},
        missing=missing,
        connectivity=None if kept is None else kept.of(subjects),
    )


def _subjects(run: Path, record: RunRecord) -> tuple[RunSubject, ...]:
    subjects = tuple(read_rows(run, SUBJECTS_FILE, RunSubject))
    n_folds = len(record.fold_names)
    elsewhere = sum(subject.fold >= n_folds for subject in subjects)
    if elsewhere:
        raise RunFolderError(
            name=run.name,
            expected=f"fold in {SUBJECTS_FILE} to be one of the {n_folds} that {RUN_FILE} names",
            found=f"{counted(elsewhere, 'subject')} in another",
        )
    if len({subject.subject_id for subject in subjects}) != len(subjects):
        raise RunFolderError(
            name=run.name, expected=f"a row for each subject in {SUBJECTS_FILE}", found="a subject twice"
        )
    return subjects


def _outcome(run: Path, fold: int, subjects: Sequence[RunSubject]) -> FoldOutcome:
    outcome = read_outcome(run, fold)
    n_test = sum(subject.fold == fold for subject in subjects)
    n_others = outcome.n_training + outcome.n_stopping + outcome.n_calibration
    for told, expected, found in (
        ("fold", fold, outcome.fold),
        ("n_test", n_test, outcome.n_test),
        ("n_training, n_stopping and n_calibration together", len(subjects) - n_test, n_others),
    ):
        if expected != found:
            raise RunFolderError(
                name=run.name,
                expected=f"{told} in folds/{fold}/{OUTCOME_FILE} to be {expected}, as in {SUBJECTS_FILE}",
                found=str(found),
            )
    return outcome


def _epochs(run: Path, outcome: FoldOutcome) -> tuple[EpochRecord, ...]:
    name = f"folds/{outcome.fold}/{EPOCHS_FILE}"
    records = tuple(read_rows(run, name, EpochRecord))
    if [record.epoch for record in records] != list(range(1, outcome.epochs_run + 1)):
        raise RunFolderError(
            name=run.name,
            expected=f"epochs 1 to {outcome.epochs_run} in {name}, as in {OUTCOME_FILE}",
            found=counted(len(records), "row") if len(records) != outcome.epochs_run else "others",
        )
    return records


def _in_order_of_subjects(
    run: Path, subjects: Sequence[RunSubject], finished: Sequence[int]
) -> tuple[Prediction, ...]:
    rows = _of_folds(run, finished, PREDICTIONS_FILE, Prediction)
    found = {(row.subject_id, row.fold): row for row in rows}
    wanted = [(subject.subject_id, subject.fold) for subject in subjects if subject.fold in finished]
    lacking = len(set(wanted) - found.keys())
    if lacking or len(rows) != len(wanted):
        raise RunFolderError(
            name=run.name,
            expected=f"one row in {PREDICTIONS_FILE} for each of {len(wanted)} subjects, each in one fold",
            found=f"{lacking} without one" if lacking else f"{len(rows)} rows",
        )
    return tuple(found[key] for key in wanted)


def _inner_predictions(
    run: Path, subjects: Sequence[RunSubject], finished: Sequence[int]
) -> tuple[InnerPrediction, ...]:
    rows = _of_folds(run, finished, INNER_PREDICTIONS_FILE, InnerPrediction)
    reported_in = {subject.subject_id: subject.fold for subject in subjects}
    strangers = sum(reported_in.get(row.subject_id, row.fold) == row.fold for row in rows)
    if strangers:
        raise RunFolderError(
            name=run.name,
            expected=f"every row in {INNER_PREDICTIONS_FILE} to be of a subject of another fold",
            found=f"{counted(strangers, 'row')} of others",
        )
    return tuple(rows)


def _of_folds(run: Path, finished: Sequence[int], name: str, row_class: type[InFold]) -> list[InFold]:
    # A fold's own table is there as soon as the fold is finished; the run's is gathered from them at the end.
    of_folds = {fold: f"folds/{fold}/{name}" for fold in finished}
    if all((run / table).exists() for table in of_folds.values()):
        rows = []
        for fold, table in of_folds.items():
            found = read_rows(run, table, row_class)
            if any(row.fold != fold for row in found):
                raise RunFolderError(
                    name=run.name, expected=f"fold in {table} to be {fold}", found="another fold"
                )
            rows += found
        return rows
    return [row for row in read_rows(run, name, row_class) if row.fold in finished]


def _require_gathered(run: Path, name: str, rows: Sequence[InFold], row_class: type[InFold]) -> None:
    # Who opens the run's table takes it for the source of the figures, which are of the folds' own.
    if Counter(rows) != Counter(read_rows(run, name, row_class)):
        raise RunFolderError(
            name=run.name, expected=f"{name} to hold the rows of every folds/N/{name}", found="others"
        )
