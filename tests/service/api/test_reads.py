"""Whoever is shown something about a person is in the audit, or is shown nothing."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import event, select, text
from starlette.routing import Route

from service.audit import ReadLog
from service.audit.verification import verify
from service.db.rows import AuditEventRow
from service.identity.roles import Role
from service.web.prediction.reloaded import SECTIONS
from tests.service.api.scoring_rows import begin_batch, put_in_shadow, score
from tests.service.api.serving import PASSWORD, Serving, sample_result

# Each route that shows what the database holds, and the event of showing it.
READS = {
    "/api/v1/scans/{scan_id}": ("scan.read", "scan_id"),
    "/api/v1/predictions": ("prediction.list", "list"),
    "/api/v1/predictions/{prediction_id}": ("prediction.read", "prediction_id"),
    "/api/v1/predictions/{prediction_id}/events": ("prediction.read", "prediction_id"),
    "/api/v1/predictions/{prediction_id}/reviews": ("review.read", "prediction_id"),
    "/api/v1/predictions/{prediction_id}/explanation": ("explanation.read", "prediction_id"),
    "/api/v1/predictions/{prediction_id}/explanation.nii.gz": ("explanation.read", "prediction_id"),
    "/api/v1/predictions/{prediction_id}/explanation/{name}": ("explanation.read", "prediction_id"),
    "/api/v1/predictions/{prediction_id}/normalised": ("normalised_scan.read", "prediction_id"),
    "/api/v1/predictions/{prediction_id}/normalised/provenance": ("normalised_scan.read", "prediction_id"),
    "/api/v1/predictions/{prediction_id}/normalised/figures/{name}": (
        "normalised_scan.read",
        "prediction_id",
    ),
    "/api/v1/predictions/{prediction_id}/report.html": ("prediction.report", "prediction_id"),
    "/api/v1/predictions/{prediction_id}/report.pdf": ("prediction.report", "prediction_id"),
    "/api/v1/admin/users": ("user.list", "list"),
    "/api/v1/admin/users/invitations": ("invitation.list", "list"),
    "/api/v1/admin/api-keys": ("api_key.list", "list"),
    "/api/v1/admin/audit": ("audit.read", "list"),
    "/api/v1/admin/audit/export": ("audit.export", "list"),
    "/api/v1/admin/reviews/counts": ("review.count", "list"),
    "/api/v1/admin/reviewed-scans": ("review.count", "list"),
    "/training/new": ("review.count", "list"),
    "/reviews": ("review.count", "list"),
    "/api/v1/admin/models/{model_id}/shadow/changes": ("prediction.list", "list"),
    "/api/v1/admin/rescores/{rescore_id}/changes": ("prediction.list", "list"),
    "/models/{model_id}/scores": ("prediction.list", "list"),
    "/models/{model_id}/rescores/{rescore_id}": ("prediction.list", "list"),
    "/users": ("user.list", "list"),
    "/users/{user_id}": ("user.read", "user_id"),
    "/keys": ("api_key.list", "list"),
    "/audit": ("audit.read", "list"),
    "/predictions": ("prediction.list", "list"),
    "/predictions/{prediction_id}": ("prediction.read", "prediction_id"),
}
# What shows nothing about anybody: the program itself, its figures, its models, their training and its forms.
NOBODYS = {
    "/",
    "/login",
    "/login/code",
    "/template/mni152_2mm.nii.gz",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/docs",
    "/api/openapi.json",
    "/api/v1/admin/models",
    "/api/v1/admin/models/{model_id}",
    "/api/v1/admin/deployments",
    "/api/v1/admin/models/{model_id}/shadow",
    "/api/v1/admin/models/{model_id}/shadow/comparison",
    "/api/v1/admin/rescores",
    "/api/v1/admin/rescores/preview",
    "/api/v1/admin/rescores/{rescore_id}",
    "/api/v1/admin/rescores/{rescore_id}/comparison",
    # Figures of groups of scans.
    "/api/v1/admin/drift",
    "/drift",
    "/models",
    "/models/{model_id}",
    "/api/v1/admin/evaluation-sets",
    "/api/v1/admin/evaluations",
    "/api/v1/admin/evaluations/{evaluation_id}",
    "/evaluation",
    "/models/{model_id}/comparison",
    "/api/v1/admin/cohorts",
    "/api/v1/admin/training-runs",
    "/api/v1/admin/training-runs/{run_id}",
    "/api/v1/admin/training-runs/{run_id}/log",
    "/api/v1/admin/training-runs/{run_id}/change-plan.html",
    "/api/v1/admin/training-runs/{run_id}/change-plan.pdf",
    "/training",
    "/training/{run_id}",
    # They lead to the page where a form stands.
    "/users/invitations",
    "/audit/verify",
    *(f"/predictions/{{prediction_id}}/{form}" for form in SECTIONS),
    # To somebody about themselves.
    "/account",
    "/invitation/{token}",
    "/api/v1/account/logins",
}


@pytest.fixture
def place(served: Serving) -> Callable[[str], str]:
    """A finished prediction, an administrator logged in; gives a route's path with its identifiers."""
    accepted = served.upload(served.key("doctor"), subject_id="P-17")
    served.finish(accepted["prediction_id"], sample_result(), model_version_id=served.register_model())
    served.explain(accepted["prediction_id"])
    served.normalise(accepted["prediction_id"])
    accepted["name"] = "carpet.png"
    accepted["model_id"] = served.add_model("2")
    shadow, batch = put_in_shadow(served, accepted["model_id"]), begin_batch(served, accepted["model_id"])
    for cause in (shadow, batch):
        score(served, accepted["prediction_id"], cause)
    accepted["rescore_id"] = batch.id
    name = served.user("chief", Role.ADMINISTRATOR)
    accepted["user_id"] = served.invite("newcomer", by=name)[0].invited_by
    served.client.post("/login", data={"username": name, "password": PASSWORD})
    return lambda route: re.sub(r"\{(\w+)\}", lambda found: accepted[found[1]], route)


