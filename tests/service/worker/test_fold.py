"""One fold in this process: trained for real, and, with the training replaced, each way to fail."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.base import utc_now
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import TrainingFoldRow, TrainingRunRow
from service.identity.actor import Actor
from service.settings import Settings
from service.worker import fold as fold_work
from service.worker import job
from service.worker.fold import run_fold
from service.worker.runtime import Runtime, open_runtime
from tests.training.validation.tiny_cohorts import QUICK, tiny_store
from training.cohort.store.cohort_store import CohortStore
from training.fitting.progress import FitProgress
from training.fitting.steps import TrainingDivergedError
from training.runs import FoldOutcome, fold_folder, read_outcome
from training.validation import fold as training_fold
from training.validation.cross_validation import plan_run, train_run
from training.validation.fold import WEIGHTS_FILE
from training.validation.fold_lock import fold_alone

TrainFold = Callable[..., FoldOutcome]
N_THREADS = 1


def progress(epoch: int) -> FitProgress:
    return FitProgress(
        epoch=epoch,
        n_epochs=4,
        batch=1,
        n_batches=2,
        training_loss=0.7,
        stopping_loss=None,
        remaining_s=1.0,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CohortStore:
    return tiny_store(tmp_path_factory.mktemp("cohorts") / "cohort")


@pytest.fixture
def runtime(tmp_path: Path, database_url: str) -> Runtime:
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url, heartbeat_s=0.1, backoff_s=60)
    return open_runtime(settings)


@pytest.fixture
def run(tmp_path: Path, store: CohortStore) -> Path:
    folder = tmp_path / "private" / "run"
    plan_run(store, store.subjects, settings=QUICK, out=folder, device="cpu", threads=N_THREADS)
    return folder


@pytest.fixture
def fold_id(run: Path, store: CohortStore, sessions: sessionmaker[Session]) -> str:
    asked = jobs.RunToTrain(run_folder=run, cohort_folder=store.folder, device="cpu", n_folds=2)
    with sessions.begin() as session:
        jobs.enqueue_run(
            session,
            asked,
            actor=Actor("user:1", "test"),
            organisation_id=DEFAULT_ORGANISATION_ID,
            max_attempts=3,
        )
        return jobs.folds_of(session, [run])[0].id


@pytest.fixture
def row(fold_id: str, sessions: sessionmaker[Session]) -> Callable[[], TrainingFoldRow]:
    def read() -> TrainingFoldRow:
        with sessions() as session:
            return session.get_one(TrainingFoldRow, fold_id)

    return read


@pytest.fixture
def replace(monkeypatch: pytest.MonkeyPatch) -> Callable[[TrainFold], None]:
    """Put something in place of the training of a fold."""

    def with_this(train: TrainFold) -> None:
        monkeypatch.setattr(training_fold, "train_fold", train)

    return with_this


def failing(error: Exception) -> TrainFold:
    def train(*_arguments: Any, **_options: Any) -> FoldOutcome:
        raise error

    return train


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(fold_folder(run, 0) / WEIGHTS_FILE)


def test_a_fold_is_trained_once_to_the_weights_of_a_training_in_process(
    runtime: Runtime, fold_id: str, run: Path, store: CohortStore, row: Any, tmp_path: Path
) -> None:
    run_fold(runtime, fold_id)
    first = row()
    assert (first.state, first.progress, first.lease_owner, first.figures) == ("succeeded", 1.0, None, None)
    assert first.outcome == read_outcome(run, 0).model_dump(mode="json")
    run_fold(runtime, fold_id)
    assert (row().attempts, row().finished_at) == (1, first.finished_at)

    here = tmp_path / "here"
    train_run(store, store.subjects, settings=QUICK, out=here, device="cpu", threads=N_THREADS)
    expected, found = weights(here), weights(run)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_it_goes_on_where_another_worker_was_told_to_stop(
    runtime: Runtime,
    fold_id: str,
    run: Path,
    row: Any,
    sessions: sessionmaker[Session],
    replace: Callable[[TrainFold], None],
) -> None:
    real = training_fold.train_fold

    def stopped_in_the_second_epoch(*arguments: Any, progress: Any, **options: Any) -> FoldOutcome:
        def report(fold: int, now: FitProgress) -> None:
            if now.epoch == 2:
                with sessions.begin() as session:
                    jobs.hand_back(session, TrainingFoldRow, worker=runtime.worker)
                while True:
                    time.sleep(0.05)
                    progress(fold, now)
            progress(fold, now)

        return real(*arguments, progress=report, **options)

    replace(stopped_in_the_second_epoch)
    run_fold(runtime, fold_id)
    assert (row().state, row().attempts) == ("queued", 0)
    epochs = []

    def watched(*arguments: Any, progress: Any, **options: Any) -> FoldOutcome:
        return real(*arguments, progress=lambda _fold, now: epochs.append(now.epoch), **options)

    replace(watched)
    run_fold(runtime, fold_id)
    assert (row().state, row().attempts) == ("succeeded", 1)
    assert set(epochs) == {2}, "the first epoch was trained again"
    assert read_outcome(run, 0).epochs_run == QUICK.epochs == 2


def test_the_log_says_that_a_worker_was_lost_and_keeps_its_last_whole_epoch(
    runtime: Runtime,
    fold_id: str,
    row: Any,
    sessions: sessionmaker[Session],
    replace: Callable[[TrainFold], None],
) -> None:
    real = training_fold.train_fold

    def killed_in_the_second_epoch(*arguments: Any, progress: Any, **options: Any) -> FoldOutcome:
        def report(fold: int, now: FitProgress) -> None:
            if now.epoch == 2:
                # As when the process dies: the first epoch is in the folder, and nobody was told of it.
                raise SystemExit
            progress(fold, now)

        return real(*arguments, progress=report, **options)

    replace(killed_in_the_second_epoch)
    with pytest.raises(SystemExit):
        run_fold(runtime, fold_id)
    with sessions.begin() as session:
        session.execute(update(TrainingFoldRow).values(lease_expires_at=utc_now(-1.0)))
        assert jobs.sweep(session, TrainingFoldRow, republish_s=30).requeued == (fold_id,)
    replace(real)
    run_fold(runtime, fold_id)
    assert row().state == "succeeded"
    with sessions() as session:
        lines = jobs.newest_lines(session, row().run_id, limit=20)
    told = [(line.event, (line.details or {}).get("epoch")) for line in lines]
    assert told == [
        ("fold_begun", None),
        ("epoch", 1),
        ("fold_taken_over", 1),
        ("epoch", 2),
        ("fold_finished", None),
    ]


def test_it_computes_on_as_many_threads_as_planned_and_puts_them_back(
    runtime: Runtime, fold_id: str, replace: Callable[[TrainFold], None]
) -> None:
    counts = []

    def train(*_arguments: Any, **_options: Any) -> FoldOutcome:
        counts.append(torch.get_num_threads())
        raise TrainingDivergedError(epoch=1, loss="training", found=float("nan"))

    before = torch.get_num_threads()
    replace(train)
    try:
        torch.set_num_threads(2)
        run_fold(runtime, fold_id)
        counts.append(torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
    assert counts == [N_THREADS, 2]


def test_people_see_how_far_it_is_and_a_cancellation_stops_it(
    runtime: Runtime,
    fold_id: str,
    row: Any,
    sessions: sessionmaker[Session],
    replace: Callable[[TrainFold], None],
) -> None:
    seen = []

    def train(*_arguments: Any, progress: Any, **_options: Any) -> FoldOutcome:
        while True:
            progress(0, progress_of_three)
            now = row()
            if now.figures is not None and not seen:
                seen.append((now.state, now.progress, now.figures))
                with sessions.begin() as session:
                    jobs.cancel(session, TrainingFoldRow, fold_id)
            time.sleep(0.02)

    progress_of_three = progress(3)
    replace(train)
    run_fold(runtime, fold_id)
    ((state, done, figures),) = seen
    assert (state, done) == ("training", pytest.approx(2.5 / 4))
    assert FitProgress(**figures) == progress_of_three
    assert (row().state, row().lease_owner) == ("cancelled", None)


def test_an_attempt_that_gets_an_epoch_further_costs_none(
    runtime: Runtime,
    fold_id: str,
    row: Any,
    sessions: sessionmaker[Session],
    replace: Callable[[TrainFold], None],
) -> None:
    attempts = []

    def train(*_arguments: Any, progress: Any, **_options: Any) -> FoldOutcome:
        for now in (progress_of_two, progress_of_three):
            end = time.monotonic() + 20
            progress(0, now)
            while (row().figures or {}).get("epoch") != now.epoch:
                assert time.monotonic() < end
                time.sleep(0.02)
            attempts.append(row().attempts)
        raise TrainingDivergedError(epoch=3, loss="training", found=float("nan"))

    progress_of_two, progress_of_three = progress(2), progress(3)
    with sessions.begin() as session:
        session.execute(update(TrainingFoldRow).values(attempts=2))
    replace(train)
    run_fold(runtime, fold_id)
    assert attempts == [3, 1]


def test_a_refusal_ends_the_fold_with_its_own_words(
    runtime: Runtime, fold_id: str, row: Any, replace: Callable[[TrainFold], None]
) -> None:
    replace(failing(TrainingDivergedError(epoch=3, loss="training", found=float("nan"))))
    run_fold(runtime, fold_id)
    assert (row().state, row().error_code, row().attempts) == ("failed", "training_diverged", 1)
    assert "epoch 3" in row().error_message
    assert row().error_details["found"] == "nan"


@pytest.mark.parametrize("missing", ["run", "cohort"])
def test_a_folder_that_is_not_shared_is_said_with_the_machine(
    runtime: Runtime,
    fold_id: str,
    run: Path,
    row: Any,
    sessions: sessionmaker[Session],
    tmp_path: Path,
    missing: str,
) -> None:
    nowhere = tmp_path / "private" / "elsewhere"
    with sessions.begin() as session:
        session.execute(update(TrainingRunRow).values({f"{missing}_folder": str(nowhere)}))
    run_fold(runtime, fold_id)
    assert (row().state, row().error_code) == ("failed", "shared_folder_missing")
    assert row().error_details == {"folder": missing, "name": "elsewhere", "host": socket.gethostname()}
    assert "private" not in row().error_message


def test_a_fold_that_another_process_trains_waits_and_pays_no_attempt(
    runtime: Runtime, fold_id: str, run: Path, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_work, "LOCK_PATIENCE_S", 0.1)
    monkeypatch.setattr(job, "WAIT_S", 0.0)
    fold_folder(run, 0).mkdir(parents=True)
    with fold_alone(run, 0, patience_s=0):
        for _ in range(5):
            run_fold(runtime, fold_id)
            assert (row().state, row().error_code, row().attempts) == ("queued", "fold_in_progress", 0)
    run_fold(runtime, fold_id)
    assert (row().state, row().error_code) == ("succeeded", None)


def test_what_may_pass_is_tried_again_later_and_no_path_is_told(
    runtime: Runtime,
    fold_id: str,
    row: Any,
    replace: Callable[[TrainFold], None],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    replace(failing(OSError(5, "Input/output error", "/private/run")))
    run_fold(runtime, fold_id)
    assert (row().state, row().error_code, row().attempts) == ("queued", "storage_unavailable", 1)
    captured = capsys.readouterr()
    assert "private" not in row().error_message + captured.out + captured.err + caplog.text


def test_a_fault_of_ours_gives_a_reference(
    runtime: Runtime, fold_id: str, row: Any, replace: Callable[[TrainFold], None]
) -> None:
    replace(failing(KeyError("secret")))
    run_fold(runtime, fold_id)
    assert (row().state, row().error_code) == ("failed", "internal_error")
    assert row().error_reference in row().error_message
    assert "secret" not in row().error_message
