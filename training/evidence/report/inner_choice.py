"""Choosing among runs without looking at what is reported: in each fold, by that fold's inner part."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evidence.comparison import paired_difference
from training.evidence.estimates import Difference
from training.evidence.metrics import N_DRAWS, Evaluation, evaluate
from training.evidence.report.assembling import SEED
from training.evidence.report.comparing import differences_between
from training.evidence.report.contents import RunReport
from training.evidence.report.reading import RunData
from training.evidence.report.wording import listed
from training.evidence.shapes import Scores
from training.runs import InnerPart


@dataclass(frozen=True, kw_only=True)
class InnerChoice:
    """What a choice by inner parts comes to, over all folds.

    Attributes
    ----------
    part : "stopping" or "calibration"
        The inner part whose loss decided.
    of_fold : dict of str
        The chosen run's name, by fold.
    evaluation : Evaluation
        Each fold's subjects by the run that was chosen there, at that run's threshold.
    above_connectivity : Difference or None
        AUC minus that of ridge on connectivity; None where it is not known.
    """

    part: InnerPart
    of_fold: dict[str, str]
    evaluation: Evaluation
    above_connectivity: Difference | None

    @property
    def sentence(self) -> str:
        """Say which runs were chosen, and by what."""
        counts = Counter(self.of_fold.values()).most_common()
        where = listed([f"{name} in {n} fold{'' if n == 1 else 's'}" for name, n in counts])
        return f"Chosen in each fold by the lowest loss on its inner {self.part} part: {where}."


def choose_on_inner_parts(reports: dict[str, RunReport], *, n_draws: int = N_DRAWS) -> InnerChoice | None:
    """Take in each fold the run with the lowest loss on the fold's inner part, and judge that choice.

    The stopping part decides where all runs watch the same people, the calibration part otherwise, to which
    each run's offset and temperature were fitted: there a loss is a little too low, for all runs alike. A
    choice between very many runs makes the thresholds that the calibration part gave a little too sure of
    themselves; the figures of the reported fold stay honest, because nobody of it took part.

    Parameters
    ----------
    reports : dict of RunReport
        By what they are called.
    n_draws : int
        Of the bootstrap.

    Returns
    -------
    InnerChoice or None
        None where there is nothing to choose: runs of different subjects, folds or inner parts, unfinished
        ones, or a protocol without inner parts.
    """
    data = [report.data for report in reports.values()]
    if len(data) < 2 or differences_between(list(reports.values())) or any(one.missing for one in data):
        return None
    part = next((part for part in _PARTS if _same_people(data, part)), None)
    if part is None:
        return None
    folds = [outcome.fold for outcome in data[0].outcomes]
    losses = np.array([_losses(one, part) for one in data])
    chosen = dict(zip(folds, losses.argmin(axis=0).tolist(), strict=True))
    of_subject = [chosen[prediction.fold] for prediction in data[0].predictions]
    labels, names = data[0].labels, list(reports)
    probabilities = _picked([one.probabilities for one in data], of_subject)
    thresholds = _picked([one.thresholds for one in data], of_subject)
    scores = _picked([one.scores for one in data], of_subject)
    linear = next((one.connectivity for one in data if one.connectivity is not None), None)
    return InnerChoice(
        part=part,
        of_fold={data[0].record.fold_names[fold]: names[run] for fold, run in chosen.items()},
        evaluation=evaluate(
            labels, probabilities, threshold=thresholds, scores=scores, seed=SEED, n_draws=n_draws
        ),
        above_connectivity=None
        if linear is None
        else paired_difference(
            labels, scores, data[0].scores_of_baseline(linear), seed=SEED, n_draws=n_draws
        ),
    )


_PARTS: tuple[InnerPart, ...] = ("stopping", "calibration")


def _same_people(data: Sequence[RunData], part: InnerPart) -> bool:
    """Whether every fold has such a part, and of the same people in all runs."""
    people = [
        {(row.fold, row.subject_id) for row in one.inner_predictions if row.part == part} for one in data
    ]
    folds = {outcome.fold for outcome in data[0].outcomes}
    return all(one == people[0] for one in people) and {fold for fold, _ in people[0]} == folds


def _losses(data: RunData, part: InnerPart) -> list[float]:
    """Give the mean cross-entropy of a fold's inner part, fold by fold."""
    label_of = {subject.subject_id: subject.label for subject in data.subjects}
    losses = []
    for outcome in data.outcomes:
        rows = [row for row in data.inner_predictions if (row.fold, row.part) == (outcome.fold, part)]
        logits = np.array([row.logit for row in rows])
        labels = np.array([label_of[row.subject_id] for row in rows])
        losses.append(float(np.mean(np.logaddexp(0, logits) - labels * logits)))
    return losses


def _picked(of_runs: Sequence[Scores], chosen: Sequence[int]) -> Scores:
    return np.array([of_runs[run][subject] for subject, run in enumerate(chosen)])
