"""Handing a scan over: both ways of sending it, what is refused, and that a refusal leaves nothing behind."""

import base64
import gzip
import hashlib
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from service.db.rows import AuditEventRow, IdempotencyRow, PredictionRow, PredictionState, ResultRow, ScanRow
from service.enclosure import ReaderDiedError
from service.quarantine import open_quarantine
from tests.service.api.serving import Serving, sample_result, scan_bytes


def rows(served: Serving, kind: type) -> int:
    with served.sessions() as session:
        return session.execute(select(func.count()).select_from(kind)).scalar_one()


def stored_files(served: Serving) -> list[str]:
    root = served.resources.settings.data_dir / "storage"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def nothing_is_left(served: Serving) -> bool:
    return stored_files(served) == [] and rows(served, ScanRow) == 0 and rows(served, PredictionRow) == 0


def test_a_form_is_accepted_and_queued(served: Serving) -> None:
    key = served.key()
    content = scan_bytes()
    accepted = served.upload(key, content, subject_id="P-1", age_years="11.5", sex="female", site="KKI")
    assert accepted["links"]["prediction"] == f"/api/v1/predictions/{accepted['prediction_id']}"
    scan = served.client.get(accepted["links"]["scan"], headers=key).json()
    assert scan["sha256"] == hashlib.sha256(content).hexdigest()
    assert (scan["subject_id"], scan["age_years"], scan["sex"], scan["site"]) == (
        "P-1",
        11.5,
        "female",
        "KKI",
    )
    assert scan["header"] == {
        "shape": [12, 12, 10, 40],
        "zooms_mm": [4.0, 4.0, 4.0],
        "tr_s": 2.0,
        "n_frames": 40,
    }
    prediction = served.client.get(accepted["links"]["prediction"], headers=key).json()
    assert (prediction["status"], prediction["queue_position"], prediction["progress"]) == ("queued", 1, 0.0)
    assert scan["emptied_fields"] == []


def test_what_is_stored_is_a_copy_without_free_text(served: Serving) -> None:
    key = served.key()
    inside = bytearray(gzip.decompress(scan_bytes()))
    inside[148:156] = b"Jane Doe"
    content = gzip.compress(bytes(inside))
    accepted = served.upload(key, content)
    scan = served.client.get(accepted["links"]["scan"], headers=key).json()
    assert scan["sha256"] == hashlib.sha256(content).hexdigest()
    assert scan["size_bytes"] == len(content)
    assert scan["emptied_fields"] == ["descrip"]
    [kept] = stored_files(served)
    stored = (served.resources.settings.data_dir / "storage" / kept).read_bytes()
    inside[148:156] = bytes(8)
    assert gzip.decompress(stored) == bytes(inside)
    with served.sessions() as session:
        row = session.get_one(ScanRow, accepted["scan_id"])
    assert row.stored_sha256 == hashlib.sha256(stored).hexdigest()
    assert row.sha256 != row.stored_sha256


def test_a_file_that_ends_its_reader_is_refused_and_nothing_is_kept(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_args: object, **_named: object) -> None:
        raise ReaderDiedError(found="SIGSEGV")

    monkeypatch.setattr(served.resources.quarantine, "run", die)
    answer = served.client.post(
        "/api/v1/scans", headers=served.key(), files={"scan": ("s.nii", scan_bytes())}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "scan_reader_died")
    assert answer.json()["details"] == {"found": "SIGSEGV"}
    assert nothing_is_left(served)


