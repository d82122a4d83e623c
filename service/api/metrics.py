"""Figures for Prometheus: requests by route, jobs by state."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.db.rows import PredictionRow, PredictionState

BUCKETS_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The counters of one application; a registry of its own, so that two in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "restnet_http_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "restnet_http_request_seconds",
            "Time to the end of the answer",
            ["method", "route"],
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._predictions = Gauge(
            "restnet_predictions", "Predictions in the database", ["state"], registry=self.registry
        )
        self._queue = Gauge(
            "restnet_queue_depth", "Predictions that wait or run", ["state"], registry=self.registry
        )

    def observe(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        # The method is the client's to choose: an invented one must not become a label.
        name = method if method in METHODS else "other"
        self._requests.labels(name, route, str(status)).inc()
        self._seconds.labels(name, route).observe(seconds)

    def exposition(self, session: Session) -> bytes:
        """Return every figure in the text format, with the jobs counted now."""
        counted = session.execute(
            select(PredictionRow.state, func.count()).group_by(PredictionRow.state)
        ).all()
        counts = {state: int(number) for state, number in counted}
        for state in PredictionState:
            self._predictions.labels(state.value).set(counts.get(state, 0))
        for state in (PredictionState.QUEUED, PredictionState.PREPROCESSING, PredictionState.CLASSIFYING):
            self._queue.labels(state.value).set(counts.get(state, 0))
        return generate_latest(self.registry)
