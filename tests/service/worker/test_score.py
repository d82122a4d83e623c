"""One score in this process: the demonstration model, and another one, on a simulated scan."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from model import demonstration_checkpoint
from service import jobs, registry, scoring
from service.db.job import JobState
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ModelVersionRow, PredictionRow, ResultRow, ScanRow, ScoreRow
from service.identity.actor import program
from service.queue import make_celery
from service.registry.registering import register
from service.retention import Reason, mark_deleted
from service.scoring import Extent
from service.settings import Settings
from service.worker.prediction import run_prediction
from service.worker.runtime import Runtime, open_runtime
from service.worker.score import run_score
from service.worker.score_rounds import go_on, look_after_scores, queue_shadow
from tests.service.answering import let_answer
from tests.service.computing import threads_of
from tests.service.leaning import leaning

ACTOR = program("test")


@pytest.fixture
def runtime(tmp_path: Path, database_url: str, sessions: sessionmaker[Session]) -> Iterator[Runtime]:
    settings = Settings(data_dir=tmp_path, database_url=database_url, heartbeat_s=0.1, backend="torch")
    opened = open_runtime(settings)
    with sessions.begin() as session:
        version = register(session, opened.storage, demonstration_checkpoint(), actor=ACTOR)
        let_answer(session, version)
    yield opened
    opened.enclosure.close()


@pytest.fixture
def champion(runtime: Runtime, sessions: sessionmaker[Session]) -> ModelVersionRow:
    with sessions() as session:
        version = registry.active_model(session)
    assert version is not None
    return version


@pytest.fixture
def challenger(runtime: Runtime, sessions: sessionmaker[Session], tmp_path: Path) -> ModelVersionRow:
    with sessions.begin() as session:
        return register(
            session,
            runtime.storage,
            leaning(demonstration_checkpoint(), tmp_path / "other.safetensors"),
            actor=ACTOR,
        )


@pytest.fixture
def scan_id(runtime: Runtime, sessions: sessionmaker[Session], simulated_scan: Path) -> str:
    content = simulated_scan.read_bytes()
    with runtime.storage.receive(max_bytes=len(content)) as upload:
        upload.write(content)
        runtime.storage.promote(upload, "scans/a.nii.gz")
    with sessions.begin() as session:
        scan = ScanRow(
            organisation_id=DEFAULT_ORGANISATION_ID,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            display_name="Jane Doe.nii.gz",
            storage_key="scans/a.nii.gz",
        )
        session.add(scan)
    return scan.id


def predict(runtime: Runtime, scan_id: str) -> str:
    with runtime.sessions.begin() as session:
        prediction_id = jobs.enqueue(session, scan_id=scan_id).id
    run_prediction(runtime, prediction_id)
    return prediction_id


def result_of(runtime: Runtime, prediction_id: str) -> dict[str, Any]:
    with runtime.sessions() as session:
        return session.get_one(ResultRow, prediction_id).result


def put_in_shadow(runtime: Runtime, version: ModelVersionRow) -> None:
    with runtime.sessions.begin() as session:
        found = session.get_one(ModelVersionRow, version.id)
        registry.begin_shadow(session, runtime.storage, found, actor=ACTOR, reason="to see")


def only_score(runtime: Runtime) -> ScoreRow:
    with runtime.sessions() as session:
        return session.scalars(select(ScoreRow)).one()


def scored(runtime: Runtime) -> ScoreRow:
    run_score(runtime, only_score(runtime).id)
    return only_score(runtime)


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "timing_ms"}


def test_the_shadow_scores_what_was_answered_and_says_exactly_what_it_would_answer(
    runtime: Runtime, champion: ModelVersionRow, challenger: ModelVersionRow, scan_id: str
) -> None:
    put_in_shadow(runtime, challenger)
    answered = predict(runtime, scan_id)
    queue_shadow(make_celery(runtime.settings), runtime.sessions, answered)

    score = scored(runtime)

    assert (score.state, score.error_code, score.model_version_id) == ("succeeded", None, challenger.id)
    by_champion = result_of(runtime, answered)
    assert by_champion["adhd_probability"] != score.adhd_probability
    # The same scan answered by the version itself: the same to the last bit, whatever it is asked for.
    with runtime.sessions.begin() as session:
        let_answer(session, session.get_one(ModelVersionRow, challenger.id))
    itself = result_of(runtime, predict(runtime, scan_id))
    assert score.result is not None
    assert without_times(itself) == without_times(score.result)
    assert (score.adhd_probability, score.decision) == (itself["adhd_probability"], itself["decision"])
    assert (score.interval_low, score.interval_high) == (
        itself["interval"]["low"],
        itself["interval"]["high"],
    )
    assert itself["model"]["version"] == "leaning"


def test_a_batch_by_the_model_that_answered_says_what_was_answered(
    runtime: Runtime, champion: ModelVersionRow, scan_id: str
) -> None:
    answered = predict(runtime, scan_id)
    with runtime.sessions.begin() as session:
        version = session.get_one(ModelVersionRow, champion.id)
        batch = scoring.begin_rescore(session, runtime.storage, version, Extent(), actor=ACTOR, reason="why")
    app = make_celery(runtime.settings)
    look_after_scores(app, runtime.sessions)
    score = scored(runtime)
    go_on(app, runtime.sessions, score.id)
    assert score.result is not None
    assert without_times(score.result) == without_times(result_of(runtime, answered))
    with runtime.sessions() as session:
        assert scoring.require_rescore(session, batch.id).state == "finished"
        figures = scoring.compare(scoring.pairs_of(session, batch))
    assert (figures.n, figures.changed.count) == (1, 0)
    assert figures.differences is not None
    assert (figures.differences.least, figures.differences.most) == (0.0, 0.0)


def test_a_fault_of_ours_in_shadow_mode_leaves_a_batch_its_turn(
    runtime: Runtime, champion: ModelVersionRow, scan_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(runtime, scan_id)
    with runtime.sessions.begin() as session:
        version = session.get_one(ModelVersionRow, champion.id)
        scoring.begin_rescore(session, runtime.storage, version, Extent(), actor=ACTOR, reason="why")

    def fault(_session: object) -> list[str]:
        message = "a fault of ours"
        raise KeyError(message)

    monkeypatch.setattr(scoring, "queue_missed_shadow_scores", fault)
    look_after_scores(make_celery(runtime.settings), runtime.sessions)
    assert only_score(runtime).state == JobState.QUEUED


def test_a_score_is_computed_on_one_thread_and_leaves_the_others_as_they_were(
    runtime: Runtime, challenger: ModelVersionRow, scan_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    runtime.settings = runtime.settings.model_copy(update={"inference_threads": 2})
    put_in_shadow(runtime, challenger)
    try:
        queue_shadow(make_celery(runtime.settings), runtime.sessions, predict(runtime, scan_id))
        threads = threads_of(monkeypatch)
        assert scored(runtime).state == JobState.SUCCEEDED
        assert (set(threads), len(threads), torch.get_num_threads()) == ({1}, 2, 2)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("fault", ["gone", "damaged"])
def test_a_shadow_whose_file_fails_fails_alone(
    runtime: Runtime, challenger: ModelVersionRow, scan_id: str, fault: str
) -> None:
    put_in_shadow(runtime, challenger)
    if fault == "gone":
        runtime.storage.delete(challenger.storage_key)
    else:
        with runtime.storage.receive(max_bytes=10) as upload:
            upload.write(b"other")
            runtime.storage.promote(upload, challenger.storage_key)
    answered = predict(runtime, scan_id)
    queue_shadow(make_celery(runtime.settings), runtime.sessions, answered)
    score = scored(runtime)
    assert score.state == JobState.FAILED
    code = {"gone": "checkpoint_missing", "damaged": "checkpoint_sha256_mismatch"}[fault]
    assert score.error_code == code
    assert score.result is None
    with runtime.sessions() as session:
        assert session.get_one(PredictionRow, answered).state == JobState.SUCCEEDED
        assert session.get_one(ResultRow, answered).model_version_id != challenger.id


def test_a_scan_that_is_deleted_meanwhile_is_not_scored(
    runtime: Runtime, challenger: ModelVersionRow, scan_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_shadow(runtime, challenger)
    answered = predict(runtime, scan_id)
    queue_shadow(make_celery(runtime.settings), runtime.sessions, answered)
    predicted = Runtime.predict

    def deleted(*arguments: Any, **more: Any) -> Any:
        with runtime.sessions.begin() as session:
            mark_deleted(session, scan_id, actor=ACTOR, reason=Reason.REQUEST)
        return predicted(*arguments, **more)

    monkeypatch.setattr(Runtime, "predict", deleted)
    score = scored(runtime)
    assert (score.state, score.result, score.adhd_probability) == ("cancelled", None, None)


def test_versions_that_take_turns_stay_loaded(
    runtime: Runtime, champion: ModelVersionRow, challenger: ModelVersionRow
) -> None:
    first = runtime.model_to_score(champion)
    second = runtime.model_to_score(challenger)
    assert runtime.model_to_score(champion) is first
    assert runtime.model_to_score(challenger) is second
