"""Beginning a run's folder, or going on in it; never mixing two runs in one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from imaging.words import counted
from model.population import Population
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import StoredScan
from training.cohort.subjects import Subject
from training.errors import CohortError
from training.run_files import read_rows, write_json, write_rows
from training.runs import (
    INNER_PREDICTIONS_FILE,
    OUTCOME_FILE,
    POPULATION_FILE,
    PREDICTIONS_FILE,
    RUN_FILE,
    SUBJECTS_FILE,
    InnerPrediction,
    Prediction,
    RunRecord,
    RunSubject,
    fold_folder,
    read_run,
)
from training.validation.folds import Folds

# Where a run happens does not make it another one.
_MAY_DIFFER = {"machine"}
# They say no more than the settings and the subjects that they come from.
_FOLLOWS = {"fold_names", "n_parameters"}
_LONGEST, _DIGEST = 60, 12  # characters of a value in a sentence; ``differences`` has it whole


class RunFolderTakenError(CohortError):
    """A folder for a run that already holds something else."""

    code: ClassVar[str] = "run_folder_taken"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(f"expected {name!r} to be a new or empty folder, or the same run, found {found}")


class RunDiffersError(CohortError):
    """A run's folder that holds another run than the one that is asked for."""

    code: ClassVar[str] = "run_differs"

    def __init__(self, *, name: str, differences: Sequence[dict[str, Any]]) -> None:
        self.name = name
        self.differences = list(differences)
        told = "; ".join(
            f"{one['field']} expected {_shown(one['expected'])}, found {_shown(one['found'])}"
            for one in differences
        )
        super().__init__(f"run {name!r}: expected to go on with the same run, found another there: {told}")


class RunNotSavedError(CohortError):
    """A run's file that could not be written, for example on a full disk."""

    code: ClassVar[str] = "run_not_saved"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(
            f"run {name!r}: expected room and permission to write its files, found: {found}; "
            "the same command goes on with what is there"
        )


@contextmanager
def saving(run: Path) -> Iterator[None]:
    """Tell what keeps a run's file from being written; each is written whole or not at all."""
    try:
        yield
    except BrokenPipeError:
        raise  # no file of a run's: somebody stopped listening
    except OSError as error:
        raise RunNotSavedError(name=run.name, found=error.strerror or type(error).__name__) from error


def run_subjects(store: CohortStore, subjects: Sequence[Subject], folds: Folds) -> list[RunSubject]:
    """Describe who takes part, in which fold, and with what a baseline may know.

    Parameters
    ----------
    store : CohortStore
    subjects : sequence of Subject
        All labelled.
    folds : Folds

    Returns
    -------
    list of RunSubject
        Sorted by subject_id, so that a run does not depend on the order of its table.
    """
    return [
        _describe(subject, store.scans_of(subject.subject_id), fold=folds.fold_of[subject.subject_id])
        for subject in sorted(subjects, key=lambda subject: subject.subject_id)
    ]


def begin_run(run: Path, record: RunRecord, subjects: Sequence[RunSubject], population: Population) -> None:
    """Write what a run is to do, or see that the folder holds exactly this run.

    Parameters
    ----------
    run : Path
        Made if it is not there.
    record : RunRecord
    subjects : sequence of RunSubject
    population : Population
        Of these subjects; follows from them, and a run of an earlier version lacks it.

    Raises
    ------
    RunNotSavedError
        If it cannot be written.
    RunFolderTakenError
        If the folder holds something that is no run.
    RunDiffersError
        If it holds a run with other settings, another cohort or other subjects.
    RunFolderError
        If it holds a damaged run.
    """
    if run.exists() and not run.is_dir():
        raise RunFolderTakenError(name=run.name, found="a file")
    with saving(run):
        run.mkdir(parents=True, exist_ok=True)
    # A hidden file is one that replace_file had no time to finish.
    held = sorted(path.name for path in run.iterdir() if not path.name.startswith("."))
    if held and RUN_FILE not in held:
        raise RunFolderTakenError(name=run.name, found=f"{held[0]!r} in it")
    if held:
        _require_same(run, record)
    else:
        with saving(run):
            write_json(run / RUN_FILE, record)
    if (run / SUBJECTS_FILE).exists():
        if read_rows(run, SUBJECTS_FILE, RunSubject) != list(subjects):
            difference = {"field": SUBJECTS_FILE, "expected": "of this selection", "found": "of another"}
            raise RunDiffersError(name=run.name, differences=[difference])
    else:
        with saving(run):
            write_rows(run / SUBJECTS_FILE, subjects)
    with saving(run):
        write_json(run / POPULATION_FILE, population)


