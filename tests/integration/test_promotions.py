"""Promotions and rollbacks under a stream of scans: every one is answered, each by one model alone."""

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from service.audit.verification import verify
from service.db.rows import ModelVersionRow, PredictionState, ResultRow
from service.identity.actor import program
from service.registry import active_model, deployments, promote, roll_back
from service.registry.registering import register
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.service.leaning import leaning
from tests.thorough import first

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

UPLOADS = 12
ACTOR = program("test")


@pytest.mark.parametrize(("database", "workers"), first(1, [("postgresql", 2), ("sqlite", 1)]))
def test_every_scan_is_answered_by_one_model_while_they_change(
    make_workplace: MakeWorkplace, checkpoint: Path, tmp_path: Path, database: str, workers: int
) -> None:
    place = make_workplace(broker="file", database=database, explanations="on-request")
    with place.sessions.begin() as session:
        first = active_model(session)
        assert first is not None
        file = leaning(checkpoint, tmp_path / "leaning.safetensors")
        second = register(session, place.storage, file, actor=ACTOR)
    for _ in range(workers):
        place.worker("inference", "maintenance")
    # Warm, so that the changes meet scans on their way.
    place.wait_for(place.upload("warm"), PredictionState.SUCCEEDED, within_s=120)
    stop, changes, failures = threading.Event(), [], []
    changer = threading.Thread(target=change_often, args=(place, second, stop, changes, failures))
    changer.start()
    uploaded = []
    try:
        for number in range(UPLOADS):
            uploaded.append(place.upload(f"scan-{number}"))
            time.sleep(0.7)
        rows = [place.wait_for(id_, PredictionState.SUCCEEDED, within_s=180) for id_ in uploaded]
    finally:
        stop.set()
        changer.join()
    assert failures == []
    assert len(changes) >= 5
    assert all(row.attempts == 1 for row in rows), "a change of the model cost a scan an attempt"

    probabilities: dict[str, set[float]] = {first.id: set(), second.id: set()}
    with place.sessions() as session:
        versions = {row.id: row for row in session.scalars(select(ModelVersionRow))}
        for result in session.scalars(select(ResultRow).where(ResultRow.prediction_id.in_(uploaded))):
            version = versions[result.model_version_id]
            said = result.result["model"]
            assert (said["name"], said["version"]) == (version.name, version.version)
            probabilities[version.id].add(round(result.adhd_probability, 3))
        history = deployments(session)
        verify(session)
    # One scan, again and again: a model that answers it says the same each time, and the two differ.
    assert {len(found) for found in probabilities.values()} == {1}, probabilities
    assert probabilities[first.id] != probabilities[second.id]
    assert [row.kind for row in reversed(history)][:3] == ["first", "promotion", "rollback"]
    assert sum(row.answering for row in history) == 1


def change_often(
    place: Workplace,
    other: ModelVersionRow,
    stop: threading.Event,
    changes: list[str],
    failures: list[Exception],
) -> None:
    """Promote and roll back in turn until told to stop."""
    try:
        while not stop.wait(1.0):
            with place.sessions.begin() as session:
                if len(changes) % 2:
                    roll_back(session, place.storage, actor=ACTOR, reason="in turn")
                else:
                    why = "nobody is there to compare them on"
                    promote(session, place.storage, other, actor=ACTOR, reason="in turn", override_reason=why)
            changes.append(other.id)
    except Exception as error:  # noqa: BLE001
        failures.append(error)
