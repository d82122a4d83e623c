"""Filling in the change plan of a training run."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from service import registry
from service.api.actions.registry import read_model, show_versions
from service.api.actions.training import read_run
from service.api.model_payloads import ModelVersionDetail, ModelVersionResponse, RuleResponse
from service.change_plan import ChangePlan, Compared, Sources, fill
from service.db.rows import EvaluationRow, EvaluationState
from service.registry.gate import FILE_INTACT
from service.storage import Storage
from service.web.language import Language, spoken
from service.web.models.wording import by


def read_change_plan(
    sessions: Callable[[], Session],
    storage: Storage,
    run_id: str,
    *,
    made_by: str,
    version: str,
    language: Language,
) -> ChangePlan:
    """Fill in the plan of a run from what its records say now.

    Parameters
    ----------
    sessions : callable
        Opens a session that sees the run.
    storage : Storage
        Holds the model's file.
    run_id : str
    made_by : str
        The account or the program that asks.
    version : str
        Of RestNet.
    language : Language
        Of the plan.

    Raises
    ------
    TrainingRunNotFoundError
        If the sessions see no such run.
    """
    with spoken(language):
        with sessions() as session:
            run = read_run(session, run_id)
        model = None
        if run.model_version_id is not None:
            with sessions() as session:
                # Closes the session: the gate reads the whole file.
                model = read_model(session, storage, run.model_version_id)
        with sessions() as session:
            before = _before(session, model)
            compared = None
            if model is not None and before is not None:
                found = _evaluation(session, model.id, before.id)
                model = model.model_copy(update={"gate": _gate(session, model, before, found)})
                compared = _compared(found)
        sources = Sources(run=run, model=model, before=before, compared=compared)
        return fill(sources, made_at=datetime.now(UTC), made_by=by(made_by), version=version)


def _before(session: Session, model: ModelVersionDetail | None) -> ModelVersionResponse | None:
    """Return the model that a run's model would take the place of; of one that answers, that it did.

    One that answered once and was taken away again would take the place of the one that answers now.
    """
    before = registry.active_model(session)
    if model is not None and before is not None and before.id == model.id:
        earlier = registry.earlier_versions(registry.deployments(session))
        before = registry.require_version(session, earlier[0].id) if earlier else None
    return None if before is None else show_versions(session, [before])[0]


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
