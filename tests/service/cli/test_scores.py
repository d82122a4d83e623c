"""Shadow mode and batches from the command line."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from model import demonstration_checkpoint
from service import jobs
from service.db.engine import make_engine, session_factory
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ModelVersionRow, ResultRow, ScanRow, ScoreRow, ShadowRow
from tests.service.leaning import leaning


@pytest.fixture
def at(tmp_path):
    return "--data-dir", tmp_path / "data"


@pytest.fixture
def sessions(at, restnet, tmp_path):
    """A data directory with a model that answers, another one, and one answer."""
    assert restnet("models", "import", *at)[0] == 0
    other = leaning(demonstration_checkpoint(), tmp_path / "other.safetensors")
    assert restnet("models", "import", other, *at)[0] == 0
    engine = make_engine(f"sqlite:///{tmp_path / 'data' / 'restnet.db'}")
    sessions = session_factory(engine)
    answer(sessions)
    yield sessions
    engine.dispose()


def answer(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        champion = session.scalars(select(ModelVersionRow).where(ModelVersionRow.version != "leaning")).one()
        scan = ScanRow(
            organisation_id=DEFAULT_ORGANISATION_ID,
            sha256="0" * 64,
            size_bytes=1,
            display_name="a.nii",
            storage_key="scans/a",
        )
        session.add(scan)
        session.flush()
        row = jobs.enqueue(session, scan_id=scan.id)
        row.state, row.finished_at, row.model_version_id = "succeeded", datetime.now(UTC), champion.id
        session.add(
            ResultRow(
                organisation_id=DEFAULT_ORGANISATION_ID,
                prediction_id=row.id,
                model_version_id=champion.id,
                adhd_probability=0.4,
                interval_low=0.3,
                interval_high=0.45,
                decision="control",
                result={},
            )
        )


def score(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        row = session.scalars(select(ScoreRow)).one()
        row.state, row.adhd_probability, row.decision = "succeeded", 0.9, "adhd"


def test_a_model_is_put_in_shadow_looked_at_and_taken_out(at, sessions, restnet, restnet_json):
    status, begun = restnet_json("models", "shadow", "begin", "leaning", "--reason", "to see", *at)
    assert (status, begun["ended_at"], begun["by"]) == (0, None, "command-line")
    status, refused = restnet_json("models", "shadow", "begin", "leaning", "--reason", "again", *at)
    assert (status, refused["error"]["code"]) == (2, "shadow_taken")
    status, told, _ = restnet("models", "shadow", "show", "leaning", *at)
    assert status == 0
    assert "is in shadow since" in told
    assert "no score yet" in told
    status, ended = restnet_json("models", "shadow", "end", "leaning", *at)
    assert (status, ended["ended_because"]) == (0, "request")
    assert (
        restnet_json("models", "shadow", "end", "leaning", *at)[1]["error"]["code"] == "model_not_in_shadow"
    )


def test_failed_scores_name_what_was_wrong(at, sessions, restnet, restnet_json):
    restnet_json("models", "shadow", "begin", "leaning", "--reason", "to see", *at)
    status, batch = restnet_json("rescore", "start", "leaning", "--reason", "why", *at)
    assert status == 0, batch
    with sessions.begin() as session:
        shadow_id = session.scalars(select(ShadowRow.id)).one()
        row = session.scalars(select(ScoreRow)).one()
        row.state, row.error_code = "failed", "checkpoint_mismatch"
    _, told, _ = restnet("rescore", "show", batch["id"], *at)
    assert "1 failed  [checkpoint_mismatch]" in told
    with sessions.begin() as session:
        row = session.scalars(select(ScoreRow)).one()
        row.purpose, row.shadow_id, row.rescore_id = "shadow", shadow_id, None
    _, told, _ = restnet("models", "shadow", "show", "leaning", *at)
    assert "1 failed  [checkpoint_mismatch]" in told


def test_what_does_not_run_here_is_refused(at, sessions, restnet_json):
    with sessions.begin() as session:
        other = session.scalars(select(ModelVersionRow).where(ModelVersionRow.version == "leaning")).one()
        other.card = other.card | {"preprocessing": {"version": 2}}
    for command in (("models", "shadow", "begin"), ("rescore", "start")):
        status, refused = restnet_json(*command, "leaning", "--reason", "to see", *at)
        assert (status, refused["error"]["code"]) == (2, "gate_not_passed")


def test_earlier_scans_are_counted_scored_and_compared(at, sessions, restnet, restnet_json):
    assert restnet_json("rescore", "count", *at) == (0, {"scans": 1})
    assert restnet_json("rescore", "count", "--until", "2020-01-01", *at) == (0, {"scans": 0})
    status, batch = restnet_json("rescore", "start", "leaning", "--reason", "why", *at)
    assert status == 0, batch
    assert (status, batch["status"], batch["n_asked"]) == (0, "running", 1)
    # Queued at once, with a message for the workers.
    assert (batch["n_queued"], batch["scores"]["queued"]) == (1, 1)
    score(sessions)
    _, shown = restnet_json("rescore", "show", batch["id"], *at)
    assert shown["comparison"]["changed"]["count"] == 1
    assert shown["comparison"]["differences"]["mean"] == pytest.approx(0.5)
    status, told, _ = restnet("rescore", "show", batch["id"], *at)
    assert status == 0
    assert "another decision: 1 of 1 (100.0%, 95% interval 20.7% to 100.0%)" in told
    assert [one["id"] for one in restnet_json("rescore", "list", *at)[1]] == [batch["id"]]
    assert restnet_json("rescore", "show", "nothing", *at)[1]["error"]["code"] == "rescore_not_found"


def test_a_cancelled_batch_has_nothing_waiting(at, sessions, restnet_json):
    _, batch = restnet_json("rescore", "start", "leaning", "--reason", "why", *at)
    status, cancelled = restnet_json("rescore", "cancel", batch["id"], *at)
    assert (status, cancelled["status"]) == (0, "cancelled")
    assert (cancelled["scores"]["queued"], cancelled["scores"]["cancelled"]) == (0, 1)
