"""From a received file to a queued prediction: checked, stored, committed, announced. In this order."""

import unicodedata
from dataclasses import dataclass

from opentelemetry.trace import SpanKind
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import jobs
from service.api.access.principal import Principal
from service.api.actions.idempotency import Repeatable, earlier, keep_key, request_digest, stands_for
from service.api.payloads import ScanFields
from service.api.resources import Resources
from service.audit import record
from service.db.base import new_id
from service.db.rows import IdempotencyRow, PredictionRow, ScanRow
from service.quarantine import CheckedCopy, copy_checked
from service.queue import announce
from service.storage import (
    ReceivedFile,
    StorageUnavailableError,
    Upload,
    discard,
    local_outages,
    scan_key,
)

DISPLAY_NAME_LENGTH = 200


@dataclass(frozen=True)
class Submission:
    """What became of an upload."""

    scan_id: str
    prediction_id: str


@dataclass(frozen=True)
class ReceivedScan:
    """A whole upload in quarantine, with what was said about it.

    Attributes
    ----------
    upload : ReceivedFile
    display_name : str
        The file's own name, cleaned.
    fields : ScanFields
    idempotency_key : str or None
    """

    upload: ReceivedFile
    display_name: str
    fields: ScanFields
    idempotency_key: str | None

    def repeatable(self, principal: Principal) -> Repeatable | None:
        """Say by what it is known again: the bytes and the fields, not the file's name."""
        if self.idempotency_key is None:
            return None
        said = self.fields.model_dump(mode="json")
        for later in ("slice_times_s", "tr_s", "slice_order", "run", "sidecar"):
            if said[later] is None:
                # As it was before there was this field: keys outlive an upgrade.
                del said[later]
        digest = request_digest([self.upload.sha256, said])
        return Repeatable(principal.user_id, self.idempotency_key, digest)


def submit_scan(resources: Resources, principal: Principal, received: ReceivedScan) -> Submission:
    """Keep a scan and queue its prediction, or return the one that the same request made before.

    Parameters
    ----------
    resources : Resources
    principal : Principal
        In whose name the scan is kept; idempotency keys are counted for each account.
    received : ReceivedScan
        Of its upload a copy without free text goes to storage, when the header passes.

    Raises
    ------
    ScanError
        If the scan cannot be used; nothing is kept.
    ReaderDiedError, ReaderMemoryError, ReaderTimeLimitError
        If its reader did not survive it; nothing is kept.
    IdempotencyKeyReusedError
        If the key stands for another request.
    StorageUnavailableError
        If storage cannot take the scan now; nothing is kept.
    """
    before = _earlier_submission(resources, principal, received)
    if before is not None:
        return before
    sidecar = received.fields.sidecar_facts()
    received.upload.seal()
    settings = resources.settings
    with resources.storage.receive(max_bytes=settings.max_upload_bytes) as copy:
        # The copy lies where storage receives: a full disk there is storage's, not a fault of the check.
        with local_outages():
            checked = copy_checked(
                resources.quarantine,
                received.upload.path,
                copy.path,
                size_bytes=received.upload.size_bytes,
                time_s=settings.reader_time_s,
                tr_s=received.fields.tr_s,
                sidecar_tr_s=None if sidecar is None else sidecar.tr_s,
            )
        submission = _keep(resources, principal, received, copy, checked)
    announce(resources.queue, resources.sessions_for(principal), PredictionRow, submission.prediction_id)
    return submission


def _keep(
    resources: Resources, principal: Principal, received: ReceivedScan, copy: Upload, checked: CheckedCopy
) -> Submission:
    """Promote the copy and commit the rows, both or neither."""
    scan_id = new_id()
    storage_key = scan_key(scan_id, received.display_name)
    committing = False
    try:
        resources.storage.promote(copy, storage_key)
        with resources.sessions_for(principal).open() as session:
            submission = _add_rows(
                session,
                resources,
                principal,
                received,
                scan_id=scan_id,
                storage_key=storage_key,
                checked=checked,
            )
            session.flush()
            committing = True
            session.commit()
    except IntegrityError:
        discard(resources.storage, storage_key)
        # Two requests with one key at the same time: the unique constraint let the other one win.
        before = _earlier_submission(resources, principal, received)
        if before is None:
            raise
        return before
    except StorageUnavailableError:
        # To delete it would take as long again: if it arrived after all, the maintenance sweep removes it.
        raise
    except BaseException:
        # Once the commit is on its way the rows may be there although its answer is lost: then the file has
        # to stay, and the maintenance sweep removes it if they are not.
        if not committing:
            discard(resources.storage, storage_key)
        raise
    return submission


def clean_display_name(name: str) -> str:
    """Reduce a client's file name to what may be shown: no folders, no control or invisible characters."""
    last = name.replace("\\", "/").rsplit("/", maxsplit=1)[-1]
    shown = "".join(character for character in last if not unicodedata.category(character).startswith("C"))
    stem = shown.strip() or "scan"
    # The end is kept: it holds the suffix.
    return stem[-DISPLAY_NAME_LENGTH:]


def submitted_under(resources: Resources, principal: Principal, key: str) -> Submission | None:
    """Return what an account's key already stands for, whatever was sent with it."""
    with resources.sessions_for(principal).open() as session:
        return _submission_of(session, stands_for(session, principal.user_id, key))


def _earlier_submission(
    resources: Resources, principal: Principal, received: ReceivedScan
) -> Submission | None:
    request = received.repeatable(principal)
    if request is None:
        return None
    with resources.sessions_for(principal).open() as session:
        return _submission_of(session, earlier(session, request))


def _submission_of(session: Session, row: IdempotencyRow | None) -> Submission | None:
    prediction = session.get(PredictionRow, row.prediction_id) if row is not None else None
    if prediction is None:
        return None
    return Submission(scan_id=prediction.scan_id, prediction_id=prediction.id)


def _add_rows(
    session: Session,
    resources: Resources,
    principal: Principal,
    received: ReceivedScan,
    *,
    scan_id: str,
    storage_key: str,
    checked: CheckedCopy,
) -> Submission:
    session.add(
        ScanRow(
            id=scan_id,
            sha256=received.upload.sha256,
            stored_sha256=checked.sha256,
            emptied_fields=checked.emptied_fields,
            size_bytes=received.upload.size_bytes,
            display_name=received.display_name,
            storage_key=storage_key,
            header=checked.header,
            packed=checked.header is None,
            uploaded_by=principal.user_id,
            **received.fields.columns(),
        )
    )
    session.flush()
    with resources.tracing.span("enqueue", kind=SpanKind.PRODUCER, scan_id=scan_id):
        prediction = jobs.enqueue(
            session,
            scan_id=scan_id,
            requested_by=principal.user_id,
            max_attempts=resources.settings.max_attempts,
        )
    request = received.repeatable(principal)
    if request is not None:
        keep_key(session, request, prediction_id=prediction.id)
    record(
        session,
        actor=principal.actor,
        action="scan.upload",
        subject_kind="scan",
        subject_id=scan_id,
        details={"prediction_id": prediction.id, "sha256": received.upload.sha256},
    )
    return Submission(scan_id=scan_id, prediction_id=prediction.id)
