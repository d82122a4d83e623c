"""Hundreds of uploads while everything that RestNet stands on fails in turn: `make chaos`.

The production stack (PostgreSQL, Redis and what keeps the files, two web processes, three workers) and then
`restnet serve` with everything embedded. Processes are killed with SIGKILL at random moments, servers are
restarted and paused; every accepted upload has to end in exactly one stored result or one stated error. The
run ends with an error where that is not so (tests/production/chaos.py says what is looked at).

Usage::

    python benchmarks/chaos.py [--uploads 500] [--seed 1] [--only production|embedded] [--out results.json]
"""

import argparse
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from recording import machine, report  # noqa: E402

from tests.production.chaos import QUICK, run  # noqa: E402
from tests.production.stack import embedded, production  # noqa: E402
from training.simulation.scan_files import write_scan  # noqa: E402
from training.simulation.simulator import simulate_subject, subject_profile  # noqa: E402


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--uploads", type=int, default=500)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--only", choices=["production", "embedded"])
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    result: dict[str, object] = {"machine": machine(), "seed": options.seed}
    with tempfile.TemporaryDirectory(prefix="restnet-chaos-") as scratch:
        scan = short_scan(Path(scratch))
        if options.only != "embedded":
            with production(**QUICK) as stack:
                tally = run(stack, scan, n_uploads=options.uploads, seed=options.seed)
            result["production"] = tally.to_json()
        if options.only != "production":
            with embedded(Path(scratch), **QUICK) as stack:
                tally = run(stack, scan, n_uploads=options.uploads, seed=options.seed, every_s=(8, 16))
            result["embedded"] = tally.to_json()
    report(result, options.out)


def short_scan(folder: Path) -> Path:
    """Write the shortest kind of scan that ADHD-200 holds."""
    index = next(number for number in range(100) if subject_profile(number, seed=20).site.name == "OHSU")
    scan = simulate_subject(index, seed=20)
    path = folder / "scan.nii.gz"
    write_scan(path, next(scan.blocks(frames_per_block=scan.n_frames)), affine=scan.affine, tr_s=scan.tr_s)
    return path


if __name__ == "__main__":
    main()
