"""From the upload to the result under one id: in the answer, on the row, in every line of the log."""

import json
import logging
import sys
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import structlog
from sqlalchemy import select

from service import logs
from service.db.rows import ApiKeyRow, PredictionRow
from service.identity.roles import Role
from service.worker import job
from service.worker.prediction import run_prediction
from service.worker.runtime import Answer, open_runtime
from tests.service.api.serving import Serving, sample_result

SENT = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """What the service writes to its log, a JSON object a line."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    text = StringIO()
    monkeypatch.setattr(sys, "stderr", text)
    logs.configure(log_format="json", log_level="info")
    yield text
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def lines(written: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_every_answer_has_an_id_and_the_client_may_choose_it(served: Serving) -> None:
    first, second = (served.client.get("/healthz").headers["x-request-id"] for _ in range(2))
    assert first != second
    assert served.client.get("/nothing", headers={"X-Request-ID": SENT}).headers["x-request-id"] == SENT
    odd = served.client.get("/nothing", headers={"X-Request-ID": "Anna Mueller"})
    assert odd.headers["x-request-id"] != "Anna Mueller"


def test_a_request_is_one_line_without_what_a_person_typed(served: Serving, written: StringIO) -> None:
    served.client.get("/predictions/Anna-Mueller?subject=Anna", headers={"X-Request-ID": SENT})
    served.client.request("ANNA", "/Anna")
    served.client.get("/healthz")
    text = written.getvalue()
    assert "Anna" not in text
    assert "ANNA" not in text
    told = [json.loads(line) for line in text.splitlines()]
    requests = [line for line in told if line["event"] == "request"]
    assert [(line["method"], line["route"]) for line in requests] == [
        ("GET", "/predictions/{prediction_id}"),
        ("other", "unmatched"),
    ]
    assert requests[0]["request_id"] == SENT
    assert requests[0]["ms"] >= 0


def test_a_refusal_is_told_with_its_code_and_with_who_met_it(served: Serving, written: StringIO) -> None:
    key = served.key(role=Role.INTEGRATOR)
    with served.sessions() as session:
        key_id = session.scalars(select(ApiKeyRow.id)).one()
    served.client.get("/api/v1/admin/users", headers=key)
    served.client.get("/api/v1/predictions?stauts=failed", headers=key)
    served.client.get("/api/v1/predictions")
    served.log_in(served.user())
    served.client.post("/predictions/x/cancel", headers={"Sec-Fetch-Site": "cross-site"})
    told = [line for line in lines(written) if line["event"] == "request" and "code" in line]
    key_name = f"key:{key_id}"
    assert [(line["status"], line["code"], line.get("actor")) for line in told[:3]] == [
        (403, "permission_denied", key_name),
        (422, "request_not_valid", key_name),
        (401, "authentication_required", None),
    ]
    assert (told[3]["status"], told[3]["code"]) == (403, "cross_site_request")
    assert told[3]["actor"].startswith("user:")


def test_a_probe_that_fails_is_told_of(served: Serving, written: StringIO) -> None:
    served.client.get("/readyz")
    assert [line["status"] for line in lines(written) if line["event"] == "request"] == [503]


def test_one_id_from_the_upload_to_the_result(
    served: Serving, written: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = served.register_model()
    accepted = served.upload(served.key() | {"X-Request-ID": SENT})
    runtime = open_runtime(served.resources.settings)

    def predict(*_args: object, **_options: object) -> Answer:
        job.log.info("inside")
        return Answer(sample_result(), (0.0,) * 16)

    monkeypatch.setattr(runtime, "predict", predict)
    monkeypatch.setattr(runtime, "active_model", lambda: (model, None))
    run_prediction(runtime, accepted["prediction_id"])
    with served.sessions() as session:
        row = session.get_one(PredictionRow, accepted["prediction_id"])
    assert (row.state, row.request_id, row.traceparent) == ("succeeded", SENT, None)
    told = {line["event"]: line.get("request_id") for line in lines(written)}
    assert {name: told[name] for name in ("request", "prediction_started", "inside", "prediction_ended")} == {
        "request": SENT,
        "prediction_started": SENT,
        "inside": SENT,
        "prediction_ended": SENT,
    }


def test_who_asks_again_gives_the_job_a_new_id(served: Serving) -> None:
    key = served.key()
    accepted = served.upload(key | {"X-Request-ID": SENT})
    prediction = accepted["links"]["prediction"]
    served.client.post(f"{prediction}/cancel", headers=key)
    again = served.client.post(f"{prediction}/retry", headers=key)
    with served.sessions() as session:
        row = session.get_one(PredictionRow, accepted["prediction_id"])
    assert row.request_id == again.headers["x-request-id"] != SENT
