"""Setting an authenticator up, logging in with it, and being without it."""

import hashlib
import hmac
import re
import struct
import time
from base64 import b32decode
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from service.db.rows import AuditEventRow, LoginAttemptRow, SecondStepRow, SessionRow, UserRow
from service.identity.accounts import disable_user
from service.identity.roles import Role
from service.identity.second_factor import has_second_factor
from service.storage.key_file import make_key_file
from service.web import account_wording
from tests.service.api.serving import PASSWORD, Serving, make_settings, serving
from tests.service.api.test_permissions import PAGES, PERSONAL, REST, concrete
from tests.service.web.test_account import elsewhere, is_open
from tests.service.web.test_first_passwords import OWN_PAGE, token_on
from tests.service.web.test_login import HTML, log_in


def code_of(secret: str, *, steps: int = 0) -> str:
    """RFC 6238 written down once more, for the step after ``steps`` more of them."""
    counter = struct.pack(">Q", int(time.time()) // 30 + steps)
    digest = hmac.new(b32decode(secret), counter, hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


def post(served: Serving, path: str, **data: str) -> Any:
    return served.client.post(path, data=data, headers=HTML)


def begin(served: Serving, token: str, password: str = PASSWORD) -> Any:
    return post(served, "/account/second-factor", csrf_token=token, password=password)


def enrol(served: Serving, token: str) -> tuple[str, list[str]]:
    """Set an authenticator up; returns its secret and the recovery codes."""
    page = begin(served, token)
    assert page.status_code == 200, page.text
    [secret] = re.findall(r'class="secret">([A-Z2-7]{32})<', page.text)
    done = post(served, "/account/second-factor/confirm", csrf_token=token, code=code_of(secret))
    assert done.status_code == 200, done.text
    return secret, re.findall(r"<li><code>([A-Z2-7-]+)</code></li>", done.text)


def forget_used_codes(served: Serving) -> None:
    """As if time had gone by."""
    with served.sessions.begin() as session:
        session.execute(update(UserRow).values(totp_last_step=None))


def type_password(served: Serving, **more: str) -> Any:
    served.client.cookies.clear()
    return post(served, "/login", username="doctor", password=PASSWORD, **more)


def is_in(served: Serving) -> bool:
    return served.client.get("/api/v1/predictions").status_code == 200


def told(served: Serving, prefix: str) -> list[tuple[str, Any]]:
    with served.sessions() as session:
        rows = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence))
        return [(row.action, row.details) for row in rows if row.action.startswith(prefix)]


def test_it_is_set_up_with_the_password_and_a_first_code(served: Serving) -> None:
    token = log_in(served)
    mine, other = served.client.cookies["restnet"], elsewhere(served)
    assert "Set up an authenticator" in served.client.get("/account").text
    page = begin(served, token)
    [secret] = re.findall(r'class="secret">([A-Z2-7]{32})<', page.text)
    assert f"otpauth://totp/RestNet:doctor?secret={secret}&amp;issuer=RestNet" in page.text
    assert '<svg width="' in page.text
    assert "style=" not in page.text
    # It does not count yet, and is not shown again.
    wrong = post(served, "/account/second-factor/confirm", csrf_token=token, code="000000")
    assert (wrong.status_code, secret in wrong.text) == (401, False)
    assert account_wording.CODE_REFUSED in wrong.text
    assert type_password(served).headers["location"] == "/"
    served.client.cookies.clear()
    served.client.cookies["restnet"] = mine
    done = post(served, "/account/second-factor/confirm", csrf_token=token, code=code_of(secret))
    assert len(re.findall(r"<li><code>", done.text)) == 10
    account = served.client.get("/account").text
    assert "10 recovery codes left" in account
    assert secret not in account
    assert told(served, "second_factor") == [("second_factor.set", None)]
    assert not is_open(served, other)
    assert is_open(served, mine)


def test_it_is_not_set_up_without_the_password(served: Serving) -> None:
    token = log_in(served)
    refused = begin(served, token, "wrong")
    assert refused.status_code == 401
    assert "secret" not in refused.text
    assert begin(served, "wrong token").status_code == 403
    with served.sessions() as session:
        assert session.scalars(select(UserRow.totp_secret)).all() == [None]


