"""Looks at the same thing are one event for a while; a look that cannot be recorded is refused."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from service.audit import ReadLog
from service.db.rows import AuditEventRow
from service.identity.actor import Actor

HERE, THERE = Actor("user:1", "192.0.2.7"), Actor("user:1", "192.0.2.8")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session(sessions: sessionmaker[Session]) -> Iterator[Session]:
    with sessions() as opened:
        yield opened


def told(session: Session) -> list[tuple[str, str, str]]:
    rows = session.execute(
        select(AuditEventRow.address, AuditEventRow.action, AuditEventRow.subject_id).order_by(
            AuditEventRow.sequence
        )
    )
    return [tuple(row) for row in rows]


def look(reads: ReadLog, session: Session, actor: Actor, what: str, action: str = "scan.read") -> None:
    reads.note(session, actor, action=action, subject_kind="scan", subject_id=what)


def test_a_look_is_told_once_in_its_time(session: Session, clock: Clock) -> None:
    reads = ReadLog(window_s=60, clock=clock)
    for moment in (0, 59.9, 60, 100, 119.9):
        clock.now = 1000 + moment
        look(reads, session, HERE, "a")
    assert len(told(session)) == 2


def test_another_place_thing_or_act_is_told_too(session: Session, clock: Clock) -> None:
    reads = ReadLog(window_s=60, clock=clock)
    for _ in range(2):
        look(reads, session, HERE, "a")
        look(reads, session, THERE, "a")
        look(reads, session, HERE, "b")
        look(reads, session, HERE, "a", action="scan.export")
    here, there = HERE.address, THERE.address
    assert told(session) == [
        (here, "scan.read", "a"),
        (there, "scan.read", "a"),
        (here, "scan.read", "b"),
        (here, "scan.export", "a"),
    ]


def test_without_a_time_every_look_is_told(session: Session, clock: Clock) -> None:
    reads = ReadLog(window_s=0, clock=clock)
    for _ in range(3):
        look(reads, session, HERE, "a")
    assert len(told(session)) == 3


def test_what_is_remembered_is_bounded_and_then_told_again(session: Session, clock: Clock) -> None:
    reads = ReadLog(window_s=60, capacity=2, clock=clock)
    for what in ("a", "b", "c", "c", "b", "a"):
        look(reads, session, HERE, what)
    assert len(reads._recorded) == 2
    assert [subject for *_, subject in told(session)] == ["a", "b", "c", "a"]


def test_a_list_names_what_was_not_seen_before(session: Session, clock: Clock) -> None:
    reads = ReadLog(window_s=60, clock=clock)
    for ids in (["a", "b"], ["a", "b"], ["c", "b"], ["b"]):
        reads.note_list(session, HERE, action="scan.list", subject_kind="scan", ids=ids)
    rows = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
    assert [(row.subject_id, row.details) for row in rows] == [
        ("list", {"ids": ["a", "b"]}),
        ("list", {"ids": ["c"]}),
    ]


def test_an_empty_list_is_a_look_too(session: Session, clock: Clock) -> None:
    reads = ReadLog(window_s=60, clock=clock)
    for _ in range(2):
        reads.note_list(session, HERE, action="scan.list", subject_kind="scan", ids=[])
    assert [row.details for row in session.scalars(select(AuditEventRow))] == [{"ids": []}]


def test_a_look_that_cannot_be_recorded_is_refused_every_time(session: Session, clock: Clock) -> None:
    reads = ReadLog(window_s=60, clock=clock)
    session.execute(text("PRAGMA query_only=ON"))
    for _ in range(2):
        with pytest.raises(OperationalError):
            look(reads, session, HERE, "a")
        session.rollback()
    session.execute(text("PRAGMA query_only=OFF"))
    look(reads, session, HERE, "a")
    assert len(told(session)) == 1
