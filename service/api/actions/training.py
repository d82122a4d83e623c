"""Asking for training, following it, stopping it and going on with it, as an account may."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import case, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer
from sqlalchemy.orm.attributes import set_committed_value

from service import jobs
from service.api.access.principal import Principal
from service.api.actions.describing_training import Describer, cohort_response, line_response
from service.api.actions.idempotency import Repeatable, earlier, keep_key, request_digest
from service.api.actions.viewing import row_id
from service.api.cursor import by_name, encode_cursor, encode_place, newest_first
from service.api.resources import Resources
from service.api.training_payloads import (
    CohortPage,
    CohortResponse,
    TrainingGridResponse,
    TrainingLogResponse,
    TrainingRunDetailResponse,
    TrainingRunPage,
    TrainingRunResponse,
    TrainingWarning,
)
from service.cohorts import CohortLook, find_cohort, require_trainable
from service.db.rows import CohortRow, FoldState, TrainingFoldRow, TrainingRunRow
from service.queue import announce
from service.training_request import TrainingRequest

# The end of a log that is given with a run.
TAIL = 50


def every_cohort(session: Session) -> list[CohortResponse]:
    """Describe every registered cohort, by name."""
    look = CohortLook(session)
    rows = session.scalars(select(CohortRow).order_by(CohortRow.name))
    return [cohort_response(row, state=look.state_of(row)) for row in rows]


def list_cohorts(session: Session, *, cursor: str | None, limit: int) -> CohortPage:
    """Describe a page of registered cohorts, by name."""
    rows = session.scalars(by_name(select(CohortRow), CohortRow.name, cursor=cursor, limit=limit)).all()
    shown = rows[:limit]
    more = encode_place([shown[-1].name]) if len(rows) > limit else None
    look = CohortLook(session)
    items = [cohort_response(row, state=look.state_of(row)) for row in shown]
    return CohortPage(items=items, next_cursor=more)


def start_training(
    resources: Resources, principal: Principal, asked: TrainingRequest, *, idempotency_key: str | None = None
) -> TrainingGridResponse:
    """Queue the runs of a request, commit and announce them, or describe those that it made before.

    Raises
    ------
    CohortNotKnownError, CohortNotUsableError, CohortFilterError, CohortTooSmallError,
    CohortReleaseUnknownError
        As :mod:`service.cohorts`.
    IdempotencyKeyReusedError
        If the key stands for another request.
    """
    if idempotency_key is None:
        return _queue_runs(resources, principal, asked, None)
    request = Repeatable(principal.user_id, idempotency_key, request_digest(asked.model_dump(mode="json")))
    made = _runs_made_before(resources, principal, asked, request)
    if made is not None:
        return made
    try:
        return _queue_runs(resources, principal, asked, request)
    except IntegrityError:
        # Two requests with one key at the same time: the unique constraint let the other one win.
        made = _runs_made_before(resources, principal, asked, request)
        if made is None:
            raise
        return made


def _queue_runs(
    resources: Resources, principal: Principal, asked: TrainingRequest, request: Repeatable | None
) -> TrainingGridResponse:
    sessions = resources.sessions_for(principal)
    with sessions.begin() as session:
        cohort = find_cohort(session, asked.cohort)
        require_trainable(session, cohort, asked)
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
        if request is not None:
            keep_key(session, request, grid_id=runs[0].grid_id)
        describer = Describer(session)
        answer = TrainingGridResponse(
            id=str(runs[0].grid_id),
            runs=[describer.run(run, ()) for run in runs],
            warnings=_warnings(session, runs[0]),
        )
    for run in runs:
        announce(resources.queue, sessions, TrainingRunRow, run.id)
    return answer


def _runs_made_before(
    resources: Resources, principal: Principal, asked: TrainingRequest, request: Repeatable
) -> TrainingGridResponse | None:
    # As the first answer had them.
    order = [each["settings"] for each in asked.of_each()]
    with resources.sessions_for(principal).open() as session:
        row = earlier(session, request)
        if row is None:
            return None
        of_grid = select(TrainingRunRow).where(TrainingRunRow.grid_id == row.grid_id)
        runs = sorted(session.scalars(of_grid), key=lambda run: order.index((run.request or {})["settings"]))
        folds = _folds_of(session, [run.id for run in runs])
        describer = Describer(session)
        return TrainingGridResponse(
            id=str(row.grid_id),
            runs=[describer.run(run, folds[run.id]) for run in runs],
            warnings=_warnings(session, runs[0]) if runs else [],
        )


def _warnings(session: Session, run: TrainingRunRow) -> list[TrainingWarning]:
    # One cohort was asked for: what is said of one run is said of all.
    return [
        TrainingWarning.model_validate({"code": line.event, "message": line_response(line).text})
        for line in jobs.warnings_of(session, run.id)
    ]


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
    # A list shows no curves, and they are most of a row; a fold that waits says what is kept of it.
    kept = case((TrainingFoldRow.state == FoldState.QUEUED, TrainingFoldRow.epochs))
    light = select(TrainingFoldRow, kept).options(defer(TrainingFoldRow.epochs))
    folds = defaultdict(list)
    of_runs = light.where(TrainingFoldRow.run_id.in_(run_ids)).order_by(TrainingFoldRow.fold)
    for fold, epochs in session.execute(of_runs):
        if fold.state == FoldState.QUEUED:
            set_committed_value(fold, "epochs", epochs)
        folds[fold.run_id].append(fold)
    return folds
