"""Shadow mode and batches with real workers: kept apart from answers, cancelled in time, lost and found."""

import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from service import registry, scoring
from service.db.rows import (
    ModelVersionRow,
    PredictionRow,
    PredictionState,
    RescoreRow,
    ResultRow,
    ScanRow,
    ScoreRow,
)
from service.identity.actor import program
from service.registry.registering import register
from service.scoring import Extent
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.servers import wait_until
from tests.service.leaning import leaning

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

ACTOR = program("test")


@pytest.fixture(
    params=[("redis", "postgresql"), pytest.param(("file", "sqlite"), marks=pytest.mark.thorough)],
    ids=["production", "embedded"],
)
def place(request: pytest.FixtureRequest, make_workplace: MakeWorkplace) -> Workplace:
    broker, database = request.param
    return make_workplace(broker=broker, database=database, explanations="on-request")


@pytest.fixture
def challenger(place: Workplace, checkpoint: Path, tmp_path: Path) -> str:
    with place.sessions.begin() as session:
        file = leaning(checkpoint, tmp_path / "leaning.safetensors")
        return register(session, place.storage, file, actor=ACTOR).id


def begin_shadow(place: Workplace, version_id: str) -> None:
    with place.sessions.begin() as session:
        version = session.get_one(ModelVersionRow, version_id)
        registry.begin_shadow(session, place.storage, version, actor=ACTOR, reason="to see")


def begin_batch(place: Workplace, version_id: str) -> RescoreRow:
    with place.sessions.begin() as session:
        version = session.get_one(ModelVersionRow, version_id)
        return scoring.begin_rescore(session, place.storage, version, Extent(), actor=ACTOR, reason="why")


def scores(place: Workplace) -> list[ScoreRow]:
    with place.sessions() as session:
        return list(session.scalars(select(ScoreRow).order_by(ScoreRow.created_at)))


def wait_for_scores(place: Workplace, state: str, number: int = 1) -> list[ScoreRow]:
    wait_until(
        lambda: [score.state for score in scores(place)].count(state) == number,
        f"{number} scores to be {state}, found {[score.state for score in scores(place)]}",
        within_s=120,
    )
    return scores(place)


def rename(place: Workplace, prediction_id: str, name: str) -> None:
    """Tell the workers of the tests what to do with a scan that was answered."""
    with place.sessions.begin() as session:
        scan_id = session.get_one(PredictionRow, prediction_id).scan_id
        session.get_one(ScanRow, scan_id).display_name = name


def test_a_live_answer_is_the_champions_and_the_shadow_scores_the_same_scan(
    place: Workplace, challenger: str
) -> None:
    begin_shadow(place, challenger)
    place.worker("inference", "maintenance")
    prediction_id = place.upload("a")
    place.wait_for(prediction_id, PredictionState.SUCCEEDED, within_s=120)
    # Queued when the answer was there, for a worker that is not there yet.
    [waiting] = wait_for_scores(place, "queued")
    assert waiting.prediction_id == prediction_id
    place.worker("scoring")
    [score] = wait_for_scores(place, "succeeded")
    with place.sessions() as session:
        result = session.get_one(ResultRow, prediction_id)
        assert session.execute(select(func.count()).select_from(ResultRow)).scalar_one() == 1
    assert result.model_version_id != challenger
    assert (score.model_version_id, score.scan_id) == (challenger, place.row(prediction_id).scan_id)
    assert score.adhd_probability is not None
    # It leans by three logits.
    assert score.adhd_probability > result.adhd_probability
    assert score.result is not None
    assert (result.result["model"]["version"], score.result["model"]["version"]) != ("leaning", "leaning")


def test_a_shadow_whose_file_is_lost_costs_no_answer(place: Workplace, challenger: str) -> None:
    begin_shadow(place, challenger)
    with place.sessions() as session:
        place.storage.delete(session.get_one(ModelVersionRow, challenger).storage_key)
    place.worker("inference", "maintenance")
    place.worker("scoring")
    uploaded = [place.upload(f"scan-{number}") for number in range(3)]
    rows = [place.wait_for(id_, PredictionState.SUCCEEDED, within_s=120) for id_ in uploaded]
    assert [row.attempts for row in rows] == [1, 1, 1]
    found = wait_for_scores(place, "failed", 3)
    assert {score.error_code for score in found} == {"checkpoint_missing"}
    assert sorted(score.prediction_id for score in found) == sorted(uploaded)


def test_a_batch_survives_its_worker_and_is_cancelled_in_time(place: Workplace, challenger: str) -> None:
    answering = place.worker("inference", "maintenance")
    held, slow = place.upload("a"), place.upload("b")
    for prediction_id in (held, slow):
        place.wait_for(prediction_id, PredictionState.SUCCEEDED, within_s=120)
    rename(place, held, "hold-classifying")
    batch = begin_batch(place, challenger)
    worker = place.worker("scoring")
    place.wait_for_mark("hold-classifying")
    place.kill(worker)
    place.worker("scoring")
    found = wait_for_scores(place, "succeeded", 2)
    assert {score.prediction_id: score.attempts for score in found} == {held: 2, slow: 1}
    wait_until(lambda: _state(place, batch) == "finished", "the batch to finish", within_s=30)

    rename(place, slow, "slow")
    again = begin_batch(place, challenger)
    wait_until(
        lambda: any(score.rescore_id == again.id and score.state == "scoring" for score in scores(place)[2:]),
        "the slow scan to be scored",
        within_s=60,
    )
    began = time.monotonic()
    with place.sessions.begin() as session:
        scoring.cancel_rescore(session, scoring.require_rescore(session, again.id), actor=ACTOR)
    wait_until(
        lambda: all(
            score.state in {"cancelled", "succeeded"}
            for score in scores(place)
            if score.rescore_id == again.id
        ),
        "what ran and waited to stop",
        within_s=30,
    )
    assert time.monotonic() - began < 15, "a slow score takes a minute"
    assert answering.poll() is None
    cancelled = [score for score in scores(place) if score.rescore_id == again.id]
    assert any(score.state == "cancelled" and score.result is None for score in cancelled)


def _state(place: Workplace, batch: RescoreRow) -> str:
    with place.sessions() as session:
        return str(session.get_one(RescoreRow, batch.id).state)
