"""A worker is killed in each stage of a real scan: the next one finishes the job, once."""

import pytest

from service.db.rows import PredictionState
from tests.integration.conftest import MakeWorkplace
from tests.thorough import first

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

STAGES = ("claimed", "preprocessing", "classifying", "before-result", "after-result")


# As on one machine, and as in production.
@pytest.mark.parametrize(("broker", "database"), first(1, [("redis", "postgresql"), ("file", "sqlite")]))
def test_a_job_survives_its_worker_in_every_stage(
    make_workplace: MakeWorkplace, broker: str, database: str
) -> None:
    place = make_workplace(broker=broker, database=database)
    # Each worker first finishes what its predecessor left, then stands still in the next stage.
    worker = place.worker("inference", "maintenance")
    for stage in STAGES:
        name = f"hold-{stage}"
        prediction_id = place.upload(name)
        place.wait_for_mark(name)
        before = place.row(prediction_id)
        place.kill(worker)
        worker = place.worker("inference", "maintenance")

        row = place.wait_for(prediction_id, PredictionState.SUCCEEDED)

        assert place.results(prediction_id) == 1, stage
        if stage == "after-result":
            assert row.attempts == before.attempts == 1
            assert row.finished_at == before.finished_at, "the finished job ran again"
        else:
            assert before.state in {PredictionState.PREPROCESSING, PredictionState.CLASSIFYING}, stage
            assert row.attempts == 2, stage
            assert row.lease_owner is None
