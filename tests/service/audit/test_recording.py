"""An event is kept if, and only if, the act that it tells of is."""

from collections.abc import Callable

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session, sessionmaker

from service.audit import record
from service.audit.verification import verify
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, UserRow
from service.identity.actor import Actor
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

SOMEBODY = Actor("user:1", "192.0.2.7")


def tell(session: Session, what: str) -> None:
    record(session, actor=SOMEBODY, action=what, subject_kind="thing", subject_id="1")


def told(sessions: sessionmaker[Session]) -> list[str]:
    with sessions() as session:
        verify(session)
        return list(session.scalars(select(AuditEventRow.action).order_by(AuditEventRow.sequence)))


def account(name: str) -> UserRow:
    return UserRow(
        username=name, password_hash="x", role="clinician", organisation_id=DEFAULT_ORGANISATION_ID
    )


def test_an_event_says_who_what_when_and_from_where(sessions: sessionmaker[Session]) -> None:
    details = {"n": 1, "share": 0.1, "words": "é\n", "nothing": None, "ids": ["a"]}
    with sessions.begin() as session:
        record(session, actor=SOMEBODY, action="a.b", subject_kind="thing", subject_id="7", details=details)
    with sessions() as session:
        [row] = session.scalars(select(AuditEventRow))
        verify(session)
    assert (row.actor, row.address, row.action) == ("user:1", "192.0.2.7", "a.b")
    assert (row.subject_kind, row.subject_id, row.details) == ("thing", "7", details)
    assert (row.sequence, row.previous_hash, len(row.hash)) == (1, "0" * 64, 64)


def test_what_is_not_committed_is_not_told(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        tell(session, "rolled.back")
        session.rollback()
        tell(session, "committed")
        session.commit()
        tell(session, "left.open")
    with sessions() as session:
        tell(session, "closed")
        session.close()
        session.add(account("mina"))
        session.commit()
    assert told(sessions) == ["committed"]


def test_events_go_back_to_where_a_savepoint_began(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        tell(session, "before")
        with session.begin_nested():
            tell(session, "released")
        undone = session.begin_nested()
        tell(session, "undone")
        with session.begin_nested():
            tell(session, "undone.with.its.parent")
        undone.rollback()
        tell(session, "after")
    assert told(sessions) == ["before", "released", "after"]


def test_an_act_that_fails_at_the_commit_leaves_neither_event_nor_gap(
    sessions: sessionmaker[Session],
) -> None:
    def add_twice() -> None:
        with sessions.begin() as session:
            tell(session, "user.create")
            session.add_all([account("mina"), account("mina")])

    with pytest.raises(Exception, match=r"(?i)unique"):
        add_twice()
    with sessions.begin() as session:
        tell(session, "next")
    assert told(sessions) == ["next"]


def test_without_a_head_nothing_that_is_audited_happens(sessions: sessionmaker[Session]) -> None:
    from sqlalchemy import delete

    from service.audit.chain import AuditHeadMissingError
    from service.db.rows import AuditHeadRow

    def act() -> None:
        with sessions.begin() as session:
            session.add(account("mina"))
            tell(session, "user.create")

    with sessions.begin() as session:
        session.execute(delete(AuditHeadRow))
    with pytest.raises(AuditHeadMissingError):
        act()
    with sessions() as session:
        assert session.scalars(select(UserRow)).all() == []


@pytest.fixture
def statements(sessions: sessionmaker[Session]) -> Callable[[], list[str]]:
    seen: list[str] = []
    engine = sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, statement, *_: seen.append(statement))
    return lambda: [statement.split()[0] + " " + statement.partition("audit_")[1] for statement in seen]


def test_the_head_is_taken_last(sessions: sessionmaker[Session], statements: Callable[[], list[str]]) -> None:
    with sessions.begin() as session:
        tell(session, "user.create")
        tell(session, "user.disable")
        session.execute(select(UserRow))
        session.add(account("mina"))
    written = [what for what in statements() if not what.startswith(("SELECT", "SET"))]
    assert written[0] == "INSERT ", "the act comes first"
    assert set(written[1:]) == {"UPDATE audit_", "INSERT audit_"}
    assert written[1] == "UPDATE audit_", "and the head before the events"
