"""The pages of users, keys and the audit, as an administrator uses them with plain forms."""

import re
from html import escape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from service.api.actions.auditing import PROGRAMS
from service.audit import record
from service.db.rows import ApiKeyRow, UserRow
from service.identity.accounts import require_user
from service.identity.actor import Actor
from service.identity.roles import Role
from service.identity.scopes import Scope
from service.web import menu
from service.web.administration import audit_wording
from service.web.administration.wording import SCOPES
from tests.service.api.serving import Serving

HTML = {"Accept": "text/html"}
HOSTILE = "<script>alert(1)</script>\"'{{7*7}}"


class Administrator:
    """Somebody who sends what the pages' forms send."""

    def __init__(self, served: Serving) -> None:
        self.served = served
        self.token = served.log_in(served.user("chief", Role.ADMINISTRATOR))

    def see(self, path: str) -> str:
        answer = self.served.client.get(path, headers=HTML)
        assert answer.status_code == 200, answer.text
        return answer.text

    def send(self, path: str, **data: Any) -> Any:
        return self.served.client.post(path, data={"csrf_token": self.token} | data, headers=HTML)

    def page_of(self, username: str) -> str:
        with self.served.sessions() as session:
            return f"/users/{require_user(session, username=username).id}"


@pytest.fixture
def chief(served: Serving) -> Administrator:
    return Administrator(served)


