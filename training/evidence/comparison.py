"""Whether the brain adds anything to what was known without it, judged on the same people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import rankdata

from training.evidence import bootstrap
from training.evidence.baselines import fit_baseline, have_no_site_in_common
from training.evidence.estimates import Difference, Estimate, area_estimate, difference_of_areas
from training.evidence.metrics import N_DRAWS, ClassMissingError, require_both_classes
from training.evidence.shapes import Counts, Figures, Labels, Scores
from training.runs import InnerPrediction, Prediction, RunSubject, Split

# Of the second stage, on some dozens of subjects. The second expects a weight of about 0.3 a standard
# deviation, which is what imaging alone reaches without a leak (AUC .60 to .65). On 60 simulated runs without
# any signal equal penalties of 1 gave an interval above 0 in 1 and below it in 10, these in 1 and 4; a weak
# signal was found in 27 of 60 instead of 13.
_PHENOTYPE_PENALTY = 1.0
_IMAGING_PENALTY = 10.0


def paired_difference(
    labels: Labels, first: Scores, second: Scores, *, seed: int, n_draws: int = N_DRAWS
) -> Difference:
    """Give the AUC of the first classifier minus that of the second, both judged on the same draws of people.

    Parameters
    ----------
    labels : (S,) int
        0 control, 1 case; both present.
    first, second : (S,) float64
        Any scores that rise with being a case.
    seed : int
    n_draws : int
        Of the bootstrap, within each class. An AUC of 1 or 0 shows too little in them: the interval is then
        put together from those of the two (`training.evidence.estimates`).

    Returns
    -------
    Difference
        Above 0 the first is better; an interval that holds 0 leaves it open.

    Raises
    ------
    ClassMissingError
        If a class is missing.
    """
    require_both_classes(labels, where="paired comparison")
    one, other = (auc_estimate(labels, scores, seed=seed, n_draws=n_draws) for scores in (first, second))
    if not {0.0, 1.0}.isdisjoint({one.value, other.value}) and not _same_order(first, second):
        return difference_of_areas(one, other)
    drawn = bootstrap.draw_counts(labels, n_draws=n_draws, seed=seed)
    sample = bootstrap.once_each(len(labels))
    return Difference.of(
        float(_auc_difference(sample, labels, first, second)[0]),
        _auc_difference(drawn, labels, first, second),
    )


def auc_estimate(labels: Labels, scores: Scores, *, seed: int, n_draws: int = N_DRAWS) -> Estimate:
    """Give the AUC alone, with its interval.

    Raises
    ------
    ClassMissingError
        If a class is missing.
    """
    require_both_classes(labels, where="area under the curve")
    drawn = bootstrap.draw_counts(labels, n_draws=n_draws, seed=seed)
    area = bootstrap.area_under_roc(bootstrap.once_each(len(labels)), labels, scores)
    n_cases = int((labels == 1).sum())
    return area_estimate(
        float(area[0]),
        bootstrap.area_under_roc(drawn, labels, scores),
        n_separate_pairs=min(n_cases, len(labels) - n_cases),
    )


@dataclass(frozen=True)
class PhenotypeGain:
    """Whether imaging adds to what site, age, sex, handedness and IQ already tell.

    Attributes
    ----------
    gain : Difference or None
        AUC of both together minus AUC of the phenotype alone; None where it cannot be known.
    together, phenotype : Estimate or None
        The two AUCs.
    n_subjects : int
        Reported subjects that it was measured on.
    reason : str or None
        Why there is no gain to tell, as a sentence.
    """

    gain: Difference | None
    together: Estimate | None
    phenotype: Estimate | None
    n_subjects: int
    reason: str | None


def adds_to_phenotype(
    subjects: Sequence[RunSubject],
    predictions: Sequence[Prediction],
    inner: Sequence[InnerPrediction],
    *,
    split: Split,
    seed: int,
    n_draws: int = N_DRAWS,
) -> PhenotypeGain:
    """Measure what imaging adds to the phenotype, by a stack that the reported fold has no part in.

    For each fold: the phenotype model is fitted to the fold's training part without its inner parts; a second
    regression on [phenotype logit, imaging logit] is fitted to the inner calibration subjects, whom neither
    of the two models was fitted to; that is applied to the reported fold. "Phenotype alone" goes the same
    way with its one logit, so that both sides have the same second stage. A useless imaging model costs a
    little all the same: a gain below 0 says that the phenotype is better left alone.

    It would be simpler to fit the second stage to out-of-fold predictions of all other folds. That leaks: the
    imaging model behind a prediction in fold 2 was trained on fold 1, so the weights that fold 2 votes for
    already know the diagnoses of the fold 1 that they are then judged on. Nor may the second stage be
    fitted to the first stage's own training subjects: an overfitted network looks perfect there, and would be
    given all the weight.

    Parameters
    ----------
    subjects : sequence of RunSubject
    predictions : sequence of Prediction
        Of the folds that are finished; others are left out.
    inner : sequence of InnerPrediction
        Empty under the protocol "paper", which has no inner parts.
    split : "stratified" or "leave_site_out"
        Of the folds: where they are sites, what the second stage says of people of whom it can tell nothing
        is taken from its answers before these are ranked (`training.evidence.footing`).
    seed : int
    n_draws : int

    Returns
    -------
    PhenotypeGain
    """
    if not any(row.part == "calibration" for row in inner):
        return _unknown("the run keeps no inner calibration part (protocol 'paper') to combine the two on")
    imaging = {prediction.subject_id: prediction.logit for prediction in predictions}
    labels, together, alone = [], [], []
    for fold in sorted({prediction.fold for prediction in predictions}):
        reported = [one for one in subjects if one.fold == fold and one.subject_id in imaging]
        held_out = {row.subject_id for row in inner if row.fold == fold}
        calibrated = {
            row.subject_id: row.logit for row in inner if row.fold == fold and row.part == "calibration"
        }
        training = [one for one in subjects if one.fold != fold and one.subject_id not in held_out]
        calibration = [one for one in subjects if one.subject_id in calibrated]
        try:
            phenotype = fit_baseline(
                "phenotype",
                training,
                labels=_labels(training),
                new_site=have_no_site_in_common(training, reported),
            )
            require_both_classes(_labels(calibration), where="inner calibration part")
        except ClassMissingError as error:
            return _unknown(f"fold {fold}: {error}")
        known, asked = phenotype.logits(calibration), phenotype.logits(reported)
        own = np.array([calibrated[one.subject_id] for one in calibration])
        said = np.array([imaging[one.subject_id] for one in reported])
        truth = _labels(calibration)
        labels.append(_labels(reported))
        by_phenotype = _second_stage(known[:, None], truth, asked[:, None], penalties=(_PHENOTYPE_PENALTY,))
        by_both = _second_stage(
            np.stack([known, own], axis=1),
            truth,
            np.stack([asked, said], axis=1),
            penalties=(_PHENOTYPE_PENALTY, _IMAGING_PENALTY),
        )
        lean = float(logit(truth.mean())) if split == "leave_site_out" else 0.0
        alone.append(by_phenotype - lean)
        together.append(by_both - lean)
    label, both, one = np.concatenate(labels), np.concatenate(together), np.concatenate(alone)
    try:
        return PhenotypeGain(
            gain=paired_difference(label, both, one, seed=seed, n_draws=n_draws),
            together=auc_estimate(label, both, seed=seed, n_draws=n_draws),
            phenotype=auc_estimate(label, one, seed=seed, n_draws=n_draws),
            n_subjects=len(label),
            reason=None,
        )
    except ClassMissingError as error:
        return _unknown(str(error))


def _second_stage(
    fitted_on: Float64[np.ndarray, "C F"],
    labels: Labels,
    applied_to: Float64[np.ndarray, "S F"],
    *,
    penalties: tuple[float, ...],
) -> Scores:
    """Fit logits to diagnoses by logistic regression, and give the logits of others.

    Logits count in units of their own spread. Weights are penalised by their squares and never negative: a
    model that is wrong more often than right deserves no weight, not a negative one.
    """
    mean, spread = fitted_on.mean(axis=0), fitted_on.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    features, penalty = (fitted_on - mean) / scale, np.array(penalties)

    def loss(weights: Float64[np.ndarray, " W"]) -> tuple[float, Float64[np.ndarray, " W"]]:
        logits = weights[0] + features @ weights[1:]
        residuals = expit(logits) - labels
        value = (np.logaddexp(0.0, logits) - labels * logits).sum() + (penalty * weights[1:] ** 2).sum() / 2
        slope = np.r_[residuals.sum(), features.T @ residuals + penalty * weights[1:]]
        return float(value), slope

    bounds = [(None, None), *[(0.0, None)] * len(penalties)]
    found = minimize(loss, np.zeros(len(bounds)), jac=True, bounds=bounds, method="L-BFGS-B").x
    return np.asarray(found[0] + (applied_to - mean) / scale @ found[1:])


def _auc_difference(counts: Counts, labels: Labels, first: Scores, second: Scores) -> Figures:
    one, other = (bootstrap.area_under_roc(counts, labels, scores) for scores in (first, second))
    return np.asarray(one - other)


def _same_order(first: Scores, second: Scores) -> bool:
    return np.array_equal(rankdata(first), rankdata(second))


def _labels(subjects: Sequence[RunSubject]) -> Labels:
    return np.array([subject.label for subject in subjects], dtype=np.int64)


def _unknown(reason: str) -> PhenotypeGain:
    return PhenotypeGain(gain=None, together=None, phenotype=None, n_subjects=0, reason=reason)
