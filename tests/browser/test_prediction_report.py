"""The report of a prediction in a browser: nothing runs, nothing is asked for, nothing is cut on paper."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdf
import pypdfium2
import pytest
from playwright.sync_api import Browser, Page, Route

from service.report.contents import Report
from service.report.page import content_security_policy, render
from service.web.language import Language
from tests.browser.watching import Watched
from tests.service.report.made_up import HOSTILE, PICTURES, evened, hostile_report, made_up_report, review

pytestmark = [pytest.mark.browser, pytest.mark.enable_socket]

ADDRESS = "http://restnet.test/report.html"
CROWDED = made_up_report(pictures=PICTURES, reviews=[review("word " * 350)] * 3)


class Shown:
    """A report in a tab that answers for itself and notes whatever else is asked for, said or opened."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._close)

    def open(self, report: Report, *, policy: bool = True) -> None:
        headers = {"Content-Type": "text/html; charset=utf-8"}
        if policy:
            headers["Content-Security-Policy"] = content_security_policy(Language.ENGLISH)

        def answer(route: Route) -> None:
            if route.request.url == ADDRESS:
                route.fulfill(body=render(report), headers=headers)
            else:
                self.complaints.append(f"request: {route.request.url}")
                route.abort()

        self.page.route("**/*", answer)
        self.page.goto(ADDRESS)

    def _close(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@pytest.fixture
def shown(browser: Browser) -> Iterator[Shown]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    one = Shown(context.new_page())
    yield one
    context.close()
    # Chromium asks every site for it, and is told by the policy not to.
    assert [said for said in one.complaints if not said.endswith("/favicon.ico")] == []


@pytest.mark.parametrize("policy", [True, False])
def test_nothing_that_was_typed_runs_or_loads(shown: Shown, policy: bool) -> None:
    shown.open(hostile_report(), policy=policy)
    text = evened(shown.page.locator("body").inner_text())
    assert all(evened(hostile) in text for hostile in HOSTILE)
    assert shown.page.locator("script, iframe, object, form, a").count() == 0


def test_its_style_and_pictures_pass_its_policy(shown: Shown) -> None:
    shown.open(CROWDED)
    notice = shown.page.locator(".notice")
    assert notice.evaluate("one => getComputedStyle(one).backgroundColor") == "rgb(251, 240, 217)"
    loaded = shown.page.evaluate("[...document.images].map(one => one.complete && one.naturalWidth)")
    assert loaded == [picture.width for picture in PICTURES]


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_it_fits_the_window(shown: Shown, width: int) -> None:
    shown.page.set_viewport_size({"width": width, "height": 900})
    shown.open(hostile_report())
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_on_paper_no_figure_is_cut_and_every_page_says_what_it_is(shown: Shown, paper: str) -> None:
    shown.open(CROWDED)
    printed = shown.page.pdf(format=paper)
    document = pypdfium2.PdfDocument(printed)
    images = 0
    for page in document:
        _, height = page.get_size()
        for drawn in page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE]):
            images += 1
            _, bottom, _, top = drawn.get_bounds()
            assert bottom >= 0
            assert top <= height
    document.close()
    # One that is cut would be on two pages.
    assert images == len(PICTURES)
    texts = [evened(page.extract_text()) for page in pypdf.PdfReader(io.BytesIO(printed)).pages]
    assert len(texts) <= 4
    for number, text in enumerate(texts, 1):
        assert "It does not diagnose." in text
        assert f"{number} / {len(texts)}" in text


@pytest.mark.slow
def test_from_the_page_of_a_prediction_to_its_report(tab: Watched, scan_file: Path) -> None:
    page = tab.page
    tab.log_in()
    page.get_by_label("Choose a scan").set_input_files(scan_file)
    page.get_by_label("Pseudonym").fill("P-88")
    page.get_by_role("button", name="Upload and predict").click()
    page.wait_for_selector("#prediction[data-state=succeeded]", state="attached", timeout=120_000)
    probability = page.locator("#probability").inner_text()
    pdf = page.get_by_role("link", name="PDF")
    fetched = page.request.get(tab.site.address + str(pdf.get_attribute("href")))
    assert fetched.headers["content-type"] == "application/pdf"
    assert len(pypdf.PdfReader(io.BytesIO(fetched.body())).pages) in {1, 2}
    page.get_by_role("link", name="Report").click()
    page.wait_for_url("**/report.html")
    assert page.locator("h1").inner_text() == "P-88"
    assert page.locator(".big").inner_text() == probability
    assert "cross-validated" not in page.locator("body").inner_text()
    page.go_back()
    assert page.locator("#probability").inner_text() == probability
