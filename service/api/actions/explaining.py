"""Asking for explanations and reading them, as an account may see them."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import jobs
from service.api.access.principal import Principal
from service.api.actions.viewing import error_of, find_prediction
from service.api.explanation_payloads import ExplanationFacts, ExplanationResponse, explanation_facts
from service.api.problems.refusals import (
    ExplanationFileNotFoundError,
    ExplanationNotFoundError,
    ExplanationNotReadyError,
)
from service.api.resources import Resources
from service.audit import ReadLog
from service.db.rows import ExplanationRow, ExplanationState
from service.explanations import ATTRIBUTION, ExplanationFileError, read_member
from service.queue import announce
from service.storage import Storage, StoredFileDamagedError, StoredFileMissingError, explanation_key


def ask_for_explanation(
    resources: Resources, principal: Principal, prediction_id: str
) -> ExplanationResponse:
    """Queue the explanation of a prediction, where it is not queued, running or there; commit and announce.

    One whose file storage has lost or changed is made again.

    Raises
    ------
    PredictionNotFoundError
        If the account sees no such prediction.
    PredictionNotFinishedError
        If it has no answer.
    ExplanationNotAvailableError
        If it is the answer of a method that no map can be made of.
    """
    sessions = resources.sessions_for(principal)
    with sessions.open() as session:
        earlier = jobs.explanation_of(session, find_prediction(session, principal, prediction_id).id)
    lost = (
        earlier is not None
        and earlier.state == ExplanationState.SUCCEEDED
        and not _is_stored(resources.storage, earlier.prediction_id)
    )
    with sessions.open() as session:
        prediction = find_prediction(session, principal, prediction_id)
        try:
            row = jobs.request_explanation(session, prediction, actor=principal.actor, lost=lost)
            session.commit()
        except IntegrityError:
            # Somebody else asked at the same moment: theirs is as good.
            session.rollback()
            row = _explanation(session, prediction_id=prediction.id)
        session.refresh(row)
        waiting = row.state == ExplanationState.QUEUED and row.published_at is None
        response = explanation_response(row)
    if waiting:
        announce(resources.queue, sessions, ExplanationRow, row.id)
    return response


def read_explanation(
    session: Session, principal: Principal, prediction_id: str, *, reads: ReadLog
) -> ExplanationResponse:
    """Show an account where an explanation stands and what it says, once the audit has it.

    Raises
    ------
    PredictionNotFoundError
        If it sees no such prediction.
    ExplanationNotFoundError
        If nobody has asked for one.
    """
    row = _explanation(session, prediction_id=find_prediction(session, principal, prediction_id).id)
    _note(session, principal, row, reads)
    return explanation_response(row)


def explanation_of(session: Session, prediction_id: str) -> ExplanationResponse | None:
    """Read the explanation of a prediction whose look is in the audit already; None where there is none."""
    row = jobs.explanation_of(session, prediction_id)
    return None if row is None else explanation_response(row)


def explanation_facts_of(session: Session, prediction_id: str) -> ExplanationFacts | None:
    """Read what stands in an explanation's files; None where there are none yet."""
    found = explanation_of(session, prediction_id)
    return None if found is None else found.facts


def read_file(resources: Resources, principal: Principal, prediction_id: str, name: str) -> bytes:
    """Give an account one file of an explanation, once the audit has it.

    Raises
    ------
    PredictionNotFoundError, ExplanationNotFoundError
        As :func:`read_explanation`.
    ExplanationNotReadyError
        If it is not done.
    ExplanationFileNotFoundError
        If this one has no such file.
    StoredFileMissingError, StoredFileDamagedError, StorageUnavailableError, EncryptionKeyMissingError
        As storage has it.
    """
    with resources.sessions_for(principal).open() as session:
        row = _explanation(session, prediction_id=find_prediction(session, principal, prediction_id).id)
        if row.state != ExplanationState.SUCCEEDED:
            raise ExplanationNotReadyError(row.state.value)
        _note(session, principal, row, resources.reads)
        key = explanation_key(row.prediction_id)
    # No connection to the database is held meanwhile.
    with resources.storage.open_local(key) as path:
        content = read_member(path, name)
    if content is None:
        raise ExplanationFileNotFoundError
    return content


def explanation_response(row: ExplanationRow) -> ExplanationResponse:
    """Describe an explanation."""
    return ExplanationResponse(
        prediction_id=row.prediction_id,
        status=row.state,
        progress=row.progress,
        facts=explanation_facts(row.facts) if row.state == ExplanationState.SUCCEEDED else None,
        error=error_of(row) if row.state == ExplanationState.FAILED else None,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _is_stored(storage: Storage, prediction_id: str) -> bool:
    try:
        with storage.open_local(explanation_key(prediction_id)) as path:
            return read_member(path, ATTRIBUTION) is not None
    except (StoredFileMissingError, StoredFileDamagedError, ExplanationFileError):
        return False


def _explanation(session: Session, *, prediction_id: str) -> ExplanationRow:
    row = jobs.explanation_of(session, prediction_id)
    if row is None:
        raise ExplanationNotFoundError
    return row


def _note(session: Session, principal: Principal, row: ExplanationRow, reads: ReadLog) -> None:
    reads.note(
        session,
        principal.actor,
        action="explanation.read",
        subject_kind="prediction",
        subject_id=row.prediction_id,
    )
