"""What every store does, a folder or a bucket, with encryption and without."""

import os
import time
from pathlib import Path

import pytest

from service.settings import Settings
from service.storage import Storage, StorageKeyError, StoredFileMissingError, open_storage

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

MIB = 1 << 20


@pytest.fixture(params=["plain", "encrypted"])
def storage(request: pytest.FixtureRequest, storage_settings: Settings, key_file: Path) -> Storage:
    key = key_file if request.param == "encrypted" else None
    return open_storage(storage_settings.model_copy(update={"encryption_key_file": key}))


def left_on_this_machine(settings: Settings) -> list[Path]:
    """Files in quarantine or among the copies that are read."""
    return [
        path
        for name in ("quarantine", "storage/quarantine", "scratch")
        for path in (settings.data_dir / name).rglob("*")
        if path.is_file()
    ]


def put(storage: Storage, key: str, content: bytes) -> None:
    with storage.receive(max_bytes=len(content)) as upload:
        upload.write(content)
        storage.promote(upload, key)


# Empty, one request, exactly one part, several parts.
@pytest.mark.parametrize("size", [0, 1, 16 * MIB, 33 * MIB + 1])
def test_what_is_promoted_is_read_and_nothing_is_left_beside_it(
    storage: Storage, storage_settings: Settings, size: int
) -> None:
    content = os.urandom(size)
    put(storage, "scans/ab/abc.nii.gz", content)
    assert left_on_this_machine(storage_settings) == []
    with storage.open_local("scans/ab/abc.nii.gz") as path:
        assert path.name == "abc.nii.gz"
        assert path.read_bytes() == content
    assert left_on_this_machine(storage_settings) == []


def test_a_second_promotion_of_the_same_bytes_changes_nothing(storage: Storage) -> None:
    put(storage, "models/a.safetensors", b"weights")
    put(storage, "models/a.safetensors", b"weights")
    with storage.open_local("models/a.safetensors") as path:
        assert path.read_bytes() == b"weights"


def test_a_file_beside_the_upload_is_promoted_in_its_place(
    storage: Storage, storage_settings: Settings
) -> None:
    with storage.receive(max_bytes=10) as upload:
        upload.write(b"received")
        upload.seal()
        stripped = upload.path.with_name("stripped.part")
        stripped.write_bytes(b"stripped")
        storage.promote(stripped, "scans/a.nii")
    with storage.open_local("scans/a.nii") as path:
        assert path.read_bytes() == b"stripped"
    assert left_on_this_machine(storage_settings) == []


def test_nothing_is_there_before_the_promotion_nor_after_the_deletion(storage: Storage) -> None:
    storage.probe()
    with storage.receive(max_bytes=10) as upload:
        upload.write(b"scan")
        upload.seal()
        with pytest.raises(StoredFileMissingError), storage.open_local("scans/a.nii"):
            pass
        storage.promote(upload, "scans/a.nii")
    storage.delete("scans/a.nii")
    storage.delete("scans/a.nii")
    with pytest.raises(StoredFileMissingError), storage.open_local("scans/a.nii"):
        pass


def test_what_is_stored_is_listed_with_its_age(storage: Storage) -> None:
    storage.probe()
    assert list(storage.stored("scans")) == []
    for key in ("scans/0f/a.nii.gz", "scans/b.nii", "models/c.safetensors"):
        put(storage, key, b"x")
    time.sleep(1.1)
    ages = {file.key: file.age_s for file in storage.stored("scans")}
    assert set(ages) == {"scans/0f/a.nii.gz", "scans/b.nii"}
    assert all(0.1 < age < 30 for age in ages.values())


def test_keys_cannot_leave_their_place(storage: Storage) -> None:
    with pytest.raises(StorageKeyError):
        storage.delete("../a")
    with pytest.raises(StorageKeyError), storage.open_local("a//b"):
        pass
    with pytest.raises(StorageKeyError):
        put(storage, "A", b"")
