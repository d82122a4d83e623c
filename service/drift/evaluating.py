"""One look at a model version's scans: read, judged, kept, and an alarm raised where there is reason to."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from service.audit import record
from service.db.base import utc_now
from service.db.rows import DriftAlarmRow, DriftEvaluationRow, DriftReferenceRow, ModelVersionRow
from service.drift.asking import reference_in_use
from service.drift.baselines import baselines_of, described
from service.drift.beside_card import outside_card
from service.drift.judging import Finding, Rule, judge
from service.drift.outcomes import summarise
from service.drift.reading import Seen, read_seen
from service.drift.reference import Reference
from service.drift.scans import week_of
from service.identity.actor import Actor
from service.logs import get_logger

WEEKS = 12
"""How far a look goes back, this week included."""

log = get_logger(__name__)


def evaluate_version(
    sessions: sessionmaker[Session], model_version_id: str, *, actor: Actor, now: datetime | None = None
) -> dict[str, Any]:
    """Look at a version's scans of the last weeks, keep what is found and raise new alarms.

    Parameters
    ----------
    now : datetime, optional
        The end of the time that is looked at; this moment where none is given.

    Returns
    -------
    dict
        What was found, as the page and REST show it.
    """
    now = now or datetime.now(UTC)
    weeks = last_weeks(now)
    with sessions() as session:
        began = session.scalar(select(utc_now()))
        card = session.get_one(ModelVersionRow, model_version_id).card
        row = reference_in_use(session, model_version_id)
        seen = read_seen(session, model_version_id, since=_first_moment(weeks))
    reference = None if row is None or row.sample is None else Reference.from_json(row.sample)
    findings = [] if reference is None else judge(seen.scans, reference)
    baselines = {} if reference is None else baselines_of(seen.scans, reference)
    found = {
        "weeks": weeks,
        "sites": seen.sites,
        "n_scans": len(seen.outcomes),
        "n_measured": len(seen.scans),
        "rule": asdict(Rule()),
        "reference": None if row is None or reference is None else _described(row.id, reference),
        "baselines": {site: baseline.described() for site, baseline in baselines.items()},
        "findings": [finding.to_json() for finding in findings],
        "outside_card": [] if reference is not None else outside_card(seen.scans, card),
        "outcomes": summarise(seen.outcomes),
    }
    _make_row(sessions, model_version_id)
    with sessions.begin() as session:
        # Whoever looks at the same time waits here, and then finds the alarms that this one raises.
        session.execute(
            update(DriftEvaluationRow)
            .where(DriftEvaluationRow.model_version_id == model_version_id)
            .values(evaluated_at=began, found=found)
        )
        if row is not None:
            _raise_alarms(session, row, findings, actor=actor)
    log.info("drift_evaluated", model_version_id=model_version_id, scans=_counts(seen, findings))
    return found


def last_weeks(now: datetime) -> list[str]:
    """Name the weeks that a look goes over, oldest first."""
    return [week_of(now - timedelta(weeks=back)) for back in reversed(range(WEEKS))]


def _first_moment(weeks: Sequence[str]) -> datetime:
    return datetime.strptime(f"{weeks[0]}-1", "%G-W%V-%u").replace(tzinfo=UTC)


def _described(reference_id: str, reference: Reference) -> dict[str, Any]:
    return {"id": reference_id, "fitted": reference.fitted, **described(reference)}


def _make_row(sessions: sessionmaker[Session], model_version_id: str) -> None:
    with sessions() as session:
        if session.get(DriftEvaluationRow, model_version_id) is not None:
            return
        session.add(DriftEvaluationRow(model_version_id=model_version_id))
        try:
            session.commit()
        except IntegrityError:
            session.rollback()


def _raise_alarms(
    session: Session, reference: DriftReferenceRow, findings: Iterable[Finding], *, actor: Actor
) -> None:
    of_reference = DriftAlarmRow.reference_id == reference.id
    known = {
        (alarm.week, alarm.site): alarm
        for alarm in session.scalars(select(DriftAlarmRow).where(of_reference))
    }
    raised: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    for finding in findings:
        if finding.alarm:
            raised[finding.week, finding.site][finding.variable] = finding.to_json()
    for (week, site), group in sorted(raised.items()):
        alarm = known.get((week, site))
        before = {} if alarm is None else {finding["variable"]: finding for finding in alarm.findings}
        if group.keys() <= before.keys():
            continue
        if alarm is None:
            alarm = DriftAlarmRow(
                model_version_id=reference.model_version_id, reference_id=reference.id, week=week, site=site
            )
            session.add(alarm)
        _raise(session, alarm, list((before | group).values()))
        variables = sorted(group.keys() - before.keys())
        record(
            session,
            actor=actor,
            action="drift.alarm",
            subject_kind="drift_alarm",
            subject_id=alarm.id,
            details={"model_version_id": reference.model_version_id, "week": week, "variables": variables},
        )
        log.warning("drift_alarm", alarm_id=alarm.id, week=week, variables=variables)


def _raise(session: Session, alarm: DriftAlarmRow, findings: list[dict[str, Any]]) -> None:
    """Raise an alarm, for the first time or again: nobody has seen, and nobody was told of, what is new."""
    alarm.findings = findings
    alarm.raised_at = session.scalars(select(utc_now())).one()
    alarm.acknowledged_at = alarm.acknowledged_by = None
    alarm.notified_at = alarm.notify_after = None
    alarm.notify_attempts = 0
    session.flush()


def _counts(seen: Seen, findings: Sequence[Finding]) -> dict[str, int]:
    return {
        "measured": len(seen.scans),
        "compared": len(findings),
        "alarming": sum(finding.alarm for finding in findings),
    }
