"""Evaluations with what people call their models and their set."""

from typing import Any

from sqlalchemy import Select, case, select
from sqlalchemy.orm import Session, joinedload

from service.db.rows import EvaluationRow, EvaluationSetRow, ModelVersionRow
from service.evaluations.errors import EvaluationNotFoundError
from service.registry import active_model
from service.registry.comparison import set_in_use


def with_names() -> Select[Any]:
    """Return a query of evaluations with their set and their models, whose cards stay in the database."""
    without_card = [
        joinedload(version).defer(ModelVersionRow.card)
        for version in (EvaluationRow.champion, EvaluationRow.challenger)
    ]
    return select(EvaluationRow).options(*without_card, joinedload(EvaluationRow.evaluation_set))


def sets_with_cohorts() -> Select[Any]:
    """Return a query of evaluation sets with their cohorts."""
    return select(EvaluationSetRow).options(joinedload(EvaluationSetRow.cohort))


def read_evaluation(session: Session, evaluation_id: str) -> EvaluationRow:
    """Return an evaluation as it is now, with its names.

    Raises
    ------
    EvaluationNotFoundError
        If there is none with this id.
    """
    session.flush()
    query = with_names().where(EvaluationRow.id == evaluation_id)
    found = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise EvaluationNotFoundError
    row: EvaluationRow = found
    return row


def is_current(row: EvaluationRow, champion: ModelVersionRow | None) -> bool:
    """Whether the gate goes by an evaluation: both are as now, the model that answers and the set in use.

    Parameters
    ----------
    row : EvaluationRow
        Of :func:`with_names`.
    champion : ModelVersionRow or None
        The one that answers.
    """
    return champion is not None and row.champion_id == champion.id and row.evaluation_set.in_use


def newest_of(session: Session, model_version_id: str) -> EvaluationRow | None:
    """Return the evaluation of a challenger that the gate goes by, else the newest; None without one."""
    champion, people = active_model(session), set_in_use(session)
    goes_by = (EvaluationRow.champion_id == (champion.id if champion else "")) & (
        EvaluationRow.evaluation_set_id == (people.id if people else "")
    )
    query = with_names().where(EvaluationRow.challenger_id == model_version_id)
    newest = query.order_by(case((goes_by, 0), else_=1), EvaluationRow.queued_at.desc(), EvaluationRow.id)
    row: EvaluationRow | None = session.scalars(newest.limit(1)).one_or_none()
    return row
