"""What does it save to bound how long torch's threads spin while they wait? Alone, and beside other work.

Classifies one simulated scan in a fresh process, in turns as RestNet does (``GOMP_SPINCOUNT``, which
importing `model` sets) and as libgomp does by itself (torch is imported first), alone and beside as many busy
processes as there are cores, as a training or another service would be. Usage::

    python benchmarks/waiting_threads.py [--rounds 5] [--out results.json]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

FIRST_IMPORT = {"bounded": "model", "unbounded": "torch"}
SCANS_A_ROUND = 3


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    cores = len(os.sched_getaffinity(0))
    rows = []
    with tempfile.TemporaryDirectory(prefix="restnet-waiting-") as scratch:
        scan = simulated_scan(Path(scratch))
        for n_busy in (0, cores):
            with busy_processes(n_busy):
                times: dict[str, list[float]] = {name: [] for name in FIRST_IMPORT}
                for _ in range(options.rounds):
                    for name, imported in FIRST_IMPORT.items():
                        times[name].append(classify_ms(scan, first_import=imported))
            ratios = [unbounded / bounded for bounded, unbounded in zip(*times.values(), strict=True)]
            rows.append(
                {
                    "busy_processes": n_busy,
                    **{f"{name}_ms": round(median(values), 1) for name, values in times.items()},
                    "unbounded_over_bounded": [round(ratio, 2) for ratio in sorted(ratios)],
                }
            )
            print(rows[-1], flush=True)
    if options.out:
        machine = {"cores": cores, "processor": processor(), "python": platform.python_version()}
        options.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


def simulated_scan(folder: Path) -> Path:
    restnet = Path(sys.executable).with_name("restnet")
    command = [restnet, "simulate", folder / "cohort", "--subjects", "1", "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.rglob("*.nii.gz"))


def classify_ms(scan: Path, *, first_import: str) -> float:
    """Give the milliseconds of the last of several classifications of one process."""
    restnet = f"import {first_import}; from service.cli.app import main; main()"
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    answer = subprocess.run(
        [sys.executable, "-c", restnet, "predict", *[scan] * SCANS_A_ROUND, "--device", "cpu", "--json"],
        check=True,
        capture_output=True,
        env=environment,
    )
    return float(json.loads(answer.stdout)[-1]["timing_ms"]["classify"])


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Keep so many other processes computing meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in others:
            process.kill()
            process.wait()


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
