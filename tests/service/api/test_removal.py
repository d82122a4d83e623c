"""A deletion at somebody's wish: done when it returns, except for a file that is read or out of reach."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.api.access.principal import Principal
from service.api.actions.removal import delete_scan
from service.api.problems.refusals import ScanNotFoundError
from service.api.resources import Resources, open_resources
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, PredictionRow, ScanRow
from service.identity.actor import Actor
from service.identity.roles import Role
from service.settings import Settings
from service.storage import StorageUnavailableError
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

SOMEBODY = Principal(
    user_id="u",
    organisation_id=DEFAULT_ORGANISATION_ID,
    username="u",
    role=Role.ADMINISTRATOR,
    actor=Actor("user:u", "test"),
)


@pytest.fixture
def resources(tmp_path: Path, database_url: str) -> Iterator[Resources]:
    opened = open_resources(Settings(data_dir=tmp_path / "data", database_url=database_url))
    yield opened
    opened.engine.dispose()


@pytest.fixture
def prediction_id(sessions: sessionmaker[Session], scan_id: str, resources: Resources) -> str:
    with resources.storage.receive(max_bytes=10) as upload:
        upload.write(b"scan")
        resources.storage.promote(upload, "scans/a.nii")
    with sessions.begin() as session:
        return jobs.enqueue(session, scan_id=scan_id).id


def is_stored(resources: Resources) -> bool:
    return [file.key for file in resources.storage.stored("scans")] == ["scans/a.nii"]


def test_a_deletion_cancels_what_waits_and_happens_once(
    resources: Resources, sessions: sessionmaker[Session], scan_id: str, prediction_id: str
) -> None:
    delete_scan(resources, SOMEBODY, scan_id)
    with pytest.raises(ScanNotFoundError):
        delete_scan(resources, SOMEBODY, scan_id)
    with sessions() as session:
        assert session.get_one(PredictionRow, prediction_id).state == "cancelled"
        scan = session.get_one(ScanRow, scan_id)
        events = session.scalars(select(AuditEventRow.action).order_by(AuditEventRow.sequence)).all()
    assert (scan.display_name, scan.deleted_at is None, scan.files_removed_at is None) == (
        "deleted",
        False,
        False,
    )
    assert events == ["prediction.cancel", "scan.delete", "scan.files_removed"]
    assert not is_stored(resources)


def test_a_deletion_waits_for_a_claim_under_way_and_stops_it(
    resources: Resources, sessions: sessionmaker[Session], scan_id: str, prediction_id: str
) -> None:
    deletion = threading.Thread(target=delete_scan, args=(resources, SOMEBODY, scan_id))
    with sessions.begin() as session:
        assert jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60)
        deletion.start()
        deletion.join(timeout=0.3)
        assert deletion.is_alive(), "did not wait for the claim"
    deletion.join(timeout=15)
    with sessions() as session:
        prediction = session.get_one(PredictionRow, prediction_id)
        assert (prediction.state, prediction.cancel_requested) == ("preprocessing", True)
        assert session.get_one(ScanRow, scan_id).deleted_at is not None
    assert is_stored(resources), "a worker reads it"


def test_a_file_that_cannot_be_removed_now_does_not_undo_the_deletion(
    resources: Resources,
    sessions: sessionmaker[Session],
    scan_id: str,
    prediction_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_key: str) -> None:
        raise StorageUnavailableError("Input/output error")

    monkeypatch.setattr(resources.storage, "delete", fails)
    delete_scan(resources, SOMEBODY, scan_id)
    with sessions() as session:
        scan = session.get_one(ScanRow, scan_id)
        assert (scan.deleted_at is None, scan.files_removed_at) == (False, None)
    assert is_stored(resources)
