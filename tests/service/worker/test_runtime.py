from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service.db.rows import ModelVersionRow
from service.registry import CheckpointMissingError, NoActiveModelError
from service.settings import Settings
from service.worker.runtime import Runtime, open_runtime
from tests.service.answering import let_answer


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, str, str, str]]:
    """What was loaded: bytes, device, backend and the hash that was asked for."""
    from model import predictor

    calls = []

    def load(path: Path, *, device: str, backend: str, expected_sha256: str) -> SimpleNamespace:
        calls.append((path.read_bytes(), device, backend, expected_sha256))
        return SimpleNamespace(sha256=expected_sha256)

    monkeypatch.setattr(predictor.Predictor, "load", load)
    return calls


@pytest.fixture
def runtime(tmp_path: Path, database_url: str) -> Runtime:
    return open_runtime(Settings(data_dir=tmp_path, database_url=database_url, device="cpu", backend="torch"))


def add_active(runtime: Runtime, sha256: str) -> str:
    with runtime.storage.receive(max_bytes=100) as upload:
        upload.write(sha256.encode())
        runtime.storage.promote(upload, f"models/{sha256}.safetensors")
    with runtime.sessions.begin() as session:
        row = ModelVersionRow(
            id=str(uuid4()),
            name="n",
            version="1",
            sha256=sha256,
            storage_key=f"models/{sha256}.safetensors",
            card={},
        )
        let_answer(session, row)
    return row.id


def test_the_active_model_is_loaded_once_and_checked(
    runtime: Runtime, loaded: list[tuple[bytes, str, str, str]]
) -> None:
    version_id = add_active(runtime, "aa")
    assert runtime.active_model() == runtime.active_model()
    assert runtime.active_model()[0] == version_id
    assert loaded == [(b"aa", "cpu", "torch", "aa")]


def test_a_promotion_takes_effect_with_the_next_job(
    runtime: Runtime, loaded: list[tuple[bytes, str, str, str]]
) -> None:
    add_active(runtime, "aa")
    runtime.active_model()
    promoted = add_active(runtime, "bb")
    version_id, predictor = runtime.active_model()
    assert (version_id, predictor.sha256) == (promoted, "bb")


def test_without_a_model_it_says_so(runtime: Runtime, sessions: sessionmaker[Session]) -> None:
    with pytest.raises(NoActiveModelError, match="found none"):
        runtime.active_model()


def test_a_checkpoint_that_is_gone_is_told_apart_from_a_scan_and_found_again(
    runtime: Runtime, loaded: list[tuple[bytes, str, str, str]]
) -> None:
    version_id = add_active(runtime, "aa")
    runtime.storage.delete("models/aa.safetensors")
    with pytest.raises(CheckpointMissingError) as missing:
        runtime.active_model()
    assert (missing.value.code, missing.value.details()) == ("checkpoint_missing", {"sha256": "aa"})
    with runtime.storage.receive(max_bytes=100) as upload:
        upload.write(b"aa")
        runtime.storage.promote(upload, "models/aa.safetensors")
    assert runtime.active_model()[0] == version_id


def test_two_processes_with_one_number_have_two_names(runtime: Runtime) -> None:
    assert open_runtime(runtime.settings).worker != runtime.worker
