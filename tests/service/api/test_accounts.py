"""Accounts that change, over REST: roles, who is shut out, and what becomes of keys and invitations."""

from typing import Any

import pytest
from sqlalchemy import select

from service.api.access.principal import Principal
from service.api.resources import Resources
from service.db.restricted import OrganisationSessions
from service.db.rows import ApiKeyRow, InvitationRow
from service.identity.accounts import find_user, require_user
from service.identity.roles import Role
from service.identity.scopes import Scope
from tests.service.api.serving import PASSWORD, Serving


def id_of(served: Serving, username: str) -> str:
    with served.sessions() as session:
        return require_user(session, username=username).id


def change(served: Serving, key: dict[str, str], username: str, **changes: Any) -> Any:
    address = f"/api/v1/admin/users/{id_of(served, username)}"
    return served.client.patch(address, headers=key, json=changes)


def told_of(served: Serving, key: dict[str, str], subject_id: str) -> list[dict[str, Any]]:
    found = served.client.get("/api/v1/admin/audit", headers=key, params={"subject_id": subject_id})
    return [event for event in found.json()["items"] if event["action"] != "audit.read"]


def test_who_is_shut_out_is_out_at_once_and_comes_back_with_keys_and_password(served: Serving) -> None:
    admin = served.key("root", Role.ADMINISTRATOR)
    served.log_in(served.user("doctor"))
    key = served.key("doctor")
    assert served.client.get("/api/v1/predictions", headers=key).status_code == 200
    for _ in range(2):
        answer = change(served, admin, "doctor", disabled=True)
        assert (answer.status_code, answer.json()["role"]) == (200, "clinician")
        assert answer.json()["disabled_at"] is not None
    assert served.client.get("/api/v1/predictions").status_code == 401
    assert served.client.get("/api/v1/predictions", headers=key).json()["code"] == "api_key_not_valid"
    login = {"username": "doctor", "password": PASSWORD}
    assert served.client.post("/login", data=login).status_code == 401
    assert change(served, admin, "doctor", disabled=False).json()["disabled_at"] is None
    assert served.client.get("/api/v1/predictions", headers=key).status_code == 200
    # The login that ended stays so.
    assert served.client.get("/api/v1/predictions").status_code == 401
    assert served.client.post("/login", data=login).status_code == 303
    actions = [event["action"] for event in told_of(served, admin, id_of(served, "doctor"))]
    assert actions == ["login.begin", "user.enable", "login.refused", "user.disable", "login.begin"]


def test_another_role_counts_from_the_next_request_and_narrows_keys(served: Serving) -> None:
    admin = served.key("root", Role.ADMINISTRATOR)
    other = served.key("other", Role.ADMINISTRATOR, scopes=[Scope.ADMIN, Scope.PREDICTIONS_READ])
    lost = served.key("other", scopes=[Scope.ADMIN])
    assert served.client.get("/api/v1/admin/users", headers=other).status_code == 200
    assert change(served, admin, "other", role="integrator").json()["role"] == "integrator"
    assert served.client.get("/api/v1/admin/users", headers=other).json()["code"] == "permission_denied"
    assert served.client.get("/api/v1/predictions", headers=other).status_code == 200
    assert served.client.get("/api/v1/predictions", headers=lost).status_code == 401
    [event] = told_of(served, admin, id_of(served, "other"))
    assert (event["action"], event["details"]["role"]) == ("user.role", "integrator")
    assert [len(event["details"][name]) for name in ("keys_narrowed", "keys_revoked")] == [1, 1]
    # What the role took is not given back by it.
    change(served, admin, "other", role="administrator")
    assert served.client.get("/api/v1/admin/users", headers=other).json()["code"] == "scope_missing"


@pytest.mark.parametrize("changes", [{"disabled": True}, {"role": "clinician"}])
def test_nobody_locks_themselves_out(served: Serving, changes: dict[str, Any]) -> None:
    served.user("another", Role.ADMINISTRATOR)
    answer = change(served, served.key("root", Role.ADMINISTRATOR), "root", **changes)
    assert (answer.status_code, answer.json()["code"]) == (409, "own_account")


