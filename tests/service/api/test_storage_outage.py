"""An S3 server that is away or silent while a scan is uploaded, and what readiness says of it."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.api.actions import submission
from service.db.rows import PredictionRow, ScanRow
from service.enclosure import Enclosure
from service.quarantine import CheckedCopy, copy_checked
from tests.servers import S3Server, s3_server, wait_until
from tests.service.api.serving import Serving, make_settings, scan_bytes, serving, web_process

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def served(s3: S3Server, tmp_path: Path, database_template: Path) -> Iterator[Serving]:
    values = s3.settings("p", storage_timeout_s=0.5, storage_attempts=2)
    with serving(make_settings(tmp_path / "data", database_template, **values)) as running:
        yield running


def missing_parts(served: Serving) -> list[str]:
    return served.client.get("/readyz").json()["missing"]


@pytest.mark.parametrize("outage", ["killed", "silent"])
def test_an_upload_that_storage_cannot_take_is_answered_503_and_leaves_nothing(
    served: Serving, s3: S3Server, tmp_path: Path, outage: str
) -> None:
    headers = served.key()
    served.upload(headers)
    s3.kill() if outage == "killed" else s3.pause()
    began = time.monotonic()
    answer = served.client.post("/api/v1/scans", headers=headers, files={"scan": ("s.nii.gz", scan_bytes())})
    assert time.monotonic() - began < 15
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "127.0.0.1" not in answer.text
    with served.sessions() as session:
        assert (session.query(ScanRow).count(), session.query(PredictionRow).count()) == (1, 1)
    assert [path for path in (tmp_path / "data" / "quarantine").rglob("*") if path.is_file()] == []
    assert "storage" in missing_parts(served)

    s3.start() if outage == "killed" else s3.resume()
    wait_until(lambda: "storage" not in missing_parts(served), "storage to be ready")
    served.upload(headers)
    with served.sessions() as session:
        named = {row.storage_key for row in session.query(ScanRow)}
    assert len(named) == 2
    assert named <= {file.key for file in served.resources.storage.stored("scans")}


def test_a_disk_that_is_full_when_an_upload_is_copied_is_an_outage_of_storage(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to_a_full_disk(enclosure: Enclosure, upload: Path, _copy: Path, **options: Any) -> CheckedCopy:
        return copy_checked(enclosure, upload, Path("/dev/full"), **options)

    monkeypatch.setattr(submission, "copy_checked", to_a_full_disk)
    files = {"scan": ("s.nii.gz", scan_bytes())}
    answer = served.client.post("/api/v1/scans", headers=served.key(), files=files)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    with served.sessions() as session:
        assert session.query(ScanRow).count() == 0


def test_uploads_that_wait_for_a_silent_storage_keep_nobody_else_waiting(
    s3: S3Server, tmp_path: Path, database_template: Path
) -> None:
    values = s3.settings("p", storage_timeout_s=15, storage_attempts=2)
    settings = make_settings(tmp_path / "data", database_template, **values)
    with serving(settings) as served:
        headers = served.key()
    with web_process(settings) as (address, _process, _started_s), ThreadPoolExecutor(60) as clients:

        def upload(_number: int) -> int:
            scan = {"scan": ("s.nii.gz", scan_bytes())}
            answer = httpx2.post(f"{address}/api/v1/scans", headers=headers, files=scan, timeout=90)
            return answer.status_code

        s3.pause()
        answers = clients.map(upload, range(60))
        time.sleep(3)
        began = time.monotonic()
        assert httpx2.get(f"{address}/api/v1/predictions", headers=headers, timeout=30).status_code == 200
        # A thread that a silent storage holds comes back after 15 seconds, and all 40 would be held.
        assert time.monotonic() - began < 10
        s3.resume()
        assert set(answers) == {202}


def test_a_scan_is_deleted_although_storage_is_away_and_its_file_is_left_to_the_sweep(
    served: Serving, s3: S3Server
) -> None:
    headers = served.key()
    scan_id = served.upload(headers)["scan_id"]
    s3.kill()
    assert served.client.delete(f"/api/v1/scans/{scan_id}", headers=headers).status_code == 204
    s3.start()
    assert len(list(served.resources.storage.stored("scans"))) == 1
