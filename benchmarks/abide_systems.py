"""Systems on people with real labels, on the same folds, and one table of them.

Usage, on the cohort that docs/benchmark.md ingests from ABIDE::

    python benchmarks/abide_systems.py COHORT --work FOLDER [--systems NAME ...] [--leave-site-out]
        [--regions ATLAS] [--config SETTINGS] [--seed 0] [--micro-batch N] [--processes N]
        [--out results.json]

FOLDER gets a run for each system, of which those that are there are not trained again, and their report. In
the file of results the rows of what was run are replaced, and those of everything else stay.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from training.cohort.selecting.selection import select
from training.cohort.store.cohort_store import CohortStore
from training.evidence.report.writing import write_report
from training.validation.cross_validation import train_run
from training.validation.grid import SYSTEMS, grid_settings, train_grid

COMMAND = "python benchmarks/abide_systems.py COHORT --work FOLDER [--leave-site-out] [--regions ATLAS]"
RIDGE = "ridge-connectivity"
DEFAULT = (
    RIDGE,
    "logistic-connectivity",
    "tangent-logistic",
    "mean-mlp",
    "learned-regions",
    "learned-regions-mlp",
)
# Of a report's row; the rest is about its page, its folds and its sites.
KEPT = (
    "system",
    "title",
    "kind",
    "regions",
    "split",
    "n",
    "n_cases",
    "overall",
    "confusion",
    "baselines",
    "site",
    "n_parameters",
    "training_seconds",
    "devices",
    "peak_memory_bytes",
    "comparison",
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("cohort", type=Path)
    arguments.add_argument("--work", type=Path, required=True, help="folder for runs and their report")
    arguments.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=DEFAULT, metavar="NAME")
    arguments.add_argument("--leave-site-out", action="store_true", help="a fold for each institution")
    arguments.add_argument("--regions", default="cubes", help="cubes, power264 or an atlas in MNI152 space")
    arguments.add_argument("--config", type=Path, help="TOML file of settings, of which each takes its own")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--micro-batch", type=int, help="scans at once, for less memory")
    arguments.add_argument("--processes", type=int, default=1, help="folds side by side")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    store = CohortStore.open(options.cohort)
    runs = train_grid(
        grid_settings(
            options.systems,
            config=options.config,
            overrides={"seed": options.seed, "micro_batch": options.micro_batch},
        ),
        out=options.work / "runs",
        train=lambda settings, folder: train_run(
            store,
            select(store.subjects, "all"),
            settings=settings,
            out=folder,
            device="cpu",
            split="leave_site_out" if options.leave_site_out else "stratified",
            regions=options.regions,
            processes=options.processes,
            threads=1,
        ),
    )
    report = options.work / "report"
    write_report(runs, report, cohort=options.cohort, reference=RIDGE if RIDGE in options.systems else None)
    rows = json.loads((report / "report.json").read_text())
    for row in rows:
        auc = row["overall"]["auc"]
        print(f"{row['system']:<24} AUC {auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]", flush=True)
    if options.out:
        _keep(options.out, rows, seed=options.seed)


def _keep(path: Path, rows: list[dict[str, Any]], *, seed: int) -> None:
    """Put rows in the place of those of the same system, regions, folds and seed."""
    before = json.loads(path.read_text())["runs"] if path.exists() else []
    new = [{"seed": seed} | {name: row[name] for name in KEPT} for row in rows]
    known = {_identity(row): row for row in before} | {_identity(row): row for row in new}
    path.write_text(json.dumps({"command": COMMAND, "runs": list(known.values())}, indent=2) + "\n")


def _identity(row: dict[str, Any]) -> tuple[object, ...]:
    return row["split"], row["seed"], row["system"], (row["regions"] or {}).get("name")


if __name__ == "__main__":
    main()