def told(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<main")[2]).split())


def test_an_account_is_shut_out_let_in_and_given_a_role(served: Serving, chief: Administrator) -> None:
    served.user("doctor")
    page = chief.page_of("doctor")
    assert "may log in" in told(chief.see(page))
    for act, data, said in (
        ("disable", {}, "The account is shut out"),
        ("enable", {}, "The account is let in again"),
        ("role", {"role": "researcher"}, "The account has another role"),
        ("end-logins", {}, "Every login of the account has ended"),
        ("reset-second-factor", {}, "The password alone opens the account"),
    ):
        answer = chief.send(f"{page}/{act}", **data)
        assert answer.status_code == 303
        assert said in told(chief.see(answer.headers["location"]))
    with served.sessions() as session:
        user = require_user(session, username="doctor")
    assert (user.role, user.disabled_at) == ("researcher", None)


def test_ones_own_account_has_no_such_forms_and_refuses_them(served: Serving, chief: Administrator) -> None:
    page = chief.page_of("chief")
    shown = chief.see(page)
    assert "This is your own account" in shown
    assert f"{page}/disable" not in shown
    for act, data in (("disable", {}), ("role", {"role": "clinician"}), ("reset-second-factor", {})):
        answer = chief.send(f"{page}/{act}", **data)
        assert "Another administrator may do this" in told(chief.see(answer.headers["location"]))
    with served.sessions() as session:
        user = require_user(session, username="chief")
    assert (user.role, user.disabled_at) == ("administrator", None)


def test_a_role_that_there_is_not_is_refused(served: Serving, chief: Administrator) -> None:
    page = chief.page_of(served.user("doctor"))
    answer = chief.send(f"{page}/role", role="king")
    assert "Choose a role." in told(chief.see(answer.headers["location"]))


def test_a_link_is_shown_once_and_withdrawn(served: Serving, chief: Administrator) -> None:
    shown = chief.send("/users/invitations", username="New", role="clinician").text
    [link] = re.findall(r"http://testserver(/invitation/[\w-]+)", shown)
    listed = chief.see("/users")
    assert link not in listed
    assert "new" in told(listed)
    [withdraw] = re.findall(r'action="(/users/invitations/[0-9a-f-]{36}/revoke)"', listed)
    assert served.client.get(link, headers=HTML).status_code == 200
    answer = chief.send(withdraw)
    assert "The invitation is withdrawn" in told(chief.see(answer.headers["location"]))
    assert served.client.get(link, headers=HTML).status_code == 404


def test_a_name_that_cannot_be_invited_stays_in_the_form(served: Serving, chief: Administrator) -> None:
    served.user("doctor")
    for name, status, said in (("doctor", 409, "has this name already"), (HOSTILE, 422, "1 to 64 letters")):
        answer = chief.send("/users/invitations", username=name, role="clinician")
        assert answer.status_code == status
        assert said in answer.text
        assert f'value="{escape(name)}"'.replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in answer.text


def test_a_key_is_shown_once_works_and_is_revoked(served: Serving, chief: Administrator) -> None:
    served.user("pacs", Role.INTEGRATOR)
    asked = {"name": "bridge", "username": "pacs", "scope": ["scans:write", "predictions:read"], "days": "30"}
    answer = chief.send("/keys", **asked)
    assert answer.status_code == 200
    [key] = re.findall(r"rnk_[\w-]{43}", answer.text)
    headers = {"Authorization": f"Bearer {key}"}
    with served.sessions() as session:
        [row] = session.scalars(select(ApiKeyRow))
        assert row.expires_at is not None
        assert (row.expires_at - row.created_at).days == 30
    csrf = served.client.cookies
    served.client.cookies = type(csrf)()
    assert served.client.get("/api/v1/predictions", headers=headers).status_code == 200
    assert served.client.get(f"/api/v1/scans/{row.id}", headers=headers).json()["code"] == "scope_missing"
    served.client.cookies = csrf
    for page in ("/keys", chief.page_of("pacs")):
        assert key not in chief.see(page)
        assert f'action="/keys/{row.id}/revoke"' in chief.see(page)
    for back, target in (("https://elsewhere", "/keys"), (chief.page_of("pacs"), chief.page_of("pacs"))):
        answer = chief.send(f"/keys/{row.id}/revoke", back=back)
        assert answer.headers["location"] == f"{target}?done=revoked"
    assert served.client.get("/api/v1/predictions", headers=headers).status_code == 401
    assert "/revoke" not in chief.see("/keys")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"username": "nobody"}, "No account of your organisation has this name."),
        ({"name": " "}, "Say what the key is for"),
        ({"scope": []}, "Choose what the key may do."),
        ({"scope": ["admin"]}, "expected scopes of the role"),
        ({"scope": ["everything"]}, "expected one of the scopes"),
    ],
)
def test_a_key_that_cannot_be_is_refused_and_what_was_typed_stays(
    served: Serving, chief: Administrator, change: dict[str, Any], said: str
) -> None:
    served.user("pacs", Role.INTEGRATOR)
    asked = {"name": "bridge", "username": "pacs", "scope": ["scans:write"], "days": "never"}
    answer = chief.send("/keys", **(asked | change))
    assert answer.status_code in {404, 422}
    assert said.lower() in told(answer.text).lower()
    assert '<option value="never" selected>' in answer.text
    with served.sessions() as session:
        assert session.scalars(select(ApiKeyRow)).all() == []


def test_every_scope_and_every_action_has_its_words() -> None:
    assert SCOPES.keys() == {scope.value for scope in Scope}
    code = Path("service")
    recorded = {
        action
        for file in code.rglob("*.py")
        for action in re.findall(r'action="([a-z_]+\.[a-z_]+)"', file.read_text())
    }
    kinds = {
        kind
        for file in code.rglob("*.py")
        for kind in re.findall(r'subject_kind="([a-z_]+)"', file.read_text())
    }
    # One is of earlier versions: what they have recorded is still there.
    assert audit_wording.ACTIONS.keys() == recorded | {"model.activate"}
    assert audit_wording.KINDS.keys() == kinds


