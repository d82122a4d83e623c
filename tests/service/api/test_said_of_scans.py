"""What is said of a scan beside its bytes: a repetition time that its header does not state."""

import gzip
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import select

from imaging import open_scan
from service.db.rows import ScanRow
from tests.service.api.serving import Serving, scan_bytes
from tests.service.api.test_scans import nothing_is_left, rows, stored_files
from tests.service.api.tus_client import Client

FORM, RAW, PARTS = "form", "raw", "parts"
WAYS = (FORM, RAW, PARTS)


def sent(served: Serving, way: str, content: bytes, **said: str) -> tuple[int, dict[str, object]]:
    """Send a scan in one of the ways; returns the status and the answer."""
    key = served.key()
    if way == FORM:
        file = {"scan": ("scan.nii.gz", content)}
        answer = served.client.post("/api/v1/scans", headers=key, data=said, files=file)
    elif way == RAW:
        headers = {"X-Filename": "scan.nii.gz", "Content-Type": "application/octet-stream"}
        headers |= {f"X-{name.replace('_', '-')}": value for name, value in said.items()}
        answer = served.client.post("/api/v1/scans", headers=key | headers, content=content)
    else:
        tus = Client(served.client, key)
        answer = tus.complete(tus.send(content), **said)
    return answer.status_code, answer.json()


def the_scan(served: Serving) -> ScanRow:
    with served.sessions() as session:
        return session.scalars(select(ScanRow)).one()


def stored_tr_s(served: Serving, folder: Path) -> float:
    """Read the repetition time of the one stored scan, as a worker would."""
    [name] = stored_files(served)
    copy = folder / "stored.nii.gz"
    copy.write_bytes((served.resources.settings.data_dir / "storage" / name).read_bytes())
    return open_scan(copy).tr_s


@pytest.mark.parametrize("way", WAYS)
def test_a_time_that_is_said_is_taken_where_the_header_has_none(
    served: Serving, tmp_path: Path, way: str
) -> None:
    status, answer = sent(served, way, scan_bytes(tr_s=0.0), tr_s="2.2")
    assert status == 202, answer
    scan = the_scan(served)
    assert (scan.tr_s, scan.header["tr_s"]) == (2.2, 2.2)
    assert stored_tr_s(served, tmp_path) == 2.2


def test_only_the_time_and_its_unit_are_written_into_the_copy(served: Serving) -> None:
    content = scan_bytes(tr_s=0.0)
    assert sent(served, FORM, content, tr_s="2.2")[0] == 202
    [name] = stored_files(served)
    stored = gzip.decompress((served.resources.settings.data_dir / "storage" / name).read_bytes())
    given = gzip.decompress(content)
    changed = {place for place, (new, old) in enumerate(zip(stored, given, strict=True)) if new != old}
    # NIfTI-1: pixdim[4] lies at 92 to 95, xyzt_units, which said seconds before, at 123.
    assert changed <= set(range(92, 96))
    assert changed


def test_a_time_that_cannot_be_gives_way_to_the_one_that_is_said(served: Serving, tmp_path: Path) -> None:
    content = scan_bytes(tr_s=2000.0)
    assert sent(served, FORM, content)[1]["code"] == "implausible_repetition_time"
    assert sent(served, FORM, content, tr_s="2")[0] == 202
    assert stored_tr_s(served, tmp_path) == 2.0


def test_a_time_that_can_be_stays_in_the_file(served: Serving, tmp_path: Path) -> None:
    # Whether it is overruled, with a warning, is said where the scan is brought into template space.
    assert sent(served, FORM, scan_bytes(tr_s=2.0), tr_s="2.5")[0] == 202
    assert stored_tr_s(served, tmp_path) == 2.0


@pytest.mark.parametrize("way", WAYS)
def test_without_it_the_refusal_says_what_to_give_and_where(served: Serving, way: str) -> None:
    status, answer = sent(served, way, scan_bytes(tr_s=0.0))
    assert (status, answer["code"]) == (422, "missing_repetition_time")
    told = json.dumps(answer)
    for place in ("--tr", "tr_s", "RepetitionTime", "Details of the acquisition"):
        assert place in told
    assert rows(served, ScanRow) == 0
    if way != PARTS:
        assert nothing_is_left(served)


