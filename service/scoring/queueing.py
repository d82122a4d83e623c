"""Queueing scores and closing those that nobody wants: what the worker and the sweep do, for everybody.

Scores are queued a few at a time. A batch over a million scans is a row and some hundred jobs, so that it
fills no broker, is cancelled at once, and lets newer work pass.
"""

from typing import Any

from sqlalchemy import Select, and_, func, literal, select, tuple_, update
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.rows import (
    SCORING,
    PredictionRow,
    PredictionState,
    Purpose,
    RescoreRow,
    RescoreState,
    ScanRow,
    ScoreRow,
    ScoreState,
    ShadowRow,
)
from service.registry import open_shadow
from service.scoring.batches import Extent, answered

# Scores of a batch that wait at once; more are queued when half of them are done.
AHEAD = 100
# What was answered longer ago than this is not looked for any more, in seconds: a worker that was killed
# between an answer and its shadow is found by one of the next sweeps.
LOOKED_BACK_S = 900.0

_SILENT: dict[str, Any] = {"synchronize_session": False}


def queue_shadow_score(session: Session, prediction_id: str) -> str | None:
    """Queue the score of a prediction by the version in shadow; returns its id.

    Returns
    -------
    str or None
        None where no version is in shadow, it is the one that answered, the prediction has no answer, or the
        score is there already.

    Raises
    ------
    sqlalchemy.exc.IntegrityError
        If somebody else queues it at this moment.
    """
    shadow = open_shadow(session)
    if shadow is None:
        return None
    row = session.scalars(_unscored(shadow).where(PredictionRow.id == prediction_id)).one_or_none()
    return None if row is None else _add(session, [row], shadow=shadow)[0]


def queue_missed_shadow_scores(session: Session) -> list[str]:
    """Queue the shadow scores that a worker which stopped did not; returns their ids."""
    shadow = open_shadow(session)
    if shadow is None:
        return []
    lately = and_(
        PredictionRow.finished_at >= utc_now(-LOOKED_BACK_S), PredictionRow.finished_at >= shadow.started_at
    )
    rows = session.scalars(_unscored(shadow).where(lately).order_by(PredictionRow.finished_at).limit(AHEAD))
    return _add(session, list(rows), shadow=shadow)


def running_rescores(session: Session) -> list[str]:
    """List the batches that run."""
    running = select(RescoreRow.id).where(RescoreRow.state == RescoreState.RUNNING)
    return list(session.scalars(running.order_by(RescoreRow.created_at)))


def advance_rescore(session: Session, rescore_id: str) -> list[str]:
    """Queue the next scores of a batch if few of them wait, or finish it if none is left.

    Returns
    -------
    list of str
        The ids of what was queued.
    """
    # The first thing written: of two processes the second waits here until the first has committed.
    batch = session.scalars(
        update(RescoreRow)
        .where(RescoreRow.id == rescore_id, RescoreRow.state == RescoreState.RUNNING)
        .values(n_queued=RescoreRow.n_queued)
        .returning(RescoreRow),
        execution_options={**_SILENT, "populate_existing": True},
    ).one_or_none()
    if batch is None:
        return []
    unfinished = select(func.count(ScoreRow.id)).where(
        ScoreRow.rescore_id == batch.id, ScoreRow.state.in_([ScoreState.QUEUED, *SCORING])
    )
    waiting = session.execute(unfinished).scalar_one()
    if waiting > AHEAD // 2:
        return []
    rows = _next(session, batch, most=min(AHEAD - waiting, batch.n_asked - batch.n_queued))
    if not rows:
        if waiting == 0:
            batch.state, batch.ended_at = RescoreState.FINISHED, session.scalar(select(utc_now()))
            session.flush()
        return []
    batch.n_queued += len(rows)
    batch.queued_from, batch.queued_from_id = rows[-1].queued_at, rows[-1].id
    return _add(session, rows, batch=batch)


def close_unwanted(session: Session) -> int:
    """Cancel the scores whose shadow mode or batch has ended; returns how many waited.

    Those that run are told to stop. None of them could have been stored: this only says so.
    """
    over = ~ScoreRow.cause_goes_on()
    closed = session.scalars(
        update(ScoreRow)
        .where(ScoreRow.state == ScoreState.QUEUED, over)
        .values(state=ScoreState.CANCELLED, cancel_requested=True, finished_at=utc_now())
        .returning(ScoreRow.id),
        execution_options=_SILENT,
    ).all()
    session.execute(
        update(ScoreRow)
        .where(ScoreRow.state.in_(SCORING), ScoreRow.cancel_requested.is_(False), over)
        .values(cancel_requested=True),
        execution_options=_SILENT,
    )
    return len(closed)


def _unscored(shadow: ShadowRow) -> Select[PredictionRow]:
    scored = select(ScoreRow.id).where(
        ScoreRow.prediction_id == PredictionRow.id, ScoreRow.shadow_id == shadow.id
    )
    return (
        select(PredictionRow)
        .join(ScanRow, ScanRow.id == PredictionRow.scan_id)
        .where(
            PredictionRow.state == PredictionState.SUCCEEDED,
            PredictionRow.model_version_id != shadow.model_version_id,
            ScanRow.deleted_at.is_(None),
            ~scored.exists(),
        )
    )


def _next(session: Session, batch: RescoreRow, *, most: int) -> list[PredictionRow]:
    if most <= 0:
        return []
    query = answered(Extent(batch.since, batch.until))
    if batch.queued_from is not None:
        place = tuple_(PredictionRow.queued_at, PredictionRow.id)
        last = tuple_(
            literal(batch.queued_from, PredictionRow.queued_at.type),
            literal(batch.queued_from_id, PredictionRow.id.type),
        )
        query = query.where(place < last)
    newest = query.order_by(PredictionRow.queued_at.desc(), PredictionRow.id.desc())
    return list(session.scalars(newest.limit(most)))


def _add(
    session: Session,
    predictions: list[PredictionRow],
    *,
    shadow: ShadowRow | None = None,
    batch: RescoreRow | None = None,
) -> list[str]:
    cause = shadow or batch
    if cause is None or not predictions:
        return []
    scores = [
        ScoreRow(
            organisation_id=prediction.organisation_id,
            prediction_id=prediction.id,
            scan_id=prediction.scan_id,
            model_version_id=cause.model_version_id,
            purpose=Purpose.SHADOW if shadow else Purpose.RESCORE,
            shadow_id=shadow.id if shadow else None,
            rescore_id=batch.id if batch else None,
            max_attempts=prediction.max_attempts,
        )
        for prediction in predictions
    ]
    session.add_all(scores)
    session.flush()
    return [score.id for score in scores]
