"""The chain under many writers, and the database's own refusal to change it."""

import hashlib
import json
import threading

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from service.audit import chain, record
from service.audit.chain import canonical
from service.audit.verification import verify
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, UserRow
from service.identity.actor import Actor
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

THREADS, EACH = 12, 10


def test_many_writers_leave_no_gap_and_never_wait_for_each_other_in_a_ring(
    sessions: sessionmaker[Session],
) -> None:
    with sessions.begin() as session:
        session.add_all(
            [
                UserRow(
                    id=f"u{n}",
                    username=f"u{n}",
                    password_hash="x",
                    role="r",
                    organisation_id=DEFAULT_ORGANISATION_ID,
                )
                for n in range(2)
            ]
        )
    faults: list[BaseException] = []
    together = threading.Barrier(THREADS)

    def write(number: int) -> None:
        try:
            together.wait()
            for turn in range(EACH):
                with sessions.begin() as session:
                    actor = Actor(f"user:{number}", "test")
                    # Recorded before another row is locked, as use cases do: the order that would deadlock
                    # if the head were taken at once.
                    record(session, actor=actor, action="a.b", subject_kind="k", subject_id=str(turn))
                    row = session.get_one(UserRow, f"u{turn % 2}", with_for_update=True)
                    row.role = f"r{number}"
                    session.flush()
                    record(session, actor=actor, action="a.c", subject_kind="k", subject_id=str(turn))
        except BaseException as fault:  # noqa: BLE001  (told below)
            faults.append(fault)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert faults == []
    with sessions() as session:
        assert verify(session).sequence == THREADS * EACH * 2
        rows = session.execute(
            select(AuditEventRow.sequence, AuditEventRow.actor, AuditEventRow.action).order_by(
                AuditEventRow.sequence
            )
        ).all()
    assert [row.sequence for row in rows] == list(range(1, THREADS * EACH * 2 + 1))
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    assert all(first.actor == second.actor for first, second in pairs), "a transaction was torn"
    assert {(first.action, second.action) for first, second in pairs} == {("a.b", "a.c")}


def test_whoever_stands_still_at_the_head_loses_the_turn(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    with sessions() as session:
        if session.get_bind().dialect.name == "sqlite":
            pytest.skip("SQLite ends no transaction of another process")
    monkeypatch.setattr(chain, "TURN_MS", 300)
    mine = AuditEventRow(actor="a", address="t", action="a.b", subject_kind="k", subject_id="1")
    with sessions() as paused:
        chain.append(paused, [mine])
        with sessions.begin() as session:
            record(session, actor=Actor("b", "t"), action="a.b", subject_kind="k", subject_id="1")
        with pytest.raises(DBAPIError):
            paused.commit()
        paused.invalidate()
    with sessions() as session:
        assert verify(session).sequence == 1
        assert session.scalars(select(AuditEventRow.actor)).all() == ["b"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'user:2'",
        "UPDATE audit_events SET details = NULL WHERE sequence = 1",
        "DELETE FROM audit_events",
        "DELETE FROM audit_events WHERE sequence = 1",
        "TRUNCATE audit_events",
    ],
)
def test_the_database_refuses_to_change_an_event(sessions: sessionmaker[Session], statement: str) -> None:
    with sessions.begin() as session:
        record(session, actor=Actor("user:1", "test"), action="a.b", subject_kind="k", subject_id="1")
        is_sqlite = session.get_bind().dialect.name == "sqlite"
    if is_sqlite and statement.startswith("TRUNCATE"):
        pytest.skip("SQLite has no TRUNCATE")
    with sessions() as session, pytest.raises(DBAPIError, match="audit_events is append-only"):
        session.execute(text(statement))
    with sessions() as session:
        assert verify(session).sequence == 1


def test_the_canonical_form_is_what_anybody_can_hash(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        record(
            session,
            actor=Actor("user:1", "192.0.2.7"),
            action="a.b",
            subject_kind="k",
            subject_id="1",
            details={"b": 0.1, "a": "é"},
        )
    with sessions() as session:
        [row] = session.execute(select(AuditEventRow.__table__)).mappings().all()
    # As docs/audit.md describes it, without our code.
    said = {
        "id": row["id"],
        "sequence": 1,
        "at": row["at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "actor": "user:1",
        "address": "192.0.2.7",
        "action": "a.b",
        "subject_kind": "k",
        "subject_id": "1",
        "details": {"a": "é", "b": 0.1},
        "previous_hash": "0" * 64,
    }
    text_of_it = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert canonical(row) == text_of_it
    assert row["hash"] == hashlib.sha256(text_of_it.encode("ascii")).hexdigest()
