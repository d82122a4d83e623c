"""Handing scans over in a browser: one or many, over a connection that is lost."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from service.api.problems.remedies import REMEDIES
from tests.browser.watching import Watched, watched_tab
from tests.browser.web_alone import Service
from tests.servers import wait_until
from tests.service.api.serving import (
    scan_bytes,
    web_process,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]

# Six megabytes take three seconds.
SLOW_BYTES_PER_S = 2_000_000
UPLOAD_S = 40_000


@pytest.fixture(scope="module")
def large_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scans") / "run of Anna.nii.gz"
    path.write_bytes(scan_bytes(shape=(48, 48, 36, 60)))
    return path


@pytest.fixture
def small_scan(tmp_path: Path) -> Path:
    path = tmp_path / "small.nii.gz"
    path.write_bytes(scan_bytes())
    return path


@dataclass
class Sent:
    """What a page asked of the service about its uploads."""

    begun: int = 0
    offsets: list[int] = field(default_factory=list)

    def note(self, request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/api/v1/uploads"):
            self.begun += 1
        if request.method == "PATCH":
            self.offsets.append(int(request.headers["upload-offset"]))


def watch(page: Page) -> Sent:
    sent = Sent()
    page.on("request", sent.note)
    return sent


def slow_down(page: Page) -> Callable[[], None]:
    """Make sending slow; gives what makes it fast again."""
    session = page.context.new_cdp_session(page)

    def limit(bytes_per_s: int) -> None:
        conditions = {
            "offline": False,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": bytes_per_s,
        }
        session.send("Network.emulateNetworkConditions", conditions)

    session.send("Network.enable")
    limit(SLOW_BYTES_PER_S)
    return lambda: limit(-1)


def begin(tab: Watched, scan: Path) -> None:
    tab.page.get_by_label("Choose a scan").set_input_files(scan)
    tab.page.get_by_role("button", name="Upload and predict").click()


def wait_for_the_middle(page: Page) -> None:
    expect(page.locator("#line")).to_have_text(re.compile(r"^Uploading, [3-8]\d %.*left$"))


def expect_prediction_of(service: Service, page: Page, scan: Path) -> None:
    """Wait for the prediction's page, and compare the hash."""
    page.wait_for_url(re.compile(r"/predictions/[0-9a-f-]{36}$"), timeout=UPLOAD_S)
    prediction = service.get(f"/api/v1{page.url.removeprefix(service.site.address)}")
    told = service.get(f"/api/v1/scans/{prediction['scan_id']}")
    assert told["sha256"] == hashlib.sha256(scan.read_bytes()).hexdigest()
    assert service.scans() == 1


def but_for_the_network(complaints: list[str]) -> list[str]:
    """Leave out what Chromium itself reports of connections that were broken on purpose."""
    return [line for line in complaints if "net::ERR" not in line and "status of 50" not in line]


def test_a_server_that_is_killed_in_the_middle_gets_the_rest_when_it_is_back(
    browser: Browser, service: Service, large_scan: Path
) -> None:
    with watched_tab(browser, service.site) as tab:
        sent = watch(tab.page)
        with web_process(service.settings, port=service.port) as (_, process, _):
            tab.log_in()
            fast = slow_down(tab.page)
            tab.page.get_by_label("Pseudonym").fill("P-7")
            begin(tab, large_scan)
            wait_for_the_middle(tab.page)
            expect(tab.page.locator("#line")).to_have_text(
                re.compile(r"^Uploading, \d+ %, \d\.\d+ MB/s, \d+ s left$")
            )
            process.kill()
            process.wait()
            expect(tab.page.locator("#line")).to_have_text(
                re.compile(r"^The connection is lost\. Trying again in \d+ s\.$")
            )
            [part] = service.unfinished()
            kept = part.stat().st_size
            assert 0 < kept < large_scan.stat().st_size
        fast()
        with web_process(service.settings, port=service.port):
            expect_prediction_of(service, tab.page, large_scan)
            assert service.get("/api/v1/predictions?subject_id=P-7")["items"]
        assert sent.begun == 1
        assert sent.offsets == [0, kept]
        assert service.unfinished() == []
        assert but_for_the_network(tab.complaints) == []


