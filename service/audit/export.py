"""The audit as a file, for systems that keep it elsewhere and for people who read tables."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from io import StringIO
from typing import Any

from sqlalchemy.orm import Session

from service.audit.chain import COLUMNS, canonical
from service.audit.verification import events_in_order

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """What kind of file."""

    JSON_LINES = "jsonl"
    """Each event as the text that is hashed, with its hash."""
    CSV = "csv"
    """For a spreadsheet: a text in it that could be a formula stands behind an apostrophe."""


def export_lines(session: Session, *, after: int, up_to: int) -> Iterator[str]:
    """Write each event as one JSON object: the text that is hashed, with its hash.

    Parameters
    ----------
    session : Session
    after, up_to : int
        Sequences: the first one left out at the beginning, and the last one given.
    """
    for event in events_in_order(session, after=after, up_to=up_to):
        yield json_line(event)


def json_line(event: Mapping[str, Any]) -> str:
    """Write one event as JSON, so that anybody can compute its hash anew."""
    return f'{canonical(event)[:-1]},"hash":"{event["hash"]}"}}'


def written(kind: Format, events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Write events as the lines of a file, each with its end.

    Parameters
    ----------
    kind : Format
    events : iterable of mapping
        Every column by its name.
    """
    if kind == Format.JSON_LINES:
        for event in events:
            yield json_line(event) + "\n"
        return
    yield _row(COLUMNS)
    for event in events:
        yield _row([_cell(event[name]) for name in COLUMNS])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    text = json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _row(cells: Iterable[str]) -> str:
    line = StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
