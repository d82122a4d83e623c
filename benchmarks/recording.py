"""What every measurement says beside its figures: on what machine, and what else kept it busy."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np


def machine() -> str:
    """Describe in a line what this ran on."""
    processor = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return (
        f"{processor}, {os.cpu_count()} cores, torch {version('torch')}, Python {platform.python_version()}"
    )


def load_now() -> list[float]:
    """Give how many processes ran or waited, on average over 1, 5 and 15 minutes, as `uptime` does."""
    return [round(value, 2) for value in os.getloadavg()]


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Give the median, the 95th percentile and the greatest, in milliseconds."""
    p50, p95, most = 1000 * np.percentile(seconds, [50, 95, 100])
    return {"n": len(seconds), "p50_ms": round(p50, 1), "p95_ms": round(p95, 1), "max_ms": round(most, 1)}


def report(result: object, out: Path | None) -> None:
    """Print a result, and write it where it is to be kept."""
    text = json.dumps(result, indent=2)
    print(text)
    if out is not None:
        out.write_text(text + "\n")
