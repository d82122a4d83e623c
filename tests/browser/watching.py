"""A tab of a browser that remembers everything it should not have done."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request


@dataclass(frozen=True)
class Site:
    """A running service and its demonstration login."""

    address: str
    username: str
    password: str
    api_key: str


@dataclass
class Watched:
    """A tab, and everything that it should not have done."""

    page: Page
    site: Site
    complaints: list[str] = field(default_factory=list)

    def goto(self, path: str) -> None:
        self.page.goto(self.site.address + path)

    def log_in(self) -> None:
        self.type_password(self.site.username)
        self.page.wait_for_url(self.site.address + "/")

    def type_password(self, username: str) -> None:
        """Take the first step of a login: whoever has an authenticator is asked for a code then."""
        self.goto("/login")
        self.page.get_by_label("User name").fill(username)
        self.page.get_by_label("Password").fill(self.site.password)
        self.page.get_by_role("button", name="Log in").click()

    def note_console(self, message: ConsoleMessage) -> None:
        # htmx calls a request an error that it ended itself, for a newer one or for another page.
        ended = message.text.startswith(("htmx:sendAbort", "htmx:afterRequest"))
        if message.type in {"error", "warning"} and not ended:
            self.complaints.append(f"console: {message.text}")

    def note_request(self, request: Request) -> None:
        if not request.url.startswith((self.site.address, "data:")):
            self.complaints.append(f"request to another server: {request.url}")


@contextmanager
def watched_tab(browser: Browser, site: Site, **options: Any) -> Iterator[Watched]:
    """Open a tab of its own context; complain about console errors and requests to other servers."""
    context = browser.new_context(**options)
    context.set_default_timeout(20_000)
    tab = Watched(context.new_page(), site)
    tab.page.on("console", tab.note_console)
    tab.page.on("pageerror", lambda error: tab.complaints.append(f"script: {error}"))
    tab.page.on("request", tab.note_request)
    try:
        yield tab
    finally:
        context.close()
