"""The chores of the thread beside the sweeper: each at once, then at its pace, whatever the others do."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from structlog.testing import capture_logs

from service import jobs
from service.audit.verification import parse_anchor, verify
from service.db.base import utc_now
from service.db.rows import AuditEventRow, DriftAlarmRow, PredictionRow, ScanRow
from service.drift import evaluating
from service.identity.actor import Actor
from service.settings import Settings
from service.storage import Storage, open_storage
from service.worker import housekeeping
from service.worker.housekeeping import Housekeeping
from tests.service.drift.drift_rows import add_answers, add_reference
from tests.service.drift.people import draw


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", scan_retention_days=30)


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return open_storage(settings)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "LOOK_S", 0.02)


@contextmanager
def keeping(settings: Settings, sessions: sessionmaker[Session], storage: Storage) -> Iterator[None]:
    running = Housekeeping(settings, sessions=sessions, storage=storage)
    running.start()
    yield
    running.stop()


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_storage_is_tidied_at_the_start_and_then_at_its_own_pace(
    settings: Settings,
    sessions: sessionmaker[Session],
    storage: Storage,
    scan_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(housekeeping, "TIDY_S", 2)
    root = settings.data_dir / "storage"
    unpacked = settings.scratch_dir / "restnet-left" / "000001.dcm"
    left = [root / "quarantine" / "left.part", root / "scans" / "0f" / "orphan.nii", unpacked]

    def leave() -> None:
        for path in left:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (0, 0))
        os.utime(unpacked.parent, (0, 0))

    leave()
    with keeping(settings, sessions, storage):
        wait(lambda: not any(path.exists() for path in left))
        leave()
        # Some looks later the storage's turn has not come yet.
        time.sleep(0.1)
        assert all(path.exists() for path in left)
        wait(lambda: not any(path.exists() for path in left))


def test_a_scan_goes_when_its_time_is_over_and_its_worker_has_stopped(
    settings: Settings,
    sessions: sessionmaker[Session],
    storage: Storage,
    scan_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(housekeeping, "REMOVAL_S", 0.05)
    with storage.receive(max_bytes=10) as upload:
        upload.write(b"x")
        storage.promote(upload, "scans/a.nii")
    with sessions.begin() as session:
        prediction_id = jobs.enqueue(session, scan_id=scan_id).id
        jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60)
        session.execute(update(ScanRow).values(created_at=utc_now(-31 * 86400)))

    def read() -> ScanRow:
        with sessions() as session:
            return session.get_one(ScanRow, scan_id)

    with keeping(settings, sessions, storage):
        wait(lambda: read().deleted_at is not None)
        time.sleep(0.3)
        assert read().files_removed_at is None, "a worker reads it"
        with sessions.begin() as session:
            assert jobs.stop_cancelled(session, PredictionRow, prediction_id, owner="w#1")
        wait(lambda: read().files_removed_at is not None)
    assert list(storage.stored("scans")) == []
    with sessions() as session:
        verify(session)
        told = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
    assert [(event.actor, event.action) for event in told] == [
        ("sweeper", "prediction.cancel"),
        ("sweeper", "scan.delete"),
        ("sweeper", "scan.files_removed"),
    ]


def test_the_head_of_the_audit_is_logged_as_an_anchor_once_a_change(
    settings: Settings,
    sessions: sessionmaker[Session],
    storage: Storage,
    scan_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from service.audit import record
    from service.identity.actor import Actor

    monkeypatch.setattr(housekeeping, "HEAD_S", 0.02)

    def anchors() -> list[str]:
        return [entry["anchor"] for entry in entries if entry["event"] == "audit_head"]

    with capture_logs() as entries, keeping(settings, sessions, storage):
        wait(lambda: len(anchors()) == 1)
        time.sleep(0.2)
        with sessions.begin() as session:
            record(session, actor=Actor("user:1", "t"), action="a.b", subject_kind="k", subject_id="1")
        wait(lambda: len(anchors()) == 2)
        time.sleep(0.2)
    assert [parse_anchor(anchor).sequence for anchor in anchors()] == [0, 1]
    with sessions() as session:
        assert verify(session, anchors=[parse_anchor(anchor) for anchor in anchors()]).sequence == 1


@pytest.mark.parametrize("broken", ["read_head", "mark_expired", "remove_files", "remove_orphans"])
def test_a_chore_that_fails_keeps_none_of_the_others_from_their_turn(
    settings: Settings,
    sessions: sessionmaker[Session],
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    calls: dict[str, int] = {}

    def fault(*_args: object, **_options: object) -> None:
        calls["broken"] = calls.get("broken", 0) + 1
        message = "a fault of ours"
        raise KeyError(message)

    for pace in ("HEAD_S", "RETENTION_S", "REMOVAL_S", "TIDY_S"):
        monkeypatch.setattr(housekeeping, pace, 0.0)
    for name in ("read_head", "mark_expired", "remove_files", "remove_orphans"):
        done = getattr(housekeeping, name)

        def counted(
            *args: object, _done: Callable[..., object] = done, _name: str = name, **options: object
        ) -> object:
            calls[_name] = calls.get(_name, 0) + 1
            return _done(*args, **options)

        monkeypatch.setattr(housekeeping, name, fault if name == broken else counted)
    with capture_logs() as entries, keeping(settings, sessions, storage):
        wait(lambda: len(calls) == 4 and min(calls.values()) >= 2)
    assert any(entry["log_level"] == "error" for entry in entries)


def test_a_model_that_cannot_be_looked_at_keeps_no_other_from_it_and_is_left_for_a_while(
    settings: Settings,
    sessions: sessionmaker[Session],
    storage: Storage,
    model_version_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []
    whole = evaluating.evaluate_version

    def look(of: sessionmaker[Session], version_id: str, *, actor: Actor) -> object:
        looked.append(version_id)
        if version_id == "broken":
            message = "a fault of ours"
            raise KeyError(message)
        return whole(of, version_id, actor=actor)

    monkeypatch.setattr(housekeeping, "DRIFT_S", 0.0)
    monkeypatch.setattr(housekeeping, "versions_due", lambda *_args, **_more: ["broken", model_version_id])
    monkeypatch.setattr(evaluating, "evaluate_version", look)
    with capture_logs() as entries, keeping(settings, sessions, storage):
        wait(lambda: looked.count(model_version_id) >= 2)
    assert looked.count("broken") == 1
    assert [entry["event"] for entry in entries if entry["log_level"] == "error"] == ["drift_not_evaluated"]


@pytest.mark.enable_socket
def test_drift_is_looked_at_and_an_alarm_is_told(
    tmp_path: Path, sessions: sessionmaker[Session], storage: Storage, model_version_id: str
) -> None:
    with sessions.begin() as session:
        add_reference(session, model_version_id)
        add_answers(session, model_version_id, draw(np.random.default_rng(1), 30, tr_s=1.2))
    # Nobody listens there: the log tells, and every other chore goes on.
    settings = Settings(data_dir=tmp_path / "data", drift_webhook_url="http://127.0.0.1:1/")
    with capture_logs() as entries, keeping(settings, sessions, storage):
        wait(lambda: any(entry["event"] == "drift_webhook_failed" for entry in entries))
    with sessions() as session:
        [event] = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "drift.alarm"))
        [alarm] = session.scalars(select(DriftAlarmRow))
    assert (event.actor, event.subject_id) == ("sweeper", alarm.id)
    assert (alarm.notified_at, alarm.notify_attempts) == (None, 1)
