"""The pages in Chinese: switched to without a script, and as accessible as in English."""

import json

import pytest
from playwright.sync_api import Browser, expect

from service.db.rows import PredictionState
from tests.browser.seeding import Seeded
from tests.browser.test_accessibility import THEMES, axe, violations
from tests.browser.watching import watched_tab

__all__ = ["axe"]

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]


def test_the_language_changes_without_a_script_and_stays(browser: Browser, seeded: Seeded) -> None:
    with browser.new_context(java_script_enabled=False, locale="en-GB") as context:
        page = context.new_page()
        page.goto(f"{seeded.site.address}/login?next=/predictions")
        page.get_by_role("button", name="中文").click()
        expect(page).to_have_url(f"{seeded.site.address}/login?next=/predictions")
        expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
        page.get_by_label("用户名").fill(seeded.site.username)
        page.get_by_label("密码").fill(seeded.site.password)
        page.get_by_role("button", name="登录").click()
        expect(page.get_by_role("heading", name="预测记录")).to_be_visible()
        page.get_by_role("button", name="English").click()
        expect(page).to_have_url(f"{seeded.site.address}/predictions")
        expect(page.get_by_role("heading", name="Predictions", exact=True)).to_be_visible()


def test_a_filtered_list_is_the_same_list_in_the_other_language(browser: Browser, seeded: Seeded) -> None:
    with watched_tab(browser, seeded.site) as tab:
        tab.log_in()
        tab.goto("/predictions")
        tab.page.get_by_label("Status").select_option("failed")
        tab.page.wait_for_url("**/predictions?*status=failed*")
        tab.page.get_by_role("button", name="中文").click()
        expect(tab.page.get_by_label("状态")).to_have_value("failed")
        expect(tab.page.locator("tbody tr")).to_have_count(1)


def test_no_chinese_page_violates_wcag_or_is_wider_than_the_screen(
    browser: Browser, seeded: Seeded, axe: str
) -> None:
    wrong = []
    paths = {
        "home": "/",
        "list": "/predictions",
        "result": seeded.pages[PredictionState.SUCCEEDED],
        "failed": seeded.pages[PredictionState.FAILED],
        "account": "/account",
    }
    with watched_tab(browser, seeded.site) as tab:
        tab.log_in()
        tab.page.get_by_role("button", name="中文").click()
        for name, path in paths.items():
            tab.goto(path)
            for width in (1440, 360):
                tab.page.set_viewport_size({"width": width, "height": 900})
                for theme in THEMES:
                    tab.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                    wrong += [(name, width, theme, one) for one in violations(tab.page, axe)]
                if tab.page.evaluate("document.documentElement.scrollWidth") > width:
                    wrong.append((name, width, "any", "wider than the screen"))
        assert tab.complaints == []
    assert wrong == [], json.dumps(wrong, indent=1)
