"""What drove an answer, as a person looks at it: it comes by itself, opens in the viewer, and obeys."""

import re
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.test_keyboard import reach
from tests.browser.test_pages import PREDICTION_S, upload
from tests.browser.watching import Site, Watched, watched_tab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]

# At the lowest priority, beside whatever else this machine does.
EXPLANATION_S = 300_000
# On an idle machine; a busy one may take some times as long.
SHOWN_WITHIN_S, PATIENCE = 3.0, 5


@pytest.fixture(scope="module")
def tab(drawing_browser: Browser, site: Site, scan_file: Path) -> Iterator[Watched]:
    with watched_tab(drawing_browser, site, viewport={"width": 1440, "height": 1000}) as opened:
        opened.log_in()
        upload(opened, scan_file)
        expect(opened.page.locator("#prediction[data-state=succeeded]")).to_be_attached(timeout=PREDICTION_S)
        yield opened
        assert opened.complaints == []


@pytest.fixture
def page(tab: Watched) -> Page:
    """The prediction's page as it is opened: the tests come in any order."""
    tab.page.reload()
    return tab.page


def pixels(element: Locator) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(element.screenshot())).convert("RGB")).astype(int)


def coloured(picture: np.ndarray) -> int:
    return int((picture.max(axis=2) - picture.min(axis=2) > 60).sum())


def place_of(words: str) -> np.ndarray:
    return np.array([int(share) for share in words.split(" mm", maxsplit=1)[0].split(",")])


def every_picture_is_there(page: Page) -> None:
    """Wait for the explanation, which comes by itself, and see that each of its pictures has loaded."""
    expect(page.locator("#pictures")).to_be_attached(timeout=EXPLANATION_S)
    pictures = page.locator("#explained img").all()
    assert len(pictures) >= 3
    for picture in pictures:
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 100


def open_viewer(page: Page) -> Locator:
    """Open the viewer, and wait until it shows what it was given; gives its canvas."""
    page.get_by_role("button", name="Open in the viewer").click()
    page.wait_for_selector("#viewer[data-shown]", timeout=60_000)
    return page.locator("#viewer canvas")


def test_the_map_and_the_pictures_come_by_themselves_and_every_picture_is_there(page: Page) -> None:
    every_picture_is_there(page)
    assert coloured(pixels(page.locator("#why img"))) > 500
    assert "niivue" not in str(page.evaluate("performance.getEntriesByType('resource').map(e => e.name)"))


def test_the_viewer_shows_a_brain_and_obeys(page: Page) -> None:
    expect(page.locator("#pictures")).to_be_attached(timeout=EXPLANATION_S)
    began = time.monotonic()
    canvas = open_viewer(page)
    assert time.monotonic() - began < PATIENCE * SHOWN_WITHIN_S
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


def test_the_viewer_is_opened_and_steered_by_keys_alone(page: Page) -> None:
    expect(page.locator("#pictures")).to_be_attached(timeout=EXPLANATION_S)
    reach(page, "Open in the viewer")
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer[data-shown]", timeout=60_000)
    canvas, where = page.locator("#viewer canvas"), page.locator("[data-where]")
    # The button that had the focus is gone; the picture has it, shows it, and says how it is steered.
    expect(canvas).to_be_focused()
    # Light, on what is black in either theme.
    assert canvas.evaluate("one => getComputedStyle(one).outline").startswith("rgb(134, 202, 208) solid 3px")
    expect(canvas).to_have_accessible_description(re.compile("arrows move the crosshair"))
    scrolled = page.evaluate("scrollY")
    for key, axis, step in (
        ("ArrowRight", 0, 1),
        ("ArrowLeft", 0, -1),
        ("ArrowUp", 1, 1),
        ("ArrowDown", 1, -1),
        ("PageUp", 2, 1),
        ("PageDown", 2, -1),
    ):
        before = place_of(where.inner_text())
        for _ in range(3):
            page.keyboard.press(key)
        # Three voxels of the template, which are 2 mm wide.
        expected = before + 6 * step * np.eye(3, dtype=int)[axis]
        assert np.abs(place_of(where.inner_text()) - expected).max() <= 1, key
    # The page stays where it is, and NiiVue's own keys do nothing: one of them opens a dialog.
    assert page.evaluate("scrollY") == scrolled
    at = where.inner_text()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    for key in ("h", "j", "k", "l", "m", "v", "c", "Shift+Slash"):
        page.keyboard.press(key)
    assert where.inner_text() == at

    reach(page, "view")
    page.keyboard.press("c")
    expect(page.locator("[data-knob=view]")).to_have_value("coronal")
    reach(page, "threshold")
    page.keyboard.press("End")
    expect(page.locator("[data-threshold-said]")).to_contain_text("95")
    reach(page, "opacity")
    page.keyboard.press("Home")
    expect(page.locator("[data-knob=opacity]")).to_have_value("0")
    reach(page, "crosshair")
    page.keyboard.press("Space")
    expect(page.locator("[data-knob=crosshair]")).not_to_be_checked()


def test_arrows_turn_what_is_shown_in_space(page: Page) -> None:
    # Drawing in space takes a processor many seconds a picture, so that another viewer is asked.
    told = page.evaluate(
        """async () => {
            const { steer } = await import("/static/steering.js");
            const told = [];
            const viewer = {
                opts: { sliceType: 4 },
                volumes: [{}],
                scene: { renderAzimuth: 110, renderElevation: 10 },
                setRenderAzimuthElevation: (azimuth, elevation) => told.push([azimuth, elevation]),
                moveCrosshairInVox: (...step) => told.push(step),
            };
            const canvas = document.createElement("canvas");
            steer(canvas, viewer);
            for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "h"]) {
                canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
            }
            viewer.opts.sliceType = 0;
            canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "PageUp" }));
            canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp", ctrlKey: true }));
            return told;
        }"""
    )
    assert told == [[105, 10], [115, 10], [110, 15], [110, 5], [0, 0, 1]]