def test_a_page_that_was_loaded_anew_goes_on_and_keeps_nothing_about_the_person(
    browser: Browser, running: Service, large_scan: Path
) -> None:
    with watched_tab(browser, running.site) as tab:
        sent = watch(tab.page)
        tab.log_in()
        fast = slow_down(tab.page)
        tab.page.get_by_label("Pseudonym").fill("P-8")
        begin(tab, large_scan)
        wait_for_the_middle(tab.page)
        kept = tab.page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")
        assert "/api/v1/uploads/" in kept
        assert "P-8" not in kept
        assert "Anna" not in kept
        tab.page.reload()
        fast()
        begin(tab, large_scan)
        expect_prediction_of(running, tab.page, large_scan)
        assert sent.begun == 1
        assert sent.offsets[0] == 0
        assert sent.offsets[1] > 0
        assert tab.page.evaluate("localStorage.length") == 0
        assert but_for_the_network(tab.complaints) == []


def test_a_stopped_upload_is_taken_off_the_server(
    browser: Browser, running: Service, large_scan: Path
) -> None:
    with watched_tab(browser, running.site) as tab:
        tab.log_in()
        slow_down(tab.page)
        begin(tab, large_scan)
        wait_for_the_middle(tab.page)
        tab.page.get_by_role("button", name="Stop the upload").click()
        expect(tab.page.locator("#problem")).to_contain_text("Upload stopped.")
        wait_until(lambda: running.unfinished() == [], "the upload to be gone")
        assert running.scans() == 0
        assert tab.page.evaluate("localStorage.length") == 0
        assert but_for_the_network(tab.complaints) == []


def test_a_proxy_without_its_server_does_not_begin_the_file_again(
    browser: Browser, running: Service, small_scan: Path
) -> None:
    with watched_tab(browser, running.site) as tab:
        sent = watch(tab.page)
        tab.log_in()
        troubles = {"PATCH": ["reset"], "HEAD": ["502", "502"]}

        def meet(route: Route) -> None:
            left = troubles.get(route.request.method, [])
            trouble = left.pop(0) if left else None
            if trouble == "reset":
                route.abort("connectionreset")
            elif trouble:
                route.fulfill(status=int(trouble), body="<h1>Bad gateway</h1>")
            else:
                route.continue_()

        tab.page.route("**/api/v1/uploads/*", meet)
        begin(tab, small_scan)
        expect_prediction_of(running, tab.page, small_scan)
        assert troubles == {"PATCH": [], "HEAD": []}
        assert sent.begun == 1
        assert but_for_the_network(tab.complaints) == []


def test_a_lost_answer_at_the_end_makes_no_second_prediction(
    browser: Browser, running: Service, small_scan: Path
) -> None:
    with watched_tab(browser, running.site) as tab:
        tab.log_in()
        answered: list[int] = []

        def lose(route: Route) -> None:
            if answered:
                route.continue_()
                return
            answered.append(route.fetch().status)
            route.abort("connectionreset")

        tab.page.route("**/complete", lose)
        begin(tab, small_scan)
        expect_prediction_of(running, tab.page, small_scan)
        assert answered == [202]
        assert but_for_the_network(tab.complaints) == []


def test_a_file_that_was_changed_is_not_waited_for(
    browser: Browser, running: Service, small_scan: Path
) -> None:
    with watched_tab(browser, running.site) as tab:
        tab.log_in()
        tab.page.get_by_label("Choose a scan").set_input_files(small_scan)
        expect(tab.page.locator("#chosen")).to_contain_text("40 frames")
        small_scan.write_bytes(scan_bytes(seed=9) + b"more")
        tab.page.get_by_role("button", name="Upload and predict").click()
        expect(tab.page.locator("#problem")).to_contain_text("The file was changed or removed meanwhile.")
        assert running.scans() == 0
        assert but_for_the_network(tab.complaints) == []


