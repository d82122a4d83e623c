"""How our reading of DICOM and dcm2niix end where the images are damaged.

A small series that names a person, and with `--philips` a real one, is damaged in some hundred ways
(`tests/imaging/native/sources/damage.py`). It is a fault if one takes a minute, ends with anything but a
refusal or a run, says a word of the person's tags, or leaves something in the work folder. Every number can
be repeated alone.
Usage::

    python benchmarks/damaged_dicom.py [--cases 200] [--first 0] [--philips SERIES.zip] [--philips-cases 12]
        [--out results.json]
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipFile

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from recording import report  # noqa: E402

from tests.imaging.native.sources.damage import (  # noqa: E402
    PLANTED,
    Finding,
    damaged,
    outcome,
    planted_series,
)

# The real one's tags name nobody, but by these.
PLACEHOLDERS = ("Jane_Doe", "Jane^Doe", "19660101")


def tried(
    series: Path, numbers: Iterable[int], scratch: Path, *, words: tuple[str, ...]
) -> dict[str, object]:
    """Damage a series by each number, and count how it ends."""
    ends: Counter[str] = Counter()
    findings, slowest = [], 0.0
    for number in numbers:
        # A folder a case: what is left of one is no part of the next.
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            source = damaged(series, Path(folder) / "case", number=number)
            try:
                code, seconds = outcome(source, Path(folder) / "work", words=words)
            except Finding as finding:
                findings.append({"number": number, "what": str(finding)})
                print(number, finding, file=sys.stderr)
                continue
            ends[code] += 1
            slowest = max(slowest, seconds)
    return {
        "cases": ends.total() + len(findings),
        "ends": dict(ends.most_common()),
        "findings": findings,
        "slowest_s": round(slowest, 1),
    }


def main() -> int:
    """Run, report and return 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--philips", type=Path)
    parser.add_argument("--philips-cases", type=int, default=12)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        numbers = range(given.first, given.first + given.cases)
        results = {"written": tried(planted_series(scratch / "series"), numbers, scratch, words=PLANTED)}
        if given.philips is not None:
            with ZipFile(given.philips) as archive:
                archive.extractall(scratch / "philips")
            results["philips"] = tried(
                scratch / "philips", range(given.philips_cases), scratch, words=PLACEHOLDERS
            )
    report(results, given.out)
    return 1 if any(result["findings"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
