"""A zip as it comes from an archive of images, over REST with real workers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import httpx2
import nibabel as nib
import pytest
from pydicom import FileDataset, dcmread

from tests.identity import identity_of, telling
from tests.imaging.native.heads import short_run, write_run
from tests.imaging.native.sources import multiframe
from tests.imaging.native.sources.series import write_head, zipped
from tests.integration.test_every_file import REPOSITORY, is_ready, send
from tests.servers import end, free_port, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.enable_socket,
]

NAME, BIRTHDAY, WARD = "ZAPHODSON^TRILLIAN", "19010203", "Ward 42 of Nowhere"


@dataclass
class Service:
    """A running service, and where it keeps everything."""

    client: httpx2.Client
    folder: Path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder, port = tmp_path_factory.mktemp("data"), free_port()
    options = ["serve", "--demo", "--port", str(port), "--data-dir", str(folder)]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from service.cli import main; main()", *options],
            cwd=REPOSITORY,
            env={**os.environ, "RESTNET_SCRATCH_DIR": str(folder / "scratch")},
            stdout=output,
            stderr=output,
        )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as opened:
            wait_until(lambda: is_ready(opened), "the service to be ready", within_s=90)
            key = json.loads((folder / "demo-credentials.json").read_text())["api_key"]
            opened.headers["Authorization"] = f"Bearer {key}"
            yield Service(opened, folder)
    finally:
        end(process)


def named(image: FileDataset) -> None:
    image.PatientName = image.SeriesDescription = NAME
    image.PatientID = "ZZ-PLURAL-9"
    image.PatientBirthDate = image.StudyDate = BIRTHDAY
    image.InstitutionName = image.PatientComments = WARD


@pytest.fixture
def series(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give a zip of one series: a real one as it came, the same with a name, or a simulated one."""
    target = tmp_path / "series.zip"
    if request.param == "simulated":
        folder = write_head(tmp_path / "ZAPHODSON", change=lambda image, _frame, _slice: named(image))
        return zipped(folder, target)
    real: Path = request.getfixturevalue("shared_data") / "dicom/philips_epi_24vols_dicom.zip"
    if request.param == "as it came":
        return real
    with ZipFile(real) as given, ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for number, member in enumerate(given.namelist()):
            content = given.read(member)
            if content[128:132] != b"DICM":
                continue
            image = dcmread(BytesIO(content))
            named(image)
            written = BytesIO()
            image.save_as(written)
            archive.writestr(f"ZAPHODSON/{number}", written.getvalue())
    return target


@pytest.mark.parametrize(
    "series",
    [
        pytest.param("with a name", marks=pytest.mark.real_data),
        pytest.param("as it came", marks=[pytest.mark.real_data, pytest.mark.thorough]),
        pytest.param("simulated", marks=pytest.mark.thorough),
    ],
    indirect=True,
)
def test_a_series_is_answered_and_nothing_that_is_kept_says_whose_it_is(
    service: Service, series: Path, tmp_path: Path
) -> None:
    words = identity_of(series)
    # What is looked for is found where it is: in the zip, as its names and packed.
    given = tmp_path / "given"
    given.mkdir()
    copy = given / "series.zip"
    copy.write_bytes(series.read_bytes())
    found = "\n".join(telling(given, words))
    assert {word for word in words if repr(word) in found} == words
    if series.parent == tmp_path:
        assert {NAME.encode(), BIRTHDAY.encode(), WARD.encode(), b"ZZ-PLURAL-9"} <= words
        words |= {b"ZAPHODSON"}

    ended = send(service.client, series)
    assert ended["status"] == "succeeded", ended["error"]
    result = ended["result"]
    assert 0 < result["adhd_probability"] < 1
    assert "run_short" in {warning["code"] for warning in result["warnings"]}
    assert result["normalisation"]["input"]["origin"] == "dicom"
    scan = service.client.get(f"/api/v1/scans/{ended['scan_id']}").json()
    assert (scan["header"], scan["emptied_fields"]) == (None, None)
    assert scan["sha256"] == sha256(series.read_bytes()).hexdigest()

    told = service.folder / "told"
    told.mkdir(exist_ok=True)
    for page in (
        "",
        "/report.html",
        "/report.pdf",
        "/normalised",
        "/normalised/provenance",
        "/normalised/figures/registration.png",
        "/explanation",
    ):
        answer = service.client.get(f"/api/v1/predictions/{ended['id']}{page}")
        assert answer.status_code == 200, page
        (told / f"{ended['id']}{page.replace('/', '-')}").write_bytes(answer.content)
    stored = [path for path in service.folder.rglob(f"{ended['scan_id']}*") if "scans" in path.parts]
    assert [path.name for path in stored] == [f"{ended['scan_id']}-run.nii.gz"]
    # It is not encrypted: that nothing is found in it means something.
    header = nib.load(stored[0]).header
    texts = ("descrip", "aux_file", "intent_name", "db_name", "data_type")
    assert [bytes(header[text]).strip(b"\0") for text in texts] == [b""] * len(texts)
    assert list(header.extensions) == []
    assert telling(service.folder, words) == []
    assert telling(told, {b"series.zip"}) != []
    assert list((service.folder / "scratch").glob("restnet-*")) == []


