"""The list of predictions as a person works with it: put in order, acted on, walked by keys, cut off."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from service.db.rows import PredictionRow, PredictionState
from tests.browser.seeding import Seeded
from tests.browser.watching import Watched, watched_tab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture
def tab(browser: Browser, seeded: Seeded) -> Iterator[Watched]:
    """A tab of the seeded site, logged in."""
    with watched_tab(browser, seeded.site) as opened:
        opened.log_in()
        yield opened
        assert opened.complaints == []


@pytest.fixture
def waiting(seeded: Seeded) -> str:
    """The id of a prediction that waits, as it did before another test."""
    row_id = seeded.pages[PredictionState.QUEUED].rpartition("/")[2]
    with seeded.sessions.begin() as session:
        row = session.get_one(PredictionRow, row_id)
        row.state, row.cancel_requested, row.finished_at = PredictionState.QUEUED, False, None
    return row_id


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def first_probabilities(page: Page) -> list[int]:
    cells = page.locator("td[data-label=Probability]").all_inner_texts()
    return [int(re.sub(r"\D", "", cell.splitlines()[0])) for cell in cells]


def test_a_heading_sorts_and_the_address_keeps_it(tab: Watched) -> None:
    page = tab.page
    tab.goto("/predictions")
    heading = page.get_by_role("columnheader", name=re.compile("^Probability"))
    heading.get_by_role("link").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert page.url.endswith("?sort=-adhd_probability")
    shown = first_probabilities(page)
    assert shown == sorted(shown, reverse=True)
    expect(page.get_by_label("Order")).to_have_value("-adhd_probability")
    expect(page.locator("#said")).to_contain_text("most probable first")
    # The keyboard stays where it was.
    assert focused(page) == "by-adhd_probability"
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    shown = first_probabilities(page)
    assert shown == sorted(shown)
    page.get_by_role("link", name="Next page").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="First page")).to_be_visible()
    # There is no page behind this one, so that the link is gone.
    expect(page.locator("tbody th a").first).to_be_focused()
    assert min(first_probabilities(page)) >= max(shown)
    page.reload()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    page.go_back()
    expect(page.get_by_role("link", name="First page")).to_have_count(0)


def test_a_pseudonym_is_found_by_how_it_begins(tab: Watched) -> None:
    tab.goto("/predictions")
    tab.page.get_by_label("Pseudonym begins with").fill("P-1")
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("#list")).to_contain_text("listed by it")
    names = tab.page.locator("tbody th a").all_inner_texts()
    assert {name[:3] for name in names} == {"P-1"}
    assert len(set(names)) > 1
    assert names == sorted(names)
    assert tab.page.url.endswith("subject_id=P-1&status=&from=&to=&sort=-created_at")


def test_a_row_is_cancelled_and_tried_again_in_its_place(tab: Watched, waiting: str) -> None:
    page = tab.page
    tab.goto("/predictions?to=2100-01-01")
    act = page.locator(f"#act-{waiting}")
    expect(act).to_have_accessible_name(re.compile("^Cancel .+"))
    act.focus()
    page.keyboard.press("Enter")
    expect(act).to_have_accessible_name(re.compile("^Try again"))
    assert focused(page) == f"act-{waiting}"
    page.keyboard.press("Enter")
    expect(act).to_have_accessible_name(re.compile("^Cancel"))
    # Pressed in the moment before htmx has taken over the new row, the form goes the plain way, which comes
    # back to the row by its name.
    assert page.url.partition("#")[0].endswith("/predictions?to=2100-01-01")


def test_what_is_asked_for_goes_before_a_renewal(browser: Browser, seeded: Seeded) -> None:
    """A renewal that is answered late must not take the place of what comes behind it."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    def wait_for(count: int) -> None:
        for _ in range(100):
            if len(held) >= count:
                return
            page.wait_for_timeout(100)
        raise AssertionError(held)

    with watched_tab(browser, seeded.site) as tab:
        page = tab.page
        tab.log_in()
        tab.goto("/predictions")
        page.route("**/predictions", hold)
        wait_for(1)
        page.route("**/predictions?*", hold)
        page.get_by_label("Order").select_option("created_at")
        wait_for(2)
        renewal, wanted = held
        # The browser has given this one up.
        renewal.continue_()
        page.wait_for_timeout(500)
        wanted.continue_()
        heading = page.get_by_role("columnheader", name=re.compile("^Uploaded"))
        expect(heading).to_have_attribute("aria-sort", "ascending")
        expect(page.locator("#lost")).to_be_hidden()


def test_a_row_that_leaves_the_list_takes_no_focus_along(tab: Watched, waiting: str) -> None:
    tab.goto("/predictions?status=queued")
    tab.page.locator(f"#act-{waiting}").focus()
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("#list")).to_contain_text("No prediction matches")
    expect(tab.page.locator("main")).to_be_focused()


