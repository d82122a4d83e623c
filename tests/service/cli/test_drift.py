"""Drift from the command line."""

from contextlib import contextmanager

import numpy as np
import pytest
from sqlalchemy import select

from service.db.engine import make_engine, session_factory
from service.db.rows import CohortRow, DriftReferenceRow
from service.registry import active_model
from tests.service.drift.drift_rows import add_alarm, add_answers, add_reference
from tests.service.drift.people import draw


@pytest.fixture
def at(tmp_path):
    return "--data-dir", tmp_path / "data"


@contextmanager
def session_at(at):
    engine = make_engine(f"sqlite:///{at[1]}/restnet.db")
    with session_factory(engine).begin() as session:
        yield session
    engine.dispose()


def test_a_look_names_what_drifts_and_an_alarm_is_acknowledged(at, restnet, restnet_json):
    assert restnet("models", "import", *at)[0] == 0
    status, told, _ = restnet("drift", "show", *at)
    assert status == 0
    assert "nothing to compare with" in told
    with session_at(at) as session:
        model = active_model(session).id
        add_reference(session, model)
        add_answers(session, model, draw(np.random.default_rng(1), 30, tr_s=1.2))
    status, told, _ = restnet("drift", "show", *at)
    assert status == 0
    assert "ALARM since" in told
    assert "tr_s" in told
    _, looked = restnet_json("drift", "show", *at)
    [alarm] = looked["alarms"]
    assert (looked["model_version_id"], alarm["site"]) == (model, "all")
    _, done = restnet_json("drift", "acknowledge", alarm["id"], *at)
    assert done["acknowledged_by"] == "command-line"
    status, told, _ = restnet("drift", "show", *at)
    assert "differs since" in told
    assert "acknowledged" in told
    assert "no alarm" not in told
    assert restnet_json("drift", "show", *at)[1]["verdict"] == "acknowledged"


def test_every_alarm_is_acknowledged_at_once(at, restnet, restnet_json):
    assert restnet("models", "import", *at)[0] == 0
    with session_at(at) as session:
        model = active_model(session).id
        for week in ("2026-W47", "2026-W48"):
            add_alarm(session, model, week=week)
    assert restnet_json("drift", "acknowledge-all", *at) == (0, {"model_version_id": model, "alarms": 2})
    assert "0 alarms" in restnet("drift", "acknowledge-all", *at)[1]


def test_without_enough_scans_nothing_is_said_to_be_well(at, restnet):
    assert restnet("models", "import", *at)[0] == 0
    with session_at(at) as session:
        model = active_model(session).id
        add_reference(session, model)
        add_answers(session, model, draw(np.random.default_rng(1), 9))
    assert "nothing judged in 9 scans" in restnet("drift", "show", *at)[1]
    with session_at(at) as session:
        add_answers(session, model, draw(np.random.default_rng(2), 20))
    assert "no alarm in 29 scans" in restnet("drift", "show", *at)[1]


def test_a_reference_is_queued_for_a_worker(at, restnet, restnet_json):
    assert restnet("models", "import", *at)[0] == 0
    status, refused = restnet_json("drift", "reference", "tiny", *at)
    assert (status, refused["error"]["code"]) == (2, "cohort_not_known")
    with session_at(at) as session:
        session.add(
            CohortRow(
                name="tiny",
                folder="/cohorts/tiny",
                fingerprint="b" * 64,
                index_sha256="c" * 64,
                condition="ADHD",
                simulated=True,
                n_subjects=40,
                n_cases=20,
                n_controls=20,
                n_scans=40,
                sites={},
                preprocessing={},
                registered_by="command-line",
            )
        )
    status, queued = restnet_json("drift", "reference", "tiny", "--selection", "all", *at)
    assert status == 0
    with session_at(at) as session:
        row = session.scalars(select(DriftReferenceRow)).one()
        assert (row.id, row.selection, row.state) == (queued["id"], "all", "queued")
        assert row.published_at is not None
    assert restnet_json("drift", "cancel", queued["id"], *at)[1]["status"] == "cancelled"
    assert "is cancelled" in restnet("drift", "cancel", queued["id"], *at)[1]
    status, refused = restnet_json("drift", "cancel", "x", *at)
    assert (status, refused["error"]["code"]) == (2, "drift_reference_not_found")
    status, refused = restnet_json("drift", "reference", "tiny", "--selection", "nobody", *at)
    assert (status, refused["error"]["code"]) == (2, "usage")


def test_without_a_model_there_is_nothing_to_look_at(at, restnet, restnet_json):
    assert restnet("db", "upgrade", *at)[0] == 0
    status, refused = restnet_json("drift", "show", *at)
    assert (status, refused["error"]["code"]) == (2, "no_active_model")
