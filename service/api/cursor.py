"""Keyset paging: a cursor names the last row seen, so a page stays right while rows are added."""

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from service.api.problems.refusals import FieldsNotValidError


def encode_cursor(moment: datetime, row_id: str) -> str:
    """Name a row by its time and id, opaque to clients."""
    return _encoded([moment.isoformat(), row_id])


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Read a cursor back.

    Raises
    ------
    FieldsNotValidError
        If it is not one that this service gave.
    """
    try:
        moment, row_id = _decoded(cursor)
        when = datetime.fromisoformat(moment)
        # A zone can move the first and the last day that there is out of the calendar.
        in_utc = when.astimezone(UTC)
        id_ = str(UUID(row_id))
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error) as error:
        raise _not_a_cursor() from error
    if when.tzinfo is None:
        raise _not_a_cursor()
    return in_utc, id_


def encode_number(number: int) -> str:
    """Name a row by its number, opaque to clients."""
    return _encoded(number)


def decode_number(cursor: str) -> int:
    """Read a cursor of :func:`encode_number` back.

    Raises
    ------
    FieldsNotValidError
        If it is not one that this service gave.
    """
    try:
        number = _decoded(cursor)
    except (ValueError, binascii.Error) as error:
        raise _not_a_cursor() from error
    # What no database can hold was never given.
    if type(number) is not int or not 0 < number < 2**63:
        raise _not_a_cursor()
    return number


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> Any:
    padded = cursor.encode() + b"=" * (-len(cursor) % 4)
    return json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))


def _not_a_cursor() -> FieldsNotValidError:
    problem = {"where": "query.cursor", "problem": "expected the next_cursor of an earlier page"}
    return FieldsNotValidError([problem])


def newest_first(
    query: Select[Any],
    moment: InstrumentedAttribute[datetime],
    row_id: InstrumentedAttribute[str],
    *,
    cursor: str | None,
    limit: int,
) -> Select[Any]:
    """Order newest first, by time and id, after the cursor; one row more than asked tells if more follow."""
    if cursor is not None:
        last_moment, last_id = decode_cursor(cursor)
        # Compared as pairs: from two conditions with an OR no database finds the place in its index.
        last = tuple_(literal(last_moment, moment.type), literal(last_id, row_id.type))
        query = query.where(tuple_(moment, row_id) < last)
    return query.order_by(moment.desc(), row_id.desc()).limit(limit + 1)
