"""Run folders as evidence is read from them: whole, or refused with what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
from jaxtyping import Bool, Float64, Int

from imaging.words import encodable
from training.errors import CohortError
from training.evidence.footing import calibration_labels, lean_of_baselines, lean_of_networks, scores
from training.evidence.kept_connectivity import find_connectivity
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
    RunFolderError,
    RunRecord,
    RunSubject,
    fold_folder,
    read_outcome,
    read_rows,
    read_run,
)

Row = TypeVar("Row")


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
    def labels(self) -> Int[np.ndarray, " S"]:
        """0 control, 1 case, of the reported subjects."""
        return np.array([subject.label for subject in self.reported_subjects], dtype=np.int64)

    @property
    def probabilities(self) -> Float64[np.ndarray, " S"]:
        """Of a case, by the model that never saw the subject."""
        return np.array([prediction.probability for prediction in self.predictions])

    @property
    def thresholds(self) -> Float64[np.ndarray, " S"]:
        """Of the subjects' folds."""
        of_fold = {outcome.fold: outcome.threshold for outcome in self.outcomes}
        return np.array([of_fold[prediction.fold] for prediction in self.predictions])

    @property
    def scores(self) -> Float64[np.ndarray, " S"]:
        """What ranks the reported subjects: the networks' answers on a common footing."""
        label_of = {subject.subject_id: subject.label for subject in self.subjects}
        calibrated_on = calibration_labels(label_of, self.inner_predictions)
        lean = lean_of_networks(*self._dealt, calibrated_on, split=self.record.split)
        return scores(self.probabilities, self._folds, lean)

    def scores_of_baseline(self, probabilities: Float64[np.ndarray, " S"]) -> Float64[np.ndarray, " S"]:
        """Set a baseline's answers to the reported subjects on a common footing."""
        return scores(probabilities, self._folds, lean_of_baselines(*self._dealt, split=self.record.split))

    @property
    def _dealt(self) -> tuple[Int[np.ndarray, " A"], Int[np.ndarray, " A"]]:
        """Labels and folds of all subjects."""
        labels, folds = np.array([(subject.label, subject.fold) for subject in self.subjects]).T
        return labels, folds

    @property
    def _folds(self) -> Int[np.ndarray, " S"]:
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
            found = "no such folder" if not folder.is_dir() else f"a folder without {RUN_FILE}"
            raise RunFolderError(
                name=folder.name, expected="a folder that `restnet train` wrote", found=found
            )
        runs.extend(inside)
    return list(dict.fromkeys(runs))


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
    subjects = tuple(read_rows(run, SUBJECTS_FILE, RunSubject))
    reported = np.array([subject.fold in finished for subject in subjects])
    kept = find_connectivity(run, record, subjects)
    return RunData(
        name=encodable(run.name),
        record=record,
        subjects=subjects,
        reported=reported,
        predictions=_in_order_of_subjects(run, subjects, finished),
        inner_predictions=tuple(_inner_predictions(run, finished)),
        outcomes=tuple(read_outcome(run, fold) for fold in finished),
        epochs={fold: tuple(read_rows(run, f"folds/{fold}/{EPOCHS_FILE}", EpochRecord)) for fold in finished},
        missing=missing,
        connectivity=None if kept is None else kept.of(subjects),
    )


def _in_order_of_subjects(
    run: Path, subjects: Sequence[RunSubject], finished: Sequence[int]
) -> tuple[Prediction, ...]:
    found = {(row.subject_id, row.fold): row for row in _predictions(run, finished)}
    wanted = [(subject.subject_id, subject.fold) for subject in subjects if subject.fold in finished]
    lacking = [subject_id for subject_id, fold in wanted if (subject_id, fold) not in found]
    if lacking or len(set(wanted)) != len(wanted):
        raise RunFolderError(
            name=run.name,
            expected=f"one row in {PREDICTIONS_FILE} for each of {len(wanted)} subjects, each in one fold",
            found=f"{len(lacking)} without one" if lacking else "a subject twice",
        )
    return tuple(found[key] for key in wanted)


def _predictions(run: Path, finished: Sequence[int]) -> list[Prediction]:
    return _of_folds(run, finished, PREDICTIONS_FILE, Prediction)


def _inner_predictions(run: Path, finished: Sequence[int]) -> list[InnerPrediction]:
    rows = _of_folds(run, finished, INNER_PREDICTIONS_FILE, InnerPrediction)
    return [row for row in rows if row.fold in finished]


def _of_folds(run: Path, finished: Sequence[int], name: str, row_class: type[Row]) -> list[Row]:
    # A fold's own table is there as soon as the fold is finished; the run's is gathered from them at the end.
    of_folds = [f"folds/{fold}/{name}" for fold in finished]
    if all((run / table).exists() for table in of_folds):
        return [row for table in of_folds for row in read_rows(run, table, row_class)]
    return read_rows(run, name, row_class)