def test_the_audit_is_found_by_name_action_and_day_and_leads_to_its_files(
    served: Serving, chief: Administrator
) -> None:
    served.user("doctor")
    chief.send(f"{chief.page_of('doctor')}/disable")
    shown = told(chief.see("/audit?action=user.disable&actor=chief"))
    assert "shut an account out" in shown.partition("Number")[2]
    assert "doctor" in shown
    assert "No event matches" in chief.see("/audit?action=user.disable&actor=doctor")
    assert "No event matches" in chief.see("/audit?from=2020-01-01&to=2020-01-02")
    page = chief.see("/audit?action=user.disable&from=2020-01-01")
    [table] = re.findall(r'href="([^"]*format=csv[^"]*)"', page)
    rows = served.client.get(table.replace("&amp;", "&")).text.splitlines()
    assert len(rows) == 2
    assert "user.disable" in rows[1]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("actor=nobody", "No account of your organisation has this name."),
        ("action=x.y", "There is no such action."),
        ("since=abc", "since could not be read"),
        ("from=yesterday", "A day is written as"),
        ("to=9999-12-31", "A day is written as"),
        ("subject_id=%3Cb%3E", "letters, digits and hyphens"),
    ],
)
def test_a_filter_that_cannot_be_is_said_and_shows_nothing(
    chief: Administrator, query: str, said: str
) -> None:
    page = chief.see(f"/audit?{query}")
    assert said in page
    assert "<table" not in page


def test_acts_on_what_all_share_are_on_the_page_without_whom_another_organisation_sent(
    served: Serving, chief: Administrator
) -> None:
    elsewhere = served.organisation("elsewhere")
    acts = (
        ("command-line", "model.promote", "model_version", None),
        ("user:theirs", "model.rollback", "model_version", elsewhere),
        ("user:theirs", "scan.upload", "scan", elsewhere),
    )
    with served.sessions.begin() as session:
        for actor, action, kind, organisation_id in acts:
            record(
                session,
                actor=Actor(actor, "place-of-theirs" if organisation_id else "uid 0 on host"),
                action=action,
                subject_kind=kind,
                subject_id="s",
                organisation_id=organisation_id,
            )
    page = chief.see("/audit?subject_id=s")
    shown = told(page).partition("Number ")[2]
    assert "the command line uid 0 on host let a model answer" in shown
    # All of them, and that the audit was read, may be of one minute.
    assert len(re.findall(r"\d\d:\d\d:\d\d UTC", shown)) == 3
    assert "somebody of another organisation let the model before answer again" in shown
    assert "uploaded a scan" not in shown
    assert "theirs" not in page
    assert "its event belongs to others and is not shown" in shown
    assert (
        "let the model before"
        not in told(chief.see("/audit?actor=command-line&subject_id=s")).partition("Number ")[2]
    )


def test_a_user_name_finds_what_was_done_with_the_accounts_keys(
    served: Serving, chief: Administrator
) -> None:
    served.client.get("/api/v1/admin/users", headers=served.key("robot", Role.ADMINISTRATOR))
    page = chief.see("/audit?actor=robot")
    assert "listed accounts" in told(page).partition("Number")[2]
    [lines] = re.findall(r'href="([^"]*format=jsonl[^"]*)"', page)
    assert "user.list" in served.client.get(lines.replace("&amp;", "&")).text


def test_programs_have_words_and_are_not_taken_for_names() -> None:
    assert audit_wording.PROGRAMS.keys() == PROGRAMS


