"""Every refusal leaves as a problem document, and the table that maps them is complete."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import OperationalError

import imaging
import service
from imaging.errors import ScanError
from service.api.problems import handlers
from service.errors import ServiceError
from service.identity.roles import Role
from tests.service.api.serving import Serving, scan_bytes

# What only the processes and the command line can meet.
NEVER_OVER_HTTP = (
    "service.audit.verification",
    "service.backup",
    "service.cli",
    "service.db.migrate",
    "service.embedded.supervisor",
    "service.retention",
    "service.worker",
)


def concrete(base: type[Exception]) -> Iterator[type[Exception]]:
    for kind in base.__subclasses__():
        yield kind
        yield from concrete(kind)


def load(package: object, *, but: tuple[str, ...] = ()) -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.startswith(but or ("-",)):
            importlib.import_module(module.name)


def test_every_refusal_has_a_status_and_a_code_of_its_own() -> None:
    load(service, but=NEVER_OVER_HTTP)
    known = set(handlers.STATUSES)
    codes: dict[str, type[Exception]] = {}
    kinds = [
        kind for kind in concrete(ServiceError) if not kind.__module__.startswith((*NEVER_OVER_HTTP, "tests"))
    ]
    assert len(kinds) >= 20
    for kind in kinds:
        assert known & (set(kind.__mro__) - {ServiceError}), f"{kind.__name__} has no status"
        assert kind.code != ServiceError.code
        assert codes.setdefault(kind.code, kind) is kind, f"{kind.code} is used twice"


def test_every_refusal_of_a_scan_is_the_clients_to_mend() -> None:
    load(imaging)
    kinds = list(concrete(ScanError))
    assert len(kinds) >= 10
    for kind in kinds:
        assert handlers.status_of(kind.__new__(kind)) == 422


def test_the_shape_of_a_problem(served: Serving) -> None:
    answer = served.client.get("/api/v1/scans/x", headers=served.key())
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:restnet:error:scan_not_found",
        "title": "Scan not found",
        "status": 404,
        "detail": "expected the identifier of a scan, found none that this account can see",
        "code": "scan_not_found",
        "instance": "/api/v1/scans/x",
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "route_not_found"),
        ("GET", "/api/v2/scans", 404, "route_not_found"),
        ("PUT", "/api/v1/scans", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("TRACE", "/healthz", 405, "method_not_allowed"),
        ("TRACE", "/api/v1/predictions", 405, "method_not_allowed"),
        ("GET", "/static/", 404, "route_not_found"),
        ("GET", "/.git/config", 404, "route_not_found"),
        ("GET", "/static/nothing.js", 404, "route_not_found"),
    ],
)
def test_paths_and_methods_that_do_not_exist(
    served: Serving, method: str, path: str, status: int, code: str
) -> None:
    answer = served.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/admin/users", "GET, POST"),
        ("/api/v1/scans/0", "DELETE, GET"),
        ("/api/v1/predictions/0/cancel", "POST"),
        ("/static/restnet.css", "GET, HEAD"),
    ],
)
def test_a_refused_method_names_every_one_that_the_path_has(served: Serving, path: str, allowed: str) -> None:
    answer = served.client.put(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert answer.json()["details"] == {"allowed": allowed}


def test_a_body_that_is_not_json(served: Serving) -> None:
    key = served.key(role=Role.ADMINISTRATOR) | {"Content-Type": "application/json"}
    answer = served.client.post("/api/v1/admin/users", headers=key, content=b"{")
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")


def test_a_number_that_json_lacks_is_given_as_text(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    class OddError(ScanError):
        code = "odd"

        def __init__(self, *, found: float) -> None:
            self.found = found
            super().__init__("expected a number, found none")

    def refuse(*_args: object, **_named: object) -> None:
        raise OddError(found=float("nan"))

    monkeypatch.setattr("service.api.actions.submission.copy_checked", refuse)
    files = {"scan": ("s.nii.gz", scan_bytes())}
    answer = served.client.post("/api/v1/scans", headers=served.key(), files=files)
    assert (answer.status_code, answer.json()["details"]) == (422, {"found": "nan"})


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_not_read(served: Serving, *, chunked: bool) -> None:
    key = served.key(role=Role.ADMINISTRATOR) | {"Content-Type": "application/json"}
    body = b'{"username": "' + b"x" * 100_000 + b'"}'
    answer = served.client.post("/api/v1/admin/users", headers=key, content=iter([body]) if chunked else body)
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_fault_of_ours_says_nothing_but_a_reference(
    served: Serving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logged: list[dict[str, object]] = []
    monkeypatch.setattr(
        handlers.log, "error", lambda event, **values: logged.append({"event": event, **values})
    )

    def broken(*_args: object, **_options: object) -> None:
        message = "secret of the inside"
        raise RuntimeError(message)

    monkeypatch.setattr("service.api.scans.read_scan", broken)
    answer = served.client.get("/api/v1/scans/x", headers=served.key())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    [line] = logged
    assert line["reference"] == answer.json()["reference"]
    assert isinstance(line["exc_info"], RuntimeError)


def test_a_database_that_does_not_answer(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object, **_options: object) -> None:
        raise OperationalError("SELECT secret", {}, Exception("no route to host"))

    key = served.key()
    monkeypatch.setattr("service.api.scans.read_scan", away)
    answer = served.client.get("/api/v1/scans/x", headers=key)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert "secret" not in answer.text


def test_a_fault_on_a_page_is_a_page(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("service.web.login.identify", broken)
    answer = served.client.get("/login", headers={"Accept": "text/html"})
    assert answer.status_code == 500
    assert "Something went wrong" in answer.text
    assert "Reference" in answer.text


def test_a_path_of_its_own_is_no_identifier_of_another_route(served: Serving) -> None:
    answer = served.client.put("/api/v1/admin/models/rollback", headers=served.key())
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = served.client.put("/api/v1/admin/models/no-such", headers=served.key())
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
