from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import Settings
from service.storage.key_file import make_key_file
from tests.servers import S3Server, s3_server


@pytest.fixture(scope="session")
def shared_s3() -> Iterator[S3Server]:
    """A server for tests that leave it running; each has a prefix of its own."""
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    """A server for one test, which may stop it."""
    with s3_server() as server:
        yield server


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.txt"
    make_key_file(path)
    return path


@pytest.fixture(params=["folder", "bucket"])
def storage_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of either kind of storage, without encryption."""
    if request.param == "folder":
        return Settings(data_dir=tmp_path / "data")
    server = request.getfixturevalue("shared_s3")
    return Settings(data_dir=tmp_path / "data", **server.settings(prefix=tmp_path.name.replace("_", "-")))
