"""Whether every system finds what was planted where it can see it, and nothing where nothing was.

``python benchmarks/systems.py --work FOLDER [--systems NAME ...] [--subjects 64] [--effect-size 3]
[--nulls 1] [--folds 2] [--out results.json]`` simulates one cohort with a strong effect and one with none,
with seeds that were fixed before anything was measured, and cross-validates every system on both: the same
people, folds and inner parts. What is planted is a less coherent default mode network and one less opposed to
the networks of control and attention (`training.simulation.brain_networks`): an effect in how regions go
together, and through it in regional homogeneity.

A line of ``systems.jsonl`` in FOLDER is written as soon as a system is done on a cohort: called again, the
script goes on with what is left; the file of results holds all its lines. AUCs are of pairs of one fold,
which leaves out that folds' models lean.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from imaging import PreprocessingSpec
from model.methods.catalogue import METHODS
from model.methods.recipes import recipe_beside_settings
from training.cohort.ingest import ingest
from training.cohort.selecting.selection import select
from training.cohort.sources.simulated import SimulatedSource
from training.cohort.store.cohort_store import CohortStore
from training.evidence.report.writing import write_report
from training.fitting.settings import TrainingSettings
from training.runs import read_outcome, read_run
from training.validation.cross_validation import train_run
from training.validation.grid import SYSTEMS, grid_settings

JOURNAL = "systems.jsonl"
# Of the cohort with an effect, and of the first without; more of these follow on it.
EFFECT_SEED, NULL_SEED = 700, 701
# Simulated people have no T1-weighted images.
DEFAULT = tuple(
    name for name in SYSTEMS if "tissues" not in METHODS[SYSTEMS[name].get("method", "network")].reads
)

Settings = dict[str, Any]
Line = dict[str, Any]

# Of these few nobody is kept to stop on: five people stop what has hardly begun.
_FRAMES: Settings = {
    "epochs": 12,
    "batch_size": 8,
    "windows_per_subject": 2,
    "learning_rate": 1e-3,
    "inner_stopping": 0.0,
}
# Some twenty people to train on give one step an epoch by the methods' own settings. These give more and
# longer ones, as far as two processor cores come; they were chosen for the training loss alone to fall.
SETTINGS: dict[str, Settings] = {
    "zou-3d-cnn": {"epochs": 40, "batch_size": 8, "learning_rate": 1e-2},
    "mao-4d-cnn-pooling": {**_FRAMES, "inner_stopping": 0.15},
    "mao-4d-cnn-lstm": _FRAMES,
    "mao-4d-cnn-convolution": {**_FRAMES, "epochs": 8},
    "niu-3d-cnn-gru": {**_FRAMES, "epochs": 8},
    # At the rate that is told of it, 1e-4, its LSTM saturates at once, and it answers everybody alike.
    "hong-time-distributed": {**_FRAMES, "epochs": 6, "learning_rate": 1e-6},
    "sc-cnn-attention": {"epochs": 40, "batch_size": 8, "learning_rate": 1e-3},
    "mean-mlp": {"epochs": 10},
    "bolt": {"batch_size": 8},
}
OF_A_NETWORK: Settings = {**_FRAMES, "epochs": 8, "inner_stopping": 0.15, "width": 4}
# One stage leaves eight times the features that two do, on which longer steps saturate the recurrent layer.
OF_A: Settings = {**OF_A_NETWORK, "epochs": 20, "learning_rate": 1e-4}
SETTINGS |= {"A-lstm": OF_A, "A-gru": OF_A}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument(
        "--work", type=Path, required=True, help="folder for cohorts, runs and the journal"
    )
    arguments.add_argument("--systems", nargs="+", default=DEFAULT, choices=list(SYSTEMS), metavar="NAME")
    arguments.add_argument("--subjects", type=int, default=64)
    arguments.add_argument("--effect-size", type=float, default=3.0)
    arguments.add_argument("--nulls", type=int, default=1, help="cohorts without an effect")
    arguments.add_argument("--folds", type=int, default=2)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    grid = {
        name: settings_of(name, overrides={"folds": options.folds, "seed": 0}) for name in options.systems
    }
    lines = []
    for folder, seed, effect_size in cohorts(
        n_subjects=options.subjects, effect_size=options.effect_size, n_nulls=options.nulls
    ):
        store = cohort(options.work / folder, n_subjects=options.subjects, effect_size=effect_size, seed=seed)
        lines += [measured(store, settings, options.work) for settings in grid.values()]
    show(lines)
    if options.out:
        options.out.write_text(json.dumps(summarised(read_journal(options.work)), indent=2) + "\n")


def cohorts(*, n_subjects: int, effect_size: float, n_nulls: int) -> Iterator[tuple[str, int, float]]:
    """Name the cohorts, each with its seed and the size of its effect."""
    yield f"effect-{n_subjects}-{effect_size:g}", EFFECT_SEED, effect_size
    for seed in range(NULL_SEED, NULL_SEED + n_nulls):
        yield f"null-{n_subjects}-{seed}", seed, 0.0


def settings_of(system: str, *, overrides: Settings) -> TrainingSettings:
    """Give a system's settings on so few people."""
    own = SETTINGS.get(system, {} if "method" in SYSTEMS[system] else OF_A_NETWORK)
    return grid_settings([system], overrides={**own, **overrides})[system]


