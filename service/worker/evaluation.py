"""One evaluation: a challenger and the champion answer for the same locked people, and rules judge the two.

It takes minutes on one thread: on a machine whose other cores answer for scans it must not keep them waiting.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from celery import Celery
from sqlalchemy.orm import joinedload

from service import evaluations
from service.db.rows import EvaluationRow, EvaluationSetRow, ModelVersionRow
from service.errors import as_json
from service.queue import announce
from service.registry import CheckpointDamagedError, CheckpointMissingError
from service.registry.intactness import require_intact
from service.storage import EncryptionKeyMissingError, StoredFileDamagedError, StoredFileMissingError
from service.worker.heartbeat import Heartbeat
from service.worker.job import Work, Write, run_job
from service.worker.patience import entered
from service.worker.runtime import Runtime
from service.worker.threads import one_thread
from service.worker.trained_on import origin_of
from training.cohort.store.cohort_store import CohortStore

if TYPE_CHECKING:
    from training.challenge.people import EvaluationSet


def run_evaluation(runtime: Runtime, evaluation_id: str) -> None:
    """Claim an evaluation and bring it to an end, as :func:`service.worker.job.run_job` says."""
    run_job(EVALUATION, runtime, evaluation_id)


def announce_evaluations(app: Celery, runtime: Runtime) -> None:
    """Tell the workers of the evaluations that nobody has been told of yet."""
    with runtime.sessions() as session:
        waiting = evaluations.unannounced(session)
    for evaluation_id in waiting:
        announce(app, runtime.sessions, EvaluationRow, evaluation_id)


def _evaluate(runtime: Runtime, row: EvaluationRow, owner: str, heartbeat: Heartbeat) -> Write:
    from training.challenge.challenge import challenge  # noqa: PLC0415  (torch)

    with runtime.sessions() as session:
        champion = session.get_one(ModelVersionRow, row.champion_id)
        challenger = session.get_one(ModelVersionRow, row.challenger_id)
        with_cohort = [joinedload(EvaluationSetRow.cohort)]
        chosen = session.get_one(EvaluationSetRow, row.evaluation_set_id, options=with_cohort)
    origin = origin_of(runtime, challenger.id)
    people = lock_set(runtime, chosen)
    heartbeat.check()
    require_intact(runtime.storage, champion)
    with (
        one_thread(),
        _fetched(runtime, champion, heartbeat) as old,
        _fetched(runtime, challenger, heartbeat) as new,
    ):
        found = challenge(
            old,
            new,
            people,
            origin=origin,
            challenger_sha256=challenger.sha256,
            device=runtime.settings.device,
            # As scans are answered: what a person would be told is what is judged.
            backend=runtime.settings.backend,
            progress=lambda _stage, share: heartbeat.report(share),
        )
    outcome = as_json(found.to_json())
    return lambda session: evaluations.finish_evaluation(session, row.id, owner=owner, outcome=outcome)


EVALUATION = Work(
    kind=EvaluationRow,
    name="evaluation",
    do=_evaluate,
    # A run or a cohort that is away for a moment is no finding about whom a model was trained on.
    awaited=(EncryptionKeyMissingError, evaluations.EvaluationOriginAwayError),
    out_of_reach="expected the cohort's folder to be at hand, found the system refusing it",
    limited=False,
)


def lock_set(runtime: Runtime, chosen: EvaluationSetRow) -> "EvaluationSet":
    """Read the people of a set; the first to do so writes down who they are.

    Parameters
    ----------
    chosen : EvaluationSetRow
        With its cohort.

    Raises
    ------
    EvaluationSetChangedError
        If they are not those that were locked or, before anybody has looked, the cohort is not the one that
        was registered then.
    EvaluationSetTooSmallError
        If they are too few to judge a model by.
    CohortError
        If the cohort or the selection does not read.
    """
    from training.challenge.people import (  # noqa: PLC0415  (torch)
        EvaluationSet,
        EvaluationSetChangedError,
    )
    from training.cohort.selecting.selection import select as select_subjects  # noqa: PLC0415

    store = CohortStore.open(Path(chosen.cohort.folder))
    if chosen.fingerprint is None:
        found = store.fingerprint(store.subjects)
        if found != chosen.cohort_fingerprint:
            raise EvaluationSetChangedError(name=store.name, expected=chosen.cohort_fingerprint, found=found)
    # Neither selection draws: the seed is of no consequence.
    subjects = select_subjects(store.subjects, chosen.selection, where=chosen.where, seed=0)
    people = EvaluationSet.of(store, subjects, locked_as=chosen.fingerprint)
    with runtime.sessions.begin() as session:
        if not evaluations.lock_people(session, chosen.id, people.to_json()):
            locked = session.get_one(EvaluationSetRow, chosen.id).fingerprint or ""
            raise EvaluationSetChangedError(name=store.name, expected=locked, found=people.fingerprint)
    return people


@contextmanager
def _fetched(runtime: Runtime, version: ModelVersionRow, heartbeat: Heartbeat) -> Iterator[Path]:
    fetched = runtime.storage.open_local(version.storage_key, compare=False)
    try:
        with entered(fetched, check=heartbeat.check) as path:
            runtime.storage_answered()
            yield path
    except StoredFileMissingError as error:
        raise CheckpointMissingError(sha256=version.sha256) from error
    except StoredFileDamagedError as error:
        raise CheckpointDamagedError(expected=version.sha256, found="bytes that do not read") from error
