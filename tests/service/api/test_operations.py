"""Health, readiness, figures, the OpenAPI document and the headers around every answer."""

import re
from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel
from starlette.types import Message, Receive, Scope, Send

from service.api import account_payloads, payloads
from service.api.edge.envelope import SECURITY_HEADERS, Envelope
from service.api.figures.metrics import Metrics
from service.api.problems.problem import Problem
from service.tracing import Tracing
from tests.service.api.serving import Serving, make_settings, serving


def test_readiness_names_what_is_missing(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    assert served.client.get("/healthz").json() == {"status": "alive"}
    answer = served.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "missing": ["model"]})
    served.register_model()
    answer = served.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "missing": []})


def test_readiness_sees_a_lost_database_broker_and_storage(tmp_path: Path, database_template: Path) -> None:
    data = tmp_path / "data"
    settings = make_settings(
        data,
        database_template,
        database_url=f"sqlite:///{tmp_path}/no/such/folder.db",
        broker_url="redis://127.0.0.1:1/0",
        storage_url=f"file://{tmp_path}/file/x",
    )
    (tmp_path / "file").write_text("in the way")
    with serving(settings) as served:
        answer = served.client.get("/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (
            503,
            ["database", "storage", "broker", "model"],
        )
        assert served.client.get("/healthz").status_code == 200
        refused = served.client.get("/api/v1/predictions", headers={"Authorization": "Bearer rnk_x"})
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")


def test_figures_count_by_route_and_state(served: Serving) -> None:
    key = served.key()
    accepted = served.upload(key)
    served.client.get(accepted["links"]["prediction"], headers=key)
    served.client.get("/no/such/page/123")
    served.client.get("/static/restnet.css")
    text = served.client.get("/metrics").text
    figures = dict(re.findall(r"^(restnet_\w+(?:\{.*\})?) (\S+)$", text, flags=re.MULTILINE))

    def requests(method: str, route: str, status: int) -> float:
        return float(
            figures[f'restnet_http_requests_total{{method="{method}",route="{route}",status="{status}"}}']
        )

    assert requests("POST", "/api/v1/scans", 202) == 1
    assert requests("GET", "/api/v1/predictions/{prediction_id}", 200) == 1
    assert requests("GET", "unmatched", 404) == 1
    assert requests("GET", "/static/{path}", 200) == 1
    assert figures['restnet_queue_depth{kind="prediction",state="queued"}'] == "1.0"
    assert figures['restnet_predictions{state="succeeded"}'] == "0.0"
    assert accepted["prediction_id"] not in text
    assert "/no/such" not in text


def test_an_invented_method_is_no_label(served: Serving) -> None:
    served.client.request("BREW", "/healthz")
    text = served.client.get("/metrics").text
    assert 'restnet_http_requests_total{method="other",route="/healthz",status="405"} 1.0' in text
    assert "BREW" not in text


def test_a_fault_in_the_middle_of_an_answer_ends_it_and_starts_no_second_one() -> None:
    sent: list[str] = []

    async def breaks(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        message = "half way"
        raise RuntimeError(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def answer() -> None:
        scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b""}
        await Envelope(breaks, metrics=Metrics(), https=False, page=None, tracing=Tracing())(
            scope, receive, send
        )

    with pytest.raises(RuntimeError, match="half way"):
        anyio.run(answer)
    assert sent == ["http.response.start"]


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/login", "/api/v1/predictions", "/nothing", "/api/docs", "/static/restnet.css", "/metrics"],
)
def test_every_answer_carries_the_protective_headers(served: Serving, path: str) -> None:
    headers = served.client.get(path).headers
    for name, value in SECURITY_HEADERS.items():
        assert headers[name] == value
    policy = headers["content-security-policy"].split("; ")
    assert not any("unsafe" in directive or "*" in directive for directive in policy)
    assert {"default-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(
        policy
    )
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")
    assert "strict-transport-security" not in headers
    assert "access-control-allow-origin" not in headers
    kind = headers["content-type"]
    assert "charset=utf-8" in kind or kind in {"application/json", "application/problem+json"}


