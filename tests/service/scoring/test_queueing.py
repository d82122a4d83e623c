"""Which scores are queued, and which are not wanted any more."""

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service import jobs, registry, scoring
from service.db.base import utc_now
from service.db.rows import (
    PredictionRow,
    PredictionState,
    RescoreRow,
    ScanRow,
    ScoreRow,
    ShadowRow,
)
from service.retention import Reason, mark_deleted
from service.retention.removal import remove_file
from service.scoring import Extent, NothingToRescoreError, RescoreOverError, RescoreRunningError, queueing
from tests.service.conftest import BOTH_DATABASES
from tests.service.scoring.conftest import ACTOR, Place

ANSWER = {"adhd_probability": 0.4, "interval_low": 0.2, "interval_high": 0.6, "decision": "control"}


def begin_shadow(place: Place) -> ShadowRow:
    with place.sessions.begin() as session:
        version = place.version(session, place.challenger)
        return registry.begin_shadow(session, place.storage, version, actor=ACTOR, reason="to see")


def begin_rescore(place: Place, *, version: str | None = None, **extent: object) -> RescoreRow:
    with place.sessions.begin() as session:
        found = place.version(session, version or place.challenger)
        asked = Extent(**extent)  # type: ignore[arg-type]
        return scoring.begin_rescore(session, place.storage, found, asked, actor=ACTOR, reason="why")


def advance(place: Place, batch: RescoreRow) -> list[str]:
    with place.sessions.begin() as session:
        return scoring.advance_rescore(session, batch.id)


def queue_shadow(place: Place, prediction_id: str) -> str | None:
    with place.sessions.begin() as session:
        return scoring.queue_shadow_score(session, prediction_id)


def work(place: Place, score_id: str) -> bool:
    """Claim a score and end it well."""
    with place.sessions.begin() as session:
        if jobs.claim(session, ScoreRow, score_id, owner="w#1", lease_s=60) is None:
            return False
        return jobs.succeed(session, ScoreRow, score_id, owner="w#1", values=ANSWER)


def states(session: Session) -> dict[str, int]:
    counted = session.execute(select(ScoreRow.state, func.count()).group_by(ScoreRow.state))
    return {str(state): number for state, number in counted}


def batch_of(place: Place, batch: RescoreRow) -> RescoreRow:
    with place.sessions() as session:
        return scoring.require_rescore(session, batch.id)


def test_without_a_shadow_an_answer_queues_nothing(place: Place) -> None:
    assert queue_shadow(place, place.answer()) is None


def test_an_answer_queues_one_score_by_the_shadow(place: Place) -> None:
    begin_shadow(place)
    prediction_id = place.answer()
    score_id = queue_shadow(place, prediction_id)
    assert score_id is not None
    assert queue_shadow(place, prediction_id) is None
    with place.sessions() as session:
        score = session.get_one(ScoreRow, score_id)
        prediction = session.get_one(PredictionRow, prediction_id)
        assert (score.prediction_id, score.scan_id) == (prediction_id, prediction.scan_id)
        assert (score.model_version_id, score.purpose) == (place.challenger, "shadow")
        assert score.organisation_id == prediction.organisation_id


def test_what_has_no_answer_or_was_answered_by_the_shadow_itself_is_not_scored(place: Place) -> None:
    begin_shadow(place)
    prediction_id, own = place.answer(), place.answer()
    with place.sessions.begin() as session:
        session.get_one(PredictionRow, prediction_id).state = PredictionState.FAILED
        session.get_one(PredictionRow, own).model_version_id = place.challenger
    assert queue_shadow(place, prediction_id) is None
    assert queue_shadow(place, own) is None


def test_an_answer_that_a_stopped_worker_left_behind_is_found_and_an_old_one_is_not(place: Place) -> None:
    before = place.answer(ago_s=30)
    begin_shadow(place)
    left = place.answer()
    with place.sessions.begin() as session:
        queued = scoring.queue_missed_shadow_scores(session)
        assert [session.get_one(ScoreRow, id_).prediction_id for id_ in queued] == [left]
        assert before != left
    with place.sessions.begin() as session:
        assert scoring.queue_missed_shadow_scores(session) == []


