"""Reading scans and predictions as an account may see them, and noting in the audit who was shown what."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, contains_eager, selectinload

from service import jobs
from service.api.access.principal import Principal
from service.api.actions.comparing import answering_card, population_response
from service.api.actions.sorting import Sort, cursor_behind, in_order
from service.api.payloads import PredictionError, PredictionPage, PredictionResponse, ScanResponse
from service.api.problems.refusals import FieldsNotValidError, ScanNotFoundError
from service.api.problems.remedies import may_pass_next_time, remedy
from service.audit import ReadLog
from service.db.job import JobRow
from service.db.planning import in_one_process
from service.db.rows import Lane, PredictionRow, PredictionState, ScanRow
from service.identity.permissions import Permission
from service.jobs import JobFailure

PREFIX_HAS_ITS_ORDER = "expected subject_id or -subject_id beside subject_prefix, found another order"
# How long before its prediction a scan may have been made.
_APART = timedelta(days=1)
_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class PredictionFilter:
    """Which predictions to list; all of them without a condition.

    Those whose pseudonym begins with ``subject_prefix`` can be listed in the order of pseudonyms only: in any
    other they may lie behind all the rest.
    """

    status: PredictionState | None = None
    subject_id: str | None = None
    subject_prefix: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def find_scan(session: Session, principal: Principal, scan_id: str) -> ScanRow:
    """Read a scan that the account may see.

    Raises
    ------
    ScanNotFoundError
        If there is none: unknown, deleted and somebody else's look the same.
    """
    query = select(ScanRow).where(ScanRow.id == row_id(scan_id), ScanRow.deleted_at.is_(None))
    scan: ScanRow | None = session.scalars(_visible(query, principal)).one_or_none()
    if scan is None:
        raise ScanNotFoundError
    return scan


def find_prediction(session: Session, principal: Principal, prediction_id: str) -> PredictionRow:
    """Read a prediction that the account may see, with its scan and its result.

    Raises
    ------
    PredictionNotFoundError
        If there is none: unknown, deleted and somebody else's look the same.
    """
    query = _visible(_predictions().where(PredictionRow.id == row_id(prediction_id)), principal)
    row: PredictionRow | None = session.scalars(query).one_or_none()
    if row is None:
        raise jobs.PredictionNotFoundError(prediction_id)
    return row


def read_scan(session: Session, principal: Principal, scan_id: str, *, reads: ReadLog) -> ScanResponse:
    """Describe a scan to an account, once the audit has it; raises as :func:`find_scan`."""
    scan = find_scan(session, principal, scan_id)
    reads.note(session, principal.actor, action="scan.read", subject_kind="scan", subject_id=scan.id)
    return scan_response(session, scan)


def read_prediction(
    session: Session, principal: Principal, prediction_id: str, *, reads: ReadLog
) -> PredictionResponse:
    """Describe a prediction to an account, once the audit has it; raises as :func:`find_prediction`."""
    row = find_prediction(session, principal, prediction_id)
    reads.note(
        session, principal.actor, action="prediction.read", subject_kind="prediction", subject_id=row.id
    )
    return prediction_response(session, row)


def list_predictions(
    session: Session,
    principal: Principal,
    chosen: PredictionFilter,
    *,
    sort: Sort = Sort.NEWEST,
    cursor: str | None,
    limit: int,
    reads: ReadLog,
) -> PredictionPage:
    """Show an account one page of the predictions that it may see, once the audit has it.

    Raises
    ------
    FieldsNotValidError
        If the cursor is not one of this order, or if what is chosen cannot be had in it.
    """
    if chosen.subject_prefix is not None and sort.by != Sort.SUBJECT.by:
        raise FieldsNotValidError([{"where": "query.sort", "problem": PREFIX_HAS_ITS_ORDER}])
    query = _matching(_visible(_predictions(), principal), chosen, by_subject=sort.by == Sort.SUBJECT.by)
    in_one_process(session)
    rows = session.scalars(in_order(query, sort, cursor=cursor, limit=limit)).all()
    shown = rows[:limit]
    more = cursor_behind(shown[-1], sort) if len(rows) > limit else None
    reads.note_list(
        session,
        principal.actor,
        action="prediction.list",
        subject_kind="prediction",
        ids=[row.id for row in shown],
    )
    places = jobs.queue_positions(session, shown)
    pace_s = jobs.pace_s(session) if places else None
    items = [_response(row, places.get(row.id), pace_s) for row in shown]
    return PredictionPage(items=items, next_cursor=more)


def prediction_response(session: Session, row: PredictionRow) -> PredictionResponse:
    """Describe a prediction read by :func:`find_prediction`."""
    place = jobs.queue_position(session, row)
    shown = _response(row, place, None if place is None else jobs.pace_s(session))
    if shown.result is None:
        return shown
    compared = population_response(row, answering_card(session, row.id))
    return shown.model_copy(update={"population": compared})


def _response(row: PredictionRow, queue_position: int | None, pace_s: float | None) -> PredictionResponse:
    finished_well = row.state == PredictionState.SUCCEEDED and row.result is not None
    return PredictionResponse(
        id=row.id,
        scan_id=row.scan_id,
        scan_name=row.scan.display_name,
        subject_id=row.scan.subject_id,
        status=row.state,
        progress=row.progress,
        queue=Lane(row.lane),
        stage=row.stage,
        queue_position=queue_position,
        expected_wait_s=None
        if queue_position is None or pace_s is None or row.lane != Lane.INFERENCE
        else round(queue_position * pace_s, 1),
        cancel_requested=row.cancel_requested,
        result=row.result.result if finished_well and row.result is not None else None,
        error=error_of(row) if row.state == PredictionState.FAILED else None,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def error_of(row: JobRow) -> PredictionError:
    """Describe why a job failed."""
    code = row.error_code or JobFailure.INTERNAL_ERROR.value
    return PredictionError(
        code=code,
        message=row.error_message or "",
        details=row.error_details,
        reference=row.error_reference,
        remedy=remedy(code),
        retryable=may_pass_next_time(code),
    )


def scan_response(session: Session, scan: ScanRow) -> ScanResponse:
    """Describe a scan, with the predictions made of it."""
    predictions = session.scalars(
        select(PredictionRow.id).where(PredictionRow.scan_id == scan.id).order_by(PredictionRow.created_at)
    )
    return ScanResponse(
        id=scan.id,
        name=scan.display_name,
        sha256=scan.sha256,
        size_bytes=scan.size_bytes,
        emptied_fields=scan.emptied_fields,
        subject_id=scan.subject_id,
        age_years=scan.age_years,
        sex=scan.sex,
        site=scan.site,
        header=scan.header,
        created_at=scan.created_at,
        prediction_ids=list(predictions),
    )


def _predictions() -> Select[Any]:
    return (
        select(PredictionRow)
        .join(PredictionRow.scan)
        .where(ScanRow.deleted_at.is_(None))
        .options(contains_eager(PredictionRow.scan), selectinload(PredictionRow.result))
    )


def _matching(query: Select[Any], chosen: PredictionFilter, *, by_subject: bool) -> Select[Any]:
    if chosen.status is not None:
        query = query.where(PredictionRow.state == chosen.status)
    if chosen.subject_id is not None:
        query = query.where(ScanRow.subject_id == chosen.subject_id)
    if chosen.subject_prefix is not None:
        # A range that the index has, where LIKE would ask for escapes and, in most locales, for all rows.
        query = query.where(
            ScanRow.subject_id >= chosen.subject_prefix, ScanRow.subject_id < _behind(chosen.subject_prefix)
        )
    if chosen.since is not None:
        query = query.where(PredictionRow.created_at >= chosen.since)
    if chosen.until is not None:
        query = query.where(PredictionRow.created_at < chosen.until)
    if by_subject:
        # The index of pseudonyms has the scans' times: what is of other days is passed over without being
        # read. A scan comes with its prediction, and never after it.
        if chosen.since is not None and chosen.since - _FIRST_MOMENT > _APART:
            query = query.where(ScanRow.created_at >= chosen.since - _APART)
        if chosen.until is not None:
            query = query.where(ScanRow.created_at < chosen.until)
    return query


def _behind(prefix: str) -> str:
    """Return the first text behind all that begin with a prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _visible(query: Select[Any], principal: Principal) -> Select[Any]:
    # Within the organisation, which the session holds every query to.
    everybodys = principal.may(Permission.READ_EVERYBODYS_SCANS)
    return query if everybodys else query.where(ScanRow.uploaded_by == principal.user_id)


def row_id(text: str) -> str:
    """Bring an identifier into the form in which rows hold it; empty, which none has, when it is no UUID."""
    # What is no UUID is nobody's identifier, and some texts (a zero byte) no database may be asked for.
    try:
        return str(UUID(text))
    except ValueError:
        return ""