def test_the_code_is_asked_for_after_the_password(served: Serving) -> None:
    secret, _ = enrol(served, log_in(served))
    answer = type_password(served, next="/predictions")
    assert answer.headers["location"] == "/login/code?next=%2Fpredictions"
    assert "restnet" not in served.client.cookies
    assert not is_in(served)
    # What the browser has so far opens nothing.
    served.client.cookies["restnet"] = served.client.cookies["restnet-second"]
    assert not is_in(served)
    served.client.cookies.pop("restnet")
    form = served.client.get(answer.headers["location"])
    assert 'autocomplete="one-time-code"' in form.text
    done = post(served, "/login/code", code=code_of(secret, steps=1), next="/predictions")
    assert (done.status_code, done.headers["location"]) == (303, "/predictions")
    assert is_in(served)
    assert "restnet-second" not in served.client.cookies
    assert told(served, "login")[-1] == ("login.begin", {"second_factor": "code"})
    with served.sessions() as session:
        assert session.scalars(select(SecondStepRow)).all() == []


def test_a_code_does_not_serve_twice(served: Serving) -> None:
    secret, _ = enrol(served, log_in(served))
    code = code_of(secret, steps=1)
    type_password(served)
    assert post(served, "/login/code", code=code).status_code == 303
    type_password(served)
    again = post(served, "/login/code", code=code)
    assert again.status_code == 401
    assert account_wording.CODE_REFUSED in again.text
    assert not is_in(served)
    assert told(served, "login")[-1] == ("login.refused", {"at": "second-factor"})


def test_a_recovery_code_replaces_it_once(served: Serving) -> None:
    _, codes = enrol(served, log_in(served))
    type_password(served)
    assert post(served, "/login/code", code=codes[3].lower()).status_code == 303
    assert "9 recovery codes left" in served.client.get("/account").text
    assert told(served, "login")[-1] == ("login.begin", {"second_factor": "recovery_code"})
    type_password(served)
    assert post(served, "/login/code", code=codes[3]).status_code == 401


def test_nobody_gets_to_the_code_without_the_password(served: Serving) -> None:
    secret, _ = enrol(served, log_in(served))
    served.client.cookies.clear()
    for cookie in (None, "guessed"):
        if cookie:
            served.client.cookies["restnet-second"] = cookie
        assert served.client.get("/login/code", headers=HTML).headers["location"] == "/login"
        answer = post(served, "/login/code", code=code_of(secret, steps=1), next="/predictions")
        assert answer.headers["location"] == "/login?next=%2Fpredictions"
        assert not is_in(served)


@pytest.mark.parametrize("change", ["time", "disabled"])
def test_the_second_step_waits_for_minutes_and_for_a_valid_account(served: Serving, change: str) -> None:
    secret, _ = enrol(served, log_in(served))
    type_password(served)
    with served.sessions.begin() as session:
        if change == "time":
            row = session.scalars(select(SecondStepRow)).one()
            row.expires_at -= row.expires_at - session.scalars(select(SessionRow)).first().created_at
        else:
            disable_user(session, username="doctor")
    assert post(served, "/login/code", code=code_of(secret, steps=1)).headers["location"] == "/login"
    assert not is_in(served)


def test_another_site_brings_no_code(served: Serving) -> None:
    secret, _ = enrol(served, log_in(served))
    type_password(served)
    there = {"Sec-Fetch-Site": "cross-site"}
    answer = served.client.post("/login/code", data={"code": code_of(secret, steps=1)}, headers=there)
    assert answer.status_code == 403
    assert not is_in(served)


def test_guessing_codes_is_slowed_for_all_addresses_together(served: Serving) -> None:
    secret, _ = enrol(served, log_in(served))
    known = served.client.cookies["restnet-browser"]
    # Right passwords in between do not begin the count anew.
    statuses = []
    for _ in range(3):
        type_password(served)
        statuses += [post(served, "/login/code", code="000000").status_code for _ in range(3)]
    assert statuses == [401] * 8 + [429]
    with served.sessions() as session:
        assert set(session.scalars(select(LoginAttemptRow.source))) == {"code"}
    right = post(served, "/login/code", code=code_of(secret, steps=1))
    assert right.status_code == 429
    assert int(right.headers["retry-after"]) > 800
    # Who guessed cannot lock the owner out of a browser that the account knows.
    type_password(served)
    served.client.cookies["restnet-browser"] = known
    assert post(served, "/login/code", code=code_of(secret, steps=1)).status_code == 303


def test_it_is_removed_with_both(served: Serving) -> None:
    token = log_in(served)
    secret, _ = enrol(served, token)
    forget_used_codes(served)
    both = {"csrf_token": token, "password": PASSWORD, "code": code_of(secret)}
    for wrong in ({"password": "wrong"}, {"code": "000000"}):
        answer = post(served, "/account/second-factor/remove", **(both | wrong))
        assert answer.status_code == 401
        assert "Remove the authenticator" in answer.text
    assert begin(served, token).status_code == 409
    answer = post(served, "/account/second-factor/remove", **both)
    assert answer.headers["location"] == "/account?done=second-factor-removed"
    assert told(served, "second_factor")[-1] == ("second_factor.remove", None)
    assert type_password(served).headers["location"] == "/"
    assert is_in(served)


