"""The page of one's own account: another password, and the logins that are open."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, SessionRow, UserRow
from service.identity.accounts import create_user_without_password, verify_login
from service.identity.errors import CredentialsError
from service.identity.logins import open_login
from service.identity.roles import Role
from service.web import account_wording
from tests.service.api.serving import PASSWORD, Serving
from tests.service.web.test_login import HTML, log_in

NEW = "wrong donkey accumulator"


def change(served: Serving, token: str, *, current: str = PASSWORD, new: str = NEW, again: str | None = None):
    data = {"csrf_token": token, "current": current, "new": new, "again": new if again is None else again}
    return served.client.post("/account/password", data=data, headers=HTML)


def opens(served: Serving, password: str) -> bool:
    try:
        return bool(verify_login(served.sessions, username="doctor", password=password))
    except CredentialsError:
        return False


def told(served: Serving) -> list[tuple[str, str, dict | None]]:
    with served.sessions() as session:
        rows = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence))
        return [
            (row.action, row.actor.partition(":")[0], row.details)
            for row in rows
            if row.action != "prediction.list"
        ]


def elsewhere(served: Serving, **values: str) -> str:
    """Log the account in at another place and return the cookie's value."""
    with served.sessions.begin() as session:
        user = session.scalars(select(UserRow).where(UserRow.username == "doctor")).one()
        return open_login(session, user=user, lifetime=timedelta(hours=1), **values)


def is_open(served: Serving, cookie: str) -> bool:
    served.client.cookies.clear()
    served.client.cookies["restnet"] = cookie
    return served.client.get("/api/v1/predictions").status_code == 200


def test_every_page_leads_to_it_for_whoever_is_logged_in(served: Serving) -> None:
    assert '/account"' not in served.client.get("/login").text
    log_in(served)
    for path in ("/", "/predictions", "/account"):
        assert '<a class="who" href="/account"' in served.client.get(path).text


def test_a_person_changes_their_own_password(served: Serving) -> None:
    token = log_in(served)
    before, other = served.client.cookies["restnet"], elsewhere(served)
    answer = change(served, token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=password")
    assert (opens(served, PASSWORD), opens(served, NEW)) == (False, True)
    after = served.client.cookies["restnet"]
    assert account_wording.ACCOUNT_DONE["password"] in served.client.get(answer.headers["location"]).text
    # This login goes on under another token, every other has ended.
    assert after != before
    assert (is_open(served, before), is_open(served, other), is_open(served, after)) == (False, False, True)
    assert told(served)[-1] == ("user.change_password", "user", None)


def test_the_form_of_the_login_before_serves_no_more(served: Serving) -> None:
    token = log_in(served)
    change(served, token)
    assert change(served, token, current=NEW, new=PASSWORD).status_code == 403
    assert opens(served, NEW)


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"current": "not this one"}, 401, account_wording.ACCOUNT_REFUSALS["credentials_not_valid"]),
        ({"again": NEW + "x"}, 422, account_wording.PASSWORDS_DIFFER),
        ({"new": "short"}, 422, account_wording.ACCOUNT_REFUSALS["password_length"]),
        ({"new": "x" * 257}, 422, account_wording.ACCOUNT_REFUSALS["password_length"]),
        ({"new": "doctordoctor"}, 422, account_wording.ACCOUNT_REFUSALS["password_guessable"]),
        ({"new": PASSWORD}, 422, account_wording.ACCOUNT_REFUSALS["password_unchanged"]),
    ],
)
def test_a_password_that_cannot_be_is_refused_and_changes_nothing(
    served: Serving, wrong: dict[str, str], status: int, said: str
) -> None:
    token = log_in(served)
    other = elsewhere(served)
    answer = change(served, token, **wrong)
    assert answer.status_code == status
    assert said in answer.text
    assert opens(served, PASSWORD)
    assert is_open(served, other)


def test_guessing_the_old_password_counts_as_logging_in_does(served: Serving) -> None:
    token = log_in(served)
    statuses = [change(served, token, current="wrong").status_code for _ in range(9)]
    assert statuses == [401] * 8 + [429]
    answer = change(served, token)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 800
    assert "Too many attempts" in answer.text
    served.client.cookies.pop("restnet")
    login = {"username": "doctor", "password": PASSWORD}
    assert served.client.post("/login", data=login).status_code == 429
    assert ("login.refused", "anonymous", {"at": "account"}) in told(served)


def test_nobody_changes_it_for_another_site_or_without_a_login(served: Serving) -> None:
    token = log_in(served)
    assert change(served, "wrong").status_code == 403
    data = {"csrf_token": token, "current": PASSWORD, "new": NEW, "again": NEW}
    there = {"Sec-Fetch-Site": "cross-site"}
    assert served.client.post("/account/password", data=data, headers=there).status_code == 403
    served.client.cookies.clear()
    assert served.client.post("/account/password", data=data, headers=served.key()).status_code == 401
    assert opens(served, PASSWORD)


