"""Measure whether answers of several folds' models in one list are biased when there is nothing to find.

``python benchmarks/pooled_folds.py [--cohorts 500] [--out results.json]``. Each fold's model leans to the
larger class of the people that it was fitted to; a fold with more cases leaves fewer of them to the others,
so that answers put in one list can rank the folds against the truth. Here noise takes the place of networks,
and the rest is the system's own: the simulator's sites and classes, the folds, `split_inner`, `fit_scaling`
and, where each fold is a site, `training.evidence.footing`. A model says its lean, which is the log odds of
its training classes, and noise: much of it, or so little that it has learned nothing but the lean. Pairs of
one fold cannot be biased, so the differences from their AUC are measured. How far the AUCs of such cohorts
spread is what chance alone gives: no two models have anything in common here.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from training.cohort.subjects import Subject
from training.evidence.calibration import fit_scaling
from training.evidence.footing import lean_of_networks, scores
from training.runs import Split
from training.simulation.sites import site_and_label
from training.validation.folds import leave_site_out, split_folds, split_inner

SITES = "sites"  # each left out in turn
SHARE = 0.15  # of each inner part, as in training
PLANS = ((48, 3), (64, 3), (200, 5), (400, SITES))  # people, folds
NOISE_SD = (1.0, 0.02)
ANSWERS = ("as they are", "after calibration", "without the lean", "pairs of one fold")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--cohorts", type=int, default=500)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    rows = [
        measured(n_subjects, n_folds, noise_sd=noise_sd, n_cohorts=options.cohorts)
        for n_subjects, n_folds in PLANS
        for noise_sd in NOISE_SD
    ]
    print(f"| people, folds | noise | {' | '.join(ANSWERS[:-1])} | SD of the AUC after calibration |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        differences = row["pooled AUC minus that of pairs of one fold"]
        cells = [f"{one['mean']:+.3f} ({one['standard_error']:.3f})" for one in differences.values()]
        spread = row["standard deviation of the AUC"]["after calibration"]
        print(
            f"| {row['n_subjects']}, {row['n_folds']} | {row['noise_sd']:g} | {' | '.join(cells)} "
            f"| {spread:.3f} |"
        )
    if options.out:
        result = {"command": "python benchmarks/pooled_folds.py", "n_cohorts": options.cohorts, "rows": rows}
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def measured(n_subjects: int, n_folds: int | str, *, noise_sd: float, n_cohorts: int) -> dict[str, Any]:
    """Give the bias and the spread of the AUC over cohorts, by whose pairs are counted."""
    people = [person(index) for index in range(n_subjects)]
    found = np.array(
        [areas(people, n_folds=n_folds, noise_sd=noise_sd, seed=seed) for seed in range(n_cohorts)]
    )
    *pooled, of_one_fold = found.T
    return {
        "n_subjects": n_subjects,
        "n_folds": n_folds,
        "noise_sd": noise_sd,
        "pooled AUC minus that of pairs of one fold": {
            name: mean(values - of_one_fold) for name, values in zip(ANSWERS, pooled, strict=False)
        },
        "standard deviation of the AUC": {
            name: round(float(values.std(ddof=1)), 4) for name, values in zip(ANSWERS, found.T, strict=True)
        },
    }


def mean(values: np.ndarray) -> dict[str, float]:
    found = {"mean": values.mean(), "standard_error": values.std(ddof=1) / len(values) ** 0.5}
    return {name: round(float(value), 4) for name, value in found.items()}


def person(index: int) -> Subject:
    site, label = site_and_label(index)
    return Subject(subject_id=str(index), site=site.name, label=label, diagnosis=str(label))


def areas(people: Sequence[Subject], *, n_folds: int | str, noise_sd: float, seed: int) -> tuple[float, ...]:
    """Cross-validate noise once; the AUCs in the order of `ANSWERS`."""
    left_out = n_folds == SITES
    folds = leave_site_out(people) if left_out else split_folds(people, n_folds=int(n_folds), seed=seed)
    generator = np.random.default_rng([seed, len(folds.names)])
    fold = np.array([folds.fold_of[one.subject_id] for one in people])
    labels = np.array([one.label for one in people])
    plain, calibrated = np.empty((2, len(people)))
    calibrated_on: dict[int, np.ndarray] = {}
    right, pairs = 0.0, 0
    for number in range(len(folds.names)):
        others = [one for one, where in zip(people, fold, strict=True) if where != number]
        inner = split_inner(others, stopping=SHARE, calibration=SHARE, seed=seed)
        leaning = log_odds(inner.training)
        calibrated_on[number] = np.array([one.label for one in inner.calibration])
        scaling = fit_scaling(
            says(len(inner.calibration), leaning, noise_sd, generator), calibrated_on[number]
        )
        here = fold == number
        plain[here] = says(int(here.sum()), leaning, noise_sd, generator)
        calibrated[here] = scaling(plain[here])
        n_pairs = int(labels[here].sum() * (1 - labels[here]).sum())
        if n_pairs:
            right, pairs = right + n_pairs * float(roc_auc_score(labels[here], plain[here])), pairs + n_pairs
    split: Split = "leave_site_out" if left_out else "stratified"
    lean = lean_of_networks(labels, fold, calibrated_on, split=split)
    level = scores(expit(calibrated), fold, lean)
    pooled = [float(roc_auc_score(labels, answers)) for answers in (plain, calibrated, level)]
    return *pooled, right / pairs


def says(n: int, lean: float, noise_sd: float, generator: Generator) -> np.ndarray:
    return np.asarray(lean + noise_sd * generator.standard_normal(n))


def log_odds(people: Sequence[Subject]) -> float:
    cases = sum(one.label == 1 for one in people)
    return float(np.log(cases / (len(people) - cases)))


if __name__ == "__main__":
    main()
