"""Back up, destroy everything, restore: results, files and logins are as they were."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from service import jobs
from service.backup import (
    BackupFolderError,
    BackupNotValidError,
    RestoreTargetError,
    make_backup,
    restore_backup,
)
from service.backup.database import DumpFailedError
from service.db.engine import make_engine, session_factory
from service.db.migrate import SchemaNewerError, upgrade
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ModelVersionRow, PredictionRow, ResultRow, ScanRow
from service.identity.accounts import create_user, verify_login
from service.identity.roles import Role
from service.settings import Settings
from service.storage import open_storage
from tests.servers import new_database
from tests.service.api.serving import PASSWORD, sample_result

BOTH = pytest.mark.parametrize(
    "settings",
    ["sqlite", pytest.param("postgresql", marks=[pytest.mark.integration, pytest.mark.enable_socket])],
    indirect=True,
)
SCAN, MODEL = b"a scan's bytes", b"a model's bytes"


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    data = tmp_path / "data"
    if getattr(request, "param", "sqlite") == "sqlite":
        yield Settings(data_dir=data)
        return
    with new_database(request.getfixturevalue("postgres_server")) as url:
        yield Settings(data_dir=data, database_url=url)


def in_session(settings: Settings, act: Callable[[Session], object]) -> object:
    engine = make_engine(settings.database_url.get_secret_value())
    try:
        with session_factory(engine).begin() as session:
            return act(session)
    finally:
        engine.dispose()


def store(settings: Settings, key: str, content: bytes) -> None:
    storage = open_storage(settings)
    with storage.receive(max_bytes=1000) as upload:
        upload.write(content)
        storage.promote(upload, key)


def stored(settings: Settings, key: str) -> bytes:
    with open_storage(settings).open_local(key) as path:
        return path.read_bytes()


def fill(settings: Settings) -> str:
    """A finished prediction, a waiting one, and somebody who may log in; returns the finished one's id."""
    upgrade(settings.database_url.get_secret_value())
    store(settings, "scans/ab/one.nii.gz", SCAN)
    store(settings, "models/m.safetensors", MODEL)

    def add(session: Session) -> str:
        create_user(
            session,
            username="doctor",
            password=PASSWORD,
            role=Role.CLINICIAN,
            organisation_id=DEFAULT_ORGANISATION_ID,
        )
        session.add(
            ScanRow(
                id="s",
                sha256="0" * 64,
                size_bytes=1,
                display_name="a.nii",
                storage_key="scans/ab/one.nii.gz",
                organisation_id=DEFAULT_ORGANISATION_ID,
            )
        )
        model = ModelVersionRow(
            id="m", name="m", version="1", sha256="1" * 64, storage_key="models/m.safetensors", card={}
        )
        session.add(model)
        session.flush()
        done, _waiting = (jobs.enqueue(session, scan_id="s").id for _ in range(2))
        jobs.claim(session, PredictionRow, done, owner="w#1", lease_s=60)
        jobs.finish(session, done, owner="w#1", model_version_id="m", result=sample_result())
        return done

    return str(in_session(settings, add))


def destroy(settings: Settings) -> None:
    """Lose the disk: every file, and every table."""
    url = settings.database_url.get_secret_value()
    if url.startswith("postgresql"):
        in_session(settings, lambda session: session.execute(text("DROP SCHEMA public CASCADE")))
        in_session(settings, lambda session: session.execute(text("CREATE SCHEMA public")))
    shutil.rmtree(settings.data_dir)


@BOTH
def test_everything_is_back_after_everything_was_lost(settings: Settings, tmp_path: Path) -> None:
    done = fill(settings)
    made = make_backup(settings, tmp_path / "backup")
    destroy(settings)
    restored = restore_backup(settings, tmp_path / "backup")
    assert restored == made
    assert stored(settings, "scans/ab/one.nii.gz") == SCAN
    assert stored(settings, "models/m.safetensors") == MODEL

    def look(session: Session) -> None:
        assert session.get_one(ResultRow, done).result == sample_result()
        assert session.scalar(select(func.count()).where(PredictionRow.state == "queued")) == 1
        # It works on: what waited can be claimed.
        waiting = session.scalars(select(PredictionRow.id).where(PredictionRow.state == "queued")).one()
        assert jobs.claim(session, PredictionRow, waiting, owner="w#2", lease_s=60) is not None

    in_session(settings, look)
    engine = make_engine(settings.database_url.get_secret_value())
    assert verify_login(session_factory(engine), username="doctor", password=PASSWORD).role == "clinician"
    engine.dispose()
    with pytest.raises(RestoreTargetError, match="a database with tables"):
        restore_backup(settings, tmp_path / "backup")


