"""The command beside workers: here threads that claim the same rows, in tests/integration real processes."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.cli import training_watch
from service.db.engine import make_engine, session_factory
from service.db.migrate import upgrade
from service.db.rows import FoldState, TrainingFoldRow, TrainingRunRow
from service.identity.actor import Actor
from service.settings import Settings
from service.worker import fold as fold_work
from service.worker.fold import run_fold
from service.worker.runtime import open_runtime
from tests.training.validation.tiny_cohorts import tiny_store
from training.fitting.steps import TrainingDivergedError
from training.runs import CHECKPOINT_FILE, fold_folder
from training.validation import fold as training_fold

TOML = """
folds = 2
epochs = 1
batch_size = 4
inner_stopping = 0.25
inner_calibration = 0.25
width = 1
"""


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """The command sends the log of its process to its own stderr; later tests have another."""
    loggers = [logging.getLogger(name) for name in (None, "multiprocessing")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.level, logger.propagate = handlers, level, propagate
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_watch, "POLL_S", 0.05)
    monkeypatch.setattr(training_watch, "WORKER_PATIENCE_S", 0.5)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_store(tmp_path_factory.mktemp("cohorts") / "cohort").folder


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("RESTNET_DATA_DIR", str(tmp_path / "data"))
    return Settings(heartbeat_s=0.1)


@pytest.fixture
def words(cohort: Path, tmp_path: Path) -> list[object]:
    config = tmp_path / "tiny.toml"
    config.write_text(TOML)
    return ["train", cohort, "--config", config, "--device", "cpu", "--threads", 1]


@pytest.fixture
def command(words: list[object], settings: Settings, tmp_path: Path) -> list[object]:
    return [*words, "--distributed", "celery", "--out", tmp_path / "run"]


@pytest.fixture
def sessions(settings: Settings) -> Iterator[sessionmaker[Session]]:
    upgrade(settings.database_url.get_secret_value())
    engine = make_engine(settings.database_url.get_secret_value())
    yield session_factory(engine)
    engine.dispose()


class Worker(threading.Thread):
    """Takes every queued fold, as a worker does whom a message woke."""

    def __init__(self, settings: Settings, sessions: sessionmaker[Session], *, after_s: float) -> None:
        super().__init__(daemon=True)
        self.runtime, self.sessions, self.after_s = open_runtime(settings), sessions, after_s
        self.most_queued = 0
        self.over = threading.Event()

    def run(self) -> None:
        self.over.wait(self.after_s)
        while not self.over.wait(0.05):
            with self.sessions() as session:
                queued = select(TrainingFoldRow.id).where(TrainingFoldRow.state == FoldState.QUEUED)
                ids = session.scalars(queued).all()
            self.most_queued = max(self.most_queued, len(ids))
            if ids:
                run_fold(self.runtime, ids[0])


@pytest.fixture
def worker(settings: Settings, sessions: sessionmaker[Session], request: Any) -> Iterator[Worker]:
    thread = Worker(settings, sessions, after_s=getattr(request, "param", 0.0))
    thread.start()
    yield thread
    thread.over.set()
    thread.join(60)


def rows(sessions: sessionmaker[Session]) -> list[TrainingFoldRow]:
    with sessions() as session:
        return list(session.scalars(select(TrainingFoldRow).order_by(TrainingFoldRow.fold)))


def messages(settings: Settings) -> int:
    return len(list((settings.data_dir / "broker" / "messages").glob("*.training.msg")))


def test_workers_train_what_a_process_trains(
    command: list[object], words: list[object], restnet: Any, worker: Worker, sessions: Any, tmp_path: Path
) -> None:
    status, printed, told = restnet(*command, "--json")
    assert (status, told) == (0, "")
    here = tmp_path / "here"
    _, alone, _ = restnet(*words, "--out", here, "--json")
    found, expected = json.loads(printed), json.loads(alone)
    assert found["metrics"] == expected["metrics"]
    assert found["run"] == str(tmp_path / "run")
    for fold in range(2):
        weights = [(fold_folder(run, fold) / "weights.safetensors") for run in (here, tmp_path / "run")]
        assert weights[0].read_bytes() == weights[1].read_bytes()
    assert [row.state for row in rows(sessions)] == ["succeeded"] * 2
    with sessions() as session:
        assert session.scalars(select(TrainingRunRow)).one().finished_at is not None

    status, printed, told = restnet(*command)
    assert (status, "C-lstm fold 2 of 2 finished: 1 epoch," in told) == (0, True)
    assert "balanced accuracy" in printed
    assert "for the training workers" not in told, "nothing was left to do"


@pytest.mark.parametrize("worker", [2.0], indirect=True)
def test_a_grid_waits_all_at_once_and_the_wait_is_explained(
    command: list[object], restnet: Any, worker: Worker, tmp_path: Path, settings: Settings
) -> None:
    status, printed, told = restnet(*command, "--network", "D", "--rnn", "all")
    assert status == 0
    assert worker.most_queued == 4
    assert messages(settings) == 4, "the thread needs none of them, a worker one for each fold"
    assert "No training worker has taken a fold yet: start one with `restnet worker --queue training`" in told
    assert [f"D-{rnn} fold {fold} of 2 finished" in told for rnn in ("lstm", "gru") for fold in (1, 2)] == [
        True
    ] * 4
    assert printed.index("D-lstm: D-lstm") < printed.index("D-gru: D-gru")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [(TrainingDivergedError(epoch=1, loss="training", found=1.0), 2, "training_diverged"),
     (KeyError("ours"), 1, "internal_error")],
)  # fmt: skip
def test_a_fold_that_fails_is_named_and_the_others_go_on(
    command: list[object],
    restnet: Any,
    worker: Worker,
    sessions: Any,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
    status: int,
    code: str,
    tmp_path: Path,
) -> None:
    real = training_fold.train_fold

    def train(run: Path, fold: int, **options: Any) -> Any:
        if fold == 0:
            raise fault
        return real(run, fold, **options)

    monkeypatch.setattr(training_fold, "train_fold", train)
    found, printed, told = restnet(*command, "--json")
    error = json.loads(printed)["error"]
    assert (found, error["code"]) == (status, "folds_failed")
    (failed,) = error["failed"]
    assert (failed["run"], failed["fold"], failed["code"]) == (str(tmp_path / "run"), 0, code)
    assert "C-lstm fold 1 of 2 failed: " in told
    assert [row.state for row in rows(sessions)] == ["failed", "succeeded"]

    monkeypatch.setattr(training_fold, "train_fold", real)
    found, _, told = restnet(*command)
    assert (found, "1 fold for the training workers" in told) == (0, True)


@pytest.mark.parametrize("fails", [False, True], ids=["all other folds succeed", "a fold fails too"])
def test_a_system_that_cannot_be_begun_is_named_and_the_others_are_trained(
    command: list[object],
    restnet: Any,
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
    fails: bool,
    tmp_path: Path,
) -> None:
    real = training_fold.train_fold

    def train(run: Path, fold: int, **options: Any) -> Any:
        if fails and fold == 1:
            raise KeyError("ours")
        return real(run, fold, **options)

    monkeypatch.setattr(training_fold, "train_fold", train)
    taken = tmp_path / "run" / "D-lstm"
    taken.mkdir(parents=True)
    (taken / "notes.txt").write_text("of somebody else")
    status, printed, _ = restnet(*command, "--network", "D", "--rnn", "all", "--json")
    error = json.loads(printed)["error"]
    assert (status, error["code"]) == (1 if fails else 2, "systems_failed")
    assert [(one["run"], one["code"]) for one in error["failed"]] == [(str(taken), "run_folder_taken")]
    assert [(one["fold"], one["code"]) for one in error["folds"]] == [(1, "internal_error")] * fails
    assert (tmp_path / "run" / "D-gru" / CHECKPOINT_FILE).exists() is not fails


def test_without_a_system_that_can_be_begun_no_worker_is_waited_for(
    command: list[object], restnet: Any, tmp_path: Path
) -> None:
    for name in ("D-lstm", "D-gru"):
        (tmp_path / "run" / name).mkdir(parents=True)
        (tmp_path / "run" / name / "notes.txt").write_text("of somebody else")
    status, _, told = restnet(*command, "--network", "D", "--rnn", "all")
    assert (status, told.count("[run_folder_taken]"), told.count("[systems_failed]")) == (2, 2, 1)


def test_ctrl_c_cancels_what_waits_and_what_is_trained_and_the_same_command_goes_on(
    command: list[object],
    restnet: Any,
    worker: Worker,
    sessions: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, pressed = training_fold.train_fold, threading.Event()

    def train(run: Path, fold: int, *, progress: Any, **options: Any) -> Any:
        def report(fold: int, now: Any) -> None:
            while not pressed.is_set():
                time.sleep(0.02)
            for _ in range(200):
                time.sleep(0.02)
                progress(fold, now)

        return real(run, fold, progress=report, **options)

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if any(row.state == FoldState.TRAINING for row in rows(sessions)):
            pressed.set()
            raise KeyboardInterrupt

    monkeypatch.setattr(training_fold, "train_fold", train)
    with monkeypatch.context() as patched:
        patched.setattr(training_watch, "sleep", sleep)
        status, printed, told = restnet(*command)
    assert (status, printed) == (130, "")
    assert "The same command goes on where it stopped." in told
    before = rows(sessions)
    assert [row.state for row in before] == ["cancelled"] * 2

    monkeypatch.setattr(training_fold, "train_fold", real)
    assert restnet(*command)[0] == 0
    assert [(row.id, row.state) for row in rows(sessions)] == [(row.id, "succeeded") for row in before]


def test_who_is_cancelled_by_others_is_told(
    command: list[object], restnet: Any, sessions: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def sleep(_seconds: float) -> None:
        with sessions.begin() as session:
            jobs.cancel_runs(session, [tmp_path / "run"], actor=Actor("user:1", "test"))

    monkeypatch.setattr(training_watch, "sleep", sleep)
    status, printed, _ = restnet(*command, "--json")
    assert (status, json.loads(printed)["error"]["failed"][1]["code"]) == (2, "training_cancelled")


@pytest.mark.parametrize("worker", [3.0], indirect=True)
def test_a_broker_that_is_away_costs_nothing_but_a_line(
    command: list[object], restnet: Any, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTNET_BROKER_URL", "redis://127.0.0.1:1/0")
    status, _, told = restnet(*command)
    assert status == 0
    assert "The message broker does not answer." in told


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--distributed", "celery", "--processes", 2], "--processes is for folds trained here"),
        (["--data-dir", "data"], "--data-dir is for --distributed"),
        (["--distributed", "slurm"], "slurm"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    words: list[object], restnet: Any, tmp_path: Path, more: list[object], told: str
) -> None:
    status, printed, _ = restnet(*words, "--out", tmp_path / "run", *more, "--json")
    error = json.loads(printed)["error"]
    assert (status, error["code"]) == (2, "usage")
    assert told in error["message"]
    assert not (tmp_path / "run").exists()


def test_without_a_database_nothing_is_begun(
    command: list[object], restnet_json: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RESTNET_DATABASE_URL", f"sqlite:///{tmp_path}/tiny.toml/no.db")
    status, answer = restnet_json(*command)
    assert status == 2
    assert answer["error"]["code"] in {"database_unavailable", "path_not_usable"}
    assert not (tmp_path / "run").exists()


def test_a_worker_without_the_folders_says_so(
    command: list[object], restnet: Any, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_work, "RUN_FILE", "not-mounted.json")
    status, printed, _ = restnet(*command, "--json")
    failed = json.loads(printed)["error"]["failed"]
    assert (status, {one["code"] for one in failed}) == (2, {"shared_folder_missing"})
