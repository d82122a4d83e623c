"""Training runs: asked for, followed, stopped, gone on with."""

from typing import Annotated

from fastapi import Query

from service.api.access.principals import AnyResources, Trainer
from service.api.actions.reviewed_scans import count_reviewed
from service.api.actions.training import (
    list_cohorts,
    list_runs,
    read_log,
    read_run,
    resume_training,
    start_training,
    stop_training,
)
from service.api.admin.common import Cursor, Limit, make_router
from service.api.parameters import IdempotencyKey
from service.api.problems.problem import problem_responses
from service.api.training_payloads import (
    CohortPage,
    ReviewedScansResponse,
    TrainingGridResponse,
    TrainingLogResponse,
    TrainingRunDetailResponse,
    TrainingRunPage,
    TrainingRunResponse,
)
from service.training_request import TrainingRequest

Lines = Annotated[int, Query(ge=1, le=1000)]
# What an identifier of a line can be on every database.
After = Annotated[int, Query(ge=0, lt=2**31)]

router = make_router()


@router.get("/cohorts", summary="List cohorts")
def get_cohorts(
    principal: Trainer, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> CohortPage:
    """Return a page of the cohorts that are registered, by name."""
    with resources.sessions_for(principal).open() as session:
        return list_cohorts(session, cursor=cursor, limit=limit)


@router.get("/reviewed-scans", summary="Count the scans that may be trained on")
def get_reviewed_scans(principal: Trainer, resources: AnyResources) -> ReviewedScansResponse:
    """Return how many people agreed to training, with a confirmed diagnosis and a pseudonym."""
    with resources.sessions_for(principal).open() as session:
        return count_reviewed(session, principal, reads=resources.reads)


@router.post(
    "/training-runs",
    status_code=202,
    summary="Ask for training",
    responses=problem_responses(400, 409),
)
def post_training_runs(
    body: TrainingRequest, principal: Trainer, resources: AnyResources, idempotency_key: IdempotencyKey
) -> TrainingGridResponse:
    """Queue a run for each network, recurrent layer and seed; at most 40."""
    return start_training(resources, principal, body, idempotency_key=idempotency_key)


@router.get("/training-runs", summary="List training runs")
def get_training_runs(
    principal: Trainer, resources: AnyResources, cursor: Cursor = None, limit: Limit = 50
) -> TrainingRunPage:
    """Return a page of training runs with where their folds stand, newest first."""
    with resources.sessions_for(principal).open() as session:
        return list_runs(session, cursor=cursor, limit=limit)


@router.get("/training-runs/{run_id}", summary="Follow a training run", responses=problem_responses(404))
def get_training_run(run_id: str, principal: Trainer, resources: AnyResources) -> TrainingRunDetailResponse:
    """Return where a run stands, the epochs of its folds and the end of its log."""
    with resources.sessions_for(principal).open() as session:
        return read_run(session, run_id)


@router.get(
    "/training-runs/{run_id}/log",
    summary="Read the log of a training run",
    responses=problem_responses(404),
)
def get_training_log(
    run_id: str, principal: Trainer, resources: AnyResources, after: After = 0, limit: Lines = 200
) -> TrainingLogResponse:
    """Return the lines after one, oldest first; ask again with `next_after` for what comes."""
    with resources.sessions_for(principal).open() as session:
        return read_log(session, run_id, after=after, limit=limit)


@router.post(
    "/training-runs/{run_id}/cancel",
    summary="Cancel a training run",
    responses=problem_responses(404, 409),
)
def post_cancellation(run_id: str, principal: Trainer, resources: AnyResources) -> TrainingRunResponse:
    """Stop a run with all its folds; asking again changes nothing."""
    return stop_training(resources, principal, run_id)


@router.post(
    "/training-runs/{run_id}/resume",
    status_code=202,
    summary="Go on with a training run",
    responses=problem_responses(404, 409),
)
def post_resumption(run_id: str, principal: Trainer, resources: AnyResources) -> TrainingRunResponse:
    """Queue again what failed or was cancelled; finished folds are kept, others go on."""
    return resume_training(resources, principal, run_id)
