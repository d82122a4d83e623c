"""``/api/v1/predictions/{id}/explanation``: what of a scan drove its answer, in numbers and pictures."""

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from service.api.access.principals import AnyResources, PredictionChanger, PredictionReader
from service.api.actions.explaining import ask_for_explanation, read_explanation, read_file
from service.api.explanation_payloads import ExplanationResponse, FileName
from service.api.parameters import known_parameters_only
from service.api.problems.problem import problem_responses
from service.explanations import ATTRIBUTION

NIFTI = "application/gzip"
PNG = "image/png"
FILE_PROBLEMS = problem_responses(401, 404, 409, 410, 500, 503)

router = APIRouter(
    prefix="/api/v1/predictions",
    tags=["predictions"],
    responses=problem_responses(422),
    dependencies=[Depends(known_parameters_only)],
)


@router.get(
    "/{prediction_id}/explanation",
    summary="Follow the explanation of a prediction",
    responses=problem_responses(401, 404),
)
def get_explanation(
    prediction_id: str, principal: PredictionReader, resources: AnyResources
) -> ExplanationResponse:
    """Return where it stands and, at the end, what stands in its files."""
    with resources.sessions_for(principal).open() as session:
        return read_explanation(session, principal, prediction_id, reads=resources.reads)


@router.post(
    "/{prediction_id}/explanation",
    status_code=202,
    summary="Ask for the explanation of a prediction",
    responses=problem_responses(401, 403, 404, 409),
)
def post_explanation(
    prediction_id: str, principal: PredictionChanger, resources: AnyResources
) -> ExplanationResponse:
    """Queue it, also after it failed; one that waits, runs or is there is left as it is."""
    return ask_for_explanation(resources, principal, prediction_id)


@router.get(
    "/{prediction_id}/explanation.nii.gz",
    summary="Read the map of an explanation",
    response_class=Response,
    responses={
        200: {
            "description": "A NIfTI-1 image in MNI152 space, float32, in logits; positive speaks for ADHD",
            "content": {NIFTI: {"schema": {"type": "string", "contentMediaType": NIFTI}}},
        },
        **FILE_PROBLEMS,
    },
)
def get_map(prediction_id: str, principal: PredictionReader, resources: AnyResources) -> Response:
    """Return the attribution map; it lies over any MNI152 brain by its affine."""
    content = read_file(resources, principal, prediction_id, ATTRIBUTION)
    return _file(content, f"restnet-{prediction_id}-{ATTRIBUTION}")


@router.get(
    "/{prediction_id}/explanation/{name}",
    summary="Read a file of an explanation",
    response_class=Response,
    responses={
        200: {
            "description": "A PNG picture, or a NIfTI-1 image in MNI152 space",
            "content": {
                kind: {"schema": {"type": "string", "contentMediaType": kind}} for kind in (PNG, NIFTI)
            },
        },
        **FILE_PROBLEMS,
    },
)
def get_file(
    prediction_id: str, name: FileName, principal: PredictionReader, resources: AnyResources
) -> Response:
    """Return a picture or a volume by the name that `facts` give it."""
    content = read_file(resources, principal, prediction_id, name)
    return _file(content, f"restnet-{prediction_id}-{name}")


def _file(content: bytes, name: str) -> Response:
    # The identifier has been found, so that it is one and nothing else.
    return Response(
        content,
        media_type=PNG if name.endswith(".png") else NIFTI,
        headers={"Content-Disposition": f'inline; filename="{name}"'},
    )
