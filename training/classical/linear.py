"""Linear classifiers of many more features than people: ridge regression, logistic regression, the SVM.

All three work on the people's inner products and give their weights back in the features as they came, so
that what is kept of a model, and what serves, are one vector and three numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from training.classical.inner import choose_inside, require_enough
from training.classical.shapes import Features, Labels, Scores, Weights
from training.evidence.ridge import fit_ridge

Scaling = Literal["centre", "standardise"]
"""What features are brought to: their mean to 0, and in the second their deviation to 1."""

# In units of the features' number. Of features with a deviation of 1 the first are too small by far: those of
# connectivity have 0.2.
_RIDGE_PENALTIES: dict[Scaling, Float64[np.ndarray, " A"]] = {
    "centre": np.logspace(-3, 1, 13),
    "standardise": np.logspace(-2, 3, 16),
}
# Of people whose mean square length is 1.
_LOGISTIC_COSTS = np.logspace(-2, 3, 11)
_SVM_COSTS = np.logspace(-2, 2, 9)

_Rotated = Float64[np.ndarray, "..."]
_FitOne = Callable[[_Rotated, Labels, float], tuple[_Rotated, float]]

_SMALLEST = 1e-10  # of an eigenvalue beside the largest: a direction that nobody differs in


@dataclass(frozen=True, eq=False)
class FittedWeights:
    """Weights of the features as they came, and what scores mean.

    Attributes
    ----------
    penalty : float
        What was chosen inside: of ridge the penalty, of the others the cost C.
    weights : (F,) float64
    intercept : float
        A score is the features times the weights, and this.
    slope, lean : float
        A score's logit is ``slope`` times it, and ``lean``.
    """

    penalty: float
    weights: Weights
    intercept: float
    slope: float
    lean: float

    def scores(self, features: Features) -> Scores:
        """Score anybody."""
        return np.asarray(features.astype(np.float64) @ self.weights + self.intercept)

    def probabilities(self, features: Features) -> Scores:
        """Give anybody the probability of label 1."""
        return np.asarray(expit(self.slope * self.scores(features) + self.lean))


def fit_ridge_features(
    features: Features, labels: Labels, *, scaling: Scaling = "centre", seed: int = 0
) -> FittedWeights:
    """Fit the ridge regression of the evidence report.

    Parameters
    ----------
    features : (S, F) float
        Finite; of the people trained on and of nobody else.
    labels : (S,) int
    scaling : {"centre", "standardise"}
    seed : int
        Of the split inside, on which penalty and calibration are chosen.

    Raises
    ------
    TooFewToSplitError
        If there are fewer than two people of a class.
    """
    require_enough(labels, method="ridge")
    ground = _Ground.of(features, scaling)
    kernel = ground.features @ ground.features.T / features.shape[1]
    ridge = fit_ridge(kernel, labels, seed=seed, penalties=_RIDGE_PENALTIES[scaling])
    return ground.model(
        penalty=ridge.penalty,
        weights=ground.features.T @ ridge.weights / features.shape[1],
        intercept=ridge.intercept,
        slope=ridge.slope,
        lean=ridge.lean,
    )


def fit_logistic(
    features: Features, labels: Labels, *, scaling: Scaling = "standardise", seed: int = 0
) -> FittedWeights:
    """Fit a logistic regression with a quadratic penalty that leaves the intercept alone.

    Parameters, errors and choices are those of `fit_ridge_features`, the cost chosen by log loss.
    """

    def fit(rotated: _Rotated, of: Labels, cost: float) -> tuple[_Rotated, float]:
        # Newton's steps end where they should; the default ones stop early on what is separable.
        model = LogisticRegression(C=cost, solver="newton-cholesky", tol=1e-6, max_iter=200).fit(rotated, of)
        return np.asarray(model.coef_[0]), float(model.intercept_[0])

    return _fit(features, labels, fit, costs=_LOGISTIC_COSTS, method="logistic", scaling=scaling, seed=seed)


def fit_linear_svm(
    features: Features, labels: Labels, *, scaling: Scaling = "standardise", seed: int = 0
) -> FittedWeights:
    """Fit a linear support vector machine (hinge loss; the intercept is not penalised).

    Parameters, errors and choices are those of `fit_ridge_features`, the cost chosen by log loss.
    """

    def fit(rotated: _Rotated, of: Labels, cost: float) -> tuple[_Rotated, float]:
        model = SVC(kernel="precomputed", C=cost, tol=1e-4).fit(rotated @ rotated.T, of)
        return np.asarray(model.dual_coef_[0] @ rotated[model.support_]), float(model.intercept_[0])

    return _fit(features, labels, fit, costs=_SVM_COSTS, method="linear_svm", scaling=scaling, seed=seed)


@dataclass(frozen=True, eq=False)
class _Ground:
    """Scaled features, and the way of weights back to what they were.

    Mean and deviation are those of all who are trained on, in the parts inside too: they know no diagnosis.
    """

    features: Float64[np.ndarray, "S F"]
    mean: Float64[np.ndarray, " F"]
    divisor: Float64[np.ndarray, " F"]

    @classmethod
    def of(cls, features: Features, scaling: Scaling) -> "_Ground":
        wide = features.astype(np.float64)
        mean = wide.mean(axis=0)
        wide -= mean
        divisor = np.ones(wide.shape[1])
        if scaling == "standardise":
            deviation = np.sqrt(np.einsum("sf,sf->f", wide, wide) / len(wide))
            # What nobody differs in is rounding; it stays nothing.
            lively = deviation > 1e-9 * np.maximum(np.abs(mean), np.finfo(np.float64).tiny)
            divisor = np.where(lively, deviation, 1.0)
            wide[:, ~lively] = 0.0
            wide /= divisor
        return cls(features=wide, mean=mean, divisor=divisor)

    def model(
        self, *, penalty: float, weights: Weights, intercept: float, slope: float, lean: float
    ) -> FittedWeights:
        back = np.asarray(weights / self.divisor)
        return FittedWeights(
            penalty=penalty,
            weights=back,
            intercept=float(intercept - self.mean @ back),
            slope=slope,
            lean=lean,
        )


def _fit(
    features: Features,
    labels: Labels,
    fit: _FitOne,
    *,
    costs: Float64[np.ndarray, " A"],
    method: str,
    scaling: Scaling,
    seed: int,
) -> FittedWeights:
    """Fit in the few directions in which people differ: a rotation changes no inner product.

    With S people there are at most S - 1, however many features.
    """
    require_enough(labels, method=method)
    ground = _Ground.of(features, scaling)
    values, vectors = np.linalg.eigh(ground.features @ ground.features.T)
    kept = values > _SMALLEST * max(float(values[-1]), np.finfo(np.float64).tiny)
    unit = np.sqrt(max(float(values.sum()) / len(labels), np.finfo(np.float64).tiny))
    if not kept.any():
        kept[-1] = True  # nobody differs: one column of zeros
    length = np.sqrt(np.maximum(values[kept], 0.0))
    rotated = vectors[:, kept] * (length / unit)

    def score_part(others: np.ndarray, here: np.ndarray) -> Float64[np.ndarray, "A P"]:
        found = [fit(rotated[others], labels[others], cost) for cost in costs]
        return np.array([rotated[here] @ weights + intercept for weights, intercept in found])

    choice = choose_inside(labels, score_part, seed=seed)
    weights, intercept = fit(rotated, labels, float(costs[choice.best]))
    per_person = vectors[:, kept] @ (weights / np.where(length > 0, length, 1.0))
    return ground.model(
        penalty=float(costs[choice.best]),
        weights=ground.features.T @ per_person / unit,
        intercept=intercept,
        slope=choice.slope,
        lean=choice.lean,
    )
