import os
import time
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.base import utc_now
from service.db.rows import NormalisedScanRow, ScanRow
from service.storage import FolderStorage, normalised_figure_key, normalised_key
from service.worker import orphans
from service.worker.orphans import remove_orphans

LIVE = "scans/a.nii"  # the key of the fixture's scan


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "storage")


def store(tmp_path: Path, storage: FolderStorage, key: str, *, age_s: float) -> None:
    with storage.receive(max_bytes=10) as upload:
        upload.write(b"x")
        storage.promote(upload, key)
    then = time.time() - age_s
    os.utime(tmp_path / "storage" / key, (then, then))


def keys(storage: FolderStorage) -> set[str]:
    return {file.key for prefix in ("scans", "models") for file in storage.stored(prefix)}


def test_only_old_files_without_a_live_scan_are_removed(
    tmp_path: Path,
    storage: FolderStorage,
    sessions: sessionmaker[Session],
    scan_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(orphans, "_BATCH", 2)
    old = {f"scans/0f/{number}.nii.gz" for number in range(5)}
    for key in (LIVE, *old, "models/a.safetensors"):
        store(tmp_path, storage, key, age_s=3700)
    store(tmp_path, storage, "scans/0f/new.nii", age_s=3500)
    assert remove_orphans(sessions, storage) == 5
    assert keys(storage) == {LIVE, "scans/0f/new.nii", "models/a.safetensors"}
    with sessions.begin() as session:
        session.execute(update(ScanRow).values(deleted_at=utc_now()))
    assert remove_orphans(sessions, storage) == 0, "its removal is retention's, with a proof"
    with sessions.begin() as session:
        session.execute(update(ScanRow).values(files_removed_at=utc_now()))
    assert remove_orphans(sessions, storage) == 1
    assert keys(storage) == {"scans/0f/new.nii", "models/a.safetensors"}


def test_an_empty_database_beside_a_full_storage_removes_nothing(
    tmp_path: Path, storage: FolderStorage, sessions: sessionmaker[Session]
) -> None:
    assert remove_orphans(sessions, storage) == 0
    store(tmp_path, storage, LIVE, age_s=3700)
    assert remove_orphans(sessions, storage) == 0
    assert keys(storage) == {LIVE}


def test_a_file_in_template_space_is_kept_as_long_as_its_row_names_it(
    tmp_path: Path, storage: FolderStorage, sessions: sessionmaker[Session], scan_id: str
) -> None:
    named, orphan = normalised_key(scan_id, 2), normalised_key(scan_id, 1)
    figure, stray = (normalised_figure_key(scan_id, version, "carpet") for version in (2, 1))
    for key in (named, orphan, figure, stray):
        store(tmp_path, storage, key, age_s=3700)
    with sessions.begin() as session:
        jobs.keep_known(session, scan_id, {}, version=2)
        session.execute(update(NormalisedScanRow).values(storage_key=named))
    assert remove_orphans(sessions, storage) == 2
    assert {file.key for file in storage.stored("normalised")} == {named, figure}
    with sessions.begin() as session:
        session.execute(update(ScanRow).values(deleted_at=utc_now(), files_removed_at=utc_now()))
    assert remove_orphans(sessions, storage) == 2
