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
    DriftReferenceRow,
    ModelVersionRow,
    PredictionRow,
    ReviewRow,
    ScanMeasurementRow,
)
from service.drift.asking import acknowledge, acknowledge_all, request_evaluation
from service.drift.due import versions_due
from service.drift.errors import DriftAlarmNotFoundError
from service.drift.evaluating import evaluate_version
from service.drift.scans import week_of
from service.drift.verdict import standing_of
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


def test_what_a_site_is_compared_with_is_kept_beside_what_was_found(
    sessions: Sessions, model_version_id: str
) -> None:
    generator = np.random.default_rng(17)
    with sessions.begin() as session:
        add_reference(session, model_version_id, site="peking")
        for site in ("NYU", "Peking"):
            add_answers(session, model_version_id, draw(generator, 40), site=site, ago=timedelta(weeks=2))
            add_answers(session, model_version_id, draw(generator, 20), site=site)
    found = evaluate_version(sessions, model_version_id, actor=ACTOR)
    assert found["reference"]["people"] == 60
    of_nyu, of_peking = found["baselines"]["nyu"], found["baselines"]["peking"]
    assert (of_nyu["beside"], of_nyu["people"]) == ("first_weeks", 40)
    assert of_nyu["weeks"] == [found["weeks"][-3]]
    assert (of_peking["beside"], of_peking["people"], of_peking["weeks"]) == ("its_people", 60, [])
    low, middle, high = of_nyu["bands"]["dvars_mean"]
    assert low < middle < high
    assert of_nyu["kinds"]["tr_s"] == {"2.00": 40}


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


def test_a_person_counts_once_a_week_and_the_newest_scan_stands(
    sessions: Sessions, model_version_id: str
) -> None:
    generator = np.random.default_rng(12)
    with sessions.begin() as session:
        add_reference(session, model_version_id)
        # Twelve runs of one child, and one of each of four others.
        add_answers(session, model_version_id, draw(generator, 12, tr_s=1.2), of_one_person=True)
        add_answers(session, model_version_id, draw(generator, 4))
    found = evaluate_version(sessions, model_version_id, actor=ACTOR)
    assert (found["n_scans"], found["n_measured"], found["findings"]) == (16, 5, [])
    with sessions.begin() as session:
        # Nothing says whether these are one person or many.
        add_answers(session, model_version_id, draw(generator, 12, tr_s=1.2), anonymous=True)
    assert evaluate_version(sessions, model_version_id, actor=ACTOR)["n_measured"] == 17
    assert [alarm.site for alarm in alarms(sessions)] == [""]


def test_a_site_that_was_typed_a_few_times_is_not_named(sessions: Sessions, model_version_id: str) -> None:
    generator = np.random.default_rng(13)
    with sessions.begin() as session:
        add_answers(session, model_version_id, draw(generator, 5), site="NYU")
        add_answers(session, model_version_id, draw(generator, 4), site="Doctor Miller")
    found = evaluate_version(sessions, model_version_id, actor=ACTOR)
    assert found["sites"] == ["nyu", "others"]
    assert "miller" not in str(found)


@BOTH_DATABASES
def test_what_a_week_differs_in_later_raises_its_alarm_again(
    sessions: Sessions, model_version_id: str
) -> None:
    generator = np.random.default_rng(14)
    with sessions.begin() as session:
        add_reference(session, model_version_id)
        add_answers(session, model_version_id, draw(generator, 20, tr_s=1.2))
    evaluate_version(sessions, model_version_id, actor=ACTOR)
    [alarm] = alarms(sessions)
    with sessions.begin() as session:
        acknowledge(session, alarm.id, actor=Actor("user:1", "test"))
        session.execute(update(DriftAlarmRow).values(notified_at=utc_now(), notify_attempts=1))
    evaluate_version(sessions, model_version_id, actor=ACTOR)
    assert alarms(sessions)[0].acknowledged_by == "user:1"
    with sessions.begin() as session:
        add_answers(session, model_version_id, draw(generator, 40, tr_s=1.2, noise=0.5))
    evaluate_version(sessions, model_version_id, actor=ACTOR)
    [again] = alarms(sessions)
    assert again.id == alarm.id
    assert {finding["variable"] for finding in again.findings} > {"tr_s", "dvars_mean"}
    assert (again.acknowledged_at, again.notified_at, again.notify_attempts) == (None, None, 0)
    with sessions() as session:
        events = session.scalars(
            select(AuditEventRow)
            .where(AuditEventRow.action == "drift.alarm")
            .order_by(AuditEventRow.sequence)
        ).all()
    assert [event.details["variables"] for event in events][1] == ["dvars_mean"]


def test_a_new_reference_begins_with_alarms_of_its_own(sessions: Sessions, model_version_id: str) -> None:
    generator = np.random.default_rng(15)
    with sessions.begin() as session:
        first = add_reference(session, model_version_id).id
        add_answers(session, model_version_id, draw(generator, 20, tr_s=1.2))
    evaluate_version(sessions, model_version_id, actor=ACTOR)
    with sessions.begin() as session:
        session.get_one(DriftReferenceRow, first).in_use = False
        session.flush()
        second = add_reference(session, model_version_id, seed=2).id
    with sessions() as session:
        assert standing_of(session, model_version_id).verdict == "not_evaluated"
    evaluate_version(sessions, model_version_id, actor=ACTOR)
    assert {alarm.reference_id for alarm in alarms(sessions)} == {first, second}
    with sessions() as session:
        standing = standing_of(session, model_version_id)
    assert (standing.verdict, standing.open_alarms) == ("alarm", 1)


def test_every_alarm_is_acknowledged_at_once_and_the_audit_has_it(
    sessions: Sessions, model_version_id: str
) -> None:
    with sessions.begin() as session:
        for week in range(1, 61):
            add_alarm(session, model_version_id, week=f"2026-W{week % 50:02d}", site=str(week))
    with sessions.begin() as session:
        standing = standing_of(session, model_version_id)
        assert (standing.open_alarms, standing.since) == (60, "2026-W00")
        version = session.get_one(ModelVersionRow, model_version_id)
        assert acknowledge_all(session, version, actor=Actor("user:1", "test")) == 60
        assert acknowledge_all(session, version, actor=Actor("user:2", "test")) == 0
    assert {alarm.acknowledged_by for alarm in alarms(sessions)} == {"user:1"}
    with sessions() as session:
        [event] = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "drift.acknowledge"))
    assert (event.subject_id, event.details) == (model_version_id, {"alarms": 60})


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
