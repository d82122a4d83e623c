"""Receiving a scan over HTTP: its bytes go from the socket to quarantine, hashed on the way, never held."""

from collections.abc import Callable
from functools import partial
from urllib.parse import unquote

from anyio import to_thread
from fastapi import Request
from pydantic import ValidationError

from service.api.access.principal import Principal
from service.api.actions.batch import Batch
from service.api.actions.submission import ReceivedScan, Submission, clean_display_name, submit_scan
from service.api.edge.multipart import SIDECAR_FIELD, ScanForm
from service.api.parameters import RAW_HEADERS, refuse_lost_headers
from service.api.payloads import ScanFields, read_sidecar_text
from service.api.problems.handlers import field_problems
from service.api.problems.refusals import FieldsNotValidError, MediaTypeError
from service.api.resources import resources_of
from service.storage import Upload, UploadTooLargeError

FORM_OVERHEAD_BYTES = 64 * 1024
RAW_TYPES = frozenset(
    {
        "",
        "application/octet-stream",
        "application/gzip",
        "application/x-gzip",
        "application/zip",
        "application/x-zip-compressed",
    }
)


async def receive_scan(
    request: Request,
    principal: Principal,
    *,
    idempotency_key: str | None = None,
    extra_fields: frozenset[str] = frozenset(),
    before_file: Callable[[dict[str, str]], None] | None = None,
) -> Submission:
    """Take in a scan from a form or a raw body, and queue its prediction.

    Parameters
    ----------
    request : Request
        Its body has not been read. A client that goes away leaves nothing behind.
    principal : Principal
    idempotency_key : str, optional
    extra_fields : frozenset of str
        Text fields of the form that are not about the scan.
    before_file : callable, optional
        Sees the form's text fields when the file begins; it may raise. Called for a form only.

    Raises
    ------
    MediaTypeError, MultipartError, ScanMissingError, FieldsNotValidError
        If the request has not the form of an upload.
    UploadTooLargeError
        If more bytes arrive than allowed.
    TooManyUploadsError, UploadsFullError
        If too many arrive at once.
    BadSidecarError
        If its sidecar is none; where that comes before the file, before the file is taken in.
    ScanError, IdempotencyKeyReusedError
        As from :func:`service.api.actions.submission.submit_scan`.
    """
    resources = resources_of(request)
    max_bytes = resources.settings.max_upload_bytes
    _refuse_announced_size(request, max_bytes)
    with (
        resources.upload_slots.taken(principal.user_id),
        resources.storage.receive(max_bytes=max_bytes) as upload,
    ):
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            refuse_lost_headers(request.headers, raw=False)
            form = ScanForm(
                request.headers["content-type"],
                allowed_fields=frozenset(ScanFields.model_fields) | extra_fields,
                before_file=partial(_before_file, before_file),
            )
            await _stream(request, upload, max_bytes=max_bytes, extract=form.feed)
            name = form.finish()
            said = {field: value for field, value in form.fields.items() if field not in extra_fields}
        elif kind in RAW_TYPES and before_file is None:
            refuse_lost_headers(request.headers, raw=True)
            name = _raw_name(request)
            said = _raw_fields(request)
            _require_sidecar(said)
            await _stream(request, upload, max_bytes=max_bytes, extract=bytes)
        else:
            raise MediaTypeError(sent=kind)
        _require_sidecar(said)
        received = ReceivedScan(upload, clean_display_name(name), _scan_fields(said), idempotency_key)
        return await to_thread.run_sync(
            submit_scan, resources, principal, received, limiter=resources.submitting
        )


async def _stream(
    request: Request, upload: Upload, *, max_bytes: int, extract: Callable[[bytes], bytes]
) -> None:
    batch = Batch(upload.write, resources_of(request).receiving)
    seen_bytes = 0
    async for chunk in request.stream():
        seen_bytes += len(chunk)
        # The storage holds the file to its cap; this holds what surrounds it.
        if seen_bytes > max_bytes + FORM_OVERHEAD_BYTES:
            raise UploadTooLargeError(max_bytes)
        await batch.add(extract(chunk))
    await batch.flush()


def _refuse_announced_size(request: Request, max_bytes: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes + FORM_OVERHEAD_BYTES:
        raise UploadTooLargeError(max_bytes)


def _raw_name(request: Request) -> str:
    # Headers arrive as Latin-1; clients send UTF-8, plain or percent-encoded.
    sent = request.headers.get("x-filename", "").encode("latin-1").decode(errors="replace")
    name = unquote(sent)
    if not name.strip():
        problem = {"where": "header.X-Filename", "problem": "expected the file's name beside a raw body"}
        raise FieldsNotValidError([problem])
    return name


def _raw_fields(request: Request) -> dict[str, str]:
    said = {
        name: request.headers[header] for name, header in RAW_HEADERS.items() if header in request.headers
    }
    sidecar = said.get(SIDECAR_FIELD, "")
    if not sidecar.lstrip().startswith("{"):
        # A header is one line; what has several comes percent-encoded.
        said |= {SIDECAR_FIELD: unquote(sidecar)} if sidecar else {}
    return said


def _before_file(before_file: Callable[[dict[str, str]], None] | None, fields: dict[str, str]) -> None:
    if before_file is not None:
        before_file(fields)
    _require_sidecar(fields)


def _require_sidecar(said: dict[str, str]) -> None:
    """Refuse a sidecar that is none."""
    if said.get(SIDECAR_FIELD, "").strip():
        read_sidecar_text(said[SIDECAR_FIELD])


def _scan_fields(said: dict[str, str]) -> ScanFields:
    try:
        return ScanFields.model_validate(said)
    except ValidationError as error:
        raise FieldsNotValidError(field_problems(error.errors())) from error