def test_a_zip_without_a_run_is_refused(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "letters.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "nothing to see of ZAPHODSON")
    ended = send(service.client, path)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "no_run_found")
    # What it was refused for stays; the zip goes, so that nothing can be tried again.
    wait_until(lambda: telling(service.folder, {b"nothing to see"}) == [], "the zip to be gone")
    again = service.client.post(f"/api/v1/predictions/{ended['id']}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "scan_given_up")
    assert service.client.get(f"/api/v1/predictions/{ended['id']}").json()["error"]["code"] == "no_run_found"


def test_a_damaged_zip_is_refused(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "cut.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "nothing to see" * 1000)
    path.write_bytes(path.read_bytes()[:5000])
    ended = send(service.client, path)
    assert (ended["status"], ended["error"]["code"]) == ("failed", "zip_damaged")


def test_a_bids_subject_is_answered_by_the_run_that_is_named(service: Service, tmp_path: Path) -> None:
    functional = tmp_path / "sub-Zaphodson" / "ses-19521103" / "func"
    for number in (1, 2):
        name = f"sub-Zaphodson_ses-19521103_task-rest_run-{number}_bold"
        write_run(functional / f"{name}.nii.gz", short_run())
    times_s = [round(2.5 * number / 36, 4) for number in range(36)]
    (functional / f"{name}.json").write_text(json.dumps({"RepetitionTime": 2.5, "SliceTiming": times_s}))
    archive = zipped(tmp_path / "sub-Zaphodson", tmp_path / "subject.zip")

    unnamed = send(service.client, archive)
    assert (unnamed["status"], unnamed["error"]["code"]) == ("failed", "several_runs")
    assert unnamed["error"]["details"] == {"n_runs": 2, "differ_in": ["run"]}
    assert "19521103" not in json.dumps(unnamed)

    ended = send(service.client, archive, run="run-2")
    assert ended["status"] == "succeeded", ended["error"]
    result = ended["result"]
    assert (result["space"], result["scan"]["shape"]) == ("native", [64, 64, 36, 30])
    assert result["normalisation"]["slice_timing"] is True
    expected = {"origin": "bids", "tr_s": 2.5, "tr_from": "sidecar", "slice_times_from": "sidecar"}
    assert expected.items() <= result["normalisation"]["input"].items()
    told = service.client.get(f"/api/v1/predictions/{ended['id']}/normalised/provenance").json()
    assert told["provenance"]["slice_times_s"] == times_s
    assert "Zaphodson" not in json.dumps([result, told])


@pytest.mark.thorough
def test_one_of_several_series_is_answered_by_its_number(service: Service, tmp_path: Path) -> None:
    for number in (4, 9):
        multiframe.write_head(tmp_path / "exam" / str(number), short_run(), number=number)
    archive = zipped(tmp_path / "exam", tmp_path / "exam.zip")

    unnamed = send(service.client, archive)
    assert (unnamed["status"], unnamed["error"]["code"]) == ("failed", "several_series")
    assert "4" in unnamed["error"]["message"]
    assert "9" in unnamed["error"]["message"]

    sidecar = json.dumps({"RepetitionTime": 2.5, "SliceTiming": [number / 15 for number in range(36)]})
    ended = send(service.client, archive, run="9", sidecar=sidecar)
    assert ended["status"] == "succeeded", ended["error"]
    expected = {"origin": "dicom", "tr_from": "dicom", "slice_times_from": "sidecar"}
    assert expected.items() <= ended["result"]["normalisation"]["input"].items()
