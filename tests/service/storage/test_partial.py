"""Uploads that come in several requests: what lies on the disk, who may write it, and when it goes."""

import fcntl
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.settings import Settings
from service.storage import (
    QUARANTINE_S,
    PartialUpload,
    PartialUploads,
    StorageUnavailableError,
    TooManyUnfinishedUploadsError,
    UploadBusyError,
    UploadIncompleteError,
    UploadNotFoundError,
    UploadTooLargeError,
    open_partial_uploads,
)


@pytest.fixture
def uploads(tmp_path: Path) -> PartialUploads:
    return PartialUploads(tmp_path / "resumable", most_per_account=3)


def begin(uploads: PartialUploads, length_bytes: int = 6) -> PartialUpload:
    return uploads.begin(account="a", organisation_id="o", name="scan.nii", length_bytes=length_bytes)


def append(upload: PartialUpload, offset_bytes: int, content: bytes) -> None:
    appending = upload.append(offset_bytes=offset_bytes)
    try:
        appending.write(content)
    finally:
        appending.close()


def test_another_process_finds_what_has_come(uploads: PartialUploads, tmp_path: Path) -> None:
    begun = begin(uploads)
    append(begun, 0, b"abc")
    found = PartialUploads(tmp_path / "resumable", most_per_account=3).find(
        begun.upload_id, account="a", organisation_id="o"
    )
    assert (found.name, found.length_bytes, found.offset_bytes) == ("scan.nii", 6, 3)
    append(found, 3, b"def")
    with found.whole() as whole:
        assert whole.path.read_bytes() == b"abcdef"
        assert (whole.size_bytes, whole.sha256) == (6, hashlib.sha256(b"abcdef").hexdigest())


def test_only_its_owner_may_look_into_the_folder(uploads: PartialUploads) -> None:
    assert begin(uploads).path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "who", [{"account": "b", "organisation_id": "o"}, {"account": "a", "organisation_id": "p"}]
)
def test_another_account_or_organisation_finds_nothing(uploads: PartialUploads, who: dict[str, str]) -> None:
    begun = begin(uploads)
    with pytest.raises(UploadNotFoundError):
        uploads.find(begun.upload_id, **who)


@pytest.mark.parametrize("upload_id", ["../a/x", "", ".", "A0000000-0000-4000-8000-000000000000"])
def test_an_identifier_of_another_form_is_none(uploads: PartialUploads, upload_id: str) -> None:
    with pytest.raises(UploadNotFoundError):
        uploads.find(upload_id, account="a", organisation_id="o")


def test_one_writes_at_a_time_and_nobody_finishes_meanwhile(uploads: PartialUploads) -> None:
    begun = begin(uploads, length_bytes=0)
    writing = begun.append(offset_bytes=0)
    with pytest.raises(UploadBusyError):
        begun.append(offset_bytes=0)
    with pytest.raises(UploadBusyError), begun.whole():
        pass
    writing.close()
    with begun.whole(), pytest.raises(UploadBusyError):
        begun.append(offset_bytes=0)


def test_whoever_writes_when_it_is_stopped_finds_it_gone(uploads: PartialUploads) -> None:
    begun = begin(uploads)
    writing = begun.append(offset_bytes=0)
    writing.write(b"abc")
    begun.stop()
    with pytest.raises(UploadNotFoundError):
        writing.write(b"def")
    writing.close()
    assert list(begun.path.parent.iterdir()) == []
    with pytest.raises(UploadNotFoundError):
        begun.stop()


def test_what_is_being_handed_over_is_not_stopped(uploads: PartialUploads) -> None:
    begun = begin(uploads, length_bytes=0)
    with begun.whole() as whole:
        with pytest.raises(UploadBusyError):
            begun.stop()
        assert whole.path.is_file()
        begun.remove()
    with pytest.raises(UploadNotFoundError):
        begun.stop()


