"""Training that is asked for over REST, beside real workers: to its end, stopped, resumed, killed."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.predictor import Predictor
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ModelVersionRow, TrainingFoldRow
from service.identity.accounts import create_user
from service.identity.actor import Actor
from service.identity.api_keys import create_api_key
from service.identity.roles import Role
from service.identity.scopes import Scope
from service.registry import active_model
from service.worker.cohorts import register_cohort
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.servers import wait_until
from tests.service.api.serving import PASSWORD, web_process
from tests.thorough import first
from tests.training.validation.tiny_cohorts import tiny_store

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

RUNS = "/api/v1/admin/training-runs"
QUICK: dict[str, Any] = {
    "cohort": "tiny",
    "width": 2,
    "folds": 2,
    "epochs": 2,
    "batch_size": 4,
    "inner_stopping": 0.25,
    "inner_calibration": 0.25,
    "precision": "float32",
    "device": "cpu",
}
# More epochs than anybody waits for, each of them short.
LONG: dict[str, Any] = QUICK | {
    "epochs": 100_000,
    "patience": 100_000,
    "encoder": "frozen",
    "feature_norm": "batch",
}


@dataclass
class Training:
    """A tiny cohort that is registered, and an administrator's program that asks for training on it."""

    place: Workplace
    client: httpx2.Client

    def post(self, path: str = "", **body: Any) -> Any:
        answer = self.client.post(f"{RUNS}{path}", json=body or None)
        assert answer.status_code in {200, 202}, answer.text
        return answer.json()

    def run(self, run_id: str) -> Any:
        return self.client.get(f"{RUNS}/{run_id}").json()

    def wait(self, run_id: str, reached: Callable[[Any], object], what: str, *, within_s: float = 120) -> Any:
        seen: list[Any] = []

        def look() -> bool:
            seen[:] = [self.run(run_id)]
            assert seen[0]["status"] != "failed" or reached(seen[0]), (what, seen[0]["error"])
            return bool(reached(seen[0]))

        wait_until(look, what, within_s=within_s)
        return seen[0]

    def log(self, run_id: str) -> list[Any]:
        answer = self.client.get(f"{RUNS}/{run_id}/log", params={"limit": 1000})
        items: list[Any] = answer.json()["items"]
        return items


@pytest.fixture
def make_training(make_workplace: MakeWorkplace, tmp_path: Path) -> Iterator[Callable[..., Training]]:
    with ExitStack() as stack:

        def make(**workplace: Any) -> Training:
            place = make_workplace(**workplace)
            store = tiny_store(tmp_path / "cohort", n_subjects=24)
            with place.sessions.begin() as session:
                register_cohort(session, store.folder, actor=Actor("command-line", "test"))
                chief = create_user(
                    session,
                    username="chief",
                    password=PASSWORD,
                    role=Role.ADMINISTRATOR,
                    organisation_id=DEFAULT_ORGANISATION_ID,
                    by_owner=True,
                )
                key = create_api_key(session, user=chief, name="test", scopes=[Scope.ADMIN])
            address, _process, _seconds = stack.enter_context(web_process(place.settings))
            headers = {"Authorization": f"Bearer {key}"}
            # A request of ours may come while everything else of the machine is busy.
            client = httpx2.Client(base_url=address, headers=headers, timeout=60)
            return Training(place, stack.enter_context(client))

        yield make


def epoch_of(fold: Any) -> int:
    return int(fold["epoch"] or 0) if fold["status"] == "training" else 0


def both_beyond(run: Any, epoch: int) -> bool:
    return sum(epoch_of(fold) > epoch for fold in run["folds"]) == 2


def kill_holder(place: Workplace, run_id: str, fold: int) -> None:
    """Kill the worker that holds a fold's lease, and its child, as when a machine loses its power."""
    with place.sessions() as session:
        held = select(TrainingFoldRow.lease_owner).where(
            TrainingFoldRow.run_id == run_id, TrainingFoldRow.fold == fold
        )
        owner = session.scalars(held).one()
    parent = psutil.Process(int(str(owner).split("-")[1]))
    for process in [parent, *parent.children(recursive=True)]:
        process.kill()


def require_active(session: Session) -> str:
    answering = active_model(session)
    assert answering is not None
    return answering.id


