"""Models beside the one that answers: the people they are compared on, and the comparisons."""

from typing import Annotated

from fastapi import Query

from service.api.access.principals import AnyResources, ModelManager, ModelReader
from service.api.actions.evaluating import (
    add_set,
    list_evaluations,
    list_sets,
    read_evaluation,
    remove_set,
    start_evaluation,
    stop_evaluation,
    use_set,
)
from service.api.admin.common import Cursor, Limit, make_router
from service.api.evaluation_payloads import (
    EvaluationDetailResponse,
    EvaluationPage,
    EvaluationSetPage,
    EvaluationSetRequest,
    EvaluationSetResponse,
)
from service.api.problems.problem import problem_responses

Again = Annotated[bool, Query(description="Compare once more what was compared before.")]

router = make_router()


@router.get("/evaluation-sets", summary="List evaluation sets")
def get_evaluation_sets(
    principal: ModelReader, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> EvaluationSetPage:
    """Return a page of the sets of people that models may be compared on, by name."""
    with resources.sessions_for(principal).open() as session:
        return list_sets(session, cursor=cursor, limit=limit)


@router.post(
    "/evaluation-sets",
    status_code=201,
    summary="Add an evaluation set",
    responses=problem_responses(400, 409),
)
def post_evaluation_set(
    body: EvaluationSetRequest, principal: ModelManager, resources: AnyResources
) -> EvaluationSetResponse:
    """Keep people of a registered cohort to judge models by; the set is not used by that."""
    with resources.sessions_for(principal).open() as session:
        return add_set(session, principal, body)


@router.post(
    "/evaluation-sets/{set_id}/use",
    summary="Compare models on a set from now on",
    responses=problem_responses(404),
)
def post_use(set_id: str, principal: ModelManager, resources: AnyResources) -> EvaluationSetResponse:
    """Put a set in the place of the one in use; what was compared on that no longer counts for the gate."""
    with resources.sessions_for(principal).open() as session:
        return use_set(session, principal, set_id)


@router.delete(
    "/evaluation-sets/{set_id}",
    status_code=204,
    summary="Remove an evaluation set",
    responses=problem_responses(404, 409),
)
def delete_evaluation_set(set_id: str, principal: ModelManager, resources: AnyResources) -> None:
    """Remove a set that no model was compared on, also the one in use."""
    with resources.sessions_for(principal).open() as session:
        remove_set(session, principal, set_id)


@router.post(
    "/models/{model_id}/evaluations",
    status_code=202,
    summary="Compare a model with the one that answers",
    responses=problem_responses(404, 409),
)
def post_evaluation(
    model_id: str, principal: ModelManager, resources: AnyResources, *, again: Again = False
) -> EvaluationDetailResponse:
    """Queue the comparison on the set in use; one that waits, runs or has succeeded is returned as it is."""
    return start_evaluation(resources, principal, model_id, again=again)


@router.get("/evaluations", summary="List evaluations")
def get_evaluations(
    principal: ModelReader, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> EvaluationPage:
    """Return a page of evaluations with their verdicts, newest first."""
    with resources.sessions_for(principal).open() as session:
        return list_evaluations(session, cursor=cursor, limit=limit)


@router.get("/evaluations/{evaluation_id}", summary="Read an evaluation", responses=problem_responses(404))
def get_evaluation(
    evaluation_id: str, principal: ModelReader, resources: AnyResources
) -> EvaluationDetailResponse:
    """Return where an evaluation stands, and both models' figures and the rules once it has succeeded."""
    with resources.sessions_for(principal).open() as session:
        return read_evaluation(session, evaluation_id)


@router.post(
    "/evaluations/{evaluation_id}/cancel",
    summary="Cancel an evaluation",
    responses=problem_responses(404, 409),
)
def post_evaluation_cancellation(
    evaluation_id: str, principal: ModelManager, resources: AnyResources
) -> EvaluationDetailResponse:
    """Stop an evaluation; asking again changes nothing."""
    with resources.sessions_for(principal).open() as session:
        return stop_evaluation(session, principal, evaluation_id)
