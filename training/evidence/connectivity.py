"""The classic of the field as the yardstick: ridge regression on how regions of the brain move together.

Regions are cubes of about 20 mm that tile the template brain: an atlas would be somebody's data to download,
and would have to be chosen. On ABIDE they cost about 0.025 of the AUC that Harvard-Oxford regions reach.
"""

from collections.abc import Callable, Sequence

import numpy as np

from imaging.regions import tile_brain
from model.methods.features import fisher_z_correlations
from training.cohort.store.cohort_store import CohortStore
from training.evidence.baselines import CONNECTIVITY
from training.evidence.ridge import ridge_probabilities
from training.evidence.shapes import Connectivity, Scores
from training.runs import RunSubject

Progress = Callable[[str, float], None]


def connectivity_probabilities(
    store: CohortStore, subjects: Sequence[RunSubject], *, progress: Progress | None = None
) -> Scores:
    """Give every subject the probability of a ridge regression that was fitted on the other folds only.

    Parameters
    ----------
    store : CohortStore
        That holds a scan of every subject.
    subjects : sequence of RunSubject
        In at least two folds.
    progress : callable, optional
        Called as ``progress("connectivity", fraction)``.

    Returns
    -------
    (S,) float64

    Raises
    ------
    ClassMissingError
        If the folds beside a fold hold one class only.
    SingleFoldError
        If all subjects are in one fold.
    """
    features = connectivity_features(store, [one.subject_id for one in subjects], progress=progress)
    labels = np.array([subject.label for subject in subjects])
    folds = np.array([subject.fold for subject in subjects])
    return ridge_probabilities(features, labels, folds)


def connectivity_features(
    store: CohortStore, subject_ids: Sequence[str], *, progress: Progress | None = None
) -> Connectivity:
    """Give each subject's Fisher-z correlations between regions, averaged over the subject's scans.

    Parameters
    ----------
    store : CohortStore
    subject_ids : sequence of str
    progress : callable, optional

    Returns
    -------
    (S, F) float32
        One column a pair of regions.
    """
    regions = tile_brain(store.spec.grid_size)
    rows = []
    for done, subject_id in enumerate(subject_ids, start=1):
        scans = [
            fisher_z_correlations(regions.means(store.series(scan))) for scan in store.scans_of(subject_id)
        ]
        rows.append(np.mean(scans, axis=0))
        if progress is not None:
            progress(CONNECTIVITY, done / len(subject_ids))
    return np.array(rows, dtype=np.float32)
