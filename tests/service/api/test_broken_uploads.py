"""Uploads in parts against the real web process: it is killed, and connections break."""

import hashlib
import os
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.servers import wait_until
from tests.service.api.serving import make_settings, scan_bytes, serving, web_process
from tests.service.api.tus_client import TUS, Client

pytestmark = pytest.mark.enable_socket


def test_a_killed_server_goes_on_where_it_was_and_the_hash_is_that_of_the_whole(
    tmp_path: Path, database_template: Path
) -> None:
    settings = make_settings(tmp_path / "data", database_template)
    content = scan_bytes(shape=(40, 40, 30, 40))
    with serving(settings) as served:
        headers = served.key()
    with web_process(settings) as (address, process, _), httpx2.Client(base_url=address) as client:
        tus = Client(client, headers)
        place = tus.begun(len(content))
        parts = urlsplit(address)
        with socket.create_connection((str(parts.hostname), parts.port)) as link:
            link.sendall(part_head(place, headers, len(content)) + content[: len(content) // 2])
            wait_until(lambda: tus.offset(place) > 0, "bytes to lie on the disk")
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    with web_process(settings) as (address, _, _), httpx2.Client(base_url=address) as client:
        tus = Client(client, headers)
        offset = tus.offset(place)
        assert 0 < offset <= len(content) // 2
        assert tus.append(place, offset, content[offset:]).status_code == 204
        accepted = tus.complete(place).json()
        scan = client.get(accepted["links"]["scan"], headers=headers).json()
        assert scan["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_connection_that_breaks_keeps_every_byte_that_came(tmp_path: Path, database_template: Path) -> None:
    settings = make_settings(tmp_path / "data", database_template)
    with serving(settings) as served:
        headers = served.key()
    with web_process(settings) as (address, _, _), httpx2.Client(base_url=address) as client:
        tus = Client(client, headers)
        place = tus.begun(100_000)
        parts = urlsplit(address)
        with socket.create_connection((str(parts.hostname), parts.port)) as link:
            link.sendall(part_head(place, headers, 100_000) + bytes(1234))
            time.sleep(0.3)
        wait_until(lambda: tus.offset(place) == 1234, "the bytes of the broken request")
        assert tus.append(place, 1234, bytes(100_000 - 1234)).status_code == 204


def part_head(place: str, headers: dict[str, str], length: int) -> bytes:
    lines = [
        f"PATCH {place} HTTP/1.1",
        "Host: x",
        "Content-Type: application/offset+octet-stream",
        f"Content-Length: {length}",
        "Upload-Offset: 0",
        *(f"{name}: {value}" for name, value in (headers | TUS).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()
