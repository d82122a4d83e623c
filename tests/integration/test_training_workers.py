"""`restnet train --distributed celery` beside real training workers: killed, cancelled, gone on with."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select

from service.db.rows import TrainingFoldRow
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.servers import end, wait_until
from tests.thorough import first
from tests.training.validation.tiny_cohorts import tiny_store
from training.fitting.settings import TrainingSettings, read_settings
from training.runs import CHECKPOINT_FILE, OUTCOME_FILE, fold_folder
from training.validation.cross_validation import train_run
from training.validation.fold import WEIGHTS_FILE

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

TOML = """
folds = 2
epochs = {epochs}
patience = {epochs}
width = 1
batch_size = 4
inner_stopping = 0.25
inner_calibration = 0.25
learning_rate = 1e-3
encoder = "frozen"
feature_norm = "batch"
precision = "float32"
"""


class Training:
    """A tiny cohort in a workplace, and the command that trains on it."""

    def __init__(self, place: Workplace, folder: Path, *, epochs: int) -> None:
        self.place, self.run = place, folder / "run"
        self.store = tiny_store(folder / "cohort")
        self.config = folder / "tiny.toml"
        self.config.write_text(TOML.format(epochs=epochs))
        self.told = folder / "told"

    def settings(self) -> TrainingSettings:
        return read_settings(self.config, overrides={})

    def command(self) -> subprocess.Popen[bytes]:
        words = ["train", self.store.folder, "--config", self.config, "--out", self.run]
        words += ["--device", "cpu", "--threads", 1, "--distributed", "celery", "--json"]
        with self.told.open("wb") as told:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.restnet_command", *map(str, words)],
                env={**os.environ, **self.place.settings.environment()},
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
                stderr=told,
            )
        self.place.processes.append(process)
        return process

    def rows(self) -> list[TrainingFoldRow]:
        with self.place.sessions() as session:
            return list(session.scalars(select(TrainingFoldRow).order_by(TrainingFoldRow.fold)))

    def wait(self, reached: Callable[[list[TrainingFoldRow]], Any], what: str) -> list[TrainingFoldRow]:
        wait_until(lambda: bool(reached(self.rows())), what, within_s=240)
        return self.rows()

    def kill_holder_of(self, row: TrainingFoldRow) -> None:
        """Kill the worker that holds a fold's lease, and its child, as when a machine loses its power."""
        process_id = int(str(row.lease_owner).split("-")[1])
        family = [psutil.Process(process_id), *psutil.Process(process_id).children(recursive=True)]
        for process in family:
            process.kill()


def epoch_of(row: TrainingFoldRow) -> int:
    return int((row.figures or {}).get("epoch", 0)) if row.state == "training" else 0


@pytest.fixture
def make_training(make_workplace: MakeWorkplace, tmp_path: Path) -> Iterator[Callable[..., Training]]:
    def make(*, epochs: int, **workplace: Any) -> Training:
        return Training(make_workplace(**workplace), tmp_path, epochs=epochs)

    return make


@pytest.mark.parametrize(("broker", "database"), first(1, [("redis", "postgresql"), ("file", "sqlite")]))
def test_a_killed_workers_fold_ends_with_the_same_weights(
    make_training: Callable[..., Training], tmp_path: Path, broker: str, database: str
) -> None:
    training = make_training(epochs=80, broker=broker, database=database)
    training.place.worker("training")
    training.place.worker("training")
    command = training.command()

    rows = training.wait(lambda rows: any(epoch_of(row) >= 2 for row in rows), "a fold's second epoch")
    killed = next(row for row in rows if epoch_of(row) >= 2)
    training.kill_holder_of(killed)
    assert not (fold_folder(training.run, killed.fold) / OUTCOME_FILE).exists(), "killed too late"
    printed, _ = command.communicate(timeout=280)

    assert command.returncode == 0, training.told.read_text()
    assert json.loads(printed)["checkpoint"]["members"] == 2
    rows = training.rows()
    assert [row.state for row in rows] == ["succeeded"] * 2
    assert rows[killed.fold].started_at > killed.started_at, "nobody took it over"
    here = tmp_path / "here"
    train_run(
        training.store,
        training.store.subjects,
        settings=training.settings(),
        out=here,
        device="cpu",
        threads=1,
    )
    for name in [f"folds/{fold}/{WEIGHTS_FILE}" for fold in range(2)] + [CHECKPOINT_FILE]:
        assert (training.run / name).read_bytes() == (here / name).read_bytes(), name


def test_ctrl_c_stops_the_workers_folds_and_the_same_command_goes_on(
    make_training: Callable[..., Training],
) -> None:
    training = make_training(epochs=100_000)
    worker = training.place.worker("training")
    reached = 0
    ids = set()
    for _ in range(2):
        command = training.command()
        rows = training.wait(
            lambda rows, before=reached: any(epoch_of(row) > before for row in rows), f"more than {reached}"
        )
        ids.add(tuple(row.id for row in rows))
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=60)
        assert command.returncode == 130
        assert "The same command goes on where it stopped." in training.told.read_text()
        rows = training.rows()
        assert [row.state for row in rows] == ["cancelled"] * 2, "the command ended before its folds did"
        reached = max(int((row.figures or {}).get("epoch", 0)) for row in rows)
    assert len(ids) == 1, "the same folds were queued twice"
    assert end(worker, within_s=30) == 0, "the worker did not survive the cancellations"


def test_a_worker_that_is_told_to_stop_hands_its_fold_back(make_training: Callable[..., Training]) -> None:
    training = make_training(epochs=100_000)
    worker = training.place.worker("training")
    command = training.command()
    training.wait(lambda rows: any(epoch_of(row) > 1 for row in rows), "a fold's second epoch")
    worker.send_signal(signal.SIGTERM)
    rows = training.wait(lambda rows: all(row.state == "queued" for row in rows), "the fold to be free")
    assert [row.attempts for row in rows] == [0, 0]
    assert end(worker, within_s=30) == 0
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)
    assert command.returncode == 130
