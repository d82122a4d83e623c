"""Moments in queries: with a zone or in UTC, and never a bare number."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator


def _not_a_number(moment: object) -> object:
    # Pydantic would take one for seconds since 1970: a year alone would be a moment of that first hour.
    try:
        float(str(moment))
    except ValueError:
        return moment
    message = "expected a moment such as 2026-11-28T09:30:00Z, found a number"
    raise ValueError(message)


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        message = "expected a moment in the years 1 to 9999 of UTC"
        raise ValueError(message) from error


Moment = Annotated[
    datetime | None,
    BeforeValidator(_not_a_number),
    AfterValidator(lambda moment: moment and _in_utc(moment)),
]
