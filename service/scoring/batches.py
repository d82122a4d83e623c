"""Batches: one version over earlier predictions of all organisations, started, counted and cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from service.audit import record
from service.db.base import utc_now
from service.db.restricted import COUNTS_EVERY_ORGANISATION
from service.db.rows import (
    ModelVersionRow,
    PredictionRow,
    PredictionState,
    RescoreRow,
    RescoreState,
    ScanRow,
    ScoreRow,
    ScoreState,
)
from service.identity.actor import Actor
from service.registry.gate import require_runnable
from service.registry.reasons import checked_reason
from service.scoring.errors import (
    NothingToRescoreError,
    RescoreNotFoundError,
    RescoreOverError,
    RescoreRunningError,
)
from service.storage import Storage

_EVERYBODY: dict[str, Any] = {COUNTS_EVERY_ORGANISATION: True}


@dataclass(frozen=True)
class Extent:
    """Which earlier predictions: those asked for in a time, the newest of them.

    Attributes
    ----------
    since, until : datetime or None
        When they were queued; `until` itself is not of it.
    limit : int or None
        At most so many.
    """

    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Standing:
    """Where the scores of a batch, or of a time in shadow, stand.

    Attributes
    ----------
    by_state : dict
        Scores by state, every state named.
    failed_by_code : dict
        Scores that failed, by what was wrong.
    """

    by_state: dict[str, int]
    failed_by_code: dict[str, int]

    @property
    def ended(self) -> int:
        """How many need no more work."""
        return sum(self.by_state.values()) - self.by_state["queued"] - self.by_state["scoring"]


def answered(extent: Extent) -> Select[PredictionRow]:
    """Select the predictions of an extent that have an answer and a stored scan; the limit is left out."""
    query = (
        select(PredictionRow)
        .join(ScanRow, ScanRow.id == PredictionRow.scan_id)
        .where(PredictionRow.state == PredictionState.SUCCEEDED, ScanRow.deleted_at.is_(None))
    )
    if extent.since is not None:
        query = query.where(PredictionRow.queued_at >= extent.since)
    if extent.until is not None:
        query = query.where(PredictionRow.queued_at < extent.until)
    return query


def count_answered(session: Session, extent: Extent) -> int:
    """Count what a batch over an extent would score, whoever's it is."""
    query = answered(extent).with_only_columns(PredictionRow.id)
    if extent.limit is not None:
        query = query.limit(extent.limit)
    counted = select(func.count()).select_from(query.subquery())
    return session.execute(counted, execution_options=_EVERYBODY).scalar_one()


def begin_rescore(
    session: Session,
    storage: Storage,
    version: ModelVersionRow,
    extent: Extent,
    *,
    actor: Actor,
    reason: str,
) -> RescoreRow:
    """Begin a batch; the next sweep queues its first scores.

    Parameters
    ----------
    session : Session
        Not committed.
    storage : Storage
        The version's file is read through.
    version : ModelVersionRow
        Also the one that answers: then it shows whether it still says what it said.
    extent : Extent
    actor : Actor
    reason : str
        Kept with the batch and in the audit.

    Raises
    ------
    ReasonNotValidError
        If the reason is empty or too long.
    RescoreRunningError
        If a batch of this version runs.
    NothingToRescoreError
        If there is nothing to score.
    CheckpointMissingError, CheckpointDamagedError, GateNotPassedError
        As :func:`service.registry.gate.require_runnable`.
    """
    said = checked_reason(reason)
    running = session.scalars(
        select(RescoreRow.id).where(
            RescoreRow.model_version_id == version.id, RescoreRow.state == RescoreState.RUNNING
        )
    ).one_or_none()
    if running is not None:
        raise RescoreRunningError(found=running)
    now = datetime.now(UTC)
    until = now if extent.until is None else min(extent.until, now)
    bounded = Extent(extent.since, until, extent.limit)
    n_asked = count_answered(session, bounded)
    if n_asked == 0:
        raise NothingToRescoreError
    require_runnable(storage, version)
    batch = RescoreRow(
        model_version_id=version.id,
        since=bounded.since,
        until=until,
        n_asked=n_asked,
        actor=actor.name,
        reason=said,
    )
    session.add(batch)
    try:
        session.flush()
    except IntegrityError as error:
        raise RescoreRunningError(found="another") from error
    record(
        session,
        actor=actor,
        action="model.rescore",
        subject_kind="rescore",
        subject_id=batch.id,
        details={
            "model_version_id": version.id,
            "sha256": version.sha256,
            "n_asked": n_asked,
            "since": None if bounded.since is None else bounded.since.isoformat(),
            "until": until.isoformat(),
            "reason": said,
        },
    )
    session.refresh(batch, ["created_at", "model_version"])
    return batch


def cancel_rescore(session: Session, batch: RescoreRow, *, actor: Actor) -> RescoreRow:
    """Cancel a batch: no score of it begins, and none that runs is kept; asking again changes nothing.

    Raises
    ------
    RescoreOverError
        If it has finished.
    """
    cancelled = session.execute(
        update(RescoreRow)
        .where(RescoreRow.id == batch.id, RescoreRow.state == RescoreState.RUNNING)
        .values(state=RescoreState.CANCELLED, ended_at=utc_now())
        .returning(RescoreRow.id),
        execution_options={"synchronize_session": False},
    ).one_or_none()
    found = require_rescore(session, batch.id)
    if cancelled is not None:
        record(session, actor=actor, action="rescore.cancel", subject_kind="rescore", subject_id=batch.id)
    elif found.state == RescoreState.FINISHED:
        raise RescoreOverError(state=found.state.value)
    return found


def require_rescore(session: Session, rescore_id: str) -> RescoreRow:
    """Return a batch as it is now, with its version.

    Raises
    ------
    RescoreNotFoundError
        If there is none.
    """
    query = (
        select(RescoreRow).options(joinedload(RescoreRow.model_version)).where(RescoreRow.id == rescore_id)
    )
    row = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if row is None:
        raise RescoreNotFoundError
    return row


def standings(session: Session, *, rescore_ids: Sequence[str]) -> dict[str, Standing]:
    """Count the scores of some batches, whoever's they are, by batch."""
    return _standings(session, "rescore_id", rescore_ids)


def shadow_standing(session: Session, shadow_id: str) -> Standing:
    """Count the scores of a time in shadow, whoever's they are."""
    return _standings(session, "shadow_id", [shadow_id])[shadow_id]


def _standings(session: Session, column: str, ids: Sequence[str]) -> dict[str, Standing]:
    cause = getattr(ScoreRow, column)
    found = {id_: Standing(dict.fromkeys(map(str, ScoreState), 0), {}) for id_ in ids}
    counted = (
        select(cause, ScoreRow.state, ScoreRow.error_code, func.count())
        .where(cause.in_(ids))
        .group_by(cause, ScoreRow.state, ScoreRow.error_code)
    )
    for id_, state, code, number in session.execute(counted, execution_options=_EVERYBODY):
        # One that waits may still name why it was postponed.
        found[id_].by_state[str(state)] += number
        if state == ScoreState.FAILED:
            codes = found[id_].failed_by_code
            codes[code or ""] = codes.get(code or "", 0) + number
    return found
