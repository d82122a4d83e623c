"""Every route and page, asked by every role and by nobody."""

import re

import pytest

from service.identity.roles import Role
from service.web.prediction.reloaded import SECTIONS
from tests.service.api.serving import Serving, routes_of

EVERY_ROLE = set(Role)

# Who may, by route. A new route has to be added here, or the first test fails.
FOR_ANYBODY = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/docs"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/language"),
    ("GET", "/login/code"),
    ("GET", "/template/mni152_2mm.nii.gz"),
    ("POST", "/login/code"),
    ("GET", "/invitation/{token}"),
    ("POST", "/invitation/{token}"),
}
REST = {
    ("POST", "/api/v1/scans"): EVERY_ROLE,
    ("GET", "/api/v1/scans/{scan_id}"): EVERY_ROLE,
    ("DELETE", "/api/v1/scans/{scan_id}"): EVERY_ROLE,
    ("OPTIONS", "/api/v1/uploads"): EVERY_ROLE,
    ("POST", "/api/v1/uploads"): EVERY_ROLE,
    ("HEAD", "/api/v1/uploads/{upload_id}"): EVERY_ROLE,
    ("PATCH", "/api/v1/uploads/{upload_id}"): EVERY_ROLE,
    ("DELETE", "/api/v1/uploads/{upload_id}"): EVERY_ROLE,
    ("POST", "/api/v1/uploads/{upload_id}/complete"): EVERY_ROLE,
    ("GET", "/api/v1/predictions"): EVERY_ROLE,
    ("GET", "/api/v1/predictions/{prediction_id}"): EVERY_ROLE,
    ("GET", "/api/v1/predictions/{prediction_id}/events"): EVERY_ROLE,
    ("POST", "/api/v1/predictions/{prediction_id}/cancel"): EVERY_ROLE,
    ("POST", "/api/v1/predictions/{prediction_id}/retry"): EVERY_ROLE,
    ("POST", "/api/v1/predictions/{prediction_id}/review"): {Role.CLINICIAN, Role.ADMINISTRATOR},
    ("GET", "/api/v1/predictions/{prediction_id}/reviews"): EVERY_ROLE,
    ("GET", "/api/v1/predictions/{prediction_id}/explanation"): EVERY_ROLE,
    ("POST", "/api/v1/predictions/{prediction_id}/explanation"): EVERY_ROLE,
    ("GET", "/api/v1/predictions/{prediction_id}/explanation.nii.gz"): EVERY_ROLE,
    ("GET", "/api/v1/predictions/{prediction_id}/explanation/{name}"): EVERY_ROLE,
    ("GET", "/api/v1/predictions/{prediction_id}/normalised"): EVERY_ROLE,
    ("GET", "/api/v1/predictions/{prediction_id}/normalised/provenance"): EVERY_ROLE,
    ("GET", "/api/v1/predictions/{prediction_id}/normalised/figures/{name}"): EVERY_ROLE,
    ("GET", "/api/v1/predictions/{prediction_id}/report.html"): EVERY_ROLE,
    ("GET", "/api/v1/predictions/{prediction_id}/report.pdf"): EVERY_ROLE,
    ("GET", "/api/v1/admin/users"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/users"): {Role.ADMINISTRATOR},
    ("PATCH", "/api/v1/admin/users/{user_id}"): {Role.ADMINISTRATOR},
    ("DELETE", "/api/v1/admin/users/{user_id}/logins"): {Role.ADMINISTRATOR},
    ("DELETE", "/api/v1/admin/users/{user_id}/second-factor"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/users/invitations"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/users/invitations"): {Role.ADMINISTRATOR},
    ("DELETE", "/api/v1/admin/users/invitations/{invitation_id}"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/api-keys"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/api-keys"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/api-keys/{key_id}/revoke"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/models"): {Role.ADMINISTRATOR, Role.RESEARCHER},
    ("GET", "/api/v1/admin/models/{model_id}"): {Role.ADMINISTRATOR, Role.RESEARCHER},
    ("POST", "/api/v1/admin/models/{model_id}/promote"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/models/rollback"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/deployments"): {Role.ADMINISTRATOR, Role.RESEARCHER},
    ("GET", "/api/v1/admin/evaluation-sets"): {Role.ADMINISTRATOR, Role.RESEARCHER},
    ("POST", "/api/v1/admin/evaluation-sets"): {Role.ADMINISTRATOR},
    ("DELETE", "/api/v1/admin/evaluation-sets/{set_id}"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/evaluation-sets/{set_id}/use"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/models/{model_id}/evaluations"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/evaluations"): {Role.ADMINISTRATOR, Role.RESEARCHER},
    ("GET", "/api/v1/admin/evaluations/{evaluation_id}"): {Role.ADMINISTRATOR, Role.RESEARCHER},
    ("POST", "/api/v1/admin/evaluations/{evaluation_id}/cancel"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/models/{model_id}/shadow"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/models/{model_id}/shadow"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/models/{model_id}/shadow/end"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/models/{model_id}/shadow/comparison"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/models/{model_id}/shadow/changes"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/rescores"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/rescores"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/rescores/preview"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/rescores/{rescore_id}"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/rescores/{rescore_id}/cancel"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/rescores/{rescore_id}/comparison"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/rescores/{rescore_id}/changes"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/drift"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/drift/references"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/drift/references/{reference_id}/cancel"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/drift/evaluations"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/drift/alarms/acknowledge"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/drift/alarms/{alarm_id}/acknowledge"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/cohorts"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/reviewed-scans"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/training-runs"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/training-runs"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/training-runs/{run_id}"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/training-runs/{run_id}/log"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/training-runs/{run_id}/change-plan.html"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/training-runs/{run_id}/change-plan.pdf"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/training-runs/{run_id}/cancel"): {Role.ADMINISTRATOR},
    ("POST", "/api/v1/admin/training-runs/{run_id}/resume"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/reviews/counts"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/audit"): {Role.ADMINISTRATOR},
    ("GET", "/api/v1/admin/audit/export"): {Role.ADMINISTRATOR},
}
# Of one's own account: for every role, under a login only.
PERSONAL = {
    ("GET", "/api/v1/account/logins"): EVERY_ROLE,
    ("DELETE", "/api/v1/account/logins"): EVERY_ROLE,
    ("DELETE", "/api/v1/account/logins/{login_id}"): EVERY_ROLE,
}
PAGES = {
    ("GET", "/"): EVERY_ROLE,
    ("POST", "/scans"): EVERY_ROLE,
    ("POST", "/scans/{scan_id}/delete"): EVERY_ROLE,
    ("GET", "/predictions"): EVERY_ROLE,
    ("GET", "/predictions/{prediction_id}"): EVERY_ROLE,
    # An address alone, which leads to the prediction's page and shows nothing.
    **{("GET", f"/predictions/{{prediction_id}}/{form}"): EVERY_ROLE for form in SECTIONS},
    ("POST", "/predictions/{prediction_id}/cancel"): EVERY_ROLE,
    ("POST", "/predictions/{prediction_id}/retry"): EVERY_ROLE,
    ("POST", "/predictions/{prediction_id}/review"): {Role.CLINICIAN, Role.ADMINISTRATOR},
    ("POST", "/predictions/{prediction_id}/explanation"): EVERY_ROLE,
    ("GET", "/training"): {Role.ADMINISTRATOR},
    ("POST", "/training"): {Role.ADMINISTRATOR},
    ("GET", "/training/new"): {Role.ADMINISTRATOR},
    ("GET", "/training/{run_id}"): {Role.ADMINISTRATOR},
    ("POST", "/training/{run_id}/cancel"): {Role.ADMINISTRATOR},
    ("POST", "/training/{run_id}/resume"): {Role.ADMINISTRATOR},
    ("GET", "/drift"): {Role.ADMINISTRATOR},
    ("POST", "/drift/references"): {Role.ADMINISTRATOR},
    ("POST", "/drift/references/{reference_id}/cancel"): {Role.ADMINISTRATOR},
    ("POST", "/drift/evaluate"): {Role.ADMINISTRATOR},
    ("POST", "/drift/alarms/{alarm_id}/acknowledge"): {Role.ADMINISTRATOR},
    ("POST", "/drift/alarms/acknowledge"): {Role.ADMINISTRATOR},
    ("GET", "/reviews"): {Role.ADMINISTRATOR},
    ("GET", "/evaluation"): {Role.ADMINISTRATOR, Role.RESEARCHER},
    ("POST", "/evaluation"): {Role.ADMINISTRATOR},
    ("POST", "/evaluation/{set_id}/remove"): {Role.ADMINISTRATOR},
    ("POST", "/evaluation/{set_id}/use"): {Role.ADMINISTRATOR},
    ("GET", "/models/{model_id}/comparison"): {Role.ADMINISTRATOR, Role.RESEARCHER},
    ("POST", "/models/{model_id}/evaluations"): {Role.ADMINISTRATOR},
    ("POST", "/models/{model_id}/evaluations/{evaluation_id}/cancel"): {Role.ADMINISTRATOR},
    ("GET", "/models"): {Role.ADMINISTRATOR, Role.RESEARCHER},
    ("GET", "/models/{model_id}"): {Role.ADMINISTRATOR, Role.RESEARCHER},
    ("POST", "/models/{model_id}/promote"): {Role.ADMINISTRATOR},
    ("POST", "/models/rollback"): {Role.ADMINISTRATOR},
    ("GET", "/models/{model_id}/scores"): {Role.ADMINISTRATOR},
    ("POST", "/models/{model_id}/shadow"): {Role.ADMINISTRATOR},
    ("POST", "/models/{model_id}/shadow/end"): {Role.ADMINISTRATOR},
    ("POST", "/models/{model_id}/rescores"): {Role.ADMINISTRATOR},
    ("GET", "/models/{model_id}/rescores/{rescore_id}"): {Role.ADMINISTRATOR},
    ("POST", "/models/{model_id}/rescores/{rescore_id}/cancel"): {Role.ADMINISTRATOR},
    ("GET", "/users"): {Role.ADMINISTRATOR},
    ("GET", "/users/invitations"): {Role.ADMINISTRATOR},
    ("POST", "/users/invitations"): {Role.ADMINISTRATOR},
    ("POST", "/users/invitations/{invitation_id}/revoke"): {Role.ADMINISTRATOR},
    ("GET", "/users/{user_id}"): {Role.ADMINISTRATOR},
    ("POST", "/users/{user_id}/role"): {Role.ADMINISTRATOR},
    ("POST", "/users/{user_id}/disable"): {Role.ADMINISTRATOR},
    ("POST", "/users/{user_id}/enable"): {Role.ADMINISTRATOR},
    ("POST", "/users/{user_id}/end-logins"): {Role.ADMINISTRATOR},
    ("POST", "/users/{user_id}/reset-second-factor"): {Role.ADMINISTRATOR},
    ("GET", "/keys"): {Role.ADMINISTRATOR},
    ("POST", "/keys"): {Role.ADMINISTRATOR},
    ("POST", "/keys/{key_id}/revoke"): {Role.ADMINISTRATOR},
    ("GET", "/audit"): {Role.ADMINISTRATOR},
    ("GET", "/audit/verify"): {Role.ADMINISTRATOR},
    ("POST", "/audit/verify"): {Role.ADMINISTRATOR},
    ("GET", "/account"): EVERY_ROLE,
    ("POST", "/account/password"): EVERY_ROLE,
    ("POST", "/account/second-factor"): EVERY_ROLE,
    ("POST", "/account/second-factor/confirm"): EVERY_ROLE,
    ("POST", "/account/second-factor/remove"): EVERY_ROLE,
    ("POST", "/account/logins/end-others"): EVERY_ROLE,
    ("POST", "/account/logins/{login_id}/end"): EVERY_ROLE,
    # Last: it ends the login that the others are tried with.
    ("POST", "/logout"): EVERY_ROLE,
}


def concrete(path: str) -> str:
    path = path.replace("{name}", "carpet.png")
    return re.sub(r"\{\w+\}", "00000000-0000-0000-0000-000000000000", path)


def test_the_tables_have_every_route_and_page(served: Serving) -> None:
    assert set(routes_of(served.app)) == FOR_ANYBODY | REST.keys() | PERSONAL.keys() | PAGES.keys()
    document = served.client.get("/api/openapi.json").json()
    described = {
        (method.upper(), path) for path, operations in document["paths"].items() for method in operations
    }
    assert described <= FOR_ANYBODY | REST.keys() | PERSONAL.keys()


def test_nobody_gets_in_without_an_account_except_where_anybody_may(served: Serving) -> None:
    for method, path in REST | PERSONAL:
        answer = served.client.request(method, concrete(path))
        assert answer.status_code == 401, (method, path)
        # An answer to HEAD has no body.
        assert method == "HEAD" or answer.json()["code"] == "authentication_required", (method, path)
    for method, path in PAGES:
        answer = served.client.request(method, concrete(path), headers={"Accept": "text/html"})
        assert (answer.status_code, answer.headers["location"][:6]) == (303, "/login"), (method, path)
    for method, path in FOR_ANYBODY:
        answer = served.client.request(method, concrete(path))
        if path == "/login/code" and method == "GET":
            # Without a password that was right it is asked for first.
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
            continue
        if path == "/invitation/{token}":
            # A link that nobody was given opens nothing, whoever asks.
            assert answer.status_code == 404
            continue
        # Without a model the service is not ready; a log-in form without a name is not valid.
        assert answer.status_code in {200, 422, 503}, (method, path)


@pytest.mark.parametrize("role", list(Role))
def test_a_program_may_what_its_accounts_role_may(served: Serving, role: Role) -> None:
    key = served.key(role=role)
    for (method, path), roles in REST.items():
        answer = served.client.request(method, concrete(path), headers=key)
        refused = answer.status_code == 403
        assert refused == (role not in roles), (method, path)
        if refused:
            assert answer.json()["code"] == "permission_denied"
            assert answer.json()["details"] == {
                "role": role,
                "allowed": [one for one in Role if one in roles],
            }
        else:
            # At fault is the empty request, an identifier that nothing has, or that no model answers.
            assert answer.status_code in {200, 204, 404, 409, 415, 422}, (method, path)


@pytest.mark.parametrize("role", list(Role))
def test_no_program_sees_or_changes_its_accounts_logins(served: Serving, role: Role) -> None:
    key = served.key(role=role)
    for method, path in PERSONAL:
        answer = served.client.request(method, concrete(path), headers=key)
        assert (answer.status_code, answer.json()["code"]) == (403, "login_required"), (method, path)


@pytest.mark.parametrize("role", list(Role))
def test_a_person_may_what_their_role_may(served: Serving, role: Role) -> None:
    token = served.log_in(served.user("person", role))
    for (method, path), roles in (REST | PERSONAL | PAGES).items():
        headers = {"X-CSRF-Token": token, "Accept": "text/html"}
        answer = served.client.request(method, concrete(path), headers=headers)
        assert (answer.status_code == 403) == (role not in roles), (method, path)
        assert answer.status_code != 401, (method, path)
        assert not answer.headers.get("location", "").startswith("/login?"), (method, path)