def cohort(folder: Path, *, n_subjects: int, effect_size: float, seed: int) -> CohortStore:
    """Simulate and ingest a cohort, or take the one that is there."""
    source = SimulatedSource(n_subjects=n_subjects, seed=seed, effect_size=effect_size)
    return ingest(source, source.phenotypes(), folder, spec=PreprocessingSpec(), processes=0).store


def measured(store: CohortStore, settings: TrainingSettings, work: Path) -> Line:
    """Give a system's line of the journal: the one that is there, or a new one."""
    plan = {
        "cohort": store.folder.name,
        "system": settings.system,
        "settings": settings.model_dump(mode="json"),
        "recipe": recipe_beside_settings(settings.method),
    }
    before = next((one for one in read_journal(work) if one["plan"] == plan), None)
    if before is not None:
        return before
    began = perf_counter()
    folder = work / "runs" / store.folder.name / settings.system
    run = train_run(store, select(store.subjects), settings=settings, out=folder, device="cpu", threads=1)
    report = write_report([run], run / "report").reports[0]
    outcomes = [read_outcome(run, fold) for fold in range(settings.folds)]
    line = {
        "plan": plan,
        "n": report.n,
        "n_cases": report.n_cases,
        "auc": report.overall.auc.to_json(),
        "within_fold_auc": None if report.within_fold_auc is None else report.within_fold_auc.to_json(),
        "n_parameters": read_run(run).n_parameters,
        "best_epochs": [outcome.best_epoch for outcome in outcomes],
        "training_seconds": round(sum(one.epochs_run * one.seconds_per_epoch for one in outcomes), 1),
        "peak_memory_bytes": max(outcome.peak_memory_bytes for outcome in outcomes),
        "seconds": round(perf_counter() - began, 1),
    }
    with (work / JOURNAL).open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{store.folder.name} {settings.system}: AUC {cell(line)}, {line['seconds']:.0f} s", flush=True)
    return line


def read_journal(work: Path) -> list[Line]:
    """Give the lines that are there."""
    journal = work / JOURNAL
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def summarised(lines: Sequence[Line]) -> dict[str, Any]:
    """Put the lines together; settings once for each system."""
    return {
        "command": "python benchmarks/systems.py --work FOLDER",
        "machine": {"threads": 1, "torch": torch.__version__},
        "systems": [{**line, "plan": None, **line["plan"]} for line in lines],
    }


def show(lines: Sequence[Line]) -> None:
    print(f"{'system':<26}{'cohort':<18}{'AUC, pairs of one fold':<28}{'parameters':>12}{'training, s':>13}")
    for line in lines:
        name, where = line["plan"]["system"], line["plan"]["cohort"]
        print(
            f"{name:<26}{where:<18}{cell(line):<28}{line['n_parameters']:>12,}{line['training_seconds']:>13}"
        )


def cell(line: Line) -> str:
    found = line["within_fold_auc"] or line["auc"]
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


if __name__ == "__main__":
    main()
