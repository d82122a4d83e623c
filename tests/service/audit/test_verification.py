"""Every way in which the owner of the database may lay hands on the audit, and what is said of it."""

import json
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from service.audit import record, verification
from service.audit.chain import COLUMNS, event_hash
from service.audit.verification import (
    Anchor,
    AuditChainBrokenError,
    Fault,
    parse_anchor,
    read_head,
    verify,
)
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, AuditHeadRow
from service.identity.actor import Actor
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

EVENTS = AuditEventRow.__table__


@pytest.fixture
def owned(sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> sessionmaker[Session]:
    """Seven events, read three at a time, in a database whose owner has taken the triggers away."""
    monkeypatch.setattr(verification, "BATCH", 3)
    for number in range(7):
        with sessions.begin() as session:
            record(
                session,
                actor=Actor("user:1", "192.0.2.7"),
                action="a.b",
                subject_kind="k",
                subject_id=str(number),
                details={"n": number},
            )
    with sessions.begin() as session:
        on = "" if session.get_bind().dialect.name == "sqlite" else " ON audit_events"
        for act in ("update", "delete"):
            session.execute(text(f"DROP TRIGGER audit_events_no_{act}{on}"))
    return sessions


def edit(session: Session, of: int, /, **values: Any) -> None:
    session.execute(update(EVENTS).where(EVENTS.c.sequence == of).values(values))


def found(sessions: sessionmaker[Session], *anchors: Anchor) -> tuple[int, str]:
    with sessions() as session, pytest.raises(AuditChainBrokenError) as broken:
        verify(session, anchors=anchors)
    return broken.value.sequence, broken.value.fault.value


def head_of(sessions: sessionmaker[Session]) -> Anchor:
    with sessions() as session:
        return read_head(session)


def rehash_from(session: Session, first: int) -> None:
    """Write the chain anew, as an owner who knows how it is made would."""
    rows = session.execute(select(EVENTS).order_by(EVENTS.c.sequence)).mappings().all()
    previous = rows[first - 2]["hash"] if first > 1 else "0" * 64
    for row in rows[first - 1 :]:
        hashed = event_hash({**row, "previous_hash": previous})
        edit(session, row["sequence"], previous_hash=previous, hash=hashed)
        previous = hashed
    session.execute(update(AuditHeadRow).values(hash=previous, sequence=len(rows)))


def test_a_chain_that_nobody_touched_is_whole_against_every_earlier_head(
    owned: sessionmaker[Session],
) -> None:
    with owned() as session:
        rows = session.execute(select(EVENTS.c.sequence, EVENTS.c.hash)).all()
        anchors = [Anchor(row.sequence, row.hash) for row in rows] + [Anchor(0, "0" * 64)]
        head = verify(session, anchors=anchors)
    assert head.sequence == 7
    assert parse_anchor(f" {head}\n") == head


CHANGES = {
    "id": "00000000-0000-4000-8000-000000000000",
    "at": text("'2020-01-01 00:00:00.000000'"),
    "organisation_id": DEFAULT_ORGANISATION_ID,
    "actor": "user:2",
    "address": "192.0.2.8",
    "action": "a.c",
    "subject_kind": "other",
    "subject_id": "other",
    "details": {"n": 5},
    "previous_hash": "f" * 64,
    "hash": "f" * 64,
}


# A column that is added needs a change here.
@pytest.mark.parametrize("column", [name for name in COLUMNS if name != "sequence"])
@pytest.mark.parametrize("sequence", [1, 4, 7])
def test_an_edit_of_any_column_is_found(owned: sessionmaker[Session], column: str, sequence: int) -> None:
    with owned.begin() as session:
        edit(session, sequence, **{column: CHANGES[column]})
    assert found(owned) == (sequence, Fault.EDITED)


def test_an_edit_to_nothing_is_found(owned: sessionmaker[Session]) -> None:
    with owned.begin() as session:
        session.execute(text("UPDATE audit_events SET details = NULL WHERE sequence = 2"))
    assert found(owned) == (2, Fault.EDITED)


@pytest.mark.parametrize("sequence", [1, 3, 4])
def test_a_gap_is_found(owned: sessionmaker[Session], sequence: int) -> None:
    with owned.begin() as session:
        session.execute(delete(EVENTS).where(EVENTS.c.sequence == sequence))
    assert found(owned) == (sequence, Fault.MISSING)


def test_a_gap_that_is_closed_by_moving_the_rest_up_is_found(owned: sessionmaker[Session]) -> None:
    with owned.begin() as session:
        session.execute(delete(EVENTS).where(EVENTS.c.sequence == 3))
        for sequence in range(4, 8):
            edit(session, sequence, sequence=sequence - 1)
        session.execute(update(AuditHeadRow).values(sequence=6))
    assert found(owned) == (3, Fault.EDITED), "the number is hashed too"


def test_an_exchange_of_two_events_is_found(owned: sessionmaker[Session]) -> None:
    with owned.begin() as session:
        for of, to in ((2, 99), (5, 2), (99, 5)):
            edit(session, of, sequence=to)
    assert found(owned) == (2, Fault.EDITED)


def test_an_edit_with_a_hash_of_its_own_does_not_fit_the_next_event(owned: sessionmaker[Session]) -> None:
    with owned.begin() as session:
        row = session.execute(select(EVENTS).where(EVENTS.c.sequence == 3)).mappings().one()
        edit(session, 3, actor="user:2", hash=event_hash({**row, "actor": "user:2"}))
    assert found(owned) == (4, Fault.UNLINKED)


def test_an_edit_of_the_last_event_with_its_hash_does_not_fit_the_head(owned: sessionmaker[Session]) -> None:
    with owned.begin() as session:
        row = session.execute(select(EVENTS).where(EVENTS.c.sequence == 7)).mappings().one()
        edit(session, 7, actor="user:2", hash=event_hash({**row, "actor": "user:2"}))
    assert found(owned) == (7, Fault.BEYOND_HEAD)


def test_an_end_that_is_cut_off_is_missed_by_the_head(owned: sessionmaker[Session]) -> None:
    with owned.begin() as session:
        session.execute(delete(EVENTS).where(EVENTS.c.sequence > 5))
    assert found(owned) == (6, Fault.MISSING)


def test_an_event_that_was_put_behind_the_head_is_found(owned: sessionmaker[Session]) -> None:
    with owned.begin() as session:
        row = dict(session.execute(select(EVENTS).where(EVENTS.c.sequence == 7)).mappings().one())
        row |= {"id": "00000000-0000-4000-8000-000000000000", "sequence": 8, "previous_hash": row["hash"]}
        session.execute(insert(EVENTS).values({**row, "hash": event_hash(row)}))
    assert found(owned) == (8, Fault.BEYOND_HEAD)


def test_only_an_anchor_shows_an_end_that_was_cut_off_together_with_the_head(
    owned: sessionmaker[Session],
) -> None:
    anchor = head_of(owned)
    with owned.begin() as session:
        session.execute(delete(EVENTS).where(EVENTS.c.sequence > 5))
        last = session.execute(select(EVENTS.c.hash).where(EVENTS.c.sequence == 5)).scalar_one()
        session.execute(update(AuditHeadRow).values(sequence=5, hash=last))
    with owned() as session:
        assert verify(session).sequence == 5, "it looks whole"
    assert found(owned, anchor) == (6, Fault.MISSING)


@pytest.mark.parametrize("edited", [1, 3, 7])
def test_only_an_anchor_shows_a_chain_that_was_written_anew(
    owned: sessionmaker[Session], edited: int
) -> None:
    anchor = head_of(owned)
    with owned.begin() as session:
        edit(session, edited, actor="user:2")
        rehash_from(session, edited)
    with owned() as session:
        assert verify(session).sequence == 7, "it looks whole"
    assert found(owned, anchor) == (7, Fault.NOT_AS_ANCHORED)
    assert found(owned, Anchor(0, "1" * 64)) == (0, Fault.NOT_AS_ANCHORED)


def test_events_that_come_while_the_chain_is_walked_do_no_harm(
    owned: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = verification._check

    def append_and_check(event: Any, *, after: Anchor) -> None:
        with owned.begin() as session:
            record(session, actor=Actor("user:2", "test"), action="a.b", subject_kind="k", subject_id="x")
        checked(event, after=after)

    monkeypatch.setattr(verification, "_check", append_and_check)
    with owned() as session:
        assert verify(session).sequence == 7
    monkeypatch.undo()
    assert head_of(owned).sequence == 14


def test_an_export_can_be_verified_without_the_database(owned: sessionmaker[Session]) -> None:
    import hashlib

    from service.audit.export import export_lines

    with owned() as session:
        lines = list(export_lines(session, after=0, up_to=7))
        assert lines[5:] == list(export_lines(session, after=5, up_to=7))
    previous = "0" * 64
    for number, line in enumerate(lines, start=1):
        event = json.loads(line)
        said, _, end = line.rpartition(',"hash":')
        assert (event["sequence"], event["previous_hash"]) == (number, previous)
        assert hashlib.sha256((said + "}").encode()).hexdigest() == event["hash"] == end.strip('"}')
        previous = event["hash"]
