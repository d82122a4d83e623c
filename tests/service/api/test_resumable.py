"""A scan that comes in parts (tus 1.0.0): how far it is, who may go on, and what it becomes in the end."""

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from service.api.actions import submission
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import IdempotencyRow, PredictionRow, ScanRow
from service.identity.roles import Role
from service.storage import QUARANTINE_S, StorageUnavailableError
from service.worker.housekeeping import Housekeeping
from tests.servers import wait_until
from tests.service.api.serving import Serving, make_settings, scan_bytes, serving
from tests.service.api.test_scans import nothing_is_left, rows, stored_files
from tests.service.api.tus_client import TUS, UPLOADS, Client, metadata


@pytest.fixture
def tus(served: Serving) -> Client:
    return Client(served.client, served.key())


def refusal(answer: Any) -> tuple[int, str]:
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    return answer.status_code, answer.json()["code"]


def lie_still(served: Serving, seconds: float) -> None:
    """Make every unfinished upload older."""
    then = time.time() - seconds
    for path in (served.resources.settings.data_dir / "storage" / "resumable").rglob("*.*"):
        os.utime(path, (then, then))


def test_parts_become_the_scan_that_one_piece_would_have(served: Serving, tus: Client) -> None:
    content = scan_bytes()
    place = tus.begun(len(content), **{"Upload-Metadata": metadata("Föhn 7.nii.gz")})
    offset = 0
    for end in (1, 1000, 1000, len(content)):
        answer = tus.append(place, offset, content[offset:end])
        assert answer.status_code == 204
        offset = int(answer.headers["Upload-Offset"])
        assert offset == end == tus.offset(place)
    answer = tus.complete(place, subject_id="P-1", age_years="11.5", sex="", site="KKI")
    assert answer.status_code == 202
    accepted = answer.json()
    assert accepted["links"]["page"] == f"/predictions/{accepted['prediction_id']}"
    scan = served.client.get(accepted["links"]["scan"], headers=tus.headers).json()
    assert scan["sha256"] == hashlib.sha256(content).hexdigest()
    assert (scan["name"], scan["size_bytes"]) == ("Föhn 7.nii.gz", len(content))
    assert (scan["subject_id"], scan["age_years"], scan["sex"]) == ("P-1", 11.5, None)
    prediction = served.client.get(accepted["links"]["prediction"], headers=tus.headers).json()
    assert prediction["status"] == "queued"
    assert [name.split("/")[0] for name in stored_files(served)] == ["scans"]


def test_the_protocol_says_what_it_is_and_how_much_it_takes(served: Serving, tus: Client) -> None:
    told = served.client.options(UPLOADS, headers=tus.headers)
    assert told.status_code == 204
    assert told.headers["Tus-Version"] == "1.0.0"
    assert told.headers["Tus-Max-Size"] == "200000"
    assert set(told.headers["Tus-Extension"].split(",")) == {"creation", "expiration", "termination"}
    other = tus.begin(10, **{"Tus-Resumable": "0.2.2"})
    assert refusal(other) == (412, "tus_version_not_supported")
    assert other.headers["Tus-Version"] == "1.0.0"
    silent = served.client.head(f"{UPLOADS}/x", headers=tus.headers)
    assert silent.status_code == 422


def test_more_than_an_upload_may_have_is_refused_before_any_byte(served: Serving, tus: Client) -> None:
    assert refusal(tus.begin(200_001)) == (413, "upload_too_large")
    assert nothing_is_left(served)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "filename",
        "filename ???",
        "filename /w==",
        "filename IA==",
        f"{metadata()},{metadata()}",
        f"{metadata()},subject_id UC0x",
        "name YS5uaWk=",
    ],
)
def test_metadata_other_than_a_name_are_refused_without_repeating_them(
    served: Serving, tus: Client, said: str
) -> None:
    answer = tus.begin(10, **{"Upload-Metadata": said})
    assert refusal(answer) == (422, "request_not_valid")
    assert "UC0x" not in answer.text
    assert nothing_is_left(served)


