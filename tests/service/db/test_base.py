from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from sqlalchemy.exc import InvalidRequestError, StatementError
from sqlalchemy.orm import Session, sessionmaker

from service.db.base import utc_now
from service.db.rows import ScanRow
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES


def test_a_moment_comes_back_in_utc(sessions: sessionmaker[Session], scan_id: str) -> None:
    moment = datetime(2026, 3, 1, 23, 30, 0, 123456, tzinfo=timezone(timedelta(hours=-5)))
    with sessions.begin() as session:
        session.get_one(ScanRow, scan_id).deleted_at = moment
    with sessions() as session:
        found = session.get_one(ScanRow, scan_id).deleted_at
    assert found == moment
    assert found.tzinfo is UTC
    assert found.hour == 4


def test_a_naive_time_is_refused(sessions: sessionmaker[Session], scan_id: str) -> None:
    with pytest.raises(StatementError, match="expected a time with a zone"), sessions.begin() as session:
        session.get_one(ScanRow, scan_id).deleted_at = datetime(2026, 3, 1)  # noqa: DTZ001


def test_the_databases_clock_is_utc_and_can_be_shifted(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        now, earlier, later = session.execute(select(utc_now(), utc_now(-90.5), utc_now(3600))).one()
        assert session.scalar(select(utc_now(-0.01) < utc_now())) == 1
        assert session.scalar(select(utc_now(0.05) < utc_now())) == 0
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)
    assert timedelta(seconds=90.4) < now - earlier < timedelta(seconds=90.6)
    assert timedelta(seconds=3599.9) < later - now < timedelta(seconds=3600.1)


def test_rows_are_dated_by_the_database(sessions: sessionmaker[Session], scan_id: str) -> None:
    with sessions() as session:
        created_at = session.get_one(ScanRow, scan_id).created_at
    assert abs(created_at - datetime.now(UTC)) < timedelta(seconds=30)


def test_related_rows_are_never_loaded_behind_ones_back(
    sessions: sessionmaker[Session], scan_id: str
) -> None:
    from service import jobs

    with sessions() as session:
        row = jobs.enqueue(session, scan_id=scan_id)
        with pytest.raises(InvalidRequestError, match="lazy='raise'"):
            _ = row.scan
