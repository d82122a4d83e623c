"""Figures of a classifier on subjects that it never saw, each with an interval over subjects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from imaging.words import counted
from training.errors import CohortError
from training.evidence import bootstrap
from training.evidence.calibration import ReliabilityBin, reliability_bins
from training.evidence.estimates import (
    Estimate,
    area_estimate,
    counted_share,
    mean_of_shares,
    precision_estimate,
)
from training.evidence.shapes import Labels, Probabilities, Scores, Thresholds

N_DRAWS = 2000
N_BINS = 10
# Of an evaluation: the figures with an interval, and the counts that they stand on.
FIGURES = ("auc", "average_precision", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "brier")
COUNTS = ("tp", "fn", "fp", "tn")


class ClassMissingError(CohortError):
    """Figures that need both classes were asked of subjects of one."""

    code: ClassVar[str] = "evidence_class_missing"

    def __init__(self, *, where: str, n_cases: int, n_controls: int) -> None:
        self.where = where
        self.n_cases = n_cases
        self.n_controls = n_controls
        super().__init__(
            f"{where}: expected subjects of both classes, "
            f"found {counted(n_cases, 'case')} and {counted(n_controls, 'control')}"
        )


@dataclass(frozen=True)
class Evaluation:
    """A classifier's figures, with the confusion table that they stand on.

    Attributes
    ----------
    auc, average_precision, accuracy, balanced_accuracy, sensitivity, specificity, brier : Estimate
        ``average_precision`` is the area under the precision-recall steps; by chance the share of cases.
    ece : float
        Expected calibration error over ``reliability``. It has no interval: drawing subjects anew adds
        scatter to every bin and so only ever makes it larger.
    reliability : tuple of ReliabilityBin
    tp, fn, fp, tn : int
        A case is positive; at the threshold.
    """

    auc: Estimate
    average_precision: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    brier: Estimate
    ece: float
    reliability: tuple[ReliabilityBin, ...]
    tp: int
    fn: int
    fp: int
    tn: int

    def to_json(self, figures: Sequence[str] = FIGURES) -> dict[str, Any]:
        """Give what a model's card holds: the named figures, the calibration error and the counts."""
        return {
            **{name: getattr(self, name).to_json() for name in figures},
            "ece": round(self.ece, 4),
            "confusion": {name: getattr(self, name) for name in COUNTS},
        }


def evaluate(
    labels: Labels,
    probabilities: Probabilities,
    *,
    threshold: float | Thresholds,
    scores: Scores | None = None,
    seed: int,
    n_draws: int = N_DRAWS,
) -> Evaluation:
    """Evaluate probabilities of being a case against the diagnoses.

    Subjects are drawn with replacement within each class, so that every draw has both. Where everybody of a
    class is called alike, or the AUC is 1 or 0, draws show too little, and the interval is a counted one
    (`training.evidence.estimates`). One answer for everybody is left as it is: what that comes to follows
    from the sizes of the classes.

    Parameters
    ----------
    labels : (S,) int
        0 control, 1 case; both present.
    probabilities : (S,) float64
    threshold : float or (S,) float64
        Above it a subject is called a case; an array gives each subject the threshold of its own fold.
    scores : (S,) float64, optional
        What ranks the subjects, for ``auc`` and ``average_precision``, where models of several folds answer
        (`training.evidence.footing`); the probabilities if not given.
    seed : int
    n_draws : int
        Of the bootstrap.

    Raises
    ------
    ClassMissingError
        If a class is missing.
    """
    require_both_classes(labels, where="evaluation")
    case = labels == 1
    called = probabilities > threshold
    n_cases, n_controls = int(case.sum()), int((~case).sum())
    hit, pass_ = called & case, ~called & ~case
    tp, tn = int(hit.sum()), int(pass_.sum())
    sample = bootstrap.once_each(len(labels))
    drawn = bootstrap.draw_counts(labels, n_draws=n_draws, seed=seed)

    def estimate(per_subject: Float64[np.ndarray, " S"]) -> Estimate:
        return Estimate.of(float(per_subject.sum()), drawn @ per_subject)

    accuracy, balanced = (
        estimate((hit | pass_) / len(labels)),
        estimate((hit / n_cases + pass_ / n_controls) / 2),
    )
    sensitivity, specificity = estimate(hit / n_cases), estimate(pass_ / n_controls)
    if not _one_answer(probabilities) and (tp in {0, n_cases} or tn in {0, n_controls}):
        # Everybody of a class is called alike: no draw of them can show that it might have been otherwise.
        counted = counted_share(tp, n_cases), counted_share(tn, n_controls)
        accuracy, balanced = counted_share(tp + tn, len(labels)), mean_of_shares(*counted)
        sensitivity = counted[0] if tp in {0, n_cases} else sensitivity
        specificity = counted[1] if tn in {0, n_controls} else specificity
    ranked = probabilities if scores is None else scores
    auc, precision = (
        (float(area(sample, labels, ranked)[0]), area(drawn, labels, ranked))
        for area in (bootstrap.area_under_roc, bootstrap.average_precision)
    )
    reliability = reliability_bins(labels, probabilities, n_bins=N_BINS)
    return Evaluation(
        auc=area_estimate(*auc, n_separate_pairs=min(n_cases, n_controls)),
        average_precision=precision_estimate(*precision, n_cases=n_cases, n_controls=n_controls),
        accuracy=accuracy,
        balanced_accuracy=balanced,
        sensitivity=sensitivity,
        specificity=specificity,
        brier=estimate((probabilities - labels) ** 2 / len(labels)),
        ece=_calibration_error(reliability),
        reliability=reliability,
        tp=tp,
        fn=n_cases - tp,
        fp=n_controls - tn,
        tn=tn,
    )


def require_both_classes(labels: Labels, *, where: str) -> None:
    """Refuse labels of one class.

    Parameters
    ----------
    labels : (S,) int
    where : str
        What is being done, for the message.

    Raises
    ------
    ClassMissingError
        If a class is missing.
    """
    n_cases, n_controls = int((labels == 1).sum()), int((labels == 0).sum())
    if not (n_cases and n_controls):
        raise ClassMissingError(where=where, n_cases=n_cases, n_controls=n_controls)


def _one_answer(probabilities: Probabilities) -> bool:
    return bool((probabilities == probabilities[0]).all())


def _calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    distances = [bin_.n * abs(bin_.observed.value - bin_.mean_probability) for bin_ in bins]
    return sum(distances) / sum(bin_.n for bin_ in bins)