def test_older_events_follow_under_the_same_filter(
    served: Serving, chief: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.web.administration.audit.PAGE_LENGTH", 2)
    page = chief.page_of(served.user("doctor"))
    for _ in range(2):
        chief.send(f"{page}/disable")
        chief.send(f"{page}/enable")
    numbers: list[str] = []
    address = "/audit?subject_id=" + page.rpartition("/")[2]
    while address:
        shown = chief.see(address)
        numbers += re.findall(r'class="number">(\d+)<', shown)
        following = re.findall(r'href="([^"]+)" rel="next"', shown)
        address = following[0].replace("&amp;", "&") if following else ""
    assert numbers == sorted(set(numbers), key=int, reverse=True)
    assert len(numbers) >= 4


def test_the_chain_is_checked_from_the_page_and_a_forgery_is_named(
    served: Serving, chief: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "The chain is whole" in chief.send("/audit/verify").text
    with served.sessions.begin() as session:
        session.execute(text("DROP TRIGGER audit_events_no_update"))
        session.execute(text("UPDATE audit_events SET address = 'elsewhere' WHERE sequence = 1"))
    shown = told(chief.send("/audit/verify").text)
    assert "Event 1 is not as it was recorded. It was edited." in shown
    monkeypatch.setattr("service.api.actions.verifying.MOST_EVENTS", 1)
    assert "too many to be checked" in chief.send("/audit/verify").text
    monkeypatch.undo()
    with served.resources.verifying:
        assert "being checked already" in chief.send("/audit/verify").text


def test_a_hostile_name_is_text_on_every_page(served: Serving, chief: Administrator) -> None:
    asked = {"name": HOSTILE, "username": "chief", "scope": ["admin"]}
    assert chief.send("/keys", **asked).status_code == 200
    with served.sessions.begin() as session:
        # No rule of ours lets such a name in: an older version, or the identity provider, may have.
        session.add(
            UserRow(
                organisation_id=session.scalars(select(UserRow)).one().organisation_id,
                username=HOSTILE,
                password_hash="x",
                role="clinician",
            )
        )
        session.flush()
        hostile_id = session.scalars(select(UserRow.id).where(UserRow.username == HOSTILE)).one()
    chief.send(f"/users/{hostile_id}/disable")
    for path in ("/users", f"/users/{hostile_id}", chief.page_of("chief"), "/keys", "/audit"):
        page = chief.see(path)
        assert "alert(1)" in page
        assert "<script>alert" not in page
        assert "49" not in re.findall(r"alert\(1\)[^<]{0,60}", page)[0]


def test_the_menu_leads_each_role_where_it_may_go_and_says_where_one_is(served: Serving) -> None:
    for role in Role:
        served.log_in(served.user(f"a-{role.value}", role))
        home = served.client.get("/", headers=HTML).text
        # A researcher reads models, and how they do beside each other.
        assert ("Administration" in home) == (role in {Role.ADMINISTRATOR, Role.RESEARCHER})
    served.log_in("a-administrator")
    for entry in menu.ENTRIES:
        page = served.client.get(entry.path, headers=HTML).text
        current = re.findall(r'<a href="([^"]+)" aria-current="(\w+)"', page)
        assert current == [(menu.ENTRIES[0].path, "true"), (entry.path, "page")]
        assert all(f'href="{other.path}"' in page for other in menu.ENTRIES)


@pytest.mark.parametrize(("form", "page"), [("/users/invitations", "/users"), ("/audit/verify", "/audit")])
def test_a_reload_of_what_answered_a_form_shows_the_page_where_it_stands(
    chief: Administrator, form: str, page: str
) -> None:
    answer = chief.served.client.get(form, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    assert f'action="{form}"' in chief.see(page)


def test_a_form_without_its_token_changes_nothing(served: Serving, chief: Administrator) -> None:
    page = chief.page_of(served.user("doctor"))
    chief.token = "another"
    for path in (f"{page}/disable", "/users/invitations", "/keys", "/audit/verify"):
        assert chief.send(path).status_code == 403
    with served.sessions() as session:
        assert require_user(session, username="doctor").disabled_at is None


def test_an_ended_login_is_led_back_to_the_page_that_the_form_stood_on(served: Serving) -> None:
    page = f"/users/{'0' * 8}-0000-0000-0000-{'0' * 12}"
    for path, back in ((f"{page}/disable", page), ("/users/invitations", "/users"), ("/keys", "/keys")):
        location = served.client.post(path, headers=HTML).headers["location"]
        assert location == f"/login?lost=change&next={back.replace('/', '%2F')}"
