"""The audit searched and taken away: by what, who, about what and when, and no formula in a table."""

import csv
import hashlib
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from sqlalchemy import select

from service.audit import record
from service.audit.chain import append
from service.audit.export import Format, written
from service.audit.reading import SHARED_KINDS
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ApiKeyRow, AuditEventRow
from service.identity.accounts import require_user
from service.identity.actor import Actor
from service.identity.roles import Role
from tests.service.api.serving import Serving

AUDIT = "/api/v1/admin/audit"


def act(served: Serving, actor: str, action: str, subject_id: str = "s", **more: Any) -> None:
    with served.sessions.begin() as session:
        record(
            session,
            actor=Actor(actor, more.pop("address", "127.0.0.1")),
            action=action,
            subject_kind=more.pop("subject_kind", "scan"),
            subject_id=subject_id,
            details=more.pop("details", None),
            organisation_id=more.pop("organisation_id", DEFAULT_ORGANISATION_ID),
        )


@pytest.fixture
def admin(served: Serving) -> dict[str, str]:
    headers = served.key("root", Role.ADMINISTRATOR)
    for actor, action, subject_id in (
        ("user:a", "scan.upload", "one"),
        ("user:b", "scan.upload", "two"),
        ("user:a", "scan.delete", "one"),
        ("sweeper", "scan.files_removed", "one"),
    ):
        act(served, actor, action, subject_id)
    act(served, "user:a", "scan.upload", "theirs", organisation_id=served.organisation("elsewhere"))
    return headers


def found(served: Serving, admin: dict[str, str], **asked: Any) -> list[tuple[str, str]]:
    answer = served.client.get(AUDIT, headers=admin, params=asked)
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    return [(item["actor"], item["action"]) for item in items if item["subject_kind"] == "scan"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"action": "scan.upload"}, [("user:b", "scan.upload"), ("user:a", "scan.upload")]),
        ({"actor": "user:a"}, [("user:a", "scan.delete"), ("user:a", "scan.upload")]),
        ({"actor": "user:a", "action": "scan.upload"}, [("user:a", "scan.upload")]),
        ({"actor": "sweeper", "subject_id": "one"}, [("sweeper", "scan.files_removed")]),
        ({"actor": "user:b", "subject_id": "one"}, []),
        ({"action": "scan.read"}, []),
    ],
)
def test_filters_choose_and_go_together(
    served: Serving, admin: dict[str, str], asked: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    assert found(served, admin, **asked) == expected


def test_days_choose_to_the_moment(served: Serving, admin: dict[str, str]) -> None:
    items = served.client.get(AUDIT, headers=admin, params={"action": "scan.delete"}).json()["items"]
    at = datetime.fromisoformat(items[0]["at"])
    assert ("user:a", "scan.delete") in found(served, admin, since=at.isoformat())
    assert ("user:b", "scan.upload") not in found(served, admin, since=at.isoformat())
    assert ("user:b", "scan.upload") in found(served, admin, until=at.isoformat())
    assert ("user:a", "scan.delete") not in found(served, admin, until=at.isoformat())
    assert found(served, admin, since=(at + timedelta(days=1)).isoformat()) == []
    assert found(served, admin, until="0001-01-01T00:00:00Z") == []
    assert len(found(served, admin, since="0001-01-01T00:00:00Z", until="9999-12-31T23:59:59Z")) == 4


# Minutes of the clock, in the order of the chain, and those between 20 and 35.
@pytest.mark.parametrize(
    ("clock", "wanted"),
    [((0, 30, 5, 40, 120), ["30"]), ((25, 10, 40, 120), ["25"]), ((90, 34, 31, 120), ["31", "34"])],
)
def test_a_clock_that_was_set_back_hides_no_event(
    served: Serving, admin: dict[str, str], clock: tuple[int, ...], wanted: list[str]
) -> None:
    hour = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with served.sessions.begin() as session:
        for minutes in clock:
            row = AuditEventRow(
                organisation_id=DEFAULT_ORGANISATION_ID,
                actor="user:clock",
                address="-",
                action="scan.read",
                subject_kind="scan",
                subject_id=str(minutes),
            )
            append(session, [row])
    triggers = served.resources.engine.raw_connection()
    triggers.executescript(
        "".join(
            f"DROP TRIGGER {name};"
            for (name,) in triggers.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_events'"
            ).fetchall()
        )
    )
    triggers.commit()
    triggers.close()
    with served.sessions.begin() as session:
        for row in session.query(AuditEventRow).filter_by(actor="user:clock"):
            row.at = hour + timedelta(minutes=int(row.subject_id))
    asked = {"actor": "user:clock", "since": "2026-01-01T12:20:00Z", "until": "2026-01-01T12:35:00Z"}
    items = served.client.get(AUDIT, headers=admin, params=asked).json()["items"]
    assert [item["subject_id"] for item in items] == wanted