def test_a_backup_is_for_its_owner_only_and_whole(settings: Settings, tmp_path: Path) -> None:
    fill(settings)
    folder = tmp_path / "backup"
    manifest = make_backup(settings, folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert set(manifest.files) == {"scans/ab/one.nii.gz", "models/m.safetensors"}
    with pytest.raises(BackupFolderError):
        make_backup(settings, folder)


def test_a_restoration_that_was_cut_short_is_taken_up(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = fill(settings)
    make_backup(settings, tmp_path / "backup")
    destroy(settings)

    def cut_short(_url: str, _dump: Path) -> None:
        (settings.data_dir / "restnet.db.restoring").write_bytes(b"half a database")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("service.backup.restoring.load", cut_short)
        with pytest.raises(KeyboardInterrupt):
            restore_backup(settings, tmp_path / "backup")
    assert stored(settings, "scans/ab/one.nii.gz") == SCAN
    restore_backup(settings, tmp_path / "backup")
    in_session(settings, lambda session: session.get_one(ResultRow, done))
    assert not (settings.data_dir / "restoring").exists()


def test_a_storage_that_serves_another_database_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    fill(settings)
    make_backup(settings, tmp_path / "backup")
    beside = Settings(data_dir=tmp_path / "beside", storage_url=settings.storage_url)
    with pytest.raises(RestoreTargetError, match="a storage with 2 files"):
        restore_backup(beside, tmp_path / "backup")
    assert not (beside.data_dir / "restnet.db").exists()


def test_nothing_foreign_is_overwritten(settings: Settings, tmp_path: Path) -> None:
    fill(settings)
    make_backup(settings, tmp_path / "backup")
    destroy(settings)
    store(settings, "scans/cd/other.nii", b"somebody's")
    with pytest.raises(RestoreTargetError, match="1 files"):
        restore_backup(settings, tmp_path / "backup")
    assert stored(settings, "scans/cd/other.nii") == b"somebody's"
    assert not (settings.data_dir / "restnet.db").exists()


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "another form"),
        (lambda folder: (folder / "database").unlink(), "database missing"),
        (lambda folder: (folder / "files/scans/ab/one.nii.gz").write_bytes(b"x"), "with other bytes"),
    ],
)
def test_a_spoilt_backup_is_refused_before_anything_is_touched(
    settings: Settings, tmp_path: Path, spoil: Callable[[Path], object], found: str
) -> None:
    fill(settings)
    make_backup(settings, tmp_path / "backup")
    destroy(settings)
    spoil(tmp_path / "backup")
    with pytest.raises(BackupNotValidError, match=found):
        restore_backup(settings, tmp_path / "backup")
    assert not settings.data_dir.exists()


def test_a_backup_of_a_newer_version_is_refused(settings: Settings, tmp_path: Path) -> None:
    fill(settings)
    make_backup(settings, tmp_path / "backup")
    destroy(settings)
    file = tmp_path / "backup" / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema_revision": "9999"}))
    with pytest.raises(SchemaNewerError, match="9999"):
        restore_backup(settings, tmp_path / "backup")


def test_a_backup_of_another_database_is_refused(settings: Settings, tmp_path: Path) -> None:
    fill(settings)
    make_backup(settings, tmp_path / "backup")
    other = settings.model_copy(
        update={"database_url": Settings(database_url="postgresql://u@127.0.0.1:1/x").database_url}
    )
    with pytest.raises(RestoreTargetError, match="a backup of sqlite"):
        restore_backup(other, tmp_path / "backup")


def test_a_program_that_is_missing_or_fails_is_said_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path, database_url="postgresql://u:hunter2@127.0.0.1:1/x")
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(DumpFailedError, match="no such program"):
        make_backup(settings, tmp_path / "first")
    fake = programs / "pg_dump"
    fake.write_text('#!/bin/sh\n[ "$PGPASSWORD" = hunter2 ] || exit 9\necho "refused: $*" >&2\nexit 1\n')
    fake.chmod(0o755)
    with pytest.raises(
        DumpFailedError, match=r"refused: --dbname=postgresql://u@127\.0\.0\.1:1/x "
    ) as failure:
        make_backup(settings, tmp_path / "second")
    assert "hunter2" not in str(failure.value)
