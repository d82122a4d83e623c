"""``restnet evaluation``: the people that models are compared on, and challengers beside the model in use."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli.comparing import show_challenge
from service.cli.database import DataDir, load_settings, migrated_session, migrated_sessions
from service.cli.output import ACTOR, in_utc, print_json, print_table, say
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from service.db.rows import EvaluationRow, EvaluationSetRow, ModelVersionRow

# As REST takes it.
NAME_LENGTH = 100

app = typer.Typer(no_args_is_help=True)

EvaluationId = Annotated[str, typer.Argument(help="As `restnet evaluation list` gives it.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What the set is called from now on.")],
    *,
    cohort: Annotated[str, typer.Option(help="Name or id of a registered cohort.")],
    select: Annotated[
        Literal["all", "test"], typer.Option(help="Everybody with a diagnosis, or the test release.")
    ] = "all",
    where: Annotated[
        list[str] | None, typer.Option(help="A filter, such as site=NYU,Peking or age<=18; repeatable.")
    ] = None,
    use: Annotated[bool, typer.Option("--use", help="Compare models on it from now on.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Keep people of a cohort to judge models by; nobody of them may ever be trained on."""
    from service import evaluations
    from service.cohorts import find_cohort

    if not (0 < len(name) <= NAME_LENGTH and name.isprintable() and name == name.strip()):
        raise typer.BadParameter(f"a set needs a name of up to {NAME_LENGTH} printable characters")
    with migrated_session(load_settings(data_dir)) as session:
        added = evaluations.add_set(
            session,
            find_cohort(session, cohort),
            name=name,
            selection=select,
            where=where or [],
            actor=ACTOR,
        )
        if use:
            evaluations.use_set(session, added, actor=ACTOR)
        answer = _set(evaluations.find_set(session, added.id))
    if as_json:
        print_json(answer)
    else:
        say(f"{answer['name']} is added{' and in use' if use else ''}; the first evaluation locks its people")