def test_several_files_go_one_after_another_and_each_ends_by_itself(
    browser: Browser, running: Service, tmp_path: Path
) -> None:
    hostile = "<img src=x onerror=window.hacked=1>.nii.gz"
    files = {
        hostile: scan_bytes(seed=1),
        "structural.nii.gz": scan_bytes(shape=(12, 12, 10)),
        "second.nii.gz": scan_bytes(seed=2),
        "unwanted.nii.gz": scan_bytes(seed=3),
        "lost.nii.gz": without_orientation(),
        '"><script>window.hacked=1</script>'.replace("/", "\u2215") + ".nii": b"x",
    }
    paths = []
    for name, content in files.items():
        (tmp_path / "files").mkdir(exist_ok=True)
        paths.append(tmp_path / "files" / name)
        paths[-1].write_bytes(content)
    with watched_tab(browser, running.site) as tab:
        page = tab.page
        tab.log_in()
        page.get_by_label("Choose a scan").set_input_files(paths)
        rows = page.locator(".batch-file")
        expect(rows).to_have_count(len(files))
        expect(rows.nth(0)).to_contain_text(hostile)
        expect(rows.nth(0)).to_contain_text(re.compile("12 . 12 . 10 voxels, 40 frames, TR 2.0 s"))
        expect(rows.nth(1)).to_contain_text(REMEDIES["not_four_dimensional"])
        expect(page.get_by_label("Pseudonym")).to_be_disabled()
        expect(page.get_by_text("With several files these stay empty")).to_be_visible()
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.get_by_role("button", name="Stop unwanted.nii.gz").click()
        expect(rows.nth(3)).to_contain_text("Stopped")
        page.get_by_role("button", name=re.compile("^Upload and predict")).click()
        expect(page.locator("#chosen")).to_have_text("6 files: 2 uploaded, 3 not accepted, 1 stopped")
        expect(rows.nth(4)).to_contain_text(REMEDIES["no_orientation"])
        assert running.scans() == 2
        page.get_by_role("button", name="Send unwanted.nii.gz again").click()
        expect(page.locator("#chosen")).to_have_text("6 files: 3 uploaded, 3 not accepted")
        assert running.scans() == 3
        page.get_by_role("link", name="Prediction of second.nii.gz").click()
        page.wait_for_url(re.compile(r"/predictions/[0-9a-f-]{36}$"))
        expect(page.locator("main")).to_contain_text("second.nii.gz")
        tab.goto("/predictions")
        expect(page.locator("#list")).to_contain_text(hostile)
        assert page.evaluate("window.hacked") is None
        assert [line for line in tab.complaints if "422" not in line] == []


def without_orientation() -> bytes:
    image = nib.Nifti1Image(np.zeros((4, 4, 4, 20), np.int16), None)
    image.header["pixdim"][4] = 2
    return bytes(image.to_bytes())


def test_a_field_says_what_is_wrong_with_it_and_not_too_early(
    browser: Browser, running: Service, small_scan: Path
) -> None:
    with watched_tab(browser, running.site) as tab:
        page = tab.page
        tab.log_in()
        pseudonym, age = page.get_by_label("Pseudonym"), page.get_by_label("Age in years")
        pseudonym.press_sequentially("P-1")
        expect(page.locator("#subject_id-problem")).to_be_empty()
        pseudonym.press_sequentially(" ")
        expect(pseudonym).to_have_accessible_description(re.compile("Use letters, digits"))
        expect(pseudonym).to_have_attribute("aria-invalid", "true")
        pseudonym.press("Backspace")
        expect(page.locator("#subject_id-problem")).to_be_empty()
        expect(pseudonym).not_to_have_attribute("aria-invalid", "true")
        age.press_sequentially("-")
        expect(page.locator("#age_years-problem")).to_be_empty()
        age.press("Tab")
        expect(age).to_have_accessible_description("Write the age as a number, such as 11.5.")
        age.fill("131")
        expect(age).to_have_accessible_description("The age is a number from 0 to 130.")
        begin(tab, small_scan)
        expect(age).to_be_focused()
        age.fill("11.5")
        page.get_by_role("button", name="Upload and predict").click()
        expect_prediction_of(running, page, small_scan)
        assert tab.complaints == []


