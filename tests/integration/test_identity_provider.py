"""Logins through a real OpenID Connect provider (npm's oidc-provider), from the button to the account."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit, urlunsplit

import httpx2
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from service.api.app import create_app
from service.db.migrate import upgrade
from service.db.rows import AuditEventRow, ProviderIdentityRow, SessionRow, UserRow
from service.identity.accounts import disable_user, require_user
from service.identity.roles import Role
from service.settings import Settings
from tests.servers import end, free_port, missing, wait_until
from tests.service.api.serving import PASSWORD, REPOSITORY, Serving

pytestmark = [pytest.mark.integration, pytest.mark.enable_socket]

PUBLIC_URL = "https://restnet.test"
CLIENT_ID, CLIENT_SECRET = "restnet", "a secret of the tests"
ROLES = "restnet-admins=administrator, doctors=clinician"
PEOPLE = {
    "mina": {"preferred_username": "Mina.K", "groups": ["doctors"], "organisation": "north"},
    "root": {"preferred_username": "root", "groups": ["doctors", "restnet-admins"], "organisation": "north"},
    "guest": {"preferred_username": "guest", "groups": ["visitors"], "organisation": "north"},
    "elsewhere": {"preferred_username": "ela", "groups": ["doctors"], "organisation": "south"},
    "odd": {"preferred_username": "<b>Odd name</b>", "groups": "doctors", "organisation": ["x", "north"]},
    "nameless": {"groups": ["doctors"], "organisation": "north"},
}


@contextmanager
def identity_provider(port: int, **lifetimes: int) -> Iterator[str]:
    node = shutil.which("node") or shutil.which("node", path=str(REPOSITORY / ".venv" / "bin"))
    if node is None or not (REPOSITORY / "node_modules" / "oidc-provider").is_dir():
        missing("node with oidc-provider (npm ci)", "nothing else")
    client = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [f"{PUBLIC_URL}/login/provider/callback"],
        "post_logout_redirect_uris": [f"{PUBLIC_URL}/login"],
    }
    said = json.dumps({"port": port, "client": client, "people": PEOPLE, "lifetimes": lifetimes})
    script = Path(__file__).with_name("identity_provider.mjs")
    process = subprocess.Popen([node, script, said], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    issuer = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(issuer), "the identity provider to answer")
        yield issuer
    finally:
        end(process)


def answers(issuer: str) -> bool:
    try:
        return httpx2.get(f"{issuer}/jwks", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture(scope="session")
def issuer() -> Iterator[str]:
    with identity_provider(free_port()) as address:
        yield address


@dataclass
class Browser:
    """Somebody's browser: follows redirects between service and provider, and fills the forms there."""

    served: Serving
    elsewhere: httpx2.Client

    def get(self, url: str) -> httpx2.Response:
        if url.startswith(PUBLIC_URL):
            # The same browser says where it comes from; what it sends to us is a navigation.
            return self.served.client.get(url, headers={"Accept": "text/html"})
        return self.elsewhere.get(url)

    def follow(self, url: str, *, until: str = "\0") -> tuple[str, httpx2.Response | None]:
        """Follow redirects; stop before an address that begins with ``until``."""
        for _ in range(20):
            if url.startswith(until):
                return url, None
            answer = self.get(url)
            if "location" not in answer.headers:
                return url, answer
            url = urljoin(url, answer.headers["location"])
        raise AssertionError(url)

    def submit(self, url: str, page: httpx2.Response, *, until: str = "\0", **values: str) -> Any:
        """Send the provider's form with its hidden fields."""
        [action] = re.findall(r'<form[^>]* action="([^"]+)"', page.text)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        target = urljoin(url, unescape(action))
        answer = self.elsewhere.post(target, data=hidden | values)
        return self.follow(urljoin(target, answer.headers["location"]), until=until)

    def log_in(
        self,
        person: str,
        *,
        target: str = "/",
        until: str = "\0",
        change: Callable[[str], str] = lambda url: url,
    ) -> tuple[str, Any]:
        """Press the button, log in at the provider, agree there, and come back."""
        begin = f"{PUBLIC_URL}/login/provider?{urlencode({'next': target})}"
        departure, _ = self.follow(begin, until="http://127.0.0.1:")
        url, page = self.follow(change(departure))
        assert page is not None
        url, page = self.submit(url, page, until=until, login=person, password="any")
        if page is not None and 'name="prompt" value="consent"' in page.text:
            url, page = self.submit(url, page, until=until)
        return url, page


OpenBrowser = Callable[[Serving], Browser]


@pytest.fixture
def open_browser() -> Iterator[OpenBrowser]:
    with ExitStack() as stack:

        def opened(served: Serving) -> Browser:
            client = httpx2.Client(follow_redirects=False, trust_env=False)
            return Browser(served, stack.enter_context(client))

        yield opened


