"""Figures about jobs, read off the database at each look: what waits, what ended since the last look.

The workers are many processes on many machines, and the rows know what all of them did. Every web process
therefore counts the whole service: a dashboard takes the largest of their answers, never the sum.
"""

from datetime import datetime
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.db.base import utc_now
from service.db.job import JobRow, JobState
from service.db.rows import (
    JOB_KINDS,
    DriftReferenceRow,
    EvaluationRow,
    ExplanationRow,
    Lane,
    ModelVersionRow,
    PredictionRow,
    PredictionState,
    ScoreRow,
    TrainingFoldRow,
    TrainingRunRow,
)
from service.jobs.ended import EndedJob, EndedJobs
from service.queue import lanes_of

NAMES: dict[type[JobRow], str] = {
    PredictionRow: "prediction",
    ExplanationRow: "explanation",
    EvaluationRow: "evaluation",
    ScoreRow: "score",
    TrainingRunRow: "run",
    TrainingFoldRow: "fold",
    DriftReferenceRow: "drift_reference",
}

# Predictions that wait in another queue than that of answers, or are worked on there.
LANE_NAMES: dict[str, str] = {Lane.NORMALISING: "normalisation"}

# From a part of a second to a day: a prediction takes about one, a fold hours.
BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 28800.0, 86400.0)
STAGES = ("normalise", "read", "preprocess", "classify")

# How long a count of every prediction is kept, in seconds: the only figure that grows with the table.
TOTALS_S = 300.0


class JobFigures:
    """The counters and gauges of one web process about every job of the service."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._opened = monotonic()
        self._counted_at: float | None = None
        self._ends = {kind: EndedJobs(kind) for kind in JOB_KINDS}
        self._totals = Gauge(
            "restnet_predictions", "Predictions in the database", ["state"], registry=registry
        )
        self._queue = Gauge(
            "restnet_queue_depth", "Jobs that wait or run", ["kind", "state"], registry=registry
        )
        self._oldest = Gauge(
            "restnet_queue_oldest_seconds",
            "How long the oldest waiting job has waited; 0 without one",
            ["kind"],
            registry=registry,
        )
        self._ended = Counter(
            "restnet_jobs_ended",
            "Jobs that ended since this process started, on any worker",
            ["kind", "outcome", "code", "model"],
            registry=registry,
        )
        self._repeats = Counter(
            "restnet_job_repeats",
            "Attempts beyond the first of jobs that ended",
            ["kind"],
            registry=registry,
        )
        self._seconds = Histogram(
            "restnet_job_seconds",
            "Time of jobs that ended: wait, work and total, and of predictions read, preprocess and classify",
            ["kind", "stage"],
            buckets=BUCKETS_S,
            registry=registry,
        )

    def refresh(self, session: Session) -> None:
        """Bring every figure up to date."""
        self._count_all(session)
        models = _models(session)
        for kind in JOB_KINDS:
            for lane in lanes_of(kind):
                self._look_at_queue(session, kind, lane)
            for job in self._ends[kind].look(session, first_s=monotonic() - self._opened):
                self._count(NAMES[kind], job, models)

    def _count_all(self, session: Session) -> None:
        if self._counted_at is not None and monotonic() - self._counted_at < TOTALS_S:
            return
        counted = session.execute(
            select(PredictionRow.state, func.count()).group_by(PredictionRow.state)
        ).all()
        counts = {state: int(number) for state, number in counted}
        for state in PredictionState:
            self._totals.labels(state.value).set(counts.get(state, 0))
        self._counted_at = monotonic()

    def _look_at_queue(self, session: Session, kind: type[JobRow], lane: str | None) -> None:
        name, here = LANE_NAMES.get(lane or "", NAMES[kind]), kind.in_lane(lane)
        live = (JobState.QUEUED, *kind.RUNNING)
        counted = session.execute(
            select(kind.state, func.count()).where(kind.state.in_(live), here).group_by(kind.state)
        ).all()
        counts = {str(state): int(number) for state, number in counted}
        for state in live:
            self._queue.labels(name, str(state)).set(counts.get(str(state), 0))
        oldest = select(kind.queued_at, utc_now()).where(kind.state == JobState.QUEUED, here)
        found = session.execute(oldest.order_by(kind.queued_at).limit(1)).one_or_none()
        self._oldest.labels(name).set(_between(found[0], found[1]) if found else 0.0)

    def _count(self, kind: str, job: EndedJob, models: dict[str, str]) -> None:
        code = job.code if job.state == JobState.FAILED else ""
        self._ended.labels(kind, job.state, code, models.get(job.model_version_id or "", "")).inc()
        self._repeats.labels(kind).inc(max(job.attempts - 1, 0))
        self._seconds.labels(kind, "total").observe(_between(job.queued_at, job.finished_at))
        # A run of training is queued again to be put together, long after it has started.
        if job.started_at is not None and job.started_at >= job.queued_at:
            self._seconds.labels(kind, "wait").observe(_between(job.queued_at, job.started_at))
            self._seconds.labels(kind, "work").observe(_between(job.started_at, job.finished_at))
        for stage in STAGES:
            if stage in job.timing:
                self._seconds.labels(kind, stage).observe(job.timing[stage] / 1000)


def _between(since: datetime, until: datetime) -> float:
    return max((until - since).total_seconds(), 0.0)


def _models(session: Session) -> dict[str, str]:
    known = session.execute(select(ModelVersionRow.id, ModelVersionRow.name, ModelVersionRow.version))
    return {model_id: f"{name} {version}" for model_id, name, version in known}
