"""Filling in the change plan of a training run."""

from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from service import registry
from service.api.access.principal import Principal
from service.api.actions.registry import read_model, show_versions
from service.api.actions.training import read_run
from service.api.model_payloads import ModelVersionDetail, ModelVersionResponse, RuleResponse
from service.api.resources import Resources
from service.change_plan import ChangePlan, Compared, Sources, fill
from service.db.rows import EvaluationRow, EvaluationState
from service.registry.gate import FILE_INTACT
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
            compared = None
            if model is not None and before is not None:
                found = _evaluation(session, model.id, before.id)
                model = model.model_copy(update={"gate": _gate(session, model, before, found)})
                compared = _compared(found)
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


def _evaluation(session: Session, model_id: str, before_id: str) -> EvaluationRow | None:
    """Return the newest time that the two were set side by side."""
    query = select(EvaluationRow).where(
        EvaluationRow.challenger_id == model_id,
        EvaluationRow.champion_id == before_id,
        EvaluationRow.state == EvaluationState.SUCCEEDED,
    )
    newest = query.order_by(EvaluationRow.finished_at.desc()).limit(1)
    return session.scalars(newest.options(joinedload(EvaluationRow.evaluation_set))).first()


def _gate(
    session: Session, model: ModelVersionDetail, before: ModelVersionResponse, found: EvaluationRow | None
) -> list[RuleResponse]:
    """Judge a model beside the one before it, whichever answers by now; its file was looked at already."""
    version, champion = (registry.require_version(session, one.id) for one in (model, before))
    of_the_file = [rule for rule in model.gate if rule.name == FILE_INTACT]
    rules = registry.judge_card(version, champion=champion)
    compared = (
        registry.judge_comparison(session, version, champion=champion)
        if found is None
        else registry.rules_of(found)
    )
    return [*of_the_file, *(RuleResponse(**asdict(rule)) for rule in (*rules, *compared))]


def _compared(found: EvaluationRow | None) -> Compared | None:
    if found is None or found.outcome is None or found.outcome["together"] is None:
        return None
    return Compared(found.evaluation_set.name, found.outcome["evaluation_set"], found.outcome["together"])
