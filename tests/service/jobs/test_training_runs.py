"""A run on its way: its folds decide when it moves, whoever looks, and in whatever order."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, CohortRow, TrainingFoldRow, TrainingLogRow, TrainingRunRow
from service.identity.actor import Actor
from service.jobs import training_log
from service.jobs.change import change, lock
from service.training_request import TrainingRequest
from service.worker.epoch_notes import EpochNotes
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

ACTOR = Actor("user:1", "test")
PLAN = {"fold_names": ["0", "1"], "n_subjects": 24, "n_folds": 2}
OUTCOME = {"epochs_run": 3, "best_epoch": 2, "seconds_per_epoch": 1.5}


@pytest.fixture
def run_id(sessions: sessionmaker[Session]) -> str:
    with sessions.begin() as session:
        cohort = CohortRow(
            name="tiny",
            folder="/cohorts/tiny",
            fingerprint="f",
            index_sha256="i",
            condition="ADHD",
            simulated=True,
            n_subjects=24,
            n_cases=12,
            n_controls=12,
            n_scans=24,
            sites={},
            preprocessing={},
            registered_by="command-line",
        )
        session.add(cohort)
        session.flush()
        [run] = jobs.request_runs(
            session,
            TrainingRequest(cohort="tiny"),
            cohort,
            runs_dir=Path("/runs"),
            actor=ACTOR,
            organisation_id=DEFAULT_ORGANISATION_ID,
            max_attempts=2,
        )
        return run.id


class Course:
    """What workers and people do to one run."""

    def __init__(self, sessions: sessionmaker[Session], run_id: str) -> None:
        self.sessions, self.id = sessions, run_id

    def row(self) -> TrainingRunRow:
        with self.sessions() as session:
            return session.get_one(TrainingRunRow, self.id)

    def folds(self) -> list[TrainingFoldRow]:
        with self.sessions() as session:
            return list(jobs.folds_of_run(session, self.id))

    def states(self) -> list[str]:
        return [self.row().state.value, *(fold.state.value for fold in self.folds())]

    def claim(self) -> bool:
        with self.sessions.begin() as session:
            return jobs.claim(session, TrainingRunRow, self.id, owner="p#1", lease_s=60) is not None

    def plan(self, *, owner: str = "p#1") -> bool:
        with self.sessions.begin() as session:
            return jobs.begin_training(session, self.id, owner=owner, plan=PLAN, outcomes={}, actor=ACTOR)

    def train(self, number: int, *, error: str | None = None) -> None:
        fold = self.folds()[number]
        with self.sessions.begin() as session:
            assert jobs.claim(session, TrainingFoldRow, fold.id, owner="w#1", lease_s=60)
            if error is None:
                assert jobs.finish_fold(session, fold.id, owner="w#1", outcome=OUTCOME)
            else:
                jobs.fail(session, TrainingFoldRow, fold.id, owner="w#1", code=error, message="it broke")

    def settle(self) -> bool:
        with self.sessions.begin() as session:
            return jobs.settle(session, self.id) is not None

    def cancel(self) -> None:
        with self.sessions.begin() as session:
            jobs.cancel_run(session, session.get_one(TrainingRunRow, self.id), actor=ACTOR)

    def resume(self) -> list[Any]:
        with self.sessions.begin() as session:
            return jobs.resume_run(session, session.get_one(TrainingRunRow, self.id), actor=ACTOR)

    def events(self) -> list[str]:
        with self.sessions() as session:
            return [line.event for line in jobs.newest_lines(session, self.id, limit=100)]


@pytest.fixture
def course(sessions: sessionmaker[Session], run_id: str) -> Course:
    return Course(sessions, run_id)


@pytest.fixture
def trained(course: Course) -> Course:
    """A run in training, no fold of which has begun."""
    assert course.claim()
    assert course.plan()
    return course


def test_a_run_is_planned_once_and_gathered_when_its_last_fold_is_done(course: Course) -> None:
    assert course.states() == ["queued"]
    assert course.claim()
    began = course.row().started_at
    assert began is not None
    assert not course.plan(owner="somebody#else")
    assert course.plan()
    assert course.states() == ["training", "queued", "queued"]
    assert course.row().lease_owner is None, "nobody holds a run whose folds are trained"
    course.train(0)
    assert not course.settle()
    course.train(1)
    assert course.settle()
    assert not course.settle(), "the second who looks has nothing to do"
    row = course.row()
    assert (row.state, jobs.stage_of(row), row.attempts) == ("queued", "finishing", 0)
    assert course.claim()
    assert course.row().started_at == began
    with course.sessions.begin() as session:
        assert not jobs.end_well(session, course.id, owner="x#1", model_version_id="m", metrics={})
    assert course.events() == ["queued", "planned"]


def test_a_failed_fold_fails_its_run_with_its_code_and_stops_the_others(trained: Course) -> None:
    trained.train(1, error="training_diverged")
    with trained.sessions() as session:
        assert list(jobs.unsettled(session)) == [trained.id]
    assert trained.settle()
    assert trained.states() == ["failed", "cancelled", "failed"]
    row = trained.row()
    assert (row.error_code, row.error_message) == ("training_diverged", "fold 2 of 2: it broke")
    with trained.sessions() as session:
        assert list(jobs.unsettled(session)) == []
    assert trained.events()[-1] == "fold_failed"

    assert [kind for kind, _id in trained.resume()] == [TrainingFoldRow, TrainingFoldRow]
    assert trained.states() == ["training", "queued", "queued"]
    assert trained.row().error_code is None


def test_a_finished_fold_is_kept_when_a_run_is_gone_on_with(trained: Course) -> None:
    trained.train(0)
    trained.cancel()
    assert trained.states() == ["cancelled", "succeeded", "cancelled"]
    assert len(trained.resume()) == 1
    assert trained.states() == ["training", "succeeded", "queued"]
    assert trained.folds()[0].outcome == OUTCOME


def test_a_run_whose_folds_still_stop_is_not_gone_on_with(trained: Course) -> None:
    fold = trained.folds()[0]
    with trained.sessions.begin() as session:
        assert jobs.claim(session, TrainingFoldRow, fold.id, owner="w#1", lease_s=60)
    trained.cancel()
    trained.cancel()
    with pytest.raises(jobs.TrainingRunNotResumableError, match="still stop"):
        trained.resume()
    with trained.sessions.begin() as session:
        assert jobs.stop_cancelled(session, TrainingFoldRow, fold.id, owner="w#1")
    assert len(trained.resume()) == 2
    with trained.sessions() as session:
        actions = session.scalars(select(AuditEventRow.action).order_by(AuditEventRow.sequence)).all()
    assert actions == ["training.request", "training.start", "training.cancel", "training.resume"]


def test_a_run_that_waits_or_is_planned_is_cancelled_too(course: Course) -> None:
    assert course.claim()
    course.cancel()
    assert not course.plan(), "a cancelled run was begun"
    with course.sessions.begin() as session:
        assert jobs.stop_cancelled(session, TrainingRunRow, course.id, owner="p#1")
    assert course.states() == ["cancelled"]
    assert [kind for kind, _id in course.resume()] == [TrainingRunRow]
    assert course.states() == ["queued"]
    course.cancel()
    assert course.states() == ["cancelled"]


def aside(act: Callable[[], object]) -> threading.Thread:
    """Let somebody else do something at the same time, and reach what they have to wait for."""
    thread = threading.Thread(target=act)
    thread.start()
    thread.join(0.3)
    return thread


def test_a_cancellation_waits_for_who_plans_and_stops_the_folds_they_queue(course: Course) -> None:
    assert course.claim()
    with course.sessions.begin() as session:
        assert jobs.begin_training(session, course.id, owner="p#1", plan=PLAN, outcomes={}, actor=ACTOR)
        cancelling = aside(course.cancel)
    cancelling.join()
    assert course.states() == ["cancelled", "cancelled", "cancelled"]
    assert course.events() == ["queued", "planned", "cancelled"]


def test_a_cancellation_and_a_fold_that_fails_do_not_wait_for_each_other(trained: Course) -> None:
    trained.train(1, error="training_diverged")
    refused = []

    def cancel() -> None:
        try:
            trained.cancel()
        except jobs.TrainingRunOverError as error:
            refused.append(error.found)

    with trained.sessions.begin() as session:
        run = session.get_one(TrainingRunRow, trained.id)
        change(session, TrainingRunRow, run.id, TrainingRunRow.state == "training", {"progress": 0.5})
        cancelling = aside(cancel)
        assert jobs.settle(session, run.id) is not None
    cancelling.join()
    assert trained.states() == ["failed", "cancelled", "failed"]
    assert refused == ["failed"]


def test_a_cancellation_and_a_fold_that_tells_of_itself_do_not_wait_for_each_other(
    trained: Course, tmp_path: Path
) -> None:
    fold = trained.folds()[0]
    with trained.sessions.begin() as session:
        assert jobs.claim(session, TrainingFoldRow, fold.id, owner="w#1", lease_s=60)
    with trained.sessions.begin() as session:
        lock(session, TrainingRunRow, trained.id)
        telling = aside(EpochNotes(trained.sessions, fold, "w#1", tmp_path).begin)
        jobs.cancel_run(session, session.get_one(TrainingRunRow, trained.id), actor=ACTOR)
    telling.join()
    assert trained.events()[-2:] == ["cancelled", "fold_begun"]


def test_no_fold_begins_or_counts_under_a_run_that_is_over(trained: Course) -> None:
    begun, waiting = trained.folds()
    with trained.sessions.begin() as session:
        assert jobs.claim(session, TrainingFoldRow, begun.id, owner="w#1", lease_s=60)
        over = {"state": "cancelled"}
        assert change(session, TrainingRunRow, trained.id, TrainingRunRow.state == "training", over)
    with trained.sessions.begin() as session:
        assert jobs.claim(session, TrainingFoldRow, waiting.id, owner="w#1", lease_s=60) is None
        assert not jobs.finish_fold(session, begun.id, owner="w#1", outcome=OUTCOME)


def test_the_log_says_why_a_run_failed_whoever_ended_it(course: Course) -> None:
    def last() -> tuple[str, Any]:
        with course.sessions() as session:
            [line] = jobs.newest_lines(session, course.id, limit=1)
        return line.event, line.details

    mine: dict[str, Any] = {"owner": "p#1", "code": "storage_unavailable", "message": "away"}
    assert course.claim()
    with course.sessions.begin() as session:
        assert jobs.wait(session, TrainingRunRow, course.id, **mine, wait_s=0)
    assert course.claim()
    with course.sessions.begin() as session:
        assert jobs.postpone(session, TrainingRunRow, course.id, **mine, backoff_s=0)
    assert last()[0] == "queued", "it only waits"

    assert course.claim()
    with course.sessions.begin() as session:
        assert jobs.postpone(session, TrainingRunRow, course.id, **mine, backoff_s=0)
    assert last() == ("failed", {"code": "storage_unavailable", "message": "away"})
    course.resume()
    assert course.claim()
    with course.sessions.begin() as session:
        fault = mine | {"code": "internal_error", "message": "it broke"}
        assert jobs.fail(session, TrainingRunRow, course.id, **fault)
        assert not jobs.fail(session, TrainingRunRow, course.id, **fault)
    assert last() == ("failed", {"code": "internal_error", "message": "it broke"})
    course.resume()
    for _attempt in range(2):
        with course.sessions.begin() as session:
            assert jobs.claim(session, TrainingRunRow, course.id, owner="p#1", lease_s=-1)
            jobs.sweep(session, TrainingRunRow, republish_s=30)
    assert last()[0] == "failed"
    assert last()[1]["code"] == "worker_lost"
    assert course.events() == ["queued", "failed", "resumed", "failed", "resumed", "failed"]


def test_what_is_over_is_neither_cancelled_nor_gone_on_with(trained: Course) -> None:
    with pytest.raises(jobs.TrainingRunNotResumableError, match="training"):
        trained.resume()
    trained.train(0, error="training_diverged")
    trained.settle()
    with pytest.raises(jobs.TrainingRunOverError, match="failed"):
        trained.cancel()


def test_folds_of_a_command_fail_no_run_before_all_are_over(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        asked = jobs.RunToTrain(
            run_folder=Path("/runs/own"), cohort_folder=Path("/cohorts/a"), device="cpu", n_folds=2
        )
        run = jobs.enqueue_run(session, asked, actor=ACTOR, organisation_id=DEFAULT_ORGANISATION_ID)
        course = Course(sessions, run.id)
    course.train(0, error="training_diverged")
    assert not course.settle()
    course.train(1)
    assert course.settle()
    assert course.states() == ["failed", "failed", "succeeded"]
    with pytest.raises(jobs.TrainingRunNotResumableError, match="restnet train"):
        course.resume()


def test_no_line_appears_before_one_that_was_read(trained: Course) -> None:
    def note(event: str) -> None:
        with trained.sessions.begin() as session:
            jobs.note(session, session.get_one(TrainingRunRow, trained.id), event, fold=0)

    with trained.sessions.begin() as session:
        jobs.note(session, session.get_one(TrainingRunRow, trained.id), "first", fold=1)
        writing = aside(lambda: note("second"))
        with trained.sessions() as reader:
            seen = list(jobs.lines_of(reader, trained.id, limit=100))
    writing.join()
    with trained.sessions() as reader:
        seen += jobs.lines_of(reader, trained.id, after=seen[-1].id, limit=100)
    assert [line.event for line in seen] == ["queued", "planned", "first", "second"]


def test_a_log_keeps_its_newest_lines(trained: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_log, "KEPT_LINES", 10)
    with trained.sessions.begin() as session:
        run = session.get_one(TrainingRunRow, trained.id)
        for number in range(120):
            jobs.note(session, run, "epoch", fold=0, details={"epoch": number})
    with trained.sessions() as session:
        kept = session.scalar(select(func.count(TrainingLogRow.id)))
        [last] = jobs.newest_lines(session, trained.id, limit=1)
        after = jobs.lines_of(session, trained.id, after=last.id - 3, limit=2)
    assert kept is not None
    assert 10 <= kept < 60
    assert last.details == {"epoch": 119}
    assert [line.details for line in after] == [{"epoch": 117}, {"epoch": 118}]