def test_who_logs_in_at_a_provider_is_sent_there(served: Serving) -> None:
    with served.sessions.begin() as session:
        user = create_user_without_password(
            session, username="mina", role=Role.CLINICIAN, organisation_id=DEFAULT_ORGANISATION_ID
        )
        cookie = open_login(session, user=user, lifetime=timedelta(hours=1), through_provider=True)
    served.client.cookies["restnet"] = cookie
    text = served.client.get("/account").text
    assert "You log in with single sign-on" in text
    assert 'name="current"' not in text


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def test_logins_are_listed_with_browser_and_address(served: Serving) -> None:
    served.user()
    login = {"username": "doctor", "password": PASSWORD}
    served.client.post("/login", data=login, headers={"User-Agent": FIREFOX})
    elsewhere(served)
    rows = re.findall(r"<tr>.*?</tr>", served.client.get("/account").text, re.DOTALL)[1:]
    assert len(rows) == 2
    [mine] = [row for row in rows if "this one" in row]
    [other] = [row for row in rows if "this one" not in row]
    assert "Firefox on Linux" in mine
    assert "127.0.0.1" in mine
    assert "/end" not in mine
    assert "Unknown browser" in other
    assert "/end" in other
    listed = served.client.get("/api/v1/account/logins").json()["items"]
    assert [(item["this_one"], item["browser"], item["address"]) for item in listed] == [
        (False, None, None),
        (True, "Firefox on Linux", "127.0.0.1"),
    ]


def test_a_login_that_has_ended_or_idled_is_not_listed(served: Serving) -> None:
    log_in(served)
    for _ in range(2):
        elsewhere(served)
    with served.sessions.begin() as session:
        ended, idle, _mine = session.scalars(select(SessionRow).order_by(SessionRow.created_at.desc()))
        ended.expires_at = datetime.now(UTC)
        idle.last_seen_at = datetime.now(UTC) - timedelta(days=1)
    [listed] = served.client.get("/api/v1/account/logins").json()["items"]
    assert listed["this_one"]


@pytest.mark.parametrize("over", ["page", "rest"])
def test_one_other_login_is_ended(served: Serving, over: str) -> None:
    token = log_in(served)
    mine = served.client.cookies["restnet"]
    one, two = elsewhere(served), elsewhere(served)
    listed = served.client.get("/api/v1/account/logins").json()["items"]
    chosen = next(item["id"] for item in listed if not item["this_one"])
    if over == "page":
        answer = served.client.post(f"/account/logins/{chosen}/end", data={"csrf_token": token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=login")
    else:
        address = f"/api/v1/account/logins/{chosen}"
        assert served.client.delete(address).status_code == 403
        assert served.client.delete(address, headers={"X-CSRF-Token": token}).status_code == 204
    assert sorted([is_open(served, one), is_open(served, two)]) == [False, True]
    assert is_open(served, mine)
    assert told(served)[-1] == ("login.revoke", "user", {"ids": [chosen]})


@pytest.mark.parametrize("over", ["page", "rest"])
def test_all_others_are_ended_at_once(served: Serving, over: str) -> None:
    token = log_in(served)
    mine = served.client.cookies["restnet"]
    others = [elsewhere(served) for _ in range(3)]
    for expected in (3, 0):
        if over == "page":
            answer = served.client.post("/account/logins/end-others", data={"csrf_token": token})
            assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=logins")
        else:
            answer = served.client.delete("/api/v1/account/logins", headers={"X-CSRF-Token": token})
            assert (answer.status_code, answer.json()) == (200, {"ended": expected})
    assert [is_open(served, cookie) for cookie in (mine, *others)] == [True, False, False, False]
    # The second time there was nothing to tell.
    assert [action for action, *_ in told(served)].count("login.revoke") == 1


def test_nobody_ends_somebody_elses_login(served: Serving) -> None:
    served.log_in(served.user("other"))
    theirs = served.client.cookies["restnet"]
    [item] = served.client.get("/api/v1/account/logins").json()["items"]
    served.client.cookies.clear()
    token = log_in(served)
    for method, address in (
        ("POST", f"/account/logins/{item['id']}/end"),
        ("DELETE", f"/api/v1/account/logins/{item['id']}"),
        ("DELETE", "/api/v1/account/logins/not-an-id"),
    ):
        answer = served.client.request(method, address, headers={"X-CSRF-Token": token})
        assert (answer.status_code, answer.json()["code"]) == (404, "login_not_found")
    assert is_open(served, theirs)
