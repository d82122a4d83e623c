"""Two numbers that make probabilities mean what they say, and the table that shows whether they do."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from training.evidence.proportions import Proportion
from training.evidence.shapes import Labels, Logits, Probabilities

_LOG_TEMPERATURE_BOUNDS = (-3.0, 3.0)


@dataclass(frozen=True)
class Scaling:
    """How a model's logits are to be read: a calibrated logit is (logit - ``offset``) / ``temperature``."""

    offset: float = 0.0
    temperature: float = 1.0

    def __call__(self, logits: Logits) -> Logits:
        """Give calibrated logits."""
        return (logits - self.offset) / self.temperature


@dataclass(frozen=True)
class ReliabilityBin:
    """What became of the subjects whose probability lay in one bin.

    Attributes
    ----------
    low, high : float
        Edges; the bin holds its upper one, the first bin also 0.
    n : int
        Subjects, at least one.
    mean_probability : float
        As stated.
    observed : Proportion
        Share of cases.
    """

    low: float
    high: float
    n: int
    mean_probability: float
    observed: Proportion


def reliability_bins(
    labels: Labels, probabilities: Probabilities, *, n_bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Set stated probabilities beside observed shares, in bins of equal width; empty bins are left out.

    Parameters
    ----------
    labels : (S,) int
        0 control, 1 case.
    probabilities : (S,) float64
    n_bins : int

    Returns
    -------
    tuple of ReliabilityBin
        From the lowest.
    """
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    place = np.searchsorted(edges[1:-1], probabilities)
    return tuple(
        ReliabilityBin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            n=int((place == i).sum()),
            mean_probability=float(probabilities[place == i].mean()),
            observed=Proportion.of(int(labels[place == i].sum()), int((place == i).sum())),
        )
        for i in np.unique(place)
    )


def fit_scaling(logits: Logits, labels: Labels) -> Scaling:
    """Find the offset and the temperature under which held-out diagnoses are likeliest (Platt scaling).

    A single model leans to one side by chance and by the shares of the classes that it was trained on. A
    temperature alone leaves that in, and the models of several folds then do not share a zero: their
    probabilities cannot be put in one list, nor their logits averaged.

    Parameters
    ----------
    logits : (S,) float64
        Of subjects that were not trained on.
    labels : (S,) int
        0 control, 1 case; counted as in :func:`fit_temperature`.

    Returns
    -------
    Scaling
        Its temperature lies between exp(-3) and exp(3).
    """
    target = smoothed_targets(labels)

    def loss_and_slope(parameters: Float64[np.ndarray, " 2"]) -> tuple[float, Float64[np.ndarray, " 2"]]:
        scaled = parameters[0] * logits + parameters[1]
        surplus = expit(scaled) - target
        slope = np.array([(surplus * logits).mean(), surplus.mean()])
        return float((np.logaddexp(0.0, scaled) - target * scaled).mean()), slope

    low, high = np.exp(_LOG_TEMPERATURE_BOUNDS)
    found = minimize(
        loss_and_slope,
        x0=np.array([1.0, 0.0]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(1 / high, 1 / low), (None, None)],
        options={"ftol": 1e-12, "gtol": 1e-9},
    )
    slope, intercept = map(float, found.x)
    return Scaling(offset=-intercept / slope, temperature=1 / slope)


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """Find the temperature under which held-out diagnoses are likeliest (Guo et al. 2017, arXiv:1706.04599).

    Diagnoses count as Platt's smoothed targets, (n + 1) / (n + 2) for a class of n subjects and 1 less that:
    on a few subjects that the logits tell apart without a mistake, hard targets have no best temperature and
    would claim certainty without end (Platt 1999, "Probabilistic outputs for support vector machines").

    Parameters
    ----------
    logits : (S,) float64
        Mean logits of subjects that were not trained on.
    labels : (S,) int
        0 control, 1 case.

    Returns
    -------
    float
        Between exp(-3) and exp(3); logits are divided by it.
    """
    target = smoothed_targets(labels)

    def negative_log_likelihood(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float((np.logaddexp(0.0, scaled) - target * scaled).mean())

    found = minimize_scalar(negative_log_likelihood, bounds=_LOG_TEMPERATURE_BOUNDS, method="bounded")
    return float(np.exp(found.x))


def smoothed_targets(labels: Labels) -> Probabilities:
    """Give Platt's targets, as :func:`fit_temperature` says them, one a subject."""
    n_cases, n_controls = int((labels == 1).sum()), int((labels == 0).sum())
    return np.where(labels == 1, (n_cases + 1) / (n_cases + 2), 1 / (n_controls + 2))
