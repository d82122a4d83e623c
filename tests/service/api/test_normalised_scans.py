"""A scan that was brought into template space: followed, read, and said on the page and in the report."""

import base64
import hashlib
import io
from typing import get_args

import pypdf
import pytest
from sqlalchemy import update

from imaging.native import judging
from imaging.native.sources import ORDERS
from service.api.payloads import SliceOrder
from service.db.rows import NormalisedScanRow, PredictionState, ScanRow
from service.identity.roles import Role
from service.web.language import Language, spoken
from service.web.prediction import normalised
from tests.service.api.serving import PASSWORD, SAMPLE_PNG, Serving, sample_result, sample_summary, scan_bytes

NATIVE = {"space": "native", "normalisation": sample_summary()}


@pytest.fixture
def key(served: Serving) -> dict[str, str]:
    return served.key("doctor")


@pytest.fixture
def prediction_id(served: Serving, key: dict[str, str]) -> str:
    prediction_id: str = served.upload(key)["prediction_id"]
    served.finish(prediction_id, sample_result() | NATIVE, model_version_id=served.register_model())
    return prediction_id


def address(prediction_id: str, rest: str = "") -> str:
    return f"/api/v1/predictions/{prediction_id}/normalised{rest}"


def drawn_on(page: str, prediction_id: str, name: str) -> bool:
    link = address(prediction_id, f"/figures/{name}.png")
    return f'<img src="{link}" width="8" height="4" alt="' in page


