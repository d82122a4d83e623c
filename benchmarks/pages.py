"""Every page as it looks and what it costs: screenshots, bytes, and paints of a list of 10,000 predictions.

A web process over SQLite with that many finished predictions and one in each state. Each figure is of a
browser with an empty cache; the paints are the median of several loads. Ends with an error where a page's
first contentful paint takes a second or it is heavier than 150 kB.

Usage::

    python benchmarks/pages.py [--predictions 10000] [--loads 5] [--screenshots FOLDER] [--out results.json]
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, sync_playwright

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from recording import load_now, machine, report  # noqa: E402

from tests.browser.conftest import CHROMIUM_ARGUMENTS, CHROMIUM_NAMES  # noqa: E402
from tests.browser.every_page import OF_THE_CLINICIAN, every_page  # noqa: E402
from tests.browser.figures import cost_of  # noqa: E402
from tests.browser.seeding import Seeded, seeded_site  # noqa: E402

MOST_BYTES = 150_000
MOST_PAINT_MS = 1000
WIDTHS = (1440, 390)
THEMES = ("light", "dark")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--predictions", type=int, default=10_000)
    arguments.add_argument("--loads", type=int, default=5)
    arguments.add_argument("--screenshots", type=Path)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    program = next(found for name in CHROMIUM_NAMES if (found := shutil.which(name)))
    with (
        tempfile.TemporaryDirectory(prefix="restnet-pages-", ignore_cleanup_errors=True) as scratch,
        seeded_site(Path(scratch), predictions=options.predictions) as seeded,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_ARGUMENTS)
        if options.screenshots:
            photograph(browser, seeded, options.screenshots)
        pages = measure(browser, seeded, loads=options.loads)
        result = {
            "machine": machine(),
            "browser": f"Chromium {browser.version}",
            "predictions": options.predictions,
            "limits": {"first_contentful_paint_ms": MOST_PAINT_MS, "bytes": MOST_BYTES},
            "pages": pages,
            "load_after": load_now(),
        }
        browser.close()
    report(result, options.out)
    heavy = [page["page"] for page in pages if page["bytes"] > MOST_BYTES]
    if heavy:
        raise SystemExit(f"expected at most {MOST_BYTES} bytes, found more: {', '.join(heavy)}")
    slow = [page["page"] for page in pages if page["first_contentful_paint_ms"] > MOST_PAINT_MS]
    if slow:
        raise SystemExit(
            f"expected something to see within {MOST_PAINT_MS} ms, found later: {', '.join(slow)}"
        )


def photograph(browser: Browser, seeded: Seeded, folder: Path) -> None:
    """Write a picture of every page, on both screens and in both themes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tab in every_page(browser, seeded):
        for width in WIDTHS:
            tab.page.set_viewport_size({"width": width, "height": 900})
            for theme in THEMES:
                tab.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                tab.page.screenshot(path=folder / f"{name}-{width}-{theme}.png", full_page=True)


def measure(browser: Browser, seeded: Seeded, *, loads: int) -> list[dict[str, Any]]:
    """Open each page of a clinician again and again, always as for the first time."""
    states = {f"prediction-{state}": path for state, path in seeded.pages.items()}
    found = []
    for name, path in (OF_THE_CLINICIAN | states).items():
        costs = [cost_of(browser, seeded, path) for _ in range(loads)]
        found.append(
            {
                "page": name,
                "bytes": max(cost.bytes for cost in costs),
                "first_contentful_paint_ms": round(median(cost.first_paint_ms for cost in costs)),
                "largest_contentful_paint_ms": round(median(cost.largest_paint_ms for cost in costs)),
            }
        )
    return found


if __name__ == "__main__":
    main()
