"""The orders in which predictions are listed, each along an index of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, literal, or_, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from service.api.cursor import a_moment, a_share, a_word, an_id, decode_place, encode_place
from service.db.rows import PredictionRow, PredictionState, ResultRow, ScanRow


class Sort(StrEnum):
    """An order of predictions; with a minus the greatest first."""

    NEWEST = "-created_at"
    OLDEST = "created_at"
    SUBJECT = "subject_id"
    SUBJECT_BACKWARDS = "-subject_id"
    LEAST_PROBABLE = "adhd_probability"
    MOST_PROBABLE = "-adhd_probability"

    @property
    def by(self) -> str:
        """What it goes by."""
        return self.value.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.value.startswith("-")


@dataclass(frozen=True)
class _Order:
    """What a list goes by.

    Attributes
    ----------
    columns : tuple of attributes
        Those of one index. The last is the id of its table's rows.
    kinds : tuple of callables
        How a cursor holds each, and behind them the prediction's id where that is another.
    values : callable
        Takes the columns' values from a row.
    """

    columns: tuple[InstrumentedAttribute[Any], ...]
    kinds: tuple[Callable[[Any], Any], ...]
    values: Callable[[PredictionRow], list[Any]]


_ORDERS = {
    "created_at": _Order(
        (PredictionRow.created_at, PredictionRow.id),
        (a_moment, an_id),
        lambda row: [row.created_at, row.id],
    ),
    "subject_id": _Order(
        (ScanRow.subject_id, ScanRow.created_at, ScanRow.id),
        (a_word, a_moment, an_id, an_id),
        lambda row: [row.scan.subject_id, row.scan.created_at, row.scan_id, row.id],
    ),
    "adhd_probability": _Order(
        (ResultRow.adhd_probability, ResultRow.prediction_id),
        (a_share, an_id),
        lambda row: [row.result.adhd_probability if row.result else 0.0, row.id],
    ),
}


def in_order(query: Select[Any], sort: Sort, *, cursor: str | None, limit: int) -> Select[Any]:
    """Order predictions after the cursor; one row more than asked tells if more follow.

    By pseudonym those without one are left out, by probability those that do not have one.

    Parameters
    ----------
    query : Select
        Predictions, joined with their scans.
    sort : Sort
    cursor : str or None
    limit : int

    Raises
    ------
    FieldsNotValidError
        If the cursor is not one of this order.
    """
    order = _ORDERS[sort.by]
    if sort.by == "subject_id":
        query = query.where(ScanRow.subject_id.is_not(None))
    elif sort.by == "adhd_probability":
        query = query.join(ResultRow, ResultRow.prediction_id == PredictionRow.id)
        query = query.where(PredictionRow.state == PredictionState.SUCCEEDED)
    several = len(order.kinds) > len(order.columns)
    if cursor is not None:
        values = decode_place(cursor, order.kinds)
        query = query.where(_behind(order.columns, values, descending=sort.descending, itself=several))
        if several:
            # What a scan has more than one of. Said so that PostgreSQL expects it to leave nearly all: from a
            # comparison of everything it expects few rows, and reads all there are to sort them.
            *_, scan_id, prediction_id = values
            id_ = PredictionRow.id
            other = id_ < prediction_id if sort.descending else id_ > prediction_id
            query = query.where(or_(ScanRow.id != scan_id, other))
    columns = (*order.columns, PredictionRow.id) if several else order.columns
    ordered = [column.desc() if sort.descending else column.asc() for column in columns]
    return query.order_by(*ordered).limit(limit + 1)


def _behind(
    columns: Sequence[InstrumentedAttribute[Any]],
    values: Sequence[Any],
    *,
    descending: bool,
    itself: bool = False,
) -> ColumnElement[bool]:
    # Compared as tuples: from conditions with an OR no database finds the place in its index.
    place = tuple_(*columns)
    last = tuple_(*(literal(value, column.type) for value, column in zip(values, columns, strict=False)))
    if itself:
        return place <= last if descending else place >= last
    return place < last if descending else place > last


def cursor_behind(row: PredictionRow, sort: Sort) -> str:
    """Name the row that the next page begins behind."""
    return encode_place(_ORDERS[sort.by].values(row))
