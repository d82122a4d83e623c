"""The page behind an invitation: a password is chosen once, and the account is open."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from service.db.rows import AuditEventRow, InvitationRow, UserRow
from service.identity.roles import Role
from tests.service.api.serving import PASSWORD, Serving

HTML = {"Accept": "text/html"}
CHOSEN = "wrong donkey accumulator"


@pytest.fixture
def link(served: Serving) -> str:
    served.user("chief", Role.ADMINISTRATOR)
    return f"/invitation/{served.invite('m.keller', by='chief', role=Role.RESEARCHER)[1]}"


def choose(served: Serving, link: str, new: str = CHOSEN, again: str | None = None):
    data = {"new": new, "again": new if again is None else again}
    return served.client.post(link, data=data, headers=HTML)


def test_who_is_invited_chooses_a_password_and_is_logged_in(served: Serving, link: str) -> None:
    for _ in range(2):
        page = served.client.get(link, headers=HTML)
        assert page.status_code == 200
    assert "m.keller" in page.text
    answer = choose(served, link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "m.keller" in served.client.get("/", headers=HTML).text
    served.client.cookies.clear()
    login = served.client.post("/login", data={"username": "m.keller", "password": CHOSEN})
    assert login.headers["location"] == "/"
    with served.sessions() as session:
        user = session.scalars(select(UserRow).where(UserRow.username == "m.keller")).one()
        assert (user.role, user.first_password_at) == ("researcher", None)
        invitation = session.scalars(select(InvitationRow)).one()
        assert (invitation.user_id, invitation.accepted_at is not None) == (user.id, True)
        events = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
    own = [event for event in events if event.actor == f"user:{user.id}"]
    assert [event.action for event in own] == [
        "invitation.accept",
        "user.create",
        "login.begin",
        "login.begin",
    ]
    assert {event.organisation_id for event in own} == {user.organisation_id}


def not_open(served: Serving, link: str) -> str:
    """What is said of a link that opens nothing, which is the same for every reason."""
    texts = set()
    for answer in (served.client.get(link, headers=HTML), choose(served, link)):
        assert answer.status_code == 404
        assert "invitation_not_valid" in answer.text
        assert "m.keller" not in answer.text
        texts.add(answer.text.partition("<main")[2].partition("</main")[0])
    [text] = texts
    return text


def test_every_link_that_is_not_open_says_the_same(served: Serving, link: str) -> None:
    said = [not_open(served, "/invitation/unknown")]
    for change in (
        {"expires_at": datetime.now(UTC) - timedelta(seconds=1)},
        {"revoked_at": datetime.now(UTC)},
    ):
        token = link if not said[1:] else f"/invitation/{served.invite('m.keller', by='chief')[1]}"
        with served.sessions.begin() as session:
            for row in session.scalars(select(InvitationRow)):
                for name, value in change.items():
                    setattr(row, name, value)
        said.append(not_open(served, token))
    used = f"/invitation/{served.invite('m.keller', by='chief')[1]}"
    assert choose(served, used).status_code == 303
    served.client.cookies.clear()
    said.append(not_open(served, used))
    # The name went to somebody else meanwhile: whose it is, is not said either.
    taken = f"/invitation/{served.invite('late', by='chief')[1]}"
    served.user("late")
    assert served.client.get(taken, headers=HTML).status_code == 200
    answer = choose(served, taken)
    assert (answer.status_code, "invitation_not_valid" in answer.text) == (404, True)
    said.append(answer.text.partition("<main")[2].partition("</main")[0])
    assert set(said) == {said[0]}


def test_it_is_used_once_and_opens_for_seven_days(served: Serving, link: str) -> None:
    with served.sessions() as session:
        [row] = session.scalars(select(InvitationRow))
    assert row.expires_at - row.created_at == timedelta(days=7)
    assert link.rpartition("/")[2] not in {row.token_hash, row.id}
    assert choose(served, link).status_code == 303
    assert choose(served, link, "another donkey accumulator").status_code == 404


@pytest.mark.parametrize(
    ("new", "again", "said"),
    [
        (CHOSEN, "different", "differ"),
        ("short", "short", "too short"),
        ("password1234", "password1234", "easy to guess"),
    ],
)
def test_a_password_that_cannot_be_leaves_the_invitation_open(
    served: Serving, link: str, new: str, again: str, said: str
) -> None:
    answer = choose(served, link, new, again)
    assert answer.status_code == 422
    assert said in answer.text
    assert re.search(r'role="alert"', answer.text)
    assert choose(served, link).status_code == 303


def test_another_site_cannot_send_it(served: Serving, link: str) -> None:
    answer = served.client.post(
        link, data={"new": CHOSEN, "again": CHOSEN}, headers=HTML | {"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403
    assert served.client.get(link, headers=HTML).status_code == 200


def test_whoever_was_logged_in_there_is_not_any_more(served: Serving, link: str) -> None:
    served.log_in("chief")
    before = dict(served.client.cookies)
    assert choose(served, link).status_code == 303
    served.client.cookies.clear()
    served.client.cookies.update(before)
    assert served.client.get("/api/v1/predictions").status_code == 401
    assert PASSWORD != CHOSEN