def test_a_reader_that_cannot_be_started_is_not_the_files_fault(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A quarantine that has no server yet, as after the start of the service.
    served.app.state.resources = replace(served.resources, quarantine=open_quarantine())
    monkeypatch.setattr(
        subprocess, "Popen", lambda *_args, **_named: (_ for _ in ()).throw(OSError(12, "no"))
    )
    answer = served.client.post(
        "/api/v1/scans", headers=served.key(), files={"scan": ("s.nii", scan_bytes())}
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "scan_reader_unavailable")
    assert nothing_is_left(served)


def test_a_raw_body_is_the_same_as_a_form(served: Serving) -> None:
    content = scan_bytes()
    headers = served.key() | {
        "X-Filename": "sc%C3%A4n.nii.gz",
        "Content-Type": "application/gzip",
        "X-Subject-Id": "P-2",
    }
    answer = served.client.post("/api/v1/scans", headers=headers, content=content)
    assert answer.status_code == 202
    scan = served.client.get(answer.json()["links"]["scan"], headers=served.key()).json()
    assert (scan["name"], scan["subject_id"]) == ("scän.nii.gz", "P-2")
    assert scan["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_accepted_job_is_announced_by_name(served: Serving) -> None:
    accepted = served.upload(served.key())
    with served.sessions() as session:
        assert session.get_one(PredictionRow, accepted["prediction_id"]).published_at is not None
    [message] = (served.resources.settings.data_dir / "broker").rglob("*.msg")
    envelope = json.loads(message.read_text())
    assert envelope["headers"]["task"] == "prediction.run"
    assert json.loads(base64.b64decode(envelope["body"]))[0] == [accepted["prediction_id"]]


def test_a_broken_broker_does_not_refuse_an_upload(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(served.resources.queue, "send_task", broken)
    accepted = served.upload(served.key())
    with served.sessions() as session:
        row = session.get_one(PredictionRow, accepted["prediction_id"])
        assert (row.state, row.published_at) == (PredictionState.QUEUED, None)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd.nii.gz", "passwd.nii.gz"),
        ("C:\\scans\\child.nii", "child.nii"),
        ("a\u202eb\x07.nii.gz", "ab.nii.gz"),
        ("x" * 300 + ".nii.gz", "x" * 193 + ".nii.gz"),
    ],
)
def test_a_file_name_is_reduced_to_what_may_be_shown(served: Serving, name: str, shown: str) -> None:
    from service.api.actions.submission import clean_display_name

    assert clean_display_name(name) == shown


REFUSED_SCANS = [
    (b"", "empty_file"),
    (b"this is a text file, not a scan" * 40, None),
    (gzip.compress(b"not a scan either" * 100, mtime=0), None),
    (scan_bytes(shape=(12, 12, 10)), None),
    (scan_bytes(tr_s=0.0), None),
]


@pytest.mark.parametrize(("content", "code"), REFUSED_SCANS)
def test_a_file_that_is_no_scan_is_refused_with_its_code(
    served: Serving, content: bytes, code: str | None
) -> None:
    from imaging import ScanError, open_scan

    path = served.resources.settings.data_dir / "direct.nii"
    path.write_bytes(content)
    with pytest.raises(ScanError) as refusal:
        open_scan(path)
    answer = served.client.post("/api/v1/scans", headers=served.key(), files={"scan": ("s.nii.gz", content)})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == refusal.value.code
    assert answer.json()["detail"] == str(refusal.value)
    assert code in {None, refusal.value.code}
    path.unlink()
    assert nothing_is_left(served)


def test_a_form_without_the_file_is_refused(served: Serving) -> None:
    answer = served.client.post("/api/v1/scans", headers=served.key(), files={"subject_id": (None, "P-1")})
    assert (answer.status_code, answer.json()["code"]) == (422, "scan_missing")
    answer = served.client.post("/api/v1/scans", headers=served.key(), files={"scan": (None, "no file")})
    assert (answer.status_code, answer.json()["code"]) == (422, "scan_missing")
    assert nothing_is_left(served)


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused(served: Serving, kind: str) -> None:
    headers = served.key() | {"Content-Type": kind, "X-Filename": "s.nii"}
    answer = served.client.post("/api/v1/scans", headers=headers, content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_not_supported")


def test_a_raw_body_needs_its_name(served: Serving) -> None:
    headers = served.key() | {"Content-Type": "application/octet-stream"}
    answer = served.client.post("/api/v1/scans", headers=headers, content=scan_bytes())
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    assert answer.json()["details"]["errors"][0]["where"] == "header.X-Filename"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("age_years", "-1"),
        ("age_years", "old"),
        ("age_years", "nan"),
        ("sex", "x"),
        ("subject_id", "Jane Doe"),
        ("subject_id", "a" * 65),
        ("site", "../x"),
    ],
)
def test_a_field_that_cannot_be_is_refused_without_repeating_it(
    served: Serving, field: str, value: str
) -> None:
    answer = served.client.post(
        "/api/v1/scans", headers=served.key(), files={"scan": ("s.nii.gz", scan_bytes())}, data={field: value}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")
    assert answer.json()["details"]["errors"][0]["where"] == field
    assert f'"{value}"' not in answer.text
    assert nothing_is_left(served)


def test_more_bytes_than_allowed_are_refused(served: Serving) -> None:
    files = {"scan": ("s.nii.gz", b"x" * 200_001)}
    answer = served.client.post("/api/v1/scans", headers=served.key(), files=files)
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert answer.json()["details"] == {"max_bytes": 200_000}
    headers = served.key() | {"X-Filename": "s.nii", "Content-Type": "application/octet-stream"}
    answer = served.client.post("/api/v1/scans", headers=headers, content=iter([b"x" * 60_000] * 40))
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert nothing_is_left(served)


def test_the_same_key_and_bytes_give_the_same_prediction(served: Serving) -> None:
    key = served.key() | {"Idempotency-Key": "upload-1"}
    first = served.upload(key, subject_id="P-1")
    again = served.upload(key, subject_id="P-1")
    assert again == first
    assert (rows(served, ScanRow), rows(served, PredictionRow), len(stored_files(served))) == (1, 1, 1)


def test_the_same_key_for_another_request_is_refused(served: Serving) -> None:
    key = served.key() | {"Idempotency-Key": "upload-1"}
    served.upload(key)
    for content, fields in ((scan_bytes(seed=1), {}), (scan_bytes(), {"subject_id": "P-9"})):
        answer = served.client.post(
            "/api/v1/scans", headers=key, files={"scan": ("s.nii.gz", content)}, data=fields
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert (rows(served, ScanRow), len(stored_files(served))) == (1, 1)


def test_a_key_belongs_to_its_account(served: Serving) -> None:
    first = served.upload(served.key("one") | {"Idempotency-Key": "k"})
    second = served.upload(served.key("two") | {"Idempotency-Key": "k"})
    assert first["prediction_id"] != second["prediction_id"]


def test_a_retry_with_another_api_key_of_the_account_is_the_same_request(served: Serving) -> None:
    first = served.upload(served.key("one") | {"Idempotency-Key": "k"})
    assert served.upload(served.key("one") | {"Idempotency-Key": "k"}) == first


def test_simultaneous_duplicates_make_one_prediction(served: Serving) -> None:
    key = served.key() | {"Idempotency-Key": "race"}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: served.upload(key), range(6)))
    assert len({answer["prediction_id"] for answer in answers}) == 1
    assert (rows(served, ScanRow), rows(served, IdempotencyRow), len(stored_files(served))) == (1, 1, 1)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ä".encode("latin-1").decode("latin-1")])