def test_the_file_and_what_was_done_are_given(
    served: Serving, key: dict[str, str], prediction_id: str
) -> None:
    served.normalise(prediction_id)
    answer = served.client.get(address(prediction_id), headers=key)
    assert (answer.status_code, answer.content) == (200, b"in template space")
    assert answer.headers["content-type"] == "application/gzip"
    assert answer.headers["content-disposition"].endswith(f'"restnet-{prediction_id}-normalised.nii.gz"')
    told = served.client.get(address(prediction_id, "/provenance"), headers=key).json()
    assert told["sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert (told["version"], told["size_bytes"]) == (1, len(answer.content))
    assert (told["summary"], told["provenance"]["band_hz"]) == (sample_summary(), [0.009, 0.08])


def test_the_figures_are_given(served: Serving, key: dict[str, str], prediction_id: str) -> None:
    stored = served.normalise(prediction_id)
    told = served.client.get(address(prediction_id, "/provenance"), headers=key).json()["figures"]
    assert [figure["name"] for figure in told] == ["registration.png", "carpet.png"]
    for figure in told:
        assert figure["link"] == address(prediction_id, f"/figures/{figure['name']}")
        answer = served.client.get(figure["link"], headers=key)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert hashlib.sha256(answer.content).hexdigest() == figure["sha256"]
        assert (
            answer.headers["content-disposition"]
            == f'inline; filename="restnet-{prediction_id}-{figure["name"]}"'
        )
    for wrong in ("registration", "mean.png", "registration.png.png", "..%2Fregistration.png"):
        answer = served.client.get(address(prediction_id, f"/figures/{wrong}"), headers=key)
        assert answer.status_code in {404, 422}, wrong
    served.resources.storage.delete(stored.replace(".nii.gz", "-carpet.png"))
    gone = served.client.get(told[1]["link"], headers=key)
    assert (gone.status_code, gone.json()["code"]) == (410, "stored_file_missing")


@pytest.mark.parametrize("rest", ["", "/provenance", "/figures/registration.png"])
def test_what_is_not_there_is_said_not_to_be(
    served: Serving, key: dict[str, str], prediction_id: str, rest: str
) -> None:
    answer = served.client.get(address(prediction_id, rest), headers=key)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_normalised")
    stored = served.normalise(prediction_id)
    stranger = served.key("stranger", Role.INTEGRATOR)
    assert served.client.get(address(prediction_id, rest), headers=stranger).status_code == 404
    with served.sessions.begin() as session:
        session.execute(update(NormalisedScanRow).values(finished_at=None))
    assert served.client.get(address(prediction_id, rest), headers=key).json()["code"] == "not_normalised"
    with served.sessions.begin() as session:
        session.execute(update(NormalisedScanRow).values(finished_at=NormalisedScanRow.created_at))
    served.resources.storage.delete(stored)
    answer = served.client.get(address(prediction_id), headers=key)
    assert (answer.status_code, answer.json()["code"]) == (410, "stored_file_missing")


def test_where_it_stands_is_followed_by_stage(served: Serving, key: dict[str, str]) -> None:
    prediction_id = served.upload(key)["prediction_id"]
    path = f"/api/v1/predictions/{prediction_id}"
    first = served.client.get(path, headers=key).json()
    assert (first["queue"], first["stage"], first["queue_position"]) == ("inference", None, 1)
    served.set_state(prediction_id, PredictionState.QUEUED, lane="normalising")
    another = served.upload(key, scan_bytes(seed=1))["prediction_id"]
    waiting = served.client.get(path, headers=key).json()
    assert (waiting["queue"], waiting["queue_position"], waiting["expected_wait_s"]) == (
        "normalising",
        1,
        None,
    )
    # Each queue has a line of its own.
    listed = served.client.get("/api/v1/predictions", headers=key).json()["items"]
    assert {item["id"]: item["queue_position"] for item in listed} == {prediction_id: 1, another: 1}
    assert served.client.get(f"/api/v1/predictions/{another}", headers=key).json()["queue_position"] == 1
    served.set_state(prediction_id, PredictionState.NORMALISING, lane="normalising", stage="motion")
    at_work = served.client.get(path, headers=key).json()
    assert (at_work["status"], at_work["stage"]) == ("normalising", "motion")


@pytest.mark.parametrize(
    ("language", "line", "heading", "said", "said_of_quality"),
    [
        (
            "en",
            "movement of the head",
            "Brought into template space by RestNet",
            "0.07 mm on average",
            (
                "1.9 before cleaning, 1.4 after",
                "29 left in the band after cleaning (at least 20 expected)",
                "the BIDS sidecar",
                "not known; slices were not brought to one time",
                "laid over the template directly",
                "Raw frames that stand out",
                "of the template&#39;s brain lies within the scanner&#39;s images",
            ),
        ),
        (
            "zh-Hans",
            "估计头动",
            "由 RestNet 配准到模板空间",
            "平均 0.07 mm",
            (
                "去噪前 1.9，去噪后 1.4",
                "去噪后频带内剩余 29（应不低于 20）",
                "BIDS 附属文件",
                "未知；未做层面时间校正",
                "扫描直接配准到模板",
                "去噪前明显异常的帧",
                "位于扫描视野内",
            ),
        ),
    ],
)
def test_the_page_and_the_report_say_what_was_done(
    served: Serving,
    key: dict[str, str],
    prediction_id: str,
    language: str,
    line: str,
    heading: str,
    said: str,
    said_of_quality: tuple[str, ...],
) -> None:
    served.normalise(prediction_id)
    name = served.user("chief", Role.ADMINISTRATOR)
    served.client.post("/login", data={"username": name, "password": PASSWORD})
    speaks = {"Accept-Language": language, "Accept": "text/html"}
    page = served.client.get(f"/predictions/{prediction_id}", headers=speaks).text
    assert heading in page
    assert said in page
    assert f'href="{address(prediction_id)}"' in page
    assert [drawn for drawn in ("registration", "carpet") if drawn_on(page, prediction_id, drawn)] == [
        "registration",
        "carpet",
    ]
    assert [words for words in said_of_quality if words not in page] == []
    address_of_report = f"/api/v1/predictions/{prediction_id}/report.html?language={language}"
    report = served.client.get(address_of_report, headers=key).text
    assert said in report
    assert [words for words in said_of_quality if words not in report] == []
    pdf = served.client.get(address_of_report.replace(".html", ".pdf"), headers=key).content
    assert len(pypdf.PdfReader(io.BytesIO(pdf)).pages) <= 2
    assert report.count(base64.b64encode(SAMPLE_PNG).decode()) == 2
    waiting = served.upload(key, scan_bytes(seed=2))["prediction_id"]
    served.set_state(waiting, PredictionState.NORMALISING, lane="normalising", stage="motion", progress=0.4)
    running = served.client.get(f"/predictions/{waiting}", headers=speaks).text
    assert line in running
    assert 'data-step="normalising" class="now" aria-current="step"' in running
    assert line in served.client.get("/predictions", headers=speaks).text


def test_a_scan_in_template_space_is_said_nothing_of(served: Serving, key: dict[str, str]) -> None:
    prediction_id = served.upload(key)["prediction_id"]
    model = served.register_model()
    served.finish(prediction_id, sample_result(), model_version_id=model)
    name = served.user("chief", Role.ADMINISTRATOR)
    served.client.post("/login", data={"username": name, "password": PASSWORD})
    assert "Brought into template space" not in served.client.get(f"/predictions/{prediction_id}").text


def test_the_times_of_slices_are_kept_with_the_scan(served: Serving, key: dict[str, str]) -> None:
    accepted = served.upload(key, slice_times_s="0, 1.05,0.5")
    raw = served.client.post(
        "/api/v1/scans",
        content=scan_bytes(seed=3),
        headers=key
        | {"X-Filename": "a.nii.gz", "X-Slice-Times-S": "0,1", "Content-Type": "application/gzip"},
    ).json()
    unsaid = served.upload(key, scan_bytes(seed=4))
    with served.sessions() as session:
        kept = [session.get_one(ScanRow, each["scan_id"]).slice_times_s for each in (accepted, raw, unsaid)]
    assert kept == [[0.0, 1.05, 0.5], [0.0, 1.0], None]
    for wrong in ("soon", "0,,1", "0;1", "-1,0"):
        file = ("scan.nii.gz", scan_bytes())
        answer = served.client.post(
            "/api/v1/scans", headers=key, files={"scan": file}, data={"slice_times_s": wrong}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid"), wrong


def test_the_limits_that_a_page_names_are_those_that_scans_are_judged_by() -> None:
    assert normalised.EXPECTED_TSNR == judging.TSNR_WARNED
    assert normalised.EXPECTED_STANDING_OUT == judging.STANDING_OUT_WARNED
    assert normalised.EXPECTED_DISPLACED == judging.DISPLACED_SHARE_WARNED
    assert normalised.EXPECTED_FREEDOM == judging.DEGREES_OF_FREEDOM_WARNED


def test_a_scan_without_figures_keeps_its_page_and_its_report(
    served: Serving, key: dict[str, str], prediction_id: str
) -> None:
    served.normalise(prediction_id)
    with served.sessions.begin() as session:
        session.execute(update(NormalisedScanRow).values(provenance={"version": 1}))
    assert served.client.get(address(prediction_id, "/provenance"), headers=key).json()["figures"] == []
    name = served.user("chief", Role.ADMINISTRATOR)
    served.client.post("/login", data={"username": name, "password": PASSWORD})
    page = served.client.get(f"/predictions/{prediction_id}", headers={"Accept": "text/html"}).text
    assert "Brought into template space" in page
    assert "/figures/" not in page
    report = served.client.get(f"/api/v1/predictions/{prediction_id}/report.html", headers=key)
    assert report.status_code == 200
    assert "data:image/png" not in report.text


def test_what_is_said_of_the_acquisition_is_kept_with_the_scan(served: Serving, key: dict[str, str]) -> None:
    said = {"tr_s": "2.5", "slice_order": "interleaved-descending", "run": "ses-1_run-2"}
    accepted = served.upload(key, **said)
    headers = {"X-Tr-S": "2.5", "X-Slice-Order": "interleaved-descending", "X-Run": "ses-1_run-2"}
    raw = served.client.post(
        "/api/v1/scans",
        content=scan_bytes(seed=3),
        headers=key | headers | {"X-Filename": "a.zip", "Content-Type": "application/zip"},
    ).json()
    with served.sessions() as session:
        rows = [session.get_one(ScanRow, each["scan_id"]) for each in (accepted, raw)]
    assert [(row.tr_s, row.slice_order, row.run) for row in rows] == [
        (2.5, "interleaved-descending", "ses-1_run-2")
    ] * 2
    for field, wrong in {"tr_s": "2000", "slice_order": "sideways", "run": "../1"}.items():
        answer = served.client.post(
            "/api/v1/scans",
            headers=key,
            files={"scan": ("scan.nii.gz", scan_bytes())},
            data={field: wrong},
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "request_not_valid"), field


def test_the_orders_are_those_that_are_understood() -> None:
    assert set(get_args(SliceOrder)) == set(ORDERS)


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        ({"registered_through": "t1w"}, "laid over its T1-weighted image, and that over the template"),
        *(
            (
                {"input": {"tr_from": source, "slice_times_from": source}},
                f"from {words}; slices were brought to one time",
            )
            for source, words in (
                ("asked", "what was given with the scan"),
                ("dicom", "the DICOM images"),
                ("sidecar", "the BIDS sidecar"),
            )
        ),
    ],
)
def test_it_is_said_where_times_are_from_and_what_the_way_to_the_template_was(
    summary: dict[str, object], said: str
) -> None:
    with spoken(Language.ENGLISH):
        lines = normalised.done_to({"normalisation": sample_summary() | summary})
    assert any(said in line.said for line in lines)
