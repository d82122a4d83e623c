"""Two systems on the same folds: how far their AUCs lie apart, over all pairs and those of one institution.

Usage, on the runs that `abide_systems.py` leaves in its folder::

    python benchmarks/abide_pairs.py RUNS FIRST:SECOND ... [--out results.json]

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
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    found = [compared(*(options.runs / name for name in pair.split(":"))) for pair in options.pairs]
    for row in found:
        print(json.dumps(row, indent=2))
    if options.out:
        before = json.loads(options.out.read_text())["pairs"] if options.out.exists() else []
        known = {(row["split"], row["first"], row["second"]): row for row in [*before, *found]}
        options.out.write_text(
            json.dumps({"command": COMMAND, "pairs": list(known.values())}, indent=2) + "\n"
        )


def compared(first: Path, second: Path) -> dict[str, Any]:
    """Set one run beside another of the same people in the same folds."""
    one, other = read_run_data(first), read_run_data(second)
    if _ground(one) != _ground(other):
        message = (
            f"expected two runs of the same people in the same folds, found {first.name} and {second.name}"
        )
        raise SystemExit(message)
    _, institutions = np.unique([person.site for person in one.reported_subjects], return_inverse=True)
    people = bootstrap.draw_counts(one.labels, n_draws=N_DRAWS, seed=SEED)
    whole = bootstrap.draw_counts(np.zeros(institutions.max() + 1, dtype=int), n_draws=N_DRAWS, seed=SEED)
    draws = {"people_drawn": people, "institutions_drawn": whole[:, institutions]}
    groups = {"all": np.zeros_like(institutions), "of_one_institution": institutions}
    return {
        "split": one.record.split,
        "first": one.record.system,
        "second": other.record.system,
        "n": len(one.labels),
        "pairs": {
            name: {
                "first_auc": round(float(_auc(None, one.labels, one.scores, group)[0]), 4),
                "second_auc": round(float(_auc(None, other.labels, other.scores, group)[0]), 4),
                "difference": {
                    drawn: _difference(counts, one, other, group).to_json() for drawn, counts in draws.items()
                },
            }
            for name, group in groups.items()
        },
    }


def _ground(run: RunData) -> tuple[object, ...]:
    return (run.record.cohort_fingerprint, *((row.subject_id, row.fold) for row in run.predictions))


def _difference(counts: Counts, one: RunData, other: RunData, group: Labels) -> Estimate:
    def of(counts: Counts | None) -> Figures:
        return _auc(counts, one.labels, one.scores, group) - _auc(counts, other.labels, other.scores, group)

    return Estimate.of(float(of(None)[0]), of(counts))


def _auc(counts: Counts | None, labels: Labels, scores: Scores, group: Labels) -> Figures:
    """Give the share of pairs of one group in the right order; without counts of the sample itself."""
    counts = bootstrap.once_each(len(labels)) if counts is None else counts
    right, pairs = np.zeros(len(counts)), np.zeros(len(counts))
    for one in np.unique(group):
        here = group == one
        of_group = bootstrap.ordered_pairs(counts[:, here], labels[here], scores[here])
        right, pairs = right + of_group[0], pairs + of_group[1]
    return np.asarray(right / pairs)


if __name__ == "__main__":
    main()
