"""By keyboard alone: from the login to the result, its review, the list and out; cancelling; the switches."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FileChooser, Page, expect

from service.db.rows import PredictionState
from tests.browser.seeding import Seeded
from tests.browser.test_pages import PREDICTION_S
from tests.browser.watching import Watched, watched_tab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]

FOCUSED = (
    "() => { const one = document.activeElement;"
    " return one.name || one.dataset.knob || one.getAttribute('aria-label') || one.textContent.trim(); }"
)


def reach(page: Page, wanted: str, *, backwards: bool = False, within: int = 80) -> None:
    """Press Tab until something of that name has the focus; each stop on the way must show it."""
    stops: list[str] = []
    for _ in range(within):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        stops.append(page.evaluate(FOCUSED))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", stops[-1]
        if stops[-1].startswith(wanted):
            return
    raise AssertionError((wanted, stops))


def test_the_whole_way(tab: Watched, scan_file: Path) -> None:
    page = tab.page
    # From the start: Chromium takes a moment before it hands choosers over, and a key does not wait.
    choosers: list[FileChooser] = []

    def keep(chooser: FileChooser) -> None:
        choosers.append(chooser)

    page.on("filechooser", keep)
    tab.goto("/")
    page.wait_for_url(re.compile("/login$"))
    # The name has the focus already.
    page.keyboard.type(tab.site.username)
    page.keyboard.press("Tab")
    page.keyboard.type(tab.site.password)
    page.keyboard.press("Enter")
    page.wait_for_url(tab.site.address + "/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()

    reach(page, "subject_id")
    page.keyboard.type("KEYS")
    reach(page, "scan")
    page.keyboard.press("Space")
    for _ in range(200):
        if choosers:
            break
        page.wait_for_timeout(100)
    choosers[0].set_files(scan_file)
    reach(page, "Upload and predict")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/predictions/[0-9a-f-]{36}$"), timeout=60_000)
    expect(page.locator("#prediction[data-state=succeeded]")).to_be_attached(timeout=PREDICTION_S)

    reach(page, "answer")
    page.keyboard.press("Space")
    reach(page, "Save the review")
    page.keyboard.press("Enter")
    expect(page.locator(".reviews li")).to_contain_text("Accepted")
    # Before the end of its loading a page is not yet where its address says.
    page.wait_for_load_state()

    reach(page, "Predictions", backwards=True)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/predictions$"))
    reach(page, "KEYS")
    page.keyboard.press("Enter")
    expect(page.locator("#prediction[data-state=succeeded]")).to_be_attached()
    page.wait_for_load_state()

    reach(page, "Log out", backwards=True)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/login$"))


def test_cancelling_and_trying_again(browser: Browser, seeded: Seeded) -> None:
    with watched_tab(browser, seeded.site) as tab:
        page = tab.page
        tab.log_in()
        # Without a worker it waits for as long as it is let.
        tab.goto(seeded.pages[PredictionState.QUEUED])
        reach(page, "Cancel")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
        page.wait_for_load_state()
        reach(page, "Try again")
        page.keyboard.press("Space")
        expect(page.locator("#prediction[data-state=queued]")).to_be_attached()
        expect(page.get_by_role("button", name="Cancel")).to_be_visible()
        assert tab.complaints == []


def test_the_language_and_the_theme(browser: Browser, seeded: Seeded) -> None:
    with watched_tab(browser, seeded.site, color_scheme="light") as tab:
        page = tab.page
        tab.log_in()
        tab.goto("/predictions")
        reach(page, "language")
        page.keyboard.press("Enter")
        expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
        expect(page).to_have_url(f"{seeded.site.address}/predictions")
        page.wait_for_load_state()
        reach(page, "language")
        page.keyboard.press("Enter")
        expect(page.locator("html")).to_have_attribute("lang", "en")
        page.wait_for_load_state()

        light = background(page)
        reach(page, "as the system", backwards=True)
        page.keyboard.press("d")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        assert background(page) < light / 2
        page.reload()
        expect(page.get_by_label("Theme")).to_have_value("dark")
        assert background(page) < light / 2
        reach(page, "as the system", backwards=True)
        page.keyboard.press("a")
        expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")
        assert background(page) == light
        assert tab.complaints == []


def background(page: Page) -> int:
    """How bright the page is, as the sum of its background's red, green and blue."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(share) for share in re.findall(r"\d+", colour)[:3])
