"""Which perceptron by frame learns most from real brains, asked of people that one reported fold leaves.

The same people and inner folds as `abide_inner_settings.py`: those of folds 1 to 4 (five folds, seed 0) in
four inner folds, so that nothing of fold 0 had a say. Regions are found anew in the training part of each
inner fold. Beside each variant stands its difference to ridge on the connectivity of the same learned
regions, on the same drawn people; answers are centred within a fold before they are pooled.

Usage, on the cohort that docs/benchmark.md ingests from ABIDE::

    python benchmarks/abide_inner_perceptrons.py COHORT [--only NAME ...] [--out results.json]
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imaging.regions import Regions, tile_brain
from model.methods.building import count_voxels
from model.methods.catalogue import METHODS
from model.methods.frame_perceptron import FramePerceptron
from model.methods.module_model import ModuleModel
from model.methods.recipes import recipe_of
from training.cohort.selecting.selection import select
from training.cohort.store.cohort_store import CohortStore
from training.evidence.comparison import auc_estimate, paired_difference
from training.evidence.estimates import Estimate
from training.fitting.prepared import TrainingSubject
from training.fitting.settings import read_settings
from training.methods.learning_regions import hold_region_series, learn_regions
from training.methods.logits import people_logits
from training.methods.solving import solve
from training.methods.stepping import fit_module
from training.validation.folds import split_folds

METHOD = "learned-regions-mlp"
RIDGE = "ridge on connectivity"
REPORTED_FOLD = 0
N_INNER = 4
VARIANTS: dict[str, dict[str, Any]] = {
    RIDGE: {},
    f"{RIDGE}, tiles": {"tiles": True},
    "as it is": {},
    "tiles": {"tiles": True},
    "160 hidden units": {"n_hidden": 160},
    "dropout 0.49": {"dropout": 0.49},
    "pieces of 20 frames": {"piece_frames": 20},
    "whole scans": {"piece_frames": None},
    "half the epochs": {"epochs": 20},
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("cohort", type=Path)
    arguments.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    store = CohortStore.open(options.cohort)
    everybody = select(store.subjects, "all")
    outer = split_folds(everybody, n_folds=5, seed=0).fold_of
    chosen = [person for person in everybody if outer[person.subject_id] != REPORTED_FOLD]
    fold_of = split_folds(chosen, n_folds=N_INNER, seed=1).fold_of
    folds = np.array([fold_of[person.subject_id] for person in chosen])
    labels = np.array([person.label for person in chosen])
    people = [TrainingSubject.from_store(store, person) for person in chosen]
    names = [RIDGE, *(name for name in options.only if name != RIDGE)]
    scores = {name: np.empty(len(people)) for name in names}
    for fold in range(N_INNER):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        training = hold_region_series([people[number] for number in inside])
        judged = hold_region_series([people[number] for number in outside])
        learned = learn_regions(training, n_regions=METHODS[METHOD].n_learned_regions)
        for name in names:
            found = logits(name, training, judged, learned=learned, seed=fold)
            scores[name][outside] = found - found.mean()
            print(f"fold {fold}: {name}", flush=True)
    rows = {}
    for name, found in scores.items():
        auc = auc_estimate(labels, found, seed=0)
        beside = paired_difference(labels, found, scores[RIDGE], seed=0)
        rows[name] = {"auc": auc.to_json(), "minus_ridge": beside.to_json()}
        print(f"{name:<30} AUC {in_words(auc)}  minus ridge {in_words(beside)}", flush=True)
    if options.out:
        options.out.write_text(
            json.dumps(
                {
                    "command": "python benchmarks/abide_inner_perceptrons.py COHORT",
                    "n": len(people),
                    "n_cases": int(labels.sum()),
                    "variants": VARIANTS,
                    "results": rows,
                },
                indent=2,
            )
            + "\n"
        )


def in_words(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def logits(
    name: str,
    training: Sequence[TrainingSubject],
    judged: Sequence[TrainingSubject],
    *,
    learned: Regions,
    seed: int,
) -> np.ndarray:
    """Fit a variant, and give what it says of people whom it has not seen."""
    changes = dict(VARIANTS[name])
    grid_size = training[0].spec.grid_size
    regions = tile_brain(grid_size) if changes.pop("tiles", False) else learned
    with tempfile.TemporaryDirectory(prefix="restnet-benchmark-") as folder:
        if name.startswith(RIDGE):
            ridge, _ = solve(
                METHODS["ridge-connectivity"], training, regions=regions, folder=Path(folder), seed=seed
            )
            return people_logits(ridge.eval(), judged)
        recipe = recipe_of(METHOD)
        if "piece_frames" in changes:
            recipe = replace(recipe, piece_frames=changes.pop("piece_frames"))
        epochs = changes.pop("epochs", recipe.epochs)
        torch.manual_seed(seed)
        model = ModuleModel(
            FramePerceptron(n_regions=len(regions), **changes),
            reads="regions",
            maps=(),
            n_voxels=count_voxels(grid_size),
            n_regions=len(regions),
            grid_size=grid_size,
        )
        model.carry(regions, n_voxels=count_voxels(grid_size))
        fit_module(
            model,
            training,
            stopping=[],
            recipe=recipe,
            settings=read_settings(overrides={"method": METHOD, "epochs": epochs}),
            folder=Path(folder),
            seed=seed,
            device=torch.device("cpu"),
        )
    return people_logits(model.eval(), judged)


if __name__ == "__main__":
    main()