CALLBACK = f"{PUBLIC_URL}/login/provider/callback"


@pytest.fixture
def make_served(tmp_path: Path, issuer: str) -> Iterator[Callable[..., Serving]]:
    made: list[TestClient] = []

    def make(**values: Any) -> Serving:
        settings = Settings(
            **{
                "data_dir": tmp_path / "data",
                "public_url": PUBLIC_URL,
                "oidc_issuer": issuer,
                "oidc_client_id": CLIENT_ID,
                "oidc_client_secret": CLIENT_SECRET,
                "oidc_name": "Hospital login",
                "oidc_roles": ROLES,
            }
            | values
        )
        upgrade(settings.database_url.get_secret_value())
        app = create_app(settings)
        client = TestClient(app, base_url=PUBLIC_URL, follow_redirects=False, client=("127.0.0.1", 50000))
        client.__enter__()
        made.append(client)
        return Serving(app, client)

    yield make
    for client in made:
        client.__exit__(None, None, None)


@pytest.fixture
def served(make_served: Callable[..., Serving]) -> Serving:
    return make_served()


def accounts(served: Serving) -> dict[str, str]:
    with served.sessions() as session:
        return {user.username: user.role for user in session.scalars(select(UserRow))}


def is_logged_in(served: Serving) -> bool:
    return served.client.get("/api/v1/predictions").status_code == 200


def test_a_person_logs_in_there_and_is_somebody_here(served: Serving, open_browser: OpenBrowser) -> None:
    page = served.client.get("/login?next=/predictions")
    [button] = re.findall(r'<a class="button" href="([^"]+)">Log in with Hospital login</a>', page.text)
    assert button == "/login/provider?next=%2Fpredictions"
    url, page = open_browser(served).log_in("mina", target="/predictions?status=failed")
    assert (url, page.status_code) == (f"{PUBLIC_URL}/predictions?status=failed", 200)
    assert "mina.k" in page.text
    assert accounts(served) == {"mina.k": "clinician"}
    assert "__Host-restnet" in served.client.cookies
    assert "__Host-restnet-provider" not in served.client.cookies
    with served.sessions() as session:
        [row] = session.scalars(select(SessionRow))
        assert row.through_provider


def test_a_person_who_comes_again_is_the_same(served: Serving, open_browser: OpenBrowser) -> None:
    open_browser(served).log_in("mina")
    first = served.client.cookies["__Host-restnet"]
    url, _ = open_browser(served).log_in("mina")
    assert url == f"{PUBLIC_URL}/"
    assert accounts(served) == {"mina.k": "clinician"}
    with served.sessions() as session:
        assert len(list(session.scalars(select(SessionRow)))) == 1
    served.client.cookies.clear()
    served.client.cookies["__Host-restnet"] = first
    assert not is_logged_in(served)


@pytest.mark.parametrize(
    ("person", "role"), [("root", "administrator"), ("odd", "clinician"), ("nameless", "clinician")]
)
def test_roles_and_names_come_from_claims(
    served: Serving, person: str, role: str, open_browser: OpenBrowser
) -> None:
    open_browser(served).log_in(person)
    [(name, found)] = accounts(served).items()
    assert found == role
    assert re.fullmatch("root" if person == "root" else r"person-[0-9a-f]{8}", name)


def test_the_provider_decides_on_the_role_at_every_login(served: Serving, open_browser: OpenBrowser) -> None:
    open_browser(served).log_in("mina")
    with served.sessions.begin() as session:
        session.scalars(select(UserRow)).one().role = Role.ADMINISTRATOR
    open_browser(served).log_in("mina")
    assert accounts(served) == {"mina.k": "clinician"}


def test_an_account_of_the_same_name_stays_another_persons(
    served: Serving, open_browser: OpenBrowser
) -> None:
    served.user("mina.k", Role.ADMINISTRATOR)
    open_browser(served).log_in("mina")
    mine, other = sorted(accounts(served).items())
    assert mine == ("mina.k", "administrator")
    assert other[0].startswith("mina.k-")
    assert other[1] == "clinician"
    with served.sessions() as session:
        identity = session.scalars(select(ProviderIdentityRow)).one()
        assert session.get_one(UserRow, identity.user_id).username == other[0]


def test_no_password_opens_an_account_of_the_provider(served: Serving, open_browser: OpenBrowser) -> None:
    open_browser(served).log_in("mina")
    served.client.cookies.clear()
    for password in ("", "any", PASSWORD):
        answer = served.client.post("/login", data={"username": "mina.k", "password": password})
        assert answer.status_code in {401, 422}


