"""Planning and finishing in this process, on a tiny cohort: what a run becomes, and each way to refuse it."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, sessionmaker

from model.errors import DeviceUnavailableError
from service import jobs
from service.db.base import utc_now
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import (
    EvaluationRow,
    ModelVersionRow,
    TrainingFoldRow,
    TrainingLogRow,
    TrainingRunRow,
    WorkerRow,
)
from service.identity.actor import Actor
from service.queue import make_celery
from service.registry import active_model, origins_of
from service.settings import Settings
from service.storage import StorageUnavailableError
from service.training_request import TrainingRequest
from service.worker import evaluation, training_needs, training_run
from service.worker.cohorts import register_cohort
from service.worker.fold import run_fold
from service.worker.runtime import Runtime, open_runtime
from service.worker.training_needs import needs_of, threads_of_a_fold
from service.worker.training_run import run_training
from tests.service.answering import let_answer
from tests.service.evaluated import add_set
from tests.training.validation.tiny_cohorts import tiny_store
from training.cohort.store.cohort_store import CohortStore
from training.fitting.settings import read_settings
from training.run_files import RunFolderError
from training.runs import CHECKPOINT_FILE, read_run

QUICK: dict[str, Any] = {
    "cohort": "tiny",
    "width": 1,
    "folds": 2,
    "epochs": 1,
    "batch_size": 4,
    "inner_stopping": 0.25,
    "inner_calibration": 0.25,
    "device": "cpu",
}
ACTOR = Actor("user:1", "test")


@pytest.fixture
def runtime(tmp_path: Path, database_url: str) -> Runtime:
    return open_runtime(Settings(data_dir=tmp_path / "data", database_url=database_url, training_threads=1))


@pytest.fixture
def store(tmp_path: Path) -> CohortStore:
    return tiny_store(tmp_path / "cohort")


@pytest.fixture
def ask(runtime: Runtime, store: CohortStore) -> Callable[..., str]:
    def ask(**changes: Any) -> str:
        with runtime.sessions.begin() as session:
            cohort = register_cohort(session, store.folder, actor=ACTOR)
            [run] = jobs.request_runs(
                session,
                TrainingRequest.model_validate(QUICK | changes),
                cohort,
                runs_dir=runtime.settings.runs_dir,
                actor=ACTOR,
                organisation_id=DEFAULT_ORGANISATION_ID,
            )
            return run.id

    return ask


def row_of(sessions: sessionmaker[Session], run_id: str) -> TrainingRunRow:
    with sessions() as session:
        return session.get_one(TrainingRunRow, run_id)


def refused(runtime: Runtime, run_id: str) -> tuple[str | None, str]:
    """Plan a run that cannot be; gives its code and its sentence, which the log holds too."""
    run_training(runtime, run_id)
    row = row_of(runtime.sessions, run_id)
    with runtime.sessions() as session:
        assert list(jobs.folds_of_run(session, run_id)) == []
        line = session.scalars(select(TrainingLogRow).order_by(TrainingLogRow.id.desc())).first()
    assert row.state == "failed"
    assert line is not None
    assert line.details == {"code": row.error_code, "message": row.error_message}
    return row.error_code, row.error_message or ""


def test_a_run_is_planned_trained_and_finished_in_turn(runtime: Runtime, ask: Callable[..., str]) -> None:
    run_id = ask()
    run_training(runtime, run_id)
    row = row_of(runtime.sessions, run_id)
    assert (row.state, row.error_code) == ("training", None)
    assert row.plan is not None
    assert (row.plan["n_subjects"], row.plan["n_cases"], row.plan["threads"]) == (16, 8, 1)
    assert read_run(Path(row.run_folder)).settings["width"] == 1
    with runtime.sessions() as session:
        folds = [fold.id for fold in jobs.folds_of_run(session, run_id)]
    for fold_id in folds:
        run_fold(runtime, fold_id)
        with runtime.sessions.begin() as session:
            jobs.settle(session, run_id)
    run_training(runtime, run_id)
    row = row_of(runtime.sessions, run_id)
    assert (row.state, row.progress) == ("succeeded", 1.0)
    with runtime.sessions() as session:
        [version] = session.scalars(select(ModelVersionRow))
        assert active_model(session) is None
        assert origins_of(session, [version.id]) == {version.id: run_id}
    assert (version.id, version.card["width"]) == (row.model_version_id, 1)
    with runtime.storage.open_local(version.storage_key) as path:
        assert path.read_bytes() == (Path(row.run_folder) / CHECKPOINT_FILE).read_bytes()
    needed, took = (
        row.plan["disk_bytes"],
        sum(file.stat().st_size for file in Path(row.run_folder).rglob("*") if file.is_file()),
    )
    assert took < needed, "the run took more than was asked for"


def test_a_challenger_is_compared_by_itself_where_a_model_answers_and_a_set_is_in_use(
    runtime: Runtime, ask: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(**changes: Any) -> TrainingRunRow:
        run_id = ask(**changes)
        run_training(runtime, run_id)
        with runtime.sessions() as session:
            folds = [fold.id for fold in jobs.folds_of_run(session, run_id)]
        for fold_id in folds:
            run_fold(runtime, fold_id)
            with runtime.sessions.begin() as session:
                jobs.settle(session, run_id)
        run_training(runtime, run_id)
        return row_of(runtime.sessions, run_id)

    first = trained()
    with runtime.sessions.begin() as session:
        assert session.scalars(select(EvaluationRow)).all() == []
        add_set(session)
        let_answer(session, session.get_one(ModelVersionRow, first.model_version_id))
    second = trained(seeds=[1])
    assert second.state == "succeeded"
    with runtime.sessions() as session:
        [row] = session.scalars(select(EvaluationRow))
    assert (row.champion_id, row.challenger_id) == (first.model_version_id, second.model_version_id)
    assert (row.state, row.requested_by) == ("queued", "worker")
    told: list[str] = []
    monkeypatch.setattr(evaluation, "announce", lambda _app, _sessions, _kind, job_id: told.append(job_id))
    evaluation.announce_evaluations(make_celery(runtime.settings), runtime)
    assert told == [row.id]
    # The same bytes once more answer already, or are compared already.
    assert trained().state == trained(seeds=[1]).state == "succeeded"
    with runtime.sessions() as session:
        assert len(session.scalars(select(EvaluationRow)).all()) == 1


def test_a_run_waits_for_outcomes_that_another_machine_has_just_written(
    runtime: Runtime, ask: Callable[..., str]
) -> None:
    def look(**changes: Any) -> TrainingRunRow:
        with runtime.sessions.begin() as session:
            session.execute(update(TrainingRunRow).values(not_before=None, **changes))
        run_training(runtime, run_id)
        return row_of(runtime.sessions, run_id)

    run_id = ask()
    run_training(runtime, run_id)
    folder = Path(row_of(runtime.sessions, run_id).run_folder)
    with runtime.sessions.begin() as session:
        session.execute(update(TrainingFoldRow).values(state="succeeded"))
        assert jobs.settle(session, run_id) is not None
    row = look()
    assert (row.state, row.error_code, row.attempts) == ("queued", "folds_not_seen", 0)
    assert not (folder / CHECKPOINT_FILE).exists()
    row = look(queued_at=utc_now(-training_run.FOLDER_PATIENCE_S))
    assert (row.state, row.error_code) == ("failed", RunFolderError.code)


def test_no_run_begins_on_a_disk_or_in_a_memory_that_is_too_small(
    runtime: Runtime, ask: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1 << 20))
        code, said = refused(runtime, ask())
    assert code == "disk_too_small"
    assert "found 1 MiB" in said
    with monkeypatch.context() as patched:
        patched.setattr(training_needs, "available_memory_bytes", lambda: 100 << 20)
        run_id = ask()
        code, said = refused(runtime, run_id)
    assert code == "memory_too_small"
    assert "found 100 MiB" in said
    # With room it goes on in the folder that is there.
    with runtime.sessions.begin() as session:
        jobs.resume_run(session, session.get_one(TrainingRunRow, run_id), actor=ACTOR)
    run_training(runtime, run_id)
    assert row_of(runtime.sessions, run_id).state == "training"


def test_a_run_that_waits_for_the_storage_has_not_failed_and_a_fault_of_ours_is_told(
    runtime: Runtime, ask: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*_asked: object) -> None:
        raise wrong

    wrong: Exception = StorageUnavailableError("away")
    run_id = ask()
    monkeypatch.setattr(training_run, "_plan", plan)
    run_training(runtime, run_id)
    assert row_of(runtime.sessions, run_id).state == "queued"
    with runtime.sessions() as session:
        assert [line.event for line in jobs.newest_lines(session, run_id, limit=9)] == ["queued"]
    wrong = DeviceUnavailableError(expected="cuda")
    assert refused(runtime, ask())[0] == "device_unavailable"
    wrong = KeyError("a fault")
    assert refused(runtime, ask())[0] == "internal_error"


def test_a_cohort_that_changed_after_the_request_is_not_trained_on(
    runtime: Runtime, ask: Callable[..., str], store: CohortStore
) -> None:
    run_id = ask()
    shutil.rmtree(store.folder)
    tiny_store(store.folder, seed=5)
    assert refused(runtime, run_id)[0] == "cohort_not_usable"
    run_id = ask()
    shutil.rmtree(store.folder)
    assert refused(runtime, run_id)[0] == "cohort_not_found"


def test_what_only_the_cohort_can_tell_is_refused_by_its_own_code(
    runtime: Runtime, ask: Callable[..., str]
) -> None:
    assert refused(runtime, ask(where=["site=Nowhere"]))[0] == "selection_filter_invalid"
    assert refused(runtime, ask(selection="train"))[0] == "selection_needs_release"


def test_a_fold_takes_half_of_the_cores_unless_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(6)))
    assert threads_of_a_fold(0) == 3
    assert threads_of_a_fold(5) == 5
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0})
    assert threads_of_a_fold(0) == 1


def needs(*, n_folds: int = 5, **changes: Any) -> training_needs.Needs:
    return needs_of(
        read_settings(overrides=changes),
        n_parameters=1_000_000,
        n_folds=n_folds,
        n_frames=20_000,
        window_frames=20,
        on_gpu=False,
    )


def test_larger_batches_and_networks_need_more_memory_and_frozen_ones_more_disk() -> None:
    plain = needs()
    assert needs(batch_size=64).memory_bytes > plain.memory_bytes
    assert needs(micro_batch=8).memory_bytes < plain.memory_bytes
    assert needs(width=32).memory_bytes > plain.memory_bytes
    frozen = needs(encoder="frozen")
    assert frozen.memory_bytes < plain.memory_bytes
    assert frozen.disk_bytes > plain.disk_bytes == (5 * 5 + 4) * 4_000_000 + training_needs.TABLES_BYTES


def test_more_folds_need_more_memory_to_be_put_together_and_no_more_while_they_are_trained() -> None:
    few, many = needs(), needs(n_folds=30)
    assert few.memory_bytes == many.memory_bytes
    assert many.finishing_bytes - few.finishing_bytes >= 2 * 25 * 4_000_000


def say_present_here(runtime: Runtime, *process_ids: int, host: str = socket.gethostname()) -> None:
    with runtime.sessions.begin() as session:
        session.execute(delete(WorkerRow))
        session.add_all(
            WorkerRow(name=f"training-{process_id}-x@{host}", queue="training", host=host)
            for process_id in process_ids
        )


def test_folds_that_this_machine_trains_beside_each_other_need_their_memory_at_once(
    runtime: Runtime, ask: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Processes that are not there, and hold nothing.
    unseen = range(2**22 + 1, 2**22 + 8)
    first = ask()
    run_training(runtime, first)
    plan = row_of(runtime.sessions, first).plan or {}
    assert plan["folds_at_once"] == 1

    monkeypatch.setattr(training_needs, "available_memory_bytes", lambda: plan["memory_bytes"] * 3 // 2)
    for present in ({"host": "elsewhere"}, {}):
        say_present_here(runtime, *(unseen if present else unseen[:1]), **present)
        run_id = ask()
        run_training(runtime, run_id)
        assert row_of(runtime.sessions, run_id).state == "training", present
    say_present_here(runtime, *unseen[:2])
    code, said = refused(runtime, ask())
    assert code == "memory_too_small"
    assert "for 2 folds beside each other" in said

    # There are two folds, however many could train one.
    monkeypatch.setattr(training_needs, "available_memory_bytes", lambda: 2 * plan["memory_bytes"])
    say_present_here(runtime, *unseen)
    run_id = ask()
    run_training(runtime, run_id)
    assert (row_of(runtime.sessions, run_id).plan or {})["folds_at_once"] == 2


def test_what_a_worker_holds_for_a_fold_is_free_for_its_next(
    runtime: Runtime, ask: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = ask()
    run_training(runtime, run_id)
    plan = row_of(runtime.sessions, run_id).plan or {}
    free = plan["memory_bytes"] - (250 << 20)
    monkeypatch.setattr(training_needs, "available_memory_bytes", lambda: free)
    assert refused(runtime, ask())[0] == "memory_too_small"
    # A worker's child does the work.
    holding = "import sys; held = b'x' * (300 << 20); print(flush=True); sys.stdin.read()"
    below = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holding!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", below], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        say_present_here(runtime, worker.pid)
        run_id = ask()
        run_training(runtime, run_id)
    assert row_of(runtime.sessions, run_id).state == "training"


def test_folds_that_cannot_be_put_together_here_are_not_trained(
    runtime: Runtime, ask: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def much(*given: Any, **named: Any) -> training_needs.Needs:
        return replace(needs_of(*given, **named), finishing_bytes=1 << 50)

    monkeypatch.setattr(training_run, "needs_of", much)
    code, said = refused(runtime, ask())
    assert code == "memory_too_small"
    assert "to put 2 folds together" in said
