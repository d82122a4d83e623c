"""Storage in a bucket of S3 or of one of the many servers that speak its protocol."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from service.storage.errors import (
    StorageUnavailableError,
    StoredFileDamagedError,
    StoredFileMissingError,
    local_outages,
)
from service.storage.keys import KEY, checked
from service.storage.private_folders import PrivateFolders
from service.storage.protocol import StoredFile, Upload, local_file
from service.storage.quarantine import LocalUpload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Files above one part are sent in parts, one after another: a part is read from the disk as it is sent.
PART_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 20
# The store's own name for it; kept beside the object and compared whenever it is read.
_SHA256 = "sha256"
_PROBE_KEY = "probe/ready.txt"
_FIRST_PAUSE_S = 0.2
# Words of a server that has no such object or upload; an answer to HEAD has no body, and so only its status.
_ABSENT = frozenset({"NoSuchKey", "NoSuchUpload", "404"})


class S3Storage:
    """Objects below a prefix of a bucket.

    An object appears with its upload's last request, whole or not at all; a key is written once and never
    changed. Requests are signed over their bytes, so that the server refuses what was changed on the way.

    Parameters
    ----------
    client : S3Client
        With its own time-outs and bounded retries (see :mod:`service.storage.s3_client`).
    prober : S3Client
        The same, for a question that must not take long.
    bucket : str
    prefix : str
        Empty, or ``a/b/``.
    attempts : int
        How often an object's transfer is begun.
    quarantine, copies : PrivateFolders
        On this machine: for uploads, and for what is downloaded to be read.
    """

    def __init__(
        self,
        client: "S3Client",
        *,
        prober: "S3Client",
        bucket: str,
        prefix: str,
        attempts: int,
        quarantine: PrivateFolders,
        copies: PrivateFolders,
    ) -> None:
        self._client = client
        self._prober = prober
        self._bucket = bucket
        self._prefix = prefix
        self._attempts = attempts
        self._quarantine = quarantine
        self._copies = copies

    @contextmanager
    def receive(self, *, max_bytes: int) -> Iterator[LocalUpload]:
        """Open a place on this machine; nothing is sent before the promotion."""
        with self._quarantine.make() as folder:
            upload = LocalUpload(folder / "upload.part", max_bytes=max_bytes)
            try:
                yield upload
            finally:
                upload.discard()

    def promote(self, source: Upload | Path, key: str) -> None:
        """Send the file, in parts if it is large, and compare what the bucket then says it holds."""
        name = self._name(key)
        path = local_file(source)
        with local_outages():
            size_bytes, sha256 = path.stat().st_size, _sha256_of(path)
        try:
            with _outages():
                self._send(path, name, sha256)
        except StorageUnavailableError as outage:
            # The answer to the last request may have been lost, and its repetition found the upload ended.
            if outage.found not in _ABSENT:
                raise
        if not self._holds(name, size_bytes, sha256):
            raise StorageUnavailableError("another object than the one that was sent")
        with local_outages():
            path.unlink(missing_ok=True)

    @contextmanager
    def open_local(self, key: str, *, compare: bool = True) -> Iterator[Path]:
        """Download to a private file of this machine, and remove it on leaving."""
        name = self._name(key)
        with self._copies.make() as folder:
            path = folder / Path(key).name
            self._fetch(key, name, path, compare=compare)
            yield path

    def delete(self, key: str) -> None:
        """Remove ``key``; S3 answers the same when it is not there."""
        with _outages():
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def stored(self, prefix: str) -> Iterator[StoredFile]:
        """List the objects below ``prefix/``, page by page; ages are by the server's clock."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._name(prefix)}/"
        )
        with _outages():
            for page in pages:
                now = _server_time(page)
                for found in page.get("Contents", []):
                    key = found["Key"].removeprefix(self._prefix)
                    if KEY.fullmatch(key):
                        yield StoredFile(key, now - found["LastModified"].timestamp())

    def purge_quarantine(self, *, older_than_s: float) -> int:
        """Remove what dead processes left on this machine, and old uploads that were never ended."""
        removed = self._quarantine.remove_abandoned() + self._copies.remove_abandoned()
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        try:
            with _outages():
                for page in pages:
                    now = _server_time(page)
                    for upload in page.get("Uploads", []):
                        if now - upload["Initiated"].timestamp() > older_than_s:
                            self._client.abort_multipart_upload(
                                Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                            )
                            removed += 1
        except StorageUnavailableError as outage:
            # Ended meanwhile; some servers answer so, too, where there is none.
            if outage.found not in _ABSENT:
                raise
        return removed

    def probe(self) -> None:
        """Write a small object and, on this machine, a quarantined file."""
        with self.receive(max_bytes=16) as upload:
            upload.write(b"ready?")
        with _outages():
            self._prober.put_object(Bucket=self._bucket, Key=self._prefix + _PROBE_KEY, Body=b"ready?")

    def _name(self, key: str) -> str:
        return self._prefix + checked(key)

    def _send(self, path: Path, name: str, sha256: str) -> None:
        self._client.upload_file(
            str(path),
            self._bucket,
            name,
            ExtraArgs={"Metadata": {_SHA256: sha256}},
            # A failed upload is aborted. One thread: many uploads run side by side as it is.
            Config=TransferConfig(
                multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
            ),
        )

    def _holds(self, name: str, size_bytes: int, sha256: str) -> bool:
        try:
            with _outages():
                head = self._client.head_object(Bucket=self._bucket, Key=name)
        except StorageUnavailableError as outage:
            if outage.found in _ABSENT:
                return False
            raise
        return head["ContentLength"] == size_bytes and _kept_sha256(head) in {sha256, None}

    def _fetch(self, key: str, name: str, path: Path, *, compare: bool) -> None:
        for attempt in range(1, self._attempts + 1):
            try:
                with _outages():
                    answer = self._client.get_object(Bucket=self._bucket, Key=name)
                    digest = hashlib.sha256() if compare else None
                    _write_body(answer["Body"], path, digest)
            except StorageUnavailableError as outage:
                if outage.found in _ABSENT:
                    raise StoredFileMissingError(key) from outage
                # The client repeats a request that fails, not one whose answer breaks off.
                if attempt == self._attempts:
                    raise
                time.sleep(_FIRST_PAUSE_S * 2 ** (attempt - 1))
            else:
                if digest is not None and _kept_sha256(answer) not in {digest.hexdigest(), None}:
                    raise StoredFileDamagedError(key)
                return