@pytest.mark.parametrize(("broker", "database"), first(1, [("file", "sqlite"), ("redis", "postgresql")]))
def test_runs_are_planned_trained_and_registered_but_do_not_answer(
    make_training: Callable[..., Training], broker: str, database: str
) -> None:
    training = make_training(broker=broker, database=database)
    place = training.place
    place.worker("explanation", "evaluation", "planning")
    place.worker("maintenance", "training")
    with place.sessions() as session:
        active = require_active(session)

    asked = training.post(**QUICK, networks=["C", "D"], rnns=["gru"])
    assert [(run["network"], run["rnn"], run["status"]) for run in asked["runs"]] == [
        ("C", "gru", "queued"),
        ("D", "gru", "queued"),
    ]
    shown = [
        training.wait(run["id"], lambda run: run["status"] == "succeeded", "a run") for run in asked["runs"]
    ]

    for run in shown:
        assert (run["progress"], run["error"], run["resumable"]) == (1.0, None, False)
        assert [fold["status"] for fold in run["folds"]] == ["succeeded"] * 2
        assert [len(fold["epochs"]) for fold in run["folds"]] == [2, 2]
        assert run["plan"]["n_subjects"] == 24
        events = [line["event"] for line in training.log(run["id"])]
        assert events[:2] == ["queued", "planned"]
        assert events[-2:] == ["finished", "registered"]
        assert sorted(events[2:-2]) == sorted(["fold_begun", "epoch", "epoch", "fold_finished"] * 2)
    with place.sessions() as session:
        versions = {row.id: row for row in session.scalars(select(ModelVersionRow))}
        assert require_active(session) == active
    assert {run["model_version_id"] for run in shown} | {active} == set(versions)
    assert {versions[run["model_version_id"]].card["network"] for run in shown} == {"C", "D"}
    for run in shown:
        version = versions[run["model_version_id"]]
        with place.storage.open_local(version.storage_key) as path:
            assert Predictor.load(path, device="cpu", expected_sha256=version.sha256).card.members == 2


def test_a_run_that_cannot_fit_is_refused_with_its_reason_within_seconds(
    make_training: Callable[..., Training],
) -> None:
    training = make_training()
    training.place.worker("planning")
    # Hundreds of gigabytes of maps, and few weights: it is the memory that is too small, on any disk.
    vast = QUICK | {"width": 128, "batch_size": 4096, "networks": ["C"]}

    def seconds_to_refuse() -> float:
        began = time.monotonic()
        [asked] = training.post(**vast)["runs"]
        failed = training.wait(asked["id"], lambda run: run["status"] == "failed", "a refusal", within_s=60)
        took = time.monotonic() - began
        error = failed["error"]
        assert error["code"] == "memory_too_small"
        assert "a smaller width, batch_size or micro_batch takes less" in error["message"]
        assert error["details"]["expected"] > 400 << 30
        assert error["details"]["found"] < error["details"]["expected"]
        assert (failed["plan"], failed["folds"]) == (None, [])
        return took

    # The first one waits for the worker to start and to load the network's library.
    _, *idle = (seconds_to_refuse() for _ in range(3))
    assert max(idle) < 5, idle


def test_a_run_is_cancelled_within_seconds_and_gone_on_with(make_training: Callable[..., Training]) -> None:
    training = make_training()
    training.place.worker("planning")
    # One for each fold: a single one may begin with either when the run is gone on with.
    training.place.worker("training")
    training.place.worker("training")
    [asked] = training.post(**LONG)["runs"]
    training.wait(asked["id"], lambda run: both_beyond(run, 2), "an epoch of both folds")
    began = time.monotonic()
    assert training.post(f"/{asked['id']}/cancel")["status"] == "cancelled"
    stopped = training.wait(asked["id"], lambda run: run["resumable"], "the folds to stop", within_s=10)
    assert time.monotonic() - began < 10
    assert [fold["status"] for fold in stopped["folds"]] == ["cancelled"] * 2
    reached = max(len(fold["epochs"]) for fold in stopped["folds"])

    assert training.post(f"/{asked['id']}/resume")["status"] == "training"
    training.wait(asked["id"], lambda run: both_beyond(run, reached + 1), "later epochs")
    assert {"cancelled", "resumed", "fold_resumed"} <= {line["event"] for line in training.log(asked["id"])}
    training.post(f"/{asked['id']}/cancel")
    training.wait(asked["id"], lambda run: run["resumable"], "the folds to stop", within_s=10)


def test_a_killed_workers_fold_goes_on_and_the_run_ends_without_it(
    make_training: Callable[..., Training],
) -> None:
    training = make_training()
    training.place.worker("planning", "maintenance")
    training.place.worker("training")
    [asked] = training.post(**(LONG | {"epochs": 60, "patience": 60}))["runs"]
    run = training.wait(
        asked["id"], lambda run: any(epoch_of(fold) > 2 for fold in run["folds"]), "an epoch of a fold"
    )
    fold = next(fold["fold"] for fold in run["folds"] if epoch_of(fold) > 2)
    kill_holder(training.place, asked["id"], fold)
    training.place.worker("training")
    done = training.wait(asked["id"], lambda run: run["status"] == "succeeded", "the run", within_s=240)
    assert [len(fold["epochs"]) for fold in done["folds"]] == [60, 60]
    lines = [line for line in training.log(asked["id"]) if line["fold"] == fold]
    assert "fold_taken_over" in {line["event"] for line in lines}
    noted = [line["details"]["epoch"] for line in lines if line["event"] == "epoch"]
    assert noted == sorted(set(noted)), "each epoch once, whoever trained it"
    # What the killed worker had kept of its last epoch, it may not have come to write into the log.
    assert len(set(range(1, 61)) - set(noted)) <= 1
