"""Accounts, keys, models and the audit, as an administrator uses them."""

from datetime import UTC, datetime, timedelta

import pytest

from service.identity.roles import Role
from tests.service.api.serving import PASSWORD, Serving


def test_an_account_is_added_and_can_log_in(served: Serving) -> None:
    key = served.key(role=Role.ADMINISTRATOR)
    wanted = {"username": "M.Keller", "password": PASSWORD, "role": "clinician"}
    answer = served.client.post("/api/v1/admin/users", headers=key, json=wanted)
    assert answer.status_code == 201
    assert (answer.json()["username"], answer.json()["role"]) == ("m.keller", "clinician")
    assert PASSWORD not in answer.text
    login = served.client.post("/login", data={"username": "m.keller", "password": PASSWORD})
    assert login.status_code == 303
    names = [
        user["username"] for user in served.client.get("/api/v1/admin/users", headers=key).json()["items"]
    ]
    assert names == ["m.keller", "machine"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"username": "MACHINE"}, 409, "username_taken"),
        ({"username": "a b"}, 422, "username_not_valid"),
        ({"username": "a\x00"}, 422, "username_not_valid"),
        ({"password": "short"}, 422, "password_length"),
        ({"password": "x" * 257}, 422, "password_length"),
        ({"password": "password1234"}, 422, "password_guessable"),
        ({"role": "king"}, 422, "request_not_valid"),
        ({"extra": 1}, 422, "request_not_valid"),
    ],
)
def test_an_account_that_cannot_be_is_refused(
    served: Serving, change: dict[str, object], status: int, code: str
) -> None:
    wanted = {"username": "new", "password": PASSWORD, "role": "clinician"} | change
    answer = served.client.post(
        "/api/v1/admin/users", headers=served.key(role=Role.ADMINISTRATOR), json=wanted
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_key_is_shown_once_works_and_is_revoked(served: Serving) -> None:
    admin = served.key(role=Role.ADMINISTRATOR)
    served.user("pacs", Role.INTEGRATOR)
    wanted = {"name": "PACS bridge", "username": "pacs", "expires_in_days": 30}
    issued = served.client.post("/api/v1/admin/api-keys", headers=admin, json=wanted)
    assert issued.status_code == 201
    made = issued.json()
    assert made["key"].startswith(made["prefix"])
    assert made["key"].startswith("rnk_")
    ends = datetime.fromisoformat(made["expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=1)
    bearer = {"Authorization": f"Bearer {made['key']}"}
    assert served.client.get("/api/v1/predictions", headers=bearer).status_code == 200
    assert served.client.get("/api/v1/admin/users", headers=bearer).status_code == 403
    listed = served.client.get("/api/v1/admin/api-keys", headers=admin)
    assert made["key"] not in listed.text
    assert {key["name"] for key in listed.json()["items"]} == {"PACS bridge", "test"}
    for _ in range(2):
        revoked = served.client.post(f"/api/v1/admin/api-keys/{made['id']}/revoke", headers=admin)
        assert revoked.status_code == 200
        assert revoked.json()["revoked_at"] is not None
    assert served.client.get("/api/v1/predictions", headers=bearer).status_code == 401


def test_a_key_for_nobody_is_refused(served: Serving) -> None:
    admin = served.key(role=Role.ADMINISTRATOR)
    answer = served.client.post(
        "/api/v1/admin/api-keys", headers=admin, json={"name": "x", "username": "nobody"}
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "account_not_found")
    answer = served.client.post("/api/v1/admin/api-keys/unknown/revoke", headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (404, "api_key_not_found")


def test_models_are_listed_with_their_cards(served: Serving) -> None:
    served.register_model()
    [model] = served.client.get("/api/v1/admin/models", headers=served.key(role=Role.RESEARCHER)).json()[
        "items"
    ]
    assert (model["active"], model["card"]["intended_use"]) == (True, "demonstration")


def test_the_audit_tells_what_was_done_newest_first_in_pages(served: Serving) -> None:
    admin = served.key(role=Role.ADMINISTRATOR)
    accepted = served.upload(served.key("doctor"), subject_id="P-17")
    served.client.post(accepted["links"]["prediction"] + "/cancel", headers=admin)
    told = []
    cursor = None
    while not told or cursor:
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = served.client.get("/api/v1/admin/audit", headers=admin, params=query).json()
        told += page["items"]
        cursor = page["next_cursor"]
    assert [(event["sequence"], event["action"]) for event in told] == [
        (4, "audit.read"),
        (3, "prediction.read"),
        (2, "prediction.cancel"),
        (1, "scan.upload"),
    ]
    assert told[-1]["subject_id"] == accepted["scan_id"]
    assert {event["address"] for event in told} == {"127.0.0.1"}
    assert [event["previous_hash"] for event in told] == [event["hash"] for event in told[1:]] + ["0" * 64]
    assert "P-17" not in served.client.get("/api/v1/admin/audit", headers=admin).text
    chosen = {"subject_id": accepted["prediction_id"]}
    found = served.client.get("/api/v1/admin/audit", headers=admin, params=chosen).json()["items"]
    assert [event["action"] for event in found] == ["audit.read", "prediction.read", "prediction.cancel"]


def test_accounts_are_paged(served: Serving) -> None:
    admin = served.key(role=Role.ADMINISTRATOR)
    for name in ("a", "b", "c"):
        served.user(name)
    names: list[str] = []
    cursor = None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = served.client.get("/api/v1/admin/users", headers=admin, params=query).json()
        names += [user["username"] for user in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == ["c", "b", "a", "machine"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a\x00b", "api_key_name_not_valid"),
        ("a\nb", "api_key_name_not_valid"),
        ("\x1b[31m", "api_key_name_not_valid"),
        ("x" * 101, "request_not_valid"),
    ],
)
def test_a_key_whose_name_no_list_can_show_is_refused(served: Serving, name: str, code: str) -> None:
    admin = served.key(role=Role.ADMINISTRATOR)
    answer = served.client.post("/api/v1/admin/api-keys", headers=admin, json={"name": name})
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_an_administrator_ends_anybodys_logins_and_leaves_the_rest(served: Serving) -> None:
    served.log_in(served.user("doctor"))
    doctors = dict(served.client.cookies)
    key = served.key("doctor")
    served.log_in(served.user("another"))
    others = dict(served.client.cookies)
    served.client.cookies.clear()
    admin = served.key("root", Role.ADMINISTRATOR)
    listed = served.client.get("/api/v1/admin/users", headers=admin).json()["items"]
    [user_id] = [user["id"] for user in listed if user["username"] == "doctor"]
    for expected in (1, 0):
        answer = served.client.delete(f"/api/v1/admin/users/{user_id}/logins", headers=admin)
        assert (answer.status_code, answer.json()) == (200, {"ended": expected})
    assert served.client.get("/api/v1/predictions", headers=key).status_code == 200
    for cookies, status in ((doctors, 401), (others, 200)):
        served.client.cookies.clear()
        served.client.cookies.update(cookies)
        assert served.client.get("/api/v1/predictions").status_code == status
    served.client.cookies.clear()
    events = served.client.get("/api/v1/admin/audit", headers=admin, params={"subject_id": user_id}).json()
    told = [event for event in events["items"] if event["action"] == "login.revoke"]
    assert [len(event["details"]["ids"]) for event in told] == [0, 1]
    assert {event["actor"].partition(":")[0] for event in told} == {"key"}
