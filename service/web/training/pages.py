"""The pages about training: runs in a list, the form that asks for some, one run as it goes on."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from service import jobs
from service.api.access.principal import Principal
from service.api.access.principals import AnyResources
from service.api.actions.idempotency import request_digest
from service.api.actions.reviewed_scans import count_reviewed
from service.api.actions.training import (
    every_cohort,
    list_runs,
    read_run,
    resume_training,
    start_training,
    stop_training,
)
from service.api.problems.handlers import problem_of, status_of
from service.api.problems.problem import Problem
from service.api.resources import Resources
from service.api.training_payloads import CohortResponse
from service.db.base import new_id
from service.db.rows import EvaluationSetRow
from service.errors import ServiceError
from service.evaluations import newest_of
from service.identity.permissions import Permission
from service.registry.comparison import set_in_use
from service.training_request import TrainingRequest
from service.web.access import allowed_by_form, allowed_on_page
from service.web.rendering import page
from service.web.training import wording
from service.web.training.asking import Asked, form_of_address, read_form
from service.web.training.drawing import loss_chart

PAGE_LENGTH = 25

Watcher = Annotated[Principal, Depends(allowed_on_page(Permission.TRAIN_MODELS))]
Trainer = Annotated[Principal, Depends(allowed_by_form(Permission.TRAIN_MODELS))]
Text = Annotated[str, Form(max_length=255)]
FormId = Annotated[str, Form(max_length=36)]
Ticked = Annotated[list[str] | None, Form(max_length=8)]

router = APIRouter(include_in_schema=False)


@router.get("/training")
def show_runs(
    request: Request,
    principal: Watcher,
    resources: AnyResources,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
) -> HTMLResponse:
    """List the training runs, newest first."""
    with resources.sessions_for(principal).open() as session:
        listed = list_runs(session, cursor=cursor, limit=PAGE_LENGTH)
        cohorts = every_cohort(session)
    return page(
        request,
        "training/list.html",
        principal=principal,
        page=listed,
        cohorts=cohorts,
        any_live=any(run.status.value in wording.LIVE for run in listed.items),
        here=f"/training?cursor={cursor}" if cursor else "/training",
        training=wording,
    )


@router.get("/training/new")
def show_form(request: Request, principal: Watcher, resources: AnyResources) -> HTMLResponse:
    """Ask what is to be trained; the address may say what stands in the form, as Back leads to it."""
    query = request.query_params
    asked = form_of_address(query, networks=query.getlist("networks"), rnns=query.getlist("rnns"))
    return _form(request, principal, resources, asked)


@router.post("/training")
def ask(
    request: Request,
    principal: Trainer,
    resources: AnyResources,
    *,
    networks: Ticked = None,
    rnns: Ticked = None,
    cohort: Text = "",
    selection: Text = "",
    seeds: Text = "",
    protocol: Text = "",
    split: Text = "",
    device: Text = "",
    encoder: Text = "",
    folds: Text = "",
    epochs: Text = "",
    patience: Text = "",
    width: Text = "",
    batch_size: Text = "",
    windows_per_subject: Text = "",
    learning_rate: Text = "",
    reviewed_scans: Text = "",
    form_id: FormId = "",
) -> Response:
    """Queue what the form asks for; what cannot be is said beside its fields."""
    texts = {
        "cohort": cohort,
        "selection": selection,
        "seeds": seeds,
        "protocol": protocol,
        "split": split,
        "device": device,
        "encoder": encoder,
        "folds": folds,
        "epochs": epochs,
        "patience": patience,
        "width": width,
        "batch_size": batch_size,
        "windows_per_subject": windows_per_subject,
        "learning_rate": learning_rate,
        "reviewed_scans": reviewed_scans,
    }
    asked = read_form(texts, networks=networks or [], rnns=rnns or [])
    show_again = partial(_form, request, principal, resources, asked, status=422)
    if asked.request is None:
        return show_again()
    try:
        key = _key_of(form_id, asked.request)
        grid = start_training(resources, principal, asked.request, idempotency_key=key)
    except ServiceError as refusal:
        if (status_of(refusal) or 500) >= 500:
            raise
        return show_again(refusal=problem_of(request, refusal))
    return _go(f"/training/{grid.runs[0].id}" if len(grid.runs) == 1 else "/training")


@router.get("/training/{run_id}")
def show_run(request: Request, run_id: str, principal: Watcher, resources: AnyResources) -> HTMLResponse:
    """Show where a run stands, its folds' losses and the end of its log."""
    with resources.sessions_for(principal).open() as session:
        run = read_run(session, run_id)
        made = run.model_version_id
        compared = made is not None and newest_of(session, made) is not None
    return page(
        request,
        "training/run.html",
        principal=principal,
        run=run,
        compared=compared,
        live=run.status.value in wording.LIVE or any(fold.status.value in wording.LIVE for fold in run.folds),
        charts={fold.fold: loss_chart(fold.epochs) for fold in run.folds},
        training=wording,
    )


@router.post("/training/{run_id}/cancel")
def cancel(run_id: str, principal: Trainer, resources: AnyResources) -> RedirectResponse:
    """Stop a run; one that has just ended is simply shown."""
    try:
        run_id = stop_training(resources, principal, run_id).id
    except jobs.TrainingRunOverError:
        return _go(f"/training/{run_id}")
    return _go(f"/training/{run_id}")


@router.post("/training/{run_id}/resume")
def resume(run_id: str, principal: Trainer, resources: AnyResources) -> RedirectResponse:
    """Go on with a run; one that goes on already, by a second click, is simply shown."""
    try:
        run_id = resume_training(resources, principal, run_id).id
    except jobs.TrainingRunNotResumableError:
        return _go(f"/training/{run_id}")
    return _go(f"/training/{run_id}")


def _form(
    request: Request,
    principal: Principal,
    resources: Resources,
    asked: Asked,
    *,
    status: int = 200,
    refusal: Problem | None = None,
) -> HTMLResponse:
    with resources.sessions_for(principal).open() as session:
        cohorts = every_cohort(session)
        tested = set_in_use(session)
        reviewed = count_reviewed(session, principal, reads=resources.reads)
    return page(
        request,
        "training/new.html",
        principal=principal,
        status=refusal.status if refusal else status,
        asked=asked,
        form_id=new_id(),
        cohorts=cohorts,
        tested=_tested(cohorts, tested),
        reviewed=reviewed,
        refusal=refusal,
        training=wording,
    )


def _tested(cohorts: list[CohortResponse], people: EvaluationSetRow | None) -> dict[str, str] | None:
    """Name the set in use with its cohort, whose people no training should take."""
    if people is None:
        return None
    of_set = next((cohort for cohort in cohorts if cohort.id == people.cohort_id), None)
    return None if of_set is None else {"name": people.name, "cohort": of_set.name}


def _key_of(form_id: str, asked: TrainingRequest) -> str | None:
    """Let a form that is sent twice, by a double click perhaps, ask once; one that was changed asks anew."""
    # With a blank, which no client's own key may have.
    return f"form {form_id} {request_digest(asked.model_dump(mode='json'))}" if form_id else None


def _go(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=303)
