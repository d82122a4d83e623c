"""Refuses what a client says beside the point: a misspelt filter or header must not be lost in silence."""

import re
from collections import Counter
from difflib import get_close_matches
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.dependencies.models import Dependant
from pydantic import WithJsonSchema
from starlette.datastructures import Headers

from service.api.access.principal import Principal
from service.api.access.principals import signed_in
from service.api.problems.refusals import FieldsNotValidError

RAW_HEADERS = {
    "subject_id": "x-subject-id",
    "age_years": "x-age-years",
    "sex": "x-sex",
    "site": "x-site",
    "slice_times_s": "x-slice-times-s",
    "tr_s": "x-tr-s",
    "slice_order": "x-slice-order",
    "run": "x-run",
    "sidecar": "x-sidecar",
}
"""Where a raw upload says what a form says in its fields."""

_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


def _idempotency_key(
    sent: Annotated[
        str | None,
        # A header cannot say null.
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}),
        Header(
            alias="Idempotency-Key",
            description="The same key with the same request gives what it made before, and nothing new.",
        ),
    ] = None,
) -> str | None:
    if sent is not None and not _IDEMPOTENCY_KEY.fullmatch(sent):
        problem = {
            "where": "header.Idempotency-Key",
            "problem": "expected 1 to 255 printable ASCII characters without blanks",
        }
        raise FieldsNotValidError([problem])
    return sent


IdempotencyKey = Annotated[str | None, Depends(_idempotency_key)]
"""By what a request that is sent again is known; None where it may not be."""

# Words that nobody but a client of ours puts behind an "X-"; a proxy's headers must pass.
_ABOUT_THE_SCAN = frozenset(
    {
        *("subject", "subjectid", "age", "ageyears", "sex", "gender", "site"),
        *("slice", "slices", "tr", "repetition", "sidecar"),
    }
)
# Ratio of difflib: one letter missing, added or exchanged passes; X-Request-Id stays apart from X-Subject-Id.
_CLOSE = 0.8
_SHOWN_LENGTH = 64


def known_parameters_only(request: Request, _principal: Annotated[Principal, Depends(signed_in)]) -> None:
    """Refuse query parameters that the route does not have, or that are said twice.

    Who may not ask at all hears that first.

    Raises
    ------
    FieldsNotValidError
        If there is one.
    """
    known = sorted(_query_names(request.scope["route"].dependant))
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        these = f"one of {', '.join(known)}" if known else "no query parameter at all"
        raise FieldsNotValidError(
            [
                {"where": f"query.{name[:_SHOWN_LENGTH]}", "problem": f"expected {these}, found another name"}
                for name in unknown
            ]
        )
    said = Counter(name for name, _ in request.query_params.multi_items())
    # One of them would be read and the other lost: a filter in front of us may have looked at the other.
    repeated = [name for name, times in said.items() if times > 1]
    if repeated:
        raise FieldsNotValidError(
            [
                {"where": f"query.{name}", "problem": f"expected it once, found it {said[name]} times"}
                for name in repeated
            ]
        )


def _query_names(dependant: Dependant) -> set[str]:
    below = (_query_names(dependency) for dependency in dependant.dependencies)
    return {field.alias for field in dependant.query_params}.union(*below)


def refuse_lost_headers(headers: Headers, *, raw: bool) -> None:
    """Refuse headers that look as if they described the scan and would not be read.

    Parameters
    ----------
    headers : Headers
    raw : bool
        Whether the body is the file itself. A form says these things in its fields, and its headers are not
        read at all.

    Raises
    ------
    FieldsNotValidError
        If there is one.
    """
    known = {*RAW_HEADERS.values(), "x-filename"}
    lost = [
        name
        for name in dict.fromkeys(headers)
        if _is_about_the_scan(name, known) and not (raw and name in known)
    ]
    if lost:
        instead = (
            f"one of {', '.join(sorted(name.title() for name in known))}"
            if raw
            else f"the form fields {', '.join(RAW_HEADERS)} instead"
        )
        raise FieldsNotValidError(
            [
                {"where": f"header.{name[:_SHOWN_LENGTH].title()}", "problem": f"expected {instead}"}
                for name in lost
            ]
        )


def _is_about_the_scan(name: str, known: set[str]) -> bool:
    if not name.startswith("x-"):
        return False
    return name.split("-")[1] in _ABOUT_THE_SCAN or bool(get_close_matches(name, known, n=1, cutoff=_CLOSE))