@BOTH_DATABASES
def test_the_end_of_shadow_mode_cancels_what_waits_and_what_runs_is_not_stored(place: Place) -> None:
    begin_shadow(place)
    waiting, running, done = (queue_shadow(place, place.answer()) for _ in range(3))
    assert waiting
    assert running
    assert done
    assert work(place, done)
    with place.sessions.begin() as session:
        jobs.claim(session, ScoreRow, running, owner="w#1", lease_s=60)
        registry.end_shadow(session, place.version(session, place.challenger), actor=ACTOR)
    # Before anybody has swept: nothing begins, and nothing is stored.
    with place.sessions.begin() as session:
        assert jobs.claim(session, ScoreRow, waiting, owner="w#2", lease_s=60) is None
        assert not jobs.succeed(session, ScoreRow, running, owner="w#1", values=ANSWER)
    with place.sessions.begin() as session:
        assert scoring.close_unwanted(session) == 1
        assert session.get_one(ScoreRow, running).cancel_requested
    with place.sessions.begin() as session:
        assert jobs.stop_cancelled(session, ScoreRow, running, owner="w#1")
        assert states(session) == {"cancelled": 2, "succeeded": 1}


@BOTH_DATABASES
def test_a_batch_queues_a_few_at_a_time_newest_first_and_finishes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "AHEAD", 4)
    elsewhere = place.organisation("Elsewhere")
    answered = [place.answer(ago_s=100 + 10 * turn) for turn in range(6)]
    answered.append(place.answer(ago_s=500, organisation_id=elsewhere))
    batch = begin_rescore(place)
    assert batch.n_asked == 7
    waiting = advance(place, batch)
    assert len(waiting) == 4
    assert advance(place, batch) == []
    scored: list[str] = []
    lengths = []
    while waiting:
        assert batch_of(place, batch).state == "running"
        with place.sessions() as session:
            scored.append(session.get_one(ScoreRow, waiting[0]).prediction_id)
        assert work(place, waiting.pop(0))
        waiting += advance(place, batch)
        lengths.append(len(waiting))
    # Filled up again when half of them are done.
    assert lengths == [3, 4, 3, 3, 2, 1, 0]
    assert scored == answered
    ended = batch_of(place, batch)
    assert (ended.state, ended.n_queued) == ("finished", 7)
    assert ended.ended_at is not None
    with place.sessions() as session:
        standing = scoring.standings(session, rescore_ids=[batch.id])[batch.id]
        assert (standing.by_state["succeeded"], standing.ended) == (7, 7)
        foreign = session.scalars(select(ScoreRow).where(ScoreRow.prediction_id == answered[-1])).one()
        assert foreign.organisation_id == elsewhere


def test_an_extent_is_a_time_and_the_newest_of_it(place: Place) -> None:
    old, middle, new = (place.answer(ago_s=ago) for ago in (300, 200, 100))
    with place.sessions() as session:
        since = session.scalar(select(utc_now(-250)))
        until = session.scalar(select(utc_now(-150)))
        assert scoring.count_answered(session, Extent()) == 3
        assert scoring.count_answered(session, Extent(since=since)) == 2
        assert scoring.count_answered(session, Extent(since=since, until=until)) == 1
        assert scoring.count_answered(session, Extent(limit=2)) == 2
    queued = advance(place, begin_rescore(place, limit=2))
    with place.sessions() as session:
        assert [session.get_one(ScoreRow, id_).prediction_id for id_ in queued] == [new, middle]
    assert old


def test_a_batch_is_of_one_version_and_has_something_to_do(place: Place) -> None:
    with pytest.raises(NothingToRescoreError):
        begin_rescore(place)
    place.answer(ago_s=10)
    running = begin_rescore(place)
    with pytest.raises(RescoreRunningError) as refused:
        begin_rescore(place)
    assert refused.value.found == running.id
    # The one that answers may be asked what it says today.
    begin_rescore(place, version=place.champion)