def test_uploads_that_begin_at_once_are_no_more_than_allowed(
    uploads: PartialUploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = uploads._make_room

    def slow(account: str) -> None:
        count(account)
        # Long enough for every other one to have counted, if it may.
        time.sleep(0.05)

    monkeypatch.setattr(uploads, "_make_room", slow)

    def begun(_: int) -> bool:
        try:
            begin(uploads)
        except TooManyUnfinishedUploadsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begun, range(8))) == 3


def test_what_is_being_handed_over_gives_no_way_to_a_new_one(uploads: PartialUploads) -> None:
    long_ago = time.time() - 3600
    handed_over, still, _fresh = (begin(uploads) for _ in range(3))
    append(handed_over, 0, b"abcdef")
    with handed_over.whole() as whole:
        for upload, seconds in ((handed_over, long_ago), (still, long_ago + 60)):
            # Looked at just before it was touched.
            os.utime(upload.path, (seconds, seconds))
        begin(uploads)
        assert whole.path.read_bytes() == b"abcdef"
        with pytest.raises(UploadNotFoundError):
            still.stop()
        with pytest.raises(TooManyUnfinishedUploadsError):
            begin(uploads)
    # Nothing came of it, and it gives way as any other.
    begin(uploads)
    assert not handed_over.path.exists()


def test_one_account_does_not_wait_for_another(uploads: PartialUploads) -> None:
    folder = begin(uploads).path.parent
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        uploads.begin(account="b", organisation_id="o", name="scan.nii", length_bytes=6)
    finally:
        os.close(descriptor)


def test_what_is_too_much_is_not_written_and_what_is_missing_is_told(uploads: PartialUploads) -> None:
    begun = begin(uploads)
    append(begun, 0, b"abc")
    with pytest.raises(UploadTooLargeError):
        append(begun, 3, b"defg")
    assert begun.offset_bytes == 3
    with pytest.raises(UploadIncompleteError) as met, begun.whole():
        pass
    assert met.value.details() == {"expected": 6, "found": 3}


def test_whoever_waited_while_it_was_removed_writes_into_nothing(
    uploads: PartialUploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = begin(uploads)
    opened = os.open

    def removed_meanwhile(path: Path, flags: int) -> int:
        descriptor = opened(path, flags)
        begun.remove()
        return descriptor

    monkeypatch.setattr(os, "open", removed_meanwhile)
    with pytest.raises(UploadNotFoundError):
        begun.append(offset_bytes=0)


def test_a_full_disk_is_an_outage_and_keeps_what_came_before(
    uploads: PartialUploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = begin(uploads)
    append(begun, 0, b"abc")

    def full(_descriptor: int, _chunk: memoryview) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(StorageUnavailableError):
            append(begun, 3, b"def")
    append(begun, 3, b"def")


def test_what_lies_still_for_long_is_removed_and_the_rest_is_not(uploads: PartialUploads) -> None:
    old, young = begin(uploads), begin(uploads)
    half_begun = young.path.with_name("half.json")
    half_begun.write_text("{}")
    then = time.time() - QUARANTINE_S - 60
    for path in (old.path, half_begun, young.path.with_suffix(".json")):
        os.utime(path, (then, then))
    assert uploads.purge(older_than_s=QUARANTINE_S) == 2
    assert sorted(young.path.parent.iterdir()) == sorted([young.path, young.path.with_suffix(".json")])


def test_parts_lie_beside_a_folders_files_and_on_the_machine_for_a_bucket(tmp_path: Path) -> None:
    shared = Settings(data_dir=tmp_path / "data", storage_url=f"file://{tmp_path}/shared")
    assert begin(open_partial_uploads(shared)).path.is_relative_to(tmp_path / "shared" / "resumable")
    bucket = Settings(
        data_dir=tmp_path / "data",
        storage_url="s3://bucket/prefix",
        storage_access_key="a",
        storage_secret_key="b",
    )
    assert begin(open_partial_uploads(bucket)).path.is_relative_to(tmp_path / "data" / "resumable")
