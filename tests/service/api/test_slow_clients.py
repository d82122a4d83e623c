"""Slow clients on real sockets: they hold nothing for long, and nobody waits for them."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import pytest

from service.db.engine import make_engine, session_factory
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.identity.accounts import create_user
from service.identity.api_keys import create_api_key
from service.identity.roles import Role
from service.settings import Settings
from service.web.rendering import FOLDER
from tests.service.api.serving import PASSWORD, make_settings, web_process
from tests.thorough import first

pytestmark = pytest.mark.enable_socket

HEAD_S, WINDOW_S = 3.0, 2.0
SLOW_CLIENTS = 200
MAX_BYTES = 200_000


@pytest.fixture
def settings(tmp_path: Path, database_template: Path) -> Settings:
    return make_settings(
        tmp_path / "data",
        database_template,
        request_head_s=HEAD_S,
        body_window_s=WINDOW_S,
        body_bytes_per_s=1000,
        max_upload_bytes=MAX_BYTES,
        uploads_at_once=SLOW_CLIENTS,
        uploads_at_once_per_account=SLOW_CLIENTS,
    )


@pytest.fixture
def key(settings: Settings) -> str:
    engine = make_engine(settings.database_url.get_secret_value())
    with session_factory(engine).begin() as session:
        user = create_user(
            session,
            username="machine",
            password=PASSWORD,
            role=Role.INTEGRATOR,
            organisation_id=DEFAULT_ORGANISATION_ID,
        )
        plain = create_api_key(session, user=user, name="test")
    engine.dispose()
    return plain


@contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    parts = urlsplit(address)
    with socket.create_connection((str(parts.hostname), parts.port), timeout=20) as link:
        yield link


def upload_head(key: str, *more: str) -> bytes:
    lines = [
        "POST /api/v1/scans HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {key}",
        "Content-Type: application/octet-stream",
        "X-Filename: s.nii",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(link: socket.socket) -> tuple[int, dict[str, Any]]:
    response = http.client.HTTPResponse(link)
    response.begin()
    return response.status, json.loads(response.read())


def is_closed(link: socket.socket, *, within_s: float) -> bool:
    link.settimeout(within_s)
    try:
        while link.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def quarantined(settings: Settings) -> list[Path]:
    return [path for path in (settings.data_dir / "storage").rglob("*") if path.is_file()]


def request_s(address: str, key: str) -> float:
    began = time.monotonic()
    parts = urlsplit(address)
    link = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    link.request("GET", "/api/v1/predictions", headers={"Authorization": f"Bearer {key}"})
    assert link.getresponse().status == 200
    link.close()
    return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("kind", first(1, ["half a body", "half a head", "no head"]))
def test_two_hundred_slow_clients_hold_nobody_up_and_are_gone_in_the_end(
    settings: Settings, key: str, kind: str
) -> None:
    sent = {
        "no head": b"",
        "half a head": b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        "half a body": upload_head(key, "Content-Length: 100000") + bytes(100),
    }[kind]
    with web_process(settings) as (address, _, _), ExitStack() as open_links:
        alone = median(request_s(address, key) for _ in range(10))
        slow = [open_links.enter_context(connected(address)) for _ in range(SLOW_CLIENTS)]
        for link in slow:
            link.sendall(sent)
        began = time.monotonic()
        beside = []
        # A drop at a time, as the tools for it do: a timeout between two reads would never fire.
        while time.monotonic() - began < 1.5:
            beside += [request_s(address, key) for _ in range(5)]
            for link in slow[::10]:
                link.sendall(sent[-1:])
        assert median(beside) < alone * 3 + 0.05, f"{median(beside):.3f} s beside them, {alone:.3f} s alone"
        if kind == "half a body":
            assert len(quarantined(settings)) == SLOW_CLIENTS
        limit_s = max(HEAD_S, WINDOW_S) + 2 + began - time.monotonic()
        deadline = time.monotonic() + limit_s + 5
        assert all(is_closed(link, within_s=max(deadline - time.monotonic(), 0.1)) for link in slow)
        assert quarantined(settings) == []


def test_an_upload_that_stalls_is_told_so_and_leaves_nothing(settings: Settings, key: str) -> None:
    with web_process(settings) as (address, _, _), connected(address) as link:
        link.sendall(upload_head(key, "Content-Length: 100000") + bytes(1000))
        status, problem = answer(link)
        assert (status, problem["code"]) == (408, "request_timeout")
        assert quarantined(settings) == []
        assert is_closed(link, within_s=10)


def test_an_upload_below_the_least_rate_ends_and_a_steady_one_does_not(settings: Settings, key: str) -> None:
    with web_process(settings) as (address, _, _), connected(address) as slow, connected(address) as steady:
        for link in (slow, steady):
            link.sendall(upload_head(key, "Content-Length: 15000"))
        for _ in range(15):
            # 500 and 5000 bytes a second; 1000 are the least.
            steady.sendall(bytes(1000))
            slow.sendall(bytes(100))
            time.sleep(0.2)
        assert answer(slow)[0] == 408
        # It is no scan, but it arrived.
        assert answer(steady)[0] == 422


def test_a_small_body_that_stalls_ends_too(settings: Settings) -> None:
    head = b"POST /login HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"
    head += b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nusername=a"
    with web_process(settings) as (address, _, _), connected(address) as link:
        link.sendall(head)
        status, problem = answer(link)
        assert (status, problem["code"]) == (408, "request_timeout")
        assert is_closed(link, within_s=10)


def test_a_second_request_that_never_ends_its_head_ends(settings: Settings) -> None:
    with web_process(settings) as (address, _, _), connected(address) as link:
        link.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(link) == (200, {"status": "alive"})
        began = time.monotonic()
        link.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert is_closed(link, within_s=HEAD_S + 5)
        assert time.monotonic() - began < HEAD_S + 2


def test_a_half_head_is_answered_with_its_status(settings: Settings) -> None:
    with web_process(settings) as (address, _, _), connected(address) as link:
        link.sendall(b"GET / HTTP/1.1\r\n")
        assert link.recv(1000).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("reads", first(1, [False, True]))
def test_who_takes_nothing_of_an_answer_is_given_up(settings: Settings, *, reads: bool) -> None:
    # More than the buffers between the two take in: nine times the largest file.
    wanted = 9
    asked = b"GET /static/vendor/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
    file = FOLDER / "static" / "vendor" / "swagger-ui-bundle.js"
    stalling = settings.model_copy(update={"response_stall_s": 1.0})
    with web_process(stalling) as (address, _, _), connected(address) as link:
        link.sendall(asked * wanted)
        came_bytes = 0
        if reads:
            # Slowly, but it reads: for longer than the limit.
            for _ in range(25):
                came_bytes += len(link.recv(300_000))
                time.sleep(0.1)
        else:
            time.sleep(4)
        link.settimeout(2)
        try:
            while piece := link.recv(1 << 20):
                came_bytes += len(piece)
        except (TimeoutError, ConnectionError):
            pass
    assert (came_bytes > wanted * file.stat().st_size) == reads


def chunked(piece: bytes, times: int) -> Iterator[bytes]:
    for _ in range(times):
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def form(boundary: str) -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="scan"; filename="s.nii"\r\n\r\n'.encode()


def too_large(kind: str, key: str) -> tuple[bytes, list[bytes]]:
    """The head and the pieces of an upload of thirty megabytes, if they were let in."""
    block = bytes(10_000)
    as_form = upload_head(key, "{length}").replace(
        b"application/octet-stream\r\nX-Filename: s.nii", b"multipart/form-data; boundary=b"
    )
    announced, in_chunks = b"Content-Length: 30000000", b"Transfer-Encoding: chunked"
    return {
        "announced": (upload_head(key, announced.decode()), [block] * 3000),
        "chunked": (upload_head(key, in_chunks.decode()), list(chunked(block, 3000))),
        "form": (as_form.replace(b"{length}", announced), [form("b"), *[block] * 3000]),
        "chunked form": (
            as_form.replace(b"{length}", in_chunks),
            [*chunked(form("b"), 1), *chunked(block, 3000)],
        ),
    }[kind]


def send_slowly(link: socket.socket, pieces: list[bytes]) -> None:
    for piece in pieces:
        link.sendall(piece)
        time.sleep(0.005)


KINDS = ["announced", "chunked", "form", "chunked form"]


@pytest.mark.parametrize("kind", first(1, KINDS))
def test_an_upload_over_the_limit_is_answered_at_the_limit(settings: Settings, key: str, kind: str) -> None:
    head, pieces = too_large(kind, key)
    with web_process(settings) as (address, _, _), connected(address) as link:
        link.sendall(head)
        for piece in pieces[: 2 * MAX_BYTES // 10_000]:
            link.sendall(piece)
            assert sum(path.stat().st_size for path in quarantined(settings)) <= MAX_BYTES
        # Nothing more is sent, and the answer comes all the same.
        status, problem = answer(link)
        assert (status, problem["code"]) == (413, "upload_too_large")
        assert problem["details"] == {"max_bytes": MAX_BYTES}
        assert quarantined(settings) == []
        began = time.monotonic()
        assert is_closed(link, within_s=10)
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("kind", first(2, KINDS))
def test_who_goes_on_sending_over_the_limit_is_cut_off(settings: Settings, key: str, kind: str) -> None:
    head, pieces = too_large(kind, key)
    with web_process(settings) as (address, _, _), connected(address) as link:
        link.sendall(head)
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            send_slowly(link, pieces)
        assert time.monotonic() - began < 8
        assert quarantined(settings) == []