@contextmanager
def _outages() -> Iterator[None]:
    """Turn what the client raises into an outage, with the server's word for it.

    A refused signature or a missing bucket is an outage too: an operator has to mend it, and no scan is to
    blame for it.
    """
    try:
        yield
    except ClientError as error:
        raise _refused(error) from error
    except S3UploadFailedError as error:
        cause = error.__context__
        raise (
            _refused(cause)
            if isinstance(cause, ClientError)
            else StorageUnavailableError(type(error).__name__)
        ) from error
    except (BotoCoreError, OSError) as error:
        raise StorageUnavailableError(type(error).__name__) from error


def _refused(error: ClientError) -> StorageUnavailableError:
    return StorageUnavailableError(error.response.get("Error", {}).get("Code", "unknown"))


def _kept_sha256(answer: Any) -> str | None:
    """Return the hash that was stored beside an object; some servers change the case of its name."""
    kept = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
    return kept.get(_SHA256)


def _server_time(answer: Any) -> float:
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()


def _write_body(body: Any, path: Path, digest: "hashlib._Hash | None") -> None:
    """Write a download to a file, a block at a time, and hash it if that is asked for."""
    room = memoryview(bytearray(_BLOCK_BYTES))
    with local_outages(), path.open("wb") as file:
        while count := body.readinto(room):
            file.write(room[:count])
            if digest is not None:
                digest.update(room[:count])


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
