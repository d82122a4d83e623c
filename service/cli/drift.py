"""``restnet drift``: whether the scans of late are like those that a model was judged on."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.database import DataDir, load_settings, migrated_sessions
from service.cli.output import ACTOR, in_utc, print_json, print_table, say
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from service.db.rows import DriftAlarmRow, ModelVersionRow

drift = typer.Typer(no_args_is_help=True)

Model = Annotated[
    str | None,
    typer.Option(help="Id, sha256 or version of a model.", show_default="the one that answers"),
]


@drift.command("show")
def show(*, model: Model = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Compare the scans of the last 12 weeks now, and say what differs; raises alarms as the service does."""
    from service import logs
    from service.drift.evaluating import evaluate_version
    from service.drift.verdict import Verdict, standing_of

    settings = load_settings(data_dir)
    # What this prints says it all; the log is the service's.
    logs.configure(log_format=settings.log_format, log_level="error")
    with migrated_sessions(settings) as sessions:
        with sessions() as session:
            version = _version(session, model)
            named = f"{version.name} {version.version}"
            version_id = version.id
        found = evaluate_version(sessions, version_id, actor=ACTOR)
        with sessions() as session:
            standing = standing_of(session, version_id)
            alarms = [_alarm(row) for row in _open_alarms(session, version_id)]
    if as_json:
        verdict = standing.verdict.value
        print_json({"model_version_id": version_id, "verdict": verdict, "alarms": alarms, "found": found})
        return
    scans = f"{found['n_measured']} scans of {len(found['weeks'])} weeks"
    match standing.verdict:
        case Verdict.ALARM:
            say(f"{named}: ALARM since {standing.since}", fg="red")
            print_table(alarms, ("id", "week", "site", "variables", "raised_at"))
        case Verdict.ACKNOWLEDGED:
            say(f"{named}: differs since {standing.since}, every alarm acknowledged", fg="yellow")
        case Verdict.NO_ALARM:
            say(f"{named}: no alarm in {scans}")
        case Verdict.NOTHING_JUDGED:
            fewest = found["rule"]["fewest_scans"]
            say(f"{named}: nothing judged in {scans}: no week has {fewest:.0f} people to compare")
        case Verdict.NOT_EVALUATED:
            say(f"{named}: the reference has changed meanwhile: look again")
        case _:
            say(f"{named}: nothing to compare with (`restnet drift reference COHORT` makes it)")
    deviating = sorted(found["findings"], key=lambda one: -one["statistic"])[:10]
    rows = [
        {
            **one,
            "site": one["site"] or "all",
            "beside": one["beside"].replace("_", " "),
            "statistic": f"{one['statistic']:.2f}",
            "corrected_p": f"{one['corrected_p']:.2g}" if one["judged"] else "not judged",
        }
        for one in deviating
    ]
    if rows:
        print_table(rows, ("week", "site", "variable", "n", "beside", "statistic", "corrected_p"))


@drift.command("reference")
def make_reference(
    cohort: Annotated[str, typer.Argument(help="Id or name of a registered cohort.")],
    *,
    model: Model = None,
    selection: Annotated[
        str | None,
        typer.Option(
            help="all, train, test or seed430.", show_default="the training release where it is known"
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let a worker measure a cohort by a model; scans are compared with it once that is done."""
    from service.cohorts import find_cohort
    from service.db.rows import DriftReferenceRow
    from service.drift.asking import request_reference
    from service.queue import announce, make_celery

    if selection not in {None, "all", "train", "test", "seed430"}:
        raise typer.BadParameter("--selection takes all, train, test or seed430")
    settings = load_settings(data_dir)
    with migrated_sessions(settings) as sessions:
        with sessions.begin() as session:
            row = request_reference(
                session,
                _version(session, model),
                find_cohort(session, cohort),
                selection=selection,
                actor=ACTOR,
                max_attempts=settings.max_attempts,
            )
            answer = {"id": row.id, "model_version_id": row.model_version_id, "cohort": row.cohort_name}
        announce(make_celery(settings), sessions, DriftReferenceRow, answer["id"])
    if as_json:
        print_json(answer)
    else:
        say(f"{answer['cohort']}: queued as reference {answer['id']}")


@drift.command("cancel")
def cancel(
    reference: Annotated[str, typer.Argument(help="Id of a reference, as `restnet drift reference` said.")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Stop a reference; asking again changes nothing, and the one in use stays in use."""
    from service.drift.asking import cancel_reference

    with migrated_sessions(load_settings(data_dir)) as sessions, sessions.begin() as session:
        row = cancel_reference(session, reference, actor=ACTOR)
        answer = {"id": row.id, "cohort": row.cohort_name, "status": row.state.value}
    if as_json:
        print_json(answer)
    else:
        at_work = "" if answer["status"] == "cancelled" else ", once its worker has seen it"
        say(f"{answer['cohort']}: reference {answer['id']} is cancelled{at_work}")


@drift.command("acknowledge")
def acknowledge_alarm(
    alarm: Annotated[str, typer.Argument(help="Id of an alarm.")],
    *,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Note that an alarm was seen."""
    from service.drift.asking import acknowledge

    with migrated_sessions(load_settings(data_dir)) as sessions, sessions.begin() as session:
        answer = _alarm(acknowledge(session, alarm, actor=ACTOR))
    if as_json:
        print_json(answer)
    else:
        say(f"the alarm of {answer['week']} is acknowledged")


@drift.command("acknowledge-all")
def acknowledge_every_alarm(
    *, model: Model = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Note that every alarm of a model was seen."""
    from service.drift.asking import acknowledge_all

    with migrated_sessions(load_settings(data_dir)) as sessions, sessions.begin() as session:
        version = _version(session, model)
        named = f"{version.name} {version.version}"
        answer = {
            "model_version_id": version.id,
            "alarms": acknowledge_all(session, version, actor=ACTOR),
        }
    if as_json:
        print_json(answer)
    else:
        say(f"{named}: {answer['alarms']} alarms are acknowledged that nobody had seen")


def _version(session: "Session", named: str | None) -> "ModelVersionRow":
    from service import registry

    if named is not None:
        return registry.find_version(session, named)
    version = registry.active_model(session)
    if version is None:
        raise registry.NoActiveModelError
    return version


def _open_alarms(session: "Session", model_version_id: str) -> "list[DriftAlarmRow]":
    from sqlalchemy import select

    from service.db.rows import DriftAlarmRow, DriftReferenceRow

    of_version = DriftReferenceRow.model_version_id == model_version_id
    in_use = select(DriftReferenceRow.id).where(of_version, DriftReferenceRow.in_use)
    return list(
        session.scalars(
            select(DriftAlarmRow)
            .where(DriftAlarmRow.reference_id.in_(in_use), DriftAlarmRow.acknowledged_at.is_(None))
            .order_by(DriftAlarmRow.week, DriftAlarmRow.site)
        )
    )


def _alarm(row: "DriftAlarmRow") -> dict[str, Any]:
    return {
        "id": row.id,
        "week": row.week,
        "site": row.site or "all",
        "variables": ", ".join(finding["variable"] for finding in row.findings),
        "raised_at": in_utc(row.raised_at),
        "acknowledged_by": row.acknowledged_by,
    }