def test_an_administrator_resets_it_for_who_has_lost_it(served: Serving) -> None:
    token = log_in(served)
    enrol(served, token)
    cookie = served.client.cookies["restnet"]
    served.client.cookies.clear()
    admin = served.key("root", Role.ADMINISTRATOR)
    listed = served.client.get("/api/v1/admin/users", headers=admin).json()["items"]
    assert {user["username"]: user["second_factor"] for user in listed} == {"root": False, "doctor": True}
    [user_id] = [user["id"] for user in listed if user["username"] == "doctor"]
    reset = served.client.delete(f"/api/v1/admin/users/{user_id}/second-factor", headers=admin)
    assert reset.status_code == 204
    assert not is_open(served, cookie)
    assert type_password(served).headers["location"] == "/"
    assert told(served, "second_factor")[-1] == ("second_factor.reset", None)


def test_an_administrator_does_not_reset_their_own(served: Serving) -> None:
    token = served.log_in(served.user("chief", Role.ADMINISTRATOR))
    enrol(served, token)
    with served.sessions() as session:
        [user_id] = session.scalars(select(UserRow.id))
    assert "reset-second-factor" not in served.client.get(f"/users/{user_id}", headers=HTML).text
    sent = post(served, f"/users/{user_id}/reset-second-factor", csrf_token=token)
    assert sent.headers["location"] == f"/users/{user_id}?refused=own_account"
    # Nor does the login itself over REST, nor a key of theirs that was stolen.
    for headers in ({"X-CSRF-Token": token, "Origin": "http://testserver"}, served.key("chief")):
        path = f"/api/v1/admin/users/{user_id}/second-factor"
        refused = served.client.delete(path, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "own_account")
    with served.sessions() as session:
        assert has_second_factor(session.get_one(UserRow, user_id))


@pytest.mark.parametrize("encrypted", [True, False])
def test_the_secret_lies_in_the_database_encrypted_where_there_is_a_key(
    tmp_path: Path, database_template: Path, encrypted: bool
) -> None:
    values = {}
    if encrypted:
        make_key_file(tmp_path / "keys")
        values = {"encryption_key_file": tmp_path / "keys"}
    with serving(make_settings(tmp_path / "data", database_template, **values)) as served:
        secret, _ = enrol(served, log_in(served))
        with served.sessions() as session:
            stored = session.scalars(select(UserRow.totp_secret)).one()
        assert (secret in stored) is not encrypted
        type_password(served)
        assert post(served, "/login/code", code=code_of(secret, steps=1)).status_code == 303


def test_where_it_is_required_who_has_none_sets_it_up_first(tmp_path: Path, database_template: Path) -> None:
    settings = make_settings(tmp_path / "data", database_template, require_second_factor=True)
    with serving(settings) as served:
        served.user("doctor", Role.ADMINISTRATOR)
        assert type_password(served).status_code == 303
        token = token_on(served, "/account")
        headers = {"X-CSRF-Token": token}
        for method, path in PAGES.keys() - OWN_PAGE:
            answer = served.client.request(method, concrete(path), headers=headers | HTML)
            assert (answer.status_code, answer.headers["location"]) == (303, "/account"), (method, path)
        for method, path in REST | PERSONAL:
            answer = served.client.request(method, concrete(path), headers=headers)
            assert answer.status_code == 403, path
            if method == "HEAD":
                # It has no body to say more in.
                continue
            assert answer.json()["code"] == "second_factor_required", path
            assert "/account" in answer.json()["remedy"]
        assert "Set it up to go on" in served.client.get("/account").text
        # A key was issued by itself.
        assert served.client.get("/api/v1/predictions", headers=served.key("doctor")).status_code == 200
        enrol(served, token)
        assert is_in(served)
        assert served.client.get("/", headers=HTML).status_code == 200


def test_who_comes_from_a_provider_is_not_asked(tmp_path: Path, database_template: Path) -> None:
    settings = make_settings(tmp_path / "data", database_template, require_second_factor=True)
    with serving(settings) as served:
        served.user()
        for through_provider, status in ((True, 200), (False, 403)):
            served.client.cookies.clear()
            served.client.cookies["restnet"] = elsewhere(served, through_provider=through_provider)
            assert served.client.get("/api/v1/predictions").status_code == status
        with served.sessions() as session:
            assert not has_second_factor(session.scalars(select(UserRow)).one())