def refused(served: Serving, page: httpx2.Response, *, status: int, said: str) -> None:
    assert page.status_code == status, page.text
    assert said in page.text
    # The way that needs no provider stands on the same page.
    assert 'name="password"' in page.text
    assert not is_logged_in(served)
    assert not any(name.endswith("-provider") for name in served.client.cookies)


def test_who_has_no_role_is_not_let_in(served: Serving, open_browser: OpenBrowser) -> None:
    _, page = open_browser(served).log_in("guest")
    refused(served, page, status=403, said="you have no access here")
    assert accounts(served) == {}


def test_who_is_of_another_organisation_is_not_let_in(
    make_served: Callable[..., Serving], open_browser: OpenBrowser
) -> None:
    served = make_served(oidc_organisation_claim="organisation", oidc_organisations="north, west")
    _, page = open_browser(served).log_in("elsewhere")
    refused(served, page, status=403, said="you have no access here")
    url, _ = open_browser(served).log_in("odd")
    assert url == f"{PUBLIC_URL}/"


def test_an_account_is_made_in_the_organisation_that_the_settings_name(
    make_served: Callable[..., Serving], open_browser: OpenBrowser
) -> None:
    served = make_served(
        oidc_organisation_claim="organisation", oidc_organisations="north=North clinic, south=Nowhere"
    )
    north = served.organisation("North clinic")
    # No organisation has the name that this one was to go to.
    _, page = open_browser(served).log_in("elsewhere")
    refused(served, page, status=403, said="you have no access here")
    url, _ = open_browser(served).log_in("mina")
    assert url == f"{PUBLIC_URL}/"
    with served.sessions() as session:
        assert require_user(session, username="mina.k").organisation_id == north
    with served.sessions() as session:
        told = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
    assert [(event.action, event.organisation_id) for event in told] == [
        ("login.refused", None),
        ("user.create", north),
        ("login.begin", north),
    ]


def test_a_disabled_account_stays_out(served: Serving, open_browser: OpenBrowser) -> None:
    open_browser(served).log_in("mina")
    with served.sessions.begin() as session:
        disable_user(session, username="mina.k")
    _, page = open_browser(served).log_in("mina")
    refused(served, page, status=403, said="you have no access here")


def changed(url: str, **values: str) -> str:
    parts = urlsplit(url)
    query = {name: found[0] for name, found in parse_qs(parts.query).items()} | values
    return urlunsplit(parts._replace(query=urlencode(query)))


NOT_COMPLETED = "That login was not completed"


def test_an_answer_to_another_state_is_refused(served: Serving, open_browser: OpenBrowser) -> None:
    browser = open_browser(served)
    url, _ = browser.log_in("mina", until=CALLBACK)
    refused(served, browser.get(changed(url, state="another")), status=400, said=NOT_COMPLETED)
    # And the attempt is over: the right one comes too late.
    refused(served, browser.get(url), status=400, said=NOT_COMPLETED)


@pytest.mark.parametrize("name", ["nonce", "code_challenge"])
def test_a_departure_that_was_tampered_with_leads_nowhere(
    served: Serving, name: str, open_browser: OpenBrowser
) -> None:
    # The provider puts the nonce into its token and holds the code to the challenge: neither is ours now.
    _, page = open_browser(served).log_in("mina", change=lambda url: changed(url, **{name: "x" * 43}))
    refused(served, page, status=400, said=NOT_COMPLETED)
    assert accounts(served) == {}


def test_an_answer_from_another_issuer_is_refused(served: Serving, open_browser: OpenBrowser) -> None:
    browser = open_browser(served)
    url, _ = browser.log_in("mina", until=CALLBACK)
    assert "iss=" in url
    answer = browser.get(changed(url, iss="https://evil.example"))
    refused(served, answer, status=400, said=NOT_COMPLETED)


def test_an_answer_serves_once_and_only_its_own_browser(served: Serving, open_browser: OpenBrowser) -> None:
    browser = open_browser(served)
    url, _ = browser.log_in("mina", until=CALLBACK)
    kept = httpx2.Cookies(served.client.cookies)
    served.client.cookies.clear()
    # Another browser that is led to the same address.
    refused(served, browser.get(url), status=400, said=NOT_COMPLETED)
    served.client.cookies.update(kept)
    assert browser.get(url).status_code == 303
    assert is_logged_in(served)
    served.client.cookies.clear()
    served.client.cookies.update(kept)
    refused(served, browser.get(url), status=400, said=NOT_COMPLETED)


def test_who_changes_their_mind_there_is_not_let_in(served: Serving, open_browser: OpenBrowser) -> None:
    browser = open_browser(served)
    departure, _ = browser.follow(f"{PUBLIC_URL}/login/provider", until="http://127.0.0.1:")
    url, page = browser.follow(departure)
    assert page is not None
    [abort] = re.findall(r'href="([^"]+/abort)"', page.text)
    _, page = browser.follow(urljoin(url, unescape(abort)))
    assert page is not None
    refused(served, page, status=403, said="Hospital login did not let you in")