def gather_predictions(run: Path) -> list[int]:
    """Put the finished folds' predictions together, in the order of the run's subjects.

    Parameters
    ----------
    run : Path

    Returns
    -------
    list of int
        The finished folds.
    """
    finished = [fold for fold in range(len(read_run(run).fold_names)) if is_finished(run, fold)]
    place = {row.subject_id: i for i, row in enumerate(read_rows(run, SUBJECTS_FILE, RunSubject))}
    for name, row_class in ((PREDICTIONS_FILE, Prediction), (INNER_PREDICTIONS_FILE, InnerPrediction)):
        rows: list[Any] = [
            row for fold in finished for row in read_rows(run, f"folds/{fold}/{name}", row_class)
        ]
        rows.sort(key=lambda row: (place[row.subject_id], row.fold))
        with saving(run):
            write_rows(run / name, rows, row_class=row_class)
    return finished


def is_finished(run: Path, fold: int) -> bool:
    """Say whether a fold has come to its outcome."""
    return (fold_folder(run, fold) / OUTCOME_FILE).exists()


def _require_same(run: Path, record: RunRecord) -> None:
    asked, found = (_flat(one.model_dump(mode="json")) for one in (record, read_run(run)))
    differences = [
        {"field": field, "expected": asked.get(field), "found": found.get(field)}
        for field in sorted(asked.keys() | found.keys())
        if asked.get(field) != found.get(field)
    ]
    # What only follows from another difference is left out where there is one: all else of a method.
    causes = [one for one in differences if one["field"] == "method"] or [
        one for one in differences if one["field"] not in _FOLLOWS
    ]
    if differences:
        raise RunDiffersError(name=run.name, differences=causes or differences)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Name the settings one by one, so that a difference is told by its name."""
    parted = {"settings", "preprocessing"}
    rest = {field: value for field, value in record.items() if field not in {*parted, *_MAY_DIFFER}}
    spec = {f"preprocessing.{field}": value for field, value in record["preprocessing"].items()}
    described = {
        f"{part}.{field}": value
        for part in ("regions", "recipe")
        for field, value in (rest.pop(part, None) or {}).items()
    }
    # A record of a network does not say so.
    return {"method": "network", **rest, **spec, **described, **record["settings"]}


def _shown(value: Any) -> str:
    """Write a setting for a sentence: a long list by its length, a digest by its beginning."""
    text = "nothing" if value is None else str(value)
    if len(text) <= _LONGEST:
        return text
    return counted(len(value), "entry", "entries") if isinstance(value, list) else f"{text[:_DIGEST]}..."


def _describe(subject: Subject, scans: Sequence[StoredScan], *, fold: int) -> RunSubject:
    if subject.label is None:
        raise ValueError(f"expected a labelled subject, found {subject.subject_id!r} without")
    return RunSubject(
        subject_id=subject.subject_id,
        site=subject.site,
        label=subject.label,
        fold=fold,
        age_years=subject.age_years,
        sex=subject.sex,
        handedness=subject.handedness,
        iq=subject.iq,
        tr_s=fmean(scan.tr_s for scan in scans),
        n_frames=fmean(scan.n_frames for scan in scans),
        dvars_mean=_mean([scan.dvars_mean for scan in scans]),
        spikes=_mean([scan.spikes for scan in scans]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
