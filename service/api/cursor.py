"""Keyset paging: a cursor names the last row seen, so a page stays right while rows are added."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any
from unicodedata import category
from uuid import UUID

from sqlalchemy import Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from service.api.problems.refusals import FieldsNotValidError

_WORD_LENGTH = 255


def encode_cursor(moment: datetime, row_id: str) -> str:
    """Name a row by its time and id, opaque to clients."""
    return encode_place([moment, row_id])


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Read a cursor back.

    Raises
    ------
    FieldsNotValidError
        If it is not one that this service gave.
    """
    moment, row_id = decode_place(cursor, [a_moment, an_id])
    return moment, row_id


def encode_place(values: Sequence[datetime | float | str]) -> str:
    """Name a row by all that a list is ordered by, opaque to clients."""
    return _encoded([value.isoformat() if isinstance(value, datetime) else value for value in values])


def decode_place(cursor: str, kinds: Sequence[Callable[[Any], Any]]) -> tuple[Any, ...]:
    """Read a cursor of :func:`encode_place` back.

    Parameters
    ----------
    cursor : str
    kinds : sequence of callable
        Reads each of its values: :func:`a_moment`, :func:`an_id`, :func:`a_word`, :func:`a_share`.

    Raises
    ------
    FieldsNotValidError
        If it is not one that this service gave, or one of another order.
    """
    try:
        return tuple(read(value) for read, value in zip(kinds, _decoded(cursor), strict=True))
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error) as error:
        raise _not_a_cursor() from error


def a_moment(value: str) -> datetime:
    """Read a moment with its zone; a ValueError or a TypeError where it is none."""
    when = datetime.fromisoformat(value)
    if when.tzinfo is None:
        message = "expected a moment with its zone"
        raise ValueError(message)
    # A zone can move the first and the last day that there is out of the calendar.
    return when.astimezone(UTC)


def an_id(value: str) -> str:
    """Read the id of a row."""
    return str(UUID(value))


def a_word(value: str) -> str:
    """Read a short text that a database may be asked for: a zero byte it may not."""
    if any(category(letter).startswith("C") for letter in value) or not 0 < len(value) <= _WORD_LENGTH:
        message = "expected a short text"
        raise ValueError(message)
    return value


def a_share(value: float) -> float:
    """Read a finite number from 0 to 1."""
    # JSON has true for one, and Python reads NaN out of it.
    if type(value) not in {int, float} or not isfinite(value) or not 0 <= value <= 1:
        message = "expected a share"
        raise ValueError(message)
    return float(value)


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


def by_name(
    query: Select[Any], name: InstrumentedAttribute[str], *, cursor: str | None, limit: int
) -> Select[Any]:
    """Order by a name that each row has for itself, after the cursor; one row more than asked, as above.

    The cursor is that of :func:`encode_place` for the last name.
    """
    if cursor is not None:
        [last] = decode_place(cursor, [a_word])
        query = query.where(name > last)
    return query.order_by(name).limit(limit + 1)