def told(served: Serving) -> list[AuditEventRow]:
    with served.sessions() as session:
        verify(session)
        return list(session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)))


def every_read(served: Serving) -> set[str]:
    """Every path that answers GET; FastAPI keeps an included router's routes in the router."""
    included = [getattr(route, "original_router", None) for route in served.app.routes]
    routes = [*served.app.routes, *(route for router in included if router for route in router.routes)]
    return {route.path for route in routes if isinstance(route, Route) and "GET" in (route.methods or ())}


def test_each_route_is_either_recorded_or_shows_nothing_about_anybody(served: Serving) -> None:
    assert every_read(served) == set(READS) | NOBODYS


@pytest.mark.parametrize("route", READS)
def test_a_look_is_in_the_audit_once_in_its_time(
    served: Serving, place: Callable[[str], str], route: str
) -> None:
    before = len(told(served))
    for _ in range(3):
        assert served.client.get(place(route), headers={"Accept": "text/html"}).status_code == 200
    [look] = told(served)[before:]
    action, subject = READS[route]
    assert look.action == action
    assert look.subject_id == (subject if subject == "list" else place(f"{{{subject}}}"))
    assert look.actor.startswith("user:")
    assert look.address == "127.0.0.1"
    assert "P-17" not in str(look.details)
    if action.endswith(".list"):
        assert look.details is not None
        assert len(look.details["ids"]) >= 1


@pytest.mark.parametrize("route", READS)
def test_a_look_that_cannot_be_recorded_is_refused(
    served: Serving, place: Callable[[str], str], route: str
) -> None:
    path, before = place(route), len(told(served))

    def read_only(connection: object, _record: object) -> None:
        connection.execute("PRAGMA query_only=ON")  # type: ignore[attr-defined]

    served.resources.engine.dispose()
    event.listen(served.resources.engine, "connect", read_only)
    answer = served.client.get(path)
    assert answer.status_code == 503
    assert "P-17" not in answer.text
    assert "0.61" not in answer.text
    event.remove(served.resources.engine, "connect", read_only)
    served.resources.engine.dispose()
    assert len(told(served)) == before


def test_what_an_account_may_not_see_is_no_look(served: Serving, place: Callable[[str], str]) -> None:
    stranger = served.key("stranger", Role.INTEGRATOR)
    before = len(told(served))
    assert served.client.get(place("/api/v1/scans/{scan_id}"), headers=stranger).status_code == 404
    assert len(told(served)) == before


def test_a_list_names_whom_it_showed(served: Serving, place: Callable[[str], str]) -> None:
    served.client.get("/api/v1/predictions?subject_id=P-17")
    event = told(served)[-1]
    assert event.details == {"ids": [place("{prediction_id}")]}


def test_a_stream_that_stays_open_is_told_again(
    served: Serving, place: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.resources.reads, "window_s", 0.0)
    served.client.get(place("/api/v1/predictions/{prediction_id}/events"))
    assert [event.action for event in told(served)[-2:]] == ["prediction.read"] * 2


def test_the_window_is_the_settings(served: Serving) -> None:
    assert isinstance(served.resources.reads, ReadLog)
    assert served.resources.reads.window_s == served.resources.settings.audit_reads_s == 300


def test_refused_logins_are_told_without_what_was_typed(served: Serving) -> None:
    name = served.user("mina")
    attempts = [(name, "wrong password!"), ("correct horse battery", "x"), ("nobody", PASSWORD)]
    for username, password in attempts:
        answer = served.client.post("/login", data={"username": username, "password": password})
        assert answer.status_code == 401
    events = told(served)
    assert [(event.actor, event.action) for event in events] == [("anonymous", "login.refused")] * 3
    with served.sessions() as session:
        user_id = session.execute(text("SELECT id FROM users WHERE username = 'mina'")).scalar_one()
        stored = str(session.execute(text("SELECT * FROM audit_events")).all())
    assert [event.subject_id for event in events] == [user_id, "unknown", "unknown"]
    assert "horse" not in stored
    assert "nobody" not in stored


def test_a_login_and_its_end_are_told(served: Serving) -> None:
    name = served.user("mina")
    served.client.post("/login", data={"username": name, "password": PASSWORD})
    page = served.client.get("/").text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    served.client.post("/logout", data={"csrf_token": found[1]})
    assert [(event.action, event.address) for event in told(served)] == [
        ("login.begin", "127.0.0.1"),
        ("login.end", "127.0.0.1"),
    ]


def test_guesses_beyond_the_limit_are_told_once(served: Serving) -> None:
    name = served.user("mina")
    for _ in range(11):
        served.client.post("/login", data={"username": name, "password": "wrong password!"})
    actions = [event.action for event in told(served)]
    assert actions == ["login.refused"] * 8 + ["login.throttled"]


def test_keys_that_are_not_valid_are_told_once_an_address(served: Serving) -> None:
    for key in ("rnk_a", "rnk_b", "rnk_c"):
        answer = served.client.get("/api/v1/predictions", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 401
    [event] = told(served)
    assert (event.actor, event.action, event.details) == ("anonymous", "api_key.refused", None)
