"""Passwords that somebody else has set: good for choosing another one, for a while."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, UserRow
from service.identity.accounts import create_user, set_password
from service.identity.roles import Role
from service.web import account_wording
from tests.service.api.serving import PASSWORD, Serving
from tests.service.api.test_permissions import PAGES, PERSONAL, REST, concrete
from tests.service.web.test_account import NEW, change
from tests.service.web.test_login import HTML

OWN_PAGE = {route for route in PAGES if route[1].startswith("/account")} | {("POST", "/logout")}


@pytest.fixture
def token(served: Serving) -> str:
    """Of a login with a first password."""
    with served.sessions.begin() as session:
        create_user(
            session,
            username="doctor",
            password=PASSWORD,
            role=Role.ADMINISTRATOR,
            organisation_id=DEFAULT_ORGANISATION_ID,
        )
    assert log_in(served).status_code == 303
    return token_on(served, "/account")


def log_in(served: Serving, password: str = PASSWORD):
    return served.client.post("/login", data={"username": "doctor", "password": password}, headers=HTML)


def token_on(served: Serving, path: str) -> str:
    return served.client.get(path).text.partition('name="csrf_token" value="')[2].partition('"')[0]


def test_a_first_password_opens_the_account_page_alone_until_it_is_changed(
    served: Serving, token: str
) -> None:
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
        assert answer.json()["code"] == "password_change_required", path
        assert "/account" in answer.json()["remedy"]
    page = served.client.get("/account", headers=HTML)
    assert page.status_code == 200
    assert "Somebody else has set the one you have now" in page.text

    assert change(served, token).status_code == 303
    assert served.client.get("/", headers=HTML).status_code == 200
    assert served.client.get("/api/v1/admin/users").json()["items"][0]["must_change_password"] is False
    assert "Somebody else" not in served.client.get("/account").text
    # For good: the next login has nothing to change either.
    served.client.cookies.clear()
    assert log_in(served, NEW).status_code == 303
    assert served.client.get("/", headers=HTML).status_code == 200


def test_the_first_password_itself_will_not_do(served: Serving, token: str) -> None:
    answer = change(served, token, new=PASSWORD)
    assert answer.status_code == 422
    assert account_wording.ACCOUNT_REFUSALS["password_unchanged"] in answer.text
    assert served.client.get("/", headers=HTML).headers["location"] == "/account"


def test_a_part_of_a_page_leads_to_the_account_as_a_whole(served: Serving, token: str) -> None:
    answer = served.client.get("/predictions", headers=HTML | {"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, "/account")


def test_whoever_does_not_want_to_may_log_out(served: Serving, token: str) -> None:
    assert served.client.post("/logout", data={"csrf_token": token}).headers["location"] == "/login"


def test_a_first_password_ends(served: Serving, token: str) -> None:
    lifetime = timedelta(seconds=served.resources.settings.first_password_lifetime_s)
    assert lifetime == timedelta(days=7)
    with served.sessions.begin() as session:
        user = session.scalars(select(UserRow)).one()
        user.first_password_at = datetime.now(UTC) - lifetime + timedelta(minutes=1)
    assert log_in(served).status_code == 303
    with served.sessions.begin() as session:
        user = session.scalars(select(UserRow)).one()
        user.first_password_at = datetime.now(UTC) - lifetime
    # Neither does a login from before serve to keep it.
    answer = change(served, token_on(served, "/account"))
    assert answer.status_code == 401
    served.client.cookies.clear()
    answer = log_in(served)
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert account_wording.LOGIN_REFUSALS["first_password_ended"] in answer.text
    # A wrong one learns nothing of that.
    assert account_wording.LOGIN_REFUSALS["credentials_not_valid"] in log_in(served, "wrong").text
    with served.sessions() as session:
        told = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "login.refused")).all()
    assert len(told) == 3


def test_a_password_that_was_set_again_is_a_first_one(served: Serving, token: str) -> None:
    change(served, token)
    with served.sessions.begin() as session:
        set_password(session, username="doctor", password=PASSWORD)
    served.client.cookies.clear()
    log_in(served)
    assert served.client.get("/", headers=HTML).headers["location"] == "/account"


def test_a_key_keeps_its_own_rule(served: Serving, token: str) -> None:
    key = served.key("doctor")
    served.client.cookies.clear()
    assert served.client.get("/api/v1/predictions", headers=key).status_code == 200


def test_an_account_that_an_administrator_adds_has_one(served: Serving) -> None:
    wanted = {"username": "doctor", "password": PASSWORD, "role": "clinician"}
    admin = served.key("root", Role.ADMINISTRATOR)
    added = served.client.post("/api/v1/admin/users", headers=admin, json=wanted)
    assert (added.status_code, added.json()["must_change_password"]) == (201, True)
    log_in(served)
    assert served.client.get("/", headers=HTML).headers["location"] == "/account"
