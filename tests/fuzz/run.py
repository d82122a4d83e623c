"""Push mutants through the reader, in limited children, and write down how they end: ``make fuzz``.

Usage::

    python -m tests.fuzz.run [--mutants 20000] [--first 0] [--findings FOLDER] [--out report.json]

A finding is a mutant that kills its reader, takes more time or memory than it may, raises anything but a
refusal, or whose copy without free text differs in more than that. It is written to the folder of findings,
to become a test.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imaging.errors import ScanError
from service.enclosure import EnclosedFaultError, Enclosure, Limits
from service.errors import ServiceError
from tests.fuzz.mutations import files_of_nibabel, mutants, real_files, simulated_seeds

LIMITS = Limits(memory_bytes=1 << 30, time_s=5, written_bytes=1 << 30)
# Forking for each file would cost more than reading it.
BATCH = 25
# Of a whole batch, and of the first call, which waits until the reader's modules are loaded.
BATCH_LIMITS = Limits(memory_bytes=1 << 30, time_s=120, written_bytes=1 << 30)
SHARED_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@dataclass
class Tally:
    """How the mutants ended."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    slowest_s: float = 0.0


def main() -> int:
    """Run, report and return 1 when there was a finding."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()) / "restnet-findings")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    seeds = simulated_seeds() | files_of_nibabel() | real_files(SHARED_DATA)
    began = time.monotonic()
    tally = run(seeds, options.mutants, first=options.first, findings=options.findings)
    report = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "mutants": options.mutants,
        "first": options.first,
        "seeds": sorted(seeds),
        "limits": {"memory_bytes": LIMITS.memory_bytes, "time_s": LIMITS.time_s},
        "seconds": round(time.monotonic() - began, 1),
        "slowest_s": round(tally.slowest_s, 2),
        "outcomes": dict(tally.outcomes.most_common()),
        "findings": tally.findings,
    }
    print(json.dumps(report, indent=2))  # noqa: T201  (a report is what it is for)
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if tally.findings else 0


def run(seeds: dict[str, bytes], count: int, *, first: int = 0, findings: Path | None = None) -> Tally:
    """Read mutants, as many batches at a time as there are cores."""
    tally = Tally()
    enclosure = Enclosure("tests.fuzz.reading")
    workers = os.cpu_count() or 1
    try:
        with ThreadPoolExecutor(workers) as pool:
            batches = _batches(mutants(seeds, count, first=first), BATCH)
            for some in _batches(batches, 2 * workers):
                for batch, endings in zip(
                    some, pool.map(lambda one: read(enclosure, one), some), strict=True
                ):
                    for (name, number, content), (ended, seconds) in zip(batch, endings, strict=True):
                        _note(tally, name, number, ended, seconds)
                        if ended.startswith("finding") and findings is not None:
                            findings.mkdir(parents=True, exist_ok=True)
                            (findings / f"{number}.nii").write_bytes(content)
    finally:
        enclosure.close()
    return tally


def read(enclosure: Enclosure, batch: list[tuple[str, int, bytes]]) -> list[tuple[str, float]]:
    """Read files in one child, and in another those behind one that brought the first down.

    Returns
    -------
    list of (str, float)
        For each how it ended, "finding: ..." where it should not have, and seconds of processor time.
    """
    endings: list[tuple[str, float]] = []
    while len(endings) < len(batch):
        if failed_in(enclosure, batch[len(endings) :], BATCH_LIMITS, endings) is not None:
            # Alone it shows whether it was to blame, and not how busy the machine was.
            failure = failed_in(enclosure, batch[len(endings) : len(endings) + 1], LIMITS, endings)
            if failure is not None:
                endings.append((f"finding: {type(failure).__name__}: {failure}", LIMITS.time_s))
    return endings


def failed_in(
    enclosure: Enclosure,
    batch: list[tuple[str, int, bytes]],
    limits: Limits,
    endings: list[tuple[str, float]],
) -> Exception | None:
    """Read files in one child, add their endings, and return what ended it before them."""
    with tempfile.TemporaryFile() as file:
        file.writelines(content for _, _, content in batch)
        file.flush()
        file.seek(0)
        try:
            enclosure.run(
                "tests.fuzz.reading:read",
                file,
                arguments={"lengths": [len(content) for _, _, content in batch]},
                limits=limits,
                progress=lambda ended, seconds: endings.append((ended, seconds)),
            )
        except (ServiceError, EnclosedFaultError, OSError, ScanError) as error:
            return error
    return None


def _note(tally: Tally, name: str, number: int, ended: str, seconds: float) -> None:
    slow = seconds > LIMITS.time_s and not ended.startswith("finding")
    ended = f"finding: {seconds:.1f} s for {ended}" if slow else ended
    tally.outcomes[ended.partition(":")[0]] += 1
    if ended.startswith("finding"):
        # Of a traceback the last line; the file can be made again from its number.
        tally.findings.append({"seed": name, "number": number, "ended": ended.strip().splitlines()[-1]})
    else:
        tally.slowest_s = max(tally.slowest_s, seconds)


def _batches(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    sys.exit(main())
