"""What has been kept long enough is found by its age, and nothing else is touched."""

import pytest
from sqlalchemy import select, update

from service.db.base import utc_now
from service.db.rows import IdempotencyRow
from service.identity.actor import program
from service.retention import Expired, forget_idempotency_keys, mark_expired, what_is_due
from tests.service.conftest import BOTH_DATABASES
from tests.service.retention.conftest import Place

pytestmark = BOTH_DATABASES

SWEEPER = program("sweeper")


def due(place: Place, scan_days: int = 30, idempotency_days: int = 30) -> Expired:
    with place.sessions() as session:
        return what_is_due(session, scan_days=scan_days, idempotency_days=idempotency_days)


def test_only_scans_whose_time_is_over_are_marked_the_oldest_first(place: Place) -> None:
    ages = {days: place.add(age_days=days) for days in (31, 29.9, 400, 30.1)}
    assert due(place) == Expired(scans=3, size_bytes=12, marked=0, idempotency_keys=0)
    assert mark_expired(place.sessions, scan_days=30, actor=SWEEPER, limit=2) == 2
    assert place.scan(ages[400]).deleted_because == place.scan(ages[31]).deleted_because == "retention"
    assert place.scan(ages[30.1]).deleted_at is None
    assert due(place) == Expired(scans=1, size_bytes=4, marked=2, idempotency_keys=0)
    assert [mark_expired(place.sessions, scan_days=30, actor=SWEEPER) for _ in range(2)] == [1, 0]
    assert place.scan(ages[29.9]).deleted_at is None
    assert {event.actor for event in place.told("scan.delete")} == {"sweeper"}


def test_without_a_time_every_scan_is_kept(place: Place) -> None:
    place.add(age_days=36_000)
    assert due(place, scan_days=0).scans == 0
    assert mark_expired(place.sessions, scan_days=0, actor=SWEEPER) == 0


def test_old_idempotency_keys_are_forgotten_and_counted(place: Place) -> None:
    scan_ids = [place.add() for _ in range(4)]
    with place.sessions.begin() as session:
        old = update(IdempotencyRow).where(IdempotencyRow.key.in_(scan_ids[:3]))
        session.execute(old.values(created_at=utc_now(-7.1 * 86400)))
    assert due(place, idempotency_days=7).idempotency_keys == 3

    def forget() -> int:
        return forget_idempotency_keys(place.sessions, idempotency_days=7, actor=SWEEPER, limit=2)

    assert [forget() for _ in range(3)] == [2, 1, 0]
    with place.sessions() as session:
        assert session.scalars(select(IdempotencyRow.key)).all() == [scan_ids[3]]
    assert [event.details for event in place.told("idempotency_key.expire")] == [{"count": 2}, {"count": 1}]
    assert all(place.scan(scan_id).deleted_at is None for scan_id in scan_ids)


@pytest.mark.parametrize("scan_days", [36_500])
def test_the_longest_time_that_can_be_set_is_a_moment_that_databases_know(
    place: Place, scan_days: int
) -> None:
    place.add(age_days=10)
    assert mark_expired(place.sessions, scan_days=scan_days, actor=SWEEPER) == 0
