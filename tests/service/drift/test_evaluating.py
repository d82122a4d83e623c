"""A look at the scans in a database: what is found, what alarms, and that each alarm is raised once."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from service.db.base import utc_now
from service.db.rows import (
    AuditEventRow,
    DriftAlarmRow,
    DriftEvaluationRow,
    ModelVersionRow,
    PredictionRow,
    ReviewRow,
    ScanMeasurementRow,
)
from service.drift.asking import acknowledge, request_evaluation
from service.drift.due import versions_due
from service.drift.errors import DriftAlarmNotFoundError
from service.drift.evaluating import evaluate_version
from service.drift.judging import week_of
from service.identity.actor import Actor, program
from service.retention import Reason, mark_deleted
from tests.service.conftest import BOTH_DATABASES
from tests.service.drift.drift_rows import add_alarm, add_answers, add_reference
from tests.service.drift.people import draw

ACTOR = program("sweeper")
Sessions = sessionmaker[Session]


def alarms(sessions: Sessions) -> list[DriftAlarmRow]:
    with sessions() as session:
        return list(session.scalars(select(DriftAlarmRow).order_by(DriftAlarmRow.week, DriftAlarmRow.site)))


@BOTH_DATABASES
def test_scans_of_another_sequence_alarm_once_and_the_audit_has_it(
    sessions: Sessions, model_version_id: str
) -> None:
    generator = np.random.default_rng(2)
    with sessions.begin() as session:
        add_reference(session, model_version_id)
        add_answers(session, model_version_id, draw(generator, 40), ago=timedelta(weeks=3))
        add_answers(session, model_version_id, draw(generator, 30, tr_s=1.2, noise=0.2))
    found = evaluate_version(sessions, model_version_id, actor=ACTOR)
    assert (found["n_scans"], found["n_measured"], found["sites"]) == (70, 70, ["nyu"])
    assert found["weeks"][-1] == week_of(datetime.now(UTC))
    [alarm] = alarms(sessions)
    assert (alarm.week, alarm.site) == (found["weeks"][-1], "")
    assert {finding["variable"] for finding in alarm.findings} == {"tr_s", "duration_s", "dvars_mean"}
    with sessions() as session:
        [event] = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "drift.alarm"))
        kept = session.get_one(DriftEvaluationRow, model_version_id)
    assert (event.subject_id, event.organisation_id) == (alarm.id, None)
    assert kept.found == found
    told = str(found) + str(event.details)
    assert "child" not in told
    assert "P-1" not in told
    evaluate_version(sessions, model_version_id, actor=ACTOR)
    assert [one.id for one in alarms(sessions)] == [alarm.id]


def test_scans_of_the_same_population_raise_no_alarm(sessions: Sessions, model_version_id: str) -> None:
    generator = np.random.default_rng(3)
    with sessions.begin() as session:
        add_reference(session, model_version_id)
        for site in ("NYU", " nyu", "Peking"):
            add_answers(session, model_version_id, draw(generator, 40), site=site)
        # Too old to be looked at.
        add_answers(session, model_version_id, draw(generator, 20, tr_s=1.2), ago=timedelta(weeks=20))
    found = evaluate_version(sessions, model_version_id, actor=ACTOR)
    assert found["n_scans"] == 120
    assert found["sites"] == ["nyu", "peking"]
    assert {finding["site"] for finding in found["findings"]} == {"", "nyu", "peking"}
    assert alarms(sessions) == []


def test_without_a_reference_nothing_is_judged_and_outcomes_are_counted(
    sessions: Sessions, model_version_id: str
) -> None:
    with sessions.begin() as session:
        add_answers(session, model_version_id, draw(np.random.default_rng(4), 12))
        [first, *_] = session.scalars(select(PredictionRow).order_by(PredictionRow.id))
        common = {"organisation_id": first.organisation_id, "prediction_id": first.id}
        now = datetime.now(UTC)
        session.add(ReviewRow(**common, verdict="overridden", diagnosis="adhd", created_at=now))
        # The newest verdict stands, and so does a diagnosis that it says nothing of.
        session.add(ReviewRow(**common, verdict="accepted", created_at=now + timedelta(seconds=1)))
    found = evaluate_version(sessions, model_version_id, actor=ACTOR)
    assert (found["reference"], found["findings"]) == (None, [])
    [everywhere, _there] = found["outcomes"]
    assert (everywhere["n"], everywhere["overridden"]["value"], everywhere["overridden"]["n"]) == (12, 0.0, 1)
    assert alarms(sessions) == []


def test_a_scan_that_was_sent_twice_counts_once(sessions: Sessions, model_version_id: str) -> None:
    from service.db.rows import ScanRow

    with sessions.begin() as session:
        ids = add_answers(session, model_version_id, draw(np.random.default_rng(5), 3))
        session.execute(update(ScanRow).where(ScanRow.id.in_(ids)).values(sha256="d" * 64))
    assert evaluate_version(sessions, model_version_id, actor=ACTOR)["n_scans"] == 1


def test_what_was_measured_goes_with_the_scan(sessions: Sessions, model_version_id: str) -> None:
    with sessions.begin() as session:
        [gone, _kept] = add_answers(session, model_version_id, draw(np.random.default_rng(6), 2))
    with sessions.begin() as session:
        assert mark_deleted(session, gone, actor=ACTOR, reason=Reason.REQUEST)
    with sessions() as session:
        assert len(session.scalars(select(ScanMeasurementRow)).all()) == 1
    assert evaluate_version(sessions, model_version_id, actor=ACTOR)["n_scans"] == 1


def due(sessions: Sessions, every_s: float = 3600) -> list[str]:
    with sessions() as session:
        return versions_due(session, every_s=every_s)


def test_the_model_that_answers_is_looked_at_at_its_pace_and_others_when_asked_for(
    sessions: Sessions, model_version_id: str
) -> None:
    assert due(sessions) == []
    with sessions.begin() as session:
        add_answers(session, model_version_id, draw(np.random.default_rng(7), 1))
    assert due(sessions) == [model_version_id]
    evaluate_version(sessions, model_version_id, actor=ACTOR)
    assert due(sessions) == []
    with sessions.begin() as session:
        session.execute(update(DriftEvaluationRow).values(evaluated_at=utc_now(-120)))
    assert due(sessions) == []
    assert due(sessions, every_s=100) == [model_version_id]
    with sessions() as session:
        other = ModelVersionRow(name="b", version="2", sha256="2" * 64, storage_key="b", card={})
        session.add(other)
        session.commit()
        request_evaluation(session, other, actor=Actor("user:1", "test"))
        other_id = other.id
    assert due(sessions) == [other_id]
    evaluate_version(sessions, other_id, actor=ACTOR)
    assert due(sessions) == []
    with sessions() as session:
        request_evaluation(session, session.get_one(ModelVersionRow, other_id), actor=Actor("user:1", "test"))
    assert due(sessions) == [other_id]
    with sessions() as session:
        asked = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "drift.evaluate")).all()
    assert len(asked) == 2


def test_whoever_acknowledges_first_stands(sessions: Sessions, model_version_id: str) -> None:
    with sessions.begin() as session:
        alarm_id = add_alarm(session, model_version_id)
    for name in ("user:1", "user:2"):
        with sessions.begin() as session:
            acknowledge(session, alarm_id, actor=Actor(name, "test"))
    [alarm] = alarms(sessions)
    assert alarm.acknowledged_by == "user:1"
    assert alarm.acknowledged_at is not None
    with sessions() as session:
        events = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "drift.acknowledge"))
        assert [event.actor for event in events] == ["user:1"]
        with pytest.raises(DriftAlarmNotFoundError):
            acknowledge(session, "unknown", actor=ACTOR)
