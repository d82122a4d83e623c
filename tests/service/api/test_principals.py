"""Who gets in: keys, logins, roles, and requests that another site caused."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from service.db.rows import ApiKeyRow, SessionRow, UserRow
from service.identity.accounts import disable_user, set_password
from service.identity.roles import Role
from tests.service.api.serving import PASSWORD, Serving, scan_bytes

OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/api/docs"),
    ("GET", "/api/openapi.json"),
}


def log_in(served: Serving, username: str = "doctor", role: Role = Role.CLINICIAN) -> str:
    """Log in over the page and return the login's token for changing requests."""
    return served.log_in(served.user(username, role))


def rest_routes(served: Serving) -> list[tuple[str, str]]:
    document = served.client.get("/api/openapi.json").json()
    return [
        (method.upper(), re.sub(r"\{\w+\}", "00000000-0000-0000-0000-000000000000", path))
        for path, operations in document["paths"].items()
        for method in operations
        if (method.upper(), path) not in OPEN
    ]


def code_of(answer: Any, of_head: str = "authentication_required") -> str:
    """Why something is refused; an answer to HEAD has no body to say it in."""
    code: str = of_head if answer.request.method == "HEAD" else answer.json()["code"]
    return code


def test_every_route_needs_an_account(served: Serving) -> None:
    routes = rest_routes(served)
    assert ("POST", "/api/v1/scans") in routes
    assert len(routes) >= 14
    for method, path in routes:
        answer = served.client.request(method, path)
        assert (answer.status_code, code_of(answer)) == (401, "authentication_required"), (method, path)
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_that_is_not_valid_is_refused_everywhere(served: Serving) -> None:
    for method, path in rest_routes(served):
        answer = served.client.request(method, path, headers={"Authorization": "Bearer rnk_wrong"})
        assert (answer.status_code, code_of(answer, "api_key_not_valid")) == (401, "api_key_not_valid"), (
            method,
            path,
        )


@pytest.mark.parametrize("role", list(Role))
def test_administration_is_for_administrators(served: Serving, role: Role) -> None:
    key = served.key(role=role)
    for path in ("users", "api-keys", "audit", "models"):
        answer = served.client.get(f"/api/v1/admin/{path}", headers=key)
        allowed = role == Role.ADMINISTRATOR or (role == Role.RESEARCHER and path == "models")
        assert answer.status_code == (200 if allowed else 403), path
        if not allowed:
            assert answer.json()["code"] == "permission_denied"
            assert answer.json()["details"]["role"] == role.value
    for path in ("users", "api-keys", "api-keys/x/revoke"):
        answer = served.client.post(f"/api/v1/admin/{path}", headers=key, json={})
        assert (answer.status_code == 403) == (role != Role.ADMINISTRATOR)


@pytest.mark.parametrize("scheme", ["Basic rnk_x", "Bearer", "Bearer ", "", "rnk_x"])
def test_an_authorization_of_another_kind_is_refused(served: Serving, scheme: str) -> None:
    answer = served.client.get("/api/v1/predictions", headers={"Authorization": scheme})
    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_not_valid")


@pytest.mark.parametrize("column", ["expires_at", "revoked_at", "disabled_at"])
def test_a_key_ends(served: Serving, column: str) -> None:
    key = served.key()
    assert served.client.get("/api/v1/predictions", headers=key).status_code == 200
    past = datetime.now(UTC) - timedelta(seconds=1)
    with served.sessions.begin() as session:
        session.execute(update(UserRow if column == "disabled_at" else ApiKeyRow).values({column: past}))
    assert served.client.get("/api/v1/predictions", headers=key).status_code == 401


def test_a_key_is_kept_as_a_hash_and_its_use_is_noted(served: Serving) -> None:
    key = served.key()
    served.client.get("/api/v1/predictions", headers=key)
    plain = key["Authorization"].removeprefix("Bearer ")
    with served.sessions() as session:
        [row] = session.query(ApiKeyRow).all()
        assert plain.startswith(row.prefix)
        assert plain not in {row.key_hash, row.prefix}
        assert row.last_used_at is not None


