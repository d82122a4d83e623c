"""Whether the scans of late are like those that a model was judged on."""

from typing import Annotated

from fastapi import Query

from service.api.access.principals import AnyResources, ModelManager
from service.api.actions.drift import (
    acknowledge_alarm,
    acknowledge_every_alarm,
    ask_for_evaluation,
    read_drift,
    start_reference,
    stop_reference,
)
from service.api.admin.common import make_router
from service.api.drift_payloads import (
    AcknowledgedResponse,
    AcknowledgementRequest,
    AlarmResponse,
    DriftResponse,
    EvaluationRequest,
    EvaluationRequestedResponse,
    ReferenceRequest,
    ReferenceResponse,
)
from service.api.problems.problem import problem_responses

ModelVersion = Annotated[
    str | None, Query(max_length=64, description="Id of a model version; the one that answers if not given.")
]
Site = Annotated[
    str | None, Query(max_length=255, description="Findings of one site alone; empty: of all together.")
]

router = make_router()


@router.get("/drift", summary="Read whether scans drift", responses=problem_responses(404))
def get_drift(
    principal: ModelManager,
    resources: AnyResources,
    model_version_id: ModelVersion = None,
    site: Site = None,
) -> DriftResponse:
    """Return the verdict, the newest evaluation by week and site, the alarms, and what answered when."""
    with resources.sessions_for(principal).open() as session:
        return read_drift(session, model_version_id=model_version_id, site=site)


@router.post(
    "/drift/references",
    status_code=202,
    summary="Ask for a reference",
    responses=problem_responses(400, 404, 409),
)
def post_reference(
    body: ReferenceRequest, principal: ModelManager, resources: AnyResources
) -> ReferenceResponse:
    """Measure a cohort by a model version; once done, its scans are compared with it."""
    return start_reference(resources, principal, body)


@router.post(
    "/drift/references/{reference_id}/cancel",
    summary="Cancel a reference",
    responses=problem_responses(404, 409),
)
def post_reference_cancellation(
    reference_id: str, principal: ModelManager, resources: AnyResources
) -> ReferenceResponse:
    """Stop measuring a cohort; the reference in use stays, and asking again changes nothing."""
    return stop_reference(resources, principal, reference_id)


@router.post(
    "/drift/evaluations",
    status_code=202,
    summary="Ask for an evaluation",
    responses=problem_responses(400, 404, 409),
)
def post_evaluation(
    principal: ModelManager, resources: AnyResources, body: EvaluationRequest | None = None
) -> EvaluationRequestedResponse:
    """Let the housekeeping compare a version's scans within seconds rather than at the next hour."""
    return ask_for_evaluation(resources, principal, body or EvaluationRequest())


@router.post(
    "/drift/alarms/acknowledge",
    summary="Acknowledge every drift alarm of a model",
    responses=problem_responses(400, 404, 409),
)
def post_acknowledgements(
    body: AcknowledgementRequest, principal: ModelManager, resources: AnyResources
) -> AcknowledgedResponse:
    """Note that every alarm of a version was seen, and say how many nobody had seen yet."""
    return acknowledge_every_alarm(resources, principal, body)


@router.post(
    "/drift/alarms/{alarm_id}/acknowledge",
    summary="Acknowledge a drift alarm",
    responses=problem_responses(404),
)
def post_acknowledgement(alarm_id: str, principal: ModelManager, resources: AnyResources) -> AlarmResponse:
    """Note that an alarm was seen; asking again changes nothing."""
    return acknowledge_alarm(resources, principal, alarm_id)
