"""What there is to say first about drift: the page, REST and the command line ask here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.rows import DriftAlarmRow, DriftEvaluationRow
from service.drift.asking import reference_in_use


class Verdict(StrEnum):
    """What there is to say first."""

    ALARM = "alarm"
    ACKNOWLEDGED = "acknowledged"
    NO_ALARM = "no_alarm"
    NOTHING_JUDGED = "nothing_judged"
    NO_REFERENCE = "no_reference"
    NOT_EVALUATED = "not_evaluated"
    NO_MODEL = "no_model"


@dataclass(frozen=True)
class Standing:
    """How a model version stands.

    Attributes
    ----------
    verdict : Verdict
    open_alarms : int
        Of the reference in use, those that nobody has acknowledged.
    since : str or None
        First week of these; where all are acknowledged, the first that still differs.
    variables, sites : frozenset of str
        Of the same weeks; an empty site is all of them.
    """

    verdict: Verdict
    open_alarms: int = 0
    since: str | None = None
    variables: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()


def standing_of(session: Session, model_version_id: str) -> Standing:
    """Say how a version stands, by the newest look and the alarms of the reference in use."""
    reference = reference_in_use(session, model_version_id)
    if reference is None:
        return Standing(Verdict.NO_REFERENCE)
    waiting = session.execute(
        select(DriftAlarmRow.week, DriftAlarmRow.site, DriftAlarmRow.findings).where(
            DriftAlarmRow.reference_id == reference.id, DriftAlarmRow.acknowledged_at.is_(None)
        )
    ).all()
    if waiting:
        return Standing(
            Verdict.ALARM,
            open_alarms=len(waiting),
            since=min(row.week for row in waiting),
            variables=frozenset(finding["variable"] for row in waiting for finding in row.findings),
            sites=frozenset(row.site for row in waiting),
        )
    evaluation = session.get(DriftEvaluationRow, model_version_id, populate_existing=True)
    found = None if evaluation is None else evaluation.found
    if found is None or found["reference"] is None or found["reference"]["id"] != reference.id:
        return Standing(Verdict.NOT_EVALUATED)
    return _standing_found(found)


def _standing_found(found: Mapping[str, Any]) -> Standing:
    differing = [finding for finding in found["findings"] if finding["alarm"]]
    if differing:
        return Standing(
            Verdict.ACKNOWLEDGED,
            since=min(finding["week"] for finding in differing),
            variables=frozenset(finding["variable"] for finding in differing),
            sites=frozenset(finding["site"] for finding in differing),
        )
    judged = any(finding["judged"] for finding in found["findings"])
    return Standing(Verdict.NO_ALARM if judged else Verdict.NOTHING_JUDGED)
