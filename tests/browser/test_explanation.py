"""What drove an answer, as a person looks at it: it comes by itself, opens in the viewer, and obeys."""

import re
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect, sync_playwright

from tests.browser.conftest import CHROMIUM_ARGUMENTS, chromium
from tests.browser.test_pages import PREDICTION_S, upload
from tests.browser.watching import Site, Watched, watched_tab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]

# At the lowest priority, beside whatever else this machine does.
EXPLANATION_S = 300_000
# On an idle machine; a busy one may take some times as long.
SHOWN_WITHIN_S, PATIENCE = 3.0, 5
# Without a graphics card WebGL is drawn by the processor.
DRAWING = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = [argument for argument in CHROMIUM_ARGUMENTS if argument != "--disable-gpu"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=[*arguments, *DRAWING])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def tab(browser: Browser, site: Site, scan_file: Path) -> Iterator[Watched]:
    with watched_tab(browser, site, viewport={"width": 1440, "height": 1000}) as opened:
        opened.log_in()
        upload(opened, scan_file)
        expect(opened.page.locator("#prediction[data-state=succeeded]")).to_be_attached(timeout=PREDICTION_S)
        yield opened
        assert opened.complaints == []


def pixels(element: Locator) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(element.screenshot())).convert("RGB")).astype(int)


def coloured(picture: np.ndarray) -> int:
    return int((picture.max(axis=2) - picture.min(axis=2) > 60).sum())


def place_of(words: str) -> np.ndarray:
    return np.array([int(share) for share in words.split(" mm", maxsplit=1)[0].split(",")])


def test_the_map_and_the_pictures_come_by_themselves_and_every_picture_is_there(tab: Watched) -> None:
    page = tab.page
    expect(page.locator("#pictures")).to_be_attached(timeout=EXPLANATION_S)
    for picture in page.locator("#explained img").all():
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 100
    assert coloured(pixels(page.locator("#why img"))) > 500
    assert "niivue" not in str(page.evaluate("performance.getEntriesByType('resource').map(e => e.name)"))


def test_the_viewer_shows_a_brain_and_obeys(tab: Watched) -> None:
    page = tab.page
    expect(page.locator("#pictures")).to_be_attached(timeout=EXPLANATION_S)
    began = time.monotonic()
    page.get_by_role("button", name="Open in the viewer").click()
    page.wait_for_selector("#viewer[data-shown]", timeout=60_000)
    assert time.monotonic() - began < PATIENCE * SHOWN_WITHIN_S
    canvas = page.locator("#viewer canvas")
    expect(page.locator("[data-where]")).to_have_text(re.compile(r"mm: (for|against) ADHD, -?\d"))

    def settled() -> np.ndarray:
        page.wait_for_timeout(400)
        return pixels(canvas)

    first = settled()
    # A brain in the middle of black, and a map over it.
    assert (first.max(axis=2) > 60).mean() > 0.05
    some = coloured(first)
    assert some > 300
    page.locator("[data-knob=threshold]").fill("90")
    few = coloured(settled())
    assert few < some / 2
    page.locator("[data-knob=threshold]").fill("20")
    page.locator("[data-knob=opacity]").fill("0")
    page.locator("[data-knob=crosshair]").uncheck()
    assert coloured(settled()) < few
    page.locator("[data-knob=opacity]").fill("80")
    template = settled()
    at = place_of(page.locator("[data-where]").inner_text())
    page.locator("[data-knob=background]").select_option(label="the variation in this scan")
    page.wait_for_timeout(1500)
    assert np.abs(settled() - template).mean() > 2
    template = settled()
    page.locator("[data-knob=map]").select_option(label="Grad-CAM, coarse")
    page.wait_for_timeout(1500)
    assert np.abs(settled() - template).mean() > 2
    # What is said is of the map that is shown, whose numbers are no logits, and of the same place.
    said = page.locator("[data-where]").inner_text()
    assert "logits" not in said
    assert np.abs(place_of(said) - at).max() <= 2
    page.locator("[data-knob=view]").select_option("axial")
    assert np.abs(settled() - template).mean() > 2
    # A place of the table is shown where it is.
    page.get_by_text("The strongest places").click()
    way = page.locator(".places .go").nth(1)
    place = place_of(way.inner_text())
    way.click()
    assert np.abs(place_of(page.locator("[data-where]").inner_text()) - place).max() <= 2