def test_a_look_is_told_with_what_was_asked_for(served: Serving, admin: dict[str, str]) -> None:
    found(served, admin, action="scan.upload", since="2026-01-01T00:00:00Z")
    items = served.client.get(AUDIT, headers=admin, params={"action": "audit.read"}).json()["items"]
    assert items[1]["details"] == {"action": "scan.upload", "since": "2026-01-01T00:00:00+00:00"}


@pytest.mark.parametrize(
    "asked",
    [
        {"action": "x"},
        {"action": "a.b'--"},
        {"actor": "A B"},
        {"actor": "nobody"},
        {"since": "soon"},
        {"until": "7"},
        {"who": "x"},
    ],
)
@pytest.mark.parametrize("path", [AUDIT, f"{AUDIT}/export"])
def test_what_cannot_be_asked_is_refused(
    served: Serving, admin: dict[str, str], asked: dict[str, str], path: str
) -> None:
    answer = served.client.get(path, headers=admin, params=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")


def test_lines_of_json_hold_what_is_hashed_of_ones_own_organisation(
    served: Serving, admin: dict[str, str]
) -> None:
    answer = served.client.get(f"{AUDIT}/export", headers=admin)
    assert answer.headers["content-type"] == "application/jsonl"
    assert answer.headers["content-disposition"].startswith('attachment; filename="restnet-audit-2')
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["action"] for line in lines] == [
        "scan.upload",
        "scan.upload",
        "scan.delete",
        "scan.files_removed",
        "audit.export",
    ]
    assert "theirs" not in answer.text
    assert lines[-1]["details"] == {"format": "jsonl"}
    for line in lines:
        hashed = line.pop("hash")
        text = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        assert hashlib.sha256(text.encode()).hexdigest() == hashed


