"""What people ask about drift: a reference to compare with, another look, an alarm to be taken note of."""

from contextlib import suppress

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from service.audit import record
from service.cohorts import CohortNotUsableError, require_release
from service.db.base import utc_now
from service.db.job import TERMINAL
from service.db.rows import (
    CohortRow,
    CohortState,
    DriftAlarmRow,
    DriftEvaluationRow,
    DriftReferenceRow,
    ModelVersionRow,
    ReferenceState,
)
from service.drift.errors import (
    DriftAlarmNotFoundError,
    DriftReferenceNotFoundError,
    DriftReferenceOverError,
    DriftReferenceWaitingError,
)
from service.identity.actor import Actor
from service.jobs.lease import succeed
from service.jobs.requests import cancel


def request_reference(
    session: Session,
    version: ModelVersionRow,
    cohort: CohortRow,
    *,
    selection: str | None,
    actor: Actor,
    max_attempts: int = 3,
) -> DriftReferenceRow:
    """Queue a reference of a model version; in use once it is there, in the place of the one before.

    One that waits for what it lacked when it was tried, such as a key, is cancelled: it may do so for good.

    Parameters
    ----------
    selection : str or None
        As of training; None for the training release where the cohort knows it, else all.

    Raises
    ------
    CohortNotUsableError
        If the cohort is not what was registered.
    CohortReleaseUnknownError
        If the selection is by official release, and nobody's is known.
    DriftReferenceWaitingError
        If one of this version waits for a worker or is being made.
    """
    if cohort.state != CohortState.PRESENT:
        raise CohortNotUsableError(name=cohort.name, found=cohort.state.value)
    require_release(cohort, selection)
    of_version = DriftReferenceRow.model_version_id == version.id
    present = session.scalars(
        select(DriftReferenceRow).where(of_version, DriftReferenceRow.state.not_in(TERMINAL))
    ).all()
    for one in present:
        if one.state != ReferenceState.QUEUED or one.error_code is None:
            raise DriftReferenceWaitingError(found=one.id)
    cancelled = [one.id for one in present if cancel(session, DriftReferenceRow, one.id) is not None]
    row = DriftReferenceRow(
        model_version_id=version.id,
        cohort_id=cohort.id,
        cohort_name=cohort.name,
        simulated=cohort.simulated,
        selection=selection,
        requested_by=actor.name,
        max_attempts=max_attempts,
    )
    session.add(row)
    session.flush()
    record(
        session,
        actor=actor,
        action="drift.reference",
        subject_kind="model_version",
        subject_id=version.id,
        details={
            "reference_id": row.id,
            "cohort_id": cohort.id,
            "selection": selection,
            **({"cancelled": cancelled} if cancelled else {}),
        },
    )
    return row


def cancel_reference(session: Session, reference_id: str, *, actor: Actor) -> DriftReferenceRow:
    """Stop a reference: at once where it waits, after the next scan where it is being measured.

    Asking again changes nothing; the one in use stays in use.

    Raises
    ------
    DriftReferenceNotFoundError
        If there is none.
    DriftReferenceOverError
        If it has succeeded or failed.
    """
    changed = cancel(session, DriftReferenceRow, reference_id)
    row = session.get(DriftReferenceRow, reference_id, populate_existing=True)
    if row is None:
        raise DriftReferenceNotFoundError
    if changed is None and row.state in {ReferenceState.SUCCEEDED, ReferenceState.FAILED}:
        raise DriftReferenceOverError(found=row.state.value)
    if changed is not None:
        record(
            session,
            actor=actor,
            action="drift.cancel",
            subject_kind="model_version",
            subject_id=row.model_version_id,
            details={"reference_id": row.id},
        )
    return row


