"""Adding and choosing evaluation sets, and comparing models on them, as an account may."""

from sqlalchemy.orm import Session

from service import evaluations, registry
from service.api.access.principal import Principal
from service.api.actions.describing_evaluations import (
    evaluation_detail,
    evaluation_responses,
    set_responses,
)
from service.api.actions.viewing import row_id
from service.api.cursor import by_name, encode_cursor, encode_place, newest_first
from service.api.evaluation_payloads import (
    EvaluationDetailResponse,
    EvaluationPage,
    EvaluationSetPage,
    EvaluationSetRequest,
    EvaluationSetResponse,
)
from service.api.resources import Resources
from service.cohorts import find_cohort
from service.db.rows import EvaluationRow, EvaluationSetRow, EvaluationState
from service.queue import announce


def every_set(session: Session) -> list[EvaluationSetResponse]:
    """Describe every evaluation set, by name."""
    query = evaluations.sets_with_cohorts()
    return set_responses(session, session.scalars(query.order_by(EvaluationSetRow.name)).all())


def list_sets(session: Session, *, cursor: str | None, limit: int) -> EvaluationSetPage:
    """Describe a page of evaluation sets, by name.

    Raises
    ------
    FieldsNotValidError
        If the cursor is none.
    """
    paged = by_name(evaluations.sets_with_cohorts(), EvaluationSetRow.name, cursor=cursor, limit=limit)
    rows = session.scalars(paged).all()
    shown = rows[:limit]
    more = encode_place([shown[-1].name]) if len(rows) > limit else None
    return EvaluationSetPage(items=set_responses(session, shown), next_cursor=more)


def add_set(session: Session, principal: Principal, asked: EvaluationSetRequest) -> EvaluationSetResponse:
    """Add a set, and commit.

    Raises
    ------
    CohortNotKnownError
        If there is no such cohort.
    ServiceError
        Whatever :func:`service.evaluations.add_set` refuses.
    """
    added = evaluations.add_set(
        session,
        find_cohort(session, asked.cohort),
        name=asked.name,
        selection=asked.selection,
        where=asked.where,
        actor=principal.actor,
    )
    return _committed(session, added)


def use_set(session: Session, principal: Principal, set_id: str) -> EvaluationSetResponse:
    """Compare models on a set from now on, and commit.

    Raises
    ------
    EvaluationSetNotFoundError
        If there is none with this id.
    """
    chosen = evaluations.find_set(session, row_id(set_id))
    return _committed(session, evaluations.use_set(session, chosen, actor=principal.actor))


def remove_set(session: Session, principal: Principal, set_id: str) -> None:
    """Remove a set that no model was compared on, and commit.

    Raises
    ------
    EvaluationSetNotFoundError
        If there is none with this id.
    EvaluationSetComparedError
    """
    evaluations.remove_set(session, evaluations.find_set(session, row_id(set_id)), actor=principal.actor)
    session.commit()


def start_evaluation(
    resources: Resources, principal: Principal, model_id: str, *, again: bool = False
) -> EvaluationDetailResponse:
    """Queue the comparison of a model with the one that answers, where it is not there; commit and announce.

    With ``again`` also where it has succeeded.

    Raises
    ------
    ModelNotFoundError
        If there is no such model.
    ServiceError
        Whatever :func:`service.evaluations.request_evaluation` refuses.
    """
    sessions = resources.sessions_for(principal)
    with sessions.begin() as session:
        row = evaluations.request_evaluation(
            session,
            resources.storage,
            registry.require_version(session, row_id(model_id)),
            actor=principal.actor,
            max_attempts=resources.settings.max_attempts,
            again=again,
        )
        row = evaluations.read_evaluation(session, row.id)
        waiting = row.state == EvaluationState.QUEUED and row.published_at is None
        answer = evaluation_detail(session, row)
    if waiting:
        announce(resources.queue, sessions, EvaluationRow, row.id)
    return answer


def list_evaluations(session: Session, *, cursor: str | None, limit: int) -> EvaluationPage:
    """Describe a page of evaluations, newest first.

    Raises
    ------
    FieldsNotValidError
        If the cursor is none.
    """
    paged = newest_first(
        evaluations.with_names(), EvaluationRow.created_at, EvaluationRow.id, cursor=cursor, limit=limit
    )
    rows = session.scalars(paged).all()
    shown = rows[:limit]
    more = encode_cursor(shown[-1].created_at, shown[-1].id) if len(rows) > limit else None
    return EvaluationPage(items=evaluation_responses(session, shown), next_cursor=more)


def read_evaluation(session: Session, evaluation_id: str) -> EvaluationDetailResponse:
    """Describe an evaluation with everything that was measured.

    Raises
    ------
    EvaluationNotFoundError
        If there is none with this id.
    """
    return evaluation_detail(session, evaluations.read_evaluation(session, row_id(evaluation_id)))


def stop_evaluation(session: Session, principal: Principal, evaluation_id: str) -> EvaluationDetailResponse:
    """Cancel an evaluation, and commit.

    Raises
    ------
    EvaluationNotFoundError, EvaluationOverError
    """
    row = evaluations.read_evaluation(session, row_id(evaluation_id))
    evaluations.cancel_evaluation(session, row, actor=principal.actor)
    answer = evaluation_detail(session, evaluations.read_evaluation(session, row.id))
    session.commit()
    return answer


def _committed(session: Session, row: EvaluationSetRow) -> EvaluationSetResponse:
    session.flush()
    query = evaluations.sets_with_cohorts().where(EvaluationSetRow.id == row.id)
    [answer] = set_responses(session, session.scalars(query.execution_options(populate_existing=True)).all())
    session.commit()
    return answer
