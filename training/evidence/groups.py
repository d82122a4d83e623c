"""The same figures for a part of the subjects: by site, sex, age band or fold.

A part may be a handful of people. Drawing the same few again cannot show a mistake that none of them happened
to be, so shares have Wilson's interval here, and an AUC of very few people says that it is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evidence.comparison import auc_estimate
from training.evidence.estimates import Estimate, counted_share, mean_of_shares
from training.evidence.metrics import N_DRAWS
from training.evidence.shapes import Labels, Probabilities, Scores, Thresholds

UNKNOWN = "unknown"

# Below so many people of a class, draws of them hardly differ, and the interval of an AUC is far too narrow.
FEW = 5

_AGE_BANDS = (
    (10.0, "under 10 years"),
    (14.0, "10 to 13 years"),
    (18.0, "14 to 17 years"),
    (float("inf"), "18 years and over"),
)


@dataclass(frozen=True, kw_only=True)
class GroupEvaluation:
    """How a classifier does in one group; None is a figure that needs a class which the group lacks.

    Attributes
    ----------
    name : str
    tp, fn, fp, tn : int
        A case is positive; at each subject's threshold.
    accuracy : Estimate
        With Wilson's interval, as ``sensitivity`` and ``specificity`` have.
    sensitivity, specificity : Estimate or None
    balanced_accuracy : Estimate or None
        Their mean, with the interval that theirs leave open (Newcombe 1998, method 10).
    auc : Estimate or None
        With the bootstrap's interval; see ``few``.
    """

    name: str
    tp: int
    fn: int
    fp: int
    tn: int
    accuracy: Estimate
    balanced_accuracy: Estimate | None
    sensitivity: Estimate | None
    specificity: Estimate | None
    auc: Estimate | None

    @property
    def n(self) -> int:
        """Number of subjects."""
        return self.n_cases + self.n_controls

    @property
    def n_cases(self) -> int:
        """Number of them with the condition."""
        return self.tp + self.fn

    @property
    def n_controls(self) -> int:
        """Number of the others."""
        return self.fp + self.tn

    @property
    def few(self) -> bool:
        """Whether there is an AUC, of so few people that its interval is too narrow to be believed."""
        return self.auc is not None and min(self.n_cases, self.n_controls) < FEW


def evaluate_groups(
    labels: Labels,
    probabilities: Probabilities,
    groups: Sequence[str],
    *,
    threshold: float | Thresholds,
    scores: Scores | None = None,
    seed: int,
    n_draws: int = N_DRAWS,
) -> tuple[GroupEvaluation, ...]:
    """Evaluate a classifier in every group.

    Parameters
    ----------
    labels : (S,) int
        0 control, 1 case.
    probabilities : (S,) float64
    groups : sequence of str
        One a subject.
    threshold : float or (S,) float64
    scores : (S,) float64, optional
        Both as for `evaluate`.
    seed : int
    n_draws : int

    Returns
    -------
    tuple of GroupEvaluation
        By name; age bands from the youngest.
    """
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    called = probabilities > threshold
    ranked = probabilities if scores is None else scores
    found = [
        _evaluate_group(
            str(name),
            labels[place == i],
            ranked[place == i],
            called[place == i],
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
    labels: Labels,
    scores: Scores,
    called: np.ndarray,
    *,
    seed: int,
    n_draws: int,
) -> GroupEvaluation:
    case = labels == 1
    tp, fn = int((called & case).sum()), int((~called & case).sum())
    fp, tn = int((called & ~case).sum()), int((~called & ~case).sum())
    sensitivity, specificity = _share(tp, tp + fn), _share(tn, tn + fp)
    balanced, auc = None, None
    if sensitivity is not None and specificity is not None:
        balanced = mean_of_shares(sensitivity, specificity)
        auc = auc_estimate(labels, scores, seed=seed, n_draws=n_draws)
    return GroupEvaluation(
        name=name,
        tp=tp,
        fn=fn,
        fp=fp,
        tn=tn,
        accuracy=counted_share(tp + tn, len(labels)),
        balanced_accuracy=balanced,
        sensitivity=sensitivity,
        specificity=specificity,
        auc=auc,
    )


def _share(hits: int, n: int) -> Estimate | None:
    return counted_share(hits, n) if n else None
