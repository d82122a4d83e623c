"""Ridge regression out of fold on many columns, everything about it chosen on the other folds."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from training.evidence.baselines import CONNECTIVITY, SingleFoldError
from training.evidence.metrics import require_both_classes
from training.evidence.shapes import Connectivity, Folds, Kernel, Labels, Scores

# Of the penalty, in units of the features' number: what fits 110 regions then fits 220.
_PENALTIES = np.logspace(-3, 1, 13)
_N_INNER = 5
_INNER_SEED = 0
_LEAST_SLOPE = 1e-3  # logits a deviation of the scores: their order is kept, their size is not


def ridge_probabilities(features: Connectivity, labels: Labels, folds: Folds) -> Scores:
    """Classify each fold by a ridge regression on the others, its penalty and calibration chosen inside them.

    Parameters
    ----------
    features : (S, F) float32
        Centred inside, by the training part's mean.
    labels, folds : (S,) int

    Returns
    -------
    (S,) float64
        Probability of label 1.

    Raises
    ------
    ClassMissingError
        If the folds beside a fold hold one class only.
    SingleFoldError
        If all subjects are in one fold.
    """
    kernel = _kernel(features)
    probabilities = np.empty(len(labels))
    for fold, ridge in fit_folds(features, labels, folds).items():
        training, reported = folds != fold, folds == fold
        probabilities[reported] = ridge.probabilities(kernel[np.ix_(reported, training)])
    return probabilities


def fit_folds(features: Connectivity, labels: Labels, folds: Folds) -> "dict[int, Ridge]":
    """Fit a ridge regression beside each fold.

    Parameters
    ----------
    features, labels, folds
        As for `ridge_probabilities`.

    Returns
    -------
    dict of int to Ridge
        By the fold that is left out.

    Raises
    ------
    ClassMissingError, SingleFoldError
        As `ridge_probabilities`.
    """
    found = np.unique(folds)
    if len(found) < 2:
        raise SingleFoldError(baseline=CONNECTIVITY, found=len(found))
    kernel = _kernel(features)
    fitted = {}
    for fold in found:
        training = folds != fold
        require_both_classes(labels[training], where=f"baseline {CONNECTIVITY!r}")
        fitted[int(fold)] = fit_ridge(kernel[np.ix_(training, training)], labels[training])
    return fitted


@dataclass(frozen=True, eq=False)
class Ridge:
    """A ridge regression and what its scores mean, both fitted on the same people.

    Attributes
    ----------
    penalty : float
        The best for parts of these people that were left out in turn.
    weights : (n,) float64
        Of these people: the weights of the features are these, times the people's features.
    intercept : float
    slope, lean : float
        A score's logit is ``slope`` times it, and ``lean``.
    """

    penalty: float
    weights: Float64[np.ndarray, " n"]
    intercept: float
    slope: float
    lean: float

    def probabilities(self, across: Float64[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        """Give others the probability of label 1, from their kernel with the people fitted on."""
        return np.asarray(expit(self.slope * (across @ self.weights + self.intercept) + self.lean))


def fit_ridge(
    own: Float64[np.ndarray, "n n"],
    labels: Int[np.ndarray, " n"],
    *,
    seed: int = _INNER_SEED,
    penalties: Float64[np.ndarray, " A"] = _PENALTIES,
) -> Ridge:
    """Fit a ridge regression on people of both classes, its penalty and calibration chosen inside them.

    Parameters
    ----------
    own : (n, n) float64
        Kernel of these people, and of nobody else.
    labels : (n,) int
    seed : int
        Of the parts inside them.
    penalties : (A,) float64
        To choose from, in units of the kernel.
    """
    inner_scores = _inner_scores(own, labels, inner_parts(labels, seed=seed), penalties)
    best = int(((inner_scores - _targets(labels)) ** 2).mean(axis=1).argmin())
    weights, intercepts = _ridge_path(own, labels, penalties)
    slope, lean = calibrate(inner_scores[best], labels)
    return Ridge(
        penalty=float(penalties[best]),
        weights=weights[best],
        intercept=float(intercepts[best]),
        slope=slope,
        lean=lean,
    )


def _kernel(features: Connectivity) -> Kernel:
    wide = features.astype(np.float64)
    return np.asarray(wide @ wide.T / features.shape[1])


def inner_parts(labels: Int[np.ndarray, " n"], *, seed: int = _INNER_SEED) -> Int[np.ndarray, " n"]:
    """Deal the people of each label into five parts, to choose on what a model was not fitted on."""
    generator = np.random.default_rng(seed)
    part = np.empty(len(labels), dtype=np.int64)
    for label in (0, 1):
        members = generator.permutation(np.flatnonzero(labels == label))
        part[members] = np.arange(len(members)) % _N_INNER
    return part


def calibrate(scores: Scores, labels: Labels) -> tuple[float, float]:
    """Learn from scores out of part what they mean (Platt): slope and lean of their logits.

    The slope is above 0. Where the scores of a few people go against their labels, that is chance: a slope
    below 0 would turn the model round for everybody else. They are then taken to mean next to nothing.
    """
    spread = float(scores.std()) or 1.0
    model = LogisticRegression(C=1.0).fit(scores[:, None] / spread, labels)
    slope = float(model.coef_[0, 0])
    if slope >= _LEAST_SLOPE:
        return slope / spread, float(model.intercept_[0])
    return _LEAST_SLOPE / spread, float(logit(labels.mean()) - _LEAST_SLOPE * scores.mean() / spread)


def _inner_scores(
    own: Float64[np.ndarray, "n n"],
    labels: Int[np.ndarray, " n"],
    part: Int[np.ndarray, " n"],
    penalties: Float64[np.ndarray, " A"],
) -> Float64[np.ndarray, "A n"]:
    """Score people by regressions on the others of them, for every penalty."""
    scores = np.zeros((len(penalties), len(labels)))
    for i in np.unique(part):
        others, here = part != i, part == i
        weights, intercepts = _ridge_path(own[np.ix_(others, others)], labels[others], penalties)
        scores[:, here] = weights @ own[np.ix_(others, here)] + intercepts[:, None]
    return scores


def _ridge_path(
    own: Float64[np.ndarray, "n n"],
    labels: Int[np.ndarray, " n"],
    penalties: Float64[np.ndarray, " A"] = _PENALTIES,
) -> tuple[Float64[np.ndarray, "A n"], Float64[np.ndarray, " A"]]:
    """Fit diagnoses as -1 and 1 for every penalty, from one eigendecomposition.

    Centring the features by these people's mean is done on the kernel, where it comes to the same. The
    weights add up to nothing, so that of centring somebody else's kernel only the intercept is left.
    """
    mean = own.mean(axis=0)
    centred = own - mean[None] - mean[:, None] + mean.mean()
    target = _targets(labels)
    values, vectors = np.linalg.eigh(centred)
    turned = vectors.T @ (target - target.mean())
    weights = turned[None] / (np.maximum(values, 0.0)[None] + penalties[:, None]) @ vectors.T
    return np.asarray(weights), np.asarray(target.mean() - weights @ mean)


def _targets(labels: Labels) -> Scores:
    return np.where(labels == 1, 1.0, -1.0)
