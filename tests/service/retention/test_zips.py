"""Zips leave storage before their scans do, and wherever that stops it goes on."""

import pytest

from service import jobs
from service.db.base import utc_now
from service.db.rows import PredictionRow
from service.jobs import TakenFile
from service.retention import give_up_unwanted, remove_file, remove_leftover, remove_leftovers
from service.retention.zips import UNWANTED_S
from service.storage import StorageUnavailableError, run_key
from tests.service.conftest import BOTH_DATABASES
from tests.service.retention.conftest import SOMEBODY, Place

pytestmark = BOTH_DATABASES


def take(place: Place, scan_id: str) -> bool:
    """Let a run stand in a zip's place, as a worker does, which is stopped before it removes the zip."""
    file = TakenFile(storage_key=run_key(scan_id), sha256="c" * 64, facts={"converter": "x"})
    place.put(file.storage_key)
    with place.sessions.begin() as session:
        return jobs.keep_taken(session, scan_id, file)


def end(place: Place, scan_id: str, state: str, *, ago_s: float) -> None:
    with place.sessions.begin() as session:
        row = session.get_one(PredictionRow, place.prediction(scan_id).id)
        row.state, row.finished_at = state, utc_now(-ago_s)


def test_a_run_takes_its_zips_place_and_the_zip_goes(place: Place) -> None:
    scan_id = place.add_zip()
    packed = place.scan(scan_id).storage_key
    assert take(place, scan_id)
    row = place.scan(scan_id)
    assert (row.packed, row.leftover_key, row.storage_key) == (False, packed, run_key(scan_id))
    assert (row.sha256, row.stored_sha256, row.taken) == ("a" * 64, "c" * 64, {"converter": "x"})
    assert place.keys() == {packed, run_key(scan_id)}
    # Once: a second worker that was as far finds that it was done.
    assert not take(place, scan_id)
    assert remove_leftovers(place.sessions, place.storage) == 1
    assert place.keys() == {run_key(scan_id)}
    assert place.scan(scan_id).leftover_key is None
    assert remove_leftovers(place.sessions, place.storage) == 0


def test_a_zip_that_cannot_be_removed_now_is_removed_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_id = place.add_zip()
    take(place, scan_id)

    def away(_key: str) -> None:
        raise StorageUnavailableError(found="nothing")

    with monkeypatch.context() as patched:
        patched.setattr(place.storage, "delete", away)
        assert not remove_leftover(place.sessions, place.storage, scan_id)
    assert len(place.keys()) == 2
    assert remove_leftover(place.sessions, place.storage, scan_id)
    assert place.keys() == {run_key(scan_id)}


def test_a_zip_is_given_up_a_day_after_its_prediction_ended(place: Place) -> None:
    waiting, lately, long_ago, other = place.add_zip(), place.add_zip(), place.add_zip(), place.add()
    end(place, lately, "cancelled", ago_s=UNWANTED_S - 60)
    end(place, long_ago, "failed", ago_s=UNWANTED_S + 60)
    end(place, other, "failed", ago_s=UNWANTED_S + 60)
    assert give_up_unwanted(place.sessions) == 1
    assert remove_leftovers(place.sessions, place.storage) == 1
    assert place.keys() == {place.scan(one).storage_key for one in (waiting, lately, other)}
    row = place.scan(long_ago)
    assert (row.packed, row.given_up_at is None, row.sha256) == (False, False, "a" * 64)
    with place.sessions.begin() as session, pytest.raises(jobs.ScanGivenUpError):
        jobs.retry(session, place.prediction(long_ago).id, actor=SOMEBODY)
    with place.sessions.begin() as session:
        assert jobs.retry(session, place.prediction(lately).id, actor=SOMEBODY).state == "queued"


@pytest.mark.parametrize("stopped", ["before the row", "before the removal", "nowhere", "given up"])
def test_nothing_is_left_of_a_deleted_scan(place: Place, stopped: str) -> None:
    scan_id = place.add_zip()
    if stopped == "before the row":
        place.put(run_key(scan_id))
    elif stopped == "given up":
        with place.sessions.begin() as session:
            assert jobs.give_up_zip(session, scan_id)
    else:
        take(place, scan_id)
        if stopped == "nowhere":
            remove_leftovers(place.sessions, place.storage)
    assert place.mark(scan_id)
    # Who comes too late changes nothing.
    with place.sessions.begin() as session:
        assert not jobs.give_up_zip(session, scan_id)
    assert place.scan(scan_id).taken is None
    assert remove_file(place.sessions, place.storage, scan_id, actor=SOMEBODY)
    assert place.keys() == set()
    row = place.scan(scan_id)
    assert (row.packed, row.leftover_key, row.sha256) == (False, None, "a" * 64)