def request_evaluation(session: Session, version: ModelVersionRow, *, actor: Actor) -> None:
    """Let the housekeeping look at a version's scans soon, however new its last look is; commits."""
    asked = update(DriftEvaluationRow).where(DriftEvaluationRow.model_version_id == version.id)
    asked = asked.values(requested_at=utc_now()).returning(DriftEvaluationRow.model_version_id)
    version_id = version.id
    _note_request(session, version_id, actor)
    if session.scalars(asked).one_or_none() is not None:
        session.commit()
        return
    session.add(DriftEvaluationRow(model_version_id=version_id, requested_at=utc_now()))
    try:
        session.commit()
    except IntegrityError:
        # Somebody else has asked, or the first look was made, at this moment.
        session.rollback()
        _note_request(session, version_id, actor)
        session.execute(asked)
        session.commit()


def _note_request(session: Session, version_id: str, actor: Actor) -> None:
    record(session, actor=actor, action="drift.evaluate", subject_kind="model_version", subject_id=version_id)


def acknowledge(session: Session, alarm_id: str, *, actor: Actor) -> DriftAlarmRow:
    """Note who has seen an alarm; whoever was first stands.

    Raises
    ------
    DriftAlarmNotFoundError
        If there is none.
    """
    first = session.scalars(
        update(DriftAlarmRow)
        .where(DriftAlarmRow.id == alarm_id, DriftAlarmRow.acknowledged_at.is_(None))
        .values(acknowledged_at=utc_now(), acknowledged_by=actor.name)
        .returning(DriftAlarmRow.id)
    ).one_or_none()
    row = session.get(
        DriftAlarmRow, alarm_id, options=[joinedload(DriftAlarmRow.model_version)], populate_existing=True
    )
    if row is None:
        raise DriftAlarmNotFoundError
    if first is not None:
        record(
            session, actor=actor, action="drift.acknowledge", subject_kind="drift_alarm", subject_id=row.id
        )
    return row


def acknowledge_all(session: Session, version: ModelVersionRow, *, actor: Actor) -> int:
    """Note who has seen every alarm of a version that nobody had seen yet; returns how many these are."""
    seen = session.scalars(
        update(DriftAlarmRow)
        .where(DriftAlarmRow.model_version_id == version.id, DriftAlarmRow.acknowledged_at.is_(None))
        .values(acknowledged_at=utc_now(), acknowledged_by=actor.name)
        .returning(DriftAlarmRow.id),
        execution_options={"synchronize_session": False},
    ).all()
    if seen:
        record(
            session,
            actor=actor,
            action="drift.acknowledge",
            subject_kind="model_version",
            subject_id=version.id,
            details={"alarms": len(seen)},
        )
    return len(seen)


def reference_in_use(session: Session, model_version_id: str) -> DriftReferenceRow | None:
    """Return what a version's scans are compared with; None where there is nothing."""
    of_version = DriftReferenceRow.model_version_id == model_version_id
    return session.scalars(
        select(DriftReferenceRow).where(of_version, DriftReferenceRow.in_use)
    ).one_or_none()


def finish_reference(session: Session, reference_id: str, *, owner: str, sample: dict[str, object]) -> bool:
    """Store a reference and take it into use, if the lease is held; False otherwise."""
    if not succeed(session, DriftReferenceRow, reference_id, owner=owner, values={"sample": sample}):
        return False
    row = session.get_one(DriftReferenceRow, reference_id)
    of_version = DriftReferenceRow.model_version_id == row.model_version_id
    # One after the other: the index allows one at a time.
    for condition, in_use in ((DriftReferenceRow.in_use, False), (DriftReferenceRow.id == row.id, True)):
        session.execute(
            update(DriftReferenceRow)
            .where(of_version, condition)
            .values(in_use=in_use)
            .execution_options(synchronize_session=False)
        )
    # What was found so far was found by comparing with something else; where nobody has looked yet, the row
    # lets the housekeeping begin.
    asked = session.scalars(
        update(DriftEvaluationRow)
        .where(DriftEvaluationRow.model_version_id == row.model_version_id)
        .values(requested_at=utc_now())
        .returning(DriftEvaluationRow.model_version_id),
        execution_options={"synchronize_session": False},
    ).one_or_none()
    if asked is None:
        # Where the first look is made at this moment, its row stands, and the next look is at its pace.
        with suppress(IntegrityError), session.begin_nested():
            session.add(DriftEvaluationRow(model_version_id=row.model_version_id, requested_at=utc_now()))
            session.flush()
    return True
