"""``restnet training``: the runs that the service's workers train, asked for, followed and stopped."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from imaging.words import counted
from service.cli.database import DataDir, load_settings, migrated_sessions
from service.cli.output import ACTOR, in_utc, in_words, print_json, print_table, say
from service.cli.run_ids import RunId, find_run
from service.cli.usage import AsJson, named_path
from service.web.language import Language

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from service.db.rows import TrainingFoldRow, TrainingRunRow

app = typer.Typer(no_args_is_help=True)


@app.command()
def start(
    cohort: Annotated[str, typer.Argument(help="Name or id of a registered cohort.")],
    *,
    network: Annotated[
        list[str] | None, typer.Option(help="A, B, C or D; repeatable.", show_default="C")
    ] = None,
    rnn: Annotated[
        list[str] | None, typer.Option(help="lstm or gru; repeatable.", show_default="lstm")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeatable.", show_default="0")] = None,
    protocol: Annotated[Literal["nested", "paper"] | None, typer.Option(show_default="nested")] = None,
    folds: Annotated[int | None, typer.Option(show_default="5")] = None,
    epochs: Annotated[int | None, typer.Option(help="At most.", show_default="100")] = None,
    width: Annotated[int | None, typer.Option(help="Channels of the stem.", show_default="16")] = None,
    select: Annotated[str | None, typer.Option(help="all, train or seed430.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="A filter; repeatable.")] = None,
    leave_site_out: Annotated[
        bool, typer.Option("--leave-site-out", help="A fold for each institution instead.")
    ] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option()] = "auto",
    with_reviewed_scans: Annotated[
        bool,
        typer.Option(
            "--with-reviewed-scans",
            help="Train also on scans whose people agreed; `restnet training reviewed-scans` counts them.",
        ),
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="JSON file of a request as REST takes it; options win over it.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Queue a run for each network, recurrent layer and seed; the service's workers do the rest."""
    from service import jobs
    from service.cohorts import find_cohort, require_trainable
    from service.db.organisations import DEFAULT_ORGANISATION_ID
    from service.db.rows import TrainingRunRow
    from service.queue import announce, make_celery

    given = {
        "networks": network,
        "rnns": rnn,
        "seeds": seed,
        "protocol": protocol,
        "folds": folds,
        "epochs": epochs,
        "width": width,
        "selection": select,
        "where": where,
        "split": "leave_site_out" if leave_site_out else None,
        "device": device,
        "reviewed_scans": True if with_reviewed_scans else None,
    }
    asked = _read_request(cohort, config, {name: value for name, value in given.items() if value is not None})
    settings = load_settings(data_dir)
    with migrated_sessions(settings) as sessions:
        with sessions.begin() as session:
            found = find_cohort(session, asked.cohort)
            require_trainable(session, found, asked)
            runs = jobs.request_runs(
                session,
                asked,
                found,
                runs_dir=settings.runs_dir,
                actor=ACTOR,
                organisation_id=DEFAULT_ORGANISATION_ID,
                max_attempts=settings.max_attempts,
            )
            answer = [_described(run, []) | {"warnings": _warnings(session, run)} for run in runs]
        queue = make_celery(settings)
        for run in runs:
            announce(queue, sessions, TrainingRunRow, run.id)
        queue.close()
    _print(answer, as_json=as_json)
    if not as_json:
        # One cohort was asked for: what is said of one run is said of all.
        for warning in answer[0]["warnings"]:
            say(f"{warning['message']}  [{warning['code']}]", fg="yellow", err=True)


