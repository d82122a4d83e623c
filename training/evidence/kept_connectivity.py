"""Ridge on connectivity of a run: computed from its cohort once, and kept in the run's folder.

What is kept names the ground that it stands on: the cohort's fingerprint, who is in which fold with which
label, and the method. On any other ground it is not shown.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from imaging.regions import tile_brain
from model.files import replace_file
from training.cohort.store.cohort_store import CohortStore
from training.errors import CohortError
from training.evidence.connectivity import Progress, connectivity_probabilities
from training.evidence.shapes import Probabilities
from training.run_files import RunFolderError, read_rows
from training.runs import CONNECTIVITY_FILE, SUBJECTS_FILE, RunRecord, RunSubject, Share, read_run

# A change of regions, penalties or calibration is another method: raise it.
METHOD = 1


class ReportCohortDiffersError(CohortError):
    """A cohort that a run was not trained on, or that has changed since."""

    code: ClassVar[str] = "report_cohort_differs"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(
            f"run {name!r}: expected the cohort that it was trained on, its subjects with the same labels "
            f"and scans (fingerprint {expected[:12]}...), found another (fingerprint {found[:12]}...)"
        )


class KeptConnectivity(BaseModel):
    """What ``connectivity.json`` holds.

    Attributes
    ----------
    ground : str
        sha256 over all that the figures stand on.
    cohort_name : str
    n_regions : int
        Whose correlations were the features.
    probabilities : dict of float
        Of a case, by subject, each by a regression on the other folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    ground: str
    cohort_name: str
    n_regions: int
    probabilities: dict[str, Share]

    def of(self, subjects: Sequence[RunSubject]) -> Probabilities:
        """Give the probabilities in the order of the subjects."""
        return np.array([self.probabilities[subject.subject_id] for subject in subjects])


def keep_connectivity(runs: Sequence[Path], cohort: Path, *, progress: Progress | None = None) -> None:
    """Compute ridge on connectivity for the runs that do not keep it yet, and keep it.

    Runs of a grid stand on one ground: their scans are read once, and their regressions fitted once.

    Parameters
    ----------
    runs : sequence of Path
        Run folders.
    cohort : Path
        The store that all of them were trained on.
    progress : callable, optional
        Told the stage and the fraction of the subjects read.

    Raises
    ------
    ReportCohortDiffersError
        If one of the runs stands on other subjects, labels or series; nothing is written then.
    RunFolderError
        If a folder is no run, or cannot be written.
    CohortError
        From the store, or if a baseline cannot be fitted.
    """
    store = CohortStore.open(cohort)
    read = {run: (read_run(run), tuple(read_rows(run, SUBJECTS_FILE, RunSubject))) for run in runs}
    for run, (record, subjects) in read.items():
        _require_same_cohort(run, record, subjects, store)
    made: dict[str, KeptConnectivity] = {}
    for run, (record, subjects) in read.items():
        if find_connectivity(run, record, subjects) is not None:
            continue
        ground = ground_of(record, subjects)
        if ground not in made:
            made[ground] = _measure(store, subjects, ground=ground, progress=progress)
        _write(run, made[ground])


def find_connectivity(
    run: Path, record: RunRecord, subjects: Sequence[RunSubject]
) -> KeptConnectivity | None:
    """Read what a run's folder keeps, if it stands on this very ground.

    Parameters
    ----------
    run : Path
    record : RunRecord
    subjects : sequence of RunSubject
        Of this run.

    Returns
    -------
    KeptConnectivity or None
        None where nothing is kept, or something of another ground, method or form: it can be made again.
    """
    try:
        kept = KeptConnectivity.model_validate_json((run / CONNECTIVITY_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    whole = kept.probabilities.keys() == {subject.subject_id for subject in subjects}
    return kept if whole and kept.ground == ground_of(record, subjects) else None


def ground_of(record: RunRecord, subjects: Sequence[RunSubject]) -> str:
    """Say what the figures stand on, as a digest."""
    people = sorted([subject.subject_id, subject.label, subject.fold] for subject in subjects)
    ground = [METHOD, record.cohort_fingerprint, people]
    return hashlib.sha256(json.dumps(ground).encode()).hexdigest()


def _measure(
    store: CohortStore, subjects: Sequence[RunSubject], *, ground: str, progress: Progress | None
) -> KeptConnectivity:
    probabilities = connectivity_probabilities(store, subjects, progress=progress)
    return KeptConnectivity(
        ground=ground,
        cohort_name=store.name,
        n_regions=len(tile_brain(store.spec.grid_size).starts),
        probabilities={
            subject.subject_id: float(probability)
            for subject, probability in zip(subjects, probabilities, strict=True)
        },
    )


def _require_same_cohort(
    run: Path, record: RunRecord, subjects: Sequence[RunSubject], store: CohortStore
) -> None:
    found = store.fingerprint_of(subject.subject_id for subject in subjects)
    if found != record.cohort_fingerprint:
        raise ReportCohortDiffersError(name=run.name, expected=record.cohort_fingerprint, found=found)


def _write(run: Path, kept: KeptConnectivity) -> None:
    try:
        replace_file(run / CONNECTIVITY_FILE, (kept.model_dump_json(indent=2) + "\n").encode())
    except OSError as error:
        raise RunFolderError(
            name=run.name,
            expected=f"room and permission to keep {CONNECTIVITY_FILE} in it",
            found=error.strerror or type(error).__name__,
        ) from error
