from pathlib import Path

import pytest

from service.settings import Settings
from service.storage import StorageUrlError, open_storage


def test_folders_are_named_by_an_address_or_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    odd = tmp_path / "a#b?c%41"
    for url, where in (
        (str(folder), folder),
        (f"file://{folder}", folder),
        (f"file://{tmp_path}/with%20space", folder),
        (str(odd), odd),
    ):
        storage = open_storage(Settings(data_dir=tmp_path / "data", storage_url=url))
        with storage.receive(max_bytes=1) as upload:
            assert where in upload.path.parents


def test_a_bucket_is_opened_without_a_word_to_its_server(tmp_path: Path) -> None:
    keys = {"storage_access_key": "a", "storage_secret_key": "b"}
    storage = open_storage(Settings(data_dir=tmp_path, storage_url="s3://bucket/a/prefix", **keys))
    # Uploads wait on this machine: sockets are closed in this test.
    with storage.receive(max_bytes=1) as upload:
        assert tmp_path / "quarantine" in upload.path.parents


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://host/folder", "found the scheme 'ftp'"),
        ("s3://", "found no bucket"),
        ("s3:///prefix", "found no bucket"),
        ("s3://key:secret@bucket/prefix", "found no bucket and prefix alone"),
        ("s3://bucket/../other", "found a prefix with other"),
        ("s3://bucket/Prefix", "found a prefix with other"),
    ],
)
def test_addresses_that_lead_nowhere_are_refused(tmp_path: Path, url: str, complaint: str) -> None:
    with pytest.raises(StorageUrlError, match=complaint) as refusal:
        open_storage(Settings(data_dir=tmp_path, storage_url=url))
    assert "secret" not in str(refusal.value)
