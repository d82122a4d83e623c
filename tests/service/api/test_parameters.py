"""What a client says beside the point is refused, by name: nothing is lost in silence."""

import pytest

from service.db.rows import ScanRow
from service.identity.roles import Role
from tests.service.api.serving import Serving, scan_bytes


@pytest.mark.parametrize(
    ("method", "path", "known"),
    [
        ("GET", "predictions", "cursor, limit, since, sort, status, subject_id, subject_prefix, until"),
        ("GET", "predictions/x", None),
        ("GET", "predictions/x/events", None),
        ("POST", "predictions/x/cancel", None),
        ("GET", "admin/users", "cursor, limit"),
        ("GET", "admin/audit", "action, actor, cursor, limit, since, subject_id, until"),
        ("GET", "admin/models", "cursor, limit"),
        ("GET", "admin/rescores/preview", "limit, since, until"),
        ("GET", "admin/rescores/x/changes", "cursor, limit"),
        ("GET", "admin/drift", "model_version_id, site"),
        ("POST", "admin/drift/references/x/cancel", None),
        ("POST", "admin/drift/alarms/acknowledge", None),
        ("GET", "scans/x", None),
        ("POST", "scans", None),
    ],
)
def test_a_parameter_that_a_route_does_not_have_is_refused(
    served: Serving, method: str, path: str, known: str | None
) -> None:
    key = served.key(role=Role.ADMINISTRATOR)
    answer = served.client.request(
        method, f"/api/v1/{path}", headers=key, params={"stauts": "failed", "limt": "1"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    problems = answer.json()["details"]["errors"]
    assert [problem["where"] for problem in problems] == ["query.stauts", "query.limt"]
    assert (known or "no query parameter at all") in problems[0]["problem"]
    assert "found 2 problems, the first with query.stauts: " in answer.json()["detail"]
    assert "failed" not in answer.text, "a value may describe a person"
    assert answer.json()["instance"] == f"/api/v1/{path}"


def test_a_parameter_that_is_said_twice_is_refused(served: Serving) -> None:
    answer = served.client.get("/api/v1/predictions?limit=1&limit=200&subject_id=P-1", headers=served.key())
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    assert answer.json()["details"]["errors"] == [
        {"where": "query.limit", "problem": "expected it once, found it 2 times"}
    ]


def test_who_may_not_ask_hears_that_first(served: Serving) -> None:
    assert served.client.get("/api/v1/predictions?stauts=failed").status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        *("X-Subject", "X-Subjct-Id", "X-SubjectId", "X-Age", "X-Gender", "X-Site-Name", "X-File-Name"),
        *("X-TR-Seconds", "X-Tr", "X-Repetition-Time", "X-Slice-Timing", "X-Runs", "X-Sidecar-Json"),
    ],
)
def test_a_misspelt_header_of_a_raw_upload_is_refused(served: Serving, header: str) -> None:
    headers = served.key() | {"Content-Type": "application/octet-stream", "X-Filename": "s.nii.gz"}
    answer = served.client.post("/api/v1/scans", headers=headers | {header: "Anna"}, content=scan_bytes())
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    [problem] = answer.json()["details"]["errors"]
    assert problem["where"].lower() == f"header.{header}".lower()
    assert "X-Subject-Id" in problem["problem"]
    assert "Anna" not in answer.text
    with served.sessions() as session:
        assert session.query(ScanRow).count() == 0


def test_a_form_does_not_lose_what_its_headers_say(served: Serving) -> None:
    headers = served.key() | {"X-Subject-Id": "P-1"}
    files = {"scan": ("s.nii.gz", scan_bytes())}
    answer = served.client.post("/api/v1/scans", headers=headers, files=files)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    assert "the form fields subject_id" in answer.json()["detail"]


def test_headers_of_proxies_and_of_browsers_pass(served: Serving) -> None:
    others = (
        "X-Forwarded-For",
        "X-Real-Ip",
        "X-Request-Id",
        "X-Requested-With",
        "X-Agent-Id",
        "X-CSRF-Token",
    )
    headers = served.key() | dict.fromkeys(others, "1")
    files = {"scan": ("s.nii.gz", scan_bytes())}
    assert served.client.post("/api/v1/scans", headers=headers, files=files).status_code == 202
    raw = headers | {"Content-Type": "application/gzip", "X-Filename": "s.nii.gz", "X-Age-Years": "9"}
    assert served.client.post("/api/v1/scans", headers=raw, content=scan_bytes()).status_code == 202


def test_several_problems_are_counted(served: Serving) -> None:
    files = {"scan": ("s.nii.gz", scan_bytes())}
    said = {"age_years": "-1", "sex": "x", "site": "../x"}
    answer = served.client.post("/api/v1/scans", headers=served.key(), files=files, data=said)
    assert answer.status_code == 422
    assert "found 3 problems, the first with " in answer.json()["detail"]
    assert len(answer.json()["details"]["errors"]) == 3


def test_one_problem_is_named(served: Serving) -> None:
    answer = served.client.post(
        "/api/v1/scans",
        headers=served.key() | {"Idempotency-Key": "a b"},
        files={"scan": ("s.nii.gz", scan_bytes())},
    )
    assert "found a problem with header.Idempotency-Key: " in answer.json()["detail"]
    assert "printable ASCII characters without blanks" in answer.json()["detail"]
