"""Clients that hand over scans from the disk, in a process of their own: they cost the service's nothing."""

import http.client
import json
import select
import threading
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

# What an answer may take on a busy machine.
PATIENCE_S = 900.0
SLOW_PAUSE_S = 0.5
BLOCK_BYTES = 64 * 1024
END_BYTES = 48 * 1024


# The files that one body consists of, one after the other.
Parts = Sequence[Path]


def write_variants(scan: bytes, folder: Path, *, number: int) -> list[Parts]:
    """Make scans of an uncompressed one of float32 that differ in their last voxels, noise in each.

    What they share is compressed once and lies on the disk once.
    """
    folder.mkdir()
    chance = np.random.default_rng(1)
    shared = zlib.compressobj(1, wbits=31)
    beginning = folder / "beginning"
    beginning.write_bytes(shared.compress(scan[:-END_BYTES]))
    ends = [folder / f"end-{n}" for n in range(number)]
    for end in ends:
        own, noise = shared.copy(), chance.normal(size=END_BYTES // 4).astype("<f4")
        end.write_bytes(own.compress(noise.tobytes()) + own.flush())
    return [(beginning, end) for end in ends]


def size_bytes(scan: Parts) -> int:
    return sum(part.stat().st_size for part in scan)


@dataclass(frozen=True)
class Uploaded:
    """One upload: its answer, and the seconds from the connection to it."""

    status: int
    answer: str
    seconds: float

    @property
    def prediction_id(self) -> str:
        """What an accepted upload was answered with."""
        return str(json.loads(self.answer)["prediction_id"])


def upload_at_once(
    scans: Sequence[Parts], addresses: Sequence[str], key: str, *, slow: int = 0
) -> list[Uploaded]:
    """Send all scans at the same time, to the addresses in turn, beside slow clients that never finish."""
    number = len(scans)
    together, ended = threading.Barrier(number), threading.Event()

    def one(n: int) -> Uploaded:
        together.wait()
        return upload(scans[n], addresses[n % len(addresses)], key)

    with ThreadPoolExecutor(number + slow) as pool:
        dripping = [pool.submit(drip, addresses[n % len(addresses)], key, ended) for n in range(slow)]
        try:
            uploads = list(pool.map(one, range(number)))
        finally:
            ended.set()
        # A slow client that was turned away would have cost the service nothing.
        _raise_first(dripping)
    return uploads


def upload(scan: Parts, address: str, key: str) -> Uploaded:
    """Send one scan as a raw body; the kernel takes it from the disk to the socket."""
    began = time.monotonic()
    connection = _begin(address, key, {"Content-Length": str(size_bytes(scan))})
    try:
        for part in scan:
            with part.open("rb") as file:
                connection.sock.sendfile(file)
    except (BrokenPipeError, ConnectionResetError):
        # Answered before all was said: the answer tells why.
        pass
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return Uploaded(answer.status, text, time.monotonic() - began)


def drip(address: str, key: str, ended: threading.Event) -> None:
    """Send a body just fast enough to be waited for (16 KiB/s), until the others are done."""
    connection = _begin(address, key, {"Content-Length": str(64 << 20)})
    while not ended.wait(SLOW_PAUSE_S):
        connection.sock.sendall(bytes(8192))
    connection.close()


def send_without_end(address: str, key: str, *, most_bytes: int) -> tuple[int, int, str]:
    """Send a body of unannounced size until there is an answer; returns bytes sent, status and answer."""
    connection = _begin(address, key, {"Transfer-Encoding": "chunked"})
    sent = 0
    block = np.random.default_rng(2).bytes(BLOCK_BYTES)
    try:
        while sent < most_bytes and not _answered(connection):
            connection.sock.sendall(b"%x\r\n%b\r\n" % (len(block), block))
            sent += len(block)
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        pass
    answer = connection.getresponse()
    return sent, answer.status, answer.read().decode()


def announce(address: str, key: str, *, size_bytes: int) -> int:
    """Announce a body of this size and send none of it; returns the status."""
    connection = _begin(address, key, {"Content-Length": str(size_bytes)})
    status = connection.getresponse().status
    connection.close()
    return status


def _answered(connection: http.client.HTTPConnection) -> bool:
    return bool(select.select([connection.sock], [], [], 0)[0])


def _begin(address: str, key: str, headers: dict[str, str]) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE_S)
    connection.putrequest("POST", "/api/v1/scans")
    said = {"Authorization": f"Bearer {key}", "X-Filename": "scan.nii.gz", "Content-Type": "application/gzip"}
    for name, value in (said | headers).items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection


def _raise_first(futures: Sequence[Future[None]]) -> None:
    for future in futures:
        future.result()