@pytest.mark.parametrize("tr_s", [0.0, 2000.0])
def test_bytes_that_lack_a_word_wait_for_it(served: Serving, tr_s: float) -> None:
    tus = Client(served.client, served.key())
    place = tus.send(scan_bytes(tr_s=tr_s))
    assert tus.complete(place).status_code == 422
    assert tus.complete(place, tr_s=2.0).status_code == 202
    scan = the_scan(served)
    assert scan.tr_s == 2.0


@pytest.mark.parametrize("way", WAYS)
def test_an_order_and_times_of_slices_exclude_each_other(served: Serving, way: str) -> None:
    order, times = {"slice_order": "ascending"}, {"slice_times_s": "0,1"}
    status, answer = sent(served, way, scan_bytes(), **order, **times)
    assert (status, answer["code"]) == (422, "request_not_valid")
    [problem] = answer["details"]["errors"]
    assert problem["where"].removeprefix("body.") == "slice_order"
    assert problem["problem"] == "expected one of slice_order and slice_times_s, found both"
    assert rows(served, ScanRow) == 0
    # An empty input of a form says nothing.
    assert sent(served, way, scan_bytes(), **order, slice_times_s="")[0] == 202


TIMES_S = [0.0, 1.0, 0.2, 1.2, 0.4, 1.4, 0.6, 1.6, 0.8, 1.8]
SIDECAR = {
    "RepetitionTime": 2.0,
    "SliceTiming": TIMES_S,
    "SliceEncodingDirection": "k-",
    "PatientName": "Zaphod",
    "AcquisitionDateTime": "1952-11-03T08:00:00",
    "Manufacturer": "Föhn GmbH",
}
KEPT = {"tr_s": 2.0, "slice_times_s": TIMES_S[::-1], "discarded_volumes": 0}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stated_s", [0.0, 2.0])
def test_of_a_sidecar_its_times_are_kept_and_nothing_else(served: Serving, way: str, stated_s: float) -> None:
    status, answer = sent(served, way, scan_bytes(tr_s=stated_s), sidecar=json.dumps(SIDECAR))
    assert status == 202, answer
    scan = the_scan(served)
    # A minus turns the list round.
    assert (scan.sidecar, scan.tr_s, scan.slice_times_s) == (KEPT, None, None)
    assert scan.header["tr_s"] == 2.0
    kept = [path for path in served.resources.settings.data_dir.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"Zaphod" in path.read_bytes() or b"1952" in path.read_bytes()]


def test_a_sidecar_comes_as_a_file_of_the_form_in_any_order(served: Serving) -> None:
    text = json.dumps(SIDECAR, indent=2, ensure_ascii=False).encode("latin-1")
    sidecar, scan = ("sidecar", ("bold.json", text)), ("scan", ("scan.nii.gz", scan_bytes(tr_s=0.0)))
    for files in ([sidecar, scan], [scan, sidecar]):
        answer = served.client.post("/api/v1/scans", headers=served.key(), files=files)
        assert answer.status_code == 202, answer.text
    with served.sessions() as session:
        assert [row.sidecar for row in session.scalars(select(ScanRow))] == [KEPT, KEPT]


def test_a_header_of_several_lines_is_percent_encoded(served: Serving) -> None:
    text = quote(json.dumps(SIDECAR, indent=2))
    assert sent(served, RAW, scan_bytes(tr_s=0.0), sidecar=text)[0] == 202
    assert the_scan(served).sidecar == KEPT


@pytest.mark.parametrize("way", WAYS)
def test_a_sidecar_that_contradicts_the_header_is_refused_until_somebody_says(
    served: Serving, way: str
) -> None:
    said = {"sidecar": json.dumps({"RepetitionTime": 2.5})}
    status, answer = sent(served, way, scan_bytes(tr_s=2.0), **said)
    assert (status, answer["code"]) == (422, "repetition_times_differ")
    assert answer["details"] == {"header_s": 2.0, "sidecar_s": 2.5}
    assert sent(served, way, scan_bytes(tr_s=2.0), tr_s="2.5", **said)[0] == 202


