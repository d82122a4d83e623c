"""Hundreds of different scans at the same moment: none may be refused, and the web process stays small.

The production stack (PostgreSQL, Redis, an S3 server, two web processes, three workers) and then
`restnet serve` with everything embedded, each with the limits on rates and places that it comes with. Clients
are another process. Slow clients send beside them all the time, and two requests are asked again and again:
a probe, and a page of the list. First a few uploads, so that the cost of each further one can be told; at
last bodies over the limit, with their size announced and without. Ends with an error where an upload fails.

Usage::

    python benchmarks/concurrent_uploads.py [--uploads 200] [--slow 30] [--only production|embedded]
        [--out results.json]
"""

import argparse
import gzip
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from large_scan import large_scan  # noqa: E402
from recording import load_now, machine, report, spread  # noqa: E402
from uploading import (  # noqa: E402
    Parts,
    Uploaded,
    announce,
    send_without_end,
    size_bytes,
    upload,
    upload_at_once,
    write_variants,
)

from tests.production.stack import Stack, api_key, embedded, production  # noqa: E402

FEW = 10
MAX_UPLOAD_BYTES = 64 << 20
SETTINGS = {"max_upload_bytes": MAX_UPLOAD_BYTES}
SAMPLE_S = 0.05


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--uploads", type=int, default=200)
    arguments.add_argument("--slow", type=int, default=30)
    arguments.add_argument("--only", choices=["production", "embedded"])
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    result: dict[str, object] = {"machine": machine(), "load_before": load_now()}
    with tempfile.TemporaryDirectory(prefix="restnet-uploads-") as scratch:
        folder = Path(scratch)
        scan = gzip.decompress(large_scan(folder).read_bytes())
        scans = write_variants(scan, folder / "variants", number=options.uploads)
        result |= {"scan_bytes": size_bytes(scans[0]), "max_upload_bytes": MAX_UPLOAD_BYTES}
        if options.only != "embedded":
            with production(**SETTINGS) as stack:
                result["production"] = measure(stack, scans, slow=options.slow)
        if options.only != "production":
            with embedded(folder, **SETTINGS) as stack:
                result["embedded"] = measure(stack, scans, slow=options.slow)
    report(result, options.out)


def measure(stack: Stack, scans: Sequence[Parts], *, slow: int) -> dict[str, object]:
    key = api_key(stack.settings, name="uploads")
    # The first of all loads what every later one finds loaded.
    for address in stack.addresses:
        upload(scans[0], address, key)
    return {
        "few": burst(stack, scans[:FEW], key, slow=0),
        "many": burst(stack, scans, key, slow=slow),
        "over_the_limit": over_the_limit(stack, key),
    }


def burst(stack: Stack, scans: Sequence[Parts], key: str, *, slow: int) -> dict[str, object]:
    """Upload all scans at once and say what it cost; raises where one was not accepted."""
    idle = ask(stack.addresses[0], key, until=lambda began: time.monotonic() - began > 5)
    before = [memory(process) for process in stack.web_processes()]
    with clients_apart() as clients, sampled(stack) as peaks:
        sent = clients.submit(upload_at_once, scans, stack.addresses, key, slow=slow)
        beside = ask(stack.addresses[0], key, until=lambda _: sent.done())
        uploads = sent.result()
    refuse_failures(uploads)
    # They begin together.
    seconds = max(each.seconds for each in uploads)
    total = sum(map(size_bytes, scans))
    return {
        "uploads": len(uploads),
        "slow_clients": slow,
        "seconds": round(seconds, 1),
        "megabytes_per_s": round(total / 1e6 / seconds, 1),
        "upload": spread([each.seconds for each in uploads]),
        "asked_before": idle,
        "asked_beside": beside,
        "web_memory_mb": {
            "before": [of["web"] for of in before],
            "peak": [of["web"] for of in peaks],
            "peak_of_readers": [of["readers"] for of in peaks],
            "after": [memory(process)["web"] for process in stack.web_processes()],
        },
        "load_after": load_now(),
    }


@contextmanager
def clients_apart() -> Iterator[ProcessPoolExecutor]:
    """Start the clients' process, and wait until it has loaded what it needs."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(os.getpid).result()
        yield pool


def refuse_failures(uploads: list[Uploaded]) -> None:
    statuses = Counter(each.status for each in uploads)
    if set(statuses) != {202}:
        refused = next(each for each in uploads if each.status != 202)
        raise SystemExit(f"expected every upload to be accepted, found {dict(statuses)}: {refused.answer}")
    if len({each.prediction_id for each in uploads}) != len(uploads):
        raise SystemExit("expected a prediction for each upload, found some that share one")


def ask(address: str, key: str, *, until: Callable[[float], bool]) -> dict[str, dict[str, float]]:
    """Time a probe and a page of the list, in turns, until it is enough."""
    took: dict[str, list[float]] = {"/healthz": [], "/api/v1/predictions?limit=25": []}
    began = time.monotonic()
    with httpx2.Client(headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        while not until(began):
            for path, seconds in took.items():
                asked = time.monotonic()
                client.get(address + path).raise_for_status()
                seconds.append(time.monotonic() - asked)
                time.sleep(SAMPLE_S)
    return {path: spread(seconds) for path, seconds in took.items()}


@contextmanager
def sampled(stack: Stack) -> Iterator[list[dict[str, float]]]:
    """Keep the greatest memory of each web process, and of what reads files for it, while the body runs."""
    processes = stack.web_processes()
    peaks = [memory(process) for process in processes]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_S):
            for peak, process in zip(peaks, processes, strict=True):
                for what, megabytes in memory(process).items():
                    peak[what] = max(peak[what], megabytes)

    thread = threading.Thread(target=sample, name="sampler", daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def memory(process: psutil.Process) -> dict[str, float]:
    """Give the resident megabytes of a web process, and its children's with shared pages counted once."""
    readers = 0
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            readers += child.memory_full_info().pss
    return {"web": round(process.memory_info().rss / 1e6, 1), "readers": round(readers / 1e6, 1)}


def over_the_limit(stack: Stack, key: str) -> dict[str, object]:
    """Send what is too large, and tell where it was cut off."""
    address, process = stack.addresses[0], stack.web_processes()[0]
    written = process.io_counters().write_chars
    sent, status, answer = send_without_end(address, key, most_bytes=4 * MAX_UPLOAD_BYTES)
    kept = process.io_counters().write_chars - written
    announced = announce(address, key, size_bytes=2 * MAX_UPLOAD_BYTES)
    if (status, announced) != (413, 413):
        raise SystemExit(f"expected 413 twice, found {status} ({answer}) and {announced}")
    return {
        "unannounced": {"status": status, "sent_bytes": sent, "written_bytes": kept},
        "announced": {"status": announced},
    }


if __name__ == "__main__":
    main()
