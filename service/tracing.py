"""OpenTelemetry spans: a request, the job that it queued, the job's stages. Off unless an endpoint is set.

A span carries templates and ids: no path, no query, no exception's text, because a collector is one more
place where a patient's data could end up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import NoOpTracer, Span, SpanKind, Status, StatusCode, Tracer

from service.correlation import context_of

# How long the end of a process waits for a collector that does not answer, in milliseconds.
FLUSH_MS = 2000


class Tracing:
    """One process's tracer; without an endpoint its spans are empty and cost nothing.

    Parameters
    ----------
    tracer : Tracer
    provider : TracerProvider, optional
        What sends the spans; closed by :meth:`close`.
    """

    def __init__(self, tracer: Tracer | None = None, provider: Any = None) -> None:
        self.tracer = tracer or NoOpTracer()
        self._provider = provider

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: str | None = None,
        **attributes: str | int,
    ) -> Iterator[Span]:
        """Open a span around a piece of work; it fails with the exception that leaves it, by its type alone.

        Parameters
        ----------
        parent : str, optional
            A ``traceparent`` to go on from; by default the span that is open here.
        **attributes
            In snake_case; sent as ``restnet.NAME``.
        """
        with self.tracer.start_as_current_span(
            name,
            context=context_of(parent) if parent else None,
            kind=kind,
            attributes={f"restnet.{key}": value for key, value in attributes.items()},
            # An exception's text may name a file.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    @contextmanager
    def stages(self) -> Iterator["Stages"]:
        """Open one span after the other, for work that tells which stage it has come to."""
        stages = Stages(self.tracer)
        try:
            yield stages
        finally:
            stages.enter(None)

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.force_flush(FLUSH_MS)
            self._provider.shutdown()


class Stages:
    """The stage that a piece of work is in, as a span of its own."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._name: str | None = None
        self._span: Span | None = None

    def enter(self, name: str | None) -> None:
        """End the stage before and begin this one; nothing happens when it is the same."""
        if name == self._name:
            return
        if self._span is not None:
            self._span.end()
        self._name = name
        self._span = None if name is None else self._tracer.start_span(name)


def open_tracing(endpoint: str | None, *, service: str) -> Tracing:
    """Return the tracing of this process.

    Parameters
    ----------
    endpoint : str or None
        Base address of an OTLP receiver over HTTP, such as ``http://collector:4318``; None turns it off.
    service : str
        How the process is called in the traces.
    """
    if endpoint is None:
        return Tracing()
    # Only who traces pays for the SDK: it brings an HTTP client and protobuf along.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces", timeout=5)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider.get_tracer("restnet"), provider)
