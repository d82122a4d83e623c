"""``restnet rescore``: one version over earlier scans, and what would have changed."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.database import DataDir, load_settings, migrated_session, migrated_sessions
from service.cli.output import ACTOR, in_utc, print_json, print_table, say
from service.cli.score_display import figures_of, say_figures, say_standing, standing_of
from service.cli.usage import AsJson

if TYPE_CHECKING:
    from service.db.rows import RescoreRow
    from service.scoring import Extent, Standing

app = typer.Typer(no_args_is_help=True)

RescoreId = Annotated[str, typer.Argument(help="As `restnet rescore list` gives it.")]
Since = Annotated[datetime | None, typer.Option(help="Only predictions from then on; UTC.")]
Until = Annotated[datetime | None, typer.Option(help="Only predictions before then; UTC.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many, the newest.")]
SHOWN = ("id", "name", "version", "status", "n_asked", "succeeded", "failed", "created_at", "by")


@app.command("start")
def start(
    named: Annotated[
        str, typer.Argument(metavar="ID|VERSION", help="What `models list` shows; a sha256 in full does too.")
    ],
    *,
    reason: Annotated[str, typer.Option(help="Why; kept with the batch and in the audit.")],
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Score earlier scans with a registered model; the service's workers do it, newest scans first."""
    from service import registry, scoring
    from service.db.rows import ScoreRow
    from service.queue import announce, make_celery
    from service.storage import open_storage

    settings = load_settings(data_dir)
    with migrated_sessions(settings) as sessions:
        with sessions.begin() as session:
            version = registry.find_version(session, named)
            batch = scoring.begin_rescore(
                session,
                open_storage(settings),
                version,
                _extent(since, until, limit),
                actor=ACTOR,
                reason=reason,
            )
            queued = scoring.advance_rescore(session, batch.id)
            batch = scoring.require_rescore(session, batch.id)
            told = _described(batch, scoring.standings(session, rescore_ids=[batch.id])[batch.id])
        queue = make_celery(settings)
        for score_id in queued:
            announce(queue, sessions, ScoreRow, score_id)
        queue.close()
    _say([told], as_json=as_json, alone=True)


@app.command("count")
def count(
    *,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say how many scans a batch would score; nothing is begun."""
    from service import scoring

    with migrated_session(load_settings(data_dir)) as session:
        scans = scoring.count_answered(session, _extent(since, until, limit))
    if as_json:
        print_json({"scans": scans})
    else:
        say(f"{scans} answered scans are still stored")


@app.command("list")
def list_rescores(*, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the batches, the newest first."""
    from sqlalchemy import select
    from sqlalchemy.orm import joinedload

    from service import scoring
    from service.db.rows import RescoreRow

    with migrated_session(load_settings(data_dir)) as session:
        newest = select(RescoreRow).options(joinedload(RescoreRow.model_version))
        rows = session.scalars(newest.order_by(RescoreRow.created_at.desc(), RescoreRow.id.desc())).all()
        standings = scoring.standings(session, rescore_ids=[row.id for row in rows])
        told = [_described(row, standings[row.id]) for row in rows]
    _say(told, as_json=as_json)


@app.command("show")
def show(rescore_id: RescoreId, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say where a batch stands, and what would have changed by the scores that it has."""
    from service import scoring

    with migrated_session(load_settings(data_dir)) as session:
        batch = scoring.require_rescore(session, rescore_id)
        told = _described(batch, scoring.standings(session, rescore_ids=[batch.id])[batch.id])
        told["comparison"] = figures_of(session, batch)
    _say([told], as_json=as_json, alone=True)


@app.command("cancel")
def cancel(rescore_id: RescoreId, *, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Cancel a batch: no further score of it begins, and what it has scored stays."""
    from service import scoring

    with migrated_session(load_settings(data_dir)) as session:
        batch = scoring.require_rescore(session, rescore_id)
        batch = scoring.cancel_rescore(session, batch, actor=ACTOR)
        scoring.close_unwanted(session)
        told = _described(batch, scoring.standings(session, rescore_ids=[batch.id])[batch.id])
    _say([told], as_json=as_json, alone=True)


def _extent(since: datetime | None, until: datetime | None, limit: int | None) -> "Extent":
    from service.scoring import Extent

    return Extent(since and since.replace(tzinfo=UTC), until and until.replace(tzinfo=UTC), limit)


def _described(row: "RescoreRow", standing: "Standing") -> dict[str, Any]:
    return {
        "id": row.id,
        "model_version_id": row.model_version_id,
        "name": row.model_version.name,
        "version": row.model_version.version,
        "status": str(row.state),
        "since": in_utc(row.since),
        "until": in_utc(row.until),
        "n_asked": row.n_asked,
        "n_queued": row.n_queued,
        "scores": standing_of(standing),
        "by": row.actor,
        "reason": row.reason,
        "created_at": in_utc(row.created_at),
        "ended_at": in_utc(row.ended_at),
    }


def _say(told: list[dict[str, Any]], *, as_json: bool, alone: bool = False) -> None:
    if as_json:
        print_json(told[0] if alone else told)
        return
    rows = [
        one | {"succeeded": one["scores"]["succeeded"], "failed": one["scores"]["failed"]} for one in told
    ]
    print_table(rows, SHOWN)
    for one in told:
        if "comparison" in one:
            say_standing(one["scores"])
            say_figures(one["comparison"])
