import threading
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, TrainingFoldRow, TrainingRunRow
from service.identity.actor import Actor
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

A, B = Path("/shared/runs/a"), Path("/shared/runs/b")
OUTCOME = {"fold": 0, "epochs_run": 3, "best_epoch": 2}


def enqueue(
    sessions: sessionmaker[Session], run: Path = A, outcomes: dict[int, dict[str, Any]] | None = None
) -> str:
    with sessions.begin() as session:
        asked = jobs.RunToTrain(
            run_folder=run,
            cohort_folder=Path("/shared/cohort"),
            device="cpu",
            n_folds=3,
            outcomes=outcomes or {},
        )
        return jobs.enqueue_run(
            session,
            asked,
            actor=Actor("user:1", "test"),
            organisation_id=DEFAULT_ORGANISATION_ID,
            max_attempts=2,
        ).id


def folds(sessions: sessionmaker[Session], run: Path = A) -> list[TrainingFoldRow]:
    with sessions() as session:
        return list(jobs.folds_of(session, [run]))


def states(sessions: sessionmaker[Session], run: Path = A) -> list[str]:
    return [fold.state.value for fold in folds(sessions, run)]


def claim(sessions: sessionmaker[Session], fold_id: str) -> None:
    with sessions.begin() as session:
        assert jobs.claim(session, TrainingFoldRow, fold_id, owner="w#1", lease_s=60)


def test_a_run_is_a_job_for_each_fold(sessions: sessionmaker[Session]) -> None:
    run_id = enqueue(sessions)
    found = folds(sessions)
    assert [(fold.fold, fold.run_id, fold.max_attempts) for fold in found] == [
        (number, run_id, 2) for number in range(3)
    ]
    assert states(sessions) == ["queued"] * 3
    run = found[0].run
    assert (run.run_folder, run.cohort_folder, run.device) == (str(A), "/shared/cohort", "cpu")


def test_asking_again_adds_nothing_and_disturbs_nobody(sessions: sessionmaker[Session]) -> None:
    first = enqueue(sessions)
    claim(sessions, folds(sessions)[1].id)
    before = [(fold.id, fold.state, fold.attempts, fold.queued_at) for fold in folds(sessions)]
    assert enqueue(sessions) == first
    assert [(fold.id, fold.state, fold.attempts, fold.queued_at) for fold in folds(sessions)] == before
    enqueue(sessions, B)
    assert len(folds(sessions, B)) == len(folds(sessions, A)) == 3


def test_what_failed_or_was_cancelled_is_queued_again(sessions: sessionmaker[Session]) -> None:
    enqueue(sessions)
    failed, cancelled, _ = folds(sessions)
    claim(sessions, failed.id)
    with sessions.begin() as session:
        jobs.fail(session, TrainingFoldRow, failed.id, owner="w#1", code="training_diverged", message="m")
        jobs.cancel(session, TrainingFoldRow, cancelled.id)
    assert states(sessions) == ["failed", "cancelled", "queued"]
    enqueue(sessions)
    assert states(sessions) == ["queued"] * 3
    assert [(fold.attempts, fold.error_code, fold.cancel_requested) for fold in folds(sessions)] == [
        (0, None, False)
    ] * 3


def test_the_folder_decides_what_is_done(sessions: sessionmaker[Session]) -> None:
    enqueue(sessions, outcomes={0: OUTCOME})
    done = folds(sessions)[0]
    assert (done.state, done.progress, done.outcome) == ("succeeded", 1.0, OUTCOME)
    assert done.finished_at is not None
    # The folder was removed and begun again.
    with sessions.begin() as session:
        jobs.finish_run(session, A)
    enqueue(sessions)
    assert states(sessions) == ["queued"] * 3
    assert folds(sessions)[0].run.finished_at is None


def test_a_fold_that_is_being_trained_speaks_for_itself(sessions: sessionmaker[Session]) -> None:
    enqueue(sessions)
    fold = folds(sessions)[0]
    claim(sessions, fold.id)
    enqueue(sessions, outcomes={0: OUTCOME})
    assert states(sessions) == ["training", "queued", "queued"]
    with sessions.begin() as session:
        assert jobs.finish_fold(session, fold.id, owner="w#1", outcome=OUTCOME)
    found = folds(sessions)[0]
    assert (found.state, found.outcome, found.figures) == ("succeeded", OUTCOME, None)


def test_cancelling_runs_stops_their_folds_and_no_others(sessions: sessionmaker[Session]) -> None:
    enqueue(sessions, outcomes={0: OUTCOME})
    enqueue(sessions, B)
    _, running, queued = folds(sessions)
    claim(sessions, running.id)
    for expected in ({running.id, queued.id}, set()):
        with sessions.begin() as session:
            assert set(jobs.cancel_runs(session, [A], actor=Actor("user:2", "test"))) == expected
    assert states(sessions) == ["succeeded", "training", "cancelled"]
    assert folds(sessions)[1].cancel_requested
    assert states(sessions, B) == ["queued"] * 3
    with sessions() as session:
        events = session.scalars(select(AuditEventRow).order_by(AuditEventRow.at)).all()
    assert [(event.actor, event.action) for event in events] == [
        ("user:1", "training.start"),
        ("user:1", "training.start"),
        ("user:2", "training.cancel"),
    ]


def test_two_who_ask_at_once_make_one_run(sessions: sessionmaker[Session]) -> None:
    barrier = threading.Barrier(4)
    refused = []

    def ask() -> None:
        barrier.wait()
        try:
            enqueue(sessions)
        except IntegrityError:
            refused.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) < 4
    with sessions() as session:
        assert session.execute(select(func.count(TrainingRunRow.id))).scalar_one() == 1
        assert session.execute(select(func.count(TrainingFoldRow.id))).scalar_one() == 3


def test_folds_go_with_their_run(sessions: sessionmaker[Session]) -> None:
    enqueue(sessions)
    with sessions.begin() as session:
        session.execute(delete(TrainingRunRow))
    assert folds(sessions) == []
