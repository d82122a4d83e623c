"""Measure ridge on connectivity on ABIDE: the yardstick that a network on the same people has to reach.

``python benchmarks/abide_connectivity.py COHORT [--data ../shared/data/abide] [--out results.json]`` measures
it from 20 mm tiles of a stored cohort (`restnet cohort ingest`, see docs/science.md) and, on the same people
and folds, from the archive's own region series: by five folds of `training.validation.folds` over a few
seeds, and with each institution left out. Autism, not ADHD.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.cohort.store.cohort_store import CohortStore
from training.cohort.subjects import Subject
from training.errors import CohortError
from training.evidence.baselines import out_of_fold
from training.evidence.connectivity import connectivity_features, fisher_z_correlations
from training.evidence.footing import lean_of_baselines, scores
from training.evidence.metrics import evaluate
from training.evidence.ridge import ridge_probabilities
from training.evidence.sites import within_site_auc
from training.validation.folds import Folds, leave_site_out, split_folds

ROOT = Path(__file__).resolve().parent.parent
ARCHIVE = "abide_ho_train.npz"
STRAY_ROI = 3455  # two stray voxels, no region
SEEDS = range(5)
BOOTSTRAP_SEED = 0
FIGURES = ("accuracy", "balanced_accuracy", "auc")

Features = NDArray[np.float32]
Labels = NDArray[np.int64]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("cohort", type=Path)
    arguments.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "abide")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    if not (options.data / ARCHIVE).is_file():
        sys.exit(f"expected {ARCHIVE} in {str(options.data)!r} (see --data), found none")
    try:
        result = measure(CohortStore.open(options.cohort), options.data / ARCHIVE)
    except CohortError as error:
        sys.exit(str(error))
    show(result)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def measure(store: CohortStore, archive: Path) -> dict[str, Any]:
    """Classify the same people on the same folds from both kinds of regions."""
    subjects = [subject for subject in store.subjects if subject.label is not None]
    features = {
        "20 mm tiles": connectivity_features(store, [subject.subject_id for subject in subjects]),
        "Harvard-Oxford regions": archive_features(archive, [subject.subject_id for subject in subjects]),
    }
    return {
        "command": "python benchmarks/abide_connectivity.py COHORT",
        "n_subjects": len(subjects),
        "n_cases": sum(subject.label == 1 for subject in subjects),
        "features": {name: values.shape[1] for name, values in features.items()},
        "five_folds": {name: over_seeds(values, subjects) for name, values in features.items()},
        "leave_institution_out": over_institutions(features, subjects),
    }


def archive_features(archive: Path, subject_ids: Sequence[str]) -> Features:
    """Correlate the archive's regions, in the order of the subjects."""
    with np.load(archive, allow_pickle=False) as stored:
        kept = stored["roi_id"] != STRAY_ROI
        pieces = np.split(stored["ts_q"], np.cumsum(stored["length"])[:-1])
        deviations = np.where(stored["roi_sd"] > 1e-6, stored["roi_sd"], 0)
        place = {str(number): row for row, number in enumerate(stored["sub_id"])}
    rows = [place[subject_id] for subject_id in subject_ids]
    return np.array(
        [fisher_z_correlations((pieces[row] * deviations[row])[:, kept].astype(np.float32)) for row in rows],
        dtype=np.float32,
    )


def over_seeds(features: Features, subjects: Sequence[Subject]) -> dict[str, Any]:
    """Give the first seed's figures with intervals, and the mean over seeds."""
    found = [figures(features, subjects, split_folds(subjects, n_folds=5, seed=seed)) for seed in SEEDS]
    means = {name: round(float(np.mean([one[name]["value"] for one in found])), 4) for name in FIGURES}
    return {"seed 0": found[0], f"mean of {len(SEEDS)} seeds": means}


def figures(features: Features, subjects: Sequence[Subject], folds: Folds) -> dict[str, Any]:
    """Evaluate out of fold."""
    labels, fold = dealt(subjects, folds)
    evaluation = evaluate(
        labels, ridge_probabilities(features, labels, fold), threshold=0.5, seed=BOOTSTRAP_SEED
    )
    return {name: getattr(evaluation, name).to_json() for name in FIGURES}


def over_institutions(features: dict[str, Features], subjects: Sequence[Subject]) -> dict[str, Any]:
    """Evaluate ridge, and what is known without a scan, each institution left out in turn.

    People of different institutions are ranked without the models' lean; "auc_within" counts only pairs of
    one institution, which no lean can touch.
    """
    folds = leave_site_out(subjects)
    labels, fold = dealt(subjects, folds)
    lean = lean_of_baselines(labels, fold, split="leave_site_out")
    said = {name: ridge_probabilities(values, labels, fold) for name, values in features.items()}
    said["phenotype"] = out_of_fold("phenotype", subjects, labels=labels, folds=fold)
    homes = [folds.names[one] for one in fold]
    found = {}
    for name, probabilities in said.items():
        ranked = scores(probabilities, fold, lean)
        evaluation = evaluate(labels, probabilities, threshold=0.5, scores=ranked, seed=BOOTSTRAP_SEED)
        within = within_site_auc(labels, ranked, homes, seed=BOOTSTRAP_SEED)
        found[name] = {
            **{figure: getattr(evaluation, figure).to_json() for figure in FIGURES},
            "auc_within": None if within is None else within.to_json(),
        }
    return found


def dealt(subjects: Sequence[Subject], folds: Folds) -> tuple[Labels, Labels]:
    """Give everybody's label and fold."""
    labels = np.array([subject.label for subject in subjects], dtype=np.int64)
    return labels, np.array([folds.fold_of[subject.subject_id] for subject in subjects])


def show(result: dict[str, Any]) -> None:
    """Print the table of docs/science.md."""
    print(f"{result['n_subjects']} people, {result['n_cases']} with autism; features: {result['features']}\n")
    print("| split | regions | accuracy | balanced | AUC |\n|---|---|---|---|---|")
    for name, found in result["five_folds"].items():
        print(f"| 5 folds, seed 0 | {name} | {cells(found['seed 0'])} |")
        means = next(values for key, values in found.items() if key != "seed 0")
        print(
            f"| 5 folds, mean of {len(SEEDS)} seeds | {name} | "
            + " | ".join(f"{one:.3f}" for one in means.values())
            + " |"
        )
    print(
        "\n| an institution left out | accuracy | balanced | AUC | AUC, pairs of one |\n|---|---|---|---|---|"
    )
    for name, found in result["leave_institution_out"].items():
        print(f"| {name} | {cells(found, (*FIGURES, 'auc_within'))} |")


def cells(found: dict[str, Any], names: Sequence[str] = FIGURES) -> str:
    """Format figures with their 95 % intervals."""
    return " | ".join(
        f"{found[name]['value']:.3f} [{found[name]['low']:.3f}, {found[name]['high']:.3f}]" for name in names
    )


if __name__ == "__main__":
    main()