@BOTH_DATABASES
def test_a_cancelled_batch_begins_nothing_more(place: Place) -> None:
    for _ in range(3):
        place.answer(ago_s=10)
    batch = begin_rescore(place)
    first, *_others = advance(place, batch)
    assert work(place, first)
    with place.sessions.begin() as session:
        found = scoring.require_rescore(session, batch.id)
        assert scoring.cancel_rescore(session, found, actor=ACTOR).state == "cancelled"
        # Again changes nothing.
        assert scoring.cancel_rescore(session, found, actor=ACTOR).state == "cancelled"
    assert advance(place, batch) == []
    with place.sessions.begin() as session:
        assert scoring.close_unwanted(session) == 2
        assert states(session) == {"cancelled": 2, "succeeded": 1}


def test_a_finished_batch_cannot_be_cancelled(place: Place) -> None:
    place.answer(ago_s=10)
    batch = begin_rescore(place)
    [score_id] = advance(place, batch)
    assert work(place, score_id)
    assert advance(place, batch) == []
    with place.sessions() as session, pytest.raises(RescoreOverError):
        scoring.cancel_rescore(session, scoring.require_rescore(session, batch.id), actor=ACTOR)


def test_failed_scores_are_counted_by_what_was_wrong(place: Place) -> None:
    for _ in range(3):
        place.answer(ago_s=10)
    batch = begin_rescore(place)
    for score_id, code in zip(advance(place, batch), ("a", "a", "b"), strict=True):
        with place.sessions.begin() as session:
            jobs.claim(session, ScoreRow, score_id, owner="w#1", lease_s=60)
            jobs.fail(session, ScoreRow, score_id, owner="w#1", code=code, message="-")
    with place.sessions() as session:
        standing = scoring.standings(session, rescore_ids=[batch.id])[batch.id]
    assert (standing.by_state["failed"], standing.failed_by_code) == (3, {"a": 2, "b": 1})


def test_a_score_whose_worker_is_lost_is_queued_again(place: Place) -> None:
    begin_shadow(place)
    score_id = queue_shadow(place, place.answer())
    assert score_id is not None
    with place.sessions.begin() as session:
        jobs.claim(session, ScoreRow, score_id, owner="w#1", lease_s=60)
        session.execute(update(ScoreRow).values(lease_expires_at=utc_now(-1)))
    with place.sessions.begin() as session:
        assert jobs.sweep(session, ScoreRow, republish_s=30).requeued == (score_id,)
    assert work(place, score_id)


def test_scores_go_with_their_scan_and_one_that_runs_when_it_has_ended(place: Place) -> None:
    begin_shadow(place)
    prediction_id = place.answer()
    score_id = queue_shadow(place, prediction_id)
    assert score_id is not None
    batch = begin_rescore(place)
    with place.sessions.begin() as session:
        jobs.claim(session, ScoreRow, score_id, owner="w#1", lease_s=60)
    assert len(advance(place, batch)) == 1
    with place.sessions.begin() as session:
        scan_id = session.get_one(PredictionRow, prediction_id).scan_id
        assert mark_deleted(session, scan_id, actor=ACTOR, reason=Reason.REQUEST)
    with place.sessions.begin() as session:
        [left] = session.scalars(select(ScoreRow)).all()
        assert (left.id, left.cancel_requested) == (score_id, True)
        assert not jobs.succeed(session, ScoreRow, score_id, owner="w#1", values=ANSWER)
        assert session.get_one(ScanRow, scan_id).deleted_at is not None
    # A worker still reads the file.
    assert not remove_file(place.sessions, place.storage, scan_id, actor=ACTOR)
    with place.sessions.begin() as session:
        assert jobs.stop_cancelled(session, ScoreRow, score_id, owner="w#1")
    assert remove_file(place.sessions, place.storage, scan_id, actor=ACTOR)
    with place.sessions() as session:
        assert session.scalars(select(ScoreRow)).all() == []
    # The batch lacks a scan now, and comes to its end all the same.
    assert advance(place, batch) == []
    assert batch_of(place, batch).state == "finished"
