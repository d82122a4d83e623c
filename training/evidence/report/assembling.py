"""Every figure of a run, computed by `training.evidence` on the run's own folds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from training.evidence.baselines import BASELINES, CONNECTIVITY, baseline_probabilities
from training.evidence.comparison import adds_to_phenotype, paired_difference
from training.evidence.conformal import Coverage, conformal_sets, coverage
from training.evidence.groups import UNKNOWN, GroupEvaluation, age_band, evaluate_groups
from training.evidence.metrics import N_DRAWS, Evaluation, evaluate
from training.evidence.report.contents import BaselineReport, RunReport
from training.evidence.report.reading import RunData
from training.evidence.shapes import Probabilities, Scores, Thresholds
from training.evidence.sites import site_verdict, within_site_auc
from training.runs import RunSubject

# One seed for every bootstrap: all classifiers that are judged on draws are judged on the same, and a report
# is the same when it is made again.
SEED = 0
_BASELINE_THRESHOLD = 0.5

# Baselines that give everybody of a site one answer, and know nothing of a site that training had not.
_ALIKE_AT_A_NEW_SITE = ("majority", "site")


def assemble(data: RunData, *, n_draws: int = N_DRAWS) -> RunReport:
    """Compute what a report says of a run.

    Parameters
    ----------
    data : RunData
    n_draws : int
        Of every bootstrap.

    Returns
    -------
    RunReport

    Raises
    ------
    CohortError
        If a class is missing among the reported subjects or beside a fold, or there is one fold only.
    """
    labels, thresholds = data.labels, data.thresholds
    subjects = data.reported_subjects
    trained = _Answers(data.probabilities, data.scores)
    baselines = _baselines(data)
    sites = [subject.site for subject in subjects]
    folds = [data.record.fold_names[subject.fold] for subject in subjects]

    def judged(answers: _Answers, threshold: float | Thresholds) -> Evaluation:
        return evaluate(
            labels,
            answers.probabilities,
            threshold=threshold,
            scores=answers.scores,
            seed=SEED,
            n_draws=n_draws,
        )

    def by(group: Callable[[RunSubject], str]) -> tuple[GroupEvaluation, ...]:
        return evaluate_groups(
            labels,
            trained.probabilities,
            [group(subject) for subject in subjects],
            threshold=thresholds,
            scores=trained.scores,
            seed=SEED,
            n_draws=n_draws,
        )

    return RunReport(
        data=data,
        overall=judged(trained, thresholds),
        baselines=tuple(
            BaselineReport(
                name=name,
                evaluation=judged(found, _BASELINE_THRESHOLD),
                difference=paired_difference(
                    labels, trained.scores, found.scores, seed=SEED, n_draws=n_draws
                ),
            )
            for name, found in baselines.items()
        ),
        folds=_in_order(by(lambda subject: data.record.fold_names[subject.fold]), data.record.fold_names),
        sites=by(lambda subject: subject.site),
        sexes=by(lambda subject: subject.sex or UNKNOWN),
        age_bands=by(lambda subject: age_band(subject.age_years)),
        within_fold_auc=within_site_auc(labels, trained.scores, folds, seed=SEED, n_draws=n_draws),
        coverage=_coverage(data),
        coverage_level=_level(data),
        site=site_verdict(
            labels,
            trained.scores,
            sites,
            baselines["site"].scores,
            noun="network" if data.record.method == "network" else "method",
            seed=SEED,
            n_draws=n_draws,
        ),
        gain=adds_to_phenotype(
            data.subjects,
            data.predictions,
            data.inner_predictions,
            split=data.record.split,
            seed=SEED,
            n_draws=n_draws,
        ),
    )


@dataclass(frozen=True, eq=False)
class _Answers:
    """Of a classifier to the reported subjects: what it says, and what they are ranked by."""

    probabilities: Probabilities
    scores: Scores


def _baselines(data: RunData) -> dict[str, _Answers]:
    # Fitted on all other folds, also on those that are not finished: what is reported of them is the same.
    found = {name: baseline_probabilities(name, data.subjects) for name in BASELINES}
    if data.connectivity is not None:
        found[CONNECTIVITY] = data.connectivity
    new_sites = data.record.split == "leave_site_out"
    answers = {}
    for name, of_all in found.items():
        probabilities = np.asarray(of_all[data.reported])
        ranks_nobody = new_sites and name in _ALIKE_AT_A_NEW_SITE
        scores = np.zeros(len(probabilities)) if ranks_nobody else data.scores_of_baseline(probabilities)
        answers[name] = _Answers(probabilities, scores)
    return answers


def _coverage(data: RunData) -> Coverage | None:
    if _level(data) is None:
        return None
    sets: Bool[np.ndarray, "S 2"] = np.zeros((len(data.predictions), 2), dtype=np.bool_)
    folds = np.array([prediction.fold for prediction in data.predictions])
    for outcome in data.outcomes:
        here = folds == outcome.fold
        sets[here] = conformal_sets(data.probabilities[here], outcome.conformal_quantiles or {})
    return coverage(data.labels, sets, sites=[subject.site for subject in data.reported_subjects])


def _level(data: RunData) -> float | None:
    levels = {
        None if outcome.conformal_quantiles is None else outcome.conformal_quantiles["level"]
        for outcome in data.outcomes
    }
    return levels.pop() if len(levels) == 1 else None


def _in_order(groups: Sequence[GroupEvaluation], names: Sequence[str]) -> tuple[GroupEvaluation, ...]:
    return tuple(sorted(groups, key=lambda group: names.index(group.name)))
