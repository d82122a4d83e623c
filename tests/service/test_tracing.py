"""Spans as a real receiver gets them over HTTP: a request, what it queued, the job and its stages."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from service.settings import Settings
from service.tracing import open_tracing
from service.worker.prediction import run_prediction
from service.worker.runtime import Answer, open_runtime
from tests.service.api.serving import make_settings, migrated_database, sample_result, serving

pytestmark = pytest.mark.enable_socket


class Receiver:
    """An OTLP receiver of this process."""

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}
        self.services: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.take(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.services |= {
                field.value.string_value
                for field in resource.resource.attributes
                if field.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.spans |= {span.name: span for span in scope.spans}

    def parent_of(self, name: str) -> str | None:
        parent = self.spans[name].parent_span_id
        return next((span.name for span in self.spans.values() if span.span_id == parent), None)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def values(span: Span) -> dict[str, Any]:
    return {field.key: field.value.string_value or field.value.int_value for field in span.attributes}


def test_one_trace_from_the_request_to_the_stages(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(
        tmp_path / "data", migrated_database(tmp_path), otlp_endpoint=receiver.endpoint + "/"
    )
    runtime = open_runtime(settings)

    def predict(*_args: object, progress: Callable[[str, float], None], **_options: object) -> Answer:
        progress("preprocessing", 0.5)
        progress("classifying", 0.5)
        return Answer(sample_result(), (0.0,) * 16)

    monkeypatch.setattr(runtime, "predict", predict)
    with serving(settings) as served:
        model = served.register_model()
        monkeypatch.setattr(runtime, "active_model", lambda: (model, None))
        accepted = served.upload(served.key(), subject_id="Anna")
        run_prediction(runtime, accepted["prediction_id"])
    runtime.tracing.close()
    stages = ("fetching", "preprocessing", "classifying")
    assert {*stages, "POST /api/v1/scans", "enqueue", "prediction"} <= set(receiver.spans)
    assert len({span.trace_id for span in receiver.spans.values()}) == 1
    assert receiver.parent_of("POST /api/v1/scans") is None
    assert receiver.parent_of("enqueue") == "POST /api/v1/scans"
    assert receiver.parent_of("prediction") == "enqueue"
    assert {receiver.parent_of(stage) for stage in stages} == {"prediction"}
    assert receiver.services == {"restnet-web", "restnet-worker"}
    assert values(receiver.spans["POST /api/v1/scans"])["http.response.status_code"] == 202
    assert values(receiver.spans["prediction"])["restnet.outcome"] == "succeeded"
    assert "Anna" not in str(receiver.spans)


def test_a_trace_of_the_client_goes_on(receiver: Receiver, tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", migrated_database(tmp_path), otlp_endpoint=receiver.endpoint)
    with serving(settings) as served:
        theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        served.client.get("/healthz", headers={"traceparent": theirs})
    assert receiver.spans["GET /healthz"].trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_fault_is_told_by_its_type_alone(receiver: Receiver) -> None:
    tracing = open_tracing(receiver.endpoint, service="test")

    def fail() -> None:
        with tracing.span("work"):
            message = "/scans/Anna.nii"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="Anna"):
        fail()
    tracing.close()
    span = receiver.spans["work"]
    assert span.status.message == "RuntimeError"
    assert not span.events
    assert "Anna" not in str(span)


def test_without_an_endpoint_nothing_is_loaded_and_no_span_recorded(tmp_path: Path) -> None:
    tracing = open_tracing(Settings(data_dir=tmp_path).otlp_endpoint, service="test")
    with tracing.span("work") as span, tracing.stages() as stages:
        stages.enter("first")
        assert not span.is_recording()
    tracing.close()


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://collector", "http://"])
def test_an_endpoint_of_another_kind_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="such as http://HOST:4318"):
        Settings(otlp_endpoint=endpoint)
