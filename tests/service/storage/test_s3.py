"""A bucket whose server goes away, stalls, dies in the middle of a transfer or holds something else."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from service.settings import Settings
from service.storage import (
    Storage,
    StorageUnavailableError,
    StoredFileDamagedError,
    StoredFileMissingError,
    open_storage,
)
from tests.servers import S3Server, s3_server, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

KEY = "scans/ab/abc.nii.gz"
BIG = os.urandom(40 << 20)


def impatient(server: S3Server, data_dir: Path, **values: object) -> Settings:
    return Settings(
        data_dir=data_dir, **server.settings("p", storage_timeout_s=0.5, storage_attempts=2, **values)
    )


@pytest.fixture
def storage(s3: S3Server, tmp_path: Path) -> Storage:
    return open_storage(impatient(s3, tmp_path))


def put(storage: Storage, content: bytes, key: str = KEY) -> None:
    with storage.receive(max_bytes=len(content)) as upload:
        upload.write(content)
        storage.promote(upload, key)


def read(storage: Storage, key: str = KEY) -> bytes:
    with storage.open_local(key) as path:
        return path.read_bytes()


def objects(server: S3Server) -> list[Path]:
    """What S3 shows: the half-written files of the server itself are none of it."""
    files = (path for path in server.folder.rglob("*") if path.is_file())
    return [path for path in files if not path.name.startswith(".rclone_temp_")]


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@contextmanager
def away(server: S3Server) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextmanager
def silent(server: S3Server) -> Iterator[None]:
    server.pause()
    yield
    server.resume()


@pytest.mark.parametrize("outage", [away, silent])
def test_an_outage_is_said_within_the_time_outs_and_nothing_is_lost_or_left(
    s3: S3Server, storage: Storage, tmp_path: Path, outage: Callable[[S3Server], Iterator[None]]
) -> None:
    put(storage, b"kept")
    with outage(s3):
        for act in (
            lambda: put(storage, b"new", "scans/new.nii"),
            lambda: read(storage),
            # What was sent may still be done when a silent server wakes up.
            lambda: storage.delete("scans/never.nii"),
            lambda: list(storage.stored("scans")),
            storage.probe,
        ):
            began = time.monotonic()
            with pytest.raises(StorageUnavailableError) as refusal:
                act()
            # Two tries of half a second, each once more for a download, and a wait of up to one between them.
            assert time.monotonic() - began < 8
            assert refusal.value.found
            assert refusal.value.details() == {}
        assert left(tmp_path) == []
    wait_until(lambda: answers(storage), "the server to be back")
    assert read(storage) == b"kept"
    with pytest.raises(StoredFileMissingError):
        read(storage, "scans/never.nii")
    put(storage, b"new", "scans/new.nii")
    assert read(storage, "scans/new.nii") == b"new"


def answers(storage: Storage) -> bool:
    try:
        storage.probe()
    except StorageUnavailableError:
        return False
    return True


def test_a_server_killed_in_the_middle_of_an_upload_shows_nothing_and_the_next_try_succeeds(
    tmp_path: Path,
) -> None:
    with s3_server(bytes_per_s=20 << 20) as server:
        storage = open_storage(impatient(server, tmp_path))

        def kill_when_half_is_there() -> None:
            wait_until(lambda: any(server.folder.rglob(".rclone_temp_multipart_*")), "the first part")
            server.kill()

        killer = threading.Thread(target=kill_when_half_is_there)
        killer.start()
        with pytest.raises(StorageUnavailableError):
            put(storage, BIG)
        killer.join()
        assert objects(server) == []
        assert left(tmp_path) == []
        server.start()
        with pytest.raises(StoredFileMissingError):
            read(storage)
        patient = open_storage(Settings(data_dir=tmp_path, **server.settings("p")))
        put(patient, BIG)
        assert read(patient) == BIG


def test_an_upload_whose_last_answer_was_lost_has_succeeded(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(Settings(data_dir=tmp_path, **s3.settings("p")))
    client = storage._store._client
    complete = client.complete_multipart_upload

    def complete_twice(**request: object) -> object:
        complete(**request)
        return complete(**request)

    monkeypatch.setattr(client, "complete_multipart_upload", complete_twice)
    put(storage, BIG)
    assert read(storage) == BIG


def test_a_short_pause_is_waited_out(s3: S3Server, tmp_path: Path) -> None:
    storage = open_storage(Settings(data_dir=tmp_path, **s3.settings("p", storage_timeout_s=10)))
    for act in (lambda: put(storage, BIG), lambda: read(storage)):
        s3.pause()
        timer = threading.Timer(1.0, s3.resume)
        timer.start()
        act()
        timer.join()
    assert read(storage) == BIG


def test_a_slow_server_is_no_outage_as_long_as_it_sends(tmp_path: Path) -> None:
    content = BIG[: 6 << 20]
    with s3_server(bytes_per_s=3 << 20) as server:
        storage = open_storage(Settings(data_dir=tmp_path, **server.settings("p", storage_timeout_s=2)))
        began = time.monotonic()
        put(storage, content)
        assert read(storage) == content
        assert time.monotonic() - began > 2, "it was not slow"


def test_acknowledged_files_survive_the_servers_end(s3: S3Server, storage: Storage) -> None:
    put(storage, b"kept")
    with away(s3):
        pass
    assert read(storage) == b"kept"


def test_an_object_that_was_changed_is_refused(s3: S3Server, storage: Storage) -> None:
    put(storage, b"kept")
    client(s3).put_object(Bucket=s3.bucket, Key=f"p/{KEY}", Body=b"else", Metadata={"sha256": "0" * 64})
    with pytest.raises(StoredFileDamagedError) as refusal:
        read(storage)
    assert KEY not in str(refusal.value)
    # Who compares it with the database's digest gets what there is to compare.
    with storage.open_local(KEY, compare=False) as path:
        assert path.read_bytes() == b"else"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"storage_secret_key": "another"}, "SignatureDoesNotMatch"),
        ({"storage_url": "s3://another-bucket"}, "NoSuchBucket"),
    ],
)
def test_a_mistake_of_the_operator_is_named_and_costs_no_scan(
    s3: S3Server, tmp_path: Path, values: dict[str, str], found: str
) -> None:
    storage = open_storage(Settings(data_dir=tmp_path, **{**s3.settings("p"), **values}))
    for act in (lambda: put(storage, b"scan"), lambda: read(storage), storage.probe):
        with pytest.raises(StorageUnavailableError) as refusal:
            act()
        assert refusal.value.found == found
    assert left(tmp_path) == []


def test_uploads_that_were_never_ended_are_aborted_when_they_are_old(s3: S3Server, storage: Storage) -> None:
    assert storage.purge_quarantine(older_than_s=0) == 0
    begun = client(s3).create_multipart_upload(Bucket=s3.bucket, Key=f"p/{KEY}")
    client(s3).upload_part(
        Bucket=s3.bucket, Key=f"p/{KEY}", UploadId=begun["UploadId"], PartNumber=1, Body=b"half"
    )
    client(s3).create_multipart_upload(Bucket=s3.bucket, Key="others/scan")
    assert storage.purge_quarantine(older_than_s=3600) == 0
    # The server's clock is read in whole seconds.
    time.sleep(2.2)
    assert storage.purge_quarantine(older_than_s=1) == 1
    open_uploads = client(s3).list_multipart_uploads(Bucket=s3.bucket)["Uploads"]
    assert [upload["Key"] for upload in open_uploads] == ["others/scan"]


def client(server: S3Server) -> "boto3.client":
    """A client of the bucket beside the service's own."""
    settings = server.settings()
    return boto3.client(
        "s3",
        endpoint_url=settings["storage_endpoint_url"],
        region_name="us-east-1",
        aws_access_key_id=settings["storage_access_key"],
        aws_secret_access_key=settings["storage_secret_key"],
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )
