"""Asking for training, following it, stopping it and going on with it, as an account may."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from service import jobs
from service.api.access.principal import Principal
from service.api.actions.describing_training import Describer, cohort_response, line_response
from service.api.actions.viewing import row_id
from service.api.cursor import encode_cursor, newest_first
from service.api.resources import Resources
from service.api.training_payloads import (
    CohortResponse,
    TrainingGridResponse,
    TrainingLogResponse,
    TrainingRunDetailResponse,
    TrainingRunPage,
    TrainingRunResponse,
)
from service.cohorts import find_cohort, require_trainable
from service.db.rows import CohortRow, TrainingFoldRow, TrainingRunRow
from service.queue import announce
from service.training_request import TrainingRequest

# The end of a log that is given with a run.
TAIL = 50


def list_cohorts(session: Session) -> list[CohortResponse]:
    """Describe every registered cohort, by name."""
    return [cohort_response(row) for row in session.scalars(select(CohortRow).order_by(CohortRow.name))]


def start_training(
    resources: Resources, principal: Principal, asked: TrainingRequest
) -> TrainingGridResponse:
    """Queue the runs of a request, commit and announce them.

    Raises
    ------
    CohortNotKnownError, CohortNotUsableError, CohortTooSmallError
        As :mod:`service.cohorts`.
    """
    sessions = resources.sessions_for(principal)
    with sessions.begin() as session:
        cohort = find_cohort(session, asked.cohort)
        require_trainable(cohort, asked)
        runs = jobs.request_runs(
            session,
            asked,
            cohort,
            runs_dir=resources.settings.runs_dir,
            actor=principal.actor,
            organisation_id=principal.organisation_id,
            requested_by=principal.user_id,
            max_attempts=resources.settings.max_attempts,
        )
        for run in runs:
            session.refresh(run)
        describer = Describer(session)
        answer = TrainingGridResponse(id=str(runs[0].grid_id), runs=[describer.run(run, ()) for run in runs])
    for run in runs:
        announce(resources.queue, sessions, TrainingRunRow, run.id)
    return answer


def list_runs(session: Session, *, cursor: str | None, limit: int) -> TrainingRunPage:
    """Describe a page of runs, newest first."""
    paged = newest_first(
        select(TrainingRunRow), TrainingRunRow.created_at, TrainingRunRow.id, cursor=cursor, limit=limit
    )
    rows = session.scalars(paged).all()
    shown = rows[:limit]
    folds = _folds_of(session, [row.id for row in shown])
    describer = Describer(session)
    more = encode_cursor(shown[-1].created_at, shown[-1].id) if len(rows) > limit else None
    return TrainingRunPage(items=[describer.run(row, folds[row.id]) for row in shown], next_cursor=more)


def read_run(session: Session, run_id: str) -> TrainingRunDetailResponse:
    """Describe a run.

    Raises
    ------
    TrainingRunNotFoundError
        If the account sees no such run.
    """
    row = find_run(session, run_id)
    folds = jobs.folds_of_run(session, row.id)
    return Describer(session).detail(row, folds, jobs.newest_lines(session, row.id, limit=TAIL))


def read_log(session: Session, run_id: str, *, after: int, limit: int) -> TrainingLogResponse:
    """Give the lines of a run's log after one.

    Raises
    ------
    TrainingRunNotFoundError
        As :func:`read_run`.
    """
    row = find_run(session, run_id)
    lines = jobs.lines_of(session, row.id, after=after, limit=limit)
    return TrainingLogResponse(
        items=[line_response(line) for line in lines], next_after=lines[-1].id if lines else after
    )


def stop_training(resources: Resources, principal: Principal, run_id: str) -> TrainingRunResponse:
    """Cancel a run with all its folds.

    Raises
    ------
    TrainingRunNotFoundError, TrainingRunOverError
    """
    with resources.sessions_for(principal).begin() as session:
        row = jobs.cancel_run(session, find_run(session, run_id), actor=principal.actor)
        return Describer(session).run(row, jobs.folds_of_run(session, row.id))


def resume_training(resources: Resources, principal: Principal, run_id: str) -> TrainingRunResponse:
    """Queue again what a run has left, commit and announce it.

    Raises
    ------
    TrainingRunNotFoundError, TrainingRunNotResumableError
    """
    sessions = resources.sessions_for(principal)
    with sessions.begin() as session:
        row = find_run(session, run_id)
        waiting = jobs.resume_run(session, row, actor=principal.actor)
        answer = Describer(session).run(row, jobs.folds_of_run(session, row.id))
    for kind, job_id in waiting:
        announce(resources.queue, sessions, kind, job_id)
    return answer


def find_run(session: Session, run_id: str) -> TrainingRunRow:
    """Return a run that the session may see.

    Raises
    ------
    TrainingRunNotFoundError
        If there is none.
    """
    row = session.get(TrainingRunRow, row_id(run_id))
    if row is None:
        raise jobs.TrainingRunNotFoundError
    return row


def _folds_of(session: Session, run_ids: Sequence[str]) -> dict[str, list[TrainingFoldRow]]:
    statement = select(TrainingFoldRow).where(TrainingFoldRow.run_id.in_(run_ids))
    # A list shows no curves, and they are most of a row.
    light = statement.options(defer(TrainingFoldRow.epochs)).order_by(TrainingFoldRow.fold)
    folds = defaultdict(list)
    for fold in session.scalars(light):
        folds[fold.run_id].append(fold)
    return folds
