"""Figures for Prometheus: this process's requests, and what the database knows of everybody's jobs."""

from collections.abc import Mapping
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from service.api.figures.drift_figures import DriftFigures
from service.api.figures.job_figures import JobFigures
from service.logs import get_logger
from service.presence import attendance
from service.queue import QUEUES
from service.registry import active_model

BUCKETS_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

log = get_logger(__name__)


class Metrics:
    """The figures of one application; a registry of its own, so that two in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "restnet_http_requests",
            "Requests answered by this process",
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
        self._ready = Gauge(
            "restnet_ready", "Whether a part of the service answers", ["part"], registry=self.registry
        )
        self._present = Gauge(
            "restnet_workers",
            "Workers that said lately that they are there",
            ["queue"],
            registry=self.registry,
        )
        self._lost = Gauge(
            "restnet_workers_lost",
            "Workers that fell silent within the last hour without stopping in good order",
            ["queue"],
            registry=self.registry,
        )
        self._model = Gauge(
            "restnet_active_model",
            "1 for the model that answers",
            ["model", "sha256"],
            registry=self.registry,
        )
        self._jobs = JobFigures(self.registry)
        self._drift = DriftFigures(self.registry)
        self._one_look = Lock()

    def observe(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def exposition(self, sessions: sessionmaker[Session], *, ready: Mapping[str, bool]) -> bytes:
        """Return every figure in the text format, as it is now.

        Parameters
        ----------
        ready : mapping
            Which part of the service answers. While the database does not, its figures stay as they were.
        """
        with self._one_look:
            for part, answers in ready.items():
                self._ready.labels(part).set(answers)
            if ready.get("database", True):
                try:
                    with sessions() as session:
                        self._refresh(session)
                except SQLAlchemyError as error:
                    log.warning("figures_not_refreshed", reason=type(error).__name__)
            return generate_latest(self.registry)

    def _refresh(self, session: Session) -> None:
        self._jobs.refresh(session)
        found = attendance(session)
        for queue in QUEUES:
            there = found.get(queue)
            self._present.labels(queue).set(there.present if there else 0)
            self._lost.labels(queue).set(there.lost if there else 0)
        self._model.clear()
        model = active_model(session)
        self._drift.refresh(session, model)
        if model is not None:
            self._model.labels(f"{model.name} {model.version}", model.sha256[:12]).set(1)


def method_label(method: str) -> str:
    """Return a request's method as a label: it is the client's to choose, and an invented one is none."""
    return method if method in METHODS else "other"
