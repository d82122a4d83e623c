"""A real scan's whole way, as a clinician goes it: upload, status, result, explanation, review, report."""

import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pypdf
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_explanation import coloured, every_picture_is_there, open_viewer, pixels
from tests.browser.test_pages import PREDICTION_S, keep_progress, review, upload
from tests.browser.watching import Site, Watched, watched_tab
from tests.service.report.made_up import evened

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.enable_socket,
    pytest.mark.real_data,
]

PSEUDONYM = "REAL-205"


@dataclass(frozen=True)
class Uploaded:
    """The tab with the scan's prediction, which has succeeded, and what was seen on the way there."""

    tab: Watched
    address: str
    sha256: str
    progress: list[str]

    def page(self) -> Page:
        """Open the prediction's page anew: the tests come in any order."""
        self.tab.page.goto(self.address)
        return self.tab.page


@pytest.fixture(scope="module")
def uploaded(drawing_browser: Browser, site: Site, shared_data: Path) -> Iterator[Uploaded]:
    [scan] = (shared_data / "athena_like").glob("*.nii.gz")
    with watched_tab(drawing_browser, site, viewport={"width": 1440, "height": 1000}) as tab:
        tab.log_in()
        keep_progress(tab)
        upload(tab, scan, pseudonym=PSEUDONYM)
        expect(tab.page.locator("#prediction[data-state=succeeded]")).to_be_attached(timeout=PREDICTION_S)
        progress = tab.page.evaluate("window.seen")
        yield Uploaded(tab, tab.page.url, hashlib.sha256(scan.read_bytes()).hexdigest(), progress)
        # Chromium itself reports the form that is refused first; nothing else may be wrong.
        assert [line for line in tab.complaints if "422" not in line] == []


def test_its_status_is_told_while_it_is_read(uploaded: Uploaded) -> None:
    assert uploaded.progress
    assert all(line.startswith(("Waiting", "Preparing", "Reading")) for line in uploaded.progress)


def test_its_result_says_how_good_it_is_how_sure_and_beside_whom(uploaded: Uploaded) -> None:
    page = uploaded.page()
    expect(page.locator("h1")).to_have_text(PSEUDONYM)
    # The demonstration has met simulated scans alone.
    expect(page.locator(".verdict")).to_contain_text("Read it with care")
    expect(page.locator(".reasons li").first).to_be_visible()
    for measure in ("^Brain covered", "^DVARS, largest"):
        line = page.get_by_role("row", name=re.compile(measure))
        expect(line).to_contain_text("nine in ten")
        expect(line.locator(".scan-mark")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("^Brain covered"))).to_contain_text("Outside, below")
    told = page.locator(".interval").inner_text()
    low, high = (float(end) for end in re.findall(r"([\d.]+)\s?%", told)[-2:])
    answer = float(re.sub(r"[^\d.]", "", page.locator("#probability").inner_text()))
    assert 0 <= low <= answer <= high <= 100
    assert low < high
    expect(page.get_by_role("row", name=re.compile("^Age"))).to_contain_text("not given")
    expect(page.locator(".hash")).to_have_text(uploaded.sha256)


def test_its_explanation_comes_by_itself(uploaded: Uploaded) -> None:
    page = uploaded.page()
    every_picture_is_there(page)
    assert coloured(pixels(page.locator("#why img"))) > 500
    # It was band-passed: it has no mean to show.
    expect(page.locator("#pictures")).to_contain_text("changes around zero only")


def test_the_viewer_lays_its_map_over_a_brain_and_obeys(uploaded: Uploaded) -> None:
    page = uploaded.page()
    every_picture_is_there(page)
    canvas = open_viewer(page)
    page.locator("[data-knob=crosshair]").uncheck()

    def settled() -> np.ndarray:
        page.wait_for_timeout(500)
        return pixels(canvas)

    first = settled()
    # A brain in the middle of black.
    assert (first.max(axis=2) > 60).mean() > 0.05
    page.locator("[data-knob=threshold]").fill("20")
    more = coloured(settled())
    assert more > coloured(first) > 0
    page.locator("[data-knob=threshold]").fill("90")
    assert coloured(settled()) < more / 2
    page.locator("[data-knob=threshold]").fill("20")
    warm_and_cold = settled()
    page.locator("[data-knob=colours]").select_option(label="by size alone")
    by_size = settled()
    # Orange is for ADHD among the warm and the cold; viridis has none.
    assert orange(by_size) < orange(warm_and_cold) / 5
    assert np.abs(by_size - warm_and_cold).mean() > 1
    page.locator("[data-knob=opacity]").fill("0")
    assert coloured(settled()) < more / 10
    page.locator("[data-knob=background]").select_option(label="the variation in this scan")
    page.wait_for_timeout(1500)
    scan = settled()
    assert (scan.max(axis=2) > 60).mean() > 0.03
    assert np.abs(scan - first).mean() > 2


def orange(picture: np.ndarray) -> int:
    return int((picture[..., 0] - picture[..., 1] > 70).sum())


def test_its_review_stands_on_the_page_and_in_both_reports(uploaded: Uploaded) -> None:
    page = uploaded.page()
    review(uploaded.tab)
    # Whoever reads a report sees all of it.
    pdf = page.request.get(uploaded.tab.site.address + _link(page, "PDF"))
    assert pdf.headers["content-type"] == "application/pdf"
    printed = [part.extract_text() for part in pypdf.PdfReader(io.BytesIO(pdf.body())).pages]
    page.get_by_role("link", name="Report").click()
    page.wait_for_url("**/report.html")
    # Lines are broken where the paper ends, a hash too.
    for shown in (page.locator("body").inner_text(), "\n".join(printed)):
        said = evened(shown)
        assert PSEUDONYM in said
        assert uploaded.sha256 in "".join(said.split())
        assert "Overridden: " in said
        assert "another disorder" in said
        assert "Slept" in said


def _link(page: Page, name: str) -> str:
    return str(page.get_by_role("link", name=name, exact=True).get_attribute("href"))
