"""The first step: out of sight, and nothing left of the person, in one transaction."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service import jobs
from service.db.rows import IdempotencyRow, ModelVersionRow, PredictionRow, ResultRow, ReviewRow
from service.retention import Reason, mark_deleted, marking
from service.reviews import Verdict, hand_over, review_prediction
from tests.service.conftest import BOTH_DATABASES
from tests.service.retention.conftest import SOMEBODY, Place

pytestmark = BOTH_DATABASES

RESULT = {
    "timing_ms": {},
    "adhd_probability": 0.5,
    "interval": {"low": 0.4, "high": 0.6},
    "decision": "uncertain",
}


def finish(place: Place, prediction_id: str) -> bool:
    with place.sessions.begin() as session:
        model = session.scalars(select(ModelVersionRow.id)).one()
        return jobs.finish(session, prediction_id, owner="w#1", model_version_id=model, result=RESULT)


def rows(place: Place, table: type) -> int:
    with place.sessions() as session:
        return session.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.mark.parametrize("reason", Reason)
def test_nothing_is_left_of_the_person_but_the_hash_of_the_file(
    place: Place, model_version_id: str, reason: Reason
) -> None:
    scan_id = place.add()
    assert finish(place, place.claim(scan_id))
    place.review(scan_id)
    assert place.mark(scan_id, reason)
    scan = place.scan(scan_id)
    assert (scan.display_name, scan.sha256, scan.size_bytes) == ("deleted", "a" * 64, 4)
    assert {scan.subject_id, scan.age_years, scan.sex, scan.site, scan.header} == {None}
    assert (scan.deleted_at is not None, scan.deleted_because, scan.files_removed_at) == (
        True,
        reason.value,
        None,
    )
    assert [rows(place, table) for table in (ResultRow, ReviewRow, IdempotencyRow)] == [0, 0, 0]
    [event] = place.told("scan.delete")
    assert (event.actor, event.address, event.subject_id) == ("user:1", "192.0.2.7", scan_id)
    assert event.details == {
        "sha256": "a" * 64,
        "predictions": [place.prediction(scan_id).id],
        "reason": reason.value,
    }


def test_what_the_person_refused_is_left_on_their_other_scans_alone(place: Place) -> None:
    consented, silent, refused = (place.add() for _ in range(3))
    place.review(consented, training_consent=True)
    place.review(refused, training_consent=False)
    with place.sessions() as session:
        no = ReviewRow.training_consent.is_(False)
        refused_at = session.scalars(select(ReviewRow.created_at).where(no)).one()
    assert place.mark(refused)
    assert [place.scan(one).training_refused_at for one in (consented, silent, refused)] == [
        refused_at,
        None,
        None,
    ]
    assert place.mark(consented)
    assert place.scan(consented).training_refused_at is None
    kept_for = [event.details.get("refusal_kept_for") for event in place.told("scan.delete")]
    assert kept_for == [1, None]


def test_two_scans_of_one_person_can_be_deleted_at_one_moment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each hands what was refused to the other; whoever is second waits before it has written anything."""
    both = [place.add() for _ in range(2)]
    for one in both:
        place.review(one, training_consent=True)
    place.review(place.add(), training_consent=False)
    at_once = Barrier(2)

    def hand_over_at_once(*given: Any, **named: Any) -> int:
        with suppress(BrokenBarrierError):
            at_once.wait(timeout=1.0)
        return hand_over(*given, **named)

    monkeypatch.setattr(marking, "hand_over", hand_over_at_once)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(place.mark, both)) == [True, True]
    assert len(place.told("scan.delete")) == 2


def test_marking_again_changes_and_tells_nothing(place: Place) -> None:
    scan_id = place.add()
    assert place.mark(scan_id)
    first = place.scan(scan_id).deleted_at
    assert not place.mark(scan_id, Reason.RETENTION)
    assert not place.mark("00000000-0000-4000-8000-000000000000")
    scan = place.scan(scan_id)
    assert (scan.deleted_at, scan.deleted_because) == (first, "request")
    assert len(place.told("scan.delete")) == 1


def test_what_waits_is_cancelled_and_cannot_begin_again(place: Place) -> None:
    scan_id = place.add()
    place.mark(scan_id)
    prediction_id = place.prediction(scan_id).id
    assert place.prediction(scan_id).state == "cancelled"
    with place.sessions.begin() as session:
        assert jobs.queue_again(session, PredictionRow, prediction_id) is None
    assert [event.subject_id for event in place.told("prediction.cancel")] == [prediction_id]


def test_what_runs_is_asked_to_stop_and_can_store_nothing_any_more(
    place: Place, model_version_id: str
) -> None:
    scan_id = place.add()
    prediction_id = place.claim(scan_id)
    place.mark(scan_id)
    assert place.prediction(scan_id).cancel_requested
    assert not finish(place, prediction_id)
    with place.sessions.begin() as session:
        assert jobs.stop_cancelled(session, PredictionRow, prediction_id, owner="w#1")
    assert rows(place, ResultRow) == 0


def test_what_an_error_said_goes_too(place: Place) -> None:
    scan_id = place.add()
    prediction_id = place.claim(scan_id)
    with place.sessions.begin() as session:
        assert jobs.fail(
            session, PredictionRow, prediction_id, owner="w#1", code="c", message="m", details={"a": 1}
        )
    place.mark(scan_id)
    prediction = place.prediction(scan_id)
    assert (prediction.error_code, prediction.error_message, prediction.error_details) == ("c", None, None)


def accept(session: Session, prediction_id: str) -> None:
    review_prediction(
        session,
        prediction_id,
        actor=SOMEBODY,
        reviewed_by=None,
        verdict=Verdict.ACCEPTED,
        decision=None,
        reason=None,
        diagnosis=None,
    )


def test_a_review_that_is_written_meanwhile_goes_too(place: Place, model_version_id: str) -> None:
    scan_id = place.add()
    prediction_id = place.claim(scan_id)
    assert finish(place, prediction_id)
    with ThreadPoolExecutor(1) as elsewhere:
        with place.sessions.begin() as session:
            accept(session, prediction_id)
            marking = elsewhere.submit(place.mark, scan_id)
            time.sleep(0.3)
            assert not marking.done()
        assert marking.result(timeout=10)
    assert rows(place, ReviewRow) == 0


def test_a_review_that_comes_too_late_is_not_written(place: Place, model_version_id: str) -> None:
    scan_id = place.add()
    prediction_id = place.claim(scan_id)
    assert finish(place, prediction_id)

    def review() -> None:
        with place.sessions.begin() as session:
            accept(session, prediction_id)

    with ThreadPoolExecutor(1) as elsewhere:
        with place.sessions.begin() as session:
            assert mark_deleted(session, scan_id, actor=SOMEBODY, reason=Reason.REQUEST)
            reviewing = elsewhere.submit(review)
            time.sleep(0.3)
            assert not reviewing.done()
        with pytest.raises(jobs.PredictionNotFoundError):
            reviewing.result(timeout=10)
    assert rows(place, ReviewRow) == 0
    assert place.told("prediction.review") == []
