"""Measure what the ADHD-200 phenotype table tells without a scan: who is there, and how far guessing gets.

``python benchmarks/adhd200_baselines.py [--data ../shared/data/adhd200] [--out results.json]`` prints the
counts by site and class, the named selections, and the baselines of `training.evidence.baselines`: within a
selection by five folds of `training.validation.folds`, and on the official test release fitted on a selection
of the training release. The table is not part of the repository; only sums and figures are written.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.cohort.phenotypes.table import read_phenotypes, read_test_ids
from training.cohort.selecting.selection import SELECTIONS, select
from training.cohort.subjects import Subject
from training.errors import CohortError
from training.evidence.baselines import fit_baseline, out_of_fold
from training.evidence.metrics import Evaluation, evaluate
from training.validation.folds import split_folds

ROOT = Path(__file__).resolve().parent.parent
TABLE, TEST_IDS = "adhd200_preprocessed_phenotypics.tsv", "test_release_ids.txt"
# "motion" needs the scans' repetition times, lengths and jumps: a table has none of them.
NAMES = ("majority", "site", "phenotype")
N_FOLDS = 5
DRAWS = range(10)
BOOTSTRAP_SEED = 0
FIGURES = ("accuracy", "balanced_accuracy", "auc")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "adhd200")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    absent = [name for name in (TABLE, TEST_IDS) if not (options.data / name).is_file()]
    if absent:
        sys.exit(f"expected {' and '.join(absent)} in {str(options.data)!r} (see --data), found none")
    try:
        result = measure(options.data)
    except CohortError as error:
        sys.exit(str(error))
    show(result)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def measure(data: Path) -> dict[str, Any]:
    """Count and fit; nothing of a single subject is in what comes back."""
    table = read_phenotypes(data / TABLE, test_ids=read_test_ids(data / TEST_IDS))
    train, test = select(table.subjects, "train"), select(table.subjects, "test")
    draws = {seed: select(table.subjects, "seed430", seed=seed) for seed in DRAWS}
    by_draw = {seed: across_folds(drawn, seed=seed) for seed, drawn in draws.items()}
    return {
        "command": "python benchmarks/adhd200_baselines.py",
        "n_rows": len(table.subjects),
        "findings": dict(sorted(Counter(finding.code for finding in table.findings).items())),
        "selections": {name: counts(select(table.subjects, name)) for name in SELECTIONS},
        "folds": {
            "train": across_folds(train, seed=0),
            **{f"seed430, draw {seed}": found for seed, found in by_draw.items()},
        },
        "seed430_over_draws": over_draws(list(by_draw.values())),
        "official_test": {"train": on_test(train, test), "seed430": on_test(draws[0], test)},
    }


def counts(subjects: Sequence[Subject]) -> dict[str, Any]:
    """Count controls and ADHD by site; the two numbers in this order."""
    cells = Counter((subject.site, subject.label) for subject in subjects)
    ages = [subject.age_years for subject in subjects if subject.age_years is not None]
    return {
        "n": len(subjects),
        "n_control": sum(subject.label == 0 for subject in subjects),
        "n_adhd": sum(subject.label == 1 for subject in subjects),
        "mean_age_years": round(float(np.mean(ages)), 2),
        "sites": {site: [cells[site, 0], cells[site, 1]] for site in sorted({site for site, _ in cells})},
    }


def across_folds(subjects: Sequence[Subject], *, seed: int) -> dict[str, Any]:
    """Evaluate each baseline out of fold."""
    labels = labels_of(subjects)
    fold_of = split_folds(subjects, n_folds=N_FOLDS, seed=seed).fold_of
    folds = np.array([fold_of[subject.subject_id] for subject in subjects])
    return {
        name: figures(
            evaluate(
                labels,
                out_of_fold(name, subjects, labels=labels, folds=folds),
                threshold=0.5,
                seed=BOOTSTRAP_SEED,
            )
        )
        for name in NAMES
    }


def on_test(training: Sequence[Subject], test: Sequence[Subject]) -> dict[str, Any]:
    """Evaluate each baseline once on the official test release."""
    fitted = {name: fit_baseline(name, training, labels=labels_of(training)) for name in NAMES}
    return {
        name: figures(
            evaluate(labels_of(test), baseline.probabilities(test), threshold=0.5, seed=BOOTSTRAP_SEED)
        )
        for name, baseline in fitted.items()
    }


def over_draws(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give the mean and the range of accuracy and AUC over draws of the controls of seed430."""
    spread: dict[str, Any] = {}
    for name in NAMES:
        spread[name] = {}
        for figure in ("accuracy", "auc"):
            values = [drawn[name][figure]["value"] for drawn in found]
            spread[name][figure] = {
                "mean": round(float(np.mean(values)), 4),
                "low": min(values),
                "high": max(values),
            }
    return spread


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """Give the figures with their intervals, and the confusion table."""
    return {
        **{name: getattr(evaluation, name).to_json() for name in FIGURES},
        "confusion": {name: getattr(evaluation, name) for name in ("tp", "fn", "fp", "tn")},
    }


def labels_of(subjects: Sequence[Subject]) -> np.ndarray:
    """Give the labels of labelled subjects."""
    return np.array([subject.label for subject in subjects], dtype=np.int64)


def show(result: dict[str, Any]) -> None:
    """Print the tables of docs/science.md."""
    print(f"{result['n_rows']} rows; odd cells: {result['findings']}\n")
    print("| selection | n | control/ADHD | mean age | by site, control/ADHD |\n|---|---|---|---|---|")
    for name, found in result["selections"].items():
        sites = ", ".join(f"{site} {control}/{adhd}" for site, (control, adhd) in found["sites"].items())
        total = f"{found['n_control']}/{found['n_adhd']}"
        print(f"| {name} | {found['n']} | {total} | {found['mean_age_years']} | {sites} |")
    print("\n| people | baseline | accuracy | balanced | AUC |\n|---|---|---|---|---|")
    for people, baselines in result["folds"].items():
        for name, found in baselines.items():
            print(f"| {people} | {name} | {cells(found)} |")
    for selection, baselines in result["official_test"].items():
        for name, found in baselines.items():
            print(f"| official test, fitted on {selection} | {name} | {cells(found)} |")
    print("\n| seed430, mean (range) over draws | accuracy | AUC |\n|---|---|---|")
    for name, found in result["seed430_over_draws"].items():
        shown = " | ".join(
            f"{one['mean']:.3f} ({one['low']:.3f} to {one['high']:.3f})" for one in found.values()
        )
        print(f"| {name} | {shown} |")


def cells(found: dict[str, Any]) -> str:
    """Format figures with their 95 % intervals."""
    return " | ".join(
        f"{found[name]['value']:.3f} [{found[name]['low']:.3f}, {found[name]['high']:.3f}]"
        for name in FIGURES
    )


if __name__ == "__main__":
    main()
