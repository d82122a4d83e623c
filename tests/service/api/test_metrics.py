"""What Prometheus reads: the queue, what ended on any worker, who is there, which parts answer."""

import re
from pathlib import Path

from sqlalchemy import update

from service import jobs
from service.db.base import utc_now
from service.db.rows import PredictionRow, PredictionState
from service.presence import say_present
from tests.service.api.serving import Serving, make_settings, sample_result, serving


def figures(served: Serving) -> dict[str, float]:
    answer = served.client.get("/metrics")
    assert answer.status_code == 200
    found = re.findall(r"^(restnet_\w+(?:\{.*\})?) (\S+)$", answer.text, flags=re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_what_ended_is_counted_by_outcome_code_and_model(served: Serving) -> None:
    key, model = served.key(), served.register_model()
    figures(served)
    good, bad = (served.upload(key)["prediction_id"] for _ in range(2))
    for prediction_id in (good, bad):
        with served.sessions.begin() as session:
            jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60)
    with served.sessions.begin() as session:
        jobs.finish(session, good, owner="w#1", model_version_id=model, result=sample_result())
        jobs.fail(session, PredictionRow, bad, owner="w#1", code="not_in_template_space", message="expected")
    for _ in range(2):
        seen = figures(served)
        ended = 'restnet_jobs_ended_total{{code="{}",kind="prediction",model="{}",outcome="{}"}}'
        assert seen[ended.format("", "RestNet demonstration 1", "succeeded")] == 1
        assert seen[ended.format("not_in_template_space", "", "failed")] == 1
        stage = 'restnet_job_seconds_{}{{kind="prediction",stage="{}"}}'
        assert seen[stage.format("count", "total")] == 2
        assert seen[stage.format("sum", "classify")] == 0.6
        assert seen['restnet_active_model{model="RestNet demonstration 1",sha256="aaaaaaaaaaaa"}'] == 1


def test_the_queue_has_a_depth_and_an_age(served: Serving) -> None:
    assert figures(served)['restnet_queue_oldest_seconds{kind="prediction"}'] == 0
    served.upload(served.key())
    with served.sessions.begin() as session:
        session.execute(
            update(PredictionRow).values(queued_at=utc_now(-120)),
            execution_options={"synchronize_session": False},
        )
    seen = figures(served)
    assert seen['restnet_queue_depth{kind="prediction",state="queued"}'] == 1
    assert seen['restnet_queue_depth{kind="fold",state="training"}'] == 0
    assert 119 < seen['restnet_queue_oldest_seconds{kind="prediction"}'] < 180


def test_scans_of_the_scanners_space_wait_in_a_line_of_their_own(served: Serving) -> None:
    prediction_id = served.upload(served.key())["prediction_id"]
    served.set_state(prediction_id, PredictionState.QUEUED, lane="normalising")
    seen = figures(served)
    assert seen['restnet_queue_depth{kind="normalisation",state="queued"}'] == 1
    assert seen['restnet_queue_depth{kind="prediction",state="queued"}'] == 0
    assert seen['restnet_queue_oldest_seconds{kind="prediction"}'] == 0
    served.set_state(prediction_id, PredictionState.NORMALISING)
    assert figures(served)['restnet_queue_depth{kind="normalisation",state="normalising"}'] == 1


def test_workers_and_parts_are_told_of(served: Serving) -> None:
    with served.sessions.begin() as session:
        say_present(session, worker="w", queues=["inference"], host="h")
    seen = figures(served)
    assert seen['restnet_workers{queue="inference"}'] == 1
    assert seen['restnet_workers{queue="training"}'] == 0
    assert seen['restnet_workers_lost{queue="inference"}'] == 0
    assert [
        seen[f'restnet_ready{{part="{part}"}}'] for part in ("database", "storage", "broker", "model")
    ] == [
        1,
        1,
        1,
        0,
    ]


def test_figures_are_there_while_the_database_is_not(tmp_path: Path, database_template: Path) -> None:
    settings = make_settings(
        tmp_path / "data", database_template, database_url=f"sqlite:///{tmp_path}/no/such/folder.db"
    )
    with serving(settings) as served:
        served.client.get("/healthz")
        seen = figures(served)
        assert seen['restnet_ready{part="database"}'] == 0
        assert seen['restnet_http_requests_total{method="GET",route="/healthz",status="200"}'] == 1
