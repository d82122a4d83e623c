"""Which request a line of the log, a job and a trace belong to, from the upload to the result.

The id of the request that is being answered, and its span, live in context variables; a job's row keeps both,
because its message carries an id and nothing else, and the worker takes them up again from the row.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import structlog
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

REQUEST_ID_HEADER = "X-Request-ID"
REQUEST_ID_LENGTH = 64
TRACEPARENT_LENGTH = 55

# Ids as proxies make them: UUIDs and hexadecimal digits. Longer alphabets could spell a patient's name, and
# the id goes to the log.
_WELL_FORMED = re.compile(rf"(?=.*[0-9])[0-9A-Fa-f-]{{16,{REQUEST_ID_LENGTH}}}")
_FIELD = "request_id"
_W3C = TraceContextTextMapPropagator()


def request_id_for(sent: str | None) -> str:
    """Return the id of a request: the one that its client sent if it is well formed, else a new one.

    Parameters
    ----------
    sent : str or None
        16 to 64 hexadecimal digits and dashes are kept; anything else is the client's mistake or worse.
    """
    return sent if sent is not None and _WELL_FORMED.fullmatch(sent) else str(uuid4())


@contextmanager
def correlated(request_id: str | None) -> Iterator[None]:
    """Name the request in every line of the log and on every job that is queued inside."""
    if request_id is None:
        yield
        return
    with structlog.contextvars.bound_contextvars(**{_FIELD: request_id}):
        yield


def current_request_id() -> str | None:
    """Return the id of the request that is being answered here; None outside of any."""
    found = structlog.contextvars.get_contextvars().get(_FIELD)
    return found if isinstance(found, str) else None


def current_traceparent() -> str | None:
    """Return the span that is open here, as the W3C header ``traceparent`` writes it; None where none is."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent")


def context_of(traceparent: str | None) -> Context:
    """Return the context in which a span is a child of the one that a ``traceparent`` names."""
    return _W3C.extract({"traceparent": traceparent} if traceparent else {}, context=Context())


def origin() -> dict[str, Any]:
    """Return the columns of a job's row that say which request queued it."""
    return {"request_id": current_request_id(), "traceparent": current_traceparent()}
