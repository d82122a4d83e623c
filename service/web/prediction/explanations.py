"""The page's way to an explanation, and the template brain that its map is laid over."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse, RedirectResponse

from imaging.template_file import template_file
from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.explaining import ask_for_explanation
from service.identity.permissions import Permission
from service.web.access import allowed_by_form

TEMPLATE = "/template/mni152_2mm.nii.gz"

Changer = Annotated[Principal, Depends(allowed_by_form(Permission.CHANGE_PREDICTIONS))]

router = APIRouter(include_in_schema=False)


@router.post("/predictions/{prediction_id}/explanation")
def ask(prediction_id: str, principal: Changer, resources: AnyResources) -> RedirectResponse:
    """Queue the explanation, and go back to where it will stand."""
    response = ask_for_explanation(resources, principal, prediction_id)
    return RedirectResponse(f"/predictions/{response.prediction_id}#why", status_code=303)


@router.get(TEMPLATE)
def template_image() -> FileResponse:
    """Give the template brain, which is nobody's in particular."""
    return FileResponse(template_file(), media_type="application/gzip")
