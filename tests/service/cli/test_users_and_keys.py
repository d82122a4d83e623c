"""Looking after accounts and keys from the command line, and what of it the audit keeps."""

import io
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from service.cli.database import load_settings, migrated_session
from service.cli.output import ACTOR
from service.db.engine import make_engine, session_factory
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ApiKeyRow, AuditEventRow, SessionRow, UserRow
from service.identity.accounts import verify_login
from service.identity.api_keys import find_api_key
from service.identity.errors import CredentialsError
from service.identity.invitations import InvitationNotValidError, invite, require_open_invitation
from service.identity.logins import open_login
from service.identity.roles import Role

PASSWORD, OTHER = "correct horse battery", "wrong donkey accumulator"


@pytest.fixture
def at(monkeypatch, tmp_path):
    """The options that name the data directory, with an account and a key in it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD + "\n"))
    return "--data-dir", tmp_path / "data"


@pytest.fixture
def mina(at, restnet_json):
    status, added = restnet_json("users", "add", "mina", "--role", "administrator", *at)
    assert status == 0
    return added


@pytest.fixture
def key(mina, at, restnet_json):
    return restnet_json("keys", "create", "mina", "--name", "pacs", *at)[1]["api_key"]


@pytest.fixture
def sessions(at, mina):
    engine = make_engine(load_settings(at[1]).database_url.get_secret_value())
    yield session_factory(engine)
    engine.dispose()


def may_log_in(sessions, password):
    try:
        return verify_login(sessions, username="mina", password=password).username == "mina"
    except CredentialsError:
        return False


def actions(at):
    with migrated_session(load_settings(at[1])) as session:
        rows = session.scalars(select(AuditEventRow).order_by(AuditEventRow.at))
        return [(row.action, row.actor, row.subject_id) for row in rows]


def test_accounts_are_listed_for_machines_and_for_people(mina, at, restnet_json, restnet):
    _, [listed] = restnet_json("users", "list", *at)
    assert {name: listed[name] for name in ("id", "username", "role", "organisation")} == mina
    assert listed["disabled_at"] is None
    assert listed["must_change_password"] is True
    assert "password_hash" not in listed
    status, out, _ = restnet("users", "list", *at)
    heading, line = out.splitlines()
    assert status == 0
    assert heading.split() == ["username", "role", "organisation", "created", "disabled"]
    assert line.split() == ["mina", "administrator", "default", listed["created_at"], "-"]


def test_a_disabled_account_is_shut_out_until_it_is_enabled(mina, key, at, restnet_json, sessions):
    from datetime import timedelta

    with sessions.begin() as session:
        open_login(session, user=session.get_one(UserRow, mina["id"]), lifetime=timedelta(hours=1))
    status, answer = restnet_json("users", "disable", "MINA", *at)
    assert (status, answer["id"]) == (0, mina["id"])
    assert answer["disabled_at"] is not None
    with sessions() as session:
        assert find_api_key(session, key) is None
        assert session.scalars(select(SessionRow)).all() == []
    assert not may_log_in(sessions, PASSWORD)
    status, refused = restnet_json("keys", "create", "mina", *at)
    assert (status, refused["error"]["code"]) == (2, "account_disabled")
    assert restnet_json("users", "disable", "mina", *at)[1]["disabled_at"] == answer["disabled_at"]

    assert restnet_json("users", "enable", "mina", *at)[1]["disabled_at"] is None
    assert may_log_in(sessions, PASSWORD)
    told = [(action, actor) for action, actor, who in actions(at) if who == mina["id"]]
    assert set(told) == {(f"user.{act}", "command-line") for act in ("create", "disable", "enable")}


def test_the_invitations_of_a_disabled_account_are_withdrawn_for_good(mina, at, restnet_json, sessions):
    with sessions.begin() as session:
        by = session.get_one(UserRow, mina["id"])
        row, token = invite(session, username="new", role=Role.CLINICIAN, by=by, actor=ACTOR)
    restnet_json("users", "disable", "mina", *at)
    restnet_json("users", "enable", "mina", *at)
    with sessions() as session, pytest.raises(InvitationNotValidError):
        require_open_invitation(session, token)
    assert ("invitation.revoke", "command-line", row.id) in actions(at)


def test_a_new_password_replaces_the_old_one_and_ends_its_logins(
    mina, at, restnet_json, sessions, monkeypatch
):
    from datetime import timedelta

    with sessions.begin() as session:
        open_login(session, user=session.get_one(UserRow, mina["id"]), lifetime=timedelta(hours=1))
    monkeypatch.setattr(sys, "stdin", io.StringIO(OTHER + "\n"))
    status, answer = restnet_json("users", "set-password", "mina", *at)
    assert status == 0
    assert OTHER not in str(answer)
    assert (may_log_in(sessions, PASSWORD), may_log_in(sessions, OTHER)) == (False, True)
    with sessions() as session:
        assert session.scalars(select(SessionRow)).all() == []
    assert ("user.set_password", "command-line", mina["id"]) in actions(at)


def test_an_accounts_logins_are_ended_and_nothing_else(mina, key, at, restnet_json, restnet, sessions):
    with sessions.begin() as session:
        for _ in range(2):
            open_login(session, user=session.get_one(UserRow, mina["id"]), lifetime=timedelta(hours=1))
    assert restnet_json("users", "end-logins", "Mina", *at) == (
        0,
        {"id": mina["id"], "username": "mina", "ended": 2},
    )
    with sessions() as session:
        assert session.scalars(select(SessionRow)).all() == []
        assert find_api_key(session, key) is not None
    assert may_log_in(sessions, PASSWORD)
    assert ("login.revoke", "command-line", mina["id"]) in actions(at)
    assert restnet("users", "end-logins", "mina", *at)[1] == "mina had 0 logins, and has none any more\n"


def test_a_second_factor_that_was_lost_is_reset_and_the_logins_end(mina, at, restnet_json, restnet, sessions):
    with sessions.begin() as session:
        user = session.get_one(UserRow, mina["id"])
        user.totp_secret, user.totp_since = "plain:x", datetime.now(UTC)
        open_login(session, user=user, lifetime=timedelta(hours=1))
    assert restnet_json("users", "list", *at)[1][0]["second_factor"] is True
    status, answer = restnet_json("users", "reset-second-factor", "mina", *at)
    assert (status, answer["second_factor"]) == (0, False)
    with sessions() as session:
        assert session.get_one(UserRow, mina["id"]).totp_secret is None
        assert session.scalars(select(SessionRow)).all() == []
    assert ("second_factor.reset", "command-line", mina["id"]) in actions(at)
    status, out, _ = restnet("users", "reset-second-factor", "mina", *at)
    assert (status, out) == (0, "mina logs in with the password alone\n")


def test_a_password_can_be_made_and_is_shown_this_once(mina, at, restnet_json, restnet, sessions):
    _, answer = restnet_json("users", "set-password", "mina", "--generate", *at)
    assert len(answer["password"]) >= 20
    assert may_log_in(sessions, answer["password"])
    status, out, _ = restnet("users", "set-password", "mina", "--generate", *at)
    assert status == 0
    assert may_log_in(sessions, out.strip().rpartition(": ")[2])


def test_a_person_is_added_to_an_organisation_and_the_audit_is_its_own(mina, at, restnet_json, monkeypatch):
    status, clinic = restnet_json("organisations", "add", "Clinic am See", *at)
    assert (status, clinic["name"]) == (0, "Clinic am See")
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD + "\n"))
    status, added = restnet_json("users", "add", "nora", "--organisation", "Clinic am See", *at)
    assert (status, added["organisation"]) == (0, "Clinic am See")
    key = restnet_json("keys", "create", "nora", *at)[1]["api_key"]
    restnet_json("users", "disable", "nora", *at)
    with migrated_session(load_settings(at[1])) as session:
        assert session.get_one(UserRow, added["id"]).organisation_id == clinic["id"]
        assert session.get_one(UserRow, mina["id"]).organisation_id == DEFAULT_ORGANISATION_ID
        told = session.scalars(
            select(AuditEventRow.action).where(AuditEventRow.organisation_id == clinic["id"])
        )
        assert sorted(told) == ["api_key.create", "organisation.create", "user.create", "user.disable"]
        [stored] = session.scalars(select(ApiKeyRow))
        assert key.startswith(stored.prefix)
        assert stored.organisation_id == clinic["id"]


def test_organisations_are_listed_with_the_number_of_their_people(mina, at, restnet_json, restnet):
    restnet_json("organisations", "add", "Clinic", *at)
    _, listed = restnet_json("organisations", "list", *at)
    assert [(row["name"], row["users"]) for row in listed] == [("default", 1), ("Clinic", 0)]
    _, out, _ = restnet("organisations", "list", *at)
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["name", "users"],
        ["default", "1"],
        ["Clinic", "0"],
    ]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("default", "organisation_name_taken"),
        ("", "organisation_name_not_valid"),
        (" padded", "organisation_name_not_valid"),
        ("two\nlines", "organisation_name_not_valid"),
        ("x" * 101, "organisation_name_not_valid"),
    ],
)
def test_an_organisation_that_cannot_be_is_refused(name, code, mina, at, restnet_json):
    status, answer = restnet_json("organisations", "add", name, *at)
    assert (status, answer["error"]["code"]) == (2, code)
    assert len(restnet_json("organisations", "list", *at)[1]) == 1
    assert restnet_json("organisations", "add", "x" * 100, *at)[0] == 0


def test_nobody_is_added_to_an_organisation_that_there_is_not(at, restnet_json):
    status, answer = restnet_json("users", "add", "nora", "--organisation", "nowhere", *at)
    assert (status, answer["error"]["code"]) == (2, "organisation_not_found")
    assert sys.stdin.read() == PASSWORD + "\n", "no password was asked for"


@pytest.mark.parametrize(
    "command", ["disable", "enable", "end-logins", "reset-second-factor", "set-password"]
)
def test_an_account_that_there_is_not_is_refused(command, mina, at, restnet_json):
    status, answer = restnet_json("users", command, "nobody", *at)
    assert (status, answer["error"]["code"]) == (2, "account_not_found")
    assert len(actions(at)) == 1


def test_keys_are_listed_without_their_text(key, at, restnet_json, restnet):
    _, [listed] = restnet_json("keys", "list", *at)
    assert (listed["username"], listed["name"], listed["prefix"]) == ("mina", "pacs", key[:12])
    assert listed["scopes"] == "models:read predictions:read predictions:write scans:read scans:write"
    assert (listed["revoked_at"], listed["last_used_at"]) == (None, None)
    _, out, _ = restnet("keys", "list", *at)
    assert listed["id"] in out
    assert key not in str(listed) + out


@pytest.mark.parametrize(
    ("options", "days"),
    [([], 365), (["--days", 7], 7), (["--no-expiry"], None)],
    ids=["year", "week", "never"],
)
def test_a_key_ends_when_it_was_told_to(options, days, mina, at, restnet_json, sessions):
    made = restnet_json("keys", "create", "mina", *options, *at)[1]
    with sessions() as session:
        row, _ = find_api_key(session, made["api_key"])
    if days is None:
        assert row.expires_at is None
    else:
        assert abs(row.expires_at - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)


def test_a_key_is_made_for_what_it_is_for(mina, at, restnet_json):
    scopes = ["--scope", "scans:write", "--scope", "Admin"]
    assert restnet_json("keys", "create", "mina", *scopes, *at)[0] == 0
    assert restnet_json("keys", "list", *at)[1][0]["scopes"] == "admin scans:write"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--scope", "scans"], "scope_not_valid"),
        (["--days", 7, "--no-expiry"], "usage"),
    ],
)
def test_a_key_that_cannot_be_is_refused(options, code, mina, at, restnet_json):
    status, answer = restnet_json("keys", "create", "mina", *options, *at)
    assert (status, answer["error"]["code"]) == (2, code)
    assert restnet_json("keys", "list", *at)[1] == []


@pytest.mark.parametrize("named_by", ["id", "prefix"])
def test_a_revoked_key_is_refused_at_once(named_by, key, at, restnet_json, sessions):
    [listed] = restnet_json("keys", "list", *at)[1]
    status, answer = restnet_json("keys", "revoke", listed[named_by], *at)
    assert status == 0
    assert answer["revoked_at"] is not None
    with sessions() as session:
        assert find_api_key(session, key) is None
    assert restnet_json("keys", "revoke", listed[named_by], *at)[1] == answer
    told = [(action, actor) for action, actor, what in actions(at) if what == listed["id"]]
    assert sorted(told) == [("api_key.create", "command-line"), ("api_key.revoke", "command-line")]


@pytest.mark.parametrize("named", ["nothing", "rnk_", "rnk_12345678"])
def test_a_key_that_there_is_not_is_refused(named, key, at, restnet_json):
    status, answer = restnet_json("keys", "revoke", named, *at)
    assert (status, answer["error"]["code"]) == (2, "api_key_not_found")


@pytest.mark.parametrize(
    "command",
    [
        ["keys", "create", "mina"],
        ["keys", "list"],
        ["keys", "revoke", "rnk_12345678"],
        ["users", "list"],
        ["organisations", "list"],
        ["users", "disable", "mina"],
        ["users", "end-logins", "mina"],
        ["users", "reset-second-factor", "mina"],
        ["users", "set-password", "mina"],
    ],
)
def test_a_mistyped_data_directory_is_named_and_not_made(command, restnet_json, tmp_path, monkeypatch):
    mistyped = tmp_path / "daat"
    monkeypatch.setenv("RESTNET_DATA_DIR", str(mistyped))
    status, answer = restnet_json(*command)
    assert (status, answer["error"]["code"]) == (2, "database_not_found")
    assert str(mistyped) in answer["error"]["message"]
    assert not mistyped.exists()
