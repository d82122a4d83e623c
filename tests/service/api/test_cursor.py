"""Pages of a list are found by an index, however many rows lie before them."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import ColumnElement, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session, sessionmaker

from service.api.cursor import encode_cursor, newest_first
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import PredictionRow, PredictionState, ScanRow
from tests.service.api.serving import Serving


@pytest.fixture
def sessions(served: Serving) -> sessionmaker[Session]:
    return served.sessions


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        (PredictionRow.scan_id != "", "organisation_id=?"),
        (PredictionRow.state == PredictionState.FAILED, "organisation_id=? AND state=?"),
    ],
)
def test_a_page_begins_at_its_place_in_the_index(
    sessions: sessionmaker[Session], condition: ColumnElement[bool], index: str
) -> None:
    """Whatever is not in the index's own condition is read and thrown away, up to the whole table."""
    query = newest_first(
        select(PredictionRow.id).where(PredictionRow.organisation_id == DEFAULT_ORGANISATION_ID, condition),
        PredictionRow.created_at,
        PredictionRow.id,
        cursor=encode_cursor(datetime(2026, 1, 1, tzinfo=UTC), str(uuid4())),
        limit=50,
    )
    plan = plan_of(sessions, query)
    assert f"({index} AND (created_at,id)<(?,?))" in plan
    assert "TEMP B-TREE" not in plan


def test_the_scans_of_a_subject_are_found_by_an_index(sessions: sessionmaker[Session]) -> None:
    query = select(ScanRow.id).where(
        ScanRow.organisation_id == DEFAULT_ORGANISATION_ID, ScanRow.subject_id == "sub-1"
    )
    assert "(organisation_id=? AND subject_id=?)" in plan_of(sessions, query)


def plan_of(sessions: sessionmaker[Session], query: object) -> str:
    compiled = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with sessions() as session:
        return " ".join(str(row) for row in session.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
