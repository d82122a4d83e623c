"""Clients that hand over scans from the disk; run in a process of their own, so that they cost the service's none."""

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


@dataclass(frozen=True)
class Variants:
    """Scans that differ in their last voxels: on the disk, one compressed beginning and an end for each.

    Attributes
    ----------
    beginning : Path
    ends : tuple of Path
    """

    beginning: Path
    ends: tuple[Path, ...]

    @classmethod
    def write(cls, scan: bytes, folder: Path, *, number: int) -> "Variants":
        """Compress an uncompressed scan of float32 once, and ``number`` ends of noise behind it."""
        folder.mkdir()
        chance = np.random.default_rng(1)
        shared = zlib.compressobj(1, wbits=31)
        beginning, ends = folder / "beginning", []
        beginning.write_bytes(shared.compress(scan[:-END_BYTES]))
        for n in range(number):
            end, own = folder / f"end-{n}", shared.copy()
            noise = chance.normal(size=END_BYTES // 4).astype("<f4")
            end.write_bytes(own.compress(noise.tobytes()) + own.flush())
            ends.append(end)
        return cls(beginning, tuple(ends))

    def size_bytes(self, n: int) -> int:
        return self.beginning.stat().st_size + self.ends[n].stat().st_size


@dataclass(frozen=True)
class Uploaded:
    """One upload: its answer, and the seconds from the connection to it."""

    status: int
    answer: str
    seconds: float

    @property
    def prediction_id(self) -> str:
        return str(json.loads(self.answer)["prediction_id"])


def upload_at_once(
    variants: Variants, addresses: Sequence[str], key: str, *, slow: int = 0
) -> list[Uploaded]:
    """Send every variant at the same time, to the addresses in turn, beside slow clients that never finish."""
    number = len(variants.ends)
    together, ended = threading.Barrier(number), threading.Event()

    def one(n: int) -> Uploaded:
        together.wait()
        return upload(variants, n, addresses[n % len(addresses)], key)

    with ThreadPoolExecutor(number + slow) as pool:
        dripping = [pool.submit(drip, addresses[n % len(addresses)], key, ended) for n in range(slow)]
        try:
            uploads = list(pool.map(one, range(number)))
        finally:
            ended.set()
        # A slow client that was turned away would have cost the service nothing.
        _raise_first(dripping)
    return uploads


def upload(variants: Variants, n: int, address: str, key: str) -> Uploaded:
    """Send one variant as a raw body; the kernel takes it from the disk to the socket."""
    began = time.monotonic()
    connection = _begin(address, key, {"Content-Length": str(variants.size_bytes(n))})
    try:
        for part in (variants.beginning, variants.ends[n]):
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
    """Send a body of unannounced size until there is an answer; returns how much was sent, status and answer."""
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