def test_refusals_are_told_with_their_reason_and_once_an_address(
    make_served: Callable[..., Serving], open_browser: OpenBrowser
) -> None:
    served = make_served()
    browser = open_browser(served)
    browser.log_in("guest")
    for _ in range(3):
        # Anybody may send this, as often as they like.
        browser.get(f"{CALLBACK}?code=x&state=y")
    departure, _ = browser.follow(f"{PUBLIC_URL}/login/provider", until="http://127.0.0.1:")
    assert departure
    browser.get(f"{CALLBACK}?error=access_denied&state=y")
    away = make_served(oidc_issuer=f"http://127.0.0.1:{free_port()}")
    open_browser(away).get(f"{PUBLIC_URL}/login/provider")
    with served.sessions() as session:
        told = session.scalars(
            select(AuditEventRow)
            .where(AuditEventRow.action == "login.refused")
            .order_by(AuditEventRow.sequence)
        ).all()
    assert [event.details for event in told] == [
        {"through": "identity-provider", "code": code}
        for code in (
            "provider_account_not_allowed",
            "provider_answer_not_valid",
            "provider_refused",
            "provider_unavailable",
        )
    ]
    assert {(event.actor, event.subject_id) for event in told} == {("anonymous", "unknown")}


def test_a_code_that_has_expired_is_refused(
    make_served: Callable[..., Serving], open_browser: OpenBrowser
) -> None:
    with identity_provider(free_port(), AuthorizationCode=1) as issuer:
        served = make_served(oidc_issuer=issuer)
        browser = open_browser(served)
        url, _ = browser.log_in("mina", until=CALLBACK)
        time.sleep(2.5)
        refused(served, browser.get(url), status=400, said=NOT_COMPLETED)


def test_without_the_provider_people_are_told_and_passwords_serve(
    make_served: Callable[..., Serving], open_browser: OpenBrowser
) -> None:
    port = free_port()
    served = make_served(oidc_issuer=f"http://127.0.0.1:{port}")
    browser = open_browser(served)
    answer = browser.get(f"{PUBLIC_URL}/login/provider")
    refused(served, answer, status=503, said="Hospital login does not answer")
    served.user()
    login = served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
    assert login.status_code == 303
    served.client.cookies.clear()
    # It comes back, and goes away again while somebody is there.
    with identity_provider(port):
        url, _ = browser.log_in("mina", until=CALLBACK)
    refused(served, browser.get(url), status=503, said="Hospital login does not answer")


def test_a_wrong_secret_is_refused_by_the_provider(
    make_served: Callable[..., Serving], open_browser: OpenBrowser
) -> None:
    served = make_served(oidc_client_secret="another")
    _, page = open_browser(served).log_in("mina")
    refused(served, page, status=400, said=NOT_COMPLETED)


def test_logging_out_ends_it_here_and_offers_to_end_it_there(
    served: Serving, open_browser: OpenBrowser
) -> None:
    browser = open_browser(served)
    _, page = browser.log_in("mina")
    [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', page.text))
    answer = served.client.post("/logout", data={"csrf_token": token})
    assert answer.headers["location"] == "/login?left=1"
    assert not is_logged_in(served)
    form = served.client.get("/login?left=1").text
    assert '<a href="/login/provider/logout">log out of Hospital login</a>' in form
    url, page = browser.follow(f"{PUBLIC_URL}/login/provider/logout")
    assert url.startswith("http://127.0.0.1:")
    assert page is not None
    url, page = browser.submit(url, page, logout="yes")
    assert url.startswith(f"{PUBLIC_URL}/login")
    # Whoever comes next to this computer is asked who they are.
    departure, _ = browser.follow(f"{PUBLIC_URL}/login/provider", until="http://127.0.0.1:")
    _, page = browser.follow(departure)
    assert page is not None
    assert 'name="login"' in page.text


def test_somebody_with_a_password_is_not_asked_about_the_provider(served: Serving) -> None:
    served.user()
    served.client.post("/login", data={"username": "doctor", "password": PASSWORD})
    [token] = set(re.findall(r'name="csrf_token" value="([^"]+)"', served.client.get("/").text))
    assert served.client.post("/logout", data={"csrf_token": token}).headers["location"] == "/login"


def test_it_leads_nowhere_else(served: Serving, open_browser: OpenBrowser) -> None:
    url, _ = open_browser(served).log_in("mina", target="https://evil.example/")
    assert url == f"{PUBLIC_URL}/"
