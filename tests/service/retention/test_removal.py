"""The second and third step: wherever they stop, they go on, and the proof is told once."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from service import jobs
from service.db.rows import NormalisedScanRow, PredictionRow, ScanRow
from service.retention import removal, remove_file, remove_files
from service.storage import NORMALISED_FIGURES, StorageKeyError, normalised_figure_key, normalised_key
from tests.service.conftest import BOTH_DATABASES
from tests.service.retention.conftest import SOMEBODY, Place

pytestmark = BOTH_DATABASES


def remove(place: Place, scan_id: str) -> bool:
    return remove_file(place.sessions, place.storage, scan_id, actor=SOMEBODY)


def a_round(place: Place, **options: object) -> removal.Round:
    return remove_files(place.sessions, place.storage, actor=SOMEBODY, **options)


def is_proved(place: Place, scan_id: str) -> bool:
    proofs = [event for event in place.told("scan.files_removed") if event.subject_id == scan_id]
    assert len(proofs) <= 1
    removed = place.scan(scan_id).files_removed_at is not None
    assert bool(proofs) == removed, "the row and the audit say different things"
    return removed


def test_the_file_goes_and_the_audit_says_what_when_and_why(place: Place) -> None:
    scan_id, other = place.add(), place.add()
    place.mark(scan_id)
    key = place.scan(scan_id).storage_key
    assert a_round(place) == removal.Round(removed=1, failed=0, last_id="")
    assert place.keys() == {place.scan(other).storage_key}
    [proof] = place.told("scan.files_removed")
    assert (proof.actor, proof.subject_id) == ("user:1", scan_id)
    assert proof.details == {
        "sha256": "a" * 64,
        "size_bytes": 4,
        "storage_key": key,
        "reason": "request",
    }
    assert abs((proof.at - place.scan(scan_id).files_removed_at).total_seconds()) < 60
    assert a_round(place) == removal.Round(removed=0, failed=0, last_id="")


def test_a_scan_that_is_not_marked_keeps_its_file(place: Place) -> None:
    scan_id = place.add()
    assert not remove(place, scan_id)
    assert place.keys() == {place.scan(scan_id).storage_key}


def test_a_file_stays_until_its_worker_has_ended_however_that_ends(place: Place) -> None:
    scan_id = place.add()
    prediction_id = place.claim(scan_id)
    place.mark(scan_id)
    assert not remove(place, scan_id)
    assert a_round(place) == removal.Round(removed=0, failed=0, last_id="")
    assert len(place.keys()) == 1
    with place.sessions.begin() as session:
        # It failed at the same moment, and says more than may stay.
        jobs.fail(session, PredictionRow, prediction_id, owner="w#1", code="c", message="Jane Doe")
    assert remove(place, scan_id)
    assert place.prediction(scan_id).error_message is None
    assert is_proved(place, scan_id)


@pytest.mark.parametrize("step", ["delete", "open_local"])
def test_a_storage_that_is_away_leaves_the_step_to_the_next_round(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def away(_key: str) -> None:
        raise ConnectionError

    scan_id = place.add()
    place.mark(scan_id)
    with monkeypatch.context() as patched:
        patched.setattr(place.storage, step, away)
        assert not remove(place, scan_id)
        assert not is_proved(place, scan_id)
    assert remove(place, scan_id)
    assert is_proved(place, scan_id)


def test_a_storage_that_only_says_it_removed_is_not_believed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_id = place.add()
    place.mark(scan_id)
    with monkeypatch.context() as patched:
        patched.setattr(place.storage, "delete", lambda _key: None)
        assert not remove(place, scan_id)
    assert not is_proved(place, scan_id)


def test_a_database_that_goes_after_the_file_leaves_the_proof_to_the_next_round(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object, **_options: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("gone"))

    scan_id = place.add()
    place.mark(scan_id)
    with monkeypatch.context() as patched:
        patched.setattr(removal, "record", away)
        assert not remove(place, scan_id)
        assert place.keys() == set()
        assert not is_proved(place, scan_id), "the row must not say what the audit does not"
    assert remove(place, scan_id)
    assert is_proved(place, scan_id)


def test_scans_that_fail_do_not_keep_the_others_from_their_turn(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_ids = sorted(place.add() for _ in range(8))
    stuck = {place.scan(scan_id).storage_key for scan_id in scan_ids[:4]}
    for scan_id in scan_ids:
        place.mark(scan_id)
    delete = place.storage.delete

    def refuse(key: str) -> None:
        if key in stuck:
            raise PermissionError
        delete(key)

    monkeypatch.setattr(place.storage, "delete", refuse)
    first = a_round(place, limit=5)
    assert first == removal.Round(removed=0, failed=3, last_id=scan_ids[2]), "it gives up early"
    second = a_round(place, limit=5, after=first.last_id)
    assert (second.removed, second.failed) == (4, 1)
    monkeypatch.undo()
    third = a_round(place, limit=5, after=second.last_id)
    fourth = a_round(place, limit=5, after=third.last_id)
    assert third.removed + fourth.removed == 4
    assert all(is_proved(place, scan_id) for scan_id in scan_ids)


def test_a_key_that_storage_cannot_hold_is_logged_and_passed_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str) -> None:
        raise StorageKeyError(key)

    scan_id = place.add()
    place.mark(scan_id)
    monkeypatch.setattr(place.storage, "delete", refuse)
    assert a_round(place).failed == 1


def test_processes_that_remove_at_once_tell_one_proof(place: Place) -> None:
    scan_ids = [place.add() for _ in range(6)]
    for scan_id in scan_ids:
        place.mark(scan_id)
    threads = [threading.Thread(target=a_round, args=(place,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert all(is_proved(place, scan_id) for scan_id in scan_ids)


KILLED = """
import os, signal, sys
from service.db.engine import make_engine, session_factory
from service.identity.actor import Actor
from service.retention import Reason, mark_deleted, marking, removal, remove_file
from service.storage import FolderStorage

