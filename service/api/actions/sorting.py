"""The orders in which predictions are listed, each along an index of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, literal, tuple_
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
        No two rows are alike in all of them.
    kinds : tuple of callables
        How a cursor holds each.
    indexed : int
        How many of the columns, from the first, stand in one index.
    values : callable
        Takes the columns' values from a row.
    """

    columns: tuple[InstrumentedAttribute[Any], ...]
    kinds: tuple[Callable[[Any], Any], ...]
    indexed: int
    values: Callable[[PredictionRow], list[Any]]


_ORDERS = {
    "created_at": _Order(
        (PredictionRow.created_at, PredictionRow.id),
        (a_moment, an_id),
        2,
        lambda row: [row.created_at, row.id],
    ),
    "subject_id": _Order(
        (ScanRow.subject_id, ScanRow.created_at, ScanRow.id, PredictionRow.id),
        (a_word, a_moment, an_id, an_id),
        3,
        lambda row: [row.scan.subject_id, row.scan.created_at, row.scan_id, row.id],
    ),
    "adhd_probability": _Order(
        (ResultRow.adhd_probability, ResultRow.prediction_id),
        (a_share, an_id),
        2,
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
    if cursor is not None:
        last = [
            literal(value, column.type)
            for value, column in zip(decode_place(cursor, order.kinds), order.columns, strict=True)
        ]
        place, whole = tuple_(*order.columns), tuple_(*last)
        # Compared as tuples: from conditions with an OR no database finds the place in its index. Where
        # the columns are of two tables, those of the index say where to begin.
        query = query.where(place < whole if sort.descending else place > whole)
        if order.indexed < len(order.columns):
            place, whole = tuple_(*order.columns[: order.indexed]), tuple_(*last[: order.indexed])
            query = query.where(place <= whole if sort.descending else place >= whole)
    columns = [column.desc() if sort.descending else column.asc() for column in order.columns]
    return query.order_by(*columns).limit(limit + 1)


def cursor_behind(row: PredictionRow, sort: Sort) -> str:
    """Name the row that the next page begins behind."""
    return encode_place(_ORDERS[sort.by].values(row))
