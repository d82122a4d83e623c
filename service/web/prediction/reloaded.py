"""Addresses of a prediction's forms, asked for as pages.

A page that answers a refused form stands under the form's own address. Whoever reloads it, or comes back to
it by a bookmark or after a login, is led to the prediction's page, where the form stands.
"""

from collections.abc import Callable

from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse

from service.web.access import on_page

# By the last part of the address: the section of the page where its form is.
SECTIONS = {"cancel": "", "retry": "", "review": "#reviews", "explanation": "#why"}

router = APIRouter(include_in_schema=False, dependencies=[Depends(on_page)])


def _way_to(section: str) -> Callable[[str], RedirectResponse]:
    def lead(prediction_id: str) -> RedirectResponse:
        """Lead to the prediction's page, which says itself who may see it."""
        return RedirectResponse(f"/predictions/{prediction_id}{section}", status_code=303)

    return lead


for _form, _section in SECTIONS.items():
    router.add_api_route(f"/predictions/{{prediction_id}}/{_form}", _way_to(_section), methods=["GET"])
