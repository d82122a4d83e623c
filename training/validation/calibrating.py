"""From a fold's logits to decisions, by numbers fitted to its inner calibration part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from scipy.special import expit

from model.decision import conformal_decision
from training.evidence.conformal import fit_quantiles
from training.evidence.thresholds import choose_threshold
from training.fitting.settings import TrainingSettings
from training.runs import CASE, CONTROL, Decision, Prediction, RunSubject

# The card's word for a case of any condition is "adhd", as in an answer over REST.
_DECIDED: dict[str, Decision] = {"adhd": CASE, "control": CONTROL, "uncertain": "uncertain"}


@dataclass(frozen=True)
class DecisionRule:
    """What turns calibrated probabilities into decisions; none of it knows the reported fold.

    Attributes
    ----------
    threshold : float
    conformal_quantiles : dict or None
        As in the card.
    """

    threshold: float = 0.5
    conformal_quantiles: dict[str, float] | None = None


def fit_rule(
    probabilities: Float64[np.ndarray, " S"], labels: Int[np.ndarray, " S"], *, settings: TrainingSettings
) -> DecisionRule:
    """Fit threshold and conformal quantiles to subjects that the weights were not fitted to.

    Parameters
    ----------
    probabilities : (S,) float64
        Calibrated.
    labels : (S,) int
        0 control, 1 case; both present.
    settings : TrainingSettings
        Its ``threshold_rule`` and ``conformal_level``.
    """
    return DecisionRule(
        threshold=choose_threshold(probabilities, labels, rule=settings.threshold_rule),
        conformal_quantiles=fit_quantiles(probabilities, labels, level=settings.conformal_level),
    )


def predict_subjects(
    subjects: Sequence[RunSubject],
    logits: Float64[np.ndarray, " S"],
    *,
    fold: int,
    rule: DecisionRule,
) -> list[Prediction]:
    """Say what a fold's model makes of the subjects that it never saw.

    Parameters
    ----------
    subjects : sequence of RunSubject
    logits : (S,) float64
        Calibrated.
    fold : int
    rule : DecisionRule
        The fold's.
    """
    probabilities = expit(logits)
    quantiles = rule.conformal_quantiles
    return [
        Prediction(
            subject_id=subject.subject_id,
            fold=fold,
            logit=float(logit),
            probability=float(probability),
            called=CASE if probability > rule.threshold else CONTROL,
            decision=None
            if quantiles is None
            else _DECIDED[conformal_decision(float(probability), quantiles)],
        )
        for subject, logit, probability in zip(subjects, logits, probabilities, strict=True)
    ]