def test_an_export_keeps_to_the_filter_in_more_than_one_piece(
    served: Serving, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.actions.auditing.BATCH", 2)
    monkeypatch.setattr("service.api.admin.audit.LINES_AT_ONCE", 3)
    for number in range(5):
        act(served, "user:c", "scan.read", f"n{number}")
    asked = {"actor": "user:c", "format": "csv"}
    answer = served.client.get(f"{AUDIT}/export", headers=admin, params=asked)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert [row["subject_id"] for row in rows] == [f"n{number}" for number in range(5)]
    assert {row["actor"] for row in rows} == {"user:c"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_of_a_table_is_a_formula(served: Serving, admin: dict[str, str], text: str) -> None:
    act(served, "user:c", "scan.read", address=text, details={"=name": '","=1'})
    answer = served.client.get(f"{AUDIT}/export", headers=admin, params={"actor": "user:c", "format": "csv"})
    [row] = csv.DictReader(StringIO(answer.text, newline=""))
    assert row["address"] == f"'{text}"
    assert json.loads(row["details"]) == {"=name": '","=1'}
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())


def test_an_empty_table_has_its_heading() -> None:
    [line] = written(Format.CSV, [])
    assert line.startswith("id,")


class Shared:
    """Acts on what all share and on what is an organisation's own, by everybody who may do them."""

    def __init__(self, served: Serving) -> None:
        self.served = served
        self.elsewhere = served.organisation("elsewhere")
        self.own = served.key("root", Role.ADMINISTRATOR)
        self.theirs = served.key("chief", Role.ADMINISTRATOR, self.elsewhere)
        self.their_id = self.user_id("chief")
        for number, kind in enumerate(sorted(SHARED_KINDS)):
            of_all = {"subject_kind": kind, "organisation_id": None}
            act(
                served,
                "command-line",
                "model.promote",
                f"operator-{number}",
                **of_all,
                address="uid 0 on host",
            )
        for organisation_id, place in ((DEFAULT_ORGANISATION_ID, "here"), (self.elsewhere, "there")):
            of_one = {"organisation_id": organisation_id, "address": place}
            actor = f"user:{self.user_id('root' if place == 'here' else 'chief')}"
            act(served, actor, "model.rollback", f"shared-{place}", subject_kind="model_version", **of_one)
            for kind in ("scan", "prediction", "user", "api_key", "training_run", "review", "invitation"):
                act(served, actor, "scan.read", f"own-{place}-{kind}", subject_kind=kind, **of_one)
            # As the command line does to an account, which says whose it is.
            act(served, "command-line", "user.disable", f"own-{place}", subject_kind="user", **of_one)
        act(
            served,
            "command-line",
            "organisation.create",
            "secret",
            subject_kind="organisation",
            organisation_id=None,
        )

    def user_id(self, username: str) -> str:
        with self.served.sessions() as session:
            return require_user(session, username=username).id

    def rest(self, key: dict[str, str], **asked: Any) -> list[dict[str, Any]]:
        cursor, items = None, []
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = self.served.client.get(AUDIT, headers=key, params={"limit": 4} | asked | more).json()
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def export(self, key: dict[str, str], **asked: Any) -> list[dict[str, Any]]:
        answer = self.served.client.get(f"{AUDIT}/export", headers=key, params=asked)
        return [json.loads(line) for line in answer.text.splitlines()]


@pytest.fixture
def shared(served: Serving, monkeypatch: pytest.MonkeyPatch) -> Shared:
    monkeypatch.setattr("service.api.actions.auditing.BATCH", 3)
    return Shared(served)


def subjects(events: list[dict[str, Any]]) -> set[str]:
    return {
        event["subject_id"] for event in events if event["subject_id"].startswith(("op", "sh", "own", "sec"))
    }


@pytest.mark.parametrize("way", ["rest", "export"])
def test_each_organisation_is_shown_acts_on_what_all_share_and_no_others(shared: Shared, way: str) -> None:
    ask = getattr(shared, way)
    of_all = {f"operator-{number}" for number in range(len(SHARED_KINDS))} | {"shared-here", "shared-there"}
    for key, place in ((shared.own, "here"), (shared.theirs, "there")):
        events = ask(key)
        kinds = ("scan", "prediction", "user", "api_key", "training_run", "review", "invitation")
        own = {f"own-{place}-{kind}" for kind in kinds} | {f"own-{place}"}
        assert subjects(events) == of_all | own
        numbers = [event["sequence"] for event in events]
        assert numbers == sorted(set(numbers), reverse=way == "rest")
    assert len(of_all) > 3, "more than a piece of the export"


@pytest.mark.parametrize("way", ["rest", "export"])
def test_of_another_organisations_act_neither_account_nor_address_is_shown(shared: Shared, way: str) -> None:
    events = getattr(shared, way)(shared.own)
    [theirs] = [event for event in events if event["subject_id"] == "shared-there"]
    assert (theirs["actor"], theirs.get("address")) == ("another-organisation", "")
    assert shared.their_id not in json.dumps(events)
    assert shared.elsewhere not in json.dumps(events)
    [own] = [event for event in events if event["subject_id"] == "shared-here"]
    assert (own["actor"], own["address"]) == (f"user:{shared.user_id('root')}", "here")
    [operators] = [event for event in events if event["subject_id"] == "operator-0"]
    assert (operators["actor"], operators["address"]) == ("command-line", "uid 0 on host")


@pytest.mark.parametrize("way", ["rest", "export"])
def test_who_of_another_organisation_did_something_cannot_be_guessed(shared: Shared, way: str) -> None:
    ask = getattr(shared, way)
    assert subjects(ask(shared.own, actor=f"user:{shared.their_id}")) == set()
    assert subjects(ask(shared.own, actor="another-organisation")) == {"shared-there"}
    assert "operator-0" in subjects(ask(shared.own, actor="command-line"))
    answer = shared.served.client.get(AUDIT, headers=shared.own, params={"actor": "chief"})
    assert answer.status_code == 422, "the name of an account of another organisation"


def test_filters_choose_among_acts_on_what_all_share(shared: Shared) -> None:
    assert subjects(shared.rest(shared.theirs, subject_id="operator-1")) == {"operator-1"}
    assert subjects(shared.rest(shared.theirs, action="model.rollback")) == {"shared-here", "shared-there"}
    assert subjects(shared.rest(shared.theirs, until="2020-01-01")) == set()
    assert "operator-1" in subjects(shared.rest(shared.theirs, since="2020-01-01"))


@pytest.mark.parametrize("way", ["rest", "export"])
def test_a_name_finds_what_was_done_with_the_accounts_keys_too(shared: Shared, way: str) -> None:
    with shared.served.sessions() as session:
        [key_id] = session.scalars(select(ApiKeyRow.id).where(ApiKeyRow.user_id == shared.user_id("root")))
    act(shared.served, f"key:{key_id}", "scan.upload", "own-by-key")
    ask, login = getattr(shared, way), f"user:{shared.user_id('root')}"
    assert {"own-by-key", "shared-here"} <= subjects(ask(shared.own, actor="root"))
    assert {event["actor"] for event in ask(shared.own, actor="Root")} == {login, f"key:{key_id}"}
    assert {event["actor"] for event in ask(shared.own, actor=login)} == {login}
    assert {event["actor"] for event in ask(shared.own, actor=f"key:{key_id}")} == {f"key:{key_id}"}


def test_a_name_that_is_nobodys_is_refused_with_what_is_expected(shared: Shared) -> None:
    for path in (AUDIT, f"{AUDIT}/export"):
        answer = shared.served.client.get(path, headers=shared.own, params={"actor": "nobody"})
        assert answer.status_code == 422
        [problem] = answer.json()["details"]["errors"]
        assert problem["where"] == "query.actor"
        assert "user:<id>" in problem["problem"]


def test_a_look_by_name_is_told_by_identifier(shared: Shared) -> None:
    shared.rest(shared.own, actor="root")
    looks = shared.rest(shared.own, action="audit.read")
    assert {"account": shared.user_id("root")} in [look["details"] for look in looks]
    assert "root" not in json.dumps([look["details"] for look in looks])
