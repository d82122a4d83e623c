"""What a diagnosis can be guessed from without looking at the brain: the floor that every result stands on.

Each baseline is a logistic regression (ridge penalty 1) fitted on the other folds only, its scaling and its
imputation included, and applied to the fold that is reported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LogisticRegression

from training.errors import CohortError
from training.evidence.metrics import require_both_classes
from training.evidence.shapes import Features, Folds, Labels, Logits, Probabilities
from training.runs import RunSubject

BASELINES = ("majority", "site", "phenotype", "motion")
# The one that sees the scans: `training.evidence.connectivity`.
CONNECTIVITY = "connectivity"

_MAX_DEVIATIONS = 4.0

Encoder = Callable[[Sequence[Any]], Features]


class SingleFoldError(CohortError):
    """A baseline was asked for out of fold where every subject is in the same one."""

    code: ClassVar[str] = "evidence_single_fold"

    def __init__(self, *, baseline: str, found: int) -> None:
        self.baseline = baseline
        self.found = found
        super().__init__(f"baseline {baseline!r}: expected subjects in at least two folds, found {found}")


@dataclass(frozen=True)
class Baseline:
    """A baseline that was fitted once and can be asked about other people.

    Attributes
    ----------
    name : str
    encode : callable
        From subjects to (S, F) float64, scaled and imputed as in training.
    model : LogisticRegression or None
        None for "majority".
    majority : int
        The larger class in training; control where they are equal.
    """

    name: str
    encode: Encoder
    model: LogisticRegression | None
    majority: int

    def logits(self, subjects: Sequence[Any]) -> Logits:
        """Give the logit of a case for each subject; a fitted baseline other than "majority" has one."""
        if self.model is None:
            raise ValueError(f"expected a baseline with a regression, found {self.name!r}")
        return np.asarray(self.model.decision_function(self.encode(subjects)), dtype=np.float64)

    def probabilities(self, subjects: Sequence[Any]) -> Probabilities:
        """Give the probability of a case for each subject."""
        if self.model is None:
            return np.full(len(subjects), float(self.majority))
        features = self.encode(subjects)
        probabilities = np.asarray(self.model.predict_proba(features)[:, 1], dtype=np.float64)
        if self.name == "site":
            # The intercept is what the other sites have in common: with one site left out it is higher the
            # fewer cases that site has, and would rank sites against the truth. Nothing is known of them.
            probabilities[~features.any(axis=1)] = 0.5
        return probabilities


def baseline_probabilities(name: str, subjects: Sequence[RunSubject]) -> Probabilities:
    """Give every subject the probability of a baseline that was fitted on the other folds only.

    Parameters
    ----------
    name : str
        "majority": the class that is larger in the other folds, with certainty: a share instead would rise
        wherever the reported fold has fewer cases, and rank the folds against the truth. "site": the site;
        one that the other folds do not have gets a half. "phenotype": site, age, sex, handedness and IQ;
        without the site where a fold is a site of its own.
        "motion": repetition time, length, DVARS and spikes.
    subjects : sequence of RunSubject
        In at least two folds.

    Returns
    -------
    (S,) float64
        In the order of the subjects.

    Raises
    ------
    ClassMissingError
        If the folds beside a fold hold one class only.
    SingleFoldError
        If all subjects are in one fold.
    """
    labels = np.array([subject.label for subject in subjects])
    folds = np.array([subject.fold for subject in subjects])
    return out_of_fold(name, subjects, labels=labels, folds=folds)


def out_of_fold(name: str, subjects: Sequence[Any], *, labels: Labels, folds: Folds) -> Probabilities:
    """Do what `baseline_probabilities` does for people who are in no run, such as the rows of a table.

    Parameters
    ----------
    name : str
        Of `BASELINES`.
    subjects : sequence
        With the attributes that the baseline reads; `Subject` has those of "site" and "phenotype".
    labels, folds : (S,) int

    Returns
    -------
    (S,) float64

    Raises
    ------
    ClassMissingError, SingleFoldError
        As `baseline_probabilities`.
    """
    found = np.unique(folds)
    if len(found) < 2:
        raise SingleFoldError(baseline=name, found=len(found))
    probabilities = np.empty(len(subjects))
    for fold in found:
        here = folds == fold
        training, reported = ([subjects[int(i)] for i in np.flatnonzero(part)] for part in (~here, here))
        new_site = have_no_site_in_common(training, reported)
        baseline = fit_baseline(name, training, labels=labels[~here], new_site=new_site)
        probabilities[here] = baseline.probabilities(reported)
    return probabilities


def have_no_site_in_common(training: Sequence[Any], reported: Sequence[Any]) -> bool:
    """Whether all of the reported subjects are of sites that training has not."""
    return {one.site for one in training}.isdisjoint(one.site for one in reported)


def fit_baseline(name: str, subjects: Sequence[Any], *, labels: Labels, new_site: bool = False) -> Baseline:
    """Fit a baseline on these subjects, and only these.

    Parameters
    ----------
    name : str
        Of `BASELINES`.
    subjects : sequence
    labels : (S,) int
    new_site : bool
        Whether it is for people of another site: "phenotype" is then fitted without the site. With it, what
        is left for them would be what the known sites have in common, which is no share of anybody.

    Returns
    -------
    Baseline

    Raises
    ------
    ClassMissingError
        If there is one class only.
    """
    require_both_classes(labels, where=f"baseline {name!r}")
    majority = int(labels.mean() > 0.5)
    if name == "majority":
        return Baseline(name=name, encode=_nothing, model=None, majority=majority)
    encode = (_person_encoder if name == "phenotype" and new_site else _ENCODERS[name])(subjects)
    model = LogisticRegression(C=1.0, max_iter=1000).fit(encode(subjects), labels)
    return Baseline(name=name, encode=encode, model=model, majority=majority)


def _site_encoder(training: Sequence[Any]) -> Encoder:
    return _joined([_category("site", training)])


def _phenotype_encoder(training: Sequence[Any]) -> Encoder:
    return _joined([_category("site", training), _person_encoder(training)])


def _person_encoder(training: Sequence[Any]) -> Encoder:
    categories = [_category(name, training) for name in ("sex", "handedness")]
    return _joined([*categories, *(_number(name, training) for name in ("age_years", "iq"))])


def _motion_encoder(training: Sequence[Any]) -> Encoder:
    numbers = [_number(name, training) for name in ("tr_s", "n_frames", "dvars_mean", "spikes")]
    # Squares too: a repetition time in the middle may belong to one class, as Pittsburgh's nearly does.
    return _joined([*numbers, *(_squared(number) for number in numbers)])


_ENCODERS = {"site": _site_encoder, "phenotype": _phenotype_encoder, "motion": _motion_encoder}


def _category(attribute: str, training: Sequence[Any]) -> Encoder:
    """Give one column a value that training has; missing and unseen values are zeros in all of them."""
    known = {getattr(subject, attribute) for subject in training} - {None}
    values = sorted(known)

    def columns(subjects: Sequence[Any]) -> Features:
        found = [getattr(subject, attribute) for subject in subjects]
        return np.array([[float(value == one) for one in values] for value in found]).reshape(
            len(found), len(values)
        )

    return columns


def _number(attribute: str, training: Sequence[Any]) -> Encoder:
    """Give a standardised number, 0 where it is missing, beside a column that says where that is.

    Outliers are held at four deviations.
    """
    known = [value for subject in training if (value := getattr(subject, attribute)) is not None]
    mean = float(np.mean(known)) if known else 0.0
    deviation = (float(np.std(known)) if known else 0.0) or 1.0

    def columns(subjects: Sequence[Any]) -> Features:
        found = [getattr(subject, attribute) for subject in subjects]
        rows = [(0.0, 1.0) if value is None else ((value - mean) / deviation, 0.0) for value in found]
        return np.asarray(np.clip(np.array(rows).reshape(-1, 2), -_MAX_DEVIATIONS, _MAX_DEVIATIONS))

    return columns


def _squared(number: Encoder) -> Encoder:
    return lambda subjects: np.asarray(number(subjects)[:, :1] ** 2)


def _joined(encoders: Sequence[Encoder]) -> Encoder:
    return lambda subjects: np.concatenate([encode(subjects) for encode in encoders], axis=1)


def _nothing(subjects: Sequence[Any]) -> Features:
    return np.empty((len(subjects), 0))