url, folder, scan_id, step = sys.argv[1:]
storage, sessions = FolderStorage(__import__("pathlib").Path(folder)), session_factory(make_engine(url))
me = Actor("user:1", "test")

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

if step == "while_marking":
    marking.record = die
if step == "before_the_file":
    storage.delete = die
if step == "after_the_file":
    storage.open_local = die
if step == "before_the_proof":
    removal.record = die
with sessions.begin() as session:
    mark_deleted(session, scan_id, actor=me, reason=Reason.REQUEST)
remove_file(sessions, storage, scan_id, actor=me)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "is_marked", "is_there"),
    [
        ("while_marking", False, True),
        ("before_the_file", True, True),
        ("after_the_file", True, False),
        ("before_the_proof", True, False),
    ],
)
def test_a_process_that_is_killed_between_two_steps_loses_nothing(
    place: Place, database_url: str, tmp_path: Path, step: str, is_marked: bool, is_there: bool
) -> None:
    scan_id = place.add()
    command = [sys.executable, "-c", KILLED, database_url, str(tmp_path / "storage"), scan_id, step]
    repository = Path(__file__).resolve().parents[3]
    assert subprocess.run(command, cwd=repository, env=os.environ, check=False).returncode == -signal.SIGKILL
    scan: ScanRow = place.scan(scan_id)
    assert (scan.deleted_at is not None, len(place.keys()) == 1) == (is_marked, is_there)
    assert (scan.subject_id is None) == is_marked, "all of the first step, or none of it"
    assert not is_proved(place, scan_id)
    if not is_marked:
        place.mark(scan_id)
    assert a_round(place).removed == 1
    assert place.keys() == set()
    assert is_proved(place, scan_id)


def test_the_scan_in_template_space_goes_with_the_scan(place: Place) -> None:
    scan_id, other = place.add(), place.add()
    for each in (scan_id, other):
        with place.storage.receive(max_bytes=10) as upload:
            upload.write(b"normal")
            place.storage.promote(upload, normalised_key(each, 1))
        for name in NORMALISED_FIGURES:
            with place.storage.receive(max_bytes=10) as upload:
                upload.write(b"drawn")
                place.storage.promote(upload, normalised_figure_key(each, 1, name))
        with place.sessions.begin() as session:
            # Its worker was stopped between the file and the row: the file is found all the same.
            jobs.keep_known(session, each, {"motion": None, "registration": None}, version=1)
    assert place.mark(scan_id)
    with place.sessions() as session:
        assert session.get_one(NormalisedScanRow, scan_id).known is None
    assert remove_file(place.sessions, place.storage, scan_id, actor=SOMEBODY)
    assert {file.key for file in place.storage.stored("normalised")} == {
        normalised_key(other, 1),
        *(normalised_figure_key(other, 1, name) for name in NORMALISED_FIGURES),
    }
    with place.sessions() as session:
        assert session.get(NormalisedScanRow, scan_id) is None
        assert session.get(NormalisedScanRow, other) is not None