@pytest.mark.parametrize("length", ["", "-1", "1e3", "many", str(1 << 60)])
def test_a_length_that_cannot_be_is_refused(tus: Client, length: str) -> None:
    assert refusal(tus.begin(0, **{"Upload-Length": length})) == (422, "request_not_valid")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd.nii.gz", "passwd.nii.gz"),
        ("<img src=x onerror=alert(1)>.nii", "<img src=x onerror=alert(1)>.nii"),
        ("a\u202egz.iin\0.nii", "agz.iin.nii"),
    ],
)
def test_a_hostile_name_is_only_shown(served: Serving, tus: Client, name: str, shown: str) -> None:
    place = tus.send(scan_bytes(), **{"Upload-Metadata": metadata(name)})
    assert not [path for path in stored_files(served) if "passwd" in path or "img" in path]
    accepted = tus.complete(place).json()
    assert served.client.get(accepted["links"]["scan"], headers=tus.headers).json()["name"] == shown


@pytest.mark.parametrize("offset", [0, 3, 5, 10**6])
def test_bytes_for_another_place_are_refused_and_change_nothing(tus: Client, offset: int) -> None:
    place = tus.begun(10)
    tus.append(place, 0, b"1234")
    answer = tus.append(place, offset, b"")
    assert refusal(answer) == (409, "upload_offset_conflict")
    assert answer.json()["details"] == {"expected": 4, "found": offset}
    assert tus.offset(place) == 4


def test_more_bytes_than_announced_are_refused_announced_or_not(served: Serving, tus: Client) -> None:
    place = tus.begun(4)
    assert refusal(tus.append(place, 0, b"12345")) == (413, "upload_too_large")
    unannounced = served.client.patch(
        place,
        headers=tus.headers | TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
        content=iter([b"123", b"45"]),
    )
    assert refusal(unannounced) == (413, "upload_too_large")
    assert tus.offset(place) == 0


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("application/octet-stream", "application/octet-stream"),
        ("Multipart/Form-Data; boundary=x", "multipart/form-data"),
        ("", "no Content-Type"),
        ("<b>Anna Meier</b>", "a Content-Type that is none"),
    ],
)
def test_a_body_of_another_kind_is_told_what_was_expected_and_what_came(
    tus: Client, sent: str, found: str
) -> None:
    answer = tus.append(tus.begun(4), 0, b"1234", **{"Content-Type": sent})
    assert refusal(answer) == (415, "media_type_not_supported")
    told = answer.json()
    assert told["detail"] == f"expected application/offset+octet-stream, found {found}"
    # What is no form must not be told to become one.
    assert "form" not in told["remedy"]
    assert "Content-Type that is expected" in told["remedy"]


def test_two_requests_for_one_upload_do_not_mix(served: Serving, tus: Client) -> None:
    content = scan_bytes()
    place = tus.begun(len(content))
    [part] = (served.resources.settings.data_dir / "storage" / "resumable").rglob("*.part")
    begun = served.resources.partial_uploads.find(
        part.stem, account=part.parent.name, organisation_id=DEFAULT_ORGANISATION_ID
    )
    first = begun.append(offset_bytes=0)
    first.write(content[:100])
    second = tus.append(place, 0, content)
    assert refusal(second) == (423, "upload_busy")
    assert int(second.headers["Retry-After"]) > 0
    assert refusal(tus.complete(place)) == (423, "upload_busy")
    first.close()
    assert tus.append(place, 100, content[100:]).status_code == 204
    assert tus.complete(place).status_code == 202


def test_a_stop_while_a_part_comes_ends_both_cleanly(served: Serving, tus: Client) -> None:
    place = tus.begun(150_000)
    [part] = (served.resources.settings.data_dir / "storage" / "resumable").rglob("*.part")
    begun = served.resources.partial_uploads.find(
        part.stem, account=part.parent.name, organisation_id=DEFAULT_ORGANISATION_ID
    )
    said = tus.headers | TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}

    def stopped_meanwhile() -> Iterator[bytes]:
        yield b"x" * 50_000
        begun.stop()
        yield b"x" * 50_000

    assert refusal(served.client.patch(place, headers=said, content=stopped_meanwhile())) == (
        404,
        "upload_not_found",
    )
    assert nothing_is_left(served)


