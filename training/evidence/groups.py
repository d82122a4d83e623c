"""The same figures for a part of the subjects: by site, sex, age band or fold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from training.evidence.metrics import N_DRAWS, ClassMissingError, Evaluation, evaluate

UNKNOWN = "unknown"

_AGE_BANDS = (
    (10.0, "under 10 years"),
    (14.0, "10 to 13 years"),
    (18.0, "14 to 17 years"),
    (float("inf"), "18 years and over"),
)


@dataclass(frozen=True)
class GroupEvaluation:
    """How a classifier does in one group.

    Attributes
    ----------
    name : str
    n_adhd, n_control : int
    tp, fn, fp, tn : int
        At each subject's threshold; also where a class is missing.
    evaluation : Evaluation or None
        None where the group has one class only.
    reason : str or None
        Why there is none.
    """

    name: str
    n_adhd: int
    n_control: int
    tp: int
    fn: int
    fp: int
    tn: int
    evaluation: Evaluation | None
    reason: str | None


def evaluate_groups(
    labels: Int[np.ndarray, " S"],
    probabilities: Float64[np.ndarray, " S"],
    groups: Sequence[str],
    *,
    threshold: float | Float64[np.ndarray, " S"],
    seed: int,
    n_draws: int = N_DRAWS,
) -> tuple[GroupEvaluation, ...]:
    """Evaluate a classifier in every group.

    Parameters
    ----------
    labels : (S,) int
        0 control, 1 ADHD.
    probabilities : (S,) float64
    groups : sequence of str
        One a subject.
    threshold : float or (S,) float64
        As for `evaluate`.
    seed : int
    n_draws : int

    Returns
    -------
    tuple of GroupEvaluation
        By name; age bands from the youngest.
    """
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    thresholds = np.broadcast_to(np.asarray(threshold, dtype=np.float64), labels.shape)
    found = [
        _evaluate_group(
            str(name),
            labels[place == i],
            probabilities[place == i],
            thresholds[place == i],
            seed=seed,
            n_draws=n_draws,
        )
        for i, name in enumerate(names)
    ]
    order = [band for _, band in _AGE_BANDS]
    return tuple(sorted(found, key=lambda one: order.index(one.name) if one.name in order else len(order)))


def age_band(age_years: float | None) -> str:
    """Name the band of an age, or "unknown"."""
    if age_years is None:
        return UNKNOWN
    return next(name for below, name in _AGE_BANDS if age_years < below)


def _evaluate_group(
    name: str,
    labels: Int[np.ndarray, " S"],
    probabilities: Float64[np.ndarray, " S"],
    thresholds: Float64[np.ndarray, " S"],
    *,
    seed: int,
    n_draws: int,
) -> GroupEvaluation:
    evaluation, reason = None, None
    try:
        evaluation = evaluate(labels, probabilities, threshold=thresholds, seed=seed, n_draws=n_draws)
    except ClassMissingError as error:
        only = "cases" if error.n_adhd else "controls"
        reason = f"all {len(labels)} subjects are {only}: an AUC and its like need both classes"
    called, case = probabilities > thresholds, labels == 1
    return GroupEvaluation(
        name=name,
        n_adhd=int(case.sum()),
        n_control=int((~case).sum()),
        tp=int((called & case).sum()),
        fn=int((~called & case).sum()),
        fp=int((called & ~case).sum()),
        tn=int((~called & ~case).sum()),
        evaluation=evaluation,
        reason=reason,
    )