def test_an_https_address_is_held_to_https(tmp_path: Path, database_template: Path) -> None:
    settings = make_settings(tmp_path / "data", database_template, public_url="https://restnet.example")
    with serving(settings) as served:
        held = served.client.get("/healthz").headers["strict-transport-security"]
        assert held == "max-age=31536000; includeSubDomains"
        served.user()
        login = served.client.post("/login", data={"username": "doctor", "password": "correct horse battery"})
        cookie = login.headers["set-cookie"]
        assert cookie.startswith("__Host-restnet=")
        for attribute in ("HttpOnly", "SameSite=lax", "Secure", "Path=/"):
            assert attribute in cookie
        assert "Domain" not in cookie
        schemes = served.client.get("/api/openapi.json").json()["components"]["securitySchemes"]
        assert schemes["Login"]["name"] == "__Host-restnet"


def test_the_document_describes_what_is_built(served: Serving) -> None:
    document = served.client.get("/api/openapi.json").json()
    paths = {
        (method.upper(), path) for path, operations in document["paths"].items() for method in operations
    }
    assert paths == {
        ("POST", "/api/v1/scans"),
        ("GET", "/api/v1/predictions/{prediction_id}/explanation"),
        ("POST", "/api/v1/predictions/{prediction_id}/explanation"),
        ("GET", "/api/v1/predictions/{prediction_id}/explanation.nii.gz"),
        ("GET", "/api/v1/predictions/{prediction_id}/explanation/{name}"),
        ("GET", "/api/v1/predictions/{prediction_id}/normalised"),
        ("GET", "/api/v1/predictions/{prediction_id}/normalised/provenance"),
        ("GET", "/api/v1/predictions/{prediction_id}/normalised/figures/{name}"),
        ("GET", "/api/v1/predictions/{prediction_id}/report.html"),
        ("GET", "/api/v1/predictions/{prediction_id}/report.pdf"),
        ("GET", "/api/v1/scans/{scan_id}"),
        ("DELETE", "/api/v1/scans/{scan_id}"),
        ("OPTIONS", "/api/v1/uploads"),
        ("POST", "/api/v1/uploads"),
        ("HEAD", "/api/v1/uploads/{upload_id}"),
        ("PATCH", "/api/v1/uploads/{upload_id}"),
        ("DELETE", "/api/v1/uploads/{upload_id}"),
        ("POST", "/api/v1/uploads/{upload_id}/complete"),
        ("GET", "/api/v1/predictions"),
        ("GET", "/api/v1/predictions/{prediction_id}"),
        ("GET", "/api/v1/predictions/{prediction_id}/events"),
        ("POST", "/api/v1/predictions/{prediction_id}/cancel"),
        ("POST", "/api/v1/predictions/{prediction_id}/retry"),
        ("POST", "/api/v1/predictions/{prediction_id}/review"),
        ("GET", "/api/v1/predictions/{prediction_id}/reviews"),
        ("GET", "/api/v1/account/logins"),
        ("DELETE", "/api/v1/account/logins"),
        ("DELETE", "/api/v1/account/logins/{login_id}"),
        ("GET", "/api/v1/admin/users"),
        ("POST", "/api/v1/admin/users"),
        ("PATCH", "/api/v1/admin/users/{user_id}"),
        ("DELETE", "/api/v1/admin/users/{user_id}/logins"),
        ("DELETE", "/api/v1/admin/users/{user_id}/second-factor"),
        ("GET", "/api/v1/admin/users/invitations"),
        ("POST", "/api/v1/admin/users/invitations"),
        ("DELETE", "/api/v1/admin/users/invitations/{invitation_id}"),
        ("GET", "/api/v1/admin/api-keys"),
        ("POST", "/api/v1/admin/api-keys"),
        ("POST", "/api/v1/admin/api-keys/{key_id}/revoke"),
        ("GET", "/api/v1/admin/models"),
        ("GET", "/api/v1/admin/models/{model_id}"),
        ("POST", "/api/v1/admin/models/{model_id}/promote"),
        ("POST", "/api/v1/admin/models/rollback"),
        ("GET", "/api/v1/admin/deployments"),
        ("GET", "/api/v1/admin/evaluation-sets"),
        ("POST", "/api/v1/admin/evaluation-sets"),
        ("DELETE", "/api/v1/admin/evaluation-sets/{set_id}"),
        ("POST", "/api/v1/admin/evaluation-sets/{set_id}/use"),
        ("POST", "/api/v1/admin/models/{model_id}/evaluations"),
        ("GET", "/api/v1/admin/evaluations"),
        ("GET", "/api/v1/admin/evaluations/{evaluation_id}"),
        ("POST", "/api/v1/admin/evaluations/{evaluation_id}/cancel"),
        ("GET", "/api/v1/admin/models/{model_id}/shadow"),
        ("POST", "/api/v1/admin/models/{model_id}/shadow"),
        ("POST", "/api/v1/admin/models/{model_id}/shadow/end"),
        ("GET", "/api/v1/admin/models/{model_id}/shadow/comparison"),
        ("GET", "/api/v1/admin/models/{model_id}/shadow/changes"),
        ("GET", "/api/v1/admin/rescores"),
        ("POST", "/api/v1/admin/rescores"),
        ("GET", "/api/v1/admin/rescores/preview"),
        ("GET", "/api/v1/admin/rescores/{rescore_id}"),
        ("POST", "/api/v1/admin/rescores/{rescore_id}/cancel"),
        ("GET", "/api/v1/admin/rescores/{rescore_id}/comparison"),
        ("GET", "/api/v1/admin/rescores/{rescore_id}/changes"),
        ("GET", "/api/v1/admin/drift"),
        ("POST", "/api/v1/admin/drift/references"),
        ("POST", "/api/v1/admin/drift/references/{reference_id}/cancel"),
        ("POST", "/api/v1/admin/drift/evaluations"),
        ("POST", "/api/v1/admin/drift/alarms/acknowledge"),
        ("POST", "/api/v1/admin/drift/alarms/{alarm_id}/acknowledge"),
        ("GET", "/api/v1/admin/cohorts"),
        ("GET", "/api/v1/admin/reviewed-scans"),
        ("GET", "/api/v1/admin/training-runs"),
        ("POST", "/api/v1/admin/training-runs"),
        ("GET", "/api/v1/admin/training-runs/{run_id}"),
        ("GET", "/api/v1/admin/training-runs/{run_id}/log"),
        ("GET", "/api/v1/admin/training-runs/{run_id}/change-plan.html"),
        ("GET", "/api/v1/admin/training-runs/{run_id}/change-plan.pdf"),
        ("POST", "/api/v1/admin/training-runs/{run_id}/cancel"),
        ("POST", "/api/v1/admin/training-runs/{run_id}/resume"),
        ("GET", "/api/v1/admin/reviews/counts"),
        ("GET", "/api/v1/admin/audit"),
        ("GET", "/api/v1/admin/audit/export"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
    }
    text = served.client.get("/api/openapi.json").text
    assert "HTTPValidationError" not in text
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["tags"]
            assert operation["summary"]
            assert "500" in operation["responses"], operation["summary"]
            assert "503" in operation["responses"] or operation["summary"] == "Is the process alive?"
            for status, response in operation["responses"].items():
                # The one 503 that is no problem but the answer itself.
                ready = operation["summary"] == "Can the service work?" and status == "503"
                if status[0] in "45" and not ready:
                    assert list(response["content"]) == ["application/problem+json"], (
                        operation["summary"],
                        status,
                    )
    upload = document["paths"]["/api/v1/scans"]["post"]
    assert set(upload["requestBody"]["content"]) == {
        "multipart/form-data",
        "application/octet-stream",
        "application/gzip",
        "application/zip",
    }
    assert document["components"]["schemas"]["Problem"]["example"]["code"] == "prediction_not_found"


def test_every_example_is_what_its_model_takes(served: Serving) -> None:
    document = served.client.get("/api/openapi.json").json()
    assert document["components"]["securitySchemes"]["Login"]["name"] == "restnet"
    checked = set()
    for name, schema in document["components"]["schemas"].items():
        if "example" in schema:
            known = vars(payloads) | vars(account_payloads)
            model = Problem if name == "Problem" else known[name]
            assert issubclass(model, BaseModel)
            read = model.model_validate(schema["example"])
            # A response holds every field: an example that leaves one out would mislead.
            if name.endswith("Response"):
                assert set(schema["example"]) == set(read.model_dump())
            checked.add(name)
    assert {"AcceptedResponse", "PredictionResponse", "Problem", "UserRequest", "ApiKeyRequest"} <= checked


def test_the_reader_of_the_document_comes_from_here(served: Serving) -> None:
    page = served.client.get("/api/docs").text
    assert re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(target.startswith("/") for target in re.findall(r'(?:src|href)="([^"]+)"', page))
    assert "<script>" not in page
