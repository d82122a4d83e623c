"""Which settings learn most from real brains, asked of people that one reported fold leaves for training.

The people of folds 1 to 4 (five folds, seed 0) are split into four inner folds; every setting is fitted to
three of them and judged on the fourth, four times. So whatever is chosen here has seen nothing of fold 0. It
has seen people whom folds 1 to 4 report: only a choice inside each fold, as `restnet report` makes it among
runs, is blind to all of them. Answers are centred within a fold before they are pooled.

Ridge on connectivity stands beside the networks, on the same inner folds.

Usage, on the cohort that docs/science.md ingests from ABIDE::

    python benchmarks/abide_inner_settings.py COHORT [--only NAME ...] [--device cuda] [--out results.json]
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.networks import RestNetwork
from model.predictor import choose_device
from training.cohort.selecting.selection import select
from training.cohort.store.cohort_store import CohortStore
from training.evidence.comparison import auc_estimate
from training.evidence.connectivity import connectivity_features
from training.evidence.ridge import ridge_probabilities
from training.fitting.fit import fit
from training.fitting.logits import subject_logits
from training.fitting.prepared import TrainingSubject
from training.fitting.settings import TrainingSettings
from training.validation.folds import split_folds

RIDGE = "ridge on connectivity"
REPORTED_FOLD = 0
N_INNER = 4
BASE: dict[str, Any] = {
    "network": "C",
    "rnn": "lstm",
    "width": 16,
    "feature_norm": "batch",
    "feature_dropout": 0.3,
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "weight_decay": 0.01,
    "windows_per_subject": 4,
    "epochs": 10,
    "inner_stopping": 0.0,
}
CHANGES: dict[str, dict[str, Any]] = {
    "trained": {},
    "a third of the learning rate": {"learning_rate": 3e-4},
    "half the epochs": {"epochs": 5},
    "random convolutions": {"encoder": "frozen", "epochs": 20},
    "random convolutions, width 4": {"encoder": "frozen", "epochs": 20, "width": 4},
    "readout": {"space": "readout"},
    "bottleneck": {"space": "bottleneck"},
    "pre-activation": {"blocks": "pre_activation"},
    "noise and more dropout": {"noise_sd": 1.0, "feature_dropout": 0.6},
    "width 4": {"width": 4},
}

Score = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("cohort", type=Path)
    arguments.add_argument("--only", nargs="+", choices=[*CHANGES, RIDGE])
    arguments.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    store = CohortStore.open(options.cohort)
    everybody = select(store.subjects, "all")
    outer = split_folds(everybody, n_folds=5, seed=0).fold_of
    people = [person for person in everybody if outer[person.subject_id] != REPORTED_FOLD]
    fold_of = split_folds(people, n_folds=N_INNER, seed=1).fold_of
    folds = np.array([fold_of[person.subject_id] for person in people])
    labels = np.array([person.label for person in people])
    rows = {}
    for name in options.only or [RIDGE, *CHANGES]:
        scores = (
            ridge(store, [person.subject_id for person in people], labels, folds)
            if name == RIDGE
            else network(
                [TrainingSubject.from_store(store, person) for person in people],
                folds,
                settings=TrainingSettings(**BASE | CHANGES[name]),
                device=choose_device(options.device),
            )
        )
        for fold in range(N_INNER):
            scores[folds == fold] -= scores[folds == fold].mean()
        estimate = auc_estimate(labels, scores, seed=0)
        rows[name] = estimate.to_json()
        print(f"{name:<32} AUC {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]", flush=True)
    if options.out:
        result = {
            "n": len(people),
            "n_cases": int(labels.sum()),
            "base": BASE,
            "changes": CHANGES,
            "auc": rows,
        }
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def ridge(store: CohortStore, ids: list[str], labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    probabilities = ridge_probabilities(connectivity_features(store, ids), labels, folds)
    return np.log(probabilities) - np.log1p(-probabilities)


def network(
    subjects: list[TrainingSubject], folds: np.ndarray, *, settings: TrainingSettings, device: torch.device
) -> np.ndarray:
    scores = np.empty(len(subjects))
    for fold in range(N_INNER):
        torch.manual_seed(fold)
        fresh = RestNetwork(settings)
        fitted = [subject for subject, of in zip(subjects, folds, strict=True) if of != fold]
        judged = [subject for subject, of in zip(subjects, folds, strict=True) if of == fold]
        with tempfile.TemporaryDirectory(prefix="restnet-benchmark-") as folder:
            fit(fresh, fitted, stopping=[], settings=settings, folder=Path(folder), seed=fold, device=device)
        scores[folds == fold] = subject_logits(fresh, judged, device=device)
    return scores


if __name__ == "__main__":
    main()
