"""Where to draw the line between the classes, chosen on subjects that are neither trained on nor reported."""

from typing import Literal

import numpy as np
from jaxtyping import Float64

from training.evidence.metrics import require_both_classes
from training.evidence.shapes import Labels, Probabilities

YOUDEN: Literal["youden"] = "youden"
ThresholdRule = Literal["youden"] | float

_SMALLEST, _LARGEST = 1e-6, 1 - 1e-6  # a card's threshold lies strictly between 0 and 1


def choose_threshold(probabilities: Probabilities, labels: Labels, *, rule: ThresholdRule) -> float:
    """Choose the probability above which a subject is called a case.

    Only the order of the subjects decides between thresholds, so the candidates are the middles between
    neighbouring distinct probabilities and the two ends, halfway to 0 and to 1. Subjects of equal probability
    always fall on one side together.

    Under "youden" the largest sensitivity + specificity wins; among equals the threshold nearest to a half,
    then the lower one. When nothing is better than calling everyone alike, that gives 0.5 where it can: an
    uninformative sample moves nothing.

    Under a required sensitivity the fewest false positives win among the thresholds that reach it; among
    equals the highest sensitivity, which is then free.

    On a few dozen subjects the choice is coarse: with 20 cases a required 0.9 means two missed at most, and
    the sensitivity on other people spreads by about 0.07 (one standard error) around what is met here.

    Parameters
    ----------
    probabilities : (S,) float64
    labels : (S,) int
        0 control, 1 case; both present.
    rule : "youden" or float
        A float is the sensitivity required, above 0 and at most 1.

    Returns
    -------
    float
        Strictly between 0 and 1.

    Raises
    ------
    ClassMissingError
        If a class is missing.
    ValueError
        If the required sensitivity is out of its range.
    """
    if rule != YOUDEN and not 0 < rule <= 1:
        raise ValueError(f"expected 'youden' or a sensitivity above 0 and at most 1, found {rule!r}")
    require_both_classes(labels, where="choice of the threshold")
    candidates = _candidates(probabilities)
    cases, controls = probabilities[labels == 1], probabilities[labels == 0]
    sensitivity = (cases[None] > candidates[:, None]).mean(axis=1)
    specificity = (controls[None] <= candidates[:, None]).mean(axis=1)
    if rule == YOUDEN:
        # Rounded, so that equal sums that were added in another order stay equal.
        gain = np.round(sensitivity + specificity, 9)
        best = np.lexsort((candidates, np.round(np.abs(candidates - 0.5), 9), -gain))[0]
    else:
        short = np.round(np.maximum(rule - sensitivity, 0.0), 9)
        best = np.lexsort((candidates, -sensitivity, -specificity, short))[0]
    return float(np.clip(candidates[best], _SMALLEST, _LARGEST))


def _candidates(probabilities: Probabilities) -> Float64[np.ndarray, " C"]:
    distinct = np.unique(probabilities)
    middles = (distinct[1:] + distinct[:-1]) / 2
    ends = [distinct[0] / 2, (1 + distinct[-1]) / 2]
    # 0.5 itself separates the same subjects as some middle does and is the natural choice among equals.
    return np.unique(np.concatenate([ends, middles, [0.5]]))