def test_what_is_being_handed_over_cannot_be_stopped(served: Serving, tus: Client) -> None:
    content = scan_bytes()
    place = tus.send(content)
    [part] = (served.resources.settings.data_dir / "storage" / "resumable").rglob("*.part")
    begun = served.resources.partial_uploads.find(
        part.stem, account=part.parent.name, organisation_id=DEFAULT_ORGANISATION_ID
    )
    with begun.whole():
        answer = tus.stop(place)
    assert refusal(answer) == (423, "upload_busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert tus.complete(place).status_code == 202


def test_an_upload_is_its_accounts_alone(served: Serving, tus: Client) -> None:
    place = tus.begun(4)
    elsewhere = served.organisation("elsewhere")
    others = [
        Client(served.client, served.key("colleague")),
        Client(served.client, served.key("chief", Role.ADMINISTRATOR)),
        Client(served.client, served.key("stranger", organisation_id=elsewhere)),
    ]
    for other in others:
        assert refusal(other.append(place, 0, b"1234")) == (404, "upload_not_found")
        assert refusal(other.complete(place)) == (404, "upload_not_found")
        assert refusal(other.stop(place)) == (404, "upload_not_found")
        assert served.client.head(place, headers=other.headers | TUS).status_code == 404
    assert tus.offset(place) == 0


@pytest.mark.parametrize("upload_id", ["x", "..", "%2e%2e%2fx", "0" * 32, "A" * 36])
def test_an_identifier_that_is_none_leads_nowhere(served: Serving, tus: Client, upload_id: str) -> None:
    answer = served.client.head(f"{UPLOADS}/{upload_id}", headers=tus.headers | TUS)
    assert answer.status_code in {404, 405}


def test_a_finished_upload_gives_the_same_prediction_again(served: Serving, tus: Client) -> None:
    place = tus.send(scan_bytes())
    first = tus.complete(place, subject_id="P-1").json()
    assert tus.complete(place, subject_id="P-1").json() == first
    assert refusal(tus.append(place, 0, b"")) == (404, "upload_not_found")
    assert (rows(served, PredictionRow), rows(served, IdempotencyRow)) == (1, 1)


def test_a_clients_own_key_is_none_of_an_uploads(served: Serving, tus: Client) -> None:
    place = tus.send(scan_bytes())
    upload_id = place.rsplit("/", 1)[1]
    for key in (f"upload-{upload_id}", f"upload_{upload_id}"):
        served.upload(tus.headers | {"Idempotency-Key": key}, scan_bytes(seed=5))
    assert tus.complete(place).status_code == 202
    spaced = tus.headers | {"Idempotency-Key": f"upload {upload_id}"}
    answer = served.client.post("/api/v1/scans", headers=spaced, content=scan_bytes(seed=5))
    assert answer.status_code == 422


def test_finishing_at_the_same_time_makes_one_prediction(served: Serving, tus: Client) -> None:
    place = tus.send(scan_bytes())
    with ThreadPoolExecutor(4) as clients:
        answers = [answer.result() for answer in [clients.submit(tus.complete, place) for _ in range(4)]]
    assert {answer.status_code for answer in answers} <= {202, 423}
    assert len({answer.json()["prediction_id"] for answer in answers if answer.status_code == 202}) == 1
    assert rows(served, PredictionRow) == 1


def test_an_unfinished_upload_is_not_handed_over(served: Serving, tus: Client) -> None:
    content = scan_bytes()
    place = tus.begun(len(content))
    tus.append(place, 0, content[:-1])
    assert refusal(tus.complete(place)) == (409, "upload_incomplete")
    assert rows(served, ScanRow) == 0
    tus.append(place, len(content) - 1, content[-1:])
    assert tus.complete(place).status_code == 202


@pytest.mark.parametrize(("content", "code"), [(b"", "empty_file"), (b"no scan" * 99, "not_nifti")])
def test_a_file_that_is_no_scan_is_refused_and_gone(
    served: Serving, tus: Client, content: bytes, code: str
) -> None:
    place = tus.send(content)
    answer = tus.complete(place)
    assert refusal(answer) == (422, code)
    assert answer.json()["remedy"]
    assert nothing_is_left(served)
    assert refusal(tus.complete(place)) == (404, "upload_not_found")


def test_a_value_that_cannot_be_is_corrected_without_sending_the_file_again(tus: Client) -> None:
    place = tus.send(scan_bytes())
    answer = tus.complete(place, subject_id="Anna Meier")
    assert refusal(answer) == (422, "request_not_valid")
    assert "Anna" not in answer.text
    assert tus.complete(place, subject_id="P-1").status_code == 202


def test_an_outage_at_the_end_costs_no_byte(
    served: Serving, tus: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: Any, **_options: Any) -> None:
        raise StorageUnavailableError("test")

    place = tus.send(scan_bytes())
    with monkeypatch.context() as patched:
        patched.setattr(submission, "_keep", away)
        assert refusal(tus.complete(place)) == (503, "storage_unavailable")
    assert tus.complete(place).status_code == 202


def test_a_stopped_upload_is_gone(served: Serving, tus: Client) -> None:
    place = tus.begun(4)
    tus.append(place, 0, b"12")
    assert tus.stop(place).status_code == 204
    assert nothing_is_left(served)
    assert refusal(tus.stop(place)) == (404, "upload_not_found")


def test_an_upload_waits_for_a_day_from_its_last_byte(served: Serving, tus: Client) -> None:
    place = tus.begun(4)
    lie_still(served, QUARANTINE_S - 60)
    answer = tus.append(place, 0, b"12")
    expires = parsedate_to_datetime(answer.headers["Upload-Expires"]).timestamp()
    assert expires == pytest.approx(time.time() + QUARANTINE_S, abs=30)
    lie_still(served, QUARANTINE_S + 60)
    assert refusal(tus.append(place, 2, b"34")) == (404, "upload_not_found")
    # Whoever begins another one tidies up.
    tus.begun(4)
    assert len(stored_files(served)) == 2


def test_the_sweep_removes_what_nobody_goes_on_with(served: Serving, tus: Client) -> None:
    place = tus.begun(4)
    lie_still(served, QUARANTINE_S + 60)
    resources = served.resources
    keeper = Housekeeping(resources.settings, sessions=served.sessions, storage=resources.storage)
    keeper.start()
    try:
        wait_until(lambda: stored_files(served) == [], "the sweep")
    finally:
        keeper.stop()
    assert refusal(tus.stop(place)) == (404, "upload_not_found")


def test_an_account_has_so_many_unfinished_uploads_and_the_oldest_gives_way(
    tmp_path: Path, database_template: Path
) -> None:
    settings = make_settings(tmp_path / "few", database_template, unfinished_uploads_per_account=2)
    with serving(settings) as served:
        tus, other = Client(served.client, served.key()), Client(served.client, served.key("other"))
        places = [tus.begun(4), tus.begun(4)]
        answer = tus.begin(4)
        assert refusal(answer) == (429, "too_many_unfinished_uploads")
        assert int(answer.headers["Retry-After"]) > 0
        other.begun(4)
        lie_still(served, 3600)
        tus.append(places[0], 0, b"1")
        places.append(tus.begun(4))
        assert tus.offset(places[0]) == 1
        assert tus.offset(places[2]) == 0
        assert refusal(tus.append(places[1], 0, b"1")) == (404, "upload_not_found")


def test_a_part_takes_an_uploads_place_and_its_rate(tmp_path: Path, database_template: Path) -> None:
    settings = make_settings(tmp_path / "few", database_template, uploads_per_minute=2)
    with serving(settings) as served:
        tus = Client(served.client, served.key())
        places = [tus.begun(4), tus.begun(4)]
        assert tus.begin(4).json()["code"] == "rate_limited"
        [account] = {path.parent.name for path in (settings.data_dir / "storage").rglob("*.part")}
        most = served.resources.upload_slots.most_per_account
        served.resources.upload_slots._arriving[account] = most
        assert refusal(tus.append(places[0], 0, b"1")) == (429, "too_many_uploads")
        served.resources.upload_slots._arriving[account] = 0
        assert tus.append(places[0], 0, b"1").status_code == 204


def test_a_login_needs_its_token_for_every_step(served: Serving) -> None:
    token = served.log_in(served.user())
    with_token, without = (Client(served.client, headers) for headers in ({"X-CSRF-Token": token}, {}))
    place = with_token.begun(4)
    for answer in (
        without.begin(4),
        without.append(place, 0, b"1"),
        without.stop(place),
        without.complete(place),
    ):
        assert refusal(answer) == (403, "cross_site_request")
    assert with_token.offset(place) == 0
