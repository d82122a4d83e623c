"""axe-core over every page, in both themes, on a narrow and on a wide screen."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import REPOSITORY, missing
from tests.browser.every_page import every_page
from tests.browser.seeding import Seeded

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]

AXE = REPOSITORY / "node_modules" / "axe-core" / "axe.min.js"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# The reader of the OpenAPI document is Swagger UI's own, and not ours to mend.
NOT_OURS = ["#reader"]
WIDTHS = (1440, 390)
THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        missing("axe-core is not there (npm ci)")
    return AXE.read_text()


def violations(page: Page, axe: str) -> list[dict[str, Any]]:
    """Give what axe-core finds, each with the elements it is about."""
    # Through the debugger, as the pages' own policy allows no foreign script.
    page.evaluate(axe)
    found = page.evaluate(
        "([without, tags]) => axe.run({exclude: without.map((one) => [one])},"
        " {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})",
        [NOT_OURS, STANDARDS],
    )
    return [
        {"rule": one["id"], "nodes": [node["html"][:200] for node in one["nodes"]]}
        for one in found["violations"]
    ]


def test_axe_finds_what_it_is_for(browser: Browser, axe: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content("<html><body><img src='x'><input><p style='color: #bbb'>pale</p></body></html>")
        found = {one["rule"] for one in violations(page, axe)}
    assert found >= {"image-alt", "label", "color-contrast", "html-has-lang", "document-title"}


def test_no_page_violates_wcag_or_is_wider_than_the_screen(
    browser: Browser, seeded: Seeded, axe: str
) -> None:
    wrong = []
    seen = set()
    for name, tab in every_page(browser, seeded):
        seen.add(name)
        for width in WIDTHS:
            tab.page.set_viewport_size({"width": width, "height": 900})
            for theme in THEMES:
                tab.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                wrong += [(name, width, theme, one) for one in violations(tab.page, axe)]
            if tab.page.evaluate("document.documentElement.scrollWidth") > width:
                wrong.append((name, width, "any", "wider than the screen"))
        # Chromium reports a page that is not there; nothing else may be wrong.
        wrong += [(name, 0, "", line) for line in tab.complaints if "404" not in line]
    assert wrong == [], json.dumps(wrong, indent=1)
    assert len(seen) >= 20
