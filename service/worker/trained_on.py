"""Whom a model version was trained on, as far as the run that made it is still there."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from service.db.rows import TrainingRunRow
from service.evaluations import EvaluationOriginAwayError
from service.registry import origins_of
from service.worker.runtime import Runtime
from training.added_people import added_index
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import COHORT_FILE
from training.run_files import read_rows
from training.runs import SUBJECTS_FILE, RunSubject, read_run

if TYPE_CHECKING:
    from training.challenge.challenge import Origin


def origin_of(runtime: Runtime, model_version_id: str) -> "Origin | None":
    """Return the run that made a version; None of one that no run is known to have made.

    Raises
    ------
    EvaluationOriginAwayError
        If its record or its cohort is not there now.
    """
    from training.challenge.challenge import Origin  # noqa: PLC0415  (torch)

    with runtime.sessions() as session:
        run_id = origins_of(session, [model_version_id]).get(model_version_id)
        run = None if run_id is None else session.get(TrainingRunRow, run_id)
    if run is None:
        return None
    folder, cohort = Path(run.run_folder), Path(run.cohort_folder)
    if not (folder / SUBJECTS_FILE).is_file() or not (cohort / COHORT_FILE).is_file():
        raise EvaluationOriginAwayError
    return Origin(run=folder, cohort=cohort)


def was_trained_on(
    runtime: Runtime, model_version_id: str, *, store: CohortStore, subject_ids: Collection[str]
) -> bool:
    """Whether any of some people of a store took part in a version's training, by a scan or by their id.

    Where the record is away nobody can say; it counts as no.

    Raises
    ------
    RunFolderError, AddedPeopleGoneError, CohortError
        If the run's record is there and does not read.
    """
    from training.challenge.leaks import overlap_of  # noqa: PLC0415  (torch)

    try:
        origin = origin_of(runtime, model_version_id)
    except EvaluationOriginAwayError:
        return False
    if origin is None:
        return False
    trained_on = [person.subject_id for person in read_rows(origin.run, SUBJECTS_FILE, RunSubject)]
    overlap = overlap_of(
        store,
        subject_ids,
        trained_on=trained_on,
        training_store=CohortStore.open(origin.cohort),
        added=added_index(origin.run, read_run(origin.run)),
    )
    return overlap.people > 0
