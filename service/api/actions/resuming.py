"""A scan that comes in several requests: begun, sent on from where it broke off, and then handed over."""

import binascii
from base64 import b64decode

from anyio import CancelScope, to_thread
from fastapi import Request

from imaging.errors import ScanError
from service.api.access.principal import Principal
from service.api.actions.batch import Batch
from service.api.actions.submission import (
    ReceivedScan,
    Submission,
    clean_display_name,
    submit_scan,
    submitted_under,
)
from service.api.payloads import ScanFields
from service.api.problems.refusals import FieldsNotValidError, IdempotencyKeyReusedError, MediaTypeError
from service.api.resources import Resources, resources_of
from service.storage import Appending, PartialUpload, UploadNotFoundError, UploadTooLargeError

PART_TYPE = "application/offset+octet-stream"
_FILENAME = "filename"
# Refusals of what was said or not said, and not of the bytes: asked again with the right word, they pass.
_ANSWERED_BY_A_FIELD = frozenset(
    {"missing_repetition_time", "implausible_repetition_time", "repetition_times_differ"}
)


def begin_upload(
    resources: Resources, principal: Principal, *, length_bytes: int, metadata: str
) -> PartialUpload:
    """Make room for a scan.

    Parameters
    ----------
    resources : Resources
    principal : Principal
        Whose upload it is; nobody else can see, send or end it.
    length_bytes : int
        Of the whole file.
    metadata : str
        As tus writes it: names, each with its value in base64. The file's name alone is read.

    Raises
    ------
    UploadTooLargeError
        If it is to have more bytes than allowed.
    FieldsNotValidError
        If the metadata lack the name, or say more, or are none.
    TooManyUnfinishedUploadsError
        If the account has too many already.
    """
    max_bytes = resources.settings.max_upload_bytes
    if length_bytes > max_bytes:
        raise UploadTooLargeError(max_bytes)
    return resources.partial_uploads.begin(
        account=principal.user_id,
        organisation_id=principal.organisation_id,
        name=clean_display_name(_file_name(metadata)),
        length_bytes=length_bytes,
    )


def find_upload(resources: Resources, principal: Principal, upload_id: str) -> PartialUpload:
    """Return one of the account's own unfinished uploads.

    Raises
    ------
    UploadNotFoundError
    """
    return resources.partial_uploads.find(
        upload_id, account=principal.user_id, organisation_id=principal.organisation_id
    )


async def append_to_upload(
    request: Request, principal: Principal, upload_id: str, *, offset_bytes: int
) -> PartialUpload:
    """Write a request's body to the end of an upload; what has come stays, however the request ends.

    Raises
    ------
    UploadNotFoundError, UploadBusyError, UploadOffsetError
        If nothing can be appended there now.
    MediaTypeError
        If the body is of another kind than tus sends.
    UploadTooLargeError
        If more comes than was announced.
    TooManyUploadsError, UploadsFullError
        If too many send at once.
    """
    resources = resources_of(request)
    sent = request.headers.get("content-type", "")
    if sent.strip().lower() != PART_TYPE:
        raise MediaTypeError(PART_TYPE, sent=sent)
    upload = await to_thread.run_sync(find_upload, resources, principal, upload_id)

    def append() -> Appending:
        return upload.append(offset_bytes=offset_bytes)

    with resources.upload_slots.taken(principal.user_id):
        appending = await to_thread.run_sync(append, limiter=resources.receiving)
        batch = Batch(appending.write, resources.receiving)
        try:
            announced = request.headers.get("content-length", "")
            if announced.isdecimal() and offset_bytes + int(announced) > upload.length_bytes:
                raise UploadTooLargeError(upload.length_bytes)
            async for chunk in request.stream():
                await batch.add(chunk)
        finally:
            # A server that is told to stop keeps what has come, too.
            with CancelScope(shield=True):
                try:
                    await batch.flush()
                finally:
                    await to_thread.run_sync(appending.close, limiter=resources.receiving)
    return upload


def complete_upload(
    resources: Resources, principal: Principal, upload_id: str, fields: ScanFields
) -> Submission:
    """Hand a whole upload over as a scan; doing it again gives the same prediction.

    Raises
    ------
    UploadNotFoundError, UploadIncompleteError, UploadBusyError
        If there is nothing to hand over now.
    BadSidecarError
        If its sidecar is none; the upload stays.
    ScanError, IdempotencyKeyReusedError, StorageUnavailableError
        As from :func:`service.api.actions.submission.submit_scan`. What is at fault itself is removed; what
        met an outage, or lacks a word about it, stays, to be finished later.
    """
    # With a blank, which no client's own key may have.
    key = f"upload {upload_id}"
    # What is wrong with it can be put right, and the bytes stay.
    fields.sidecar_facts()
    try:
        upload = find_upload(resources, principal, upload_id)
        with upload.whole() as file:
            received = ReceivedScan(file, upload.name, fields, key)
            try:
                submission = submit_scan(resources, principal, received)
            except (ScanError, IdempotencyKeyReusedError) as refusal:
                if refusal.code not in _ANSWERED_BY_A_FIELD:
                    upload.remove()
                raise
            upload.remove()
    except UploadNotFoundError:
        earlier = submitted_under(resources, principal, key)
        if earlier is None:
            raise
        return earlier
    return submission


def _file_name(metadata: str) -> str:
    said = [pair.strip().partition(" ") for pair in metadata.split(",")]
    if [name for name, _, _ in said] != [_FILENAME]:
        raise _metadata_problem(f"expected `{_FILENAME}` and nothing else")
    try:
        name = b64decode(said[0][2].strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _metadata_problem("expected the file's name as UTF-8, in base64") from error
    if not name.strip():
        raise _metadata_problem("expected the file's name")
    return name


def _metadata_problem(problem: str) -> FieldsNotValidError:
    return FieldsNotValidError([{"where": "header.Upload-Metadata", "problem": problem}])
