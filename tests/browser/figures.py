"""What a page costs whoever opens it: bytes over the network, and the time until something useful is seen."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Page

from tests.browser.seeding import Seeded
from tests.browser.watching import watched_tab

# Before the page's own scripts, so that no paint is missed.
WATCH = """
window.paints = {};
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) paints[entry.name || entry.entryType] = entry.startTime;
}).observe({type: "paint", buffered: true});
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) paints["largest-contentful-paint"] = entry.startTime;
}).observe({type: "largest-contentful-paint", buffered: true});
"""


@dataclass(frozen=True)
class Cost:
    """Of one load with an empty cache.

    Attributes
    ----------
    bytes : int
        As they were sent, compressed, with headers.
    first_paint_ms, largest_paint_ms : float
        First and largest contentful paint, from the beginning of the navigation.
    """

    bytes: int
    first_paint_ms: float
    largest_paint_ms: float


class Weight:
    """Counts what a page loads."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        session.on("Network.loadingFinished", self._add)

    def _add(self, event: dict[str, Any]) -> None:
        self.bytes += int(event["encodedDataLength"])


def cost_of(browser: Browser, seeded: Seeded, path: str) -> Cost:
    """Open a page of the clinician in a browser that knows nothing of it."""
    with watched_tab(browser, seeded.site) as tab:
        tab.log_in()
        weight = Weight(tab.page)
        tab.page.add_init_script(WATCH)
        tab.page.goto(seeded.site.address + path, wait_until="load")
        # The largest paint may still come: the fonts are asked for once the text is laid out.
        tab.page.wait_for_timeout(500)
        paints = tab.page.evaluate("paints")
        return Cost(weight.bytes, paints["first-contentful-paint"], paints["largest-contentful-paint"])