@app.command()
def sets(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the evaluation sets by name, and say which one is in use."""
    from service import evaluations
    from service.db.rows import EvaluationSetRow

    with migrated_session(load_settings(data_dir)) as session:
        query = evaluations.sets_with_cohorts().order_by(EvaluationSetRow.name)
        rows = [_set(row) for row in session.scalars(query)]
    if as_json:
        print_json(rows)
    else:
        shown = ("id", "name", "in_use", "cohort", "selection", "where", "n_cases", "n_controls")
        print_table([row | {"where": "; ".join(row["where"])} for row in rows], shown)


@app.command()
def use(
    named: Annotated[str, typer.Argument(metavar="ID|NAME", help="What `evaluation sets` shows.")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare models on a set from now on; what was compared on another no longer counts for a promotion."""
    from service import evaluations

    with migrated_session(load_settings(data_dir)) as session:
        chosen = evaluations.use_set(session, evaluations.find_set(session, named), actor=ACTOR)
        answer = _set(chosen)
    if as_json:
        print_json(answer)
    else:
        say(f"models are compared on {answer['name']} from now on")


@app.command()
def remove(
    named: Annotated[str, typer.Argument(metavar="ID|NAME", help="What `evaluation sets` shows.")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove a set that no model was compared on."""
    from service import evaluations

    with migrated_session(load_settings(data_dir)) as session:
        chosen = evaluations.find_set(session, named)
        answer = _set(chosen)
        evaluations.remove_set(session, chosen, actor=ACTOR)
    if as_json:
        print_json(answer)
    else:
        say(f"{answer['name']} is removed")


@app.command()
def start(
    named: Annotated[
        str, typer.Argument(metavar="ID|VERSION", help="What `models list` shows; a sha256 in full does too.")
    ],
    *,
    again: Annotated[bool, typer.Option("--again", help="Also where it has succeeded before.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Queue the comparison of a model with the one that answers; a worker does the rest."""
    from service import evaluations, registry
    from service.db.rows import EvaluationRow, EvaluationState
    from service.queue import announce, make_celery
    from service.storage import open_storage

    settings = load_settings(data_dir)
    with migrated_sessions(settings) as sessions:
        with sessions.begin() as session:
            row = evaluations.request_evaluation(
                session,
                open_storage(settings),
                registry.find_version(session, named),
                actor=ACTOR,
                max_attempts=settings.max_attempts,
                again=again,
            )
            row = evaluations.read_evaluation(session, row.id)
            answer = _evaluation(row, registry.active_model(session))
            waiting = row.state == EvaluationState.QUEUED and row.published_at is None
        if waiting:
            queue = make_celery(settings)
            announce(queue, sessions, EvaluationRow, answer["id"])
            queue.close()
    _print([answer], as_json=as_json, one=True)


@app.command("list")
def list_evaluations(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the evaluations with their verdicts, the oldest first."""
    from service import evaluations, registry
    from service.db.rows import EvaluationRow

    with migrated_session(load_settings(data_dir)) as session:
        rows = session.scalars(evaluations.with_names().order_by(EvaluationRow.created_at)).all()
        champion = registry.active_model(session)
        answer = [_evaluation(row, champion) for row in rows]
    _print(answer, as_json=as_json)


@app.command()
def show(evaluation_id: EvaluationId, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say where an evaluation stands, and what was measured once it has succeeded."""
    from service import evaluations, registry
    from service.db.rows import EvaluationState

    with migrated_session(load_settings(data_dir)) as session:
        row = evaluations.read_evaluation(session, evaluation_id)
        answer = _evaluation(row, registry.active_model(session))
        outcome = row.outcome if row.state == EvaluationState.SUCCEEDED else None
    if as_json:
        print_json(answer | {"outcome": outcome})
        return
    _print([answer], as_json=False)
    if answer["error"] is not None:
        say(f"{answer['error']['message']}  [{answer['error']['code']}]", fg="red")
    if outcome is not None:
        show_challenge(outcome)


@app.command()
def cancel(evaluation_id: EvaluationId, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Stop an evaluation; asking again changes nothing."""
    from service import evaluations, registry

    with migrated_session(load_settings(data_dir)) as session:
        row = evaluations.read_evaluation(session, evaluation_id)
        evaluations.cancel_evaluation(session, row, actor=ACTOR)
        row = evaluations.read_evaluation(session, row.id)
        answer = _evaluation(row, registry.active_model(session))
    _print([answer], as_json=as_json, one=True)


def _set(row: "EvaluationSetRow") -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "in_use": row.in_use,
        "cohort": row.cohort.name,
        "selection": row.selection,
        "where": row.where,
        "simulated": row.simulated,
        "fingerprint": row.fingerprint,
        "n_cases": row.n_cases,
        "n_controls": row.n_controls,
        "sites": row.sites,
        "added_by": row.added_by,
        "added_at": in_utc(row.added_at),
    }


def _evaluation(row: "EvaluationRow", champion: "ModelVersionRow | None") -> dict[str, Any]:
    from service import evaluations

    failure = {"code": row.error_code, "message": row.error_message}
    return {
        "id": row.id,
        "status": row.state.value,
        "progress": row.progress,
        "challenger": f"{row.challenger.name} {row.challenger.version}",
        "challenger_id": row.challenger_id,
        "champion": f"{row.champion.name} {row.champion.version}",
        "champion_id": row.champion_id,
        "evaluation_set": row.evaluation_set.name,
        "current": evaluations.is_current(row, champion),
        "passed": row.passed,
        "error": failure if row.error_code else None,
        "requested_by": row.requested_by,
        "created_at": in_utc(row.created_at),
        "finished_at": in_utc(row.finished_at),
    }


def _print(rows: list[dict[str, Any]], *, as_json: bool, one: bool = False) -> None:
    if as_json:
        print_json(rows[0] if one else rows)
    else:
        print_table(
            rows,
            ("id", "status", "challenger", "champion", "evaluation_set", "passed", "current", "created_at"),
        )