def test_a_login_reads_but_needs_its_token_to_change(served: Serving) -> None:
    token = log_in(served)
    assert served.client.get("/api/v1/predictions").status_code == 200
    files = {"scan": ("s.nii.gz", scan_bytes())}
    for headers in ({}, {"X-CSRF-Token": "wrong"}, {"X-CSRF-Token": ""}):
        answer = served.client.post("/api/v1/scans", files=files, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
    assert (
        served.client.post("/api/v1/scans", files=files, headers={"X-CSRF-Token": token}).status_code == 202
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 202),
        ({"Sec-Fetch-Site": "none"}, 202),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://testserver"}, 202),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://testserver:81"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "null", "Host": ""}, 403),
    ],
)
def test_a_change_that_another_site_caused_is_refused(
    served: Serving, headers: dict[str, str], status: int
) -> None:
    token = log_in(served)
    answer = served.client.post(
        "/api/v1/scans", files={"scan": ("s.nii.gz", scan_bytes())}, headers=headers | {"X-CSRF-Token": token}
    )
    assert answer.status_code == status


def test_the_token_of_another_login_does_not_serve(served: Serving) -> None:
    other = log_in(served, "one")
    served.client.cookies.clear()
    log_in(served, "two")
    answer = served.client.post("/api/v1/scans", headers={"X-CSRF-Token": other})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")


@pytest.mark.parametrize("column", ["expires_at", "last_seen_at"])
def test_a_login_ends_by_age_and_by_idling(served: Serving, column: str) -> None:
    log_in(served)
    idle_s = served.resources.settings.session_idle_s
    long_ago = datetime.now(UTC) - timedelta(seconds=idle_s + 1)
    with served.sessions.begin() as session:
        session.execute(update(SessionRow).values({column: long_ago}))
    assert served.client.get("/api/v1/predictions").status_code == 401
    assert (
        served.client.get("/predictions", headers={"Accept": "text/html"})
        .headers["location"]
        .startswith("/login")
    )


def test_a_login_ends_by_age_however_much_it_is_used(served: Serving) -> None:
    log_in(served)
    with served.sessions.begin() as session:
        [row] = session.query(SessionRow).all()
        lifetime = row.expires_at - row.created_at
        row.last_seen_at = row.created_at - timedelta(minutes=5)
        ends = row.expires_at
    assert lifetime == timedelta(seconds=served.resources.settings.session_lifetime_s)
    assert served.client.get("/api/v1/predictions").status_code == 200
    with served.sessions.begin() as session:
        [row] = session.query(SessionRow).all()
        assert row.expires_at == ends
        row.expires_at = datetime.now(UTC)
    assert served.client.get("/api/v1/predictions").status_code == 401


def test_another_login_in_the_same_browser_ends_the_one_before(served: Serving) -> None:
    log_in(served, "one")
    first = served.client.cookies["restnet"]
    served.client.post("/login", data={"username": served.user("two"), "password": PASSWORD})
    with served.sessions() as session:
        assert [row.user_id for row in session.query(SessionRow)] == [
            row.id for row in session.query(UserRow) if row.username == "two"
        ]
    served.client.cookies.clear()
    served.client.cookies["restnet"] = first
    assert served.client.get("/api/v1/predictions").status_code == 401


@pytest.mark.parametrize("act", ["set_password", "disable_user"])
def test_another_password_and_disabling_end_every_login(served: Serving, act: str) -> None:
    log_in(served)
    with served.sessions.begin() as session:
        if act == "set_password":
            set_password(session, username="doctor", password=PASSWORD + "!")
        else:
            disable_user(session, username="doctor")
    with served.sessions() as session:
        assert session.query(SessionRow).all() == []
    assert served.client.get("/api/v1/predictions").status_code == 401


def test_a_login_that_is_used_does_not_idle(served: Serving) -> None:
    log_in(served)
    earlier = datetime.now(UTC) - timedelta(minutes=30)
    with served.sessions.begin() as session:
        session.execute(update(SessionRow).values(last_seen_at=earlier))
    served.client.get("/api/v1/predictions")
    with served.sessions() as session:
        [row] = session.query(SessionRow).all()
        assert row.last_seen_at > datetime.now(UTC) - timedelta(minutes=1)


def test_a_disabled_account_is_out_at_once(served: Serving) -> None:
    log_in(served)
    with served.sessions.begin() as session:
        session.execute(update(UserRow).values(disabled_at=datetime.now(UTC)))
    assert served.client.get("/api/v1/predictions").status_code == 401