def test_a_refused_change_changes_nothing_at_all(served: Serving) -> None:
    admin = served.key("root", Role.ADMINISTRATOR)
    served.user("doctor")
    for wrong in (
        {"role": "king"},
        {"disabled": "perhaps"},
        {"disabled": 0},
        {"password": "x"},
        {"role": "researcher", "x": 1},
    ):
        answer = change(served, admin, "doctor", **wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    assert change(served, admin, "doctor").json()["role"] == "clinician"
    assert told_of(served, admin, id_of(served, "doctor")) == []


def invite(served: Serving, key: dict[str, str], **wanted: Any) -> Any:
    return served.client.post("/api/v1/admin/users/invitations", headers=key, json=wanted)


def test_an_invitation_is_listed_without_its_link_and_withdrawn(served: Serving) -> None:
    admin = served.key("root", Role.ADMINISTRATOR)
    answer = invite(served, admin, username="M.Keller", role="researcher")
    assert answer.status_code == 201
    made = answer.json()
    token = made["link"].removeprefix("http://testserver/invitation/")
    assert len(token) == 43
    assert (made["username"], made["role"], made["state"]) == ("m.keller", "researcher", "open")
    listed = served.client.get("/api/v1/admin/users/invitations", headers=admin)
    assert token not in listed.text
    assert [item["id"] for item in listed.json()["items"]] == [made["id"]]
    for _ in range(2):
        address = f"/api/v1/admin/users/invitations/{made['id']}"
        assert served.client.delete(address, headers=admin).status_code == 204
    assert served.client.get(f"/invitation/{token}").status_code == 404
    [item] = served.client.get("/api/v1/admin/users/invitations", headers=admin).json()["items"]
    assert item["state"] == "revoked"
    actions = [event["action"] for event in told_of(served, admin, made["id"])]
    assert actions == ["invitation.revoke", "user.invite"]


def test_who_is_invited_again_has_one_link_that_opens(served: Serving) -> None:
    admin = served.key("root", Role.ADMINISTRATOR)
    links = [invite(served, admin, username="new", role="clinician").json()["link"] for _ in range(2)]
    assert [served.client.get(link).status_code for link in links] == [404, 200]
    listed = served.client.get("/api/v1/admin/users/invitations", headers=admin).json()["items"]
    [earlier] = [item["id"] for item in listed if item["state"] == "revoked"]
    actions = [event["action"] for event in told_of(served, admin, earlier)]
    assert actions == ["invitation.revoke", "user.invite"]


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"username": "ROOT"}, 409, "username_taken"),
        ({"username": "a b"}, 422, "username_not_valid"),
        ({"role": "king"}, 422, "request_not_valid"),
        ({"password": "x"}, 422, "request_not_valid"),
    ],
)
def test_an_invitation_that_cannot_be_is_refused(
    served: Serving, wanted: dict[str, Any], status: int, code: str
) -> None:
    admin = served.key("root", Role.ADMINISTRATOR)
    answer = invite(served, admin, **({"username": "new", "role": "clinician"} | wanted))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_name_of_another_organisation_is_not_invited(served: Serving) -> None:
    # As over an account that is added: the log-in page asks for no organisation, so names are everybody's.
    served.user("doctor", organisation_id=served.organisation("elsewhere"))
    admin = served.key("root", Role.ADMINISTRATOR)
    answer = invite(served, admin, username="Doctor", role="clinician")
    assert (answer.status_code, answer.json()["code"]) == (409, "username_taken")


@pytest.mark.parametrize("changes", [{"disabled": True}, {"role": "clinician"}])
def test_the_invitations_of_who_administers_no_more_are_withdrawn(
    served: Serving, changes: dict[str, Any]
) -> None:
    admin = served.key("root", Role.ADMINISTRATOR)
    link = invite(served, served.key("left", Role.ADMINISTRATOR), username="new", role="administrator").json()
    kept = invite(served, admin, username="kept", role="clinician").json()
    assert change(served, admin, "left", **changes).status_code == 200
    assert served.client.get(link["link"]).status_code == 404
    assert served.client.get(kept["link"]).status_code == 200


def test_the_invitations_address_names_its_own_methods_alone(served: Serving) -> None:
    answer = served.client.put("/api/v1/admin/users/invitations")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    answer = served.client.put(f"/api/v1/admin/users/{'0' * 36}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "PATCH")


def test_a_request_that_an_administrator_had_sent_does_nothing_once_they_are_none(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = served.key("root", Role.ADMINISTRATOR)
    served.user("late", Role.ADMINISTRATOR)
    served.user("doctor")
    sessions_for = type(served.resources).sessions_for

    def overtaken(resources: Resources, principal: Principal) -> OrganisationSessions:
        monkeypatch.setattr(type(resources), "sessions_for", sessions_for)
        assert change(served, admin, "late", role="clinician").status_code == 200
        return sessions_for(resources, principal)

    added = {"username": "new", "password": PASSWORD, "role": "administrator"}
    for method, path, body in (
        ("POST", "users", added),
        ("POST", "users/invitations", {"username": "new", "role": "administrator"}),
        ("POST", "api-keys", {"name": "kept", "scopes": ["admin"]}),
        ("PATCH", f"users/{id_of(served, 'doctor')}", {"disabled": True}),
    ):
        change(served, admin, "late", role="administrator")
        monkeypatch.setattr(type(served.resources), "sessions_for", overtaken)
        key = served.key("late", scopes=[Scope.ADMIN])
        answer = served.client.request(method, f"/api/v1/admin/{path}", headers=key, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "administrator_no_more"), path
    with served.sessions() as session:
        assert find_user(session, username="new") is None
        assert require_user(session, username="doctor").disabled_at is None
        assert session.scalars(select(InvitationRow)).all() == []
        assert "kept" not in set(session.scalars(select(ApiKeyRow.name)))