@app.command("reviewed-scans")
def reviewed_scans(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Count the people whose scans may be trained on, and say which scans with a consent may not, and why."""
    from service.db.organisations import DEFAULT_ORGANISATION_ID
    from service.reviews import consented_people

    with migrated_sessions(load_settings(data_dir)) as sessions, sessions() as session:
        found = consented_people(session, organisation_id=DEFAULT_ORGANISATION_ID)
    if as_json:
        counts = {"people": len(found.people), "scans": found.n_scans, "cases": found.n_cases}
        counts["controls"] = len(found.people) - found.n_cases
        print_json(counts | {"left_out": dict(found.left_out)})
        return
    n_controls = len(found.people) - found.n_cases
    say(f"{len(found.people)} people with {found.n_scans} scans: {found.n_cases} ADHD, {n_controls} control")
    for reason, number in sorted(found.left_out.items()):
        say(f"left out: {counted(number, 'scan')} ({reason})")


@app.command("list")
def list_runs(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the runs, the oldest first."""
    from sqlalchemy import select
    from sqlalchemy.orm import selectinload

    from service.db.rows import TrainingRunRow

    with migrated_sessions(load_settings(data_dir)) as sessions, sessions() as session:
        with_folds = select(TrainingRunRow).options(selectinload(TrainingRunRow.folds))
        rows = session.scalars(with_folds.order_by(TrainingRunRow.created_at)).all()
        answer = [_described(row, row.folds) for row in rows]
    _print(answer, as_json=as_json)


@app.command()
def show(run_id: RunId, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say where a run and its folds stand, and what happened last."""
    from service import jobs
    from service.web.training.log_wording import log_line

    with migrated_sessions(load_settings(data_dir)) as sessions, sessions() as session:
        row = find_run(session, run_id)
        answer = _described(row, jobs.folds_of_run(session, row.id))
        log = [
            {
                "at": in_utc(line.at),
                "text": log_line(line.event, fold=line.fold, details=line.details or {}),
            }
            for line in jobs.newest_lines(session, row.id, limit=20)
        ]
    if as_json:
        print_json(answer | {"log": log})
        return
    _print([answer], as_json=False)
    if answer["error"] is not None:
        say(f"{answer['error']['message']}  [{answer['error']['code']}]", fg="red")
    for line in log:
        say(f"{line['at']}  {line['text']}")


@app.command()
def cancel(run_id: RunId, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Stop a run with all its folds; asking again changes nothing."""
    from service import jobs

    with migrated_sessions(load_settings(data_dir)) as sessions, sessions.begin() as session:
        row = jobs.cancel_run(session, find_run(session, run_id), actor=ACTOR)
        answer = _described(row, jobs.folds_of_run(session, row.id))
    _print([answer], as_json=as_json, one=True)


@app.command()
def resume(run_id: RunId, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Go on with a run that failed or was cancelled; finished folds are kept."""
    from service import jobs

    with migrated_sessions(load_settings(data_dir)) as sessions, sessions.begin() as session:
        row = find_run(session, run_id)
        # The sweep announces what waits now.
        jobs.resume_run(session, row, actor=ACTOR)
        answer = _described(row, jobs.folds_of_run(session, row.id))
    _print([answer], as_json=as_json, one=True)


@app.command("change-plan")
def change_plan(
    run_id: RunId,
    out: Annotated[
        Path,
        typer.Option(
            help="The file to write; its name ends in .html or .pdf.", parser=named_path, metavar="<path>"
        ),
    ],
    *,
    language: Annotated[Language, typer.Option(help="What the plan is written in.")] = Language.ENGLISH,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write what a run may change, how that is verified and what it may do, to be completed and signed."""
    from importlib.metadata import version

    from model.files import replace_file
    from service.api.actions.planning_change import read_change_plan
    from service.change_plan.page import render
    from service.change_plan.pdf import write_pdf
    from service.storage import open_storage

    kind = out.suffix.lower()
    if kind not in {".html", ".pdf"}:
        raise typer.BadParameter(f"expected --out to end in .html or .pdf, found {out.name!r}")
    settings = load_settings(data_dir)
    with migrated_sessions(settings) as sessions:
        with sessions() as session:
            named = find_run(session, run_id).id
        plan = read_change_plan(
            sessions,
            open_storage(settings),
            named,
            made_by=ACTOR.name,
            version=version("restnet"),
            language=language,
        )
    replace_file(out, render(plan).encode() if kind == ".html" else write_pdf(plan))
    if as_json:
        print_json({"run_id": plan.run_id, "language": plan.language.value, "written": str(out)})
        return
    say(f"Written: {out}")


def _read_request(cohort: str, config: Path | None, given: dict[str, Any]) -> Any:
    import json

    from pydantic import ValidationError

    from service.training_request import TrainingRequest

    try:
        table = json.loads(config.read_text(encoding="utf-8")) if config is not None else {}
    except OSError as error:
        raise typer.BadParameter(f"--config takes a file of JSON, found {in_words(error)}") from error
    except json.JSONDecodeError as error:
        found = f"text that is none, from line {error.lineno}, column {error.colno} on"
        raise typer.BadParameter(f"--config takes a file of JSON, found {found}") from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter("--config takes a file of JSON, found no text in UTF-8") from error
    if not isinstance(table, dict):
        raise typer.BadParameter("--config takes a JSON object")
    try:
        return TrainingRequest.model_validate({**table, **given, "cohort": cohort})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"]))
        found = f", found {problem['input']!r}" if where else ""
        raise typer.BadParameter(f"{where or 'the request'}: {problem['msg']}{found}") from None


def _warnings(session: "Session", run: "TrainingRunRow") -> list[dict[str, str]]:
    """Say what the run's log warns of, as REST does."""
    from service import jobs
    from service.web.training.log_wording import log_line

    return [
        {"code": line.event, "message": log_line(line.event, fold=None, details=line.details or {})}
        for line in jobs.warnings_of(session, run.id)
    ]


def _described(row: "TrainingRunRow", folds: "Sequence[TrainingFoldRow]") -> dict[str, Any]:
    from service import jobs
    from service.methods import architecture_of

    asked: dict[str, Any] = row.request or {}
    settings = asked.get("settings", {})
    failure = {"code": row.error_code, "message": row.error_message}
    return {
        "id": row.id,
        "status": jobs.stage_of(row).value,
        "cohort": asked.get("cohort"),
        **(architecture_of(settings) if settings else dict.fromkeys(("method", "network", "rnn"))),
        "seed": settings.get("seed"),
        "folds": [
            {
                "fold": fold.fold,
                "status": fold.state.value,
                "progress": fold.progress,
                "attempts": fold.attempts,
            }
            for fold in folds
        ],
        "run_folder": row.run_folder,
        "model_version_id": row.model_version_id,
        "error": failure if row.error_code else None,
        "created_at": in_utc(row.created_at),
        "finished_at": in_utc(row.finished_at),
    }


def _print(runs: list[dict[str, Any]], *, as_json: bool, one: bool = False) -> None:
    if as_json:
        print_json(runs[0] if one else runs)
        return
    shown = [
        run | {"done": f"{sum(fold['status'] == 'succeeded' for fold in run['folds'])}/{len(run['folds'])}"}
        for run in runs
    ]
    print_table(shown, ("id", "status", "cohort", "network", "rnn", "seed", "done", "created_at"))
