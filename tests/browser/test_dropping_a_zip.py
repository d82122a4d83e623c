"""A zip of DICOM images dropped on the page, and what becomes of it, in front of real workers."""

import base64
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.test_pages import PREDICTION_S, keep_progress
from tests.browser.watching import Site, watched_tab
from tests.imaging.native.heads import short_run
from tests.imaging.native.sources.multiframe import write_head
from tests.imaging.native.sources.series import zipped

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]

DROPPED = """(content) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "exam.zip", { type: "application/zip" }));
  return transfer;
}"""


def test_a_zip_is_dropped_and_answered(browser: Browser, site: Site, tmp_path: Path) -> None:
    write_head(tmp_path / "exam" / "image", short_run())
    archive = zipped(tmp_path / "exam", tmp_path / "exam.zip")
    with watched_tab(browser, site) as tab:
        page = tab.page
        tab.log_in()
        keep_progress(tab)
        tab.goto("/")
        transfer = page.evaluate_handle(DROPPED, base64.b64encode(archive.read_bytes()).decode())
        page.locator("#drop").dispatch_event("drop", {"dataTransfer": transfer})
        expect(page.locator("#chosen")).to_contain_text("exam.zip")
        page.get_by_label("Pseudonym").fill("P-ZIP")
        page.get_by_text("Details of the acquisition").click()
        page.get_by_label("Order of the slices").select_option("ascending")
        page.get_by_role("button", name="Upload and predict").click()
        page.wait_for_url(re.compile(r"/predictions/[0-9a-f-]{36}$"), timeout=60_000)
        expect(page.locator("#prediction[data-state=succeeded]")).to_be_attached(timeout=PREDICTION_S)
        seen = page.evaluate("window.seen")
        assert any(line.startswith("Bringing the scan into template space") for line in seen), seen
        expect(page.locator("h1")).to_have_text("P-ZIP")
        assert re.fullmatch(r"(<|>)? ?\d{1,3}\s?%", page.locator("#probability").inner_text())
        expect(page.locator("main")).to_contain_text("exam.zip")
        figures = page.locator("img[src*='/normalised/figures/']")
        expect(figures).to_have_count(2)
        # On a narrow screen they are pushed sideways, by a keyboard too, and that is said.
        said, pushed = page.locator(".normalised .push").first, figures.first.locator("..")
        for width, narrow in ((1440, False), (730, False), (700, True), (390, True)):
            page.set_viewport_size({"width": width, "height": 900})
            expect(said).to_be_visible(visible=narrow)
            assert pushed.evaluate("(link) => link.scrollWidth > link.clientWidth") is narrow
        pushed.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("(link) => link.scrollLeft > 0", arg=pushed.element_handle())
        assert tab.complaints == []
