"""What do encryption and a bucket cost beside a plain folder? One scan-sized file, put and read in turns.

Every round puts a file of 33 MB without pattern (received, hashed, promoted) and then reads it (opened,
every byte read from the local file), for a folder and for a bucket of rclone's S3 server on one machine,
with encryption and without. Ratios are to the plain folder in the same round. Usage::

    python benchmarks/storage.py [--rounds 9] [--out results.json]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from service.settings import Settings
from service.storage import Storage, open_storage
from service.storage.key_file import make_key_file

SIZE_BYTES = 33_000_000
CHUNK_BYTES = 256 << 10
BUCKET = "benchmark-bucket"
PORT = 18333
KEY = "scans/ab/abc.nii.gz"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    content = os.urandom(SIZE_BYTES)
    with (
        tempfile.TemporaryDirectory(prefix="restnet-storage-") as scratch,
        s3_server(Path(scratch)) as bucket,
    ):
        stores = make_stores(Path(scratch), bucket)
        times = {name: {"put_ms": [], "read_ms": []} for name in stores}
        for turn in range(options.rounds + 1):
            for name, storage in stores.items():
                put_ms, read_ms = put(storage, content), read(storage)
                # The first round warms connections, caches and imports.
                if turn:
                    times[name]["put_ms"].append(put_ms)
                    times[name]["read_ms"].append(read_ms)
    rows = [row(name, times) for name in times]
    for line in rows:
        print(line)
    if options.out:
        machine = {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}
        found = {"machine": machine, "size_bytes": SIZE_BYTES, "rounds": options.rounds, "rows": rows}
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def make_stores(scratch: Path, bucket: dict[str, str]) -> dict[str, Storage]:
    keys = scratch / "keys"
    make_key_file(keys)
    return {
        f"{place}{', encrypted' if key_file else ''}": open_storage(
            Settings(
                data_dir=scratch / f"{place}-{bool(key_file)}",
                encryption_key_file=key_file,
                storage_timeout_s=30,
                **values,
            )
        )
        for place, values in (("folder", {}), ("bucket", bucket))
        for key_file in (None, keys)
    }


def put(storage: Storage, content: bytes) -> float:
    began = time.perf_counter()
    with storage.receive(max_bytes=SIZE_BYTES) as upload:
        for start in range(0, SIZE_BYTES, CHUNK_BYTES):
            upload.write(content[start : start + CHUNK_BYTES])
        storage.promote(upload, KEY)
    return (time.perf_counter() - began) * 1000


def read(storage: Storage) -> float:
    began = time.perf_counter()
    with storage.open_local(KEY) as path, path.open("rb") as file:
        while file.read(1 << 20):
            pass
    return (time.perf_counter() - began) * 1000


def row(name: str, times: dict[str, dict[str, list[float]]]) -> dict[str, object]:
    found: dict[str, object] = {"store": name}
    for act, values in times[name].items():
        ratios = sorted(mine / plain for mine, plain in zip(values, times["folder"][act], strict=True))
        found[act] = round(median(values), 1)
        found[act.replace("_ms", "_over_folder")] = {
            "median": round(median(ratios), 2),
            "low": round(ratios[0], 2),
            "high": round(ratios[-1], 2),
        }
    return found


@contextmanager
def s3_server(scratch: Path) -> Iterator[dict[str, str]]:
    """Start rclone over a folder; gives the settings that reach it."""
    (scratch / "s3" / BUCKET).mkdir(parents=True)
    command = [Path(sys.executable).with_name("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{PORT}"]
    command += ["--auth-key", "key,not-a-secret", scratch / "s3"]
    environment = {**os.environ, "RCLONE_CONFIG": os.devnull}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        time.sleep(2)
        try:
            yield {
                "storage_url": f"s3://{BUCKET}",
                "storage_endpoint_url": f"http://127.0.0.1:{PORT}",
                "storage_access_key": "key",
                "storage_secret_key": "not-a-secret",
            }
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
