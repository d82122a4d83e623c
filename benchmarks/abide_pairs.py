"""Two systems on the same folds: how far their AUCs lie apart, over all pairs and those of one institution.

Usage, on the runs that `abide_systems.py` leaves in its folder::

    python benchmarks/abide_pairs.py RUNS FIRST:SECOND ... [--only-fold 0] [--out results.json]

A difference is given with two intervals. One draws people anew, within each class, as the report does: it
speaks of other people of these institutions. The other draws institutions anew, each with all its people: it
speaks of other institutions, of which 13 are few.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from training.evidence import bootstrap
from training.evidence.estimates import Estimate
from training.evidence.metrics import N_DRAWS
from training.evidence.report.assembling import SEED
from training.evidence.report.reading import RunData, read_run_data
from training.evidence.shapes import Counts, Figures, Labels, Scores

COMMAND = "python benchmarks/abide_pairs.py RUNS FIRST:SECOND ..."


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("runs", type=Path, help="folder of runs")
    arguments.add_argument("pairs", nargs="+", metavar="FIRST:SECOND", help="folders of two runs in it")
    arguments.add_argument("--only-fold", type=int, help="people of this fold alone")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    found = [
        compared(*(options.runs / name for name in pair.split(":")), only_fold=options.only_fold)
        for pair in options.pairs
    ]
    for row in found:
        print(json.dumps(row, indent=2))
    if options.out:
        before = json.loads(options.out.read_text())["pairs"] if options.out.exists() else []
        named = ("split", "seed", "only_fold", "first", "second")
        known = {tuple(row[name] for name in named): row for row in [*before, *found]}
        options.out.write_text(
            json.dumps({"command": COMMAND, "pairs": list(known.values())}, indent=2) + "\n"
        )


def compared(first: Path, second: Path, *, only_fold: int | None) -> dict[str, Any]:
    """Set one run beside another of the same people in the same folds."""
    one, other = read_run_data(first), read_run_data(second)
    if _ground(one) != _ground(other):
        raise SystemExit(
            f"expected two runs of the same people in the same folds, found {first.name} and {second.name}"
        )
    chosen = np.array([only_fold in {None, row.fold} for row in one.predictions])
    labels, scores = one.labels[chosen], np.stack([one.scores, other.scores])[:, chosen]
    sites = np.array([person.site for person in one.reported_subjects])[chosen]
    _, institutions = np.unique(sites, return_inverse=True)
    people = bootstrap.draw_counts(labels, n_draws=N_DRAWS, seed=SEED)
    whole = bootstrap.draw_counts(np.zeros(institutions.max() + 1, dtype=int), n_draws=N_DRAWS, seed=SEED)
    draws = {"people_drawn": people, "institutions_drawn": whole[:, institutions]}
    groups = {"all": np.zeros_like(institutions), "of_one_institution": institutions}
    return {
        "split": one.record.split,
        "seed": one.record.settings["seed"],
        "only_fold": only_fold,
        "first": first.name,
        "second": second.name,
        "n": len(labels),
        "pairs": {name: _beside(labels, scores, group, draws) for name, group in groups.items()},
    }


def _ground(run: RunData) -> tuple[object, ...]:
    return (run.record.cohort_fingerprint, *((row.subject_id, row.fold) for row in run.predictions))


def _beside(
    labels: Labels, scores: np.ndarray, group: np.ndarray, draws: dict[str, Counts]
) -> dict[str, Any]:
    """Give both AUCs among the pairs of one group, and their difference as each way of drawing shows it."""
    first, second = (float(_auc(bootstrap.once_each(len(labels)), labels, one, group)[0]) for one in scores)
    drawn = {
        name: _auc(counts, labels, scores[0], group) - _auc(counts, labels, scores[1], group)
        for name, counts in draws.items()
    }
    return {
        "first_auc": round(first, 4),
        "second_auc": round(second, 4),
        "difference": {name: Estimate.of(first - second, found).to_json() for name, found in drawn.items()},
    }


def _auc(counts: Counts, labels: Labels, scores: Scores, group: np.ndarray) -> Figures:
    """Give the share of pairs of one group in the right order, for every draw."""
    right, pairs = np.zeros(len(counts)), np.zeros(len(counts))
    for one in np.unique(group):
        here = group == one
        of_group = bootstrap.ordered_pairs(counts[:, here], labels[here], scores[here])
        right, pairs = right + of_group[0], pairs + of_group[1]
    return np.asarray(right / pairs)


if __name__ == "__main__":
    main()