def test_an_idempotency_key_that_cannot_be_is_refused(served: Serving, key: str) -> None:
    headers = {name.encode(): value.encode("latin-1") for name, value in served.key().items()}
    headers[b"Idempotency-Key"] = key.encode("latin-1")
    answer = served.client.post("/api/v1/scans", headers=headers, files={"scan": ("s.nii.gz", scan_bytes())})
    assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid")


def test_deleting_a_scan_removes_what_was_said_and_keeps_that_it_happened(served: Serving) -> None:
    key = served.key()
    accepted = served.upload(key | {"Idempotency-Key": "k"}, subject_id="P-1", age_years="10")
    served.finish(accepted["prediction_id"], sample_result(), model_version_id=served.register_model())
    assert served.client.delete(accepted["links"]["scan"], headers=key).status_code == 204
    for link in ("scan", "prediction"):
        answer = served.client.get(accepted["links"][link], headers=key)
        assert answer.status_code == 404
        assert answer.json()["code"] == f"{link}_not_found"
    assert served.client.get("/api/v1/predictions", headers=key).json()["items"] == []
    assert stored_files(served) == []
    assert (rows(served, ResultRow), rows(served, IdempotencyRow)) == (0, 0)
    with served.sessions() as session:
        [scan] = session.scalars(select(ScanRow))
        assert (scan.display_name, scan.subject_id, scan.age_years, scan.header) == (
            "deleted",
            None,
            None,
            None,
        )
        events = session.scalars(
            select(AuditEventRow.action).where(AuditEventRow.subject_id == scan.id)
        ).all()
    assert set(events) == {"scan.upload", "scan.delete", "scan.files_removed"}
    assert served.client.delete(accepted["links"]["scan"], headers=key).status_code == 404


def test_deleting_a_waiting_scan_cancels_its_prediction(served: Serving) -> None:
    key = served.key()
    accepted = served.upload(key)
    assert served.client.delete(accepted["links"]["scan"], headers=key).status_code == 204
    with served.sessions() as session:
        assert session.get_one(PredictionRow, accepted["prediction_id"]).state == PredictionState.CANCELLED


def test_a_scan_that_a_worker_reads_is_out_of_sight_at_once_and_its_prediction_asked_to_stop(
    served: Serving,
) -> None:
    key = served.key()
    accepted = served.upload(key)
    served.set_state(accepted["prediction_id"], PredictionState.PREPROCESSING)
    assert served.client.delete(accepted["links"]["scan"], headers=key).status_code == 204
    assert served.client.get(accepted["links"]["prediction"], headers=key).status_code == 404
    with served.sessions() as session:
        assert session.get_one(PredictionRow, accepted["prediction_id"]).cancel_requested
    assert len(stored_files(served)) == 1, "the worker still reads it"
