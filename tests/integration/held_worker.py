"""A worker for the tests: the real one, except that it stands still where a scan's display name says.

Usage: python held_worker.py MARKS --queue inference

A scan that is called ``hold-STAGE`` stops its job in that stage, once: a file of that name in MARKS
tells the test that it stands there, and keeps the next worker from standing still again. The heartbeat goes
on. A scan that is called ``poison`` kills its process each time; one that is called ``slow`` takes a minute
and reports on it; one that is called ``stuck`` never reports again. While a scan that is called
``crash`` is read, the process that reads it is killed by a fault of memory.

Where MARKS holds a file ``wanted-STAGE``, the next scan that is made of a zip or brought into template space
stands still as it comes to that stage, and the file is called ``held-STAGE`` from then on; it holds the
number of the worker's process.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from service.db.rows import ScanRow
from service.enclosure import Answer, Enclosure
from service.worker import __main__ as entry
from service.worker import job
from service.worker.runtime import Runtime

MARKS = Path(sys.argv[1])
# In the environment of all its children: the number of the process that a test started.
WORKER = "HELD_WORKER"

real_predict = Runtime.predict
real_write_outcome = job.write_outcome
real_run = Enclosure.run
current: list[str] = []


def hold(stage: str) -> None:
    name = current[-1]
    mark = MARKS / name
    if not name.startswith(f"hold-{stage}") or mark.exists():
        return
    mark.write_text(str(os.getpid()))
    while True:
        time.sleep(0.1)


def predict(
    self: Runtime,
    path: Path,
    predictor: Any,
    *,
    scan: ScanRow,
    kept: Any,
    progress: Callable[[str, float], None],
    check: Callable[[], None],
) -> dict[str, Any]:
    display_name = scan.display_name
    current.append(display_name)
    hold("claimed")
    if display_name.startswith("poison"):
        os.kill(os.getpid(), signal.SIGKILL)
    if display_name.startswith("stuck"):
        time.sleep(600)

    def report(stage: str, fraction: float) -> None:
        progress(stage, fraction)
        if display_name.startswith("crash"):
            for server in psutil.Process().children():
                for reader in server.children():
                    reader.send_signal(signal.SIGSEGV)
        if display_name.startswith("slow"):
            end = time.monotonic() + 60
            while time.monotonic() < end:
                time.sleep(0.05)
                progress(stage, fraction)
        if 0 < fraction < 1:
            hold(stage)

    result = real_predict(self, path, predictor, scan=scan, kept=kept, progress=report, check=check)
    hold("before-result")
    return result


def run_enclosed(self: Enclosure, task: str, *files: Any, progress: Any = None, **more: Any) -> Answer:
    def report(stage: str, fraction: float) -> None:
        progress(stage, fraction)
        wanted = MARKS / f"wanted-{stage}"
        if wanted.exists():
            wanted.write_text(os.environ[WORKER])
            wanted.rename(MARKS / f"held-{stage}")
            while True:
                time.sleep(0.1)
                # What is asked of the job meanwhile is heard as ever.
                (more["check"])()

    held = task.endswith((":take", ":normalise"))
    return real_run(self, task, *files, progress=report if held else progress, **more)


def write_outcome(*args: Any, **kwargs: Any) -> bool:
    written = real_write_outcome(*args, **kwargs)
    if current:
        hold("after-result")
    return written


# Spawned children import this file again, so they are patched as well.
Runtime.predict = predict
Enclosure.run = run_enclosed
job.write_outcome = write_outcome

if __name__ == "__main__":
    os.environ[WORKER] = str(os.getpid())
    sys.exit(entry.main(sys.argv[2:]))
