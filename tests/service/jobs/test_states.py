"""Any order of events: what a job can never do."""

from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from service import jobs
from service.audit.chain import BEGINNING
from service.db.engine import make_engine, session_factory
from service.db.organisations import DEFAULT_ORGANISATION_ID, OrganisationRow
from service.db.rows import (
    AuditHeadRow,
    Base,
    ModelVersionRow,
    PredictionRow,
    PredictionState,
    ResultRow,
    ScanRow,
)
from service.identity.actor import Actor

OWNERS = st.sampled_from(["a#1", "a#2", "b#1"])
RESULT: dict[str, Any] = {
    "adhd_probability": 0.5,
    "interval": {"low": 0.4, "high": 0.6},
    "decision": "uncertain",
    "timing_ms": {},
}
TERMINAL = {"succeeded", "failed", "cancelled"}


class OneJob(RuleBasedStateMachine):
    """Workers, people and the sweep act on one job; three in-memory facts are kept beside the database."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = make_engine("sqlite://")
        Base.metadata.create_all(self.engine)
        self.sessions = session_factory(self.engine)
        with self.sessions.begin() as session:
            # As the migrations leave it.
            session.add(AuditHeadRow(sequence=0, hash=BEGINNING))
        self.holder: str | None = None
        self.successes = 0
        self.last: PredictionState | None = None
        self.retried = False

    @initialize()
    def upload(self) -> None:
        with self.sessions.begin() as session:
            session.add(OrganisationRow(id=DEFAULT_ORGANISATION_ID, name="default"))
            session.flush()
            session.add(
                ScanRow(
                    id="s",
                    organisation_id=DEFAULT_ORGANISATION_ID,
                    sha256="",
                    size_bytes=1,
                    display_name="",
                    storage_key="",
                )
            )
            session.add(ModelVersionRow(id="m", name="", version="", sha256="", storage_key="", card={}))
            session.flush()
            self.job = jobs.enqueue(session, scan_id="s", max_attempts=2).id

    @rule(owner=OWNERS, expired=st.booleans())
    def claim(self, owner: str, *, expired: bool) -> None:
        with self.sessions.begin() as session:
            if jobs.claim(session, PredictionRow, self.job, owner=owner, lease_s=-1 if expired else 60):
                assert self.holder is None, "claimed while another one held it"
                self.holder = owner

    @rule(owner=OWNERS)
    def renew(self, owner: str) -> None:
        with self.sessions.begin() as session:
            lease = jobs.renew(
                session,
                PredictionRow,
                self.job,
                owner=owner,
                lease_s=60,
                standing={"state": PredictionState.CLASSIFYING, "progress": 0.7},
            )
        assert (lease is jobs.Lease.LOST) == (owner != self.holder)

    @rule(owner=OWNERS)
    def finish(self, owner: str) -> None:
        with self.sessions.begin() as session:
            if jobs.finish(session, self.job, owner=owner, model_version_id="m", result=RESULT):
                assert owner == self.holder
                self.successes += 1

    @rule(owner=OWNERS, act=st.sampled_from(["fail", "postpone", "wait", "stop_cancelled"]))
    def end_an_attempt(self, owner: str, act: str) -> None:
        error = {"code": "c", "message": "m"}
        pauses = {"postpone": {**error, "backoff_s": 0.0}, "wait": {**error, "wait_s": 0.0}}
        extra = {"fail": error, **pauses}.get(act, {})
        with self.sessions.begin() as session:
            if getattr(jobs, act)(session, PredictionRow, self.job, owner=owner, **extra):
                assert owner == self.holder

    @rule()
    def sweep(self) -> None:
        with self.sessions.begin() as session:
            jobs.sweep(session, PredictionRow, republish_s=30)

    @rule(worker=st.sampled_from(["a", "b"]))
    def hand_back(self, worker: str) -> None:
        with self.sessions.begin() as session:
            jobs.hand_back(session, PredictionRow, worker=worker)

    @rule()
    def cancel(self) -> None:
        with self.sessions.begin() as session:
            try:
                jobs.request_cancel(session, self.job, actor=Actor("user:1", "test"))
            except jobs.PredictionFinishedError:
                assert self.last in {"succeeded", "failed"}

    @rule()
    def retry(self) -> None:
        with self.sessions.begin() as session:
            try:
                jobs.retry(session, self.job, actor=Actor("user:1", "test"))
            except jobs.PredictionNotRetryableError:
                return
        assert self.last in {"failed", "cancelled"}
        self.retried = True

    @invariant()
    def what_always_holds(self) -> None:
        with self.sessions() as session:
            row = session.get_one(PredictionRow, self.job)
            result = session.get(ResultRow, self.job)
        running = row.state in {"preprocessing", "classifying"}
        assert running == (row.lease_owner is not None)
        assert (result is not None) == (row.state == "succeeded")
        assert self.successes <= 1
        assert 0 <= row.attempts <= row.max_attempts
        assert (row.finished_at is not None) == (row.state in TERMINAL)
        assert (row.state == "failed") <= (row.error_code is not None)
        if self.last in TERMINAL and not self.retried:
            assert row.state == self.last, "a finished job moved"
        if not running:
            self.holder = None
        self.last = row.state
        self.retried = False

    def teardown(self) -> None:
        self.engine.dispose()


def test_no_order_of_events_breaks_a_job(tmp_path: Path) -> None:
    run_state_machine_as_test(
        OneJob, settings=settings(max_examples=60, stateful_step_count=25, deadline=None)
    )
