"""What goes on between scores: shadow mode queues one after each answer, a batch the next when few wait."""

from collections.abc import Callable, Iterable

from celery import Celery
from sqlalchemy.orm import Session, sessionmaker

from service import scoring
from service.db.rows import ScoreRow
from service.logs import get_logger
from service.queue import announce
from service.worker.guarding import guarded

log = get_logger(__name__)


def queue_shadow(app: Celery, sessions: sessionmaker[Session], prediction_id: str) -> None:
    """Queue the shadow score of a prediction that is stored, in a transaction of its own.

    Whatever fails here is left to the sweep: an answer owes nothing to a shadow.
    """

    def act(session: Session) -> list[str]:
        queued = scoring.queue_shadow_score(session, prediction_id)
        return [] if queued is None else [queued]

    _queue(app, sessions, act)


def go_on(app: Celery, sessions: sessionmaker[Session], score_id: str) -> None:
    """Queue what the batch of a score has next, or finish it; what fails here is left to the sweep."""

    def act(session: Session) -> list[str]:
        score = session.get(ScoreRow, score_id)
        if score is None or score.rescore_id is None:
            return []
        return scoring.advance_rescore(session, score.rescore_id)

    _queue(app, sessions, act)


def look_after_scores(app: Celery, sessions: sessionmaker[Session]) -> None:
    """Begin and go on with batches, queue shadow scores that were missed, and close what is not wanted."""
    with sessions.begin() as session:
        closed = scoring.close_unwanted(session)
        batches = scoring.running_rescores(session)
    if closed:
        log.info("scores_closed", scores=closed)
    _queue(app, sessions, scoring.queue_missed_shadow_scores)
    for rescore_id in batches:
        _queue(app, sessions, _advance(rescore_id))


def _advance(rescore_id: str) -> Callable[[Session], list[str]]:
    return lambda session: scoring.advance_rescore(session, rescore_id)


def _queue(app: Celery, sessions: sessionmaker[Session], act: Callable[[Session], Iterable[str]]) -> None:
    """Do what queues scores, and announce them; a fault in one batch leaves the others their turn."""

    def queue() -> None:
        with sessions.begin() as session:
            queued = list(act(session))
        for score_id in queued:
            if not announce(app, sessions, ScoreRow, score_id):
                # The broker is away: the sweep announces them all.
                return

    guarded("scores_not_queued", queue)
