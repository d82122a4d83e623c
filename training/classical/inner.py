"""What is chosen about a method, chosen on parts of the people trained on that were left out in turn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import expit
from sklearn.metrics import log_loss

from training.classical.shapes import CandidateScores, Labels
from training.errors import CohortError
from training.evidence.ridge import calibrate, inner_parts

_FEWEST = 2  # of a class: some of it must be left when a part is left out


class TooFewToSplitError(CohortError):
    """Fewer people of a class than can be left out in turn."""

    code: ClassVar[str] = "too_few_to_split"

    def __init__(self, *, method: str, n_cases: int, n_controls: int) -> None:
        self.method = method
        self.n_cases = n_cases
        self.n_controls = n_controls
        super().__init__(
            f"method {method!r}: expected at least {_FEWEST} cases and {_FEWEST} controls to train on, "
            f"found {n_cases} and {n_controls}"
        )


@dataclass(frozen=True)
class Choice:
    """A candidate, and what its scores mean.

    Attributes
    ----------
    best : int
        Place among the candidates; the first of equals.
    slope, lean : float
        A score's logit is ``slope`` times it, and ``lean``; fitted on scores out of part.
    """

    best: int
    slope: float
    lean: float


ScorePart = Callable[[Bool[np.ndarray, " S"], Bool[np.ndarray, " S"]], Float64[np.ndarray, "A P"]]
"""Fits every candidate on the people of the first mask, and scores those of the second."""


def choose_inside(labels: Labels, score_part: ScorePart, *, seed: int) -> Choice:
    """Choose the candidate whose calibrated scores out of part fit the diagnoses best, by their log loss.

    Parameters
    ----------
    labels : (S,) int
    score_part : callable
        Given the masks of those to fit on and of those to score.
    seed : int
        Of the five parts, which are stratified by label.
    """
    part = inner_parts(labels, seed=seed)
    found = [(part == i, score_part(part != i, part == i)) for i in np.unique(part)]
    scores = np.empty((len(found[0][1]), len(labels)))
    for here, of_part in found:
        scores[:, here] = of_part
    return _best(scores, labels)


def require_enough(labels: Labels, *, method: str) -> None:
    """Refuse people who cannot be split inside.

    Raises
    ------
    TooFewToSplitError
        If there are fewer than two of a class.
    """
    n_cases, n_controls = int((labels == 1).sum()), int((labels == 0).sum())
    if min(n_cases, n_controls) < _FEWEST:
        raise TooFewToSplitError(method=method, n_cases=n_cases, n_controls=n_controls)


def _best(scores: CandidateScores, labels: Labels) -> Choice:
    meanings = [calibrate(one, labels) for one in scores]
    losses = [
        log_loss(labels, expit(slope * one + lean), labels=[0, 1])
        for one, (slope, lean) in zip(scores, meanings, strict=True)
    ]
    best = int(np.argmin(losses))
    return Choice(best, *meanings[best])
