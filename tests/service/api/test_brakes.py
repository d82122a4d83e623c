"""How often somebody may ask: counted by address and by key, in all processes; told when to come back."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import anyio
import pytest
from starlette.testclient import TestClient

from service.api.edge.upload_slots import TooManyUploadsError, UploadsFullError, UploadSlots
from service.db.rows import ApiKeyRow
from service.rates import ANSWER_S, Kind, RateLimitError, open_rates
from service.settings import Settings
from tests.servers import free_port, redis_server, redis_url
from tests.service.api.serving import Serving, make_settings, scan_bytes, serving, web_process

__all__ = ["redis_url"]

MakeServing = Any


@pytest.fixture
def make_served(tmp_path: Path, database_template: Path) -> Iterator[MakeServing]:
    with ExitStack() as stack:

        def make(**values: Any) -> Serving:
            return stack.enter_context(serving(make_settings(tmp_path / "data", database_template, **values)))

        yield make


def from_address(served: Serving, address: str) -> TestClient:
    return TestClient(served.app, base_url="http://testserver", follow_redirects=False, client=(address, 1))


def statuses(client: TestClient, times: int, **sent: Any) -> list[int]:
    return [client.get("/api/v1/predictions", **sent).status_code for _ in range(times)]


def test_who_asks_too_often_is_told_when_to_come_back(make_served: MakeServing) -> None:
    served = make_served(requests_per_minute=3)
    key, other = served.key("one"), served.key("two")
    assert statuses(served.client, 4, headers=key) == [200, 200, 200, 429]
    refused = served.client.get("/api/v1/predictions", headers=key)
    assert refused.json()["code"] == "rate_limited"
    assert refused.json()["details"]["limit"] == 3
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["content-security-policy"]
    # Another key at the same address goes on.
    assert statuses(served.client, 3, headers=other) == [200] * 3


def test_an_address_cannot_use_up_what_another_may(make_served: MakeServing) -> None:
    served = make_served(requests_per_minute_per_address=3)
    assert statuses(served.client, 4) == [401, 401, 401, 429]
    # An invented key buys nothing.
    assert statuses(served.client, 1, headers={"Authorization": "Bearer rnk_x"}) == [429]
    assert statuses(from_address(served, "192.0.2.7"), 3, headers=served.key()) == [200] * 3
    assert statuses(from_address(served, "2001:db8::1"), 3) == [401] * 3
    assert statuses(from_address(served, "2001:db8::ffff"), 1) == [429]


def test_uploads_are_counted_apart(make_served: MakeServing) -> None:
    served = make_served(uploads_per_minute=2, requests_per_minute=100)
    key = served.key()
    sent = {"files": {"scan": ("s.nii.gz", scan_bytes())}, "headers": key}
    assert [served.client.post("/api/v1/scans", **sent).status_code for _ in range(3)] == [202, 202, 429]
    assert statuses(served.client, 3, headers=key) == [200] * 3


def test_a_person_is_told_on_a_page(make_served: MakeServing) -> None:
    served = make_served(requests_per_minute_per_address=1)
    for _ in range(2):
        answer = served.client.get("/login", headers={"Accept": "text/html"})
    assert answer.status_code == 429
    assert "Too many requests came from here" in answer.text
    assert int(answer.headers["retry-after"]) >= 1


def test_health_figures_and_files_are_not_counted(make_served: MakeServing) -> None:
    served = make_served(requests_per_minute_per_address=1)
    for path in ("/healthz", "/metrics", "/static/restnet.css"):
        assert {served.client.get(path).status_code for _ in range(4)} == {200}
    assert served.client.get("/login").status_code == 200


def test_zero_sets_no_limit(make_served: MakeServing) -> None:
    served = make_served(requests_per_minute_per_address=0, requests_per_minute=0)
    assert set(statuses(served.client, 30, headers=served.key())) == {200}


@pytest.mark.integration
@pytest.mark.enable_socket
def test_processes_that_share_redis_share_the_counts(
    make_settings_with_redis: Any, tmp_path: Path, database_template: Path
) -> None:
    settings = make_settings_with_redis(tmp_path / "data", requests_per_minute_per_address=6)
    with web_process(settings) as (one, _, _), web_process(settings) as (two, _, _):
        assert [asked(address, "/login") for address in (one, two, one, two, one, two)] == [200] * 6
        assert asked(one, "/login") == asked(two, "/login") == 429
    # And a restart forgives nothing.
    with web_process(settings) as (one, _, _):
        assert asked(one, "/login") == 429


@pytest.mark.enable_socket
def test_without_its_redis_a_process_counts_by_itself(tmp_path: Path, database_template: Path) -> None:
    settings = make_settings(
        tmp_path / "data",
        database_template,
        broker_url="redis://127.0.0.1:1/0",
        requests_per_minute_per_address=3,
    )
    with web_process(settings) as (address, _, _):
        assert [asked(address, "/login") for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.integration
@pytest.mark.enable_socket
def test_a_redis_that_hangs_holds_nothing_up_for_long(tmp_path: Path) -> None:
    import redis

    with redis_server(free_port()) as url, redis.Redis.from_url(url) as server:
        rates = open_rates(Settings(data_dir=tmp_path, broker_url=url, requests_per_minute_per_address=3))

        async def count() -> float:
            began = time.monotonic()
            await rates.count(Kind.OTHER, address="192.0.2.1", credential=None)
            return time.monotonic() - began

        async def main() -> None:
            for _ in range(3):
                await count()
            with pytest.raises(RateLimitError):
                await count()
            server.client_pause(20_000)
            assert await count() < ANSWER_S + 1
            # It is left alone for a while, so the next ones do not even wait for it.
            assert max(await count(), await count()) < ANSWER_S
            with pytest.raises(RateLimitError):
                await count()

        anyio.run(main)


@pytest.fixture
def make_settings_with_redis(redis_url: str, database_template: Path) -> Iterator[Any]:
    import redis

    # A database of its own on the server: the suite may fill the others.
    url = redis_url.rpartition("/")[0] + "/13"
    with redis.Redis.from_url(url) as server:
        server.flushdb()
        yield lambda folder, **values: make_settings(folder, database_template, broker_url=url, **values)
        server.flushdb()


def asked(address: str, path: str, **headers: str) -> int:
    return answered(address, "GET", path, headers)[0]


def answered(
    address: str, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> tuple[int, bytes]:
    parts = urlsplit(address)
    link = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    try:
        link.request(method, path, body, headers)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def test_places_for_uploads_end_for_an_account_and_for_all() -> None:
    slots = UploadSlots(most=3, most_per_account=2)
    with slots.taken("a"), slots.taken("a"):
        with pytest.raises(TooManyUploadsError), slots.taken("a"):
            pass
        with slots.taken("b"), pytest.raises(UploadsFullError), slots.taken("c"):
            pass
    with slots.taken("c"), slots.taken("a"):
        pass
    assert not slots._arriving


def test_an_upload_without_a_place_is_asked_to_come_back(make_served: MakeServing) -> None:
    served = make_served(uploads_at_once=2, uploads_at_once_per_account=1)
    key, slots = served.key(), served.resources.upload_slots
    sent = {"files": {"scan": ("s.nii.gz", scan_bytes())}, "headers": key}
    with served.sessions() as session:
        [account] = {row.user_id for row in session.query(ApiKeyRow)}
    with slots.taken(account):
        refused = served.client.post("/api/v1/scans", **sent)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_uploads")
        assert refused.headers["retry-after"] == "5"
    with slots.taken("somebody"), slots.taken("else"):
        refused = served.client.post("/api/v1/scans", **sent)
        assert (refused.status_code, refused.json()["code"]) == (503, "uploads_full")
        assert refused.headers["retry-after"] == "5"
    assert served.client.post("/api/v1/scans", **sent).status_code == 202


@pytest.mark.enable_socket
@pytest.mark.parametrize(
    ("proxies", "forwarded", "counted_apart"),
    [
        ("", "192.0.2.{n}", False),
        ("198.51.100.1", "192.0.2.{n}", False),
        ("127.0.0.0/8", "192.0.2.{n}", True),
        # What the client itself put before the proxy's own entry is not believed.
        ("127.0.0.1, ::1", "203.0.113.{n}, 192.0.2.1", False),
        ("127.0.0.1, 10.0.0.0/8", "192.0.2.{n}, 10.1.2.3", True),
    ],
)
def test_only_a_trusted_proxy_says_who_asks(
    tmp_path: Path, database_template: Path, proxies: str, forwarded: str, counted_apart: bool
) -> None:
    settings = make_settings(
        tmp_path / "data",
        database_template,
        trusted_proxies=proxies,
        requests_per_minute_per_address=2,
    )
    with web_process(settings) as (address, _, _):
        seen = [asked(address, "/login", **{"X-Forwarded-For": forwarded.format(n=n)}) for n in range(4)]
    assert seen == ([200] * 4 if counted_apart else [200, 200, 429, 429])


@pytest.mark.enable_socket
def test_one_address_has_only_so_many_connections(tmp_path: Path, database_template: Path) -> None:
    settings = make_settings(tmp_path / "data", database_template, connections_per_address=3)
    with web_process(settings) as (address, _, _), ExitStack() as stack:
        parts = urlsplit(address)
        links = []
        for _ in range(4):
            link = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
            stack.callback(link.close)
            link.connect()
            links.append(link)
        for link in links[:3]:
            link.request("GET", "/healthz")
            assert link.getresponse().read()
        assert not _is_open(links[3].sock)
        links[0].close()
        assert json.loads(answered(address, "GET", "/healthz", {})[1]) == {"status": "alive"}


def _is_open(link: socket.socket) -> bool:
    try:
        return link.recv(1) != b""
    except ConnectionError:
        return False


@pytest.mark.enable_socket
def test_failed_logins_count_in_every_process_and_after_a_restart(
    tmp_path: Path, database_template: Path
) -> None:
    settings = make_settings(tmp_path / "data", database_template)
    body = urlencode({"username": "doctor", "password": "wrong"})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with web_process(settings) as (one, _, _), web_process(settings) as (two, _, _):
        seen = [answered(address, "POST", "/login", headers, body)[0] for address in (one, two) * 5]
    assert seen == [401] * 8 + [429] * 2
    with web_process(settings) as (one, _, _):
        assert answered(one, "POST", "/login", headers, body)[0] == 429


@pytest.mark.parametrize(
    ("values", "address", "token", "status"),
    [
        ({}, "127.0.0.1", None, 200),
        ({}, "10.1.2.3", None, 200),
        ({}, "203.0.113.9", None, 403),
        ({"metrics_networks": "203.0.113.0/24"}, "203.0.113.9", None, 200),
        ({"metrics_networks": "203.0.113.0/24"}, "127.0.0.1", None, 403),
        ({"metrics_networks": ""}, "127.0.0.1", None, 403),
        ({"metrics_token": "a" * 16}, "127.0.0.1", None, 403),
        ({"metrics_token": "a" * 16}, "127.0.0.1", "b" * 16, 403),
        ({"metrics_token": "a" * 16}, "127.0.0.1", "a" * 16, 200),
        ({"metrics_token": "a" * 16}, "203.0.113.9", "a" * 16, 403),
    ],
)
def test_figures_are_for_whom_the_settings_allow(
    make_served: MakeServing, values: dict[str, str], address: str, token: str | None, status: int
) -> None:
    served = make_served(**values)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = from_address(served, address).get("/metrics", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "metrics_not_allowed"