NO_SIDECARS = {
    "no JSON": "RepetitionTime: 2",
    "a list": "[2.0]",
    "a text for a time": '{"RepetitionTime": "2 s"}',
    "a time without end": '{"RepetitionTime": 1e400}',
    "a number without end": '{"RepetitionTime": 1' + 400 * "0" + "}",
    "no number": '{"RepetitionTime": 2, "SliceTiming": [0, NaN]}',
    "texts for times": '{"SliceTiming": ["0", "1"]}',
    "slices along another axis": '{"SliceTiming": [0, 1], "SliceEncodingDirection": "i"}',
    "frames at unequal distances": '{"VolumeTiming": [0, 2, 5]}',
    "an abyss": 20_000 * "[",
    "too much": json.dumps({"RepetitionTime": 2.0, "ImageComments": 33_000 * "x"}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", NO_SIDECARS)
def test_what_is_no_sidecar_is_refused_by_its_own_code(served: Serving, way: str, what: str) -> None:
    status, answer = sent(served, way, scan_bytes(), sidecar=NO_SIDECARS[what])
    assert (status, answer["code"]) == (422, "bad_sidecar"), answer
    assert set(answer["details"]) == {"expected", "found"}
    assert rows(served, ScanRow) == 0
    if what == "no JSON":
        assert "RepetitionTime: 2" not in json.dumps(answer)


def test_an_empty_sidecar_is_refused_and_one_that_nobody_chose_is_none(served: Serving) -> None:
    scan = ("scan.nii.gz", scan_bytes())
    empty = served.client.post(
        "/api/v1/scans", headers=served.key(), files={"sidecar": ("bold.json", b" \n"), "scan": scan}
    )
    assert (empty.status_code, empty.json()["code"]) == (422, "bad_sidecar")
    # As a browser sends it.
    mark = "b0undary"
    parts = [("sidecar", "", b""), ("scan", *scan)]
    body = b"".join(
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, file, content in parts
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    whole = body + f"--{mark}--\r\n".encode()
    chosen = served.client.post("/api/v1/scans", headers=served.key() | headers, content=whole)
    assert chosen.status_code == 202, chosen.text
    assert the_scan(served).sidecar is None


def test_a_sidecar_before_its_scan_is_refused_before_the_scan_comes(served: Serving) -> None:
    files = [("sidecar", ("bold.json", b"{")), ("scan", ("scan.nii.gz", b"no scan at all"))]
    answer = served.client.post("/api/v1/scans", headers=served.key(), files=files)
    assert answer.json()["code"] == "bad_sidecar"


def test_bytes_wait_for_another_sidecar(served: Serving) -> None:
    tus = Client(served.client, served.key())
    place = tus.send(scan_bytes(tr_s=0.0))
    assert tus.complete(place, sidecar="{").json()["code"] == "bad_sidecar"
    assert tus.complete(place, sidecar='{"RepetitionTime": 3}').status_code == 202
    assert the_scan(served).header["tr_s"] == 3.0


def test_another_sidecar_is_another_request(served: Serving) -> None:
    key = served.key() | {"Idempotency-Key": "visit-1"}
    file = {"scan": ("scan.nii.gz", scan_bytes())}
    said = {"sidecar": '{"RepetitionTime": 2}'}
    first = served.client.post("/api/v1/scans", headers=key, files=file, data=said)
    again = served.client.post("/api/v1/scans", headers=key, files=file, data=said)
    assert first.json()["prediction_id"] == again.json()["prediction_id"]
    other = served.client.post("/api/v1/scans", headers=key, files=file)
    assert other.json()["code"] == "idempotency_key_reused"


def test_what_a_sidecar_said_goes_with_its_scan(served: Serving) -> None:
    assert sent(served, FORM, scan_bytes(), sidecar=json.dumps(SIDECAR))[0] == 202
    scan = the_scan(served)
    key = served.key()
    assert served.client.delete(f"/api/v1/scans/{scan.id}", headers=key).status_code == 204
    assert the_scan(served).sidecar is None