def test_in_chinese_no_script_says_a_word_of_english(
    browser: Browser, running: Service, tmp_path: Path
) -> None:
    files = {
        "few.nii.gz": scan_bytes(shape=(12, 12, 10, 7)),
        "picture.nii": b"\x89PNG" + bytes(600),
        "lost.nii": without_orientation(),
        "sound.nii.gz": scan_bytes(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with watched_tab(browser, running.site) as tab:
        page = tab.page
        tab.log_in()
        page.get_by_role("button", name="中文").click()
        expect(page.get_by_role("button", name="English")).to_be_visible()
        # The page's script has taken the form over.
        expect(page.locator("#scan[multiple]")).to_be_attached()
        page.locator("#scan").set_input_files([tmp_path / name for name in files])
        rows = page.locator(".batch-file")
        expect(rows.nth(0)).to_contain_text("至少需要 20 帧，但文件只有 7 帧。")
        expect(rows.nth(1)).to_contain_text("读到的是：PNG 图片。")
        page.locator("button.main").click()
        # What the service itself refused, by its code.
        expect(rows.nth(2)).to_contain_text("文件头中没有方向信息（sform 和 qform 均未设置）。")
        expect(rows.nth(3)).to_contain_text("已上传。")
        names = re.compile("|".join(re.escape(name) for name in files))
        codes = {"too_few_frames", "not_nifti", "no_orientation"}
        known = codes | {
            "NIfTI",
            "nii",
            "gz",
            "PNG",
            "DICOM",
            "BIDS",
            "zip",
            "MNI",
            "dcm",
            "niix",
            "KiB",
            "TR",
            "sform",
            "qform",
        }
        said = names.sub("", page.locator("#batch").inner_text())
        assert set(re.findall(r"[A-Za-z][A-Za-z_]+", said)) <= known
        page.locator("input[name=age_years]").evaluate("input => input.closest('fieldset').disabled = false")
        page.locator("input[name=age_years]").fill("131")
        expect(page.locator("#age_years-problem")).to_have_text("年龄是 0 至 130 的数字。")
        rows.nth(3).get_by_role("link").click()
        page.wait_for_url(re.compile(r"/predictions/[0-9a-f-]{36}$"))
        expect(page.locator("[data-line]")).to_have_text(re.compile("等待中，"))
        assert [line for line in tab.complaints if "422" not in line] == []


def test_a_file_without_a_repetition_time_leads_to_the_field_for_it(
    browser: Browser, running: Service, tmp_path: Path
) -> None:
    scan = tmp_path / "untimed.nii.gz"
    scan.write_bytes(scan_bytes(tr_s=0.0))
    with watched_tab(browser, running.site) as tab:
        page, sent = tab.page, watch(tab.page)
        tab.log_in()
        begin(tab, scan)
        field = page.get_by_label("Repetition time in seconds")
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(re.compile("^The file names none that can be right"))
        expect(page.locator("#problem")).to_contain_text(REMEDIES["missing_repetition_time"])
        # Nothing was sent in vain.
        assert sent.begun == 0
        field.fill("2.2")
        expect(field).not_to_have_attribute("aria-invalid", "true")
        page.get_by_role("button", name="Upload and predict").click()
        expect_prediction_of(running, page, scan)
        prediction = running.get(f"/api/v1{page.url.removeprefix(running.site.address)}")
        assert running.get(f"/api/v1/scans/{prediction['scan_id']}")["header"]["tr_s"] == 2.2
        assert tab.complaints == []


def test_of_a_sidecar_nothing_but_its_times_leaves_the_browser(
    browser: Browser, running: Service, tmp_path: Path
) -> None:
    scan, sidecar = tmp_path / "untimed.nii.gz", tmp_path / "untimed.json"
    scan.write_bytes(scan_bytes(tr_s=0.0))
    sidecar.write_text("no JSON")
    with watched_tab(browser, running.site) as tab:
        page, sent = tab.page, watch(tab.page)
        said: list[str] = []
        page.route("**/complete", lambda route: (said.append(route.request.post_data), route.continue_()))
        tab.log_in()
        page.get_by_text("Details of the acquisition").click()
        field = page.get_by_label("BIDS sidecar")
        field.set_input_files(sidecar)
        begin(tab, scan)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#problem")).to_contain_text("bad_sidecar")
        assert running.scans() == 0
        named = {"RepetitionTime": 2.2, "PatientName": "Zaphod", "ImageComments": 40_000 * "x"}
        corrected = tmp_path / "corrected.json"
        corrected.write_text(json.dumps(named))
        field.set_input_files(corrected)
        expect(field).not_to_have_attribute("aria-invalid", "true")
        page.get_by_role("button", name="Upload and predict").click()
        expect_prediction_of(running, page, scan)
        # The bytes waited for the other sidecar.
        assert sent.begun == 1
        assert json.loads(json.loads(said[-1])["sidecar"]) == {"RepetitionTime": 2.2}
        assert "Zaphod" not in "".join(said)
        assert [line for line in tab.complaints if "422" not in line] == []
