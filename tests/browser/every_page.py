"""Every page that there is, opened one after another, for whoever looks at all of them."""

from collections.abc import Iterator

from playwright.sync_api import Browser, expect

from tests.browser.seeding import ADMINISTRATOR, NEWCOMER, WITH_CODE, Seeded
from tests.browser.watching import Watched, watched_tab
from tests.service.web.test_second_factor import code_of

OF_ANYBODY = {"login": "/login", "not-found": "/nothing", "reference": "/api/docs"}
OF_THE_CLINICIAN = {
    "home": "/",
    "worklist": "/predictions",
    "worklist-by-probability": "/predictions?sort=-adhd_probability",
    "worklist-by-pseudonym": "/predictions?subject_id=P-1",
    "worklist-nothing-matches": "/predictions?subject_id=nobody",
    "worklist-refused": "/predictions?status=lost",
    "account": "/account",
}


OF_THE_ADMINISTRATOR = {
    "reviews": "/reviews",
    "models": "/models",
    "evaluation": "/evaluation",
    "drift": "/drift",
    "training": "/training",
    "training-new": "/training/new",
    "users": "/users",
    "keys": "/keys",
    "audit": "/audit",
    "audit-nothing-matches": "/audit?action=audit.export",
    "audit-refused": "/audit?actor=nobody",
    "invitation-not-open": "/invitation/unknown",
}


def every_page(browser: Browser, seeded: Seeded) -> Iterator[tuple[str, Watched]]:
    """Open every page in turn; may be walked once for each seeded site, whose login with a code it sets up.

    Yields
    ------
    name : str
    tab : Watched
        It shows the page until the next is asked for.
    """
    with watched_tab(browser, seeded.site) as tab:
        # The page of an error has a status that Chromium itself complains about.
        for name, path in OF_ANYBODY.items():
            tab.goto(path)
            if name == "reference":
                expect(tab.page.get_by_text("Upload a scan and queue its prediction")).to_be_visible()
            yield name, tab
        tab.log_in()
        states = {f"prediction-{state}": path for state, path in seeded.pages.items()}
        states["prediction-explained"] = seeded.explained
        for name, path in (OF_THE_CLINICIAN | states).items():
            tab.goto(path)
            yield name, tab
    with watched_tab(browser, seeded.site) as tab:
        tab.type_password(NEWCOMER)
        tab.page.wait_for_url(seeded.site.address + "/")
        tab.goto("/predictions")
        yield "worklist-empty", tab
    with watched_tab(browser, seeded.site) as tab:
        tab.type_password(ADMINISTRATOR)
        tab.page.wait_for_url(seeded.site.address + "/")
        for name, path in OF_THE_ADMINISTRATOR.items():
            tab.goto(path)
            yield name, tab
        for name, path in seeded.models.items():
            tab.goto(path)
            yield f"model-{name}", tab
        for state, path in seeded.training.items():
            tab.goto(path)
            yield f"training-{state}", tab
        yield from _administration(tab)
    with watched_tab(browser, seeded.site) as tab:
        yield from _second_factor(tab)


def _administration(tab: Watched) -> Iterator[tuple[str, Watched]]:
    page = tab.page
    tab.goto("/users")
    page.get_by_label("User name").fill("somebody-new")
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator("code.secret")).to_be_visible()
    link = page.locator("code.secret").inner_text()
    yield "users-invited", tab
    page.goto(link)
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    yield "invitation", tab
    tab.goto("/keys?account=doctor")
    page.get_by_label("What it is for").fill("PACS bridge")
    page.get_by_label("upload and delete scans").check()
    page.get_by_role("button", name="Issue the key").click()
    expect(page.locator("code.secret")).to_be_visible()
    yield "keys-issued", tab
    tab.goto("/users")
    page.get_by_role("link", name="doctor", exact=True).click()
    expect(page.get_by_role("heading", name="doctor")).to_be_visible()
    yield "user", tab
    tab.goto("/audit")
    page.get_by_role("button", name="Check the chain").click()
    expect(page.get_by_role("status")).to_contain_text("The chain is whole")
    yield "audit-checked", tab


def _second_factor(tab: Watched) -> Iterator[tuple[str, Watched]]:
    page = tab.page
    tab.type_password(WITH_CODE)
    page.wait_for_url(tab.site.address + "/")
    tab.goto("/account")
    page.get_by_role("textbox", name="Password", exact=True).fill(tab.site.password)
    page.get_by_role("button", name="Set up an authenticator").click()
    expect(page.get_by_role("heading", name="Set up an authenticator")).to_be_visible()
    yield "second-factor-key", tab
    page.get_by_label("The code that it shows now").fill(code_of(page.locator("code.secret").inner_text()))
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="Keep these codes")).to_be_visible()
    yield "second-factor-codes", tab
    page.get_by_role("button", name="Log out").click()
    tab.type_password(WITH_CODE)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    yield "login-code", tab
