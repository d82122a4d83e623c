"""Figures of two models on the same people, and of their difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from model.card import ModelCard
from training.challenge.answers import Answers
from training.evidence import bootstrap
from training.evidence.calibration import reliability_bins
from training.evidence.comparison import auc_estimate, paired_difference
from training.evidence.conformal import Coverage, conformal_sets, coverage
from training.evidence.estimates import Estimate, counted_share
from training.evidence.metrics import N_BINS, N_DRAWS, Evaluation, evaluate
from training.evidence.shapes import Labels, Probabilities
from training.evidence.sites import within_site_auc

# A site with fewer people of a class has an AUC that says nothing.
FEWEST_AT_A_SITE = 5


@dataclass(frozen=True)
class Measured:
    """One model on the evaluation set.

    Attributes
    ----------
    evaluation : Evaluation
        At the card's threshold.
    coverage : Coverage or None
        Of the card's conformal sets; None where it has none.
    promised_coverage : float or None
    calibration_limit : float
        The expected calibration error that a model whose probabilities are exactly right stays below on 95 of
        100 such samples.
    uncertain_share : float
    within_sites : Estimate or None
        AUC over pairs of one site.
    by_site : dict of Estimate
        AUC at each site with ``FEWEST_AT_A_SITE`` people of each class.
    backend : str
    backend_difference, seconds_per_scan : float
        As `training.challenge.answers.Answers` has them.
    """

    evaluation: Evaluation
    coverage: Coverage | None
    promised_coverage: float | None
    calibration_limit: float
    uncertain_share: float
    within_sites: Estimate | None
    by_site: dict[str, Estimate]
    backend: str
    backend_difference: float
    seconds_per_scan: float

    def to_json(self) -> dict[str, Any]:
        """Give every figure, rounded."""
        promised = self.promised_coverage
        return {
            **self.evaluation.to_json(),
            "calibration_limit": round(self.calibration_limit, 4),
            "coverage": None
            if self.coverage is None or promised is None
            else self.coverage.to_json(level=promised),
            "uncertain_share": round(self.uncertain_share, 4),
            "within_sites_auc": None if self.within_sites is None else self.within_sites.to_json(),
            "sites": {site: auc.to_json() for site, auc in self.by_site.items()},
            "backend": self.backend,
            "backend_difference": self.backend_difference,
            "seconds_per_scan": round(self.seconds_per_scan, 4),
        }


@dataclass(frozen=True)
class SideBySide:
    """A champion and a challenger on the same people.

    Attributes
    ----------
    champion, challenger : Measured
    differences : dict of Estimate
        Challenger minus champion, judged on the same draws of people: ``auc``, ``sensitivity``,
        ``specificity``, ``brier`` and ``uncertain_share`` (of which two less is better).
    called_otherwise : int
        People whom the two call differently at their thresholds.
    """

    champion: Measured
    challenger: Measured
    differences: dict[str, Estimate]
    called_otherwise: int

    def to_json(self) -> dict[str, Any]:
        """Give every figure, rounded."""
        return {
            "champion": self.champion.to_json(),
            "challenger": self.challenger.to_json(),
            "differences": {name: found.to_json() for name, found in self.differences.items()},
            "called_otherwise": self.called_otherwise,
        }


def measure(
    answers: Answers, card: ModelCard, *, labels: Labels, sites: Sequence[str], seed: int
) -> Measured:
    """Measure one model's answers.

    Parameters
    ----------
    answers : Answers
    card : ModelCard
        Of the model that gave them.
    labels : (S,) int
        0 control, 1 case; of the people in the answers' order.
    sites : sequence of str
        One a person.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ClassMissingError
        If a class is missing.
    """
    probabilities, quantiles = answers.probabilities, card.conformal_quantiles
    return Measured(
        evaluation=evaluate(labels, probabilities, threshold=card.threshold, seed=seed),
        coverage=_coverage(labels, probabilities, quantiles, sites),
        promised_coverage=None if quantiles is None else quantiles["level"],
        calibration_limit=calibration_limit(probabilities, seed=seed),
        uncertain_share=answers.decisions.count("uncertain") / len(labels),
        within_sites=within_site_auc(labels, probabilities, sites, seed=seed),
        by_site=_by_site(labels, probabilities, sites, seed=seed),
        backend=answers.backend,
        backend_difference=answers.backend_difference,
        seconds_per_scan=answers.seconds_per_scan,
    )


def set_side_by_side(
    champion: tuple[Answers, ModelCard],
    challenger: tuple[Answers, ModelCard],
    *,
    labels: Labels,
    sites: Sequence[str],
    seed: int = 0,
) -> SideBySide:
    """Measure two models and their differences.

    Parameters
    ----------
    champion, challenger : tuple of Answers and ModelCard
    labels, sites, seed
        As for :func:`measure`; of the people that both answered for.

    Returns
    -------
    SideBySide

    Raises
    ------
    ClassMissingError
        If a class is missing.
    """
    (old, old_card), (new, new_card) = champion, challenger
    called = [answers.probabilities > card.threshold for answers, card in (champion, challenger)]
    hits = [(own == (labels == 1)).astype(np.float64) for own in called]
    undecided = [_undecided(answers) for answers in (old, new)]
    errors = [(answers.probabilities - labels) ** 2 for answers in (old, new)]
    case = labels == 1
    return SideBySide(
        champion=measure(old, old_card, labels=labels, sites=sites, seed=seed),
        challenger=measure(new, new_card, labels=labels, sites=sites, seed=seed),
        differences={
            "auc": paired_difference(labels, new.probabilities, old.probabilities, seed=seed),
            "sensitivity": difference_of_shares(hits[1][case], hits[0][case], seed=seed),
            "specificity": difference_of_shares(hits[1][~case], hits[0][~case], seed=seed),
            "brier": _difference_of_means(errors[1], errors[0], labels, seed=seed),
            "uncertain_share": difference_of_shares(undecided[1], undecided[0], seed=seed),
        },
        called_otherwise=int((called[0] != called[1]).sum()),
    )


def _undecided(answers: Answers) -> Float64[np.ndarray, " S"]:
    return np.array([decision == "uncertain" for decision in answers.decisions], dtype=np.float64)


def difference_of_shares(
    first: Float64[np.ndarray, " S"], second: Float64[np.ndarray, " S"], *, seed: int
) -> Estimate:
    """Subtract two shares of the same people, drawn as pairs.

    Where nobody is judged otherwise by the two, no draw shows that somebody might be: Wilson's limit for none
    of so many then stands on both sides.

    Parameters
    ----------
    first, second : (S,) float64
        1 where a person counts, as one who is judged rightly, otherwise 0.
    seed : int
    """
    n = len(first)
    each = first - second
    if not each.any():
        unseen = counted_share(0, n).high
        return Estimate(value=0.0, low=-unseen, high=unseen)
    drawn = bootstrap.draw_counts(np.zeros(n, dtype=np.int64), n_draws=N_DRAWS, seed=seed)
    return Estimate.of(float(each.mean()), drawn @ each / n)


def calibration_limit(probabilities: Probabilities, *, seed: int, n_draws: int = N_DRAWS) -> float:
    """Say how large the expected calibration error gets by chance alone.

    Diagnoses are drawn from the probabilities themselves, which are then exactly right; on few people the
    error is far from 0 all the same.

    Parameters
    ----------
    probabilities : (S,) float64
    seed : int
    n_draws : int

    Returns
    -------
    float
        Its 95th percentile.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.random((n_draws, len(probabilities))) < probabilities
    bins = reliability_bins(np.zeros(len(probabilities), dtype=np.int64), probabilities, n_bins=N_BINS)
    error = np.zeros(n_draws)
    for one in bins:
        inside = (probabilities <= one.high) & ((probabilities > one.low) | (one.low == 0.0))
        error += np.abs(drawn[:, inside].mean(axis=1) - one.mean_probability) * one.n
    return float(np.quantile(error / len(probabilities), 0.95))


def _difference_of_means(
    first: Float64[np.ndarray, " S"], second: Float64[np.ndarray, " S"], labels: Labels, *, seed: int
) -> Estimate:
    each = first - second
    drawn = bootstrap.draw_counts(labels, n_draws=N_DRAWS, seed=seed)
    return Estimate.of(float(each.mean()), drawn @ each / len(each))


def _coverage(
    labels: Labels,
    probabilities: Probabilities,
    quantiles: Mapping[str, float] | None,
    sites: Sequence[str],
) -> Coverage | None:
    if quantiles is None:
        return None
    return coverage(labels, conformal_sets(probabilities, quantiles), sites=sites)


def _by_site(
    labels: Labels, probabilities: Probabilities, sites: Sequence[str], *, seed: int
) -> dict[str, Estimate]:
    found = {}
    for site in sorted(set(sites)):
        here = np.array([other == site for other in sites])
        if min((labels[here] == label).sum() for label in (0, 1)) >= FEWEST_AT_A_SITE:
            found[site] = auc_estimate(labels[here], probabilities[here], seed=seed)
    return found
