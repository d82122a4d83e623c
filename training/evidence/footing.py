"""Answers of several folds' models in one list, so that one person may be ranked beside another.

A model leans to the larger class of the people that it was fitted to. In stratified folds all models lean
alike. Where a fold is a site, that with the fewest cases leaves the most of them to the others: its people
get the highest answers, and models that have learned nothing rank the sites against the truth. Pooling does
that to any classifier (Parker et al. 2007, Airola et al. 2011). Log odds without what the model says when it
has nothing to go by, much like the logarithm of a likelihood ratio, have no such lean.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import logit

from training.evidence.calibration import smoothed_targets
from training.evidence.shapes import Folds, Labels, LabelsOfPart, Probabilities, Scores
from training.runs import InnerPrediction, Split

# A probability that was rounded to 0 or 1 stays comparable.
_CERTAIN = (np.finfo(float).tiny, 1 - np.finfo(float).epsneg)


def lean_of_baselines(labels: Labels, folds: Folds, *, split: Split) -> dict[int, float]:
    """Give the log odds of a case among those that a fold's baselines are fitted to: all other folds.

    Parameters
    ----------
    labels, folds : (A,) int
        Of all subjects of a run, also those of folds that are not finished.
    split : "stratified" or "leave_site_out"
        Stratified folds leave the same share to all models, but for what does not divide evenly: 0.

    Returns
    -------
    dict of float
        By fold. Training refuses a fold whose others lack a class.
    """
    if split == "stratified":
        return dict.fromkeys(folds.tolist(), 0.0)
    return {fold: float(logit(labels[folds != fold].mean())) for fold in np.unique(folds).tolist()}


def lean_of_networks(
    labels: Labels, folds: Folds, calibrated_on: Mapping[int, LabelsOfPart], *, split: Split
) -> dict[int, float]:
    """Give the log odds that a fold's calibrated network says of people of whom it can tell nothing.

    Parameters
    ----------
    labels, folds : (A,) int
    calibrated_on : dict of (C,) int
        Labels of a fold's inner calibration part; a network without one leans as a baseline does.
    split : "stratified" or "leave_site_out"
        All as for `lean_of_baselines`.

    Returns
    -------
    dict of float
        By fold.
    """
    found = lean_of_baselines(labels, folds, split=split)
    if split == "leave_site_out":
        targets = {fold: smoothed_targets(of_part) for fold, of_part in calibrated_on.items()}
        found |= {fold: float(logit(of_part.mean())) for fold, of_part in targets.items()}
    return found


def calibration_labels(
    label_of: Mapping[str, int], inner: Sequence[InnerPrediction]
) -> dict[int, LabelsOfPart]:
    """Give the labels of each fold's inner calibration part.

    Parameters
    ----------
    label_of : dict of int
        By subject_id.
    inner : sequence of InnerPrediction
    """
    rows = [row for row in inner if row.part == "calibration"]
    return {
        fold: np.array([label_of[row.subject_id] for row in rows if row.fold == fold])
        for fold in {row.fold for row in rows}
    }


def scores(probabilities: Probabilities, folds: Folds, lean: Mapping[int, float]) -> Scores:
    """Take each model's lean from its answers; what is left can be ranked.

    Parameters
    ----------
    probabilities : (S,) float64
        Of a case, by the models of the subjects' folds.
    folds : (S,) int
    lean : dict of float
        By fold.

    Returns
    -------
    (S,) float64
        Any real number.
    """
    log_odds = logit(np.clip(probabilities, *_CERTAIN))
    return np.asarray(log_odds - np.array([lean[fold] for fold in folds.tolist()]))
