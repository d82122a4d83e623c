"""Who did and saw what."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse

from service.api.access.principals import AnyResources, AuditReader
from service.api.actions.auditing import AuditFilter, export_events, list_events, whose
from service.api.admin.common import Cursor, Limit, make_router
from service.api.moments import Moment
from service.api.patterns import ACTION, IDENTIFIER
from service.api.payloads import AuditPage
from service.api.problems.problem import problem_responses
from service.api.problems.refusals import FieldsNotValidError
from service.audit.export import Format
from service.identity.errors import AccountNotFoundError

# What cannot be a name, or be written for somebody, is refused with what is expected.
NOBODY = "expected the name of an account of the organisation, user:<id>, key:<id> or a program, found none"
LINES_AT_ONCE = 500
MEDIA_TYPES = {Format.JSON_LINES: "application/jsonl", Format.CSV: "text/csv; charset=utf-8"}

router = make_router()


def asked_for(
    principal: AuditReader,
    resources: AnyResources,
    *,
    action: Annotated[
        str | None, Query(max_length=64, pattern=ACTION, description="Such as `user.disable`")
    ] = None,
    actor: Annotated[
        str | None,
        Query(
            max_length=64,
            description="A user name, for what the account did itself and with its keys; "
            "or as the audit writes it: `user:<id>`, `key:<id>`, `anonymous`, `command-line`, ...",
        ),
    ] = None,
    subject_id: Annotated[str | None, Query(max_length=64, pattern=IDENTIFIER)] = None,
    since: Annotated[Moment, Query(description="Not before this moment; UTC without a zone")] = None,
    until: Annotated[Moment, Query(description="Before this moment; UTC without a zone")] = None,
) -> AuditFilter:
    """Read what a query asks of the audit; what it does not name is not asked."""
    with resources.sessions_for(principal).open() as session:
        try:
            by = whose(session, actor or "")
        except AccountNotFoundError as error:
            raise FieldsNotValidError([{"where": "query.actor", "problem": NOBODY}]) from error
    return AuditFilter(action=action, subject_id=subject_id, since=since, until=until, **by)


AskedFor = Annotated[AuditFilter, Depends(asked_for)]


@router.get("/audit", summary="Read the audit", responses=problem_responses(422))
def get_audit(
    principal: AuditReader,
    resources: AnyResources,
    chosen: AskedFor,
    *,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditPage:
    """Return a page of what was done, newest first."""
    with resources.sessions_for(principal).open() as session:
        return list_events(session, principal, chosen, cursor=cursor, limit=limit, reads=resources.reads)


@router.get(
    "/audit/export",
    summary="Take a copy of the audit",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The events, oldest first: JSON lines or a table",
            "content": {
                "application/jsonl": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
            },
        },
        **problem_responses(422),
    },
)
def get_audit_export(
    principal: AuditReader,
    resources: AnyResources,
    chosen: AskedFor,
    *,
    format: Annotated[  # noqa: A002  (the address's own word)
        Format, Query(description="`jsonl`: as each event is hashed, with its hash; `csv`: for a spreadsheet")
    ] = Format.JSON_LINES,
) -> StreamingResponse:
    """Stream all that matches, oldest first, as it is at this moment. The export itself is in the audit."""
    return audit_file(export_events(resources, principal, chosen, format), format)


def audit_file(lines: Iterator[str], kind: Format) -> StreamingResponse:
    """Answer with a file to keep."""
    name = f"restnet-audit-{datetime.now(UTC):%Y-%m-%d}.{kind.value}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_together(lines), media_type=MEDIA_TYPES[kind], headers=headers)


def _together(lines: Iterator[str]) -> Iterator[str]:
    # Each piece that is sent costs a turn of a thread, a line less than that.
    while piece := "".join(islice(lines, LINES_AT_ONCE)):
        yield piece