def test_without_scripts_a_row_is_cancelled_and_the_list_is_the_same(
    browser: Browser, seeded: Seeded, waiting: str
) -> None:
    with watched_tab(browser, seeded.site, java_script_enabled=False) as tab:
        tab.log_in()
        tab.goto("/predictions?to=2100-01-01&sort=created_at")
        while not tab.page.locator(f"#act-{waiting}").count():
            # Of a page that is still arriving the row may be missing.
            with tab.page.expect_event("load"):
                tab.page.get_by_role("link", name="Next page").click()
        before = tab.page.url
        tab.page.locator(f"#act-{waiting}").click()
        expect(tab.page.locator(f"#act-{waiting}")).to_contain_text("Try again")
        assert tab.page.url == f"{before}#to-{waiting}"
        # What only a script can do is not offered.
        expect(tab.page.get_by_label("Theme")).to_be_hidden()
        expect(tab.page.locator("#about-keys")).to_be_hidden()


def test_keys_work_in_the_list_and_nowhere_else(tab: Watched) -> None:
    page = tab.page
    tab.goto("/predictions")
    rows = [str(row.get_attribute("id")) for row in page.locator("tbody th a").all()]
    search = page.get_by_label("Pseudonym begins with")
    search.focus()
    page.keyboard.type("jk/?")
    expect(search).to_have_value("jk/?")
    search.fill("")
    page.locator("main").focus()
    page.keyboard.press("j")
    assert focused(page) == "content"
    page.locator(f"#{rows[0]}").focus()
    for key, at in (("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0), ("k", 0)):
        page.keyboard.press(key)
        assert focused(page) == rows[at], key
    page.keyboard.press("Control+j")
    assert focused(page) == rows[0]
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys of the list")
    expect(keys).to_be_visible()
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    assert focused(page) == rows[0]
    page.keyboard.press("/")
    expect(search).to_be_focused()
    page.locator(f"#{rows[1]}").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/predictions/{rows[1].removeprefix('to-')}")


def test_a_lost_connection_is_said_until_it_is_over(browser: Browser, seeded: Seeded, waiting: str) -> None:
    with watched_tab(browser, seeded.site) as tab:
        page = tab.page
        tab.log_in()
        # Nothing runs on this page, so nothing would ask by itself.
        tab.goto("/predictions?status=succeeded")
        page.context.set_offline(True)
        page.get_by_label("Order").select_option("created_at")
        lost = page.locator("#lost")
        expect(lost).to_contain_text(re.compile(r"does not answer\. This list is from \d\d:\d\d"))
        expect(page.locator("tbody tr").first).to_be_visible()
        page.context.set_offline(False)
        expect(lost).to_be_hidden()
        expect(page.get_by_role("columnheader", name=re.compile("^Uploaded"))).to_have_attribute(
            "aria-sort", "ascending"
        )
        # What was to be done is not done behind one's back.
        tab.goto("/predictions?status=queued")
        page.context.set_offline(True)
        page.locator(f"#act-{waiting}").click()
        expect(lost).to_contain_text("That was not done")
        page.context.set_offline(False)
        page.wait_for_timeout(4500)
        expect(lost).to_be_visible()
        expect(page.locator(f"#act-{waiting}")).to_contain_text("Cancel")
        # Chromium and htmx report the lost requests; nothing else may be wrong.
        lines = [line for line in tab.complaints if not line.startswith("console: htmx:")]
        assert [line for line in lines if "ERR_INTERNET_DISCONNECTED" not in line] == []


@pytest.mark.parametrize("system", ["light", "dark"])
def test_a_theme_is_chosen_once_for_every_page(browser: Browser, seeded: Seeded, system: str) -> None:
    other = "dark" if system == "light" else "light"
    paper = "getComputedStyle(document.body).backgroundColor"
    with watched_tab(browser, seeded.site, color_scheme=system) as tab:
        page = tab.page
        tab.goto("/login")
        by_system = page.evaluate(paper)
        page.get_by_label("Theme").select_option(other)
        chosen = page.evaluate(paper)
        assert chosen != by_system
        # What is known when the body begins, which is before the first paint.
        page.add_init_script(
            "new MutationObserver((_, observer) => { if (!document.body) return; observer.disconnect();"
            " window.first = document.documentElement.dataset.theme; })"
            ".observe(document, {childList: true, subtree: true})"
        )
        tab.log_in()
        assert page.evaluate(paper) == chosen
        assert page.evaluate("window.first") == other
        expect(page.get_by_label("Theme")).to_have_value(other)
        page.get_by_label("Theme").select_option("as the system")
        tab.goto("/account")
        assert page.evaluate(paper) == by_system
        assert tab.complaints == []
