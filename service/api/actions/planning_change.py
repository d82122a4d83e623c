"""Filling in the change plan of a training run."""

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service import registry
from service.api.access.principal import Principal
from service.api.actions.registry import read_model, show_versions
from service.api.actions.training import read_run
from service.api.model_payloads import ModelVersionDetail, ModelVersionResponse
from service.api.resources import Resources
from service.change_plan import ChangePlan, Compared, Sources, fill
from service.db.rows import EvaluationRow
from service.web.language import Language, spoken


def read_change_plan(
    resources: Resources, principal: Principal, run_id: str, *, version: str, language: Language
) -> ChangePlan:
    """Fill in the plan of a run from what its records say now.

    Parameters
    ----------
    resources : Resources
    principal : Principal
    run_id : str
    version : str
        Of RestNet.
    language : Language
        Of the plan.

    Raises
    ------
    TrainingRunNotFoundError
        If the account sees no such run.
    """
    sessions = resources.sessions_for(principal)
    with spoken(language):
        with sessions.open() as session:
            run = read_run(session, run_id)
        model = None
        if run.model_version_id is not None:
            with sessions.open() as session:
                # Closes the session: the gate reads the whole file.
                model = read_model(session, resources.storage, run.model_version_id)
        with sessions.open() as session:
            before = _before(session, model)
            compared = None if model is None or before is None else _compared(session, model.id, before.id)
        sources = Sources(run=run, model=model, before=before, compared=compared)
        return fill(sources, made_at=datetime.now(UTC), made_by=principal.username, version=version)


def _before(session: Session, model: ModelVersionDetail | None) -> ModelVersionResponse | None:
    """Return the model that a run's model would take the place of, or did when it first answered."""
    if model is None or not model.deployments:
        answering = registry.active_model(session)
        return None if answering is None else show_versions(session, [answering])[0]
    first = model.deployments[-1].number
    earlier = registry.deployments(session, before=first, limit=1)
    if not earlier:
        return None
    return show_versions(session, [registry.require_version(session, earlier[0].model_version_id)])[0]


def _compared(session: Session, model_id: str, before_id: str) -> Compared | None:
    """Return what was found of the two on the same people, the newest time that they were measured."""
    query = select(EvaluationRow.outcome).where(
        EvaluationRow.challenger_id == model_id,
        EvaluationRow.champion_id == before_id,
        EvaluationRow.outcome.is_not(None),
    )
    outcome = session.scalars(query.order_by(EvaluationRow.finished_at.desc()).limit(1)).first()
    if outcome is None or outcome["together"] is None:
        return None
    return Compared(outcome["evaluation_set"], outcome["together"])
