"""Reading what was found about drift and asking for more, as an account may."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from service import registry
from service.api.access.principal import Principal
from service.api.actions.naming import names_of
from service.api.actions.registry import list_deployments, warnings_of
from service.api.actions.viewing import error_of, row_id
from service.api.drift_payloads import (
    AcknowledgedResponse,
    AcknowledgementRequest,
    AlarmFinding,
    AlarmResponse,
    DriftModel,
    DriftResponse,
    EvaluationRequest,
    EvaluationRequestedResponse,
    ReferenceRequest,
    ReferenceResponse,
    found_of,
)
from service.api.resources import Resources
from service.cohorts import find_cohort
from service.db.rows import (
    DriftAlarmRow,
    DriftEvaluationRow,
    DriftReferenceRow,
    ModelVersionRow,
    ReferenceState,
)
from service.drift import asking
from service.drift.verdict import Verdict, standing_of
from service.queue import announce

_SHOWN_ALARMS = 50
_SHOWN_DEPLOYMENTS = 50
# As far back as a look goes, and a little more.
_DEPLOYED = timedelta(weeks=13)


def read_drift(session: Session, *, model_version_id: str | None, site: str | None) -> DriftResponse:
    """Show what the newest look at a version's scans found; of the one that answers unless another is named.

    Raises
    ------
    ModelNotFoundError
        If there is no such version.
    """
    version = _version(session, model_version_id)
    if version is None:
        return _without_model()
    evaluation = session.get(DriftEvaluationRow, version.id, populate_existing=True)
    in_use = asking.reference_in_use(session, version.id)
    newest = session.scalars(
        select(DriftReferenceRow)
        .where(DriftReferenceRow.model_version_id == version.id)
        .order_by(DriftReferenceRow.created_at.desc(), DriftReferenceRow.id.desc())
        .limit(1)
    ).one_or_none()
    alarms = _alarms(session, version.id)
    standing = standing_of(session, version.id)
    since = datetime.now(UTC) - _DEPLOYED
    deployments = list_deployments(session, cursor=None, limit=_SHOWN_DEPLOYMENTS).items
    evaluated_at = None if evaluation is None else evaluation.evaluated_at
    return DriftResponse(
        verdict=standing.verdict,
        alarm_since=standing.since,
        open_alarms=standing.open_alarms,
        alarm_variables=sorted(standing.variables),
        alarm_sites=sorted(standing.sites),
        model=DriftModel(id=version.id, name=version.name, version=version.version),
        evaluated_at=evaluated_at,
        evaluation_requested=_is_requested(evaluation),
        reference=None if in_use is None else reference_response(session, in_use),
        newest_reference=None if newest is None else reference_response(session, newest),
        warnings=warnings_of(session, version.id) if version.id == _answering(session) else [],
        found=None if evaluation is None else found_of(evaluation.found, site=site),
        alarms=alarms,
        deployments=[one for one in deployments if one.ended_at is None or one.ended_at >= since],
    )


def start_reference(resources: Resources, principal: Principal, asked: ReferenceRequest) -> ReferenceResponse:
    """Queue a reference, commit and announce it.

    Raises
    ------
    CohortNotKnownError, CohortNotUsableError
        As :mod:`service.cohorts`.
    ModelNotFoundError, NoActiveModelError
        If there is no such version, or none that answers.
    DriftReferenceWaitingError
        If one of this version is on its way.
    """
    sessions = resources.sessions_for(principal)
    with sessions.begin() as session:
        row = asking.request_reference(
            session,
            _require_version(session, asked.model_version_id),
            find_cohort(session, asked.cohort),
            selection=asked.selection,
            actor=principal.actor,
            max_attempts=resources.settings.max_attempts,
        )
        session.refresh(row)
        answer = reference_response(session, row)
    announce(resources.queue, sessions, DriftReferenceRow, row.id)
    return answer


def stop_reference(resources: Resources, principal: Principal, reference_id: str) -> ReferenceResponse:
    """Cancel a reference.

    Raises
    ------
    DriftReferenceNotFoundError, DriftReferenceOverError
        If there is none, or it has ended.
    """
    with resources.sessions_for(principal).begin() as session:
        row = asking.cancel_reference(session, row_id(reference_id), actor=principal.actor)
        return reference_response(session, row)


def ask_for_evaluation(
    resources: Resources, principal: Principal, asked: EvaluationRequest
) -> EvaluationRequestedResponse:
    """Let a version's scans be looked at soon.

    Raises
    ------
    ModelNotFoundError, NoActiveModelError
        If there is no such version, or none that answers.
    """
    with resources.sessions_for(principal).open() as session:
        version = _require_version(session, asked.model_version_id)
        version_id = version.id
        asking.request_evaluation(session, version, actor=principal.actor)
    return EvaluationRequestedResponse(model_version_id=version_id)


def acknowledge_alarm(resources: Resources, principal: Principal, alarm_id: str) -> AlarmResponse:
    """Note that an alarm was seen.

    Raises
    ------
    DriftAlarmNotFoundError
        If there is none.
    """
    with resources.sessions_for(principal).begin() as session:
        row = asking.acknowledge(session, row_id(alarm_id), actor=principal.actor)
        return _alarm(row, names_of(session, {row.acknowledged_by or ""}))


def acknowledge_every_alarm(
    resources: Resources, principal: Principal, asked: AcknowledgementRequest
) -> AcknowledgedResponse:
    """Note that every alarm of a version was seen.

    Raises
    ------
    ModelNotFoundError, NoActiveModelError
        If there is no such version, or none that answers.
    """
    with resources.sessions_for(principal).begin() as session:
        version = _require_version(session, asked.model_version_id)
        seen = asking.acknowledge_all(session, version, actor=principal.actor)
        return AcknowledgedResponse(model_version_id=version.id, alarms=seen)


def reference_response(session: Session, row: DriftReferenceRow) -> ReferenceResponse:
    """Describe a reference."""
    return ReferenceResponse(
        id=row.id,
        model_version_id=row.model_version_id,
        cohort=row.cohort_name,
        simulated=row.simulated,
        selection=row.selection,
        status=row.state,
        progress=row.progress,
        cancel_requested=row.cancel_requested,
        in_use=row.in_use,
        people=None if row.sample is None else row.sample["people"],
        error=error_of(row) if row.state == ReferenceState.FAILED else None,
        requested_by=names_of(session, {row.requested_by}).get(row.requested_by),
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _version(session: Session, model_version_id: str | None) -> ModelVersionRow | None:
    if model_version_id is None:
        return registry.active_model(session)
    return registry.require_version(session, row_id(model_version_id))


def _answering(session: Session) -> str | None:
    active = registry.active_model(session)
    return None if active is None else active.id


def _require_version(session: Session, model_version_id: str | None) -> ModelVersionRow:
    version = _version(session, model_version_id)
    if version is None:
        raise registry.NoActiveModelError
    return version


def _is_requested(evaluation: DriftEvaluationRow | None) -> bool:
    if evaluation is None or evaluation.requested_at is None:
        return False
    return evaluation.evaluated_at is None or evaluation.requested_at > evaluation.evaluated_at


def _alarms(session: Session, model_version_id: str) -> list[AlarmResponse]:
    rows = session.scalars(
        select(DriftAlarmRow)
        .where(DriftAlarmRow.model_version_id == model_version_id)
        .options(joinedload(DriftAlarmRow.model_version))
        # Those that nobody has seen to are never beyond the last that is shown.
        .order_by(DriftAlarmRow.acknowledged_at.is_not(None), DriftAlarmRow.week.desc(), DriftAlarmRow.site)
        .limit(_SHOWN_ALARMS)
    ).all()
    names = names_of(session, {row.acknowledged_by for row in rows if row.acknowledged_by})
    return [_alarm(row, names) for row in rows]


def _alarm(row: DriftAlarmRow, names: dict[str, str]) -> AlarmResponse:
    return AlarmResponse(
        id=row.id,
        model_version_id=row.model_version_id,
        reference_id=row.reference_id,
        week=row.week,
        site=row.site,
        findings=[
            AlarmFinding(**{name: finding[name] for name in AlarmFinding.model_fields})
            for finding in row.findings
        ],
        raised_at=row.raised_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=names.get(row.acknowledged_by or ""),
        notified_at=row.notified_at,
    )


def _without_model() -> DriftResponse:
    return DriftResponse(
        verdict=Verdict.NO_MODEL,
        alarm_since=None,
        open_alarms=0,
        alarm_variables=[],
        alarm_sites=[],
        model=None,
        evaluated_at=None,
        evaluation_requested=False,
        reference=None,
        newest_reference=None,
        warnings=[],
        found=None,
        alarms=[],
        deployments=[],
    )
