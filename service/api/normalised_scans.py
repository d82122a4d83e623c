"""``/api/v1/predictions/{id}/normalised``: a scan as RestNet brought it into template space."""

from fastapi import APIRouter, Depends
from fastapi.responses import Response, StreamingResponse

from service.api.access.principals import AnyResources, PredictionReader
from service.api.actions.normalised_scans import open_normalised, read_figure, read_provenance
from service.api.normalised_payloads import FigureName, NormalisedResponse
from service.api.parameters import known_parameters_only
from service.api.problems.problem import problem_responses

NIFTI = "application/gzip"
PNG = "image/png"

router = APIRouter(
    prefix="/api/v1/predictions",
    tags=["predictions"],
    responses=problem_responses(422),
    dependencies=[Depends(known_parameters_only)],
)


@router.get(
    "/{prediction_id}/normalised",
    summary="Read the scan in template space",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A 4-D NIfTI-1 image in MNI152 space, float32, as the model read it; only of a "
            "scan that was given in the scanner's space",
            "content": {NIFTI: {"schema": {"type": "string", "contentMediaType": NIFTI}}},
        },
        **problem_responses(401, 404, 410, 500, 503),
    },
)
def get_normalised(
    prediction_id: str, principal: PredictionReader, resources: AnyResources
) -> StreamingResponse:
    """Return the file that the answer was computed from."""
    # The identifier has been found, so that it is one and nothing else.
    return StreamingResponse(
        open_normalised(resources, principal, prediction_id),
        media_type=NIFTI,
        headers={"Content-Disposition": f'attachment; filename="restnet-{prediction_id}-normalised.nii.gz"'},
    )


@router.get(
    "/{prediction_id}/normalised/provenance",
    summary="Read how the scan was brought into template space",
    responses=problem_responses(401, 404),
)
def get_provenance(
    prediction_id: str, principal: PredictionReader, resources: AnyResources
) -> NormalisedResponse:
    """Return what was done, with which settings, and how well the template fits."""
    with resources.sessions_for(principal).open() as session:
        return NormalisedResponse.model_validate(
            read_provenance(session, principal, prediction_id, reads=resources.reads)
        )


@router.get(
    "/{prediction_id}/normalised/figures/{name}",
    summary="Read a figure of how the scan was brought into template space",
    response_class=Response,
    responses={
        200: {
            "description": "A PNG picture: `registration.png`, the template's outlines over the scan's mean "
            "frame, or `carpet.png`, every voxel over time before and after cleaning",
            "content": {PNG: {"schema": {"type": "string", "contentMediaType": PNG}}},
        },
        **problem_responses(401, 404, 410, 500, 503),
    },
)
def get_figure(
    prediction_id: str, name: FigureName, principal: PredictionReader, resources: AnyResources
) -> Response:
    """Return a figure that was drawn when the scan was brought into template space."""
    content = read_figure(resources, principal, prediction_id, name.removesuffix(".png"))
    disposition = f'inline; filename="restnet-{prediction_id}-{name}"'
    return Response(content, media_type=PNG, headers={"Content-Disposition": disposition})
