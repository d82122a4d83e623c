import io
import sys

import pytest

from service.cli.database import load_settings, migrated_session
from service.db.engine import make_engine, session_factory
from service.identity.accounts import verify_login
from service.identity.api_keys import find_api_key

PASSWORD = "correct horse battery"


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def clinician(restnet_json, data_dir, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD + "\n"))
    status, added = restnet_json("users", "add", "Mina", "--role", "clinician", "--data-dir", data_dir)
    assert status == 0
    return added


def test_a_user_added_here_may_log_in(clinician, data_dir):
    assert (clinician["username"], clinician["role"]) == ("mina", "clinician")
    engine = make_engine(load_settings(data_dir).database_url.get_secret_value())
    found = verify_login(session_factory(engine), username="mina", password=PASSWORD)
    engine.dispose()
    assert found.id == clinician["id"]


def test_a_key_made_here_acts_for_its_user(clinician, restnet_json, data_dir):
    status, made = restnet_json("keys", "create", "mina", "--name", "pacs", "--data-dir", data_dir)
    assert status == 0
    assert made["api_key"].startswith("rnk_")
    with migrated_session(load_settings(data_dir)) as session:
        key, user = find_api_key(session, made["api_key"])
        assert (key.name, user.username) == ("pacs", "mina")
        assert made["api_key"] not in (key.key_hash, key.prefix)


@pytest.mark.parametrize(
    ("arguments", "password", "code"),
    [
        (["mina"], PASSWORD, "username_taken"),
        (["other"], "short", "password_length"),
        (["restnet.admin"], "restnet.admin1", "password_guessable"),
        (["no spaces please"], PASSWORD, "username_not_valid"),
        (["other", "--role", "king"], PASSWORD, "role_not_valid"),
    ],
)
def test_what_cannot_be_a_user_is_refused(
    arguments, password, code, clinician, restnet_json, data_dir, monkeypatch
):
    monkeypatch.setattr(sys, "stdin", io.StringIO(password + "\n"))
    status, answer = restnet_json("users", "add", *arguments, "--data-dir", data_dir)
    assert (status, answer["error"]["code"]) == (2, code)


def test_a_key_for_nobody_is_refused(clinician, restnet_json, data_dir):
    status, answer = restnet_json("keys", "create", "nobody", "--data-dir", data_dir)
    assert (status, answer["error"]["code"]) == (2, "account_not_found")


def test_a_key_that_would_outlive_ten_years_is_refused(clinician, restnet_json, data_dir):
    status, answer = restnet_json("keys", "create", "mina", "--days", 3651, "--data-dir", data_dir)
    assert (status, answer["error"]["code"]) == (2, "usage")
    assert "3650" in answer["error"]["message"]
    status, _ = restnet_json("keys", "create", "mina", "--days", 3650, "--data-dir", data_dir)
    assert status == 0


@pytest.mark.parametrize("command", [["db", "upgrade"], ["keys", "create", "mina"]])
@pytest.mark.enable_socket
def test_a_database_out_of_reach_is_refused_without_its_password(command, restnet_json, restnet, monkeypatch):
    monkeypatch.setenv("RESTNET_DATABASE_URL", "postgresql+psycopg://me:hunter22@127.0.0.1:1/restnet")
    status, answer = restnet_json(*command)
    assert (status, answer["error"]["code"]) == (2, "database_unavailable")
    assert "RESTNET_DATABASE_URL" in answer["error"]["message"]
    assert "hunter22" not in str(answer)
    status, out, err = restnet(*command)
    assert (status, out) == (2, "")
    assert "hunter22" not in err


def test_a_setting_that_cannot_be_is_refused_by_name(restnet_json, data_dir, monkeypatch):
    monkeypatch.setenv("RESTNET_LEASE_S", "a while")
    status, answer = restnet_json("db", "upgrade", "--data-dir", data_dir)
    assert (status, answer["error"]["code"]) == (2, "settings_not_valid")
    assert "RESTNET_LEASE_S" in answer["error"]["message"]
    assert not data_dir.exists()


def test_a_misspelt_setting_is_refused_with_the_name_that_was_meant(restnet, data_dir, monkeypatch):
    monkeypatch.setenv("RESTNET_ENCRYPTION_KEYFILE", "keys")
    status, out, err = restnet("db", "upgrade", "--data-dir", data_dir)
    assert (status, out) == (2, "")
    assert "RESTNET_ENCRYPTION_KEYFILE: expected RESTNET_ENCRYPTION_KEY_FILE" in err
    assert not data_dir.exists()


def test_a_bad_address_is_not_blamed_on_what_follows_from_it(restnet_json, monkeypatch):
    monkeypatch.setenv("RESTNET_DATABASE_URL", "hunter22")
    monkeypatch.setenv("RESTNET_DATA_DIR", "x")
    status, answer = restnet_json("db", "upgrade")
    assert (status, answer["error"]["code"]) == (2, "settings_not_valid")
    assert [problem["setting"] for problem in answer["error"]["problems"]] == ["RESTNET_DATABASE_URL"]
    assert "default factory" not in str(answer)
    assert "hunter22" not in str(answer)


def test_two_settings_that_contradict_each_other_are_named(restnet_json, monkeypatch):
    monkeypatch.setenv("RESTNET_LEASE_S", "2")
    monkeypatch.setenv("RESTNET_HEARTBEAT_S", "2")
    _, answer = restnet_json("db", "upgrade")
    assert "found expected RESTNET_HEARTBEAT_S at most half of RESTNET_LEASE_S" in answer["error"]["message"]


def test_upgrading_twice_changes_nothing(restnet_json, data_dir):
    for _ in range(2):
        assert restnet_json("db", "upgrade", "--data-dir", data_dir) == (0, {"schema": "current"})


def test_a_worker_of_an_unknown_queue_is_refused(restnet, data_dir):
    status, _, err = restnet("worker", "--queue", "lunch", "--data-dir", data_dir)
    assert status == 2
    assert "inference" in err
