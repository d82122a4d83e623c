import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.storage import (
    FolderStorage,
    StorageKeyError,
    StorageUnavailableError,
    StoredFileMissingError,
    UploadTooLargeError,
    checkpoint_key,
    scan_key,
)

SCAN_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "storage")


def quarantined(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "storage" / "quarantine").iterdir())


@given(chunks=st.lists(st.binary(max_size=300), max_size=8))
def test_what_is_written_is_counted_hashed_and_kept(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    storage = FolderStorage(tmp_path_factory.mktemp("storage"))
    with storage.receive(max_bytes=10_000) as upload:
        for chunk in chunks:
            upload.write(chunk)
        storage.promote(upload, "scans/ab/abc.nii.gz")
    whole = b"".join(chunks)
    assert upload.size_bytes == len(whole)
    assert upload.sha256 == hashlib.sha256(whole).hexdigest()
    with storage.open_local("scans/ab/abc.nii.gz") as path:
        assert path.read_bytes() == whole


def test_an_upload_that_is_not_promoted_leaves_nothing(storage: FolderStorage, tmp_path: Path) -> None:
    def break_off() -> None:
        with storage.receive(max_bytes=10) as upload:
            upload.write(b"half")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        break_off()
    assert quarantined(tmp_path) == []


def test_one_byte_over_the_cap_is_refused_and_not_written(storage: FolderStorage) -> None:
    with storage.receive(max_bytes=4) as upload:
        upload.write(b"1234")
        with pytest.raises(UploadTooLargeError, match="expected at most 4 bytes") as refusal:
            upload.write(b"5")
        assert refusal.value.details() == {"max_bytes": 4}
        upload.seal()
        assert upload.path.read_bytes() == b"1234"


def test_nothing_is_visible_under_the_key_before_the_promotion(storage: FolderStorage) -> None:
    with storage.receive(max_bytes=4) as upload:
        upload.write(b"1234")
        upload.seal()
        with pytest.raises(StoredFileMissingError), storage.open_local("a/b"):
            pass


def test_a_deleted_file_is_gone_and_deleting_again_is_quiet(storage: FolderStorage) -> None:
    with storage.receive(max_bytes=4) as upload:
        storage.promote(upload, "a/b")
    storage.delete("a/b")
    storage.delete("a/b")
    with pytest.raises(StoredFileMissingError) as missing, storage.open_local("a/b"):
        pass
    assert "a/b" not in str(missing.value)
    assert missing.value.details() == {}


@pytest.mark.parametrize(
    "key", ["", "../a", "a/../b", "/etc/passwd", "a//b", "a/.hidden", "A/b", "a/b\n", "a\\b"]
)
def test_keys_cannot_leave_the_folder(storage: FolderStorage, key: str) -> None:
    with pytest.raises(StorageKeyError):
        storage.delete(key)
    with pytest.raises(StorageKeyError), storage.open_local(key):
        pass


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("Müller, Anna.NII.GZ", ".nii.gz"), ("a.nii", ".nii"), ("../../x", ""), ("a.nii.gz.exe", ""), ("", "")],
)
def test_a_scan_takes_nothing_but_a_known_suffix_from_its_name(
    storage: FolderStorage, name: str, suffix: str
) -> None:
    key = scan_key(SCAN_ID, name)
    assert key == f"scans/0f/{SCAN_ID}{suffix}"
    storage.delete(key)


def test_a_checkpoint_lies_under_its_hash(storage: FolderStorage) -> None:
    storage.delete(checkpoint_key("ab" * 32))
    assert checkpoint_key("ab" * 32) == f"models/{'ab' * 32}.safetensors"


def test_only_old_leftovers_are_purged(storage: FolderStorage, tmp_path: Path) -> None:
    assert storage.purge_quarantine(older_than_s=10) == 0
    with storage.receive(max_bytes=4) as running:
        left = running.path.with_name("left.part")
        left.write_bytes(b"x")
        os.utime(left, (time.time() - 60, time.time() - 60))
        assert storage.purge_quarantine(older_than_s=10) == 1
        assert quarantined(tmp_path) == [running.path]


def test_what_is_stored_is_listed_with_its_age(storage: FolderStorage, tmp_path: Path) -> None:
    assert list(storage.stored("scans")) == []
    for key in ("scans/0f/a.nii.gz", "scans/b.nii", "models/c.safetensors"):
        with storage.receive(max_bytes=4) as upload:
            storage.promote(upload, key)
    then = time.time() - 60
    os.utime(tmp_path / "storage" / "scans" / "b.nii", (then, then))
    (tmp_path / "storage" / "scans" / ".DS_Store").touch()
    ages = {file.key: file.age_s for file in storage.stored("scans")}
    assert set(ages) == {"scans/0f/a.nii.gz", "scans/b.nii"}
    assert ages["scans/b.nii"] == pytest.approx(60, abs=5)
    assert ages["scans/0f/a.nii.gz"] < 5


def test_a_file_made_beside_an_upload_can_be_promoted_in_its_place(
    storage: FolderStorage, tmp_path: Path
) -> None:
    with storage.receive(max_bytes=10) as upload:
        upload.write(b"received")
        upload.seal()
        stripped = upload.path.with_name("stripped.part")
        stripped.write_bytes(b"stripped")
        storage.promote(stripped, "a/b")
    with storage.open_local("a/b") as path:
        assert path.read_bytes() == b"stripped"
    assert quarantined(tmp_path) == []


def test_a_disk_that_refuses_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    storage = FolderStorage(tmp_path / "file" / "storage")
    with pytest.raises(StorageUnavailableError) as outage, storage.receive(max_bytes=4):
        pass
    assert outage.value.found == "Not a directory"
    assert str(tmp_path) not in str(outage.value)
    for act in (
        storage.probe,
        lambda: storage.delete("a/b"),
        lambda: storage.open_local("a/b").__enter__(),
    ):
        with pytest.raises(StorageUnavailableError):
            act()


def test_a_full_disk_is_an_outage_and_leaves_nothing(storage: FolderStorage, tmp_path: Path) -> None:
    def fill() -> None:
        with storage.receive(max_bytes=10) as upload:
            upload._file.close()
            # Every write to it ends with "no space left on device".
            upload._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115  (the upload closes it)
            upload.write(b"1234")

    with pytest.raises(StorageUnavailableError) as outage:
        fill()
    assert outage.value.found == "No space left on device"
    assert quarantined(tmp_path) == []


def test_a_folder_that_is_not_mounted_is_no_lost_file(storage: FolderStorage) -> None:
    with pytest.raises(StorageUnavailableError), storage.open_local("a/b"):
        pass


def test_a_probe_leaves_nothing(storage: FolderStorage, tmp_path: Path) -> None:
    storage.probe()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
