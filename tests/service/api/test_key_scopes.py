"""What an API key may do: never more than its scopes, and never more than its account."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.identity.permissions import Permission
from service.identity.roles import Role
from service.identity.scopes import EVERY_SCOPE, SCOPE_OF, SCOPES_OF_ROLE, Scope
from tests.service.api.serving import Serving, routes_of, scan_bytes
from tests.service.api.test_permissions import REST

# What a key needs, by route. A new route has to be added here, or the first test fails.
SCOPE_OF_ROUTE = {
    ("POST", "/api/v1/scans"): Scope.SCANS_WRITE,
    ("GET", "/api/v1/scans/{scan_id}"): Scope.SCANS_READ,
    ("DELETE", "/api/v1/scans/{scan_id}"): Scope.SCANS_WRITE,
    ("OPTIONS", "/api/v1/uploads"): Scope.SCANS_WRITE,
    ("POST", "/api/v1/uploads"): Scope.SCANS_WRITE,
    ("HEAD", "/api/v1/uploads/{upload_id}"): Scope.SCANS_WRITE,
    ("PATCH", "/api/v1/uploads/{upload_id}"): Scope.SCANS_WRITE,
    ("DELETE", "/api/v1/uploads/{upload_id}"): Scope.SCANS_WRITE,
    ("POST", "/api/v1/uploads/{upload_id}/complete"): Scope.SCANS_WRITE,
    ("GET", "/api/v1/predictions"): Scope.PREDICTIONS_READ,
    ("GET", "/api/v1/predictions/{prediction_id}"): Scope.PREDICTIONS_READ,
    ("GET", "/api/v1/predictions/{prediction_id}/events"): Scope.PREDICTIONS_READ,
    ("POST", "/api/v1/predictions/{prediction_id}/cancel"): Scope.PREDICTIONS_WRITE,
    ("POST", "/api/v1/predictions/{prediction_id}/retry"): Scope.PREDICTIONS_WRITE,
    ("POST", "/api/v1/predictions/{prediction_id}/review"): Scope.PREDICTIONS_WRITE,
    ("GET", "/api/v1/predictions/{prediction_id}/reviews"): Scope.PREDICTIONS_READ,
    ("GET", "/api/v1/predictions/{prediction_id}/explanation"): Scope.PREDICTIONS_READ,
    ("POST", "/api/v1/predictions/{prediction_id}/explanation"): Scope.PREDICTIONS_WRITE,
    ("GET", "/api/v1/predictions/{prediction_id}/explanation.nii.gz"): Scope.PREDICTIONS_READ,
    ("GET", "/api/v1/predictions/{prediction_id}/normalised"): Scope.PREDICTIONS_READ,
    ("GET", "/api/v1/predictions/{prediction_id}/normalised/provenance"): Scope.PREDICTIONS_READ,
    ("GET", "/api/v1/predictions/{prediction_id}/normalised/figures/{name}"): Scope.PREDICTIONS_READ,
    ("GET", "/api/v1/predictions/{prediction_id}/explanation/{name}"): Scope.PREDICTIONS_READ,
    ("GET", "/api/v1/predictions/{prediction_id}/report.html"): Scope.PREDICTIONS_READ,
    ("GET", "/api/v1/predictions/{prediction_id}/report.pdf"): Scope.PREDICTIONS_READ,
    ("GET", "/api/v1/admin/users"): Scope.ADMIN,
    ("POST", "/api/v1/admin/users"): Scope.ADMIN,
    ("PATCH", "/api/v1/admin/users/{user_id}"): Scope.ADMIN,
    ("DELETE", "/api/v1/admin/users/{user_id}/logins"): Scope.ADMIN,
    ("DELETE", "/api/v1/admin/users/{user_id}/second-factor"): Scope.ADMIN,
    ("GET", "/api/v1/admin/users/invitations"): Scope.ADMIN,
    ("POST", "/api/v1/admin/users/invitations"): Scope.ADMIN,
    ("DELETE", "/api/v1/admin/users/invitations/{invitation_id}"): Scope.ADMIN,
    ("GET", "/api/v1/admin/api-keys"): Scope.ADMIN,
    ("POST", "/api/v1/admin/api-keys"): Scope.ADMIN,
    ("POST", "/api/v1/admin/api-keys/{key_id}/revoke"): Scope.ADMIN,
    ("GET", "/api/v1/admin/models"): Scope.MODELS_READ,
    ("GET", "/api/v1/admin/models/{model_id}"): Scope.MODELS_READ,
    ("POST", "/api/v1/admin/models/{model_id}/promote"): Scope.ADMIN,
    ("POST", "/api/v1/admin/models/rollback"): Scope.ADMIN,
    ("GET", "/api/v1/admin/deployments"): Scope.MODELS_READ,
    ("GET", "/api/v1/admin/evaluation-sets"): Scope.MODELS_READ,
    ("POST", "/api/v1/admin/evaluation-sets"): Scope.ADMIN,
    ("DELETE", "/api/v1/admin/evaluation-sets/{set_id}"): Scope.ADMIN,
    ("POST", "/api/v1/admin/evaluation-sets/{set_id}/use"): Scope.ADMIN,
    ("POST", "/api/v1/admin/models/{model_id}/evaluations"): Scope.ADMIN,
    ("GET", "/api/v1/admin/evaluations"): Scope.MODELS_READ,
    ("GET", "/api/v1/admin/evaluations/{evaluation_id}"): Scope.MODELS_READ,
    ("POST", "/api/v1/admin/evaluations/{evaluation_id}/cancel"): Scope.ADMIN,
    ("GET", "/api/v1/admin/models/{model_id}/shadow"): Scope.ADMIN,
    ("POST", "/api/v1/admin/models/{model_id}/shadow"): Scope.ADMIN,
    ("POST", "/api/v1/admin/models/{model_id}/shadow/end"): Scope.ADMIN,
    ("GET", "/api/v1/admin/models/{model_id}/shadow/comparison"): Scope.ADMIN,
    ("GET", "/api/v1/admin/models/{model_id}/shadow/changes"): Scope.ADMIN,
    ("GET", "/api/v1/admin/rescores"): Scope.ADMIN,
    ("POST", "/api/v1/admin/rescores"): Scope.ADMIN,
    ("GET", "/api/v1/admin/rescores/preview"): Scope.ADMIN,
    ("GET", "/api/v1/admin/rescores/{rescore_id}"): Scope.ADMIN,
    ("POST", "/api/v1/admin/rescores/{rescore_id}/cancel"): Scope.ADMIN,
    ("GET", "/api/v1/admin/rescores/{rescore_id}/comparison"): Scope.ADMIN,
    ("GET", "/api/v1/admin/rescores/{rescore_id}/changes"): Scope.ADMIN,
    ("GET", "/api/v1/admin/drift"): Scope.ADMIN,
    ("POST", "/api/v1/admin/drift/references"): Scope.ADMIN,
    ("POST", "/api/v1/admin/drift/references/{reference_id}/cancel"): Scope.ADMIN,
    ("POST", "/api/v1/admin/drift/evaluations"): Scope.ADMIN,
    ("POST", "/api/v1/admin/drift/alarms/acknowledge"): Scope.ADMIN,
    ("POST", "/api/v1/admin/drift/alarms/{alarm_id}/acknowledge"): Scope.ADMIN,
    ("GET", "/api/v1/admin/cohorts"): Scope.ADMIN,
    ("GET", "/api/v1/admin/reviewed-scans"): Scope.ADMIN,
    ("POST", "/api/v1/admin/training-runs"): Scope.ADMIN,
    ("GET", "/api/v1/admin/training-runs"): Scope.ADMIN,
    ("GET", "/api/v1/admin/training-runs/{run_id}"): Scope.ADMIN,
    ("GET", "/api/v1/admin/training-runs/{run_id}/log"): Scope.ADMIN,
    ("GET", "/api/v1/admin/training-runs/{run_id}/change-plan.html"): Scope.ADMIN,
    ("GET", "/api/v1/admin/training-runs/{run_id}/change-plan.pdf"): Scope.ADMIN,
    ("POST", "/api/v1/admin/training-runs/{run_id}/cancel"): Scope.ADMIN,
    ("POST", "/api/v1/admin/training-runs/{run_id}/resume"): Scope.ADMIN,
    ("GET", "/api/v1/admin/reviews/counts"): Scope.ADMIN,
    ("GET", "/api/v1/admin/audit"): Scope.ADMIN,
    ("GET", "/api/v1/admin/audit/export"): Scope.ADMIN,
}


def test_the_table_has_every_route(served: Serving) -> None:
    routes = {route for route in routes_of(served.app) if route[1].startswith("/api/v1/")}
    # One's own account is for no key at all, whatever its scopes.
    routes = {route for route in routes if not route[1].startswith("/api/v1/account/")}
    assert routes == SCOPE_OF_ROUTE.keys()
    assert set(SCOPE_OF_ROUTE.values()) == EVERY_SCOPE


def is_let_in(served: Serving, method: str, path: str, key: dict[str, str]) -> bool:
    answer = served.client.request(method, path, headers=key)
    if method == "HEAD":
        # Its answers have no body, and so no code.
        return answer.status_code not in {401, 403, 500}
    code = answer.json().get("code") if answer.content and answer.status_code >= 400 else None
    assert code not in {"authentication_required", "internal_error"}
    return code not in {"scope_missing", "permission_denied"}


def test_every_route_asks_every_key_for_its_scope(served: Serving) -> None:
    keys = {
        (role, scope): served.key(f"{role}", role, scopes=[scope])
        for role in (Role.RESEARCHER, Role.ADMINISTRATOR)
        for scope in SCOPES_OF_ROLE[role]
    }
    for (method, path), needed in SCOPE_OF_ROUTE.items():
        named = path.replace("{name}", "carpet.png")
        concrete = re.sub(r"\{\w+\}", "00000000-0000-0000-0000-000000000000", named)
        for (role, scope), key in keys.items():
            # A scope opens no more than the role of the account.
            expected = scope == needed and role in REST[method, path]
            assert is_let_in(served, method, concrete, key) == expected, (method, path, role, scope)


def test_every_permission_but_a_reach_has_its_scope() -> None:
    assert SCOPE_OF.keys() == set(Permission)
    # How far the others reach: nothing is asked for it alone.
    assert [each for each, scope in SCOPE_OF.items() if scope is None] == [Permission.READ_EVERYBODYS_SCANS]


def test_a_key_for_uploads_alone_says_what_it_lacks(served: Serving) -> None:
    key = served.key(scopes=[Scope.SCANS_WRITE])
    accepted = served.upload(key)
    refused = served.client.get(accepted["links"]["prediction"], headers=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert refused.json()["details"] == {"needed": "predictions:read", "found": ["scans:write"]}


def test_a_key_opens_no_page(served: Serving) -> None:
    served.upload(served.key())
    key = served.key(scopes=[Scope.SCANS_WRITE])
    for path in ("/", "/predictions"):
        assert served.client.get(path, headers=key).status_code == 401
    assert (
        served.client.post("/scans", headers=key, files={"scan": ("s.nii.gz", scan_bytes())}).status_code
        == 401
    )


def issue(served: Serving, **wanted: Any) -> dict[str, Any]:
    admin = served.key("root", Role.ADMINISTRATOR)
    answer = served.client.post("/api/v1/admin/api-keys", headers=admin, json={"name": "k", **wanted})
    return {"status": answer.status_code, **answer.json()}


def test_administration_has_to_be_asked_for(served: Serving) -> None:
    made = issue(served)
    assert set(made["scopes"]) == EVERY_SCOPE - {Scope.ADMIN}
    key = {"Authorization": f"Bearer {made['key']}"}
    assert served.client.get("/api/v1/predictions", headers=key).status_code == 200
    assert served.client.get("/api/v1/admin/users", headers=key).json()["code"] == "scope_missing"
    asked = issue(served, scopes=["admin"])
    key = {"Authorization": f"Bearer {asked['key']}"}
    assert served.client.get("/api/v1/admin/users", headers=key).status_code == 200
    assert served.client.get("/api/v1/predictions", headers=key).json()["code"] == "scope_missing"


def test_a_key_is_never_allowed_more_than_its_account(served: Serving) -> None:
    served.user("pacs", Role.INTEGRATOR)
    refused = issue(served, username="pacs", scopes=["scans:write", "admin"])
    assert (refused["status"], refused["code"]) == (422, "scope_not_allowed")
    assert refused["details"]["found"] == ["admin", "scans:write"]
    assert "admin" not in refused["details"]["allowed"]
    assert issue(served, username="pacs", scopes=[])["code"] == "scope_not_allowed"
    assert issue(served, username="pacs", scopes=["everything"])["code"] == "request_not_valid"
    listed = served.client.get("/api/v1/admin/api-keys", headers=served.key("root")).json()["items"]
    assert {key["username"] for key in listed} == {"root"}


@pytest.mark.parametrize(
    ("asked", "days"), [({}, 365), ({"expires_in_days": None}, 365), ({"expires_in_days": 7}, 7)]
)
def test_a_key_ends_after_a_year_unless_asked_otherwise(
    served: Serving, asked: dict[str, Any], days: int
) -> None:
    ends = datetime.fromisoformat(issue(served, **asked)["expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)


def test_a_key_without_an_end_has_to_be_asked_for(served: Serving) -> None:
    assert issue(served, expires_in_days="never")["expires_at"] is None
    for given in (0, 3651, "soon", 1.5):
        refusal = issue(served, expires_in_days=given)
        assert refusal["code"] == "request_not_valid"
        assert [problem["where"] for problem in refusal["details"]["errors"]] == ["body.expires_in_days"]
