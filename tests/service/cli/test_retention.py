"""Retention from the command line: counted before it is done, and done to the end."""

import json

import pytest
from sqlalchemy import select, update

from service.cli.database import load_settings
from service.db.base import utc_now
from service.db.engine import make_engine, session_factory
from service.db.migrate import upgrade
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, ScanRow
from service.retention import expiry, removal
from service.storage import FolderStorage, open_storage


@pytest.fixture
def settings(monkeypatch, tmp_path):
    monkeypatch.setenv("RESTNET_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RESTNET_SCAN_RETENTION_DAYS", "30")
    monkeypatch.setattr(expiry, "ROUND", 2)
    settings = load_settings()
    upgrade(settings.database_url.get_secret_value())
    return settings


@pytest.fixture
def sessions(settings):
    engine = make_engine(settings.database_url.get_secret_value())
    yield session_factory(engine)
    engine.dispose()


@pytest.fixture
def scans(settings, sessions):
    """Three scans of 40 days and one of today, with their files."""
    storage = open_storage(settings)
    for number in range(4):
        with storage.receive(max_bytes=10) as upload:
            upload.write(b"scan")
            storage.promote(upload, f"scans/{number}.nii")
    with sessions.begin() as session:
        session.add_all(
            ScanRow(
                id=f"s{number}",
                sha256="a" * 64,
                size_bytes=4,
                display_name="a.nii",
                storage_key=f"scans/{number}.nii",
                organisation_id=DEFAULT_ORGANISATION_ID,
            )
            for number in range(4)
        )
        session.flush()
        old = update(ScanRow).where(ScanRow.id != "s3")
        session.execute(old.values(created_at=utc_now(-40 * 86400)))
    return storage


def keys(storage):
    return {file.key for file in storage.stored("scans")}


def test_a_dry_run_counts_and_touches_nothing(scans, sessions, restnet, restnet_json):
    status, answer = restnet_json("retention", "run", "--dry-run")
    assert status == 0
    assert answer == {"scans": 3, "size_bytes": 12, "marked": 0, "idempotency_keys": 0}
    _, out, _ = restnet("retention", "run", "--dry-run")
    assert "3 scans (12 bytes) are to be removed" in out
    assert len(keys(scans)) == 4
    with sessions() as session:
        assert session.scalars(select(AuditEventRow)).all() == []


def test_a_run_goes_on_until_all_is_removed(scans, sessions, restnet, restnet_json):
    status, answer = restnet_json("retention", "run")
    assert (status, answer) == (0, {"marked": 3, "removed": 3, "failed": 0, "idempotency_keys": 0})
    assert keys(scans) == {"scans/3.nii"}
    with sessions() as session:
        told = session.scalars(select(AuditEventRow).where(AuditEventRow.action == "scan.files_removed"))
        assert {(event.actor, event.details["reason"]) for event in told} == {("command-line", "retention")}
    _, out, _ = restnet("retention", "run")
    assert out.startswith("0 scans were marked, the files of 0 were removed")


def test_what_storage_does_not_give_up_is_told_and_left(scans, sessions, restnet, monkeypatch):
    def away(_storage, _key):
        raise ConnectionError

    monkeypatch.setattr(FolderStorage, "delete", away)
    status, out, err = restnet("retention", "run")
    assert status == 1
    assert "3 scans were marked, the files of 0 were removed" in out
    assert "3 files could not be removed now" in err


def test_one_file_that_stays_keeps_no_other(scans, sessions, restnet, monkeypatch):
    delete = FolderStorage.delete

    def refuse(storage, key):
        if key == "scans/0.nii":
            raise PermissionError
        delete(storage, key)

    monkeypatch.setattr(removal, "ROUND", 1)
    monkeypatch.setattr(FolderStorage, "delete", refuse)
    status, out, err = restnet("retention", "run", "--json")
    answer = json.loads(out)
    assert (status, answer["removed"], answer["failed"]) == (1, 2, 1)
    assert "scan_not_removed" in err
    assert keys(scans) == {"scans/0.nii", "scans/3.nii"}


def test_scans_are_kept_where_no_time_is_set(scans, restnet, monkeypatch):
    monkeypatch.delenv("RESTNET_SCAN_RETENTION_DAYS")
    _, out, _ = restnet("retention", "run", "--dry-run")
    assert "RESTNET_SCAN_RETENTION_DAYS is 0: scans are kept" in out
    restnet("retention", "run")
    assert len(keys(scans)) == 4
